"""Laws of the event kernels: detailed balance, waiting times, equilibrium, diffusion and drift."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from detailed_balance import KINDS, imbalance, sample
from scipy import stats
from small_device import Window, run, window

from kmc.cards.stack import load_stack
from kmc.core.units import K_B
from kmc.geometry.lattice import Region
from kmc.inputs.settings import Settings
from kmc.kinetics import advance
from kmc.system.neighbours import neighbour
from kmc.system.parameter_tables import MODEL, build_model
from kmc.system.state import FIELD, KIND_ION, METAL, Grid, allocate

# -- local detailed balance -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worn() -> Window:
    """A window after thousands of events: metal of every shape, and charges next to each other.

    All metal has one potential, for between two there is no equilibrium (`test_redox` has the law of that).
    """
    w = window(1)
    run(w, np.random.default_rng(11), np.inf, 6000)
    metal = w.state.sites["cation"] >= METAL
    w.fields["unit"][metal], w.fields["space_potential"][metal] = 0.4, 0.01
    w.state.supply[0] = (0.7, 0.3, 0.02)  # of atoms by themselves
    advance.refresh_all(*w)
    return w


def test_every_event_obeys_local_detailed_balance(worn: Window) -> None:
    """Forward over reverse rate is exp(-energy/kT) for each kind of event, to 1e-9, with every term present.

    Exact, so no power to state: thirty events of each kind between random regions, bonds, charges, potentials
    and temperatures. The potential of a place that metal leaves or takes is the one the kernel gives it.
    """
    events = sample(worn, 30)
    for name, some in events.items():
        assert len(some) >= 10, name
        worst = max(abs(imbalance(worn, event)) for event in some)
        assert worst < 1e-9, (name, worst)


@pytest.mark.parametrize(
    ("term", "name"),
    [
        ("bonds", "surface move"),
        ("bonds", "oxidation"),
        ("adhesion", "surface move"),
        ("adhesion", "oxidation"),
        ("pairs", "ion hop"),
        ("pairs", "vacancy hop"),
        ("pairs", "oxidation"),
        ("pairs", "ionisation"),
        ("pairs", "exchange"),
    ],
)
def test_a_missing_energy_is_seen(worn: Window, term: str, name: str) -> None:
    """Negative control: with one term of the energy left out, detailed balance fails."""
    some = sample(worn, 30)[name]
    assert max(abs(imbalance(worn, event, **{term: False})) for event in some) > 1e-3


def test_the_potential_counts(worn: Window) -> None:
    """Negative control: without the cost in the potential, detailed balance fails."""
    for name in set(KINDS) - {"surface move"}:
        some = [event._replace(charge_eV=0.0) for event in sample(worn, 10)[name]]
        assert max(abs(imbalance(worn, event)) for event in some) > 1e-3


# -- a lone ion -----------------------------------------------------------------------------------------


def film(
    shape: tuple[int, int, int],
    model: np.ndarray,
    site: int,
    seed: int,
    region: np.ndarray | None = None,
    fields: np.ndarray | None = None,
) -> tuple[Window, np.random.Generator]:
    """A lone ion in a film without electrodes, at rates up to date."""
    generator = np.random.default_rng(seed)
    region = np.full(shape, Region.CORE, np.uint8) if region is None else region
    if fields is None:
        fields = np.zeros(region.size, FIELD)
        fields["temperature"] = 300.0
    state = allocate(region, np.zeros(shape, np.uint8), 16)
    w = Window(state, Grid(*shape), fields, model[0])
    advance.place_many(state, w.grid, KIND_ION, np.array([site], np.int32))
    state.run["voltage_device"], state.run["shift_bound"] = 1.0, np.inf
    state.run["unspent"] = generator.standard_exponential()
    advance.refresh_all(*w)
    return w, generator


def plain_model(barrier_eV: float = 0.0, prefactor_hz: float = 1.0) -> np.ndarray:
    """Tables with one barrier for every hop of an ion, and nothing else."""
    model = np.zeros(1, MODEL)
    model["ion_barrier"], model["ion_prefactor"] = barrier_eV, prefactor_hz
    return model


def waiting_times(count: int, stop_s: float, overspend: float = 0.0) -> np.ndarray:
    """Times between the hops of a lone ion with six channels of 1/s, stopped every `stop_s`.

    `overspend`: the share of it that each stop spends too much of the waiting time (for a negative control).
    """
    w, generator = film((1024, 4, 4), plain_model(), 512 * 16, 21)
    run_ = w.state.run
    times = np.zeros(count + 1)
    stop = stop_s
    for k in range(1, count + 1):
        while run_["events"][0] < k:
            unspent = run_["unspent"][0]
            if advance.advance(*w, generator, stop, 1, False) == advance.REACHED:
                stop += stop_s
                spent = unspent - run_["unspent"][0]
                run_["unspent"] = max(run_["unspent"][0] - overspend * spent, 0.0)
        times[k] = run_["time"][0]
    return np.diff(times)


@pytest.mark.parametrize("stop_s", [1e9, 0.05])
def test_waiting_times_are_exponential(stop_s: float) -> None:
    """Waiting times of a total rate of 6/s, with stops three times as frequent as events or none.

    Kolmogorov-Smirnov, n = 10000, at 0.1 %: a rate that is off by 10 % has a distance of 0.037 against the
    critical 0.0195, and is found with certainty.
    """
    assert stats.kstest(6.0 * waiting_times(10_000, stop_s), "expon").pvalue > 1e-3


def test_a_stop_that_leaves_a_trace_is_seen() -> None:
    """Negative control: stops that spend a quarter too much of the waiting time."""
    assert stats.kstest(6.0 * waiting_times(10_000, 0.05, overspend=0.25), "expon").pvalue < 1e-6


def occupation(energy_eV: float, count: int) -> float:
    """Share of looks at which a lone ion is in the upper half, whose sites cost `energy_eV` more; 300 K."""
    shape = (4, 4, 4)
    region = np.full(shape, Region.SURFACE, np.uint8)
    region[2:] = Region.GAP
    model = plain_model(0.1, 1e12)
    model["ion_energy"][0, Region.GAP] = energy_eV
    w, generator = film(shape, model, 0, 22, region)
    rate = 1e12 * math.exp(-0.1 / (K_B * 300.0))
    found = 0
    for look in range(1, count + 1):
        while advance.advance(*w, generator, look * 20.0 / rate, 10**6, True) != advance.REACHED:
            pass
        found += int(w.state.entities["z"][0]) >= 2
    return found / count


def test_occupation_is_boltzmanns() -> None:
    """A lone ion between two regions 40 meV apart, 4000 independent looks (20 hop times each) at 300 K.

    Expected share 0.176, standard error 0.006: a temperature off by 20 % (0.216) stands 6.7 standard errors
    away. Negative control: the share of 30 meV.
    """

    def expected(energy_eV: float) -> float:
        weight = math.exp(-energy_eV / (K_B * 300.0))
        return weight / (1.0 + weight)

    found, error = occupation(0.04, 4000), math.sqrt(expected(0.04) * (1.0 - expected(0.04)) / 4000)
    assert abs(found - expected(0.04)) < 4 * error
    assert abs(found - expected(0.03)) > 4 * error


class Walk(NamedTuple):
    """Diffusivity (nm2/s) and drift velocity along z (nm/s) with their standard errors."""

    diffusivity: float
    velocity: float
    diffusivity_error: float
    velocity_error: float


def walk(spacing_nm: float, model: np.ndarray, field_V_nm: float, count: int, seed: int) -> Walk:
    """Displacements of a lone ion in a homogeneous film, in a field along z (positive: potential falls)."""
    nz = 4096
    fields = np.zeros(nz * 16, FIELD)
    fields["temperature"] = 300.0
    fields["unit"] = -field_V_nm * spacing_nm * np.repeat(np.arange(nz), 16)
    rate = model["ion_prefactor"][0, Region.CORE, Region.CORE] * math.exp(
        -model["ion_barrier"][0, Region.CORE, Region.CORE] / (K_B * 300.0)
    )
    start = nz // 2 * 16
    w, generator = film((nz, 4, 4), model, start, seed, fields=fields)
    window_s, steps, previous, stop = 8.0 / rate, [], nz // 2, 0.0
    while len(steps) < count:
        if abs(previous - nz // 2) > nz // 2 - 200:
            w, generator = film((nz, 4, 4), model, start, seed + len(steps), fields=fields)
            previous, stop = nz // 2, 0.0
        stop += window_s
        while advance.advance(*w, generator, stop, 10**6, True) != advance.REACHED:
            pass
        place = int(w.state.entities["z"][0])
        steps.append(place - previous)
        previous = place
    moves = spacing_nm * np.array(steps, float)
    diffusivity = moves.var() / (2 * window_s)
    return Walk(
        diffusivity,
        moves.mean() / window_s,
        diffusivity * math.sqrt(2 / count),
        moves.std() / math.sqrt(count) / window_s,
    )


@pytest.mark.parametrize("factor", [0.5, 1.0])
def test_einstein_relation_at_two_spacings(factor: float) -> None:
    """Diffusivity and drift of a lone ion are the card's at any spacing: D = D0 exp(-E/kT), v = (D/kT) F.

    6000 displacements: standard errors 1.8 % of D and some percent of v, whose sign is down the potential.
    Negative controls: the diffusivity that the same hop rate has at twice or half the spacing (four times or
    a quarter), and a drift up the potential.
    """
    stack = load_stack("ogb_20nm")
    card = stack.active.card
    spacing = factor * card.value("lattice_constant")
    model = build_model(stack, spacing, Settings(ion_pairs=False))
    thermal = K_B * 300.0
    expected = card.value("silver_ion_diffusion_prefactor") * math.exp(
        -card.value("silver_ion_migration_barrier") / thermal
    )
    field = 0.2 * thermal / 0.5869  # at most kT/5 over a spacing: drift is linear within 0.2 %
    found = walk(spacing, model, field, 6000, 23)
    assert abs(found.diffusivity - expected) < 4 * found.diffusivity_error
    drift = expected / thermal * field
    assert abs(found.velocity - drift) < 4 * found.velocity_error
    for wrong in (4 * expected, expected / 4):
        assert abs(found.diffusivity - wrong) > 4 * found.diffusivity_error
    assert abs(found.velocity + drift) > 4 * found.velocity_error


def test_no_field_no_drift() -> None:
    """Without a field a lone ion hops alike in all directions, exactly; its mean displacement is nil.

    Standard error of the mean: 2.1 % of the root mean square displacement (2500 of them). Negative control: a
    field of kT/10 a spacing.
    """
    w, _ = film((8, 8, 8), plain_model(0.2, 1e12), 73, 1)
    assert len(set(w.state.rates[0, :6])) == 1
    still = walk(0.3, plain_model(0.2, 1e12), 0.0, 2500, 24)
    assert abs(still.velocity) < 4 * still.velocity_error
    driven = walk(0.3, plain_model(0.2, 1e12), 0.1 * K_B * 300.0 / 0.3, 2500, 24)
    assert driven.velocity > 4 * driven.velocity_error


def test_local_temperature_moves_rates() -> None:
    """A hop goes at the mean temperature of its two sites; in other directions nothing changes."""
    model = plain_model(0.3, 1e12)
    w, _ = film((8, 8, 8), model, 73, 1)
    before = w.state.rates[0].copy()
    w.fields["temperature"][neighbour(w.grid, 73, 1)] = 500.0
    advance.refresh_box(*w, (0, 8, 0, 8, 0, 8))
    after = w.state.rates[0]
    assert after[1] == pytest.approx(1e12 * math.exp(-0.3 / (K_B * 400.0)), rel=1e-12)
    assert after[1] > 5 * before[1]
    assert (np.delete(after, 1) == np.delete(before, 1)).all()
