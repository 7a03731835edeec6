"""`kmc bench accuracy`: error against cost of the refresh bound, the mesh and the acceleration of lone ions.

A small device, whose exact run takes a second, is set at 0.7 V: its tip grows over a gap of three sites. Each
knob is varied with the others at their defaults, and compared with its tightest setting on the same seeds,
that is, on the same lattices. The variable KMC_BENCH_SEEDS asks for another number of them.
"""

from __future__ import annotations

import copy
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from . import channels, kernels, streams
from .bench_device import totals
from .carry import device_state, restore_state
from .coupling import Device
from .files import replacing
from .lattice import ACTIVE
from .protocol import Protocol
from .settings import Settings
from .simulation import Simulation
from .stack import Stack, load_stack
from .state import EMPTY, KIND_METAL

Seen = TypeVar("Seen")

STACK = "ogb_20nm"
SEEDS, SEEDS_VARIABLE = 100, "KMC_BENCH_SEEDS"
#: settings of each knob, the tightest first
KNOBS: dict[str, tuple[float, ...]] = {
    "refresh_bound": (0.1, 0.3, 1.0, 2.0, 5.0),
    "mesh_factor": (1, 2, 4),
    "flight_reach": (0, 1, 2, 3, 4),
}  # fmt: skip
CLOSED_S, OPEN_S = 20e-6, 10e-6  # conductance above which it is set, below which it is off again
MOST_S, STEP_S = 8e-3, 1e-5  # longest time to set, and how often one looks
FADING_S, LOOKS, KEPT_S = 2e-3, 200, 0.2e-3  # of a chain at 0 V: how long, how often one looks, and when
SETS, FADINGS = 4, 20  # streams of events for each lattice
RATES_S, MOMENTS = 1.2e-3, 4  # length of a run at some moments of which its rates are compared
COMPARED = 6  # runs of which that is done


def small_device(thickness_nm: float = 5.0) -> Stack:
    """The 20 nm OGB device with thin layers, small crystals and a small gap; its cards' energies are kept."""
    stack = load_stack(STACK).choose(**{
        "thickness": f"{thickness_nm} nm", "crystal_size": "3 nm", "ligand.gap": "1.2 nm",
        "device.residue_gap": "0.9 nm", "device.residue_radius": "0.7 nm", "device.heat_padding": "30 nm"})
    assert stack.organic is not None
    assert stack.active is not None
    return stack.model_copy(update={"organic": stack.organic.model_copy(update={"thickness_nm": 2.4}),
                                    "active": stack.active.model_copy(update={"roughness_nm": 0.3})})


def small_settings(values: dict[str, Any]) -> Settings:
    """Settings of the small device; `values`: those that differ from the defaults."""
    return Settings(window=5.0).changed(**values)


def small(protocol: Protocol, thickness_nm: float, values: dict[str, Any], seed: int) -> Simulation:
    """A run of the small device. values: settings, and numbers of cards by their path (ligand.gap)."""
    cards = {name: value for name, value in values.items() if "." in name}
    settings = small_settings({name: value for name, value in values.items() if name not in cards})
    return Simulation(small_device(thickness_nm).choose(**cards), protocol, settings, seed)


def setting() -> Protocol:
    """The program that sets it."""
    return Protocol.hold("0.7 V", f"{MOST_S} s", "100 uA", samples=round(MOST_S / STEP_S))


def until_set(simulation: Simulation) -> float:
    """Run until it conducts CLOSED_S; the time, s, at most MOST_S."""
    simulation.run(should_stop=lambda: any(g > CLOSED_S for g in simulation.rows["conductance"][-1:]))
    return simulation.rows["time"][-1]


class Again:
    """A simulation that begins again from where it is now, each time with another stream of events."""

    def __init__(self, simulation: Simulation):
        self.simulation, self.start = simulation, copy.deepcopy(simulation.state_dict())

    def begin(self, number: int) -> Simulation:
        """At the start, with the stream of this number."""
        simulation, start = self.simulation, self.start
        simulation.windows.load_state_dict(start["windows"])
        for name in ("step", "sample", "started_s", "opened"):
            setattr(simulation, name, start[name])
        generator = streams.numbered(simulation.seed, "events", number)
        simulation.windows.generators[0] = generator
        simulation.device.state.run["unspent"] = generator.standard_exponential()
        simulation.take_rows()
        return simulation


