"""Equilibrium at equal potentials, and diffusion and drift, with the tables that every stack's cards give."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from small_device import Window, run
from small_stacks import LAYERED, SOME, STACKS, device, loaded, reduced, window_of

from kmc.cards.stack import Stack
from kmc.core.units import K_B
from kmc.geometry.lattice import ACTIVE, Region
from kmc.inputs.settings import Settings
from kmc.kinetics import advance
from kmc.kinetics.event_changes import add_charge
from kmc.system.parameter_tables import NO_HOP, build_model
from kmc.system.state import FIELD, ION, KIND_ION, KIND_VACANCY, METAL, Grid, allocate

# -- diffusion and drift ------------------------------------------------------------------------------------

STAGE_K = 300.0


def diffusivities(stack: Stack) -> dict[tuple[int, int], float]:
    """(kind, region): diffusivity on the cards, D0 exp(-E/kT) at 300 K in nm2/s."""
    rows: dict[tuple[int, int], tuple[str, float]] = {}
    if stack.organic is not None:
        rows[KIND_ION, Region.ORGANIC] = "organic.silver_ion", stack.value("organic.silver_ion_barrier")
    if stack.active is not None:
        bulk = stack.value("active.vacancy_migration_barrier")
        surface = bulk * stack.value("active.vacancy_surface_barrier_ratio")
        rows[KIND_ION, Region.CORE] = "active.silver_ion", stack.value("active.silver_ion_migration_barrier")
        rows[KIND_VACANCY, Region.CORE] = "active.vacancy", bulk
        edge = Region.BOUNDARY if stack.ligand is None else Region.SURFACE
        rows[KIND_VACANCY, edge] = "active.vacancy", surface
        key = "active.boundary_barrier" if stack.ligand is None else "active.silver_ion_surface_barrier"
        rows[KIND_ION, edge] = "active.silver_ion", stack.value(key)
    if stack.ligand is not None:
        rows[KIND_ION, Region.GAP] = "active.silver_ion", stack.value("ligand.gap_barrier")
        rows[KIND_VACANCY, Region.GAP] = "active.vacancy", stack.value("ligand.gap_barrier")
    return {
        place: stack.value(f"{name}_diffusion_prefactor") * math.exp(-barrier / (K_B * STAGE_K))
        for place, (name, barrier) in rows.items()
    }


def hops(stack: Stack, kind: int, region: int, spacing_nm: float, field_V_nm: float) -> np.ndarray:
    """Rates of a lone charge's hops in six directions in a uniform film, potential falling along +z, 1/s."""
    shape = (16, 8, 8)
    model = build_model(stack, spacing_nm, Settings(ion_pairs=False, vacancies="explicit"))
    fields = np.zeros(shape, FIELD)
    fields["temperature"] = STAGE_K
    fields["unit"] = -field_V_nm * spacing_nm * np.arange(16)[:, None, None]
    state = allocate(np.full(shape, region, np.uint8), np.zeros(shape, np.uint8), 16)
    w = Window(state, Grid(*shape), fields.ravel(), model[0])
    advance.place_many(state, w.grid, kind, np.array([np.ravel_multi_index((8, 4, 4), shape)], np.int32))
    state.run["voltage_device"] = 1.0
    advance.refresh_all(*w)
    return state.rates[0, :6].copy()


@pytest.mark.parametrize("factor", [0.5, 1.0])
@pytest.mark.parametrize("name", STACKS)
def test_every_diffusivity_of_the_cards_and_its_drift(name: str, factor: float) -> None:
    """D = a2 (G+ + G-) / 2 is the card's along each axis, and v = a (G+ - G-) is (D/kT) F, signed.

    At two spacings. Exact for D; v within 1e-4 at a field of kT/50 a hop.
    """
    stack = loaded(name)
    constant = stack.value("active.lattice_constant") if stack.active is not None else 0.587
    spacing = factor * constant
    found = diffusivities(stack)
    assert len(found) == (7 if stack.ligand is not None else 5 if stack.active is not None else 1)
    for (kind, region), expected in found.items():
        step = spacing * (2 if kind == KIND_VACANCY else 1)
        still = hops(stack, kind, region, spacing, 0.0)
        along = step**2 * still.reshape(3, 2).sum(1) / 2
        assert (still == still[0]).all()
        assert along == pytest.approx(expected, rel=1e-9)
        field = 0.02 * K_B * STAGE_K / step
        down = hops(stack, kind, region, spacing, field)
        drift = step * (down[5] - down[4])
        assert drift == pytest.approx(expected / (K_B * STAGE_K) * field, rel=1e-4)
        assert down[:4] == pytest.approx(still[:4], rel=1e-12)


