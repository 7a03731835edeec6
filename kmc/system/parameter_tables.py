"""The tables of rates that the kernels read, made from the cards of a stack."""

import numpy as np

from kmc.cards.card_schema import FAMILIES
from kmc.geometry.lattice import ACTIVE, Region
from kmc.system.rate_laws import hop_prefactor, screened_pair_energy

REGIONS = len(Region)
PAIR_UNIT = 2.0**-40  # eV
PAIR_REACH = 4  # sites; also the edge of a cell of the neighbour list
#: width of what the mesh leaves out of a repulsion, by mesh factor, and softening at contact, sites: as
#: solutions on the sites themselves have it (`tests/physics/test_potential_laws.py`); of one site: nothing
PAIR_RANGE, PAIR_SOFT = {1: 1e-3, 2: 1.5, 4: 4.5}, 0.2
NO_HOP = 1e3  # eV: a barrier that is never crossed
METAL_FACE = int(Region.ELECTRODE)  # of `face_table`: what a face to any metal leads into
ORGANIC_REGION = int(Region.ORGANIC)

#: Numbers of the metal's card that mechanisms of electron transfer read: fields of MODEL by their own names.
TRANSFER_KEYS = tuple(key for key in FAMILIES["metal"] if key.endswith("_transfer_barrier"))

#: One stack's tables as one record (a pointer to the kernels), a field for each number of the rate laws; regions
#: index the tables. eV, 1/s, nm.
MODEL = np.dtype(
    [
        ("ion_energy", "f8", REGIONS),  # energy of an ion; an isolated silver atom is 0
        ("ion_barrier", "f8", (REGIONS, REGIONS)),  # intrinsic barrier of an ion hop
        ("ion_prefactor", "f8", (REGIONS, REGIONS)),
        ("adhesion", "f8", REGIONS),  # bond of a metal atom to a foreign site
        ("vacancy_energy", "f8", REGIONS),
        ("vacancy_barrier", "f8", (REGIONS, REGIONS)),
        ("vacancy_prefactor", "f8", (REGIONS, REGIONS)),
        ("face", "f8", (REGIONS, REGIONS)),  # relative permittivity between two sites
        # repulsion by a charge in a region, by squared distance in sites, eV; times `screen` of where it is felt
        ("pair", "f8", (REGIONS, PAIR_REACH**2 + 1)),
        ("screen", "f8", REGIONS),  # one over the root of the permittivity
        ("reach", "i8"),  # 0: no pair term
        ("bond", "f8"),
        ("kink", "f8"),  # energy of an atom at a kink of the electrode
        ("attempt", "f8"),
        ("reduction", "f8"),  # intrinsic barrier of reduction on metal
        ("electrode", "f8"),  # the same at the silver electrode
        ("transfer", "f8"),
        ("insertion", "f8"),  # added to the barriers, both ways, of an atom that comes between ligand chains
        ("diffusion", "f8"),  # intrinsic barrier of surface diffusion of metal
        ("isolated", "f8"),  # factor on redox without a metal neighbour: the electron tunnels in
        ("exchange", "f8"),  # barrier of vacancy exchange at the silver electrode; NO_HOP: none
        ("exchange_energy", "f8"),
        ("explicit_vacancies", "i8"),
        ("flight", "i8"),  # sites around an atom within which its ion's first passage is solved; 0: hop by hop
        ("slice", "f8"),  # s, mean time slice of an ion's frozen-environment walk; 0: hop by hop
        ("stroll", "f8"),  # s, mean time slice of an adatom's frozen-environment walk; 0: flight by flight
        *((key, "f8") for key in TRANSFER_KEYS),  # intrinsic barriers, eV; NO_HOP: none
    ]
)


