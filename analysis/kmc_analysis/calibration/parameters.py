"""What may be fitted or varied within its sigma: numbers of cards that all devices share, or of one kind."""

from __future__ import annotations

from typing import NamedTuple

from kmc.cards.card_schema import FAMILIES
from kmc.cards.stack import Stack, load_stack
from kmc.core.errors import UserError
from kmc_analysis.experiment.reproduce.figure_runs import REFERENCE

MOST = 8  # free parameters
# Ionisation, bonds, nucleation, motion on surfaces, ions in the film, leak, heat of the substrate, forming.
DEFAULT = (
    "electrode.exchange_barrier",
    "electrode.bond_energy",
    "electrode.isolated_redox_factor",
    "electrode.surface_diffusion_barrier",
    "active.silver_ion_formation_energy",
    "active.injection_limit",
    "device.substrate_thermal_resistance",
    "device.residue_gap",
)
OWN = ("ligand", "grain", "crystal")  # structure, or the ligand's own: never shared


class Free(NamedTuple):
    """A free parameter: path, unit, starting value, and bounds in that unit; `log` where it spans decades."""

    path: str
    unit: str
    start: float
    low: float
    high: float
    log: bool

    def told(self, value: float) -> str:
        """A value as a choice of a stack."""
        return f"{value:.8g} {self.unit}".strip() if self.unit != "1" else f"{value:.8g}"


def free(paths: list[str] | tuple[str, ...] = DEFAULT, shared: bool = True, reach: float = 1.0) -> list[Free]:
    """The parameters `paths` of the cards, `shared` by all devices or not, each over `reach` of its sigma
    either way. UserError for more than eight, for one that is named twice, is not shared or has no sigma."""
    twice = next((path for k, path in enumerate(paths) if path in paths[:k]), None)
    if twice:
        raise UserError(f"{twice} is named twice", next_step="name it once")
    if len(paths) > MOST:
        raise UserError(f"{len(paths)} parameters; at most {MOST} are fitted at once", next_step="name fewer")
    stack = load_stack(REFERENCE)  # whose cards say where a parameter starts and how far it may go
    return [_free(stack, path, shared, reach) for path in paths]


def _free(stack: Stack, path: str, shared: bool, reach: float) -> Free:
    role, _, key = path.partition(".")
    if shared and role in OWN:
        raise UserError(
            f"{path} is not shared by all devices", next_step="take a number of electrode, active, organic or device"
        )
    stack.value(path)  # UserError with the nearest name
    card = stack.cards()[role]
    number = card.quantity(key)
    if not number.sigma:
        raise UserError(f"{path} has no sigma, so no bounds", next_step="name another, or give it a sigma")
    sigma, unit = reach * number.sigma, number.unit or "1"
    low, high = number.value - sigma, number.value + sigma
    bounds = FAMILIES[card.family][key]
    factors = number.factors(bounds)
    if factors:
        low, high = number.value / factors[0] ** reach, number.value * factors[1] ** reach
    if unit == (bounds.unit or "1"):
        low, high = max(low, bounds.low), min(high, bounds.high)
    return Free(path, unit, number.value, low, high, factors is not None)
