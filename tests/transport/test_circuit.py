"""Source, series resistance and limiter."""

import pytest

from kmc.transport import circuit


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_limiter_holds_its_current_within_a_thousandth(sign: float) -> None:
    """A device of 1 mS at 1 V behind a limiter of 1 uA; without the limiter the current is a thousandfold."""

    def device(v: float) -> float:
        return 1e-3 * v

    held = circuit.solve(sign, 100.0, 1e-6, device)
    assert held.limited
    assert held.current == pytest.approx(sign * 1e-6, rel=1e-3)
    assert device(held.voltage_device) == pytest.approx(held.current, rel=1e-3)
    free = circuit.solve(sign, 100.0, float("inf"), device)
    assert not free.limited
    assert free.current == pytest.approx(sign * 1.0 / 1100.0, rel=1e-9)


def test_series_resistance_takes_its_share_of_a_nonlinear_device() -> None:
    """V + R I(V) = V_source for a cubic device."""
    point = circuit.solve(2.0, 1e3, float("inf"), lambda v: 1e-3 * v**3)
    assert point.voltage_device + 1e3 * point.current == pytest.approx(2.0, rel=1e-9)
