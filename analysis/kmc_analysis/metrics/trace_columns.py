"""Traces of simulated runs and studies as columns: the source as it was applied, step by step."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from kmc.core.atomic_files import write_texts
from kmc.core.errors import UserError
from kmc.core.progress import say
from kmc.inputs.protocol import Step, read_protocol
from kmc.io import dataset, provenance
from kmc.study.manifest import DONE, Manifest, is_study, read_manifest, result_path, states

LEAST = 3  # samples of a trace
_OVER = 1e-3  # of a limit: what passes more is not under it
COLUMNS = ("time_s", "voltage_source_V", "voltage_device_V", "current_A", "compliance_A")


def holds(path: Path) -> bool:
    """Whether the folder holds a run or a study."""
    out = dataset.out_of(path)
    return is_study(out) or bool(dataset.merged_paths(out) or dataset.segment_paths(out))


def runs(path: Path) -> Iterator[tuple[str, xr.Dataset]]:
    """Name and dataset of the run at `path`, or of every finished task of the study there.

    Raises UserError and CorruptFile.
    """
    for name, file in places(path):
        yield name, dataset.open(file)


def places(path: Path) -> list[tuple[str, Path]]:
    """Name and file of the same; the out folder of a run that is not merged.

    A task's name is made of its place on the study's axes and of its seed. Raises UserError.
    """
    out = dataset.out_of(path)
    if not is_study(out):
        folder = path.resolve()  # the usual out says nothing: the run's folder has its name
        folder = folder.parent if folder.name == "out" else folder
        merged = dataset.merged_paths(out)
        if re.fullmatch(r"seed\d+", folder.name):  # the devices of one protocol, beside those of others
            name = f"{folder.parent.name}_{folder.name}"
        else:
            name = folder.name
        return [(path.stem if path.is_file() else name, merged[0] if len(merged) == 1 else out)]
    found = read_manifest(out)
    done = [k for k, state in enumerate(states(out, found)) if state == DONE]
    if not done:
        raise UserError(f"no task of the study in {out} is done", next_step="go on with kmc study STUDY.yaml")
    if lacking := len(found.tasks) - len(done):
        say(f"{lacking} of {len(found.tasks)} tasks of the study in {out} are not done: they are left out")
    return [(_task_name(found, k), result_path(out, found.tasks[k])) for k in done]


def _task_name(found: Manifest, k: int) -> str:
    place = found.place(k)
    # a level may be a path, or "1 V/s": the name of a file in one folder, whatever it is
    words = [re.sub(r"[^\w.+-]", "_", str(place[axis.name]).replace(" ", "")) for axis in found.axes]
    return "_".join([*words, f"seed{place['seed']}"])


def device_of(ds: xr.Dataset) -> str:
    """Stack and choices of a run, "" where the dataset does not say."""
    stack = provenance.run_of(ds).get("stack")
    if not isinstance(stack, dict):
        return ""
    choices = ", ".join(f"{name} {value}" for name, value in sorted(dict(stack.get("choices") or {}).items()))
    return f"{stack.get('name', '')} ({choices})" if choices else str(stack.get("name", ""))


def columns(ds: xr.Dataset, where: str = "") -> dict[str, np.ndarray]:
    """The trace of a run as COLUMNS, each [n]: samples, and before the first of each step its corner.

    A corner is where the staircase of the source jumps: its current and device voltage are not a number.
    Raises UserError, at `where`, for what is no run or too short.
    """
    dataset.require(ds, where, whole=False)
    if ds.sizes["time"] < LEAST:
        raise UserError("the run has fewer than three samples", where, next_step="run it with more samples")
    time, source = ds["time"].values.astype(float), ds["voltage_source"].values.astype(float)
    limits, first = _known(ds)
    volts, amps = ds["voltage_device"].values.astype(float), ds["current"].values.astype(float)
    begins = np.concatenate([[0.0], time[:-1]])
    rows = []
    for k in range(time.size):
        if first[k]:
            rows.append((begins[k], source[k], np.nan, np.nan, limits[k]))
        rows.append((time[k], source[k], volts[k], amps[k], limits[k]))
    return dict(zip(COLUMNS, np.array(rows).T, strict=True))


def _known(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Limit (A) and whether a step begins, for each sample.

    From the protocol, gone through as the device did; where the samples are not at its times, as in a
    selection of them, from what they show.
    """
    protocol = provenance.run_of(ds).get("protocol")
    steps = read_protocol(protocol).steps() if protocol else ()
    rows = _gone_through(ds, steps)
    times = ds["time"].values
    if len(rows) < times.size or not np.allclose([row[0] for row in rows[: times.size]], times, 1e-9, 1e-15):
        return _seen(ds, steps)
    _, limits, first = zip(*rows[: times.size], strict=True)
    return np.array(limits), np.array(first)


def _gone_through(ds: xr.Dataset, steps: Sequence[Step]) -> list[tuple[float, float, bool]]:
    """Time (s) and limit (A) of each sample and whether its step begins with it, by the ways that the device
    chose."""
    conductance, limited = ds["conductance"].values, ds["limited"].values == 1
    rows: list[tuple[float, float, bool]] = []
    k, begun = 0, 0.0
    while k < len(steps) and len(rows) < conductance.size:
        step = steps[k]
        rows += [
            (begun + step.duration_s * (n + 1) / step.samples, step.compliance_A, n == 0) for n in range(step.samples)
        ]
        begun += step.duration_s
        last = min(len(rows), conductance.size) - 1
        k += step.after(float(conductance[last]), bool(limited[last]))
    return rows


def _seen(ds: xr.Dataset, steps: Sequence[Step]) -> tuple[np.ndarray, np.ndarray]:
    """The same by segment: its only limit, or where its steps differ, the one that the run shows, if any."""
    told: dict[int, set[float]] = {}
    for step in steps:
        told.setdefault(step.segment, set()).add(step.compliance_A)
    limited, segments = ds["limited"].values == 1, ds["segment"].values
    current, source = np.abs(ds["current"].values), ds["voltage_source"].values
    limits = np.full(current.size, np.inf)
    for segment in np.unique(segments):
        there, known = segments == segment, told.get(int(segment), set())
        if len(known) == 1:
            limits[there] = next(iter(known))
        elif np.any(there & limited):
            limits[there] = np.median(current[there & limited])
    limits[current > limits * (1.0 + _OVER)] = np.inf  # of another step, then
    return limits, np.append(True, (np.diff(source) != 0.0) | (np.diff(segments) != 0))


def write(paths: Sequence[Path], out: Path) -> list[Path]:
    """Write every run as NAME.csv to the folder `out`, with as many digits as matter; returns the paths.

    Runs that are too short are left out with a message, if there are others. Raises UserError, also where two runs have
    one name.
    """
    texts: dict[str, str] = {}
    short = []
    for name, ds in (one for path in paths for one in runs(path)):
        if ds.sizes.get("time", LEAST) < LEAST:
            short.append(name)
            continue
        if f"{name}.csv" in texts:
            raise UserError(f'two runs are called "{name}"', next_step="write them to different folders")
        rows = np.array(list(columns(ds, name).values())).T
        # Times to a part in 1e12, so that steps of a microsecond are still there after seconds.
        lines = [f"{row[0]:.12g}," + ",".join(f"{cell:.6g}" for cell in row[1:]) for row in rows]
        texts[f"{name}.csv"] = "\n".join([",".join(COLUMNS), *lines, ""])
    if short:
        told = f"fewer than three samples: {', '.join(short)}"
        if not texts:
            raise UserError(told, next_step="run it with more samples")
        say(f"left out, {told}")
    return write_texts(out, texts)
