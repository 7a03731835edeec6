"""Links of the mesh against the lattice that they stand for: layers, equilibrium, and rough regions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kmc.ions.density import IonDensity, Surroundings
from kmc.ions.mesh_hops import cells, hops_of, places_of
from kmc.system.parameter_tables import NO_HOP, REGIONS

THERMAL = 0.02585


def tables(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, barriers (the higher of two) and prefactors by region, as `build_model` makes them."""
    rng = np.random.default_rng(seed)
    barrier = rng.uniform(0.2, 0.3, REGIONS)
    prefactor = 10.0 ** rng.uniform(9.0, 10.0, REGIONS)
    higher = np.maximum(barrier[:, None], barrier[None, :])
    return rng.uniform(0.0, 0.1, REGIONS), higher, np.sqrt(np.multiply.outer(prefactor, prefactor))


def layers(seed: int = 0) -> np.ndarray:
    """A film of layers of two planes each, in which whole cells of 2 lie."""
    return np.repeat(np.random.default_rng(seed).integers(0, REGIONS, 8), 2)[:, None, None] * np.ones(
        (1, 8, 8), np.uint8
    )


def current(region: np.ndarray, factor: int, tilt: float = 0.0, seed: int = 0) -> float:
    """Steady current through a film between a reservoir at its first and a sink at its last plane of sites, 1/s."""
    region = region.astype(np.uint8)
    known, allowed = tables(seed), np.ones(region.shape, bool)
    places = places_of(region, known[0], allowed, THERMAL, factor)
    made = hops_of(region, known, allowed, THERMAL, factor)
    shape = places.sites.shape[1:]
    middles = (np.arange(shape[0]) + 0.5) * factor - 0.5
    u = np.ascontiguousarray(np.broadcast_to(tilt * middles[:, None, None], shape))
    ions = IonDensity(made, places, 1e-8, u)
    exchange, sink = np.zeros(shape), np.zeros(places.sites.shape)
    exchange[0], sink[:, -1] = 1e20, 1e20
    return float(ions.step(Surroundings(u, sink, None, exchange, 1e-8), math.inf).sum())


def series(region: np.ndarray, seed: int = 0) -> float:
    """The current of `current` without a field, from the resistances of the hops between the middles of the cells."""
    energy, barrier, prefactor = tables(seed)
    kind = region[:, 0, 0]
    e = energy[kind] / THERMAL
    saddle = barrier[kind[:-1], kind[1:]] / THERMAL
    each = np.exp(np.maximum(saddle + 0.5 * (e[1:] + e[:-1]), np.maximum(e[1:], e[:-1])))
    each /= prefactor[kind[:-1], kind[1:]]
    total = each.sum() - 0.5 * (each[0] + each[-1])  # from the middle of the first cell of 2 to that of the last
    return float(1e-8 * region[0].size / total)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_layers_have_the_exact_current(seed: int) -> None:
    """Hops in series, without a field: to 1e-6. Control: not the current of another film."""
    assert current(layers(seed), 2, seed=seed) == pytest.approx(series(layers(seed), seed), rel=1e-6)
    assert current(layers(seed), 2, seed=seed) != pytest.approx(series(layers(seed + 10), seed), rel=1e-3)


@pytest.mark.parametrize("tilt", [0.0, 0.2])
def test_a_mesh_has_the_current_of_its_lattice(tilt: float) -> None:
    """An even film at three mesh factors, in a field of `tilt` kT a site too, over the length between the middles of
    the first and last cells: 1e-6 without a field, with it 4 %, of which (0.8 kT a cell)^2 / 24 is the mesh's."""
    even = np.full((16, 8, 8), 3, np.uint8)

    def length(factor: int) -> float:
        """Integral of exp(u) from the middle of the first cell to that of the last, sites."""
        first = 0.5 * (factor - 1)
        last = first + (16 // factor - 1) * factor
        return last - first if tilt == 0.0 else (math.exp(tilt * last) - math.exp(tilt * first)) / tilt

    fine = current(even, 1, tilt) * length(1)
    for factor in (2, 4):
        assert current(even, factor, tilt) * length(factor) == pytest.approx(fine, rel=0.04 if tilt else 1e-6)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_rough_regions_are_at_equilibrium(factor: int) -> None:
    """Sites of all regions at random: an even activity does not move, and each kind has its Boltzmann share."""
    rng = np.random.default_rng(7)
    region = rng.integers(0, REGIONS, (9, 6, 8)).astype(np.uint8)  # cut cells at the upper end
    allowed = rng.random(region.shape) < 0.8
    known = tables(3)
    places = places_of(region, known[0], allowed, THERMAL, factor)
    assert places.sites.sum() == allowed.sum()
    made = hops_of(region, known, allowed, THERMAL, factor)
    u = rng.normal(size=places.sites.shape[1:])
    ions = IonDensity(made, places, 0.01, u)
    product = 0.01 * np.exp(-known[0][region] / THERMAL) * allowed
    even = cells(product / (1.0 + product), factor)
    flat = IonDensity(made, places, 0.01, np.zeros_like(u))
    np.testing.assert_allclose(flat.ions, even, rtol=1e-12)
    before = ions.ions.copy()
    ions.step(Surroundings(u), 1e4)
    np.testing.assert_allclose(ions.ions, before, rtol=1e-7)


def test_a_barrier_that_is_never_crossed_parts_the_film() -> None:
    """Regions that no ion enters carry none."""
    region = np.full((16, 8, 8), 3, np.uint8)
    region[8] = 1
    energy, barrier, prefactor = tables()
    barrier[1, :] = barrier[:, 1] = NO_HOP
    allowed = region != 1
    z, _, _ = hops_of(region, (energy, barrier, prefactor), allowed, THERMAL, 2).prefactor
    assert (z[3] == 0.0).all() and (z[4] == 0.0).all()  # noqa: PT018
    assert (z[[0, 1, 2, 5, 6]] > 0.0).all()
