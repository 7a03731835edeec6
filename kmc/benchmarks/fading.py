"""`kmc bench fading`: what separating time scales saves while a filament fades, at the barriers of the cards.

The 20 nm OGB device is set at a limit of 1 uA, and then left at 0 V until it conducts a hundredth of what it
did. The same is left alone too with one acceleration less, hop by hop, and with the vacancies one by one as
well: these do not come to their end, so what a simulated second costs is measured where fading begins and
where it has ended, and the cheaper of the two stands for all of it. Beside vacancies one by one there are the
atoms alone at first, without ions on their way, which makes it cheaper.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from kmc.benchmarks.device import BUDGET, REPEATS_VARIABLE, STACK, asked
from kmc.cards.stack import load_stack
from kmc.core.errors import UserError
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.kinetics import advance
from kmc.kinetics.metal_changes import remove_metal
from kmc.simulation.simulation import Simulation
from kmc.system.state import EMPTY, KIND_METAL, METAL, grow

REPEATS = 3
SPENT_S = 5.0  # of processor time for each cost
SETTLE_S = 1.0  # of it before, in which rates are asked for the first time
GONE = 0.01  # of its conductance: it has faded
WITHOUT: dict[str, dict[str, Any]] = {
    "all": {},
    "without slices": {"ion_slice": 0.0},
    "without flights": {"flight_reach": 0},
    "hop by hop": {"ion_slice": 0.0, "flight_reach": 0},
    "hop by hop, vacancies too": {"ion_slice": 0.0, "flight_reach": 0, "vacancies": "explicit"},
}


def run(progress: Callable[[str], None] = lambda line: None) -> list[dict[str, Any]]:
    """Rows of how, stack, cpu_s_per_s, at_start, at_end, fades_in_s, cpu_s, speed_up: medians over seeds.

    at_start, at_end: processor seconds for a simulated one where fading begins and where it has ended;
    cpu_s_per_s: the lesser of them, of "all" what its whole way took; fades_in_s: simulated; cpu_s: for the
    whole way, of the others by cpu_s_per_s; speed_up: how often what "all" took goes into that.

    Raises UserError for a device that does not set, or does not fade. `progress` takes a line of text.
    """
    found: dict[str, list[dict[str, float]]] = {how: [] for how in WITHOUT}
    for seed in range(1, 1 + asked(REPEATS_VARIABLE, REPEATS)):
        progress(f"seed {seed}: SET")
        start, conductance = closed(seed)
        progress(f"seed {seed}: until it has faded")
        end, fades_s, spent = faded(seed, start, GONE * conductance)
        for how, without in WITHOUT.items():
            progress(f"seed {seed}: {how}")
            costs = [cost(left_alone(seed, state, without)) for state in (start, end)]
            whole = spent if how == "all" else min(costs) * fades_s
            found[how].append(
                {
                    "cpu_s_per_s": whole / fades_s,
                    "at_start": costs[0],
                    "at_end": costs[1],
                    "fades_in_s": fades_s,
                    "cpu_s": whole,
                    "speed_up": whole / spent,
                }
            )
    return [
        {"how": how, "stack": STACK} | {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        for how, rows in found.items()
    ]


def closed(seed: int) -> tuple[dict[str, Any], float]:
    """A device whose limiter acts, a millisecond later, and what its filament conducts, S."""
    held = Protocol.hold("0.6 V", "100 ms", "1 uA")
    simulation = Simulation(load_stack(STACK), held, Settings(event_budget=BUDGET), seed)
    limited: list[float] = []

    def done() -> bool:
        if simulation.device.point.limited:
            limited.append(simulation.time_s)
        return bool(limited) and simulation.time_s > limited[0] + 1e-3

    simulation.run(should_stop=done)
    if not limited:
        raise _not_so(seed, "is not set after 100 ms at 0.6 V")
    return simulation.state_dict(), simulation.windows.conductance()


def faded(seed: int, state: dict[str, Any], conductance: float) -> tuple[dict[str, Any], float, float]:
    """Left alone until it conducts no more than that (S): its state, the simulated time, processor time."""
    simulation = left_alone(seed, state, {})
    begin = time.process_time()
    simulation.run(should_stop=lambda: simulation.windows.conductance() <= conductance)
    if simulation.finished:
        raise _not_so(seed, f"still conducts over {conductance:.3g} S after {simulation.time_s:g} s")
    return simulation.state_dict(), simulation.time_s, time.process_time() - begin


def _not_so(seed: int, told: str) -> UserError:
    step = f"give {REPEATS_VARIABLE}={seed - 1}" if seed > 1 else "look at it with kmc run"
    return UserError(f"seed {seed} {told}", next_step=step)


def left_alone(seed: int, state: dict[str, Any], without: dict[str, Any]) -> Simulation:
    """The silver of a state at 0 V, its clock at zero, with some settings changed."""
    settings, stack = Settings(event_budget=BUDGET).changed(**without), load_stack(STACK)
    protocol = Protocol.hold("0 V", "100 s", "1 uA")
    if settings.vacancies == "equilibrium":
        return Simulation(stack, protocol, settings, seed, initial=state)
    simulation = Simulation(stack, protocol, settings, seed)  # vacancies where a new device has them
    put_metal(simulation, state["windows"]["parts"][0]["device"]["state"]["sites"]["cation"] == METAL)
    simulation.windows.start_again()
    return simulation


def put_metal(simulation: Simulation, metal: np.ndarray) -> None:
    """Silver on these sites (bool [N]) and no others, but where an ion is."""
    device = simulation.device
    cation = device.state.sites["cation"]
    for site in np.flatnonzero((cation == METAL) & ~metal):
        remove_metal(
            device.state, device.grid, device.potential.fields, device.model, int(device.state.sites["entity"][site])
        )
        device.state.run["dirty"] = 0
    new = np.flatnonzero((cation == EMPTY) & metal)
    device.state = grow(device.state, device.state.entities.size + len(new))
    advance.place_many(device.state, device.grid, KIND_METAL, new)
    device.state.run["force_refresh"] = 0


def cost(simulation: Simulation) -> float:
    """Processor seconds for a simulated one, over the next SPENT_S."""
    begin = time.process_time()
    simulation.run(should_stop=lambda: time.process_time() - begin > SETTLE_S)
    since, begin = simulation.time_s, time.process_time()
    simulation.run(should_stop=lambda: time.process_time() - begin > SPENT_S)
    return (time.process_time() - begin) / max(simulation.time_s - since, 1e-300)
