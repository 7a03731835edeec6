"""The mean-field master equation of ions against equilibrium, analytic currents, and direct integration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from kmc.ions.density import Hops, IonDensity, Places, Surroundings

WIDE = 2  # cells along y and x: the problems here vary along z


def hops(nz: int, seed: int | None = None, wide: int = WIDE) -> Hops:
    """Prefactors of 1e9/s and saddles of 5 kT, or random ones around these."""
    rng = np.random.default_rng(seed)
    shapes = ((nz - 1, wide, wide), (nz, wide, wide), (nz, wide, wide))
    spread = 0.0 if seed is None else 1.0
    prefactor = tuple(1e9 * np.exp(spread * rng.normal(size=s)) for s in shapes)
    saddle = tuple(5.0 + spread * rng.normal(size=s) for s in shapes)
    return Hops(prefactor, saddle)


def column(values: np.ndarray) -> np.ndarray:
    """Values along z on all cells of a mesh."""
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values)[:, None, None], (len(values), WIDE, WIDE)))


def line(nz: int, sites: float, occupation: float) -> IonDensity:
    """Cells along z with so many sites of one kind, evenly occupied at u = 0."""
    places = Places(column(np.full(nz, sites))[None], np.zeros(1))
    return IonDensity(hops(nz), places, occupation / (1.0 - occupation), np.zeros((nz, WIDE, WIDE)))


def rough(seed: int, shape: tuple[int, int, int] = (12, 4, 6)) -> tuple[IonDensity, np.ndarray]:
    """A mesh with random energies (4 kT), barriers and numbers of two kinds of sites (some cells have none)."""
    rng = np.random.default_rng(seed)
    u = 4.0 * rng.normal(size=shape)
    sites = rng.integers(0, 5, (2, *shape)).astype(float) * (rng.random(shape) < 0.8)
    faces = (shape[0] - 1, *shape[1:]), shape, shape
    prefactor = tuple(10.0 ** rng.uniform(6, 10, f) for f in faces)
    made = Hops(prefactor, tuple(rng.uniform(0.0, 12.0, f) for f in faces))
    return IonDensity(made, Places(sites, np.array([0.0, 1.5])), 0.05, u), u


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equilibrium_does_not_drift(seed: int) -> None:
    """Occupations of one activity stay for 1e4 s, in one step or many, and none is lost. Exact: no power to state."""
    ions, u = rough(seed)
    before, count = ions.ions.copy(), ions.total()
    assert ions.occupations(u).max() > 0.8  # exclusion counts
    ions.advance(Surroundings(u), 1e4)
    ions.step(Surroundings(u), 1e4)
    assert ions.total() == pytest.approx(count, rel=1e-12)
    np.testing.assert_allclose(ions.ions, before, rtol=1e-7)


def test_another_temperature_is_no_equilibrium() -> None:
    """Negative control: the same occupations at energies over kT that are 2 % smaller."""
    ions, u = rough(1)
    before = ions.ions.copy()
    ions.advance(Surroundings(0.98 * u), 1e4)
    some = before > 0.0
    assert np.abs(ions.ions[some] / before[some] - 1.0).max() > 0.01


def test_any_start_ends_in_equilibrium() -> None:
    """Ions laid down anywhere end at one activity, their number kept to rounding."""
    ions, u = rough(4)
    rng = np.random.default_rng(5)
    ions.ions = rng.uniform(0.0, 0.3, u.shape) * ions.places.sites.sum(axis=0)
    count = ions.total()
    ions.advance(Surroundings(u), 1e4)
    assert ions.total() == pytest.approx(count, rel=1e-12)
    assert np.ptp(np.log(ions.activity[joined(ions)])) < 1e-5
    # What the solver leaves of a long step is in the activities; the next step takes it up.
    np.testing.assert_allclose((ions.places.sites * ions.occupations(u)).sum(axis=0), ions.ions, rtol=5e-3)


def joined(ions: IonDensity) -> np.ndarray:
    """Cells with sites that have a neighbour with sites."""
    open_ = ions.places.sites.sum(axis=0) > 0
    near = np.roll(open_, 1, 1) | np.roll(open_, -1, 1) | np.roll(open_, 1, 2) | np.roll(open_, -1, 2)
    near[1:] |= open_[:-1]
    near[:-1] |= open_[1:]
    return open_ & near


@pytest.mark.parametrize("tilt", [0.0, 0.3, 3.0])
def test_steady_current_through_a_slab(tilt: float) -> None:
    """Between reservoirs of two activities, the links in series in a constant field (`tilt` kT a cell): exact."""
    nz, made = 20, hops(20)
    u = tilt * np.arange(nz)
    exchange = np.zeros(nz)
    exchange[0] = 1e12
    sink = np.zeros(nz)
    sink[-1] = 1e11
    places = Places(column(np.full(nz, 8.0))[None], np.zeros(1))
    ions = IonDensity(made, places, 1e-9, column(u))
    around = Surroundings(column(u), 8.0 * column(sink)[None], None, column(exchange), 1e-6)
    current = ions.step(around, math.inf).sum() / WIDE**2
    middle = 0.5 * (u[1:] + u[:-1])
    series = (np.exp(np.maximum(5.0 + middle, np.maximum(u[1:], u[:-1]))) / 1e9).sum()
    exact = 1e-6 / (1.0 / exchange[0] + series + np.exp(u[-1]) / (8.0 * sink[-1]))
    assert current == pytest.approx(exact, rel=2e-6)  # exclusion enters at the order of the occupation


def direct(u: np.ndarray, start: np.ndarray, sites: float, times: np.ndarray) -> np.ndarray:
    """Occupations along a line of cells by scipy's stiff integrator, from the rates of hops in each direction."""
    up = 1e9 * np.exp(-np.maximum(np.maximum(5.0 + 0.5 * np.diff(u), np.diff(u)), 0.0))
    down = 1e9 * np.exp(-np.maximum(np.maximum(5.0 - 0.5 * np.diff(u), -np.diff(u)), 0.0))

    def change(_: float, n: np.ndarray) -> np.ndarray:
        flow = up * n[:-1] * (1.0 - n[1:]) - down * n[1:] * (1.0 - n[:-1])
        out = np.zeros_like(n)
        out[:-1] -= flow
        out[1:] += flow
        return out / sites

    found = solve_ivp(change, (0.0, times[-1]), start, "LSODA", times, rtol=1e-9, atol=1e-14)
    return found.y.T


