"""The table of processes says what the kernels do, where the lattice has it, with all that the cards say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from small_stacks import device, loaded, reduced

from kmc.cards.card_schema import FAMILIES
from kmc.cards.stack import Stack
from kmc.cli.commands.check import check
from kmc.core.units import K_B
from kmc.geometry.builder import spacing_nm
from kmc.geometry.lattice import OPEN, TIGHT, Region
from kmc.inputs.settings import Settings
from kmc.kinetics import advance
from kmc.kinetics.event_rates import metal_rates
from kmc.kinetics.process_table import PROCESSES, process_table, reverse_of
from kmc.kinetics.redox_rates import redox
from kmc.system.neighbours import neighbour
from kmc.system.parameter_tables import build_model
from kmc.system.state import FIELD, KIND_METAL, METAL, Grid, State, allocate

# Where metal grows, in stacks of each kind.
HOMES = {
    "ogb_20nm": Region.GAP,
    "ddab_20nm": Region.GAP,
    "thin_film_100nm": Region.BOUNDARY,
    "interlayers_only": Region.ORGANIC,
}
PLACES = {
    "organic": Region.ORGANIC,
    "crystal core": Region.CORE,
    "crystal surface": Region.SURFACE,
    "ligand gap": Region.GAP,
    "void": Region.VOID,
    "grain boundary": Region.BOUNDARY,
}
SHAPE, GRID, MIDDLE = (8, 8, 8), Grid(8, 8, 8), (4, 4, 4)
TIGHT_PLACE = ", between chains"


def table(stack: Stack, **settings: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows by event and place."""
    rows = process_table(stack, Settings(**settings))
    found = {(row["event"], row["place"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def adhering(name: str) -> Stack:
    """A stack whose metal sticks to all that is around it, so that no term of the energies is nil."""
    choices = {f"{role}.metal_adhesion": "0.03 eV" for role in ("ligand", "organic") if role in loaded(name).cards()}
    return loaded(name).choose(**choices)


def crowd(home: Region, room: int, atoms: list[tuple[int, int, int]]) -> tuple[State, np.ndarray]:
    """A lattice all of one region with atoms on some sites, at 300 K without a potential."""
    region = np.full(SHAPE, home, np.uint8)
    state = allocate(region, np.full_like(region, room), 16)
    sites = [np.ravel_multi_index(place, SHAPE) for place in atoms]
    advance.place_many(state, GRID, KIND_METAL, np.array(sites, np.int32))
    fields = np.zeros(region.size, FIELD)
    fields["temperature"] = 300.0
    return state, fields


@pytest.mark.parametrize("name", HOMES)
def test_redox_is_the_kernels(name: str) -> None:
    """Alone and by bonds, both ways, in the seam and where chains are pushed aside."""
    stack, home = adhering(name), HOMES[name]
    model = build_model(stack, spacing_nm(stack, Settings()), Settings())[0]
    metal, site = stack.electrode.symbol, int(np.ravel_multi_index(MIDDLE, SHAPE))
    ways = {f"{metal} -> {metal}+ + e-": True, f"{metal}+ + e- -> {metal}": False}
    rows = {key: row for key, row in table(stack).items() if key[0] in ways}
    places = {place for _, place in rows}
    bonds = {"alone": 0, "1 bond": 1, **{f"{n} bonds": n for n in range(2, 6)}}
    tight = {"alone" + TIGHT_PLACE, "2 bonds" + TIGHT_PLACE} if stack.ligand is not None else set()
    assert places == set(bonds) | tight
    for (event, place), row in rows.items():
        state, fields = crowd(home, TIGHT if place in tight else OPEN, [])
        for direction in range(bonds[place.removesuffix(TIGHT_PLACE)]):
            state.sites["cation"][neighbour(GRID, site, direction)] = METAL
        rate = redox(state, GRID, fields, model, site, 0.0, ways[event])
        assert row["rate_hz"] == pytest.approx(rate, rel=1e-9), (event, place)


@pytest.mark.parametrize("name", HOMES)
def test_moves_along_metal_are_the_kernels(name: str) -> None:
    """An atom that stands on others steps to +x and loses none, one and two of its bonds."""
    stack, home = adhering(name), HOMES[name]
    model = build_model(stack, spacing_nm(stack, Settings()), Settings())[0]
    below, beside, further = (3, 4, 4), (4, 4, 3), (3, 4, 5)
    supports = {"0 bonds lost": [below, further], "1 bond lost": [below], "2 bonds lost": [below, beside]}
    move = f"{stack.electrode.symbol} surface move"
    rows = {place: row for (event, place), row in table(stack).items() if event == move}
    tight = {"0 bonds lost" + TIGHT_PLACE} if stack.ligand is not None else set()
    assert set(rows) == set(supports) | tight
    for place, row in rows.items():
        around = supports[place.removesuffix(TIGHT_PLACE)]
        state, fields = crowd(home, TIGHT if place in tight else OPEN, [MIDDLE, *around])
        entity = int(state.sites["entity"][np.ravel_multi_index(MIDDLE, SHAPE)])
        metal_rates(state, GRID, fields, model, entity)
        assert row["rate_hz"] == pytest.approx(state.rates[entity, 1], rel=1e-9), place


@pytest.mark.parametrize(
    "change",
    [
        {"ligand.gap_barrier": "0.3 eV"},
        {"ligand.gap_ion_energy": "0.2 eV"},
        {"ligand.insertion_barrier": "1.5 eV"},
        {"ligand.metal_adhesion": "0.5 eV"},
        {"electrode.isolated_redox_factor": 0.5},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_energy_of_a_ligand_is_in_the_table(change: dict[str, Any]) -> None:
    """A ligand that differs in one has another table."""
    stack = loaded("ogb_20nm")
    assert process_table(stack.choose(**change)) != process_table(stack)


def test_rates_are_those_of_the_stage() -> None:
    """At 400 K as Arrhenius has it, with the number of the card that the barrier is."""
    cold, hot = (table(loaded("ogb_20nm"), temperature=kelvin) for kelvin in (300.0, 400.0))
    for place, source in (("ligand gap", "gap_barrier"), ("crystal surface", "silver_ion_surface_barrier")):
        one, other = cold["Ag+ hop", place], hot["Ag+ hop", place]
        assert one["source"] == other["source"] == source
        rise = other["rate_hz"] / one["rate_hz"]
        assert rise == pytest.approx(math.exp(one["barrier_eV"] / K_B * (1 / 300 - 1 / 400)), rel=0.02)
        assert rise > 3.0


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("ogb_20nm", {}),
        ("ogb_20nm", {"crevice_fraction": 0.2}),
        ("thin_film_100nm", {}),
        ("thin_film_100nm", {"crevice_fraction": 0.2}),
        ("interlayers_only", {}),
    ],
)
def test_only_places_that_the_lattice_has(name: str, choices: dict[str, Any]) -> None:
    """No grain boundary between crystals and no ligand gap in a film; all that a window has is listed."""
    stack = reduced(name, **choices)
    there = set(np.unique(device(stack).lattice.region)) & set(PLACES.values())
    listed = {PLACES[place] for event, place in table(stack, vacancies="explicit") if "hop" in event}
    assert listed - {Region.VOID} == there - {Region.VOID}
    assert listed >= there
    assert Region.VOID in listed or not choices


@pytest.mark.parametrize("name", ["ogb_20nm", "thin_film_100nm", "interlayers_only"])
def test_vacancies_have_events_where_they_are_explicit(name: str) -> None:
    """By default they are a density in equilibrium, which the settings change."""
    stack = loaded(name)
    found = [
        {event for event, _ in table(stack, **settings) if "V_Br" in event}
        for settings in ({}, {"vacancies": "explicit"})
    ]
    assert found == [set(), {"V_Br hop", "V_Br exchange"} if stack.active is not None else set()]


def test_check_says_that_vacancies_have_no_events(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line under the title; not where they have, nor where there are none."""
    run = tmp_path / "run.yaml"
    run.write_text("stack: ogb_20nm\nprotocol: [read: {}]\nsettings: {vacancies: explicit}\n")
    for name, count in (("ogb_20nm", 1), (str(run), 0), ("interlayers_only", 0)):
        check([name], barriers=True)
        said = [line for line in capsys.readouterr().out.splitlines() if "density in equilibrium" in line]
        assert len(said) == count, name


@pytest.mark.parametrize("name", HOMES)
def test_the_declaration_names_the_numbers_behind_every_row(name: str) -> None:
    """Each number that a row of a stack cites is among those that a process declares, and is one of a card."""
    declared = {key for one in PROCESSES for key in one.card_keys}
    cited = {key for row in table(loaded(name), vacancies="explicit").values() for key in row["source"].split(", ")}
    assert cited - declared == set()
    assert declared - {key for family in FAMILIES.values() for key in family} == set()


def test_every_process_is_undone_by_one_of_the_table() -> None:
    """And that one by it."""
    assert all(reverse_of(reverse_of(one)) is one for one in PROCESSES)
