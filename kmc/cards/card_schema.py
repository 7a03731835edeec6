"""FAMILIES: the one table of what a material card may say.

Validation, the JSON schema of `kmc schema` and the reference in the documentation are made from it.
A new key is one line: Key(unit, low, high, required, meaning), unit and bounds as people write them.
"""

from __future__ import annotations

from typing import NamedTuple

from kmc.core.units import internal_unit


class Key(NamedTuple):
    """One number of a card. Bounds are in `unit` and inclusive; "" is dimensionless."""

    unit: str
    low: float
    high: float
    required: bool
    meaning: str

    @property
    def internal(self) -> str:
        """The unit the number takes inside the program."""
        return internal_unit(self.unit)


_METAL = {
    "attempt_frequency": Key("1/s", 1e9, 1e15, True, "attempt frequency of every event of the metal"),
    "bond_energy": Key("eV", 0.0, 2.0, True, "energy of one metal-metal bond between neighbouring sites"),
    "redox_potential": Key("V", -1.0, 2.5, True, "standard potential of metal and ion where there is no bromide"),
    "redox_potential_in_bromide": Key("V", -1.0, 2.5, True, "standard potential where bromide complexes the ion"),
    "reduction_barrier": Key(
        "eV", 0.0, 2.0, True, "barrier of reducing an ion where no voltage drives it, whatever the bonds"
    ),
    "exchange_barrier": Key("eV", 0.0, 2.0, True, "barrier of an ion's return into a kink of the electrode"),
    "isolated_redox_factor": Key(
        "", 0.0, 1.0, True, "factor on redox where no metal touches: the electron tunnels in; the most, by side"
    ),
    "resistivity": Key("ohm m", 1e-9, 1e-3, True, "resistivity of a filament of this metal"),
    "transfer_coefficient": Key(
        "", 0.0, 1.0, True, "share of a redox reaction's electrical energy in the barrier of ionisation"
    ),
    "surface_diffusion_barrier": Key("eV", 0.0, 3.0, True, "barrier of a metal atom's hop, before lost bonds"),
    "thermal_conductivity": Key("W/m/K", 0.01, 5000.0, True, "thermal conductivity of the electrode"),
    "electron_phonon_coupling": Key(
        "W/m3/K",
        1e13,
        1e23,
        False,
        "heat from electrons to lattice for each kelvin between them; left out, they share one temperature",
    ),
    "bond_conductance": Key("uS", 0.1, 1e4, True, "conductance of one metal-metal bond (a chain of one atom)"),
    "tunnelling_decade": Key("nm", 0.02, 2.0, True, "gap that lowers the tunnelling conductance tenfold"),
}

