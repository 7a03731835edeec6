"""A small device that is written and erased for as long as one likes: memory stays flat and nothing is lost.

KMC_SOAK_MINUTES says how long in all, two minutes unless given:

    KMC_SOAK_MINUTES=30 python -m pytest -m slow tests/physics/test_soak.py
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from small_device import live, problems
from small_stacks import window_of
from test_stack_runs import census, stale

from kmc.benchmarks.small_device import small
from kmc.inputs.protocol import Protocol
from kmc.kinetics.entity_records import drop_entity
from kmc.simulation.simulation import Simulation
from kmc.system.state import KIND_METAL

MINUTES, VARIABLE = 2.0, "KMC_SOAK_MINUTES"
LOOKS = 24
CYCLES = 50_000  # more than an hour of them
LIMIT = "1 uA"
GROWTH_MB = 10.0  # from the first quarter to the last
WARM = LOOKS // 4  # looks in which arrays may still find their size


class Look(NamedTuple):
    """One moment of a soak."""

    events: int
    simulated_s: float
    resident_MB: float
    silver: int
    reservoir: int
    vacancies: float
    stale: float  # largest relative error of a rate against a recompute
    sums: float  # relative error of the sum of all rates' bounds against their members
    problems: int


def resident_MB() -> float:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cycling(vacancies: str) -> Simulation:
    """A small device under pulses of both signs with rests."""
    turn = Protocol.hold("0.6 V", "0.3 ms", LIMIT, samples=1) + Protocol.hold("0 V", "0.5 ms", samples=1)
    turn += Protocol.hold("-0.4 V", "0.3 ms", LIMIT, samples=1) + Protocol.hold("0 V", "0.5 ms", samples=1)
    return small(turn.repeated(CYCLES), 5.0, {"vacancies": vacancies}, seed=1)


def sums(simulation: Simulation) -> float:
    """Relative error of the groups' counts and bounds: what is chosen from against what there is."""
    w = window_of(simulation.device)
    groups, totals = w.state.groups, w.state.entities["total"]
    bound = float((groups["count"] * groups["bound"]).sum())
    counted = abs(int(groups["count"].sum()) - int((w.state.entities["group"][live(w)] >= 0).sum()))
    held = float(w.state.run["bound_total"][0])
    return counted + abs(held / bound - 1.0) + float(totals[live(w)].sum() > held * (1 + 1e-12))


def look(simulation: Simulation) -> Look:
    """All that must not change, and what may not grow."""
    rows, now = simulation.take_rows(), census(simulation)
    assert all(np.isfinite(rows[name]).all() for name in ("current", "conductance", "temperature_filament"))
    wrong = len(problems(window_of(simulation.device)))
    return Look(
        now["events"],
        simulation.time_s,
        resident_MB(),
        now["silver"],
        now["reservoir"],
        now["vacancies"],
        stale(simulation),
        sums(simulation),
        wrong,
    )


def soaked(simulation: Simulation, seconds: float, each: Callable[[Simulation], Any] = lambda one: None) -> list[Look]:
    """Looks at equal distances of computing, the first before any; `each` is called after one."""
    found = [look(simulation)]
    begin = time.monotonic()
    for k in range(1, LOOKS + 1):
        end = begin + k * seconds / LOOKS
        simulation.run(should_stop=lambda end=end: time.monotonic() >= end)
        assert not simulation.finished
        found.append(look(simulation))
        each(simulation)
    return found


def complaints(looks: list[Look]) -> list[str]:
    """What grew, drifted or was lost."""
    first, warm = looks[0], looks[WARM]
    found = []
    if max(one.resident_MB for one in looks[-WARM:]) > warm.resident_MB + GROWTH_MB:
        found.append("memory grows")
    if any(one.silver != first.silver or one.reservoir != 0 for one in looks):
        found.append("silver is lost")
    if any(abs(one.vacancies - first.vacancies) > 1e-6 * max(first.vacancies, 1.0) for one in looks):
        found.append("bromine is lost")
    if any(one.stale > 1e-10 or one.sums > 1e-10 or one.problems for one in looks):
        found.append("sums drift")
    return found


def shown(name: str, looks: list[Look]) -> str:
    """Three moments in a table."""
    lines = [
        f"\n{name}: {looks[-1].events:,} events, {looks[-1].simulated_s:.3g} s simulated",
        "           MB  silver  reservoir     vacancies  rates' error  sums' error",
    ]
    moments = {"start": 0, "warm": WARM, "middle": LOOKS // 2, "end": LOOKS}
    for label, one in ((label, looks[k]) for label, k in moments.items()):
        lines.append(
            f"  {label:<7}{one.resident_MB:6.1f}  {one.silver:6d}  {one.reservoir:9d}  {one.vacancies:12.6f}"
            f"  {one.stale:12.1e}  {one.sums:11.1e}"
        )
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say what is resident")
@pytest.mark.parametrize("vacancies", ["equilibrium", "explicit"])
def test_a_soak(vacancies: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the time each: memory, sums, silver, bromine and with them charge are as at the start."""
    seconds = 30.0 * float(os.environ.get(VARIABLE, MINUTES))
    looks = soaked(cycling(vacancies), seconds)
    with capsys.disabled():
        print(shown(vacancies, looks))
    assert looks[-1].events > 1000 * seconds
    assert complaints(looks) == []


@pytest.mark.slow
def test_what_leaks_is_seen() -> None:
    """Negative controls: two megabytes kept at each look, and an atom that vanishes."""
    kept: list[mmap.mmap] = []

    def keep(_: Simulation) -> None:  # pages of their own: the heap may have some to spare from earlier tests
        kept.append(mmap.mmap(-1, 2_000_000))
        kept[-1].write(os.urandom(2_000_000))

    looks = soaked(cycling("equilibrium"), 12.0, keep)
    assert complaints(looks) == ["memory grows"]

    def lose(simulation: Simulation) -> None:
        device = simulation.device
        metal = np.flatnonzero(device.state.entities["kind"] == KIND_METAL)
        drop_entity(device.state, device.grid, int(metal[0]))

    first = look(cycling("equilibrium"))
    other = cycling("equilibrium")
    lose(other)
    assert "silver is lost" in complaints([first] + [look(other)] * LOOKS)
