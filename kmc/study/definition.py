"""study.yaml: what a run file holds, crossed over variants, protocols and replicates.

    stack: ogb_20nm
    variants: {ligand: [ogb, ddab], thickness: [20 nm, 40 nm], electrode.bond_energy: [0.31 eV, 0.35 eV]}
    cases: {whole: {}, cold: {temperature: 280 K}}  # several changes at once, under a name
    protocols: {slow: [...], fast: [...]}     # or protocol: [...]
    replicates: 8                             # seeds from `seed` on, the same for every variant

A value may be drawn from its card's sigma (`electrode.bond_energy: 8 draws`), and replicates may go on until
a metric is known well enough (`replicates: {from: 4, to: 32, until: {set_voltage: 20 mV}}`).

The tasks are numbered as the axes are given, replicates fastest.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kmc.cards import yaml_documents
from kmc.cards.yaml_documents import Mapping
from kmc.core.errors import UserError
from kmc.inputs import run_file
from kmc.inputs.overrides import CASES, apply_sets, flat, place_of
from kmc.inputs.protocol import leaves
from kmc.inputs.run_file import BEGIN, OF_A_STUDY, RunFile, read_run
from kmc.io import provenance
from kmc.simulation.plausibility import of_devices
from kmc.study.axes import CASE, Axis, Level, Maker, read_axes, setting_of, spread, told
from kmc.study.cases import read_cases
from kmc.study.draws import drawn
from kmc.study.sequential_replicates import Growth, read_replicates
from kmc.study.study_protocols import Programs, refuse_both

KEYS = (*run_file.KEYS, *OF_A_STUDY)
TASK_LIMIT = 100_000


@dataclass(frozen=True)
class Study:
    """A checked study file. `axes` are the variants, the cases and, where there are several, the protocols.

    `runs` holds one run for each combination of the axes, replicates left out, in the order of the tasks.
    `warnings` are the plausibility warnings of its devices and protocols.
    """

    path: str
    name: str
    description: str
    axes: tuple[Axis, ...]
    runs: tuple[RunFile, ...] = field(repr=False)
    seeds: tuple[int, ...]
    sets: tuple[str, ...] = ()
    growth: Growth | None = None
    warnings: tuple[str, ...] = ()

    def with_replicates(self, count: int) -> Study:
        """The same study with the first `count` seeds."""
        return replace(self, seeds=tuple(self.seeds[0] + k for k in range(count)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Levels of each axis, and replicates last."""
        return (*(len(axis.levels) for axis in self.axes), len(self.seeds))

    @property
    def count(self) -> int:
        """The number of tasks."""
        return math.prod(self.shape)

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """A name for each task, made of all that decides its result: cards, protocol, settings, seed."""
        return tuple(self._hashes())

    def _hashes(self) -> Iterator[str]:
        protocols: dict[int, Any] = {}
        for run in self.runs:
            data = protocols.setdefault(id(run.protocol), run.protocol.to_data())
            about = {
                "protocol": data,
                "stack": {"hash": run.device.hash},
                "seed": 0,
                "initial": None,
                "settings": run.settings.model_dump(),
                "snapshots": run.snapshots,
            }
            whole = provenance.run_hash(about)
            for seed in self.seeds:
                yield hashlib.sha256(f"{whole} {seed}".encode()).hexdigest()[:20]

    def task(self, index: int) -> RunFile:
        """The run of task `index`, named by its hash."""
        variant, replicate = divmod(index, len(self.seeds))
        return replace(self.runs[variant], name=self.hashes[index], seed=self.seeds[replicate])

    @property
    def samples(self) -> int:
        """The most samples that a task can have."""
        protocols = {id(run.protocol): run.protocol for run in self.runs}
        return max(sum(step.samples for step in one.steps()) for one in protocols.values())


def load_study(path: str | Path, sets: tuple[str, ...] | list[str] = ()) -> Study:
    """The study file `path` with `sets` ("replicates=2", "variants.ligand=[ogb]") put over it.

    Every variant is built, so that what is wrong is said before anything is written. Raises UserError with
    file and line.
    """
    path = Path(path)
    document = yaml_documents.read(path, BEGIN)
    apply_sets(document, sets, KEYS, "a study file")
    yaml_documents.check_keys(document, KEYS, "a study file")
    axes = read_axes(document)
    axes += read_cases(document, axes)
    programs = Programs(document, axes)
    base = _base(document, path, axes, programs)
    varied = _refuse_given(document, axes)
    replicates, growth = read_replicates(document)
    most = growth.most if growth else replicates
    tasks = math.prod([*(len(axis.levels) or axis.draws for axis in axes), programs.count, most])
    if tasks > TASK_LIMIT:
        raise UserError(
            f"the study has {tasks:,} tasks, more than {TASK_LIMIT:,}",
            _varied(document),
            next_step="take fewer values or replicates",
        )
    maker = Maker(document, base)
    axes = drawn(axes, maker, base.seed)
    runs = _runs(maker, base, axes, programs)
    _refuse_idle(axes, programs, varied)
    axes = _told(axes, runs, programs.count)
    warnings = _warnings(document, runs)
    if programs.names:
        axes.append(Axis("protocol", tuple(Level(name, name, "") for name in programs.names)))
    study = Study(
        str(path),
        _name(path),
        base.description,
        tuple(axes),
        tuple(runs),
        tuple(base.seed + k for k in range(replicates)),
        tuple(sets),
        growth,
        warnings,
    )
    _refuse_twins(study, document)
    return study


