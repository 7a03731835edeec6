"""The table of processes of a stack: every kind of event with its barrier, prefactor and rate."""

from typing import Any

from kmc.geometry.builder import spacing_nm
from kmc.geometry.lattice import Region
from kmc.inputs.settings import Settings
from kmc.system.parameter_tables import NO_HOP, build_model
from kmc.system.rate_laws import forward_barrier, oxidation_barrier, reduction_barrier, thermal_rate

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
        (Region.SURFACE, Region.VOID, Region.BOUNDARY),
        "vacancy_migration_barrier, vacancy_surface_barrier_ratio",
    ),
}
_NEIGHBOURS = 6
_TIGHT = ", between chains"


def process_table(stack, settings: Settings | None = None) -> list[dict[str, Any]]:
    """Rows of event, place, barrier_eV, prefactor_hz, rate_hz (no field, at the settings' temperature) and
    source: the numbers of cards behind them."""
    settings = settings or Settings()
    model = build_model(stack, spacing_nm(stack, settings), settings)[0]
    metal = stack.electrode.symbol or stack.electrode.name
    rows = [
        *_hops(stack, model, metal),
        *_redox(stack, model, metal),
        *_moves(stack, model, metal),
        *_electrode(stack, model, metal),
    ]
    return [_with_rate(row, settings.temperature) for row in rows]


def _row(event: str, place: str, barrier: float, prefactor: float, source: str) -> dict[str, Any]:
    return {
        "event": event,
        "place": place,
        "barrier_eV": float(barrier),
        "prefactor_hz": float(prefactor),
        "source": source,
    }


def _with_rate(row: dict[str, Any], stage_K: float) -> dict[str, Any]:
    rate = float(thermal_rate(row["prefactor_hz"], row["barrier_eV"], stage_K))
    source = row.pop("source")
    return {**row, "barrier_eV": round(row["barrier_eV"], 3), "rate_hz": rate, "source": source}


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
    """Energy of an atom with `count` metal neighbours, as `kernels_near.bonds_at` has it, eV."""
    adhesion = model["adhesion"][home]
    return count * (model["bond"] - adhesion) + (_NEIGHBOURS - count) * adhesion


def _number(bonds: int) -> str:
    return f"{bonds} bond" if bonds == 1 else f"{bonds} bonds"


def _hops(stack, model, metal: str) -> list[dict[str, Any]]:
    """Hops of silver ions inside each kind of place, and of vacancies where they are explicit."""
    kinds = [(f"{metal}+ hop", "ion", _ION_BARRIERS)]
    kinds += [("V_Br hop", "vacancy", _VACANCY_BARRIERS)] if model["explicit_vacancies"] else []
    rows = []
    for region in _regions(stack):
        for event, name, keys in kinds:
            barrier = model[f"{name}_barrier"][region, region]
            if barrier < NO_HOP:
                prefactor = model[f"{name}_prefactor"][region, region]
                key = keys[Region.GAP if region == Region.VOID and stack.ligand is not None else region]
                rows.append(_row(event, _PLACES[region], forward_barrier(barrier, 0.0, 0.5), prefactor, key))
    return rows


def _redox(stack, model, metal: str) -> list[dict[str, Any]]:
    """Oxidation of an atom by bonds, and the reverse; alone it is the end of a nucleus, and nucleation."""
    home, bound = _home(stack), "bond_energy, reduction_barrier"
    alone, pushed = "reduction_barrier, isolated_redox_factor", "reduction_barrier, insertion_barrier"
    cases = [("alone", 0, 0.0, alone), *((_number(n), n, 0.0, bound) for n in range(1, 6))]
    if stack.ligand is not None:
        cases += [
            (f"alone{_TIGHT}", 0, model["insertion"], pushed),
            (f"{_number(2)}{_TIGHT}", 2, model["insertion"], pushed),
        ]
    rows = []
    for place, bonds, insertion, source in cases:
        chemical = model["ion_energy"][home] + _bonds(model, home, bonds)
        saddle = model["reduction"] + insertion
        attempt = model["attempt"] * (1.0 if bonds else model["isolated"])
        out = oxidation_barrier(saddle, chemical, 0.0, model["transfer"])
        back = reduction_barrier(saddle, chemical, 0.0, model["transfer"])
        energies = f"{source}, metal_adhesion" + (", gap_ion_energy" if home == Region.GAP else "")
        rows.append(_row(f"{metal} -> {metal}+ + e-", place, out, attempt, energies))
        rows.append(_row(f"{metal}+ + e- -> {metal}", place, back, attempt, source))
    return rows


def _moves(stack, model, metal: str) -> list[dict[str, Any]]:
    """Surface diffusion of metal by the bonds that an atom loses."""
    home, event, source = _home(stack), f"{metal} surface move", "surface_diffusion_barrier"
    rows = []
    for lost in range(3):
        cost = max(_bonds(model, home, lost) - _bonds(model, home, 0), 0.0)
        rows.append(_row(event, f"{_number(lost)} lost", model["diffusion"] + cost, model["attempt"], source))
    if stack.ligand is not None:
        rows.append(
            _row(
                event,
                f"{_number(0)} lost{_TIGHT}",
                model["diffusion"] + model["insertion"],
                model["attempt"],
                f"{source}, insertion_barrier",
            )
        )
    return rows


def _electrode(stack, model, metal: str) -> list[dict[str, Any]]:
    """Ionisation at the silver electrode and its reverse; exchange of vacancies where they are explicit."""
    home, place = Region.SURFACE if stack.ligand is not None else _home(stack), f"{metal} electrode"
    chemical = model["ion_energy"][home] - model["kink"]
    out = oxidation_barrier(model["electrode"], chemical, 0.0, model["transfer"])
    back = reduction_barrier(model["electrode"], chemical, 0.0, model["transfer"])
    rows = [
        _row("ionisation", place, out, model["attempt"], "exchange_barrier"),
        _row("return", place, back, model["attempt"], "exchange_barrier"),
    ]
    if model["explicit_vacancies"] and model["exchange"] < NO_HOP:
        chemical = model["exchange_energy"] + model["vacancy_energy"][home]
        barrier = oxidation_barrier(model["exchange"], chemical, 0.0, model["transfer"])
        rows.append(_row("V_Br exchange", place, barrier, model["attempt"], "electrode_exchange_barrier"))
    return rows
