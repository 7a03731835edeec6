"""The page of a study or of a run, from its folder."""

from __future__ import annotations

import contextlib
import json
import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import kmc
from kmc.core import atomic_files, output_paths
from kmc.core.errors import CorruptFile, UserError
from kmc.io import dataset
from kmc.io.provenance import run_of
from kmc.io.run_folder import read_record
from kmc.study.engine import status
from kmc.study.manifest import Manifest, is_study, read_manifest, result_path
from kmc_analysis.experiment import conclusions
from kmc_analysis.metrics import silver_supply
from kmc_analysis.plotting import study_figures
from kmc_analysis.report import filament_viewer, run_inputs
from kmc_analysis.report.filament_frames import BUDGET, frames
from kmc_analysis.report.html_pieces import PAGE, Section, block, listed, page, paragraph, picture, table
from kmc_analysis.report.scoreboard_page import is_reproduction, reproduction
from kmc_analysis.statistics import comparison, effect_tables

_MOST_VIEWS = 12  # runs whose filament is shown

_TRACES = "Current: medians, with bands from the 10th to the 90th percentile of all runs."
_DISTRIBUTIONS = "Each run's metrics; bars are medians."
_TRENDS = "Metrics against the axes that are numbers: means with 95 % intervals."

Tell = Callable[[str], None]


def write(folder: Path, target: Path | None, tell: Tell = lambda line: None) -> Path:
    """Write the page of the study, run or reproduction in `folder` to `target` (report.html there if None).

    Raises UserError where nothing is done yet, and WriteFailed.
    """
    with placed(folder, target) as path:
        atomic_files.write_whole(path, _made(folder, dataset.home_of(folder), tell).encode())
    return path


@contextlib.contextmanager
def placed(folder: Path, target: Path | None) -> Iterator[Path]:
    """Where the page of `folder` goes, once it may be written there. Raises UserError and WriteFailed."""
    if not folder.exists():
        raise UserError(f"{folder} does not exist", next_step="give the folder of a study or of a run")
    path = dataset.home_of(folder) / "report.html" if target is None else target
    with output_paths.folder(path.parent):
        output_paths.check_file(path, PAGE)
        yield path


def _made(folder: Path, out: Path, tell: Tell) -> str:
    if folder.is_file():
        return _run(folder, out)
    if is_reproduction(out):
        return reproduction(out)
    return _study(out, tell) if is_study(out) else _run(folder, out)


# --- a study ---------------------------------------------------------------------------------------------


def _study(out: Path, tell: Tell) -> str:
    record, study = read_manifest(out), kmc.open(out)
    if not (study["state"] == 1).any():
        raise UserError("no task of the study is done", next_step="go on with kmc study STUDY.yaml")
    values = comparison.measure(study, None, tell)
    found = comparison.effects(values)
    tell("reading snapshots")
    runs, views = _of_variants(study)
    file, name = run_inputs.beside(out, record.command["study"])
    command = ["kmc", "study", name, "--out", out.resolve().name]
    for text in record.command["sets"]:
        command += ["--set", text]
    compared = ["kmc", "compare", out.resolve().name]
    sections = [
        Section("what", "What was run", _what(out, record) + run_inputs.protocols(runs)),
        _comparison(study, values, found),
        filament_viewer.section(views),
        run_inputs.cards(runs, run_inputs.cards_of_study(file, record.command["sets"])),
        run_inputs.again(
            out, file, [shlex.join(one) for one in (command, compared)[: 1 + bool(found)]], record.versions
        ),
    ]
    return page(f"Study {record.name}", paragraph(record.description), sections)


def _what(out: Path, record: Manifest) -> str:
    """The axes, the seeds, how many tasks are done, and those that failed."""
    found = status(out)
    rows = [(axis.name, ", ".join(axis.labels)) for axis in record.axes]
    for axis in record.axes:
        for label, changes in zip(axis.labels, axis.changes, strict=False):  # of cases alone
            told = ", ".join(f"{name}: {value}" for name, value in changes.items())
            rows.append((f"case {label}", told or "no change"))
    rows.append(("seeds", f"{record.seeds[0]} to {record.seeds[-1]}, the same in every variant"))
    counts = f"{found['done']} of {found['tasks']} tasks done, {found['failed']} failed, {found['missing']} missing."
    failed = [f"task {one['task']}: {one['reason']}" for one in found["failures"]]
    return paragraph(counts) + (listed(failed) if failed else "") + table(("axis", "values"), rows, "Axes")


