"""Atoms that go their way by themselves for a slice: they leave and meet when they would flight by flight."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from small_device import Window, answering, problems, run, table, tally
from test_advance import same_bytes, stale

from kmc.geometry.lattice import Region
from kmc.kinetics import advance
from kmc.system.neighbours import neighbour
from kmc.system.parameter_tables import NO_HOP
from kmc.system.state import ELECTRODE_METAL, FIELD, KIND_ION, KIND_METAL, METAL, Grid, State, allocate

SHAPE = (5, 10, 10)
FIRST = 2 * 100 + 22  # on the plate
OTHER = FIRST + 44  # four sites away along x and y
MANY = (FIRST, OTHER, FIRST + 6, FIRST + 60, FIRST + 27)
LIVES, MEETINGS, BATCHES, SIGMAS = 1500, 500, 60, 3.5


def plate(
    atoms: tuple[int, ...], slice_s: float, speed: float = 1.0, split_eV: float = 0.0, hold_eV: float = 0.0
) -> Window:
    """Atoms with one bond on flat metal, in a flat potential; a slice of so many seconds."""
    region = np.full(SHAPE, Region.SURFACE, np.uint8)
    region[2:, :, 5:] = Region.GAP
    region[:2] = Region.ELECTRODE
    room = np.zeros(SHAPE, np.uint8)
    room[2] = 1
    state = State(*map(answering, allocate(region, room, region.size)))
    state.sites["cation"][region.ravel() == Region.ELECTRODE] = ELECTRODE_METAL
    advance.place_many(state, Grid(*SHAPE), KIND_METAL, np.array(atoms, np.int32))
    fields = np.zeros(region.size, FIELD)
    fields["temperature"] = 400.0
    model = table(pairs=False)
    inner = np.ix_([0], [Region.SURFACE, Region.GAP], [Region.SURFACE, Region.GAP])
    model["ion_barrier"][inner], model["ion_prefactor"][inner] = 0.25, 1.5e11
    model["ion_barrier"][0, Region.GAP, Region.GAP] -= split_eV
    model["ion_energy"], model["adhesion"], model["face"] = -0.15, 0.0, 1.0
    model["adhesion"][0, Region.GAP] = hold_eV
    model["bond"], model["kink"], model["diffusion"], model["isolated"] = 0.3, -0.9, 0.8, 0.0
    model["electrode"], model["exchange"], model["explicit_vacancies"] = 3.0, NO_HOP, 0
    model["flight"], model["reduction"] = 2, 0.3
    model["attempt"] *= speed
    model["ion_prefactor"] *= speed
    w = Window(state, Grid(*SHAPE), answering(fields), answering(model)[0])
    state.run["shift_bound"] = np.inf
    w.model["stroll"] = slice_s
    advance.refresh_all(*w)
    return w


def life(w: Window, generator: np.random.Generator) -> tuple[float, float, float]:
    """Time until the ion of the only atom leaves, s; square of the way to where it is then, sites; time until
    that was known, s."""
    run_, entities, known = w.state.run, w.state.entities, 0.0
    while run_["ions"][0] == 0:
        run(w, generator, np.inf, 1)
        if known == 0.0 and (entities["ahead"].max() > 1 or run_["ions"][0]):
            known = float(run_["time"][0])
    ion = entities[int(np.argmax(entities["kind"] == KIND_ION))]
    apart = np.abs(np.subtract((ion["y"], ion["x"]), divmod(FIRST % 100, 10), dtype=float))
    return float(run_["time"][0]), float(np.sum(np.minimum(apart, 10 - apart) ** 2)), known


def meeting(w: Window, generator: np.random.Generator) -> tuple[float]:
    """Time until two atoms are beside each other and none waits, s, however often they were ions before."""
    entities = w.state.entities
    while True:
        metal = np.flatnonzero(entities["kind"] == KIND_METAL)
        if len(metal) > 1 and not entities["ahead"].any() and bonds(w, int(entities["site"][metal[0]])) > 1:
            return (float(w.state.run["time"][0]),)
        run(w, generator, np.inf, 1)


def bonds(w: Window, site: int) -> int:
    """Metal beside a site."""
    return sum(int(w.state.sites["cation"][neighbour(w.grid, site, d)] >= METAL) for d in range(6))


@lru_cache(maxsize=16)
def outcomes(atoms: tuple[int, ...], slice_s: float, speed: float = 1.0) -> np.ndarray:
    """[windows, n]: lives of one atom or meetings of two, by one stream of draws."""
    generator, w, out = np.random.default_rng(7), plate(atoms, slice_s, speed), []
    for _ in range(LIVES if len(atoms) == 1 else MEETINGS):
        own = w.copy()
        own.state.run["unspent"] = generator.standard_exponential()
        out.append((life if len(atoms) == 1 else meeting)(own, generator))
    return np.array(out)


def apart(some: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Differences of means in standard errors."""
    return np.asarray((some.mean(0) - other.mean(0)) / np.sqrt((some.var(0) + other.var(0)) / len(some)))


