"""How an electron passes between a silver atom or ion and a source of electrons: one rate law a mechanism.

A mechanism is a kernel with the prefactor and barrier of a transfer, and a row of MECHANISMS that says where it
takes place and which numbers of cards it reads. `transfer_rate` sums their rates, and the table of processes
lists each. To add one: docs/how-to/add-an-event.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kmc.geometry.lattice import TIGHT
from kmc.system.neighbours import inlined, kernel
from kmc.system.rate_laws import oxidation_barrier, reduction_barrier, thermal_rate


@inlined
def insertion(model, room: int) -> float:
    """Added to both barriers of an atom that comes between ligand chains and must push them aside, eV."""
    return model.insertion if room == TIGHT else 0.0


@kernel
def direct(model, site, attempt: float, chemical: float, field: float, oxidise: bool) -> tuple[float, float]:
    """Prefactor (1/s) and barrier (eV) of a direct transfer (Butler-Volmer).

    site: the record of the site, of which `region` and `room` are read; attempt: frequency of attempts, 1/s;
    chemical: energy of the ion over that of the atom without fields, eV; field: potential of the ion over that
    of the electron, V. Both directions share the saddle: ln(oxidation / reduction) = -(chemical + field) / kT.
    """
    saddle = model.reduction + insertion(model, site.room)
    if oxidise:
        return attempt, oxidation_barrier(saddle, chemical, field, model.transfer)
    return attempt, reduction_barrier(saddle, chemical, field, model.transfer)


@dataclass(frozen=True)
class Mechanism:
    """One way for an electron to pass: its name in the table of processes ("" for the direct one), its kernel,
    the numbers of cards that its barrier reads beside the energies of atom and ion, and where it takes place."""

    name: str
    law: Callable[..., Any]
    card_keys: tuple[str, ...]
    condition: str


MECHANISMS = (Mechanism("", direct, ("reduction_barrier",), "a silver atom or an electrode is a neighbour"),)


@kernel
def transfer_rate(model, site, attempt: float, energies, temperature: float, oxidise: bool) -> float:
    """Rate of oxidation or reduction over all MECHANISMS, 1/s; energies: (chemical, field) as of `direct`."""
    prefactor, barrier = direct(model, site, attempt, energies[0], energies[1], oxidise)
    return thermal_rate(prefactor, barrier, temperature)
