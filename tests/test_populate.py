"""Explicit vacancies at t = 0: only where a halide site is one unit cell's, and never fewer than drawn."""

from __future__ import annotations

from typing import Any

import pytest
from small_stacks import reduced, settings

from kmc.errors import UserError
from kmc.morphology import build
from kmc.populate import draw_vacancies
from kmc.stack import load_stack
from kmc.streams import stream


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
