"""Random streams: independent by name, the same whatever the order, restored exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kmc.core.errors import UserError
from kmc.core.random_streams import get_state, set_state, stream

PINNED = [0.49417526859141414, 0.45075432545670757, 0.7813941465780772]


def test_a_stream_is_fixed_by_seed_and_name() -> None:
    """The same numbers on every machine and in every version: these are pinned."""
    first = stream(7, "events").random(3)
    assert np.array_equal(first, stream(7, "events").random(3))
    assert not np.array_equal(first, stream(7, "morphology").random(3))
    assert not np.array_equal(first, stream(8, "events").random(3))
    assert first.tolist() == pytest.approx(PINNED, abs=0)


def test_streams_do_not_disturb_each_other() -> None:
    """Drawing from one leaves another as it was."""
    one, other = stream(1, "a"), stream(1, "b")
    one.random(1000)
    assert other.random() == stream(1, "b").random()


def test_a_saved_state_goes_through_json_and_back() -> None:
    """With a half-used 32-bit draw, which is part of the state."""
    generator = stream(3, "events")
    generator.integers(0, 10, 7, dtype=np.uint32)
    saved = json.loads(json.dumps(get_state(generator)))
    expected = generator.random(5), generator.integers(0, 10, 3, dtype=np.uint32)
    fresh = stream(0, "other")
    set_state(fresh, saved)
    assert np.array_equal(fresh.random(5), expected[0])
    assert np.array_equal(fresh.integers(0, 10, 3, dtype=np.uint32), expected[1])


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None, True])
def test_a_bad_seed_is_refused(seed: object) -> None:
    """A seed is a whole number of zero or more."""
    with pytest.raises(UserError, match="seed"):
        stream(seed, "events")  # type: ignore[arg-type]


@pytest.mark.parametrize("saved", [{}, {"bit_generator": "MT19937"}, {"bit_generator": "PCG64", "state": "x"}, None])
def test_a_bad_state_is_refused(saved: object) -> None:
    """What get_state did not make is not taken."""
    with pytest.raises(UserError, match="saved state"):
        set_state(stream(0, "a"), saved)  # type: ignore[arg-type]


def test_neighbouring_streams_are_uncorrelated() -> None:
    """100 seeds, 1000 draws: correlations as of independent draws (5 sigma). Negative control: three
    tenths of a neighbour's draws mixed in are seen."""
    draws = np.array([stream(seed, "events").random(1000) for seed in range(100)])
    correlation = np.corrcoef(draws)
    off = correlation[~np.eye(100, dtype=bool)]
    assert np.abs(off).max() < 5 / np.sqrt(1000)
    assert np.corrcoef(draws[0], draws[1] + 0.3 * draws[0])[0, 1] > 5 / np.sqrt(1000)