# -- equilibrium --------------------------------------------------------------------------------------------

HOT_K = 700.0
SAMPLES, TRIALS, BATCHES = 240, 4000, 24
REST = [name for name in STACKS if name not in SOME]


def abundant(name: str) -> Stack:
    """A thin small stack in which an ion costs the electrode 0.35 to 0.45 eV: so there are some to count.

    No silver is left in it, which would feed more. Barriers that make it slow are changed, on which
    equilibrium does not depend: of ions in the organic, and of metal that plates electrodes and boundaries
    or pushes chains aside.
    """
    gold = name.endswith("_au")  # dearer to ionise, by the difference of redox potentials
    choices = {
        "organic.silver_ion_formation_energy": "-0.25 eV" if gold else "0.45 eV",
        "organic.silver_ion_barrier": "0.25 eV",
        "electrode.surface_diffusion_barrier": "1.5 eV",
        "device.residue_height": "0",
    }
    if name in LAYERED:
        choices["active.silver_ion_formation_energy"] = "-0.43 eV" if gold else "0.35 eV"
        choices["thickness"] = "4 nm"
    if loaded(name).crystal is None:
        choices["electrode.reduction_barrier"] = "0.7 eV"
    if loaded(name).ligand is not None:
        choices["ligand.insertion_barrier"] = "3 eV"
    return reduced(name, **choices)


def hot(stack: Stack, **switches: bool | str) -> Window:
    """A window at 700 K and 0 V, without interactions of ions; no ion that comes back at once is left out."""
    plain = {"ion_pairs": False, "space_charge": False, "flight_reach": 0, "ion_slice": "0 s"}
    w = window_of(device(stack, **plain | switches))
    w.fields["temperature"] = HOT_K
    advance.refresh_all(*w)
    w.state.run["unspent"] = 1.0
    return w