def test_step_response_against_direct_integration() -> None:
    """A field of 0.4 kT a cell is switched on over an even density of 0.2: profiles at five times, of which the first
    is a thousandth of the last, agree to 6 % of each occupation or of 1 % of the highest (steps of 0.2 %), the last to
    1e-3. Backward Euler's errors add up most where occupations fall by decades."""
    nz, sites = 24, 8.0
    u, start = 0.4 * np.arange(nz), np.full(nz, 0.2)
    times = np.array([1e-6, 1e-5, 1e-4, 2e-4, 1e-3])
    exact = direct(u, start, sites, times)
    ions = line(nz, sites, 0.2)
    clock, worst = 0.0, []
    for time, right in zip(times, exact, strict=True):
        ions.advance(Surroundings(column(u)), time - clock, 2e-3)
        clock = time
        worst.append((np.abs(ions.ions[:, 0, 0] / sites - right) / np.maximum(right, 0.01 * right.max())).max())
    assert np.abs(exact[0] - exact[-1]).max() > 0.3  # there is something to follow
    assert max(worst) < 0.06, worst
    assert worst[-1] < 1e-3, worst


def test_a_coarse_step_is_seen_as_such() -> None:
    """Negative control: one implicit step to the middle of the transient is off by more than a tenth; and a smaller
    tolerance takes more steps and is nearer."""
    nz, sites = 24, 8.0
    u, start = 0.4 * np.arange(nz), np.full(nz, 0.2)
    exact = direct(u, start, sites, np.array([1e-4]))[-1]
    errors, solves = [], []
    for tolerance in (1e-1, 1e-2, 1e-3):
        ions = line(nz, sites, 0.2)
        ions.advance(Surroundings(column(u)), 1e-4, tolerance)
        errors.append(np.abs(ions.ions[:, 0, 0] / sites / exact - 1.0).max())
        solves.append(ions.solves)
    once = line(nz, sites, 0.2)
    once.step(Surroundings(column(u)), 1e-4)
    assert np.abs(once.ions[:, 0, 0] / sites / exact - 1.0).max() > 0.1
    assert errors[0] > errors[1] > errors[2]
    assert solves[0] < solves[1] < solves[2]


def test_books_of_a_sink() -> None:
    """Ions taken and ions left are the ions at the start, to rounding, over steps of any length."""
    ions, u = rough(6)
    sink = np.zeros(ions.places.sites.shape)
    sink[:, *np.argwhere(joined(ions))[40]] = 1e5
    count = ions.total()
    taken = ions.advance(Surroundings(u, sink), 1e-3, 5e-2)
    assert 0.0 < taken.sum() < count
    assert taken.sum() + ions.total() == pytest.approx(count, rel=1e-10)


def test_a_sink_takes_what_diffusion_brings() -> None:
    """Steady current from a held far sphere to one absorbing cell: D times the lattice Green function, within 2 %.

    The current to a perfect sink at a site of the simple cubic lattice is hop rate x n / G(0), with G(0) = 0.25273 the
    lattice Green function (Watson 1939), in an infinite medium; the box of 25 cells is finite, corrected by 1/R.
    """
    size, rate = 25, 1e9 * math.exp(-5.0)
    middle = size // 2
    z, y, x = np.indices((size,) * 3) - middle
    radius = np.sqrt(z**2 + y**2 + x**2)
    exchange = np.where(radius > middle - 1.0, 1e14, 0.0)
    sink = np.where(radius == 0, 1e14, 0.0)
    flat = np.zeros(radius.shape)
    ions = IonDensity(hops(size, wide=size), Places(np.ones((1, *flat.shape)), np.zeros(1)), 1e-6, flat)
    current = ions.step(Surroundings(flat, sink[None], None, exchange, 1e-6), math.inf).sum()
    shell = 1.0 / (4.0 * math.pi * (middle - 0.5))
    assert current == pytest.approx(rate * 1e-6 / (0.25273 - shell), rel=0.02)
