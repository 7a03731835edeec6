"""What a device can hardly be meant to be: it is built all the same, and told."""

from __future__ import annotations

from kmc.settings import Settings
from kmc.stack import Stack

# A length, and what it lies in.
_INSIDE = (("active.roughness", "active.thickness"), ("device.residue_gap", "active.thickness"),
           ("crystal.size", "active.thickness"), ("ligand.seam_width", "ligand.gap"))  # fmt: skip
# Numbers that nothing reads: where vacancies are no events, where a ligand fills what is between crystals, of
# an organic as the counter electrode, and always.
_OF_EVENTS = ("active.vacancy_migration_barrier", "active.vacancy_diffusion_prefactor",
              "active.vacancy_surface_barrier_ratio", "active.electrode_exchange_barrier",
              "active.electrode_exchange_energy")  # fmt: skip
_OF_FILMS = ("active.boundary_", "active.metal_adhesion")
_OF_COUNTERS = ("counter.conductivity", "counter.hole_mobility", "counter.injection_limit", "counter.silver_")
_NEVER = ("contact.metal_adhesion",)


def doubts(stack: Stack, settings: Settings) -> list[str]:
    """A sentence on each length of a stack that is larger than what it lies in, and on each number that was
    chosen and does nothing."""
    sizes = {path: one.internal for path, one in stack.numbers().items()}
    found = [f"{one} is {sizes[one]:g} nm, more than {other}, {sizes[other]:g} nm"
             for one, other in _INSIDE if sizes.get(one, 0.0) > sizes.get(other, float("inf"))]  # fmt: skip
    return found + [f"{path} does nothing here: {why}" for path in stack.choices
                    if (why := _unread(path, stack, settings))]  # fmt: skip


def _unread(path: str, stack: Stack, settings: Settings) -> str:
    """Why nothing reads the number `path` of a stack, "" where something does."""
    if settings.vacancies == "equilibrium" and path in _OF_EVENTS:
        return "vacancies are in equilibrium (settings.vacancies)"
    if stack.ligand is not None and path.startswith(_OF_FILMS):
        return "a ligand is between the crystals"
    if path.startswith(_OF_COUNTERS):
        return "the counter electrode is its resistances (device.series_resistance, .spreading_resistance)"
    return "the counter electrode's counts" if path in _NEVER else ""
