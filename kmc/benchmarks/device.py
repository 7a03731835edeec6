"""`kmc bench device`: whole runs of the 20 nm OGB device, and one update after one change of metal.

A case that takes longer than LIMIT times what it is meant to take is stopped; its row says how far it came,
in numbers and, under `reason`, in words. Each row is the median over seeds 1 to REPEATS; the variables
KMC_BENCH_REPEATS and KMC_BENCH_LIMIT ask for fewer and for another multiple, in place of LIMIT.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kmc.cards.stack import load_stack
from kmc.core.errors import UserError
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.kinetics import advance
from kmc.simulation.simulation import Simulation

STACK = "ogb_20nm"
REPEATS = 5
REPEATS_VARIABLE = "KMC_BENCH_REPEATS"
LIMIT = 2
LIMIT_VARIABLE = "KMC_BENCH_LIMIT"
BUDGET = 10_000  # trials in a kernel call: the limit is looked at between calls
UPDATES = 200  # changes of metal that are timed
COMPARED = 40  # of them, whose rates are compared with those of a full solution, by turns of both kinds
AFFECTED = 1e-3  # relative change by which an event affects a rate


class Case(NamedTuple):
    """A run: name, protocol, the seconds it is meant to take, the case whose final state it starts from."""

    name: str
    protocol: Protocol
    meant_s: float
    after: str = ""


def program() -> Protocol:
    """Write at a limit of 1 mA: closed, then thick (as runs/ogb_20nm_1mA/set.yaml does)."""
    closed = Protocol.hold("0.6 V", "100 us", "1 mA", samples=1)
    thick = Protocol.hold("0.45 V", "50 us", "1 mA", samples=1)
    return closed.repeated(800, {"conductance_above": "40 uS"}) + thick.repeated(600, {"conductance_above": "320 uS"})


def cases() -> tuple[Case, ...]:
    """What is run."""
    pulse = {"amplitude": "1 V", "width": "5 ms", "gap": "10 ms", "compliance": "10 uA"}
    return (
        Case("pulse_1V_5ms", Protocol.pulses(**pulse, count=1), 10.0),
        Case("echo_train", Protocol.pulses(**pulse, count=4), 60.0),
        Case("sweep_1uA", Protocol.sweep("1.5 V", rate="1 V/s", step="50 mV", compliance="1 uA"), 120.0),
        Case("set_1mA", program(), 120.0),
        Case("retention_1e5s", Protocol.hold("0 V", "1e5 s", spacing="log", samples=60), 60.0, "set_1mA"),
    )


def run(progress: Callable[[str], None] = lambda line: None) -> list[dict[str, Any]]:
    """Rows of case, stack, wall_s, events, metal_events, events_per_s, metal_events_per_s, error_rates.

    error_rates: median relative error of the rates at the end against a full solution of everything,
    error_rates_worst the largest; error_fields, error_fields_worst: the same with the vacancies where they
    are, which follow in microseconds and not with one event. reached_s of asked_s: simulated time; change_G:
    largest over first conductance, G_end_S the last; cpu_s: of the processor, for a machine that others use;
    reason: why a case did not come to its end, "" if it did. Of hop_update: wall_s is the median time of one
    update, cpu_s that of all it takes. `progress` takes a line of text.
    """
    seeds = range(1, 1 + asked(REPEATS_VARIABLE, REPEATS))
    for case in cases():
        longest(case)
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in seeds:
        ends: dict[str, Simulation] = {}
        for case in cases():
            progress(f"{case.name}, seed {seed}")
            row, ends[case.name] = _measure(case, seed, ends.get(case.after))
            found.setdefault(case.name, []).append(row)
        progress(f"hop_update, seed {seed}")
        found.setdefault("hop_update", []).append(hop_update(seed))
    return [{"case": name, "stack": STACK, **_medians(rows)} for name, rows in found.items()]


def asked(variable: str, default: int) -> int:
    """The whole number that an environment variable asks for. Raises UserError for another text."""
    text = os.environ.get(variable, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise UserError(
            f'{variable} is "{text}", not a whole number from 1 on',
            next_step=f"give one, or leave it out for {default}",
        )
    return int(text)


def longest(case: Case) -> float:
    """Seconds that a case may take. Raises UserError where the variable is no positive number."""
    text = os.environ.get(LIMIT_VARIABLE, str(LIMIT))
    try:
        times = float(text)
    except ValueError:
        times = math.nan
    if not 0.0 < times < math.inf:
        raise UserError(
            f'{LIMIT_VARIABLE} is "{text}", not a positive number', next_step=f"give one, or leave it out for {LIMIT}"
        )
    return times * case.meant_s


def _medians(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the columns, how many rows there were, and the first reason why one was cut short."""
    columns = [key for key in rows[0] if key != "reason"]
    found: dict[str, Any] = {key: _median([row[key] for row in rows]) for key in columns}
    reasons = [row["reason"] for row in rows if row["reason"]]
    more = f" (and {len(reasons) - 1} more of {len(rows)} seeds)" if len(reasons) > 1 else ""
    return found | {"seeds": len(rows), "reason": reasons[0] + more if reasons else ""}


