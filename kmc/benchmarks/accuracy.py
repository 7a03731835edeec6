"""`kmc bench accuracy`: what each numerical knob does to three headline observables, and what it costs.

A small device, whose exact run takes a second, is set at 0.7 V, and a chain of silver fades at 0 V. Each
knob is varied with the others at their defaults, and compared with its tightest setting on the same seeds:
the time to SET, the time until it is off, and the decades between on and off. Window and number of windows
are conventions, not errors of numerics; they are shown beside. KMC_BENCH_SEEDS asks for another number of
seeds.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kmc.benchmarks.device import asked, totals
from kmc.benchmarks.small_device import DEFAULT_REACH, TUNNEL_REACH, fading, set_time, small_device, small_settings
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.plotting.figure_files import save
from kmc.simulation.simulation import Simulation
from kmc.simulation.state_dict import device_state, restore_state

Seen = TypeVar("Seen")
Sample = dict[str, np.ndarray]

SEEDS, SEEDS_VARIABLE = 100, "KMC_BENCH_SEEDS"
#: settings of each knob, the tightest first
KNOBS: dict[str, tuple[float, ...]] = {
    "refresh_bound": (0.1, 0.3, 1.0, 2.0, 5.0),
    "mesh_factor": (1, 2, 4),
    "flight_reach": (0, 1, 2, 3, 4),
    "ion_slice": (0.0, 2e-8, 1e-7, 5e-7),
    "atom_slice": (0.0, 1e-7, 1e-6, 1e-5),
    TUNNEL_REACH: (12, 8, 6, 4),
    "spacing_factor": (0.4, 0.45, 0.5, 0.6),
    "window": (19.0, 14.0, 5.0),  # crystals size it: four, three and two of them across
    "windows": (4, 2, 1),
}
DRAWN = ("refresh_bound", "mesh_factor", "flight_reach", "ion_slice", "atom_slice")
SHARES = (1, 2, 4)  # of all seeds: how far their number is enough
FADES = 4  # streams of events for each lattice
RATES_S, MOMENTS = 1.2e-3, 4  # length of a run at some moments of which its rates are compared
COMPARED = 6  # runs of which that is done


def observations(what: Callable[[Any], Seen], tasks: Iterable[Any]) -> list[Seen]:
    """`what` of each task, in processes of their own; their order is that of the tasks."""
    return list(_pool().map(what, tasks, chunksize=4))


@lru_cache(maxsize=1)
def _pool() -> ProcessPoolExecutor:
    """Processes that stay: each takes seconds to load the kernels."""
    return ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))


def solved(simulation: Simulation, settings: Settings) -> Simulation:
    """The configuration of a run with everything solved for it anew, under other settings."""
    other = Simulation(simulation.stack, simulation.protocol, settings, simulation.seed)
    mine, device = simulation.device, other.device
    restore_state(device, device_state(mine)["state"])
    device.source, device.limit = mine.source, mine.limit
    device.density[:] = _regridded(mine.density, device.density.shape)
    device.supply.anew = True  # all of it anew
    device.trace_current()
    device.operated = ()
    device.operate()
    device.solve_fields()
    if not device._warm():
        device.refresh()
    return other


def _regridded(density: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Ions of mesh cells on another, finer mesh."""
    f = shape[0] // density.shape[0]
    return density.repeat(f, 0).repeat(f, 1).repeat(f, 2) / f**3


def rate_errors(task: tuple[int, str, float]) -> list[float]:
    """Errors of all rates at some moments of a run with a knob at a value: seed, knob, value.

    Of the refresh bound: the rates as they are, against a full solution. Of the mesh: a full solution,
    against that of the finest.
    """
    seed, knob, value = task
    protocol = Protocol.hold("0.7 V", f"{RATES_S} s", "100 uA", samples=MOMENTS)
    settings = small_settings({"ion_slice": 0.0, "atom_slice": 0.0, knob: value})  # nobody waits
    simulation = Simulation(small_device(), protocol, settings, seed)
    found: list[float] = []
    for moment in range(1, MOMENTS):
        simulation.run(should_stop=partial(_has, simulation, moment))
        full = solved(simulation, settings)
        held, right = totals(simulation), totals(full)
        if knob == "mesh_factor":
            held, right = right, totals(solved(simulation, settings.changed(**{knob: KNOBS[knob][0]})))
        some = (held > 0.0) & (right > 0.0)
        found += np.abs(held[some] / right[some] - 1.0).tolist()
    return found


def _has(simulation: Simulation, rows: int) -> bool:
    return len(simulation.rows) >= rows


def run(progress: Callable[[str], None] = lambda line: None) -> list[dict[str, Any]]:
    """Rows of knob, setting, default; of each observable a mean, its ratio to the tightest and its error.

    set_s: time to SET, off_s: time until off, decades: on over off, whose change is a difference. Errors are
    standard errors of paired seeds. rates_median, rates_p90: errors of single rates, see `rate_errors`; None
    where the knob does not enter them. cpu_s, events, solves of the mesh: means for one SET. The knob `seeds`
    compares the first of them with all, by the defaults.
    """
    seeds = range(1, 1 + asked(SEEDS_VARIABLE, SEEDS))
    rows, by_default = [], None
    with contextlib.suppress(KeyboardInterrupt):  # an interrupted run reports the rows measured so far
        for knob, values in KNOBS.items():
            tightest = None
            for value in values:
                progress(f"{knob} {value:g}")
                found = sample(knob, value, seeds)
                tightest = tightest or found
                default = value == default_of(knob)
                by_default = found if default else by_default
                rows.append(
                    {"knob": knob, "setting": value, "default": default}
                    | _compared(found, tightest)
                    | _rates(knob, value)
                )
    return rows + _of_seeds(by_default)


