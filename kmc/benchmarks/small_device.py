"""The small device of `kmc bench accuracy`: what it shows, and what that costs.

The 20 nm OGB device with thin layers, small crystals, a small gap and some numbers of its own (OWN): its
exact run takes a second, so that hundreds of seeds resolve differences of a few per cent. With the numbers of
the cards an exact run takes ten seconds.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from kmc.cards.stack import Stack, load_stack
from kmc.core import random_streams
from kmc.geometry import percolation
from kmc.geometry.lattice import ACTIVE
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.kinetics import advance
from kmc.simulation.simulation import Simulation
from kmc.simulation.window import Device
from kmc.system.state import EMPTY, KIND_METAL
from kmc.transport import network

STACK = "ogb_20nm"
CLOSED_S, OPEN_S = 20e-6, 10e-6  # conductance above which it is set, below which it is off again
MOST_S, STEP_S = 8e-3, 1e-5  # longest time to set, and how often one looks
FADING_S, LOOKS, KEPT_S = 2e-3, 200, 0.2e-3  # of a chain at 0 V: how long, how often one looks, and when
SETS, FADINGS = 6, 20  # streams of events for each lattice
DEFAULT_REACH, DEFAULT_DECADES = 8, network.TUNNEL_DECADES  # the first in sites of the small device
MOST_CPU_S = 20.0  # of one run: one that stays closed at its limit can move a million atoms in a microsecond
ON_S = 0.1e-3  # after it is set: when one looks how it conducts
TUNNEL_REACH = "tunnel_reach"  # the one knob that is no setting: where tunnelling links are cut off, sites
#: bonds weaker, reduction and hops between the chains slower, fewer ions and vacancies and a narrower seam
#: than on the cards: a tip of few atoms that flickers a thousand times less, and a chain that fades in tenths
#: of a millisecond
OWN = {
    "electrode.bond_energy": "0.12 eV",
    "electrode.reduction_barrier": "0.30 eV",
    "active.vacancy_density": "1e18 1/cm^3",
    "ligand.seam_width": "0.6 nm",
    "ligand.insertion_barrier": "0.25 eV",
    "ligand.gap_barrier": "0.22 eV",
    "active.silver_ion_formation_energy": "0.34 eV",
    "organic.silver_ion_formation_energy": "1.07 eV",
}


@lru_cache(maxsize=8)
def small_device(thickness_nm: float = 5.0) -> Stack:
    """The 20 nm OGB device with thin layers, small crystals, a small gap and numbers of its own."""
    stack = load_stack(STACK).choose(
        **OWN,
        **{
            "thickness": f"{thickness_nm} nm",
            "crystal_size": "3 nm",
            "ligand.gap": "1.2 nm",
            "device.residue_gap": "0.9 nm",
            "device.residue_radius": "0.7 nm",
            "device.heat_padding": "30 nm",
        },
    )
    assert stack.organic is not None
    assert stack.active is not None
    return stack.model_copy(
        update={
            "organic": stack.organic.model_copy(update={"thickness_nm": 2.4}),
            "active": stack.active.model_copy(update={"roughness_nm": 0.3}),
        }
    )


def small_settings(values: dict[str, Any]) -> Settings:
    """Settings of the small device; `values`: those that differ from the defaults."""
    return Settings(window=5.0).changed(**values)


def small(protocol: Protocol, thickness_nm: float, values: dict[str, Any], seed: int) -> Simulation:
    """A run of the small device. values: settings, cards' numbers by path (ligand.gap), TUNNEL_REACH."""
    values = dict(values)
    reach = int(values.pop(TUNNEL_REACH, DEFAULT_REACH))
    network.TUNNEL_DECADES = DEFAULT_DECADES * reach / DEFAULT_REACH
    cards = {name: value for name, value in values.items() if "." in name}
    settings = small_settings({name: value for name, value in values.items() if name not in cards})
    return Simulation(small_device(thickness_nm).choose(**cards), protocol, settings, seed)


def setting() -> Protocol:
    """The program that sets it."""
    return Protocol.hold("0.7 V", f"{MOST_S} s", "100 uA", samples=round(MOST_S / STEP_S))


