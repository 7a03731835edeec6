"""Lines of the table of processes for one device: barrier and prefactor of each process at each kind of place."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from kmc.geometry.lattice import OPEN, TIGHT, Region
from kmc.kinetics.electron_transfer import MECHANISMS
from kmc.system.parameter_tables import NO_HOP
from kmc.system.rate_laws import forward_barrier, oxidation_barrier, reduction_barrier

_PLACES = {
    Region.ORGANIC: "organic",
    Region.CORE: "crystal core",
    Region.SURFACE: "crystal surface",
    Region.GAP: "ligand gap",
    Region.VOID: "void",
    Region.BOUNDARY: "grain boundary",
}
_ION_BARRIERS = {
    Region.ORGANIC: "silver_ion_barrier",
    Region.CORE: "silver_ion_migration_barrier",
    Region.SURFACE: "silver_ion_surface_barrier",
    Region.GAP: "gap_barrier",
    Region.VOID: "boundary_barrier",
    Region.BOUNDARY: "boundary_barrier",
}
_VACANCY_BARRIERS = {
    Region.CORE: "vacancy_migration_barrier",
    Region.GAP: "gap_barrier",
    **dict.fromkeys(
        (Region.SURFACE, Region.VOID, Region.BOUNDARY), "vacancy_migration_barrier, vacancy_surface_barrier_ratio"
    ),
}
_NEIGHBOURS = 6
_TIGHT = ", between chains"


class Device(NamedTuple):
    """What the rows are of: a stack, its record of rate parameters (MODEL), and the symbol of its metal."""

    stack: Any
    model: Any
    metal: str


class Row(NamedTuple):
    """One line: event, place, barrier (eV), prefactor (1/s), and the numbers of cards behind these."""

    event: str
    place: str
    barrier_eV: float
    prefactor_hz: float
    source: str


RowMaker = Callable[[Device], Iterator[Row]]


class _Site(NamedTuple):
    """Of the record of a site, what rate laws of electron transfer read."""

    region: int
    room: int


def _row(event: str, place: str, barrier: float, prefactor: float, source: str) -> Row:
    return Row(event, place, float(barrier), float(prefactor), source)


def _regions(stack) -> list[Region]:
    """What the lattice of a stack can have between its electrodes."""
    found = [Region.ORGANIC] if stack.organic is not None or stack.active is None else []
    if stack.ligand is not None:
        found += [Region.CORE, Region.SURFACE, Region.GAP, Region.VOID]
    elif stack.active is not None:
        crevices = [Region.VOID] if stack.crevice_fraction > 0 else []
        found += [Region.CORE, *crevices, Region.BOUNDARY]
    return found


def _home(stack) -> Region:
    """Where metal grows; in the table this is all around an atom too."""
    if stack.active is None:
        return Region.ORGANIC
    return Region.GAP if stack.ligand is not None else Region.BOUNDARY


def _bonds(model, home: Region, count: int) -> float:
    """Energy of an atom with `count` metal neighbours, as `kmc.system.neighbours.bonds_at` has it, eV."""
    adhesion = model["adhesion"][home]
    return count * (model["bond"] - adhesion) + (_NEIGHBOURS - count) * adhesion


def _number(bonds: int) -> str:
    return f"{bonds} bond" if bonds == 1 else f"{bonds} bonds"


def _hop_rows(device: Device, event: str, name: str, keys: dict[Region, str]) -> Iterator[Row]:
    """Hops inside each kind of place."""
    for region in _regions(device.stack):
        barrier = device.model[f"{name}_barrier"][region, region]
        if barrier < NO_HOP:
            prefactor = device.model[f"{name}_prefactor"][region, region]
            in_gap = region == Region.VOID and device.stack.ligand is not None
            key = keys[Region.GAP if in_gap else region]
            yield _row(event, _PLACES[region], forward_barrier(barrier, 0.0, 0.5), prefactor, key)


def ion_hop_rows(device: Device) -> Iterator[Row]:
    """Hops of ions."""
    return _hop_rows(device, f"{device.metal}+ hop", "ion", _ION_BARRIERS)


def vacancy_hop_rows(device: Device) -> Iterator[Row]:
    """Hops of vacancies, where they are explicit."""
    if device.model["explicit_vacancies"]:
        yield from _hop_rows(device, "V_Br hop", "vacancy", _VACANCY_BARRIERS)


def oxidation_rows(device: Device) -> Iterator[Row]:
    """Oxidation of an atom by its bonds; alone it is the end of a nucleus."""
    return _transfer_rows(device, f"{device.metal} -> {device.metal}+ + e-", True)


def reduction_rows(device: Device) -> Iterator[Row]:
    """Reduction of an ion by the bonds of the atom that it makes; alone it is nucleation."""
    return _transfer_rows(device, f"{device.metal}+ + e- -> {device.metal}", False)


def _transfer_rows(device: Device, event: str, oxidise: bool) -> Iterator[Row]:
    """One row a mechanism and number of bonds."""
    stack, model, home = device.stack, device.model, _home(device.stack)
    cases = [("alone", 0, OPEN), *((_number(n), n, OPEN) for n in range(1, 6))]
    cases += [(f"alone{_TIGHT}", 0, TIGHT), (f"{_number(2)}{_TIGHT}", 2, TIGHT)] if stack.ligand else []
    for one in MECHANISMS:
        law = getattr(one.law, "py_func", one.law)  # plain Python, for a few rows
        for place, bonds, room in cases:
            chemical = model["ion_energy"][home] + _bonds(model, home, bonds)
            attempt = model["attempt"] * (1.0 if bonds else model["isolated"])
            site = _Site(int(home), room)
            prefactor, barrier = law(model, site, attempt, chemical, 0.0, oxidise)
            name = f"{event} ({one.name})" if one.name else event
            yield _row(name, place, barrier, prefactor, _sources(one.card_keys, bonds, room, home, oxidise))


def _sources(keys: tuple[str, ...], bonds: int, room: int, home: Region, oxidise: bool) -> str:
    """The numbers of cards behind a row of electron transfer."""
    if room == TIGHT:
        named = [*keys, "insertion_barrier"]
    else:
        named = ["bond_energy", *keys] if bonds else [*keys, "isolated_redox_factor"]
    if oxidise:
        named += ["metal_adhesion", *(["gap_ion_energy"] if home == Region.GAP else [])]
    return ", ".join(named)


def surface_move_rows(device: Device) -> Iterator[Row]:
    """Surface diffusion of metal by the bonds that an atom loses."""
    model, home = device.model, _home(device.stack)
    event, source = f"{device.metal} surface move", "surface_diffusion_barrier"
    for lost in range(3):
        cost = max(_bonds(model, home, lost) - _bonds(model, home, 0), 0.0)
        yield _row(event, f"{_number(lost)} lost", model["diffusion"] + cost, model["attempt"], source)
    if device.stack.ligand is not None:
        barrier, sources = model["diffusion"] + model["insertion"], f"{source}, insertion_barrier"
        yield _row(event, f"{_number(0)} lost{_TIGHT}", barrier, model["attempt"], sources)


def electrode_rows(device: Device) -> Iterator[Row]:
    """Ionisation at the silver electrode."""
    model, chemical = device.model, _emission_energy(device)
    barrier = oxidation_barrier(model["electrode"], chemical, 0.0, model["transfer"])
    yield _row("ionisation", f"{device.metal} electrode", barrier, model["attempt"], "exchange_barrier")


def return_rows(device: Device) -> Iterator[Row]:
    """Its reverse."""
    model, chemical = device.model, _emission_energy(device)
    barrier = reduction_barrier(model["electrode"], chemical, 0.0, model["transfer"])
    yield _row("return", f"{device.metal} electrode", barrier, model["attempt"], "exchange_barrier")


def _emission_energy(device: Device) -> float:
    """Energy of an ion beside the electrode over that of an atom at a kink of it, eV."""
    home = Region.SURFACE if device.stack.ligand is not None else _home(device.stack)
    return float(device.model["ion_energy"][home] - device.model["kink"])


def exchange_rows(device: Device) -> Iterator[Row]:
    """Exchange of vacancies at the silver electrode, where they are explicit."""
    model = device.model
    home = Region.SURFACE if device.stack.ligand is not None else _home(device.stack)
    if model["explicit_vacancies"] and model["exchange"] < NO_HOP:
        chemical = model["exchange_energy"] + model["vacancy_energy"][home]
        barrier = oxidation_barrier(model["exchange"], chemical, 0.0, model["transfer"])
        place = f"{device.metal} electrode"
        yield _row("V_Br exchange", place, barrier, model["attempt"], "electrode_exchange_barrier")