def default_of(knob: str) -> float:
    """What the small device has unless a knob is turned."""
    return DEFAULT_REACH if knob == TUNNEL_REACH else float(getattr(small_settings({}), knob))


def sample(knob: str, value: float, seeds: Iterable[int]) -> Sample:
    """Every observable and cost by its name, one value a seed."""
    values = {knob: value}
    set_rows = observations(set_time, [(seed, 5.0, values) for seed in seeds])
    off_rows = observations(partial(fading, streams_each=FADES), [(seed, values) for seed in seeds])
    return {key: np.array([row[key] for row in rows]) for rows in (set_rows, off_rows) for key in rows[0]}


def _compared(found: Sample, tightest: Sample) -> dict[str, float]:
    """Means of a setting, and how the observables differ from the tightest's, with standard errors.

    Of the seeds that both have; left_out: how many lack the time to SET or the decades here.
    """
    out: dict[str, float] = {"left_out": int(np.isnan(found["set_s"] + found["decades"]).sum())}
    for key, name in (("set_s", "set"), ("off_s", "off")):
        both = np.isfinite(found[key]) & np.isfinite(tightest[key])
        mine, best = found[key][both], tightest[key][both]
        ratio = float(mine.mean() / best.mean())
        error = _error(mine - ratio * best) / float(best.mean())
        out |= {key: float(mine.mean()), f"{name}_ratio": ratio, f"{name}_error": error}
    change = found["decades"] - tightest["decades"]
    change = change[np.isfinite(change)]
    out |= {
        "decades": float(np.nanmean(found["decades"])),
        "decades_change": float(change.mean()),
        "decades_error": _error(change),
    }
    return out | {key: float(found[key].mean()) for key in ("cpu_s", "events", "solves")}


def _of_seeds(found: Sample | None) -> list[dict[str, Any]]:
    """The first halves of the seeds against all, with the standard error of each mean: of two or more."""
    if found is None:
        return []
    rows: list[dict[str, Any]] = []
    there = np.isfinite(found["set_s"] + found["decades"])
    whole = {key: values[there] for key, values in found.items()}
    for share in SHARES:
        some = {key: values[: len(values) // share] for key, values in whole.items()}
        count = len(some["set_s"])
        if count < 2:
            continue
        row: dict[str, Any] = {"knob": "seeds", "setting": count, "default": False}
        for key, name in (("set_s", "set"), ("off_s", "off")):
            mean = float(whole[key].mean())
            row |= {
                key: float(some[key].mean()),
                f"{name}_ratio": float(some[key].mean()) / mean,
                f"{name}_error": _error(some[key]) / mean,
            }
        row |= {
            "decades": float(some["decades"].mean()),
            "decades_change": float(some["decades"].mean() - whole["decades"].mean()),
            "decades_error": _error(some["decades"]),
        }
        rows.append(row)
    return rows


def _error(values: np.ndarray) -> float:
    """Standard error of a mean; NaN for that of one value, which has no spread."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _rates(knob: str, value: float) -> dict[str, float | None]:
    if knob not in ("refresh_bound", "mesh_factor"):  # not in a solution, or of another lattice
        return {"rates_median": None, "rates_p90": None}
    seeds = range(1, 1 + min(COMPARED, asked(SEEDS_VARIABLE, SEEDS)))
    tasks = [(seed, knob, value) for seed in seeds]
    errors = [error for one in observations(rate_errors, tasks) for error in one]
    return {"rates_median": float(np.median(errors)), "rates_p90": float(np.quantile(errors, 0.9))}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """One figure of the rows: error of the SET time, and of single rates, against what a SET costs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    times, rates = figure.subplots(1, 2)
    for knob in (knob for knob in DRAWN if any(row["knob"] == knob for row in rows)):
        mine = [row for row in rows if row["knob"] == knob]
        cost = [1e3 * row["cpu_s"] for row in mine]
        times.errorbar(
            cost,
            [100 * (row["set_ratio"] - 1) for row in mine],
            [100 * row["set_error"] for row in mine],
            fmt="o-",
            capsize=2,
            label=knob,
        )
        if mine[0]["rates_median"] is not None:
            rates.plot(cost, [100 * row["rates_median"] for row in mine], "o-", label=f"{knob}, median")
            rates.plot(cost, [100 * row["rates_p90"] for row in mine], "o--", label=f"{knob}, 90 %")
        for row, x in zip(mine, cost, strict=True):
            times.annotate(
                f"{row['setting']:g}",
                (x, 100 * (row["set_ratio"] - 1)),
                fontsize=7,
                xytext=(3, 3),
                textcoords="offset points",
            )
    times.axhline(0.0, color="0.6", lw=0.8)
    times.set_ylabel("error of the mean SET time (%)")
    rates.set_ylabel("error of a rate (%)")
    for axes in (times, rates):
        axes.set_xlabel("cost of a SET (ms)")
        axes.legend(fontsize=7)
    save(figure, path, dpi=150)