def _varied(document: Mapping) -> str:
    """Where the file says what it varies."""
    return document.where("variants" if "variants" in document else CASES)


def _name(path: Path) -> str:
    """The folder's name for runs/<name>/study.yaml, else the file's own."""
    return path.resolve().parent.name or "study" if path.name == "study.yaml" else path.stem


def _base(document: Mapping, path: Path, axes: list[Axis], programs: Programs) -> RunFile:
    """The run that all tasks share, with the first of its protocols and stacks."""
    shared = Mapping(document.file, document.line)
    shared.lines = dict(document.lines)
    shared.update({key: value for key, value in document.items() if key not in OF_A_STUDY})
    for axis in axes:
        if axis.name == "stack":
            refuse_both(document, "stack", "variants")
            shared["stack"], shared.lines["stack"] = axis.levels[0].given, axis.levels[0].where
    if "stack" not in shared:
        raise UserError('the study file has no "stack"', document.where(), next_step="add stack: ogb_20nm")
    shared["protocol"], shared.lines["protocol"] = programs.first()
    if document.get("initial") is not None:
        raise UserError("a study's tasks start afresh", document.where("initial"), next_step="remove it")
    return read_run(shared, path)


def _refuse_given(document: Mapping, axes: list[Axis]) -> set[str]:
    """What is varied must be given nowhere else: that value would be dropped. Returns the settings varied."""
    choices, settings = flat(document, "choices"), document.get("settings") or Mapping(document.file, 1)
    varied: set[str] = set()
    for axis in axes:
        if axis.name in choices:
            where = place_of(document, "choices", axis.name)
        elif setting_of(axis.name) in settings:
            where = settings.where(setting_of(axis.name))
        elif setting_of(axis.name) in varied:
            where = place_of(document, "variants", axis.name)
        else:
            varied |= {setting_of(axis.name)} - {""}
            continue
        raise UserError(
            f'the study file has "{axis.name}" beside that in variants', where, next_step="keep one of the two"
        )
    return varied


def _refuse_idle(axes: list[Axis], programs: Programs, varied: set[str]) -> None:
    """A temperature is varied for nothing where each segment has its own. Of programs that were read."""
    changed = {setting_of(name) for axis in axes for level in axis.levels for name in level.changes or ()}
    for place, names in (("variants", varied), ("cases", changed)):
        if "temperature" in names:  # a segment's own goes before the setting
            for items in programs.items():
                _refuse_temperatures(list(leaves(items)), place)


def _refuse_temperatures(segments: list[tuple[str, Any]], place: str) -> None:
    """UserError if every segment has its own temperature: nothing would be varied. (Having none fails later.)"""
    own = [isinstance(values, Mapping) and values.get("temperature") is not None for _, values in segments]
    if own and all(own):
        name, values = segments[0]
        what = f"the segment {name}, as all others, has a temperature of its own beside that in {place}"
        raise UserError(
            what,
            yaml_documents.place(values, "temperature"),
            next_step="leave it out of a segment, or vary it by protocols:",
        )


def _runs(maker: Maker, base: RunFile, axes: list[Axis], programs: Programs) -> list[RunFile]:
    """One run a combination of the axes and protocols, the last axis fastest."""
    runs = []
    for place in np.ndindex(*(len(axis.levels) for axis in axes)):
        levels = spread({axis.name: axis.levels[k] for axis, k in zip(axes, place, strict=True)})
        device, settings = maker.make(levels)
        choices = {**base.choices, **{name: level.given for name, level in levels.items()}}
        runs += [
            replace(base, device=device, settings=settings, protocol=protocol, choices=choices)
            for protocol in programs.of(levels)
        ]
    return runs


def _warnings(document: Mapping, runs: list[RunFile]) -> tuple[str, ...]:
    """Plausibility warnings of the devices. Raises UserError for what no task could build."""
    try:
        return tuple(of_devices((run.device, run.settings, run.protocol) for run in runs))
    except UserError as error:
        raise error.at(document.where()) from None


def _told(axes: list[Axis], runs: list[RunFile], protocols: int) -> list[Axis]:
    """The axes with the values that their levels came to, the other axes at their first level."""
    shape = tuple(len(axis.levels) for axis in axes)
    found = []
    for k, axis in enumerate(axes):
        places = [[0] * k + [level] + [0] * (len(axes) - k - 1) for level in range(shape[k])]
        chosen = [runs[int(np.ravel_multi_index(place, shape)) * protocols] for place in places]
        found.append(told(axis, chosen))
    return found


def _place(study: Study, index: int) -> str:
    """Where the case of a task stands, "" without cases."""
    found = np.unravel_index(index, study.shape)
    return next(
        (axis.levels[int(k)].where for axis, k in zip(study.axes, found, strict=False) if axis.name == CASE), ""
    )


def _refuse_twins(study: Study, document: Mapping) -> None:
    """Two tasks of one hash would be one result under two names."""
    seen: dict[str, int] = {}
    for index, name in enumerate(study.hashes):
        if name in seen:
            raise UserError(
                f"the tasks {seen[name]} and {index} are the same run",
                _place(study, index) or _varied(document),
                next_step="remove one of two values that change nothing",
            )
        seen[name] = index
