"""The first passage of the ion of an atom that ionises: its chances are those of the ion that hops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_device import Window, answering, table, window
from small_stacks import device

from kmc.kinetics import advance
from kmc.kinetics.entity_records import drop_entity
from kmc.kinetics.event_changes import apply
from kmc.kinetics.first_passage import BACK, TOTAL, flight, forget, relax_colour, tabulate
from kmc.system.neighbours import decode, neighbour
from kmc.system.parameter_tables import NO_HOP
from kmc.system.state import (
    ATOM_AT,
    EMPTY,
    FLIGHT_MOST,
    HOME,
    INTO_ELECTRODE,
    ION_AT,
    KIND_EMITTER,
    KIND_ION,
    KIND_METAL,
    KIND_VACANCY,
    METAL,
    State,
)

REACH = 2
TRIALS, FEWER = 1500, 700
SIGMAS = 4.0


def alone(seed: int) -> tuple[Window, int]:
    """A window whose only charge will be the ion of one atom, the metal at rest; that atom's entity."""
    w = window(seed)
    model = table(pairs=False)
    # nothing else leaves
    model["bond"], model["kink"], model["isolated"], model["diffusion"] = 0.9, -2.7, 0.0, 3.0
    model["ion_energy"] = -0.2
    model["electrode"], model["exchange"], model["explicit_vacancies"] = 3.0, NO_HOP, 0
    model["adhesion"] = 0.0
    w = Window(w.state, w.grid, w.fields, answering(model)[0])
    charged = np.flatnonzero(
        (w.state.entities["kind"] == KIND_VACANCY)
        | (w.state.sites["cation"][np.maximum(w.state.entities["site"], 0)] == 1)
    )
    w = without(w, charged)
    advance.refresh_all(*w)
    near = [
        (bonds(w, e), e)
        for e in np.flatnonzero(w.state.entities["kind"] == KIND_METAL)
        if 3 < int(w.state.entities["z"][e]) < w.grid.nz - 5
    ]
    return w, max((n, -e) for n, e in near if n <= 2)[1] * -1


def bonds(w: Window, entity: int) -> int:
    """Metal beside an atom."""
    site = int(w.state.entities["site"][entity])
    return sum(int(w.state.sites["cation"][neighbour(w.grid, site, d)] >= METAL) for d in range(6))


def without(w: Window, entities: np.ndarray) -> Window:
    """The window with these charges taken away."""
    for entity in entities:
        if w.state.entities["kind"][entity] not in (0, KIND_METAL, KIND_EMITTER):
            drop_entity(w.state, w.grid, int(entity))
    return w