def _comparison(study: xr.Dataset, values: xr.Dataset, found: list[comparison.Effect]) -> Section:
    if not found:
        told = "The study has one variant: there is nothing to compare."
        return Section("comparison", "Comparison", paragraph(told))
    rows = [effect_tables.cells(one) for one in found if one.at == "all" and one.pairs]
    body = listed(conclusions.conclusions(values, found))
    body += paragraph("Effects are paired by seed; a star marks a 95 % interval that excludes no effect.")
    body += table(effect_tables.HEADS, rows, "Effects")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "picture.png"
        body += picture(study_figures.traces(study, path), _TRACES)
        for draw, told in ((study_figures.distributions, _DISTRIBUTIONS), (study_figures.trends, _TRENDS)):
            body += "" if draw(values, path) is None else picture(path, told)
    return Section("comparison", "Comparison", body)


def _of_variants(study: xr.Dataset) -> tuple[run_inputs.Runs, list[dict[str, Any]]]:
    """The resolved run of each variant's first finished task, and the filaments of some of them."""
    runs: run_inputs.Runs = []
    views: list[dict[str, Any]] = []
    budget = BUDGET // max(1, min(_MOST_VIEWS, int(np.prod(study["state"].shape[:-1]))))
    for title, path in _first_done(study):
        try:
            with kmc.open(path) as ds:
                runs.append(run_of(ds))
                seen = frames(ds, title, budget) if len(views) < _MOST_VIEWS else None
        except CorruptFile:
            continue
        views += [] if seen is None else [seen]
    return runs, views


def _first_done(study: xr.Dataset) -> Iterator[tuple[str, Path]]:
    """Title and file of the first finished task of each variant."""
    dims, state = study["state"].dims[:-1], study["state"].values
    for place in np.ndindex(state.shape[:-1]):
        done = np.flatnonzero(state[place] == 1)
        if len(done):
            labels = [comparison.label(study["state"], dim, k) for dim, k in zip(dims, place, strict=True)]
            words = [f"{dim} {word}" for dim, word in zip(dims, labels, strict=True)]
            title = ", ".join([*words, f"seed {study['seed'].values[done[0]]}"])
            name = study["task"].values[(*place, done[0])]
            yield title, result_path(Path(study.attrs["folder"]), name)


# --- one run ---------------------------------------------------------------------------------------------


def _run(folder: Path, out: Path) -> str:
    from kmc.plotting.trace_plots import draw

    with kmc.open(folder) as ds:
        dataset.require(ds, folder)
        run = run_of(ds)
        record = read_record(out) if out.is_dir() else None
        told = (record or {}).get("command", {})
        sets = list(told.get("sets", []))
        file, name = run_inputs.beside(out, told["run"]) if "run" in told else (None, "RUN.yaml")
        with tempfile.TemporaryDirectory() as place:
            drawn = picture(draw(ds, Path(place) / "picture.png"), "Current of the run")
        drawn += paragraph(silver_supply.told(ds))
        seen = frames(ds, f"{run.get('name', '')}, seed {run.get('seed', '')}")
    command = ["kmc", "run", name, "--out", out.resolve().name]
    for text in sets:
        command += ["--set", text]
    about = block(json.dumps(run.get("stack"), indent=1), "Stack") + run_inputs.protocols([run])
    sections = [
        Section("what", "What was run", paragraph(f"One run with seed {run['seed']}.") + about),
        Section("trace", "Trace", drawn),
        filament_viewer.section([] if seen is None else [seen]),
        run_inputs.cards([run], run_inputs.cards_of_run(file, sets) if file else ()),
        run_inputs.again(out, file, [shlex.join(command)], run.get("versions", {})),
    ]
    return page(f"Run {run.get('name', '')}", paragraph(run.get("description", "")), sections)
