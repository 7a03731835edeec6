"""A segment with its own stage temperature: the device is as if it had been built there; and it restarts."""

from __future__ import annotations

import numpy as np
import pytest
from small_stacks import STACKS, device, reduced, settings

from kmc.inputs.protocol import Protocol
from kmc.simulation.simulation import Simulation


@pytest.mark.parametrize("name", STACKS)
def test_a_device_that_was_warmed_is_one_that_was_built_warm(name: str) -> None:
    """All rates at 0.3 V within 1 % of those of a window built at 350 K; at 300 K they are not.

    Vacancies come to their equilibrium from another start, to 2 mV.
    """
    built, warmed, cold = device(name, temperature=350.0), device(name), device(name)
    warmed.set_stage(350.0)
    rates = []
    for d in (built, warmed, cold):
        d.set_source(0.3, 1e-6)
        d.solve_fields()
        rates.append(d.state.entities["total"][: int(d.state.run["entities"][0])])
        assert d.heat.stage == d.stage
    some = rates[0] > 0.0
    if not some.any():
        pytest.fail("no event to compare")
    assert rates[1][some] == pytest.approx(rates[0][some], rel=0.01)
    assert np.abs(rates[2][some] / rates[0][some] - 1.0).max() > 0.5
    assert warmed.leak.current(0.1, warmed.stage) == built.leak.current(0.1, 350.0)


def run(protocol: Protocol, cut: int | None) -> Simulation:
    """A run to its end, put away and taken up again after `cut` advances."""
    simulation = Simulation(reduced("ogb_20nm"), protocol, settings(event_budget=200), 3)
    done = 0
    while not simulation.finished:
        if done == cut:
            simulation = Simulation.from_state_dict(
                simulation.stack, protocol, simulation.settings, simulation.state_dict()
            )
        simulation._advance()
        done += 1
    return simulation


def test_a_restart_on_a_warm_stage_equals_the_uninterrupted_run() -> None:
    """Cut in the warm segment and after it. Negative control: without the warm segment events differ."""
    cold = Protocol.hold("0.3 V", "2 us", samples=2)
    both = cold + Protocol.hold("0.3 V", "2 us", samples=2, temperature="360 K") + cold
    whole = run(both, None).device.state
    for cut in (4, 9):
        other = run(both, cut).device.state
        for name in ("sites", "entities", "run", "rates"):
            assert np.array_equal(getattr(whole, name), getattr(other, name)), (cut, name)
    assert run(cold + cold + cold, None).device.state.run["events"][0] != whole.run["events"][0]