def build_model(stack, spacing_nm: float, settings) -> np.ndarray:
    """Tables of a stack on a lattice of the given spacing, with the settings' ablations."""
    metal = stack.electrode
    energy, barrier, diffusion = _ion_tables(stack)
    v_energy, v_barrier, v_diffusion = _vacancy_tables(stack)
    active = stack.active.card if stack.active is not None else None
    model = np.zeros(1, MODEL)
    model["ion_energy"], model["ion_barrier"] = energy, _higher(barrier)
    model["ion_prefactor"] = hop_prefactor(_geometric(diffusion), spacing_nm)
    model["adhesion"], model["vacancy_energy"] = _adhesion(stack), v_energy
    model["face"] = face_table(permittivities(stack))
    model["vacancy_barrier"] = _higher(v_barrier)
    model["vacancy_prefactor"] = hop_prefactor(_geometric(v_diffusion), 2 * spacing_nm)
    if settings.ion_pairs and active is not None:
        model["screen"] = permittivities(stack) ** -0.5
        model["pair"] = pair_table(model["screen"][0], spacing_nm, settings.mesh_factor)
        model["reach"] = PAIR_REACH**2 + 1
    for field, key in METAL_KEYS.items():
        model[field] = metal.value(key)
    for key in TRANSFER_KEYS:
        model[key] = metal.get(key, NO_HOP)
    if stack.ligand is not None:
        model["insertion"] = stack.ligand.value("insertion_barrier")
    model["kink"] = -3 * metal.value("bond_energy")
    model["exchange"] = active.value("electrode_exchange_barrier") if active else NO_HOP
    model["exchange_energy"] = active.value("electrode_exchange_energy") if active else 0.0
    model["flight"] = settings.flight_reach
    model["slice"], model["stroll"] = settings.ion_slice, settings.atom_slice
    model["explicit_vacancies"] = settings.vacancies == "explicit"
    return model


def permittivities(stack) -> np.ndarray:
    """Relative permittivity by region; electrodes as perfect conductors."""
    return fill_layers(np.ones(len(Region)), stack, "permittivity")


def fill_layers(values: np.ndarray, stack, key: str) -> np.ndarray:
    """`values` by region, with the cards' number `key` of all that is no electrode."""
    void = stack.void.value(key)
    values[Region.VOID] = void
    if stack.organic is not None:
        values[Region.ORGANIC] = stack.organic.card.value(key)
    if stack.active is not None:
        inside = stack.active.card.value(key)
        values[[Region.CORE, Region.SURFACE, Region.BOUNDARY]] = inside
        values[Region.GAP] = stack.ligand.value(key) if stack.ligand is not None else inside
        # Ligand chains bend into the corners where crystals meet.
        values[Region.VOID] = values[Region.GAP] if stack.ligand is not None else void
    return values


def face_table(values: np.ndarray) -> np.ndarray:
    """Permittivity of the face between two sites by their regions: harmonic; half a cell to metal.

    A metal's potential is that of its surface, half a site beyond the middle of its last atoms, whether they
    are an electrode's or a filament's. Half a cell also from the film to the organic, for its carriers are a
    sheet at its surface.
    """
    table = 2 * values[:, None] * values[None, :] / (values[:, None] + values[None, :])
    film = np.array(ACTIVE)
    table[Region.ORGANIC, film] = table[film, Region.ORGANIC] = 2 * values[film]
    for region in (Region.COUNTER, Region.ELECTRODE):
        table[region, :], table[:, region] = 2 * values, 2 * values
    return table


METAL_KEYS = {
    "bond": "bond_energy",
    "attempt": "attempt_frequency",
    "reduction": "reduction_barrier",
    "electrode": "exchange_barrier",
    "transfer": "transfer_coefficient",
    "diffusion": "surface_diffusion_barrier",
    "isolated": "isolated_redox_factor",
}


def pair_table(screen: np.ndarray, spacing_nm: float, mesh_factor: int) -> np.ndarray:
    """Pair energies by region and squared distance in sites, zero at the reach: multiples of PAIR_UNIT.

    As multiples of PAIR_UNIT their sums are exact in float64, in any order of addition and subtraction. Between
    regions the permittivity is the geometric mean, which makes the pair energy symmetric.
    """
    distance = spacing_nm * np.sqrt(np.arange(PAIR_REACH**2 + 1))
    energy = screened_pair_energy(distance, PAIR_RANGE[mesh_factor] * spacing_nm, PAIR_SOFT * spacing_nm)
    return np.rint(np.multiply.outer(screen, energy - energy[-1]) / PAIR_UNIT) * PAIR_UNIT


