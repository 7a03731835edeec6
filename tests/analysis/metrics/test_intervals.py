"""Intervals of few devices: all their resamples, and ends that no generator's seed moves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from kmc_analysis.metrics import bootstrap_intervals, observation

VALUES = np.array([7.2, 1.2, 0.6, 0.3, 0.0, -0.2])


def test_all_resamples_are_there_with_their_weights() -> None:
    """Four devices: the 256 ordered draws, each as often as it is drawn."""
    drawn, weight = bootstrap_intervals.resamples(4)
    assert len(drawn) == 35
    assert weight.sum() == pytest.approx(1.0)
    counted: dict[tuple[int, ...], int] = {}
    for one in itertools.product(range(4), repeat=4):
        key = tuple(sorted(one))
        counted[key] = counted.get(key, 0) + 1
    found = {tuple(row): round(256 * share) for row, share in zip(drawn.tolist(), weight, strict=True)}
    assert found == counted


def test_the_ends_are_those_of_very_many_draws() -> None:
    """Of six devices, whose ends are the rarest quarter of a per cent."""
    low, high = bootstrap_intervals.interval(VALUES)
    many = VALUES[np.random.default_rng(3).integers(6, size=(400_000, 6))].mean(axis=1)
    assert (low, high) == pytest.approx(np.quantile(many, bootstrap_intervals.tails(6)), abs=0.06)


def test_no_seed_moves_the_ends_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws are for more devices than of which all resamples are taken: there two seeds differ."""
    table = VALUES[:, None]
    one, other = (observation.bootstrap(lambda part: float(part.mean()), table, seed=seed) for seed in (1, 2))
    assert (one.low, one.high) == (other.low, other.high) == bootstrap_intervals.interval(VALUES)
    monkeypatch.setattr(bootstrap_intervals, "WHOLE", 5)
    bootstrap_intervals.resamples.cache_clear()
    drawn = [observation.bootstrap(lambda part: float(part.mean()), table, seed=seed).high for seed in (1, 2)]
    bootstrap_intervals.resamples.cache_clear()
    assert drawn[0] != drawn[1]


def test_resamples_without_a_number_are_left_out() -> None:
    """A statistic that some resamples do not have has the ends of the others."""
    values = np.array([np.nan, 1.0, 2.0, 3.0])
    assert bootstrap_intervals.ends(values, np.full(4, 0.25), 6) == (1.0, 3.0)
    assert np.isnan(bootstrap_intervals.ends(np.full(2, np.nan), np.full(2, 0.5), 6)).all()


def test_means_that_are_all_alike_tell_no_interval() -> None:
    """However many: of a mean a rare one may be lacking. A median of six alike stands."""
    assert observation.mean([2.0] * 12).open
    assert not observation.mean([2.0] * 11 + [2.1]).open
    assert not observation.median([2.0] * 6).open


def test_the_least_of_several_groups_is_not_below_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three groups whose medians are all at the limit: their least lies below it, and its own resamples say
    so four times as often as they may."""
    monkeypatch.setattr(observation, "DRAWS", 500)
    generator = np.random.default_rng(5)
    counts = np.zeros(2)
    for _ in range(60):
        groups = list(generator.normal(0.0, 0.3, (3, 20)))
        sure = observation.least_of(lambda part: float(np.median(part)), groups)
        drawn = np.array(
            [min(np.median(group[generator.integers(20, size=20)]) for group in groups) for _ in range(300)]
        )
        counts += [sure.high < 0.0, np.quantile(drawn, 0.975) < 0.0]
        assert sure.low <= sure.value <= sure.high
    assert counts[0] <= 0.1 * 60
    assert counts[1] > counts[0]


def test_the_greatest_is_the_least_of_the_other_sign() -> None:
    """S16 takes the wider of two loops."""
    groups = [VALUES, VALUES + 1.0]
    least = observation.least_of(lambda part: float(np.median(part)), [-group for group in groups])
    most = observation.least_of(lambda part: float(np.median(part)), groups, sign=-1.0)
    assert most.value == -least.value
    assert most.low == pytest.approx(-least.high, abs=0.2)


@pytest.mark.parametrize("n", [1, 6, 72])
def test_a_share_has_the_exact_interval(n: int) -> None:
    """Of the rows and of `kmc compare` alike; against scipy's."""
    for count in range(n + 1):
        right = stats.binomtest(count, n).proportion_ci(bootstrap_intervals.CONFIDENCE, method="exact")
        row = observation.share(count, n)
        assert (row.low, row.high) == pytest.approx((right.low, right.high), abs=1e-12)
        if n > 1:
            assert bootstrap_intervals.of_share(np.repeat([1.0, 0.0], [count, n - count])) == (row.low, row.high)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_means_of_few_seeds_are_covered(seeds: int) -> None:
    """95 % of normal draws, within four standard errors of 400; the percentiles of two seeds held 48 %."""
    stream, held = np.random.default_rng(seeds), 0
    for _ in range(400):
        row = observation.mean(list(stream.standard_normal(seeds)))
        held += row.low <= 0.0 <= row.high
    assert held / 400 > 0.95 - 4.0 * np.sqrt(0.95 * 0.05 / 400)


def test_the_tails_of_few_are_wider() -> None:
    """Student's, and by the root of n / (n - 1) more (Hesterberg, Am. Stat. 69, 371 (2015), section 5)."""
    for n in (3, 6, 12):
        wide = stats.t.ppf(0.025, n - 1) * np.sqrt(n / (n - 1))
        assert bootstrap_intervals.tails(n) == pytest.approx((stats.norm.cdf(wide), stats.norm.cdf(-wide)))
    assert bootstrap_intervals.tails(6) == pytest.approx((0.00244, 0.99756), abs=2e-5)


def test_groups_know_as_much_as_the_smallest() -> None:
    """Six crystals and two films are two devices; without one of either there is no number."""
    found = observation.bootstrap_groups(
        lambda drawn: float(drawn[0].mean() - drawn[1].mean()), [np.arange(6.0), np.array([1.0, 2.0])]
    )
    assert found.n == 2
    assert found.open == observation.few(2) != ""
    assert observation.bootstrap_groups(lambda drawn: 0.0, [np.arange(6.0), np.zeros(0)]).value is None


def test_streams_are_told_apart_as_often_as_distances_are() -> None:
    """Six devices whose means are two sigma apart in truth: quantiles of 40,000 such distances."""
    draws = np.random.default_rng(0)
    a, b = draws.standard_normal((40000, 6)), draws.standard_normal((40000, 6)) + 2.0
    apart = (b.mean(1) - a.mean(1)) / np.sqrt((a.var(1, ddof=1) + b.var(1, ddof=1)) / 2)
    noise = np.array([-1.0, -0.5, 0.0, 0.0, 0.5, 1.0])
    noise /= noise.std(ddof=1)

    def share(sigmas: float) -> observation.Measured:
        return observation.separable(np.stack([noise, noise + sigmas], axis=1))

    low, high = np.quantile(apart, [0.025, 0.975])
    assert (share(0.97 * high).low, share(1.03 * high).low) == (0.0, 1.0)
    assert (share(0.97 * low).high, share(1.03 * low).high) == (0.0, 1.0)


def test_a_bound_without_a_number_is_none() -> None:
    """Of a device that has none."""
    bounds = [True] * 6
    wanted = observation.median_of_bounds([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], bounds)
    assert observation.median_of_bounds([np.nan, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [True, *bounds]) == wanted
    assert observation.median_of_bounds([np.nan], [True]).value is None
