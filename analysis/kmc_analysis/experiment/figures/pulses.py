"""Short-term dynamics: amplitude, width, number, pairs, trains, bit streams, write and read (S22 to S25)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from scipy import stats

from kmc.plotting.plot_style import COLOURS, say_if_empty
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs, Segments, paired
from kmc_analysis.experiment.figures.programmed import READ
from kmc_analysis.metrics.bootstrap_intervals import GRAIN
from kmc_analysis.metrics.observation import Measured, bootstrap, mean_change, not_run, separable
from kmc_analysis.metrics.pulse_trains import bend_margin, conductance_after, echo_index, pulse_conductances
from kmc_analysis.metrics.reads_and_retention import READ_V, reads
from kmc_analysis.plotting.figure_style import over_time, panels

LIMIT = "1 uA"  # assumed, as for the sweeps: the experiment's text gives none for its pulses
_ALONE = f"a device is one window on its own limiter of {LIMIT}"
_WINDOW = (
    f"{_ALONE}; conductances of devices are added up, as those of windows on one circuit add up while the "
    "limiter leaves their voltage alone"
)


def pulses(width: str = "5 ms", amplitude: str = "1 V", **more: object) -> dict[str, object]:
    """Pulses with fifty looks each, of which the last five make a_k."""
    return {"pulses": {"amplitude": amplitude, "width": width, "samples": 50, "compliance": LIMIT, **more}}


def rest(duration: str) -> dict[str, object]:
    """An interval without voltage."""
    return {"hold": {"voltage": "0 V", "duration": duration, "samples": 2}}


# --- S22 -------------------------------------------------------------------------------------------------

AMPLITUDES = (0.6, 0.7, 0.8, 0.9, 1.0)
WIDTHS_MS = (5.0, 10.0, 15.0, 20.0, 25.0)
NUMBER = 5
_TRAIN = Program("five pulses", "ogb_20nm", [pulses("25 ms", count=NUMBER, gap="25 ms")], devices=6)
_AMPLITUDES = [
    Program(f"{volt} V", "ogb_20nm", [pulses("25 ms", f"{volt} V", count=1)], devices=6) for volt in AMPLITUDES[:-1]
]


def _nonlinear(runs: Runs) -> dict[str, Measured]:
    return {
        "S22a_amplitude": _bent(_amplitudes(runs)),
        "S22b_width": _bent(_widths(runs)),
        "S22c_number": _bent(_numbers(runs)),
    }


def _widths(runs: Runs) -> np.ndarray:
    """G after each width [device, width], of the first pulse of the train."""
    found = [[conductance_after(ds, 1e-3 * one) for one in WIDTHS_MS] for ds in runs[_TRAIN.name]]
    return np.array(found).reshape(-1, len(WIDTHS_MS))


def _numbers(runs: Runs) -> np.ndarray:
    """G after each pulse of the train [device, number]."""
    return np.array([pulse_conductances(ds) for ds in runs[_TRAIN.name]]).reshape(-1, NUMBER)


def _amplitudes(runs: Runs) -> np.ndarray:
    """G at the end of one pulse [device, amplitude]; of the first of the train at 1 V."""
    devices = paired(*(runs[program.name] for program in (*_AMPLITUDES, _TRAIN)))
    found = [[float(pulse_conductances(ds)[0]) for ds in device] for device in devices]
    return np.array(found).reshape(-1, len(AMPLITUDES))


def _bent(table: np.ndarray) -> Measured:
    """The rule: means of a table [device, level] strictly rise, and their steps shrink throughout or grow
    throughout.

    It is met where the interval of the margin lies above zero, and is not where a step surely falls, or where
    one step is surely longer than the one before it and another surely shorter.
    """
    table = table[np.isfinite(table).all(axis=1)]
    if len(table) < 2:
        return not_run("fewer than two devices were run")
    grow, shrink = (bootstrap(partial(bend_margin, sign=sign), table) for sign in (1.0, -1.0))
    found, way = (grow, "grow") if grow.value > shrink.value else (shrink, "shrink")
    steps = np.diff(table / table.mean(), axis=1)
    excluded = _negative(steps) or (_negative(np.diff(steps)) and _negative(-np.diff(steps)))
    holds = True if found.low > GRAIN else False if excluded else None
    means = ", ".join(f"{one:.3g}" for one in table.mean(axis=0))
    told = f"the value is the least of their steps and of what these {way}, over the mean of all"
    note = f"means {means} S; {told}"
    return replace(found, note=note, holds=holds)


def _negative(changes: np.ndarray) -> bool:
    """Whether the mean of one of the columns [device, change] surely is below zero: Student's t of each,
    Bonferroni's correction.

    The least of the means of resampled devices would not do: it lies below the least of the true ones.
    """
    n, count = changes.shape
    error = changes.std(axis=0, ddof=1) / np.sqrt(n)
    return bool((changes.mean(axis=0) + stats.t.ppf(1 - 0.025 / count, n - 1) * error < -GRAIN).any())


def _draw_nonlinear(runs: Runs, path: Path) -> None:
    with panels(path, ("amplitude (V)", "width (ms)", "number")) as places:
        tables = (_amplitudes(runs), _widths(runs), _numbers(runs))
        for axes, levels, table in zip(places, (AMPLITUDES, WIDTHS_MS, range(1, NUMBER + 1)), tables, strict=True):
            if table.size:
                axes.plot(levels, 1e6 * table.T, color=COLOURS[0], alpha=0.3)
                axes.plot(levels, 1e6 * table.mean(axis=0), "o-", color=COLOURS[0])
            axes.set_ylabel("conductance (uS)")
            say_if_empty(axes)


# --- S23a-c ----------------------------------------------------------------------------------------------

INTERVALS_MS = (10, 30, 300)
_PAIR = pulses(count=2, gap="5 ms")


def _pairs(interval_ms: int) -> Segments:
    """Two pairs of pulses: 5 ms within a pair, its own last gap counted to the interval."""
    return [_PAIR, rest(f"{interval_ms - 5} ms"), _PAIR]


_ECHOES = [
    Program(f"pairs {one} ms apart", "ogb_20nm", _pairs(one), devices=14, quick=int(one == 10)) for one in INTERVALS_MS
]


_ECHO_KEYS = ("S23a_echo_10ms", "S23b_echo_30ms", "S23c_echo_300ms")


def _echo(runs: Runs) -> dict[str, Measured]:
    keys = dict(zip(INTERVALS_MS, _ECHO_KEYS, strict=True))
    tables = {one: _first_and_fourth(runs[program.name]) for one, program in zip(INTERVALS_MS, _ECHOES, strict=True)}
    found = {
        keys[one]: bootstrap(lambda part: echo_index(part[:, 0], part[:, 1]), table, _WINDOW)
        for one, table in tables.items()
    }
    early, late = (program.name for program in _ECHOES[:2])
    pairs = paired(runs[early], runs[late])
    both = np.hstack([_first_and_fourth([pair[k] for pair in pairs]) for k in (0, 1)])
    found["S23abc_fading"] = bootstrap(
        lambda part: echo_index(part[:, 0], part[:, 1]) - echo_index(part[:, 2], part[:, 3]), both, _WINDOW
    )
    limited = [bool(ds["limited"].any()) for ds in runs[early]]
    told = f"at 10 ms the limiter acts in {sum(limited)} of {len(limited)}"
    return {key: one.noted(told) for key, one in found.items()}


def _first_and_fourth(devices: list[xr.Dataset]) -> np.ndarray:
    return np.array([pulse_conductances(ds)[[0, 3]] for ds in devices]).reshape(-1, 2)


def _draw_echo(runs: Runs, path: Path) -> None:
    with panels(path, tuple(f"{one} ms" for one in INTERVALS_MS)) as places:
        for axes, program in zip(places, _ECHOES, strict=True):
            over_time(axes, runs[program.name])


# --- S23d-g ----------------------------------------------------------------------------------------------

LAST_MS = (10, 23, 41, 80)
LEAST_GROWTH = 0.01  # of the ninth pulse: what is less is neither growth nor depression
_TRAINS = [
    Program(
        f"last pulse after {one} ms",
        "ogb_20nm",
        [pulses(count=9, gap="10 ms"), *([rest(f"{one - 10} ms")] if one > 10 else []), pulses(count=1)],
        devices=2,
    )
    for one in LAST_MS
]


def _sign_change(runs: Runs) -> dict[str, Measured]:
    devices = paired(*(runs[program.name] for program in _TRAINS))
    if len(devices) < 2:
        return {"S23d_sign_change": not_run("fewer than two devices were run")}
    growth = np.array([[np.subtract(*pulse_conductances(ds)[[9, 8]]) for ds in device] for device in devices])
    found = bootstrap(crossing, growth)
    ninth = np.mean([pulse_conductances(device[0])[8] for device in devices])
    if abs(growth[:, 0].mean()) < LEAST_GROWTH * ninth:
        found = replace(found, owed="after 10 ms the tenth pulse ends where the ninth did: no growth to turn")
    elif growth.mean(axis=0).min() > -LEAST_GROWTH * ninth:
        found = replace(found, owed="at no interval the tenth pulse ends below the ninth: no depression")
    told = ", ".join(f"{one:.2g}" for one in growth.mean(axis=0))
    note = (
        f"mean growth of the last pulse {told} S at 10, 23, 41, 80 ms; 10 ms stands for always "
        "depression, 80 for always growth"
    )
    return {"S23d_sign_change": found.noted(note)}


def _draw_trains(runs: Runs, path: Path) -> None:
    """The currents in answer to the ten pulses."""
    with panels(path, tuple(f"last after {one} ms" for one in LAST_MS)) as places:
        for axes, program in zip(places, _TRAINS, strict=True):
            over_time(axes, runs[program.name], "current")
            say_if_empty(axes)


def crossing(growth: np.ndarray) -> float:
    """Interval in ms at which the mean growth [device, interval] falls through zero, on a log scale."""
    means = growth.mean(axis=0)
    if means[0] <= 0:
        return float(LAST_MS[0])
    below = np.flatnonzero(means <= 0)
    if not len(below):
        return float(LAST_MS[-1])
    k = int(below[0])
    share = means[k - 1] / (means[k - 1] - means[k])
    return float(LAST_MS[k - 1] * (LAST_MS[k] / LAST_MS[k - 1]) ** share)


# --- S24 -------------------------------------------------------------------------------------------------

STREAMS = tuple(f"{k:04b}" for k in range(16))
_STREAMS = [Program(f"stream {bits}", "ogb_20nm", [pulses(pattern=bits), READ], devices=2) for bits in STREAMS]


def _separable(runs: Runs) -> dict[str, Measured]:
    devices = paired(*(runs[program.name] for program in _STREAMS))
    if len(devices) < 2:
        return {"S24_separability": not_run("fewer than two devices were run")}
    table = np.array([[float(reads(ds)[-1, 1]) for ds in device] for device in devices])
    told = f"{len(table)} devices stand for cycles of one"
    return {"S24_separability": replace(separable(table, f"{told}; {_ALONE}"), open=told)}


def _draw_separable(runs: Runs, path: Path) -> None:
    """How the conductance goes with each stream, coloured by its last bits, and where it ends."""
    with panels(path, ("during the stream", "after four bits")) as (during, after):
        for k, program in enumerate(_STREAMS):
            over_time(during, runs[program.name], colour=COLOURS[k % 4])
            final = [1e6 * float(reads(ds)[-1, 1]) for ds in runs[program.name]]
            after.semilogy([k] * len(final), final, "o", color=COLOURS[k % 4], alpha=0.7)
        during.set_yscale("log")
        after.set_xticks(range(len(STREAMS)), STREAMS, rotation=90, fontsize=7)
        after.set_ylabel("conductance (uS)")


# --- S25 -------------------------------------------------------------------------------------------------


def _write_and(voltage: str) -> Segments:
    then = {"voltage": voltage, "duration": "5 ms", "samples": 5, "compliance": LIMIT}
    return [pulses("20 ms", count=1), {"hold": then}, READ]


_DISTURBED, _LEFT = (
    Program(name, "ogb_20nm", _write_and(voltage), devices=12)
    for name, voltage in (("read at -0.5 V", "-0.5 V"), ("left at 0 V", "0 V"))
)


def _disturbed(runs: Runs) -> dict[str, Measured]:
    pairs = paired(runs[_DISTURBED.name], runs[_LEFT.name])
    closed = [pair for pair in pairs if pair[1]["limited"].any()]  # else nothing to disturb
    table = np.array([[reads(one, READ_V)[-1, 1] for one in pair] for pair in closed]).reshape(-1, 2)
    changes = table[:, :1] / table[:, 1:] - 1.0
    note = (
        f"mean |change| of the {len(closed)} of {len(pairs)} devices that the write closed; where "
        f"trajectories part chance adds to it; {_ALONE}"
    )
    return {"S25_read_disturb": mean_change(changes, note)}


def _draw_disturbed(runs: Runs, path: Path) -> None:
    """The waveform of write and read, and what it does beside devices that are left alone."""
    with panels(path, ("source", "answer")) as (source, answer):
        for ds in runs[_DISTURBED.name][:1]:
            source.step(1e3 * ds["time"].values, ds["voltage_source"].values, where="pre", color=COLOURS[0])
        source.set_xlabel("time (ms)")
        source.set_ylabel("voltage (V)")
        for program, colour in zip((_DISTURBED, _LEFT), COLOURS, strict=False):
            over_time(answer, runs[program.name], label=program.name, colour=colour)
        for axes in (source, answer):
            say_if_empty(axes)


FIGURES = [
    Figure(
        "S23abc",
        "echo state",
        (*_ECHO_KEYS, "S23abc_fading"),
        tuple(_ECHOES),
        _echo,
        f"two pairs of 1 V, 5 ms pulses, 5 ms within a pair (assumed); {_WINDOW}",
        _draw_echo,
        rests={key: (program,) for key, program in zip(_ECHO_KEYS, _ECHOES, strict=True)},
    ),
    Figure(
        "S25",
        "read disturbs",
        ("S25_read_disturb",),
        (_DISTURBED, _LEFT),
        _disturbed,
        f"1 V for 20 ms, then 5 ms at -0.5 V or at 0 V, same seeds; {_ALONE}",
        _draw_disturbed,
    ),
    Figure(
        "S22",
        "amplitude, width, number",
        ("S22a_amplitude", "S22b_width", "S22c_number"),
        (_TRAIN, *_AMPLITUDES),
        _nonlinear,
        f"pulses of 25 ms, 25 ms apart (assumed); shorter widths are read off the first; {_ALONE}",
        _draw_nonlinear,
    ),
    Figure(
        "S23d",
        "ten pulses",
        ("S23d_sign_change",),
        tuple(_TRAINS),
        _sign_change,
        f"nine 1 V, 5 ms pulses 10 ms apart (assumed), the tenth after 10, 23, 41 or 80 ms; {_WINDOW}",
        _draw_trains,
    ),
    Figure(
        "S24",
        "separability",
        ("S24_separability",),
        tuple(_STREAMS),
        _separable,
        f"16 streams of four bits, 1 V or nothing for 5 ms, then a read at 0.1 V; {_ALONE}",
        _draw_separable,
    ),
]