_PEROVSKITE = {
    "lattice_constant": Key("nm", 0.3, 1.5, True, "pseudo-cubic lattice constant; two sites a side"),
    "permittivity": Key("", 1.0, 1000.0, True, "static relative permittivity"),
    "thermal_conductivity": Key("W/m/K", 0.01, 100.0, True, "thermal conductivity of the crystal"),
    "silver_ion_diffusion_prefactor": Key("m2/s", 1e-13, 1e-3, True, "D0 of the silver ion"),
    "silver_ion_migration_barrier": Key("eV", 0.0, 3.0, True, "barrier of a silver ion inside a crystal"),
    "silver_ion_surface_barrier": Key("eV", 0.0, 3.0, True, "barrier of a silver ion along a crystal's surface"),
    "silver_ion_formation_energy": Key("eV", -2.0, 4.0, True, "kink atom of the electrode to ion at a surface site"),
    "silver_redox_potential": Key("V", -1.0, 2.5, True, "standard potential of the metal and its ion in the bromide"),
    "silver_ion_core_energy": Key("eV", -2.0, 2.0, True, "ion energy inside a crystal above its surface"),
    "vacancy_diffusion_prefactor": Key("m2/s", 1e-13, 1e-3, True, "D0 of the bromide vacancy"),
    "vacancy_migration_barrier": Key("eV", 0.0, 3.0, True, "barrier of a bromide vacancy inside a crystal"),
    "vacancy_surface_barrier_ratio": Key("", 0.0, 2.0, True, "surface over bulk barrier of a bromide vacancy"),
    "vacancy_density": Key("cm-3", 0.0, 5e21, True, "built-in bromide vacancies, neutralised by fixed charge"),
    "vacancy_site_limit": Key("", 0.0, 3.0, True, "most vacancies in one cell"),
    "electrode_exchange_barrier": Key(
        "eV", 0.0, 3.0, True, "barrier of a vacancy's filling at the electrode (from AgBr)"
    ),
    "electrode_exchange_energy": Key("eV", -3.0, 3.0, True, "making a vacancy there costs this more than its filling"),
    "ohmic_conductivity": Key("S/cm", 0.0, 1e3, True, "conductivity at small voltage and 300 K"),
    "mobility": Key("cm2/V/s", 0.0, 1e4, True, "mobility of the charge carriers in the film"),
    "trap_density": Key("cm-3", 0.0, 1e21, True, "density of carrier traps"),
    "trap_depth": Key("eV", 0.0, 2.0, True, "depth of the carrier traps"),
    "leak_activation_energy": Key("eV", 0.0, 2.0, True, "activation energy of the leak"),
    "injection_limit": Key("nS", 0.0, 1e3, True, "conductance of the injecting contact, whole area at 0.1 V"),
    "injection_field_lowering": Key(
        "", 0.0, 10.0, True, "lowering of the injection barrier, in kT a square root of a volt"
    ),
    "boundary_barrier": Key("eV", 0.0, 3.0, False, "barrier of a silver ion in a grain boundary (films)"),
    "boundary_ion_energy": Key("eV", -2.0, 2.0, False, "ion energy in a grain boundary above a surface site (films)"),
    "boundary_room": Key("", 0.0, 1.0, False, "share of grain-boundary sites that hold a metal atom (films)"),
    "boundary_vacancy_density": Key("1/nm2", 0.0, 20.0, False, "bromide vacancies in a grain boundary's area (films)"),
    "metal_adhesion": Key(
        "eV", -1.0, 2.0, False, "bond of metal to each bare perovskite site beside it; positive binds (films)"
    ),
}

_LIGAND = {
    "length": Key("nm", 0.1, 10.0, True, "length of the stretched chain: farther from a crystal is a corner, no gap"),
    "gap": Key("nm", 0.3, 10.0, True, "distance between the surfaces of neighbouring crystals"),
    "coverage": Key("", 0.0, 1.0, True, "share of the gap's columns that chains fill: it decides where the seam runs"),
    "seam_width": Key("nm", 0.1, 10.0, True, "width of the seam between chain bundles that takes silver"),
    "insertion_barrier": Key(
        "eV", 0.0, 3.0, True, "barrier, both ways, of a silver atom that pushes chains aside outside the seam"
    ),
    "gap_barrier": Key("eV", 0.0, 3.0, True, "barrier of a silver ion, or an explicit vacancy, for each site of a gap"),
    "gap_ion_energy": Key("eV", -2.0, 4.0, True, "ion energy in a gap above a surface site"),
    "surface_vacancy_density": Key("1/nm2", 0.0, 20.0, True, "bromide vacancies that the ligand leaves on a surface"),
    "metal_adhesion": Key("eV", -1.0, 2.0, True, "bond of metal to each surface or gap site beside it; positive binds"),
    "permittivity": Key("", 1.0, 100.0, True, "static relative permittivity"),
    "thermal_conductivity": Key("W/m/K", 0.001, 100.0, True, "thermal conductivity"),
    "boundary_conductance": Key(
        "MW/m2/K", 1.0, 1e5, False, "heat conductance between a crystal and its ligand; none: no resistance"
    ),
}