def until_set(simulation: Simulation, dear: Callable[[], bool] = lambda: False) -> float:
    """Run until it conducts CLOSED_S; the time, s, at most MOST_S. NaN where it became too `dear` before."""
    closed = partial(_closed, simulation)
    simulation.run(should_stop=lambda: closed() or dear())
    return simulation.rows["time"][-1] if closed() or simulation.finished else math.nan


def _closed(simulation: Simulation) -> bool:
    return any(g > CLOSED_S for g in simulation.rows["conductance"][-1:])


def _dear(end_s: float) -> bool:
    return time.process_time() > end_s


class Again:
    """A simulation that begins again from where it is now, each time with another stream of events."""

    def __init__(self, simulation: Simulation):
        self.simulation, self.start = simulation, simulation.state_dict()

    def begin(self, number: int) -> Simulation:
        """At the start, with the stream of this number."""
        simulation, start = self.simulation, self.start
        simulation.windows.load_state_dict(start["windows"])
        for name in ("step", "sample", "started_s", "opened"):
            setattr(simulation, name, start[name])
        generator = random_streams.numbered(simulation.seed, "events", number)
        simulation.windows.generators[0] = generator
        simulation.device.state.run["unspent"] = generator.standard_exponential()
        simulation.device.state.run["draw"] = 0.0  # it is that of the stream before
        simulation.take_rows()
        return simulation


def set_times(task: tuple[int, float, dict[str, Any]]) -> float:
    """Mean time to set of a seed's lattice, s, over SETS streams: of a seed, thickness (nm), settings."""
    seed, thickness, values = task
    again = Again(small(setting(), thickness, values, seed))
    return statistics.fmean(until_set(again.begin(number)) for number in range(SETS))


def fading(task: tuple[int, dict[str, Any]], streams_each: int = FADINGS) -> dict[str, float]:
    """How a chain of atoms that closes the gap goes at 0 V, means over streams: of a seed, settings.

    off_s: time until it conducts less than OPEN_S, at most FADING_S; kept: share that conducts more at
    KEPT_S; silver: atoms more than before the chain was there, then.
    """
    seed, values = task
    protocol = Protocol.hold("0 V", f"{FADING_S} s", samples=LOOKS)
    simulation = small(protocol, 5.0, values, seed)
    before = int(simulation.device.state.run["metal"][0])
    close(simulation.device)
    again, found = Again(simulation), []
    for number in range(streams_each):
        again.begin(number).run()
        rows = simulation.take_rows()
        off, then = np.flatnonzero(rows["conductance"] < OPEN_S), round(KEPT_S / FADING_S * LOOKS) - 1
        found.append(
            (
                rows["time"][off[0]] if len(off) else FADING_S,
                rows["conductance"][then] > OPEN_S,
                rows["n_ag_metal"][then] - before,
            )
        )
    off_s, kept, silver = np.mean(found, axis=0, dtype=float).tolist()
    return {"off_s": off_s, "kept": kept, "silver": silver}


def close(device: Device) -> None:
    """A chain of silver in one column of the seam, up to the electrode."""
    path = percolation.of(device.lattice).path & device.lattice.mask(*ACTIVE)
    free = np.flatnonzero(path.ravel() & (device.state.sites["cation"] == EMPTY))
    plane = device.grid.ny * device.grid.nx
    chain = free[free % plane == free.max() % plane]
    advance.place_many(device.state, device.grid, KIND_METAL, chain.astype(np.int32))
    device.trace_current()
    device.solve_fields()


def set_time(task: tuple[int, float, dict[str, Any]]) -> dict[str, float]:
    """Time to set of a seed and what it cost; decades by which it conducts more ON_S later than at first.

    NaN for what would cost more than MOST_CPU_S.
    """
    seed, thickness, values = task
    begin = time.process_time()
    simulation = small(setting(), thickness, values, seed)
    dear = partial(_dear, begin + MOST_CPU_S)
    set_s = until_set(simulation, dear)
    cost, events = time.process_time() - begin, simulation.windows.total("trials")
    solves = simulation.device.potential.solves
    simulation.run(should_stop=lambda: simulation.rows["time"][-1] >= set_s + ON_S or dear())
    conductance = simulation.rows["conductance"]
    there = simulation.rows["time"][-1] >= set_s + ON_S or simulation.finished
    decades = math.log10(conductance[-1] / conductance[0]) if there else math.nan
    return {"set_s": set_s, "decades": decades, "cpu_s": cost, "events": events, "solves": solves}