def standard_error(values: np.ndarray) -> np.ndarray:
    """Of the mean of correlated samples [n, ...], from batches."""
    batches = values[: len(values) // BATCHES * BATCHES].reshape(BATCHES, -1, *values.shape[1:]).mean(1)
    return batches.std(0, ddof=1) / math.sqrt(BATCHES)


def looks(w: Window, count: Callable[[], np.ndarray], samples: int = SAMPLES, trials: int = TRIALS) -> np.ndarray:
    """What `count` finds at evenly spaced times, about `trials` trials apart, once the start is forgotten.

    Not after equal numbers of trials: those are more frequent where there are more ions.
    """
    generator = np.random.default_rng(12)
    run(w, generator, np.inf, 100 * trials)
    start = float(w.state.run["time"][0])
    found = []
    for k in range(1, samples + 1):
        run(w, generator, start * (1 + k / 100), 10**9, True)
        found.append(count())
    return np.array(found)


def ten_hops(name: str) -> str:
    """A slice of some ten hops, much shorter than an ion lives: between chains they are the fastest."""
    return "0.3 ns" if loaded(name).ligand is None else "0.05 ns"


@pytest.mark.parametrize(
    ("name", "ion_slice", "samples"),
    [
        *((name, ion_slice, 2 * SAMPLES) for name in SOME for ion_slice in (ten_hops(name), "0 s")),
        *(
            pytest.param(name, ion_slice, 2 * SAMPLES, marks=pytest.mark.slow)
            for name in REST
            for ion_slice in (ten_hops(name), "0 s")
        ),
    ],
)
def test_ions_are_distributed_as_boltzmann_says(name: str, ion_slice: str, samples: int) -> None:
    """At equal potentials ions over empty sites are exp(-(E - kink)/kT) in every region, whatever metal does.

    The kinks of the electrode are the reservoir, from which the window fills; hop by hop, and in slices of
    some ten hops. In each region within 5 standard errors (of 24 batches); that of all ions is below 15 %.
    Negative control: energies 30 meV higher (39 % fewer ions).
    """
    w = hot(abundant(name), ion_slice=ion_slice)
    region, cation = w.state.sites["region"], w.state.sites["cation"]
    places = [np.flatnonzero(region == r) for r in (Region.ORGANIC, *ACTIVE) if (region == r).sum() > 200]

    def count() -> np.ndarray:
        return np.array([((cation[p] == ION).sum(), (cation[p] == 0).sum()) for p in places], float)

    ions, empty = np.moveaxis(looks(w, count, samples), 2, 0)
    energy = np.array([w.model["ion_energy"][region[p[0]]] for p in places]) - w.model["kink"]
    expected = np.exp(-energy / (K_B * HOT_K)) * empty
    assert (np.abs((ions - expected).mean(0)) < 5 * standard_error(ions - expected)).all()
    all_ions, all_expected = ions.sum(1), expected.sum(1)
    assert standard_error(all_ions) < 0.15 * all_expected.mean()
    wrong = all_ions - math.exp(-0.03 / (K_B * HOT_K)) * all_expected
    assert abs(wrong.mean()) > 4 * standard_error(wrong)


@pytest.mark.parametrize("name", LAYERED)
def test_explicit_vacancies_are_distributed_as_the_accelerated_ones(name: str) -> None:
    """Hopping one by one in a fixed potential, with one site a cell, vacancies take the Fermi distribution.

    That is what kmc.ions.vacancy_density assumes between field updates. Sixty vacancies at 0.25 V, without
    interactions and exchange: their mean potential within 4 standard errors. Negative controls: an even
    spread, and that of half the temperature.
    """
    still = {
        "active.electrode_exchange_barrier": "3 eV",
        "electrode.exchange_barrier": "2 eV",
        "electrode.reduction_barrier": "2 eV",
        "electrode.surface_diffusion_barrier": "3 eV",
    }
    stack = reduced(name, **still)
    w = hot(stack, vacancies="explicit")
    halide = np.zeros((w.grid.nz, w.grid.ny, w.grid.nx), bool)
    halide[::2, ::2, ::2] = True
    region, cation = w.state.sites["region"], w.state.sites["cation"]
    sites = np.flatnonzero(halide.ravel() & np.isin(region, ACTIVE) & (cation < METAL))
    open_ = w.model["vacancy_barrier"].diagonal()[region[sites]] < NO_HOP
    sites = sites[open_]
    for site in np.random.default_rng(2).permutation(sites)[:60]:
        if w.state.sites["vacancy"][site] < 0:
            add_charge(w.state, w.grid, w.model, KIND_VACANCY, int(site))
    w.state.run["voltage_device"] = 0.25
    advance.refresh_all(*w)
    phi = 0.25 * w.fields["unit"][sites]
    found = looks(w, lambda: w.state.sites["vacancy"][sites] >= 0, 120, 4000)
    number = found[0].sum()
    assert (found.sum(1) == number).all()
    energy = found @ phi / number
    error = standard_error(energy)
    assert abs(energy.mean() - fermi(phi, number, HOT_K) @ phi / number) < 4 * error
    assert abs(energy.mean() - fermi(phi, number, HOT_K / 2) @ phi / number) > 4 * error
    assert abs(energy.mean() - phi.mean()) > 4 * error


def fermi(phi: np.ndarray, number: int, temperature: float) -> np.ndarray:
    """Occupations 1 / (1 + exp((phi - mu)/kT)) that sum up to a number."""
    low, high = phi.min() - 2.0, phi.max() + 2.0
    for _ in range(100):
        mu = 0.5 * (low + high)
        share = 1 / (1 + np.exp((phi - mu) / (K_B * temperature)))
        low, high = (mu, high) if share.sum() < number else (low, mu)
    return share