def _median(values: list[float]) -> float:
    """Of those that are known; NaN where none is."""
    return statistics.median([value for value in values if not math.isnan(value)] or [math.nan])


def _measure(case: Case, seed: int, before: Simulation | None) -> tuple[dict[str, Any], Simulation]:
    """Run one case for one seed, no longer than its limit."""
    initial = None if before is None else before.state_dict()
    some = Settings(event_budget=BUDGET)
    simulation = Simulation(load_stack(STACK), case.protocol, some, seed, initial)
    counted = simulation.device.state.run[["events", "metal_events"]][0].item()
    limit = longest(case)
    begin, worked = time.perf_counter(), time.process_time()
    simulation.run(should_stop=lambda: time.perf_counter() - begin > limit)
    wall, worked = time.perf_counter() - begin, time.process_time() - worked
    rows = simulation.take_rows()
    events, metal = (
        after - start
        for after, start in zip(simulation.device.state.run[["events", "metal_events"]][0].item(), counted, strict=True)
    )
    error, fields = (rate_errors(_copied(simulation), solve) for solve in (solve_all, solve_metal))
    conductance = rows["conductance"] if len(rows["time"]) else np.full(1, np.nan)  # nobody looked
    return {
        "wall_s": wall,
        "cpu_s": worked,
        **_speeds(events, metal, wall),
        **_errors(error, fields),
        "reached_s": simulation.time_s,
        "asked_s": case.protocol.duration_s,
        "finished": float(simulation.finished),
        "change_G": float(conductance.max() / conductance[0]),
        "G_end_S": float(conductance[-1]),
        "reason": _reason(simulation, limit),
    }, simulation


def _reason(simulation: Simulation, limit_s: float) -> str:
    """Why a run did not come to the end of its protocol, "" if it did."""
    if simulation.finished:
        return ""
    reached, asked = simulation.time_s, simulation.protocol.duration_s
    return f"stopped after {limit_s:g} s of computing, at {reached:.3g} s of {asked:.3g} s"


def _speeds(events: int, metal: int, wall_s: float) -> dict[str, float]:
    return {
        "events": events,
        "metal_events": metal,
        "events_per_s": events / wall_s,
        "metal_events_per_s": metal / wall_s,
    }


def _errors(error: np.ndarray, fields: np.ndarray) -> dict[str, float]:
    return {
        f"error_{name}{which}": float(of(found)) if len(found) else 0.0
        for name, found in (("rates", error), ("fields", fields))
        for which, of in (("", np.median), ("_worst", np.max))
    }


def totals(simulation: Simulation) -> np.ndarray:
    """Total rate of each entity, 1/s; 0 for a free slot."""
    state = simulation.device.state
    taken = int(state.run["entities"][0])
    return np.where(state.entities["kind"][:taken] > 0, state.entities["total"][:taken], 0.0)


def solve_all(simulation: Simulation) -> None:
    """Solve everything for the present metal; what is known of atoms' chances to come back stays."""
    _solve(simulation, simulation.device.solve_fields)


def solve_metal(simulation: Simulation) -> None:
    """The same with the vacancies where they are."""
    potential, state = simulation.device.potential, simulation.device.state

    def fields() -> None:
        potential.forget()
        potential.prepare(state)
        potential.publish(state, True)
        simulation.device.patches.clear()

    _solve(simulation, fields)


