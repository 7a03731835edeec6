"""Every number of every card reaches the simulation: a card value that nothing reads is a false promise.

Each value is changed and the tables, field coefficients, currents and constants that a run is made of are
compared byte for byte; only if none moved is the lattice built. Control: an unchanged stack has the same
fingerprint.
"""

import math
from functools import lru_cache

import numpy as np
import pytest
from small_stacks import device as small_device
from small_stacks import loaded, reduced

import kmc
from kmc.cards.card_schema import FAMILIES
from kmc.cards.stack import Stack
from kmc.core import random_streams
from kmc.geometry.builder import build
from kmc.geometry.lattice import Lattice, Region
from kmc.ions.vacancy_density import vacancy_cells
from kmc.system.parameter_tables import build_model
from kmc.thermal.temperature import boundary, conductivities, exchange
from kmc.transport.leakage import Leak
from kmc.transport.network import Network

STACKS = ["ogb_20nm", "thin_film_100nm", "pedot_only"]
STRUCTURAL = {"active", "ligand", "device"}
SETTINGS = kmc.Settings()
# What a lattice is built of goes into small ones as well.
SMALL = {"ogb_20nm": {"crystal_size": "6 nm", "thickness": "14 nm"}, "thin_film_100nm": {"thickness": "14 nm"}}
# Read where a window is put together (kmc.simulation.window, kmc.thermal.temperature): too costly to build
# for each number.
DEVICE = {
    "series_resistance",
    "spreading_resistance",
    "substrate_thermal_resistance",
    "surface_time_constant",
    "heat_padding",
}


def small_lattice() -> Lattice:
    """All regions in one made-up window."""
    region = np.full((16, 8, 8), Region.GAP, np.uint8)
    region[:2], region[2:4], region[14:] = Region.COUNTER, Region.ORGANIC, Region.ELECTRODE
    region[6:10, :4], region[6:8, :2], region[10:12, 4:] = Region.SURFACE, Region.CORE, Region.BOUNDARY
    region[12:14, :2] = Region.VOID
    return Lattice(0.2935, region, np.ones_like(region), np.zeros(region.shape, bool))


def fingerprint(stack: Stack) -> list[bytes]:
    """What a run reads of the cards, without building the lattice."""
    lattice = small_lattice()
    network = Network(lattice, stack, True)
    leak = Leak(stack)
    constants = repr((network.quantum, network.ohmic, network.decay, exchange(stack, 0.2935), boundary(stack))).encode()
    found = [build_model(stack, 0.2935, SETTINGS).tobytes(), conductivities(stack).tobytes(), constants]
    currents = [leak.exact(v, t) for v in (0.05, 0.5, 3.0, 30.0) for t in (300.0, 330.0)]
    found.append(np.array(currents).tobytes())
    if stack.active is not None:
        found += [cells.tobytes() for cells in vacancy_cells(lattice, stack, 2)]
    return found


@lru_cache(maxsize=64)
def lattice_hash(name: str, role: str = "", key: str = "", value: str = "") -> str:
    """Hash of the lattice of a stack, with one value changed."""
    stack = loaded(name).choose(**SMALL.get(name, {}), **({f"{role}.{key}": value} if role else {}))
    return build(stack, kmc.Settings(window="12 nm"), random_streams.stream(1, "morphology")).hash


def numbers(name: str) -> list[tuple[str, str]]:
    """(role, key) of every number on the cards of a stack that may be chosen: a ligand fills voids."""
    stack = loaded(name)
    cards = {role: card for role, card in stack.cards().items() if role != "void" or stack.ligand is None}
    return [(role, key) for role, card in cards.items() for key in card.values if key not in DEVICE]


def changed(name: str, role: str, key: str) -> str:
    """Another value that the card would take, with its unit."""
    card = loaded(name).cards()[role]
    quantity, bounds = card.values[key], FAMILIES[card.family][key]
    value = 1.4 * quantity.value if quantity.value else 0.06
    if value > bounds.high:
        value = 0.7 * quantity.value
    return f"{value} {quantity.unit}".strip()


def moves(name: str, role: str, key: str, whole: list[bytes]) -> bool:
    """Whether a change of this number changes anything that a run of the stack is made of."""
    value = changed(name, role, key)
    if fingerprint(loaded(name).choose(**{f"{role}.{key}": value})) != whole:
        return True
    return role in STRUCTURAL and lattice_hash(name, role, key, value) != lattice_hash(name)


def reached(name: str) -> set[tuple[str, str]]:
    """(family, key) of the numbers of a stack whose change moves something."""
    stack = loaded(name)
    whole = fingerprint(stack)
    assert fingerprint(kmc.load_stack(name)) == whole
    cards = stack.cards()
    return {(cards[role].family, key) for role, key in numbers(name) if moves(name, role, key, whole)}


def test_every_number_of_the_cards_reaches_the_simulation() -> None:
    """In at least one stack: a card may play several roles, a film has no ligand."""
    every = {(family, key) for family, keys in FAMILIES.items() for key in keys if key not in DEVICE}
    assert every - set().union(*map(reached, STACKS)) == set()


def put_together(name: str, key: str = "") -> tuple[float, ...]:
    """What a window reads of the device card: resistance in series, the surface's heat and the padding."""
    d = small_device(reduced(name, **({f"device.{key}": changed(name, "device", key)} if key else {})))
    return (d.series, d.heat.surface_resistance, d.heat.surface_time, float(sum(d.heat.pad)))


def test_every_number_of_the_device_reaches_a_window() -> None:
    """Each of those that the window reads moves one thing, by what it was changed by."""
    name = "ogb_20nm"
    plain = put_together(name)
    for key in DEVICE:
        moved = [a != b for a, b in zip(put_together(name, key), plain, strict=True)]
        assert moved.count(True) == 1, key
    card = loaded(name).device
    assert plain[0] == card.value("series_resistance") + card.value("spreading_resistance")


def test_the_surface_warms_with_its_time_constant() -> None:
    """Under a constant power the rise is P R (1 - exp(-t / tau)): after one and two time constants."""
    heat = small_device("ogb_20nm").heat
    steady = heat.surface_resistance * 1e-3
    for turns in (1, 2):
        heat.follow_surface(1e-3, turns * heat.surface_time)
        assert heat.surface == pytest.approx(steady * (1.0 - math.exp(-turns)), rel=1e-12)


def test_a_number_that_nothing_reads_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the conductivities of heat left out, the void's reaches nothing."""
    name, void = "thin_film_100nm", ("void", "thermal_conductivity")
    assert moves(name, *void, fingerprint(kmc.load_stack(name)))
    monkeypatch.setitem(globals(), "conductivities", lambda stack: np.zeros(1))
    assert not moves(name, *void, fingerprint(kmc.load_stack(name)))
