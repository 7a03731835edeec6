"""S24: the interval of the share of streams that can be told apart covers, and few devices decide nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kmc_analysis.experiment.targets.targets import targets
from kmc_analysis.experiment.targets.verdict import HIT, MISS, UNCLEAR, judge
from kmc_analysis.metrics import observation
from kmc_analysis.metrics.observation import Measured
from kmc_analysis.metrics.pulse_trains import separated

STREAMS = np.arange(16)
EVEN = 0.48 * STREAMS  # in sigma: five steps are over two sigma, four not quite, so 66 pairs of 120 are apart
TRUE = 66 / 120
SAMPLES = 400


def old(table: np.ndarray) -> Measured:
    """As it was: devices drawn again, some of them twice, which takes from their spread."""
    return observation.bootstrap(separated, table)


def coverage(
    method: Callable[[np.ndarray], Measured],
    devices: int,
    levels: np.ndarray,
    together: float,
    true: float,
    samples: int = SAMPLES,
) -> float:
    """How often the interval holds the true share, of devices with Gaussian spread about `levels`, of which
    the share `together` is the device's, the same in all streams."""
    stream = np.random.default_rng(devices)
    covered = 0
    for _ in range(samples):
        own, each = stream.standard_normal((devices, 1)), stream.standard_normal((devices, len(levels)))
        found = method(levels + np.sqrt(together) * own + np.sqrt(1 - together) * each)
        covered += found.low <= true <= found.high
    return covered / samples


@pytest.mark.parametrize("devices", [2, 6, 12])
@pytest.mark.parametrize("together", [0.0, 0.5])
def test_the_interval_covers(devices: int, together: float) -> None:
    """In over 99 % of samples, of spreads that go together or do not: 5 % of the single pairs may be wrong,
    and in the share their errors cancel in part. It is wide for that: 0.58 of six devices, 0.41 of twelve."""
    assert coverage(observation.separable, devices, EVEN, together, TRUE) >= 0.99


@pytest.mark.parametrize("devices", [2, 6, 12])
def test_resampled_devices_do_not_cover(devices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control, in 11 %, 38 % and 41 % of samples: a device that is drawn twice takes from the spread, and
    streams seem further apart than they are."""
    monkeypatch.setattr(observation, "DRAWS", 200)
    assert coverage(old, devices, EVEN, 0.0, TRUE, samples=40) < 0.7


def test_few_devices_do_not_decide() -> None:
    """Streams far apart, or all alike: nothing of five devices, a hit or a miss of six; nothing of one."""
    stream, target = np.random.default_rng(0), targets()["S24_separability"]
    for levels, verdict in ((100.0 * STREAMS, HIT), (0.0 * STREAMS, MISS)):
        table = levels + stream.standard_normal((6, 16))
        assert judge(target, observation.separable(table)).verdict == verdict
        for few in (2, 5):
            found = observation.separable(table[:few])
            assert judge(target, found).verdict == UNCLEAR
            assert found.low <= found.value <= found.high
    assert observation.separable(table[:1]).value is None


def test_a_device_without_a_number_is_left_out() -> None:
    """As everywhere; what has no spread at all is apart where it differs."""
    table = np.tile([0.0, 1.0, 1.0], (7, 1))
    table[2, 1] = np.nan
    found = observation.separable(table, "told")
    assert (found.n, found.note) == (6, "told")
    assert (found.value, found.low, found.high) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
