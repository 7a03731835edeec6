"""The table of processes of a stack: every kind of event with its barrier, prefactor and rate at 300 K."""

from typing import Any

from .lattice import Region
from .model import NO_HOP, build_model
from .morphology import spacing_nm
from .rates import forward_barrier, oxidation_barrier, reduction_barrier, thermal_rate
from .settings import Settings

STAGE_K = 300.0
_PLACES = {Region.ORGANIC: "organic", Region.CORE: "crystal core", Region.SURFACE: "crystal surface",
           Region.GAP: "ligand gap", Region.VOID: "void", Region.BOUNDARY: "grain boundary"}  # fmt: skip


def process_table(stack, settings: Settings | None = None) -> list[dict[str, Any]]:
    """Rows of event, place, barrier_eV, prefactor_hz, rate_hz (no field, 300 K) and their card values."""
    settings = settings or Settings()
    model = build_model(stack, spacing_nm(stack, settings), settings)[0]
    metal = stack.electrode.symbol or stack.electrode.name
    return _hops(stack, model, metal) + _redox(stack, model, metal) + _electrode(stack, model, metal)


def _row(event: str, place: str, barrier: float, prefactor: float, source: str) -> dict[str, Any]:
    rate = float(thermal_rate(prefactor, barrier, STAGE_K))
    return {"event": event, "place": place, "barrier_eV": round(float(barrier), 3),
            "prefactor_hz": float(prefactor), "rate_hz": rate, "source": source}  # fmt: skip


def _hops(stack, model, metal: str) -> list[dict[str, Any]]:
    """Hops of silver ions and vacancies inside each kind of place."""
    rows = []
    for region, place in _PLACES.items():
        for event, name, key in ((f"{metal}+ hop", "ion", "silver_ion"), ("V_Br hop", "vacancy", "vacancy")):
            barrier = model[f"{name}_barrier"][region, region]
            if barrier < NO_HOP and (stack.active is not None or region == Region.ORGANIC):
                prefactor = model[f"{name}_prefactor"][region, region]
                rows.append(_row(event, place, forward_barrier(barrier, 0.0, 0.5), prefactor, key))
    return rows


def _redox(stack, model, metal: str) -> list[dict[str, Any]]:
    """Oxidation of an atom by bonds, the reverse, and surface diffusion."""
    home = Region.VOID if stack.active is not None else Region.ORGANIC
    rows, source = [], "bond_energy, reduction_barrier"
    for bonds in range(1, 6):
        chemical = model["ion_energy"][home] + bonds * model["bond"]
        out = oxidation_barrier(model["reduction"], chemical, 0.0, model["transfer"])
        back = reduction_barrier(model["reduction"], chemical, 0.0, model["transfer"])
        place = f"{bonds} bond{'s' if bonds > 1 else ''}"
        rows.append(_row(f"{metal} -> {metal}+ + e-", place, out, model["attempt"], source))
        rows.append(_row(f"{metal}+ + e- -> {metal}", place, back, model["attempt"], source))
    for lost in range(3):
        barrier = model["diffusion"] + lost * model["bond"]
        place = f"{lost} bonds lost"
        move = f"{metal} surface move"
        rows.append(_row(move, place, barrier, model["attempt"], "surface_diffusion_barrier"))
    return rows


def _electrode(stack, model, metal: str) -> list[dict[str, Any]]:
    """Ionisation at the silver electrode and its reverse; exchange of vacancies."""
    home, place = Region.SURFACE if stack.active is not None else Region.ORGANIC, f"{metal} electrode"
    chemical = model["ion_energy"][home] - model["kink"]
    out = oxidation_barrier(model["electrode"], chemical, 0.0, model["transfer"])
    back = reduction_barrier(model["electrode"], chemical, 0.0, model["transfer"])
    rows = [_row("ionisation", place, out, model["attempt"], "exchange_barrier"),
            _row("return", place, back, model["attempt"], "exchange_barrier")]  # fmt: skip
    if model["exchange"] < NO_HOP:
        chemical = model["exchange_energy"] + model["vacancy_energy"][home]
        barrier = oxidation_barrier(model["exchange"], chemical, 0.0, model["transfer"])
        rows.append(_row("V_Br exchange", place, barrier, model["attempt"],
                         "electrode_exchange_barrier"))  # fmt: skip
    return rows
