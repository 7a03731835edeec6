"""Source (a) of the nodes' states: kinetic Monte Carlo itself, in a study of all patterns that occur.

A device rests between two samples, so its state after a window hangs on the window's pattern and on the
device alone: a study has a protocol for each pattern that some node sees, and a replicate (a seed: morphology
and noise) for each device. The states of any number of samples are put together from it. Spread from cycle to
cycle and from device to device are one here: a device meets each pattern once.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

import kmc
from kmc.cards.card import find_data
from kmc.cards.stack import load_stack
from kmc.core.atomic_files import csv_text, write_whole
from kmc.core.errors import UserError
from kmc.core.output_paths import Kind
from kmc.core.units import format_si
from kmc_analysis.reservoir.linear_readout import accuracy
from kmc_analysis.reservoir.node_devices import Population
from kmc_analysis.reservoir.pipeline import DOUBLE, Result, standardised
from kmc_analysis.reservoir.plan import Encoding, Plan
from kmc_analysis.reservoir.pulse_input import Wiring, patterns, window_slots
from kmc_analysis.reservoir.spike_trains import Trains

LOOKS = 20  # samples of the read; its last tenth is the state
WRITE_LOOKS = 2  # samples of each slot
ABOUT = "every pattern of writes that occurs, then a read; replicates are devices"
STUDY = Kind((".yaml", ".yml"), ABOUT.encode())
HEAD = ("pattern", "replicate", "conductance_S")
MOST_DEVICES = 1000  # as of a plan
_CARDS = ("ligand", "electrode")  # choices that are a whole card
DEVICES = 60  # of (b), whose median is compared
States = dict[str, np.ndarray]


def entries(plan: Plan) -> list[tuple[str, Any]]:
    """What a comparison rests on beside what decides the plan's own results."""
    return [(f"kinetic.{name}", value) for name, value in plan.kinetic.model_dump(mode="json").items()]


def name_of(pattern: np.ndarray) -> str:
    """A pattern as its protocol is called: b0110."""
    return "b" + "".join("1" if bit else "0" for bit in pattern)


def seen(plan: Plan, data: Trains, wiring: Wiring, samples: int) -> np.ndarray:
    """Patterns [samples, nodes, slots] of the first samples to test with.

    UserError where there are fewer, and where nodes write at voltages of their own: a study has one protocol
    a pattern.
    """
    if plan.feeding.least_gain < 1.0:
        raise UserError(
            "the nodes' gains differ, and a study of patterns has one amplitude for all",
            next_step="set feeding.least_gain to 1",
        )
    if not 1 <= samples <= data.test:
        raise UserError(
            f"{samples} samples are asked for, and there are {data.test} to test with",
            next_step=f"give 1 to {data.test}",
        )
    return patterns(data, wiring, plan.encoding)[data.held_out][:samples]


def protocol(pattern: np.ndarray, encoding: Encoding, limit_A: float) -> list[str]:
    """The lines of a pattern's protocol in a study file; what comes before the first write is left out."""
    limit = format_si(limit_A, "A", 12)
    lines = []
    if pattern.any():
        bits = name_of(pattern[int(np.argmax(pattern)) :])[1:]
        slot = format_si(encoding.slot, "s", 12)
        lines.append(
            f"- pulses: {{amplitude: {encoding.amplitude:g} V, width: {slot}, "
            f'pattern: "{bits}", samples: {WRITE_LOOKS}, compliance: {limit}}}'
        )
    width = format_si(encoding.read_width, "s", 12)
    lines.append(
        f"- hold: {{voltage: {encoding.read_amplitude:g} V, duration: {width}, samples: {LOOKS}, compliance: {limit}}}"
    )
    return lines


def study_text(plan: Plan, found: np.ndarray, seed: int) -> str:
    """The study file of the patterns [samples, nodes, slots], on the stack of the plan's `kinetic`."""
    unique = np.unique(found.reshape(-1, found.shape[2]), axis=0)
    settings = plan.kinetic
    lines = ["description: >-", f"  {ABOUT}", f"stack: {_yaml(_found('stack', settings.stack, plan))}"]
    choices = {
        name: _found("card", value, plan) if name in _CARDS else value for name, value in settings.choices.items()
    }
    told = {**settings.settings, "windows": plan.devices.windows}
    for key, entries in (("choices", choices), ("settings", told)):
        if entries:
            lines += [f"{key}:", *(f"  {name}: {_yaml(value)}" for name, value in entries.items())]
    lines += [f"replicates: {plan.feeding.devices or plan.feeding.nodes}", f"seed: {seed}", "protocols:"]
    for pattern in unique:
        lines.append(f"  {name_of(pattern)}:")
        lines += [f"    {line}" for line in protocol(pattern, plan.encoding, plan.devices.compliance)]
    return "\n".join(lines) + "\n"