@pytest.mark.parametrize("slice_s", [3e-8, 3e-7, 3e-6])
def test_an_atom_leaves_when_and_where_it_does_flight_by_flight(slice_s: float) -> None:
    """Mean time until its ion leaves, and square of the way to where that is; slices up to over its life.

    By 3.5 standard errors of 1500 lives (3 % and 4 %). Power: 18 % in the time and 22 % in the square are
    found with a probability over 0.9. Negative control: an atom that leaves before its time is up.
    """
    some, exact = outcomes((FIRST,), slice_s), outcomes((FIRST,), 0.0)
    assert np.abs(apart(some, exact)[:2]).max() < SIGMAS
    if slice_s == 3e-6:
        assert apart(some, exact)[2] < -SIGMAS


@pytest.mark.parametrize("slice_s", [*(pytest.param(some, marks=pytest.mark.slow) for some in (3e-8, 3e-7)), 1e-6])
def test_two_atoms_meet_when_they_do_flight_by_flight(slice_s: float) -> None:
    """Mean time until they are beside each other, by 3.5 standard errors of 500 meetings (5.5 % of it).

    Power: 27 % are found with a probability over 0.9. Negative control: all at 0.6 times the rate.
    """
    exact, some, slow = (outcomes((FIRST, OTHER), *how) for how in ((0.0,), (slice_s,), (slice_s, 0.6)))
    assert abs(apart(some, exact)[0]) < SIGMAS < apart(slow, exact)[0]


@lru_cache(maxsize=8)
def seen(slice_s: float, hold_eV: float = 0.0) -> np.ndarray:
    """[BATCHES, 2]: shares of time that the atom is seen in either half of the plate; 200 looks each."""
    generator, out = np.random.default_rng(9), np.zeros((BATCHES, 2))
    w = plate((FIRST,), slice_s, split_eV=0.06, hold_eV=hold_eV)
    for look in range(200 * BATCHES):
        run(w, generator, (look + 1) * 1e-6, 10**9, True)
        k = int(np.argmax(w.state.entities["kind"] == KIND_METAL))
        if w.state.entities["kind"][k] == KIND_METAL:
            out[look // 200, int(w.state.entities["x"][k] >= 5)] += 1 / 200
    return out


@pytest.mark.parametrize("slice_s", [pytest.param(1e-7, marks=pytest.mark.slow), 1e-6])
def test_an_atom_is_seen_where_it_is_flight_by_flight(slice_s: float) -> None:
    """Shares of time in two halves of the plate, from one of which ions leave six times as fast, and so as an
    ion. By 3.5 standard errors (of 0.007 each). Power: 0.05 is found with a probability over 0.9; a slice was
    seen to shift them by 0.012. Negative control: 12 meV more hold it in one half."""
    exact, some, held = seen(0.0), seen(slice_s), seen(slice_s, 0.003)
    assert np.abs(apart(some, exact)).max() < SIGMAS < np.abs(apart(held, exact)).min()


def test_atoms_that_cannot_move_are_as_without_a_slice() -> None:
    """A slice much shorter than a step: the same events at the same times. Control: one of some steps."""
    some = [plate((FIRST, OTHER), slice_s) for slice_s in (0.0, 1e-11, 3e-7)]
    for w in some:
        run(w, np.random.default_rng(11), np.inf, 300)
    still, short, longer = (w.state.sites.tobytes() + w.state.run.tobytes() for w in some)
    assert still == short != longer


def test_rates_books_and_silver_are_right_at_any_time() -> None:
    """Five atoms, after each of two hundred times 100 trials; some wait, some to leave. At the end the
    slice is nil: all go on, and nobody waits anew."""
    w, generator, waiting, leaving = plate(MANY, 3e-7), np.random.default_rng(5), 0, 0
    for _ in range(200):
        run(w, generator, np.inf, 100)
        assert stale(w) == problems(w) == []
        waiting += int(np.count_nonzero(w.state.entities["ahead"]))
        leaving += int(np.count_nonzero(w.state.entities["ahead"] > 1))
        assert sum(tally(w)[name] for name in ("ions", "metal", "reservoir")) == len(MANY)
    assert min(waiting, leaving) > 2
    w.model["stroll"] = 0.0
    run(w, generator, np.inf, 4000)
    assert not w.state.entities["ahead"].any()


def test_same_seed_same_bytes_whoever_looks() -> None:
    """Two runs of one seed agree in every byte, also if one stops to look at any time, or after some trials.
    Negative control: another stream."""
    a, b, c, d = (plate(MANY, 3e-7) for _ in range(4))
    for w, seed in ((a, 11), (b, 11), (c, 12)):
        run(w, np.random.default_rng(seed), np.inf, 3000)
    assert same_bytes(a, b) == [] != same_bytes(a, c)
    events, run_ = np.random.default_rng(11), d.state.run
    for stop in np.sort(np.random.default_rng(3).uniform(0.0, 1.1 * a.state.run["time"][0], 40)):
        status = advance.BUDGET
        while run_["trials"][0] < 3000 and status != advance.REACHED:
            status = run(d, events, stop, min(70, 3000 - int(run_["trials"][0])), look=True)
    run(d, events, np.inf, 3000 - int(run_["trials"][0]))
    assert same_bytes(a, d) == []