def _solve(simulation: Simulation, fields: Callable[[], None]) -> None:
    device = simulation.device
    returns = device.state.entities["returns"].copy()
    device.trace_current()
    fields()
    device.operated = ()
    if not device.operate():
        device._warm()
    device.state.entities["returns"] = returns
    advance.refresh_all(device.state, device.grid, device.potential.fields, device.model)


def rate_errors(simulation: Simulation, solve: Callable[[Simulation], None] = solve_all) -> np.ndarray:
    """Relative error of each rate as it is, against a full solution for the present metal.

    What is known of an atom's chance to come back is left out of its rate in both. Ions that wait go on at
    once: a clock is no rate.
    """
    device = simulation.device
    device.state.entities["ahead"] = 0
    advance.refresh_all(device.state, device.grid, device.potential.fields, device.model)
    held = totals(simulation)
    solve(simulation)
    right = totals(simulation)
    some = right > 0.0
    return np.abs(held[some] / right[some] - 1.0)


def hop_update(seed: int) -> dict[str, Any]:
    """Time of field, current and rates after one change of metal, and the error of the rates it affects.

    The metal grows at 0.4 V for half a millisecond first; then each change is followed at once. Where rates
    are compared, everything was solved before the change: what earlier ones left is not this one's error.
    """
    simulation = Simulation(
        load_stack(STACK), Protocol.hold("0.4 V", "1 s", "1 uA"), Settings(ion_slice=0.0, atom_slice=0.0), seed
    )  # nobody waits for a clock
    device = simulation.device
    device.set_source(0.4, 1e-6)
    while device.advance(simulation.events, 5e-4, 1 << 30, False) != advance.REACHED:
        pass
    spent, worked = [], time.process_time()
    errors: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for k in range(UPDATES):
        compared, turn = k % (UPDATES // COMPARED) == 0, k // (UPDATES // COMPARED) % 2
        if compared:
            solve_all(simulation)
            if turn:
                solve_metal(simulation)
        begin_rates = _next_change(simulation, compared)
        begin = time.perf_counter()
        device.follow_metal()
        spent.append(time.perf_counter() - begin)
        if compared:
            errors[turn].append(_affected_errors(simulation, begin_rates, solve_metal if turn else solve_all))
    wall = statistics.median(spent)
    return {
        "wall_s": wall,
        **_speeds(UPDATES, UPDATES, sum(spent)),
        **_errors(*map(np.concatenate, errors)),
        "cpu_s": time.process_time() - worked,
        "reached_s": simulation.time_s,
        "asked_s": simulation.time_s,
        "finished": 1.0,
        "change_G": 1.0,
        "G_end_S": simulation.windows.conductance(),
        "reason": "",
    }


def _next_change(simulation: Simulation, watched: bool) -> np.ndarray:
    """Run to the next change of metal, the rates of everything near it up to date; the rates before it, if
    `watched`: to sum them at each trial takes longer than the trial."""
    device, run = simulation.device, simulation.device.state.run
    before, rates = int(run["metal_events"][0]), totals(simulation)
    while int(run["metal_events"][0]) == before or not len(device.state.dirty[: run["dirty"][0]]):
        rates = totals(simulation) if watched else rates
        advance.advance(
            device.state, device.grid, device.potential.fields, device.model, simulation.events, np.inf, 1, False
        )
    return rates


def _copied(simulation: Simulation) -> Simulation:
    return Simulation.from_state_dict(
        simulation.stack, simulation.protocol, simulation.settings, simulation.state_dict()
    )


def _affected_errors(simulation: Simulation, before: np.ndarray, solve: Callable[[Simulation], None]) -> np.ndarray:
    """Relative errors of the rates that the change affects, by a full solution on a copy."""
    copy = _copied(simulation)
    error = rate_errors(copy, solve)
    right = totals(copy)
    count = min(len(before), len(right))
    some = right > 0.0
    change = np.zeros(len(right))
    change[:count] = np.abs(right[:count] - before[:count])
    affected = (change > AFFECTED * np.maximum(right, 1e-300))[some]
    return error[affected]