def set_times(task: tuple[int, float, dict[str, Any]]) -> float:
    """Mean time to set of a seed's lattice, s, over SETS streams: of a seed, thickness (nm), settings."""
    seed, thickness, values = task
    again = Again(small(setting(), thickness, values, seed))
    return statistics.fmean(until_set(again.begin(number)) for number in range(SETS))


def fading(task: tuple[int, dict[str, Any]]) -> dict[str, float]:
    """How a chain of atoms that closes the gap goes at 0 V, means over FADINGS streams: of a seed, settings.

    off_s: time until it conducts less than OPEN_S, at most FADING_S; kept: share that conducts more at
    KEPT_S; silver: atoms more than before the chain was there, then.
    """
    seed, values = task
    protocol = Protocol.hold("0 V", f"{FADING_S} s", samples=LOOKS)
    simulation = small(protocol, 5.0, values, seed)
    before = int(simulation.device.state.run["metal"][0])
    close(simulation.device)
    again, found = Again(simulation), []
    for number in range(FADINGS):
        again.begin(number).run()
        rows = simulation.take_rows()
        off, then = np.flatnonzero(rows["conductance"] < OPEN_S), round(KEPT_S / FADING_S * LOOKS) - 1
        found.append((rows["time"][off[0]] if len(off) else FADING_S, rows["conductance"][then] > OPEN_S,
                      rows["n_ag_metal"][then] - before))
    off_s, kept, silver = np.mean(found, axis=0, dtype=float).tolist()
    return {"off_s": off_s, "kept": kept, "silver": silver}


def close(device: Device) -> None:
    """A chain of silver in one column of the seam, up to the electrode."""
    path = channels.of(device.lattice).path & device.lattice.mask(*ACTIVE)
    free = np.flatnonzero(path.ravel() & (device.state.sites["cation"] == EMPTY))
    plane = device.grid.ny * device.grid.nx
    chain = free[free % plane == free.max() % plane]
    kernels.place_many(device.state, device.grid, KIND_METAL, chain.astype(np.int32))
    device.path = device.network.update(device.state, device.potential.fields)
    device.set_watch()
    device.solve_fields()


def set_time(task: tuple[int, float, dict[str, Any]]) -> dict[str, float]:
    """Time to set of a seed, and what it cost."""
    seed, thickness, values = task
    begin = time.process_time()
    simulation = small(setting(), thickness, values, seed)
    set_s = until_set(simulation)
    cost, events = time.process_time() - begin, simulation.windows.total("trials")
    return {"set_s": set_s, "cpu_s": cost, "events": events, "solves": simulation.device.potential.solves}


def observations(what: Callable[[Any], Seen], tasks: Iterable[Any], workers: int | None = None
                 ) -> list[Seen]:
    """`what` of each task, in processes of their own; their order is that of the tasks."""
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(what, tasks, chunksize=4))


def solved(simulation: Simulation, settings: Settings) -> Simulation:
    """The configuration of a run with everything solved for it anew, under other settings."""
    other = Simulation(simulation.stack, simulation.protocol, settings, simulation.seed)
    mine, device = simulation.device, other.device
    restore_state(device, device_state(mine)["state"])
    device.source, device.limit = mine.source, mine.limit
    device.density[:] = _regridded(mine.density, device.density.shape)
    device.path = device.network.update(device.state, device.potential.fields)
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
    settings = small_settings({knob: value})
    simulation = Simulation(small_device(), protocol, settings, seed)
    found: list[float] = []
    for moment in range(1, MOMENTS):
        simulation.run(should_stop=partial(_has, simulation, moment))
        full = solved(simulation, settings)
        held, right = totals(simulation), totals(full)
        if knob == "mesh_factor":
            held, right = right, totals(solved(simulation, small_settings({knob: KNOBS[knob][0]})))
        some = (held > 0.0) & (right > 0.0)
        found += np.abs(held[some] / right[some] - 1.0).tolist()
    return found