def _found(kind: Literal["card", "stack"], value: Any, plan: Plan) -> Any:
    """A path as seen from anywhere, for the study may lie elsewhere than the plan; all else as it is."""
    if not isinstance(value, str) or not ("/" in value or value.endswith((".yaml", ".yml"))):
        return value
    return str(find_data(kind, value, plan.path, str(plan.path)).resolve())


def stack_name(plan: Plan) -> str:
    """The name that runs of the plan's `kinetic.stack` keep."""
    return load_stack(_found("stack", plan.kinetic.stack, plan)).name


def _yaml(value: Any) -> str:
    """A value as YAML reads it back: no "None", and no number of a text."""
    return json.dumps(value, ensure_ascii=False)


def write_study(plan: Plan, data: Trains, wiring: Wiring, path: Path, seed: int) -> dict[str, Any]:
    """Write the study file `path`; returns {study, patterns, devices, tasks}. UserError and WriteFailed."""
    found = seen(plan, data, wiring, plan.kinetic.samples)
    write_whole(path, study_text(plan, found, seed).encode())
    count = len(np.unique(found.reshape(-1, found.shape[2]), axis=0))
    devices = plan.feeding.devices or plan.feeding.nodes
    return {"study": str(path), "patterns": count, "devices": devices, "tasks": count * devices}


def states(study: xr.Dataset) -> States:
    """{pattern's name: conductances in S [replicates]} of a study's done tasks, NaN where one is not done."""
    if "protocol" not in study.dims:
        raise UserError("the study has no patterns as protocols", next_step="write it with kmc reservoir --write-study")
    found = {}
    for name in study["protocol"].values:
        if not re.fullmatch("b[01]+", str(name)):
            raise UserError(f'its protocol "{name}" is no pattern', next_step="name the study of a reservoir")
        part = study.sel(protocol=name)
        extra = [str(dim) for dim in part["state"].dims if dim != "replicate"]
        wide = [dim for dim in extra if part.sizes[dim] > 1]
        if wide:
            raise UserError(f"the study varies {wide[0]}, too", next_step="give one of patterns alone")
        current = part["current"].isel(dict.fromkeys(extra, 0)).values
        volt = part["voltage_device"].isel(dict.fromkeys(extra, 0)).values
        found[str(name)] = np.array([_last(amp, drop) for amp, drop in zip(current, volt, strict=True)])
    return found


def as_csv(found: States) -> str:
    """States with every digit, one a line; what is not done is left out."""
    return csv_text(
        HEAD,
        (
            [name, k, value]
            for name, values in found.items()
            for k, value in enumerate(values.tolist())
            if np.isfinite(value)
        ),
    )