def _higher(values: np.ndarray) -> np.ndarray:
    """Barrier between two regions: the higher of the two; NO_HOP wins."""
    return np.maximum(values[:, None], values[None, :])


def _geometric(values: np.ndarray) -> np.ndarray:
    """Prefactor between two regions, the same in both directions."""
    return np.sqrt(values[:, None] * values[None, :])


def _adhesion(stack) -> np.ndarray:
    """Bond of a metal atom to a site of another material, eV; the weaker bond makes nucleation."""
    bond = np.zeros(REGIONS)
    if stack.ligand is not None:
        bond[[Region.SURFACE, Region.GAP]] = stack.ligand.value("metal_adhesion")
    elif stack.active is not None:
        bond[[Region.CORE, Region.SURFACE, Region.BOUNDARY]] = stack.active.card.value("metal_adhesion")
    if stack.organic is not None:
        bond[Region.ORGANIC] = stack.organic.card.value("metal_adhesion")
    bond[Region.COUNTER] = stack.counter.card.value("metal_adhesion")
    return bond


def _vacancy_tables(stack) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy, barrier and D0 of a bromide vacancy by region."""
    energy, barrier, diffusion = np.zeros(REGIONS), np.full(REGIONS, NO_HOP), np.full(REGIONS, 1e10)
    if stack.active is None:
        return energy, barrier, diffusion
    card = stack.active.card
    bulk = card.value("vacancy_migration_barrier")
    surface = bulk * card.value("vacancy_surface_barrier_ratio")
    barrier[Region.CORE] = bulk
    barrier[[Region.SURFACE, Region.BOUNDARY]] = surface
    # Ligands carry bromide: a vacancy crosses the gap from head group to head group.
    barrier[[Region.GAP, Region.VOID]] = stack.ligand.value("gap_barrier") if stack.ligand else surface
    diffusion[:] = card.value("vacancy_diffusion_prefactor")
    return energy, barrier, diffusion


def _ion_tables(stack) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy, barrier and D0 of an ion of the electrode by region, from the cards.

    Formation energies are silver's; another metal differs by its redox potential in the same surroundings.
    """
    metal = stack.electrode
    energy = np.zeros(REGIONS)
    barrier = np.full(REGIONS, NO_HOP)
    diffusion = np.full(REGIONS, 1e10)
    kink = -3 * metal.value("bond_energy")
    if stack.organic is not None:
        card = stack.organic.card
        shift = metal.value("redox_potential") - card.value("silver_redox_potential")
        energy[Region.ORGANIC] = kink + card.value("silver_ion_formation_energy") + shift
        barrier[Region.ORGANIC] = card.value("silver_ion_barrier")
        diffusion[Region.ORGANIC] = card.value("silver_ion_diffusion_prefactor")
    if stack.active is not None:
        card = stack.active.card
        shift = metal.value("redox_potential_in_bromide") - card.value("silver_redox_potential")
        base = kink + card.value("silver_ion_formation_energy") + shift
        _fill_active(stack, energy, barrier, diffusion, base)
    return energy, barrier, diffusion


def _fill_active(stack, energy, barrier, diffusion, base) -> None:
    """Ion energies and barriers in the perovskite, its surface, the ligand gap and voids."""
    card = stack.active.card
    surface_barrier = card.value("silver_ion_surface_barrier")
    diffusion[[Region.CORE, Region.SURFACE, Region.GAP, Region.VOID, Region.BOUNDARY]] = card.value(
        "silver_ion_diffusion_prefactor"
    )
    energy[Region.CORE] = base + card.value("silver_ion_core_energy")
    energy[Region.SURFACE] = base
    barrier[Region.CORE] = card.value("silver_ion_migration_barrier")
    barrier[Region.SURFACE] = surface_barrier
    if stack.ligand is not None:
        energy[[Region.GAP, Region.VOID]] = base + stack.ligand.value("gap_ion_energy")
        barrier[[Region.GAP, Region.VOID]] = stack.ligand.value("gap_barrier")
    else:
        energy[Region.BOUNDARY], energy[Region.VOID] = base + card.value("boundary_ion_energy"), base
        barrier[[Region.BOUNDARY, Region.VOID]] = card.value("boundary_barrier")