def _has(simulation: Simulation, rows: int) -> bool:
    return len(simulation.rows) >= rows


def run(progress: Callable[[str], None] | None = None) -> list[dict[str, Any]]:
    """Rows of knob, setting, default, set_s, ratio, ratio_error, cpu_s, events, solves, rates_median and p90.

    ratio: of mean SET times, to that of the tightest setting; ratio_error: its standard error, of paired
    seeds. rates_median, rates_p90: errors of single rates, see `rate_errors`; None where the knob does not
    enter them. cpu_s, events, solves of the mesh: means for one SET.
    """
    say = progress or (lambda text: None)
    seeds = range(1, 1 + int(os.environ.get(SEEDS_VARIABLE, SEEDS)))
    rows = []
    for knob, values in KNOBS.items():
        tightest: list[dict[str, float]] = []
        for value in values:
            say(f"{knob} {value:g}")
            found = observations(set_time, [(seed, 5.0, {knob: value}) for seed in seeds])
            tightest = tightest or found
            rows.append({"knob": knob, "setting": value, "default": value == getattr(Settings(), knob)}
                        | _compared(found, tightest) | _rates(knob, value))
    return rows


def _compared(found: list[dict[str, float]], tightest: list[dict[str, float]]) -> dict[str, float]:
    """Means of a setting, and the ratio of mean SET times to the tightest with its standard error."""
    mine, best = (np.array([row["set_s"] for row in rows]) for rows in (found, tightest))
    ratio = float(mine.mean() / best.mean())
    error = float((mine - ratio * best).std(ddof=1) / math.sqrt(len(mine)) / best.mean())
    return {"set_s": float(mine.mean()), "ratio": ratio, "ratio_error": error} | {
        key: statistics.fmean(row[key] for row in found) for key in ("cpu_s", "events", "solves")}


def _rates(knob: str, value: float) -> dict[str, float | None]:
    if knob == "flight_reach":  # the chances of ions do not enter a solution
        return {"rates_median": None, "rates_p90": None}
    seeds = range(1, 1 + min(COMPARED, int(os.environ.get(SEEDS_VARIABLE, SEEDS))))
    tasks = [(seed, knob, value) for seed in seeds]
    errors = [error for one in observations(rate_errors, tasks) for error in one]
    return {"rates_median": float(np.median(errors)), "rates_p90": float(np.quantile(errors, 0.9))}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """One figure of the rows: error of the SET time, and of single rates, against what a SET costs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    times, rates = figure.subplots(1, 2)
    for knob in dict.fromkeys(row["knob"] for row in rows):
        mine = [row for row in rows if row["knob"] == knob]
        cost = [1e3 * row["cpu_s"] for row in mine]
        times.errorbar(cost, [100 * (row["ratio"] - 1) for row in mine],
                       [100 * row["ratio_error"] for row in mine], fmt="o-", capsize=2, label=knob)
        if mine[0]["rates_median"] is not None:
            rates.plot(cost, [100 * row["rates_median"] for row in mine], "o-", label=f"{knob}, median")
            rates.plot(cost, [100 * row["rates_p90"] for row in mine], "o--", label=f"{knob}, 90 %")
        for row, x in zip(mine, cost, strict=True):
            times.annotate(f"{row['setting']:g}", (x, 100 * (row["ratio"] - 1)), fontsize=7,
                           xytext=(3, 3), textcoords="offset points")
    times.axhline(0.0, color="0.6", lw=0.8)
    times.set_ylabel("error of the mean SET time (%)")
    rates.set_ylabel("error of a rate (%)")
    for axes in (times, rates):
        axes.set_xlabel("cost of a SET (ms)")
        axes.legend(fontsize=7)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip("."), dpi=150, facecolor="white")