def read(path: Path) -> States:
    """The states in a study's folder, or in a CSV that `as_csv` made. Raises UserError."""
    if path.suffix != ".csv":
        return states(kmc.open(path))
    step = "name a study's folder, or the kinetic_states.csv of kmc reservoir"
    found: dict[str, dict[int, float]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            for row in table:
                replicate = int(row[HEAD[1]])
                if not 0 <= replicate < MOST_DEVICES:
                    raise UserError(
                        f"has no device {replicate}: they are 0 to {MOST_DEVICES - 1}",
                        f"{path}:{table.line_num}",
                        next_step=step,
                    )
                found.setdefault(row[HEAD[0]], {})[replicate] = float(row[HEAD[2]])
    except (OSError, ValueError, KeyError, TypeError, UnicodeDecodeError, csv.Error):
        raise UserError("holds no states of patterns", str(path), next_step=step) from None
    if not found or not all(re.fullmatch("b[01]+", name) for name in found):
        raise UserError("holds no states of patterns", str(path), next_step=step)
    count = 1 + max(max(known) for known in found.values())
    return {name: np.array([known.get(k, np.nan) for k in range(count)]) for name, known in found.items()}


def check_lengths(plan: Plan, found: States) -> None:
    """Whether the states are of windows as long as the plan's. Raises UserError."""
    window = window_slots(plan.feeding, plan.encoding, plan.data.duration)
    for slots in {len(name) - 1 for name in found} - {window}:
        raise UserError(
            f"has patterns of {slots} slots, and the plan's window has {window}",
            next_step="give the plan that the study was written for",
        )


def _last(current: np.ndarray, volt: np.ndarray) -> float:
    """The conductance in S in the last tenth of the read, NaN where there is no trace."""
    there = np.flatnonzero(np.isfinite(current))
    if there.size < LOOKS:
        return float("nan")
    looks = there[-LOOKS // 10 :]
    return float(np.mean(current[looks] / volt[looks]))


def assembled(found: States, wanted: np.ndarray, devices: np.ndarray) -> np.ndarray:
    """Conductances in S [samples, nodes] of patterns [samples, nodes, slots]; devices: [nodes] replicates."""
    missing = np.full(int(devices.max()) + 1, np.nan)
    made = np.empty(wanted.shape[:2])
    for i, sample in enumerate(wanted):
        for k, pattern in enumerate(sample):
            values = found.get(name_of(pattern), missing)
            made[i, k] = values[devices[k]] if devices[k] < len(values) else np.nan
    return made


def compared(plan: Plan, found: States, seed: int) -> dict[str, Any]:
    """How well (b) predicts (a), pattern by pattern: medians of log10 of the conductance in S.

    a, b: medians of each pattern; error_decades: median of |b - a|; worst_decades: the largest; spread_a,
    spread_b: mean standard deviation from device to device (and cycle to cycle). UserError where no task is
    done, and for patterns of another length than the plan's window.
    """
    check_lengths(plan, found)
    kinetic = {name: values[np.isfinite(values)] for name, values in found.items()}
    names = [name for name, values in kinetic.items() if values.size]
    if not names:
        raise UserError("no task of the study is done", next_step="go on with kmc study")
    shapes = np.array([[bit == "1" for bit in name[1:]] for name in names])
    a = [np.log10(np.maximum(kinetic[name], 1e-15)) for name in names]
    b = list(np.log10(_compact(plan, shapes, seed)).T)
    miss = np.array([np.median(two) - np.median(one) for one, two in zip(a, b, strict=True)])
    several = [one.std(ddof=1) for one in a if one.size > 1]
    return {
        "patterns": names,
        "tasks": int(sum(one.size for one in a)),
        "a": [float(np.median(one)) for one in a],
        "b": [float(np.median(one)) for one in b],
        "error_decades": float(np.median(np.abs(miss))),
        "worst_decades": float(np.max(np.abs(miss))),
        "bias_decades": float(np.mean(miss)),
        "spread_a": float(np.mean(several)) if several else None,
        "spread_b": float(np.mean([one.std(ddof=1) for one in b])),
    }


def transferred(plan: Plan, kinetic: States, result: Result, seed: int) -> dict[str, Any]:
    """Accuracy in percent on the study's samples of the readout that was trained on (b): on (b)'s states, on
    (a)'s.

    Node k takes replicate k, and where that one is not done the next that is. own: percent of the states that
    are of the node's own replicate; samples: 0 where no replicate of a pattern is done.
    """
    data, part = result.trains, slice(0, plan.kinetic.samples)
    wanted = seen(plan, data, result.wiring, plan.kinetic.samples)
    names = {name_of(pattern) for pattern in np.unique(wanted.reshape(-1, wanted.shape[2]), axis=0)}
    lacking = sum(not (name in kinetic and np.isfinite(kinetic[name]).any()) for name in names)
    counts = {"patterns": len(names), "lacking": lacking}
    if lacking:
        return {**counts, "samples": 0, "compact": None, "kinetic": None, "own": None}
    devices = result.wiring.device
    filled = {name: _filled(kinetic[name], int(devices.max()) + 1) for name in names}
    made, own = assembled(filled, wanted, devices), assembled(kinetic, wanted, devices)
    labels = data.labels[data.held_out][part]
    x = Population.of(plan, seed).features(made)
    weights, known = result.readouts[DOUBLE].weights, result.features[data.train]

    def scored(features: np.ndarray) -> float:
        return accuracy(weights, standardised(features, known, plan.readout.constant), labels)

    return {
        **counts,
        "samples": len(labels),
        "compact": scored(result.features[data.held_out][part]),
        "own": 100.0 * float(np.isfinite(own).mean()),
        "kinetic": scored(x),
    }


def _filled(values: np.ndarray, count: int) -> np.ndarray:
    """`count` replicates: what is not done is the next that is, round the end."""
    done = np.flatnonzero(np.isfinite(values))
    return values[done[np.searchsorted(done, np.arange(count)) % done.size]]


def _compact(plan: Plan, shapes: np.ndarray, seed: int) -> np.ndarray:
    """Conductances in S [devices, patterns] of (b): each row another device in another cycle."""
    population = Population.of(plan.changed(feeding={"devices": DEVICES}), seed)
    every = np.tile(shapes, (DEVICES, 1))[None]
    which = np.repeat(np.arange(DEVICES), len(shapes))
    found = population.conductances(every, np.ones(which.size), which, plan.encoding)
    return found.reshape(DEVICES, len(shapes))