def hop_by_hop(w: Window, entity: int, generator: np.random.Generator) -> tuple[int, int]:
    """Where the ion of an atom ends as it hops: the same ends as those of `flight`."""
    home = int(w.state.entities["site"][entity])
    own = w.copy()
    assert apply(*own, generator, entity, 6, 0.0)
    ion = int(own.state.sites["entity"][home])
    site = home
    metal = own.state.run["metal"][0]
    x0, y0, z0 = decode(w.grid, home)
    while True:
        advance.advance(*own, generator, math.inf, 1, False)
        if own.state.run["metal"][0] > metal:
            return (HOME if site == home else ATOM_AT), site
        if own.state.run["ions"][0] == 0:
            return INTO_ELECTRODE, site
        site = int(own.state.entities["site"][ion])
        x, y, z = decode(w.grid, site)
        dx, dy = ((int(v) + n // 2) % n - n // 2 for v, n in ((x - x0, w.grid.nx), (y - y0, w.grid.ny)))
        if max(abs(dx), abs(dy), abs(int(z - z0))) > REACH:
            return ION_AT, site


@pytest.mark.parametrize(
    ("seed", "trials"), [(1, FEWER), *(pytest.param(seed, TRIALS, marks=pytest.mark.slow) for seed in (1, 4))]
)
def test_an_ion_comes_back_as_often_as_it_does_hop_by_hop(seed: int, trials: int) -> None:
    """The chance to come back within four standard errors of 1500 ions that hop, of 700 in `make test`.

    Power: an error of 0.07 (0.1) in the chance would be seen with probability over 0.9. Negative control:
    half the chance is told apart.
    """
    w, entity = alone(seed)
    w.model["flight"] = 0
    generator = np.random.default_rng(3)
    back = sum(hop_by_hop(w, entity, generator)[0] == HOME for _ in range(trials)) / trials
    w.model["flight"] = REACH
    flight(*w, generator, entity)
    side = 2 * REACH + 3
    chance = float(w.state.domain[0, side**3 // 2, BACK])
    error = math.sqrt(chance * (1 - chance) / trials)
    assert 0.02 < chance < 0.98
    assert abs(back - chance) < SIGMAS * error
    assert abs(back - 0.5 * chance) > SIGMAS * error


def by_elimination(domain: np.ndarray, side: int, home: int) -> np.ndarray:
    """The chance to be reduced on the middle site from each site of a box, by Gauss' elimination."""
    steps = (-1, 1, -side, side, -side * side, side * side)
    sites = np.flatnonzero(domain[:, TOTAL] > 0.0)
    number = {int(k): n for n, k in enumerate(sites)}
    matrix, right = np.eye(len(sites)), np.zeros(len(sites))
    for k, n in number.items():
        for channel, step in enumerate(steps):
            if domain[k, channel] > 0.0 and k + step in number:
                matrix[n, number[k + step]] -= domain[k, channel]
    right[number[home]] = domain[home, 6]
    found = np.zeros(len(domain))
    found[sites] = np.linalg.solve(matrix, right)
    return found


@pytest.mark.parametrize("reach", [1, 2, 4])
def test_the_chain_is_solved(reach: int) -> None:
    """Chances of all sites of the domain within 1e-7 of those by elimination, for every atom of a window.

    Negative control: the chances of one sweep are told apart.
    """
    w, _ = alone(1)
    w.model["flight"] = reach
    side = 2 * reach + 3
    home, most, ways = side**3 // 2, 0.0, 0
    for atom in np.flatnonzero(w.state.entities["kind"] == KIND_METAL):
        if reach < int(w.state.entities["z"][atom]) < w.grid.nz - 1 - reach:
            flight(*w, np.random.default_rng(1), int(atom))
            domain = w.state.domain[0, : side**3]
            right = by_elimination(domain, side, home)
            assert np.abs(domain[:, BACK] - right).max() < 1e-7
            ways += 0.01 < right[home] < 0.99
            domain[:, BACK] = 0.0
            relax_colour(domain, side, 0)
            relax_colour(domain, side, 1)
            most = max(most, float(np.abs(domain[:, BACK] - right).max()))
    assert ways > 2
    assert most > 0.01


def test_who_is_alone_needs_no_list() -> None:
    """An ion seven, five or three sites from the atom: the chain is the same whether or not lists are asked.

    Control: the nearest one changes it.
    """
    changed = []
    for apart in (7, 5, 3):
        w, atom = alone(1)
        model = table(pairs=True)
        for name in ("bond", "kink", "ion_energy", "adhesion", "isolated"):
            model[name] = w.model[name]
        w = Window(w.state, w.grid, w.fields, answering(model)[0])
        w.model["flight"] = 1
        z, y, x = (int(w.state.entities[name][atom]) for name in "zyx")
        bare = tabulated(w, atom)
        high = z + apart if z + apart < w.grid.nz - 2 else z - apart
        free = np.flatnonzero(w.state.sites["cation"].reshape(w.grid.nz, -1)[high] == 0)
        place = high * w.grid.ny * w.grid.nx + free[np.argmin(np.abs(free - (y * w.grid.nx + x)))]
        advance.place_many(w.state, w.grid, KIND_ION, np.array([place], np.int32))
        with_lists = w.copy()
        with_lists.state.crowd[:] += 1
        assert (tabulated(w, atom) == tabulated(with_lists, atom)).all()
        changed.append(bool((tabulated(w, atom) != bare).any()))
    assert changed[-1]


def tabulated(w: Window, atom: int) -> np.ndarray:
    """The chain around an atom."""
    site, own = int(w.state.entities["site"][atom]), w.copy()
    own.state.sites["cation"][site] = EMPTY
    tabulate(*own, atom, site, own.state.domain[0])
    return own.state.domain[0, : (2 * int(w.model["flight"]) + 3) ** 3]


@pytest.mark.parametrize("trials", [FEWER, pytest.param(TRIALS, marks=pytest.mark.slow)])
def test_an_ion_that_goes_ends_where_hops_would_take_it(trials: int) -> None:
    """Means of the three coordinates and of the kind of end, on condition of not coming back, by 4 sigma.

    Control: ends that lie one site higher are told apart.
    """
    w, entity = alone(1)
    ends: dict[int, list[tuple[int, ...]]] = {0: [], REACH: []}
    for reach, found in ends.items():
        w.model["flight"] = reach
        generator = np.random.default_rng(8)
        while len(found) < trials // 2:
            w.state.entities["returns"][entity] = 0.0
            how, site = flight(*w, generator, entity) if reach else hop_by_hop(w, entity, generator)
            if how != HOME:
                found.append((how == ION_AT, *(int(v) for v in decode(w.grid, site))))
    hops, flights = (np.array(ends[k], float) for k in (0, REACH))
    error = np.sqrt((hops.var(axis=0) + flights.var(axis=0)) / len(hops))
    bound = SIGMAS * np.maximum(error, 1e-3)
    assert (np.abs(hops.mean(axis=0) - flights.mean(axis=0)) < bound).all()
    higher = flights.mean(axis=0) + np.array([0.0, 0.0, 0.0, 1.0])
    assert not (np.abs(hops.mean(axis=0) - higher) < bound).all()


def test_a_flight_leaves_all_as_it_was() -> None:
    """Sites, potentials, counts: to the last bit; the chance to come back is what its atom remembers."""
    w, entity = alone(1)
    w.model["flight"] = REACH
    before = w.copy()
    how, _ = flight(*w, np.random.default_rng(1), entity)
    assert w.fields.tobytes() == before.fields.tobytes()
    assert w.state.sites.tobytes() == before.state.sites.tobytes()
    assert w.state.run["ions"][0] == before.state.run["ions"][0]
    place = ["site", "kind", "x", "y", "z", "total"]
    assert (np.asarray(w.state.entities[place]) == np.asarray(before.state.entities[place])).all()
    assert (w.state.entities["returns"][entity] > 0.0) == (how == HOME)
    assert isinstance(w.state, State)


def test_chances_are_forgotten_when_the_voltage_moves() -> None:
    """By more than kT/e, at a whole solution, or where a run starts without flights; not by less."""
    d = device("ogb_20nm")
    atoms = d.state.entities["kind"] == KIND_METAL
    assert atoms.any()

    def kept() -> bool:
        return bool((d.state.entities["returns"][atoms] == 0.5).all())

    for what, keeps in (
        (lambda: d.set_source(0.5 * d.thermal, math.inf), True),
        (lambda: d.set_source(3.0 * d.thermal, math.inf), False),
        (d.solve_fields, False),
        (d.start_again, False),
    ):
        d.state.entities["returns"][atoms] = 0.5
        what()
        assert kept() == keeps


@pytest.mark.parametrize("shape", [(16, 4, 4), (16, 4, 8), (16, 8, 12)])
def test_chances_near_a_change_are_forgotten_once_round_a_window(shape: tuple[int, int, int]) -> None:
    """Of all atoms within the reach of a flight and one site, round the window; of no other."""
    w = window(3, shape=shape)
    model = table()
    model["flight"] = FLIGHT_MOST
    w = Window(w.state, w.grid, w.fields, answering(model)[0])
    metal = np.flatnonzero(w.state.entities["kind"] == KIND_METAL)
    places = np.column_stack([w.state.entities[axis][metal].astype(int) for axis in "zyx"])
    size, kept = np.array(shape), 0
    for site in range(0, w.state.sites.size, 5):
        w.state.entities["returns"][metal] = 0.5
        forget(w.state, w.grid, w.model, site)
        apart = np.abs(places - np.array(np.unravel_index(site, shape)))
        apart[:, 1:] = np.minimum(apart[:, 1:], size[1:] - apart[:, 1:])
        far = apart.max(axis=1) > FLIGHT_MOST + 1
        assert (w.state.entities["returns"][metal] == np.where(far, 0.5, 0.0)).all()
        kept += int(far.sum())
    assert kept
