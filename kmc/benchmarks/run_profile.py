"""`kmc bench profile`: the processor time of each part of a run, and the cost of an event.

Processor time excludes other work on the machine. The time of a part excludes the parts that it calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from kmc.benchmarks.device import STACK, cases
from kmc.cards.stack import load_stack
from kmc.electrostatics.local_updates import Patches
from kmc.electrostatics.potential import Potential
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.ions.vacancy_density import VacancyEquilibrium
from kmc.kinetics import advance
from kmc.simulation.simulation import Simulation
from kmc.thermal.temperature import Heat
from kmc.transport import circuit
from kmc.transport.network import Network

LIMIT_S = 120.0  # of processor time: a case that takes longer is stopped, its row says how far it came
SEED = 1
BUDGET = 10_000
#: what belongs to which part: owner, and names of its functions
PARTS: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("events", advance, ("advance",)),
    ("rates anew", advance, ("refresh_all", "refresh_box", "refresh_near", "settle_all")),
    ("current", Network, ("update",)),
    ("potential near changes", Patches, ("follow",)),
    ("potential near changes", Potential, ("relax",)),
    ("potential of the mesh", Potential, ("prepare", "publish")),
    ("vacancies", VacancyEquilibrium, ("solve",)),
    ("heat", Heat, ("solve", "publish", "moved")),
    ("heat", Network, ("_link_heat",)),
    ("circuit", circuit, ("solve",)),
)
REST = "the rest"


class Clock:
    """Processor time of the part at work, s; and how often each was called."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {REST: 0.0}
        self.calls: dict[str, int] = {REST: 1}
        self.stack, self.last = [REST], time.process_time()

    def turn(self) -> None:
        """Book what has passed to the part at work."""
        now = time.process_time()
        self.spent[self.stack[-1]] = self.spent.get(self.stack[-1], 0.0) + now - self.last
        self.last = now

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, booked to a part."""

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            self.turn()
            self.calls[part] = self.calls.get(part, 0) + (self.stack[-1] != part)
            self.stack.append(part)
            try:
                return function(*arguments, **named)
            finally:
                self.turn()
                self.stack.pop()

        return call


@contextmanager
def watched() -> Iterator[Clock]:
    """A clock that measures the processor time of every part while the context is open."""
    clock, kept = Clock(), []
    try:
        for part, owner, names in PARTS:
            for name in names:
                kept.append((owner, name, getattr(owner, name)))
                setattr(owner, name, clock.timed(part, getattr(owner, name)))
        yield clock
        clock.turn()
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def programs() -> dict[str, Protocol]:
    """One pulse of the benchmark of devices, and the main sweep at 1 uA with its fading (runs/ogb_20nm)."""
    sweep = Protocol.sweep("0.6 V", rate="10 V/s", step="50 mV", compliance="1 uA")
    return {"pulse_1V_5ms": cases()[0].protocol, "main_sweep": sweep + Protocol.hold("0 V", "600 ms")}


def run(progress: Callable[[str], None] = lambda line: None) -> list[dict[str, Any]]:
    """Rows of case, part, cpu_s, share, calls, us_per_call; of each case first one of all parts together.

    That one has also events, metal_events (that change the cluster), ns_per_event, us_per_metal_event, and
    reached_s of asked_s. `progress` takes a line of text.
    """
    rows = []
    for name, protocol in programs().items():
        progress(name)
        rows += profile(name, Simulation(load_stack(STACK), protocol, Settings(event_budget=BUDGET), SEED))
    return rows


def profile(name: str, simulation: Simulation) -> list[dict[str, Any]]:
    """Rows of one run, to its end or the limit."""
    begin = time.process_time()
    with watched() as clock:
        simulation.run(should_stop=lambda: time.process_time() - begin > LIMIT_S)
    total = sum(clock.spent.values())
    events, metal = simulation.windows.total("events"), simulation.windows.total("metal_events")
    whole = {
        "case": name,
        "part": "all",
        "cpu_s": total,
        "share": 1.0,
        "calls": 1,
        "us_per_call": 1e6 * total,
        "events": events,
        "metal_events": metal,
        "ns_per_event": 1e9 * total / max(events, 1),
        "us_per_metal_event": 1e6 * total / max(metal, 1),
        "reached_s": simulation.time_s,
        "asked_s": simulation.protocol.duration_s,
    }
    parts = sorted(clock.spent, key=lambda part: -clock.spent[part])
    return [whole] + [
        {
            "case": name,
            "part": part,
            "cpu_s": clock.spent[part],
            "share": clock.spent[part] / total,
            "calls": clock.calls[part],
            "us_per_call": 1e6 * clock.spent[part] / clock.calls[part],
        }
        for part in parts
    ]