_ORGANIC = {
    "permittivity": Key("", 1.0, 100.0, True, "static relative permittivity"),
    "thermal_conductivity": Key("W/m/K", 0.001, 100.0, True, "thermal conductivity across the film"),
    "conductivity": Key("S/cm", 0.0, 1e5, True, "electronic conductivity"),
    "hole_mobility": Key("cm2/V/s", 0.0, 1e4, True, "mobility of holes"),
    "injection_limit": Key("nS", 0.0, 1e9, True, "conductance of the injecting contact, whole area at 0.1 V"),
    "leak_activation_energy": Key("eV", 0.0, 2.0, True, "activation energy of the leak"),
    "silver_redox_potential": Key("V", -1.0, 2.5, True, "standard potential of silver and its ion in the organic"),
    "silver_ion_formation_energy": Key("eV", -2.0, 4.0, True, "kink atom of the electrode to ion in the organic"),
    "silver_ion_barrier": Key("eV", 0.0, 3.0, True, "barrier of a silver ion"),
    "silver_ion_diffusion_prefactor": Key("m2/s", 1e-13, 1e-3, True, "D0 of the silver ion"),
    "metal_adhesion": Key("eV", -1.0, 2.0, True, "bond of a metal atom to the organic; positive binds"),
}

_CONTACT = {
    "metal_adhesion": Key("eV", -1.0, 2.0, True, "bond of a metal atom to the contact"),
    "thermal_conductivity": Key("W/m/K", 0.01, 5000.0, True, "thermal conductivity"),
}

_VOID = {
    "permittivity": Key("", 1.0, 10.0, True, "static relative permittivity"),
    "thermal_conductivity": Key("W/m/K", 0.0001, 10.0, True, "thermal conductivity"),
}

_DEVICE = {
    "contact_area": Key("um2", 1e-4, 1e9, True, "area of the silver contact, of the bulk of the leak alone"),
    "series_resistance": Key("ohm", 0.0, 1e9, True, "resistance of leads and sheets outside the window"),
    "spreading_resistance": Key("ohm", 0.0, 1e12, True, "resistance from the foot of a filament into the counter"),
    "substrate_thermal_resistance": Key("K/W", 0.0, 1e8, True, "surface warming that a camera sees, by device power"),
    "surface_time_constant": Key("ms", 1e-3, 1e6, True, "settling time of that warming"),
    "heat_padding": Key("nm", 0.0, 1e6, True, "distance from the window to the heat sink"),
    "residue_radius": Key("nm", 0.0, 50.0, True, "radius of the silver that forming left in the organic"),
    "residue_gap": Key("nm", 0.0, 1000.0, True, "gap that a reset left between residue and electrode"),
    "stump_radius": Key("nm", 0.0, 50.0, True, "reach of that silver beside the seam or grain boundary"),
    "residue_height": Key("", 0.0, 1.0, True, "height of that silver as a share of the organic's thickness"),
}

FAMILIES: dict[str, dict[str, Key]] = {
    "metal": _METAL,
    "perovskite": _PEROVSKITE,
    "ligand": _LIGAND,
    "organic": _ORGANIC,
    "contact": _CONTACT,
    "void": _VOID,
    "device": _DEVICE,
}

MEANING = {
    "metal": "a metal electrode that gives ions (silver, gold)",
    "perovskite": "the halide perovskite, as nanocrystals or as a film",
    "ligand": "the molecule between the crystals",
    "organic": "an organic transport layer",
    "contact": "a counter contact that gives no ions (ITO)",
    "void": "space that nothing fills",
    "device": "what belongs to the whole device and its stage",
}

# The numbers of a stack, checked as those of a card are.
STACK_KEYS: dict[str, Key] = {
    "thickness": Key("nm", 0.5, 2000.0, True, "thickness of the layer"),
    "roughness": Key("nm", 0.0, 100.0, False, "root mean square roughness of the layer's top"),
    "size": Key("nm", 1.5, 100.0, True, "edge of a crystal's square section"),
    "aspect_ratio": Key("", 1.0, 10.0, False, "length over edge of a crystal; sigma is its spread"),
    "grain_size": Key("nm", 3.0, 1000.0, True, "mean grain diameter of a film"),
    "boundary": Key("nm", 0.2, 5.0, True, "width of a grain boundary"),
    "crevice_fraction": Key("", 0.0, 0.9, False, "share of the film's area that is an open crevice"),
}
