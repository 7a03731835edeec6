"""What decides a row of the scoreboard: its runs, what measures and judges them, or the sources and versions
of what computes itself. Rows and losses that something else decided do not compare."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from kmc.core.source_files import digest, package_folder, sources_of
from kmc.io import provenance
from kmc_analysis.experiment.figures.definition import Figure, Runs
from kmc_analysis.experiment.reproduce.figure_runs import Session
from kmc_analysis.experiment.targets import verdict
from kmc_analysis.experiment.targets.targets import all_rows

_SOURCES = (".py", ".yaml", ".json")


def engines(runs: Runs) -> list[str]:
    """Hashes of the sources that runs were made by, sorted, before there were any those of the kernels alone;
    a run is kept when they change."""
    made = [provenance.run_of(ds).get("versions", {}) for devices in runs.values() for ds in devices]
    return sorted({versions.get("engine") or f"kernels {versions.get('kernels', '')}" for versions in made})


def others(made: Iterable[str]) -> list[str]:
    """Those of `engines` that are not the engine there is."""
    present = provenance.versions()["engine"]
    return [name for name in made if name != present]


def figure(one: Figure, session: Session) -> str:
    """A hash of what decides the rows of a figure, but for the engine: of what it computes, or of the runs of
    its devices, done or not, and the sources and tolerances by which they are judged; where no chance enters,
    of what it says today."""
    accepted = [repr(all_rows()[key].accept) for key in one.keys]
    if one.compute is not None:
        made = computed(one, session.extent.seed, session.extent.count(one.seeds, one.quick_seeds))
        return digest(sources_of([verdict.__name__]), json.dumps([made, accepted]))
    if one.programs:
        names = sorted({name for program in one.programs for name in session.names[one.name, program.name]})
        judged = sources_of([one.measure.__module__, verdict.__name__])
        return digest(judged, json.dumps([names, accepted]))
    said = [json.dumps(asdict(found), sort_keys=True) for found in one.measure({}).values()]
    return digest(sources_of([verdict.__name__]), json.dumps([said, accepted]))


def computed(one: Figure, seed: int, count: int) -> str:
    """What decides the result of a figure that computes itself: its seeds, sources with all that they import,
    models, fits and versions."""
    assert one.compute is not None
    folders = [package_folder("kmc_analysis") / folder for folder in one.depends]
    data = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in _SOURCES]
    versions = json.dumps(provenance.versions(), sort_keys=True)
    return digest([*data, *sources_of([one.compute.__module__])], f"{one.name} {seed} {count} {versions}")
