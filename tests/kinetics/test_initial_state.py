"""Explicit vacancies at t = 0: only where a halide site is one unit cell's, and never fewer than drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_stacks import device, free, reduced, settings, window_of

from kmc.cards.stack import load_stack
from kmc.core.errors import UserError
from kmc.core.random_streams import stream
from kmc.geometry.builder import build
from kmc.geometry.lattice import Region
from kmc.kinetics import advance
from kmc.kinetics.event_changes import add_charge, apply
from kmc.kinetics.initial_state import draw_vacancies
from kmc.simulation import state_dict
from kmc.system.neighbours import neighbour
from kmc.system.state import KIND_METAL, KIND_VACANCY


def drawn(choices: dict[str, Any], **values: Any) -> int:
    """Explicit vacancies of a small window."""
    stack, some = reduced("ogb_20nm", **choices), settings(vacancies="explicit", **values)
    return len(draw_vacancies(build(stack, some, stream(1, "morphology")), stack, some, 1))


@pytest.mark.parametrize("factor", [0.3, 0.7, 1.0, 2.0])
def test_explicit_vacancies_need_two_sites_a_unit_cell(factor: float) -> None:
    """Else every second site is no halide site, and their number is not the density's."""
    with pytest.raises(UserError, match="spacing_factor is") as caught:
        drawn({}, spacing_factor=factor)
    assert "equilibrium" in caught.value.next_step


@pytest.mark.parametrize("limit", [0.2, 3])
def test_explicit_vacancies_are_one_a_site(limit: float) -> None:
    """A site limit that the draw does not look at is refused."""
    with pytest.raises(UserError, match="vacancy_site_limit"):
        drawn({"active.vacancy_site_limit": limit})


def test_no_vacancy_that_was_drawn_is_left_out() -> None:
    """More than there are halide sites in the crystals are refused, not cut."""
    assert drawn({"active.vacancy_density": "2e20 cm-3"}) > 0
    with pytest.raises(UserError, match="were drawn for"):
        drawn({"active.vacancy_density": "5e21 cm-3", "ligand.surface_vacancy_density": "1 1/nm2"})


def test_other_vacancies_are_as_they_were() -> None:
    """In equilibrium any spacing and any limit will do, and without perovskite nothing is drawn."""
    stack, some = load_stack("pedot_only"), settings(vacancies="explicit", spacing_factor=1.0)
    assert not len(draw_vacancies(build(stack, some, stream(1, "morphology")), stack, some, 1))
    stack, some = reduced("ogb_20nm", **{"active.vacancy_site_limit": 3}), settings(spacing_factor=1.0)
    assert not len(draw_vacancies(build(stack, some, stream(1, "morphology")), stack, some, 1))


def test_no_vacancy_is_drawn_under_silver() -> None:
    """Nor of a stump that fills many halide sites; some of those would have had one."""
    stack = reduced("thin_film_100nm", **{"active.vacancy_density": "2e21 cm-3", "device.stump_radius": "2 nm"})
    some = settings(vacancies="explicit")
    lattice = build(stack, some, stream(1, "morphology"))
    found = draw_vacancies(lattice, stack, some, 1)
    assert len(found) > 10
    assert not lattice.residue.ravel()[found].any()


@pytest.mark.parametrize("vacant", [False, True])
def test_silver_does_not_move_onto_a_vacancy(vacant: bool) -> None:
    """Under it the two would pin each other for ever. Control: onto the same site without one it moves."""
    d = device("ogb_20nm", vacancies="explicit", atom_slice=0)
    halide = np.zeros(d.lattice.shape, bool)
    halide[::2, ::2, ::2] = True
    sites = d.state.sites
    gap = set(free(d, d.lattice.region == Region.GAP).tolist())
    for site in free(d, halide & (d.lattice.region == Region.GAP)):
        beside = neighbour(d.grid, int(site), 0)
        if sites["vacancy"][site] < 0 and beside in gap:
            break
    advance.place_many(d.state, d.grid, KIND_METAL, np.array([beside], np.int32))
    if vacant:
        add_charge(d.state, d.grid, d.model, KIND_VACANCY, int(site))
    atom = int(sites["entity"][beside])
    assert apply(*window_of(d), np.random.default_rng(1), atom, 1, 0.0) != vacant
    assert (sites["cation"][beside] == 0) != vacant


def test_vacancies_of_another_kind_do_not_go_on() -> None:
    """Explicit ones are none of a run without space charge, though neither keeps a density of them."""
    saved = state_dict.device_state(device("ogb_20nm", vacancies="explicit"))
    assert state_dict.mismatch(device("ogb_20nm", space_charge=False), saved) == "kind of vacancies"
    assert not state_dict.mismatch(device("ogb_20nm", vacancies="explicit"), saved)


def test_a_run_goes_on_from_a_device_with_less_silver() -> None:
    """Its state has fewer places for entities than the new one's: it is taken as it is."""
    fewer, more = (reduced("ogb_20nm", **{"device.residue_gap": gap}) for gap in ("3 nm", "0.6 nm"))
    d, small = device(more), device(fewer)
    assert small.state.entities.size < d.state.entities.size
    saved = state_dict.device_state(small)
    assert not state_dict.mismatch(d, saved)
    state_dict.restore_device(d, saved)
    assert d.state.entities.size == small.state.entities.size
    assert (d.state.sites == small.state.sites).all()
