"""An ion that hops by itself for a while: its table of rates, its clock, its equilibrium and its density."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from small_device import SHAPE, Window, answering, problems, run, table, tally, window
from test_advance import same_bytes, stale
from test_event_laws import film, plain_model

from kmc.core.units import K_B
from kmc.geometry.lattice import Region
from kmc.ions.pair_energies import feels_any, gather
from kmc.kinetics import advance
from kmc.kinetics.entity_records import drop_entity
from kmc.kinetics.event_changes import add_charge, remove_charge
from kmc.kinetics.event_rates import entity_rates
from kmc.system.neighbours import neighbour
from kmc.system.parameter_tables import NO_HOP, REGIONS
from kmc.system.state import (
    EMPTY,
    EPOCH,
    EPOCHS,
    FIELD,
    ION,
    KIND_EMITTER,
    KIND_ION,
    KIND_METAL,
    KIND_VACANCY,
    METAL,
    OWN,
)

WIDE = (16, 20, 24)  # in which an ion often has no charge near
TUBE, LOW, START = (12, 4, 4), 2 * 16, (5 * 4 + 1) * 4 + 1
TRIALS, SIGMAS, BOX, BATCHES, LOOKS = 1500, 3.0, (8, 8, 8), 60, 100
HOLD = math.exp(0.1 / (K_B * 300.0)) / 6e12  # s, of an ion in the box in a flat field
CHI_SQUARE = 110.0  # of 64 cells: let by in all but one of a thousand cases


def sparse(w: Window, model: np.ndarray, keep: dict[int, int]) -> Window:
    """A window with other tables, and only so many ions, atoms and vacancies."""
    w = Window(w.state, w.grid, w.fields, answering(model)[0])
    for kind in (KIND_ION, KIND_METAL, KIND_VACANCY):
        for entity in np.flatnonzero(w.state.entities["kind"] == kind)[keep.get(kind, 0) :]:
            drop_entity(w.state, w.grid, int(entity))
    advance.refresh_all(*w)
    return w


def sliced(what: str, slice_s: float = 1e-8) -> Window:
    """A wide window where a "few" ions and atoms come and go; a small one with "many", or "without" lists."""
    w, model = window(3, what == "many", SHAPE if what != "few" else WIDE), table()
    model["ion_energy"] += 0.25
    model["electrode"], model["reduction"], model["diffusion"] = 0.55, 0.6, 0.6
    model["exchange"], model["explicit_vacancies"] = NO_HOP, 0
    if what == "few":
        model["isolated"] = 0.03  # ions stay ions
        w = sparse(w, model, {KIND_ION: 4, KIND_METAL: 20})
    w.model["slice"] = slice_s
    return w


def known(w: Window) -> np.ndarray:
    """Sites whose row of the table counts."""
    return np.flatnonzero(w.state.table[:, EPOCH] == w.state.run["epoch"][0])


def trials(w: Window, sites: np.ndarray) -> list[np.ndarray]:
    """Rates of a trial ion on each of these sites, no charge near, 1/s."""
    bare, out = w.copy(), []
    for entity in np.flatnonzero(np.isin(bare.state.entities["kind"], (KIND_ION, KIND_VACANCY))):
        remove_charge(bare.state, bare.grid, bare.model, int(entity))
    for site in sites:
        add_charge(bare.state, bare.grid, bare.model, KIND_ION, int(site))
        ion = int(bare.state.sites["entity"][site])
        entity_rates(*bare, ion)
        out.append(bare.state.rates[ion].copy())
        remove_charge(bare.state, bare.grid, bare.model, ion)
    return out


def off(w: Window, sites: np.ndarray) -> float:
    """How far, relative, rates in the table are from those of a trial ion on these sites, no charge near."""
    anew = [np.append(rates[:6], rates[6] + rates[7]) for rates in trials(w, sites)]
    return max(
        (
            float(np.max(np.abs(w.state.table[site, :EPOCH] - row) / np.maximum(row, 1e-30)))
            for site, row in zip(sites, anew, strict=True)
        ),
        default=0.0,
    )


@pytest.mark.parametrize(("what", "ns"), [("few", 1), ("few", 100), ("many", 10), ("without", 10)])
def test_the_table_is_what_it_would_be_anew(what: str, ns: int) -> None:
    """After each of thirty times 300 trials every row that counts has the rates computed anew.
    So has every entity its rates, every ion its pair energies, and the books are in order. Exact but for
    rounding to float32. Negative control: rows that changes of metal struck off are wrong."""
    w, events, rows, waiting, struck = sliced(what, 1e-9 * ns), np.random.default_rng(11), 0, 0, 0.0
    for _ in range(30):
        before = known(w)
        run(w, events, np.inf, 300)
        assert off(w, known(w)) < 1e-6
        assert stale(w) == problems(w) == []
        fresh, ions = w.copy(), w.state.entities["kind"] == KIND_ION
        advance.refresh_all(*fresh)
        assert (fresh.state.pairs == w.state.pairs)[ions].all()
        rows += len(known(w))
        waiting += int(np.count_nonzero(w.state.entities["ahead"]))
        gone = np.setdiff1d(before, known(w))
        struck = max(struck, off(w, gone[w.state.sites["cation"][gone] < METAL]))
    counts = tally(w)
    assert min(counts["hops"], counts["metal_events"]) > (1000 if what == "few" else 300)
    assert min(counts["emitted"], counts["returned"], waiting) > 10
    assert (rows > 500 and struck > 0.1) if what == "few" else what == "many" or rows == 0


def test_an_ion_that_feels_none_of_those_near_has_the_rates_of_one_alone() -> None:
    """A trial ion among charges in the cells around: if `feels_any` says no, all its pair energies are zero
    and the sites beside it hold no ion. Negative control: of those that feel one most have some."""
    w, alone, felt = sliced("few"), 0, []
    for site in np.random.default_rng(13).permutation(w.state.sites.size):
        z, y, x = (int(n) for n in np.unravel_index(site, WIDE))
        near = gather(w.state, w.grid, w.model, x, y, z)
        if w.state.sites["cation"][site] != EMPTY or near == 0:
            continue
        feels = feels_any(w.state, w.grid, near, x, y, z)
        trial = w.copy()
        add_charge(trial.state, trial.grid, trial.model, KIND_ION, int(site))
        row = trial.state.pairs[int(trial.state.sites["entity"][site])]
        if feels:
            felt.append(bool(row.any()))
            continue
        alone += 1
        assert not row.any()
        beside = [neighbour(w.grid, int(site), d) for d in range(6)]
        assert (w.state.sites["cation"][beside] != ION).all()
        if alone == 200 and len(felt) > 50:
            break
    assert alone == 200
    assert np.mean(felt) > 0.5


@pytest.mark.parametrize("how", ["box", "near", "all"])
def test_a_refresh_strikes_off_what_it_concerns(how: str) -> None:
    """Ten millivolts more at a site, at the edges of the window too, and a refresh of where that is felt.
    Negative control: before it, behind the kernel's back, the rows around are wrong by some per cent."""
    w, generator = sliced("few"), np.random.default_rng(12)
    while True:  # until the rows of enough sites are known at a time
        run(w, generator, np.inf, 600)
        z, y, x = np.unravel_index(known(w), WIDE)
        edge = (x % (WIDE[2] - 1) == 0) | (y % (WIDE[1] - 1) == 0)
        if min(edge.sum(), (~edge).sum()) > 3 or w.state.run["trials"][0] > 10_000:
            break
    assert min(edge.sum(), (~edge).sum()) > 3
    for k in [*np.flatnonzero(edge)[::3], *np.flatnonzero(~edge)[::20]]:
        own, c, b, a = w.copy(), int(z[k]), int(y[k]), int(x[k])
        own.fields["space_potential"][known(w)[k]] += 0.01
        assert off(own, known(own)) > 0.01
        at = {"box": ((c - 1, c + 2, b - 1, b + 2, a - 1, a + 2),), "near": (known(w)[[k]],), "all": ()}[how]
        getattr(advance, f"refresh_{how}")(*own, *at)
        assert off(own, known(own)) < 1e-6
        assert stale(own) == []
        assert (len(known(own)) == 0) == (how == "all")


def tube(what: str) -> Window:
    """Random sites between metal at the bottom, on which ions are reduced, and an electrode that takes them.
    An ion there is "alone", "beside" a vacancy that rests, or "without" lists."""
    w, model = window(3, shape=TUBE), table(what != "without")
    model["ion_energy"] = -0.2 + 0.3 * (model["ion_energy"] + 0.2)
    model["bond"], model["adhesion"], model["kink"], model["vacancy_barrier"] = 0.0, 0.0, -0.2, NO_HOP
    model["reduction"], model["electrode"], model["exchange"] = 0.33, 0.33, NO_HOP
    w.state.sites["room"] = np.arange(w.state.sites.size) // 16 == 2
    w.state.entities["kind"][w.state.entities["kind"] == KIND_EMITTER] = 0
    w.state.run["voltage_device"] = 0.03
    return sparse(w, model, {KIND_VACANCY: what == "beside"})


@lru_cache(maxsize=4)
def chain(what: str) -> tuple[float, float, float, float]:
    """From rates hop by hop: mean time of passage, chance of reduction, that two sites further, a hold."""
    w, inner = tube(what), np.arange(LOW, 10 * 16)
    matrix, ends = np.zeros((len(inner), len(inner))), np.ones((len(inner), 2))
    for k, site in enumerate(inner):
        own = w.copy()
        add_charge(own.state, own.grid, own.model, KIND_ION, int(site))
        advance.refresh_all(*own)
        row = own.state.rates[own.state.sites["entity"][site]]
        matrix[k, k], ends[k, 1] = row.sum(), row[6]
        for d in np.flatnonzero(row[:6]):
            matrix[k, neighbour(w.grid, int(site), int(d)) - LOW] -= row[d]
    time, metal = np.linalg.solve(matrix, ends).T[:, [START - LOW, START - LOW + 32]]
    return float(time[0]), float(metal[0]), float(metal[1]), float(np.mean(1.0 / matrix.diagonal()))


def passages(what: str, holds: float, waits: bool = True) -> np.ndarray:
    """[TRIALS, 3]: time until the ion is gone, whether it was reduced, and time until its way had ended."""
    w, generator, out = tube(what), np.random.default_rng(7), np.zeros((TRIALS, 3))
    w.model["slice"] = holds * chain(what)[3]
    add_charge(w.state, w.grid, w.model, KIND_ION, START)
    advance.refresh_all(*w)
    for row in out:
        own = w.copy()
        run_, ahead = own.state.run, own.state.entities["ahead"]
        run_["unspent"] = generator.standard_exponential()
        while run_["ions"][0]:
            advance.advance(*own, generator, np.inf, 1, False)
            if row[2] == 0.0 and (ahead.max() >= 6 or not run_["ions"][0]):
                row[2] = run_["time"][0]
            if not waits and ahead.max() == 1:
                ahead[:] = 0
                advance.refresh_all(*own)
        row[:2] = run_["time"][0], run_["metal"][0]
    return out


@pytest.mark.parametrize(
    ("what", "holds"),
    [
        ("alone", 0.7),
        pytest.param("alone", 4.0, marks=pytest.mark.slow),
        ("alone", 20.0),
        ("alone", 200.0),
        ("beside", 7.0),
        ("without", 20.0),
    ],
)
def test_first_passages_are_those_of_the_chain(what: str, holds: float) -> None:
    """Mean time to the two ends of a tube and the split between them, by 3 standard errors of 1500 passages.
    Slices of a part of a hop to four times the passage of some 50 hops. Standard errors: up to 4 % and 0.013.
    Power: times off by 18 % or a split by 0.06 are found with a probability over 0.9. Negative controls: the
    split two sites further, an ion that never waits, and one that leaves before its time is up."""
    found, (time, metal, further, _) = passages(what, holds), chain(what)
    error = found.std(axis=0) / math.sqrt(TRIALS)
    assert abs(found[:, 0].mean() - time) < SIGMAS * error[0] < 0.13 * time
    assert abs(found[:, 1].mean() - metal) < SIGMAS * error[1] < abs(found[:, 1].mean() - further)
    if holds == 20.0:
        for early in (passages(what, holds, waits=False)[:, 0], found[:, 2]):
            assert early.mean() + SIGMAS * early.std() / math.sqrt(TRIALS) < time


def box(ions: int, upper_eV: float) -> Window:
    """Ions in a closed box with noise in its potential, whose upper half costs more; two do not repel."""
    region, fields = np.full(BOX, Region.SURFACE, np.uint8), np.zeros(512, FIELD)
    region[4:] = Region.GAP
    fields["temperature"], fields["space_potential"] = 300.0, 0.02 * np.random.default_rng(3).normal(size=512)
    model = plain_model(0.1, 1e12)
    model["ion_energy"][0, Region.GAP] = upper_eV
    middle = REGIONS // 2  # of a region whose `screen` is one: all regions alike
    model["pair"], model["reach"] = table()["pair"][0, middle] * (0.5 if ions > 2 else 0.0), table()["reach"]
    model["screen"] = 1.0
    w, _ = film(BOX, model, 0, 5, region, fields)
    for n in range(1, ions):
        add_charge(w.state, w.grid, w.model, KIND_ION, 75 * n)
    advance.refresh_all(*w)
    return w


@lru_cache(maxsize=16)
def gas(ions: int, holds: float, upper_eV: float = 0.04, waits: bool = True) -> np.ndarray:
    """[BATCHES, 66]: share of ions in the upper half, pair energy (eV), density of each cell / (n-1) time."""
    w, generator, out = box(ions, upper_eV), np.random.default_rng(5), np.zeros((BATCHES, 66))
    w.model["slice"], step = holds * HOLD, 60 * HOLD
    run(w, generator, 10 * step, 10**9, True)
    advance.settle_all(w.state, w.grid)
    for batch in range(BATCHES):
        w.state.density[:], begin = 0.0, float(w.state.run["time"][0])
        for k in range(LOOKS):
            run(w, generator, (11 + batch * LOOKS + k) * step, 10**9, True)
            advance.settle_all(w.state, w.grid)
            out[batch, 0] += np.mean(w.state.entities["z"][:ions] >= BOX[0] // 2) / LOOKS
            out[batch, 1] += w.state.pairs[:ions, OWN].sum() / (2 * LOOKS)
            if not waits:
                w.state.entities["ahead"] = 0
                advance.refresh_all(*w)
        out[batch, 2:] = w.state.density / ((ions - 1) * (float(w.state.run["time"][0]) - begin))
    return out


def apart(some: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Differences of means in standard errors, by batches; one batch is exact."""
    return np.asarray((some.mean(0) - other.mean(0)) / np.sqrt((some.var(0) + other.var(0)) / (BATCHES - 1)))


@pytest.mark.parametrize("holds", [*(pytest.param(some, marks=pytest.mark.slow) for some in (1.0, 3.0, 10.0)), 30.0])
def test_ions_that_repel_each_other_are_where_they_are_hop_by_hop(holds: float) -> None:
    """Six ions in a box: share in the upper half, pair energy, density by cells of 2^3 sites (chi-square).
    By 4 standard errors, 1 % of the share and 0.6 % of the pair energy. Power: 3 meV in the energy of the
    upper half (9 %) are found with a probability over 0.9. Negative control: 5 meV there."""
    right = apart(gas(6, holds), gas(6, 0.0))
    wrong = apart(gas(6, holds, 0.035), gas(6, 0.0))
    assert np.abs(right[:2]).max() < 4 < abs(wrong[0])
    assert np.sum(right[2:] ** 2) < CHI_SQUARE < np.sum(wrong[2:] ** 2)


@pytest.mark.parametrize("holds", [0.0, *(pytest.param(some, marks=pytest.mark.slow) for some in (1.5, 10.0)), 50.0])
def test_the_density_is_boltzmanns_and_all_of_the_time(holds: float) -> None:
    """Two ions: their density sums up to (n-1) times the time, and has each cell's share, in any slice.
    Sum by 4 standard errors (of 0.1 to 1 %), cells by chi-square. Power and negative controls: 5 meV in the
    upper half give a chi-square of some 700, and ions that do not wait have booked too much."""
    w, found, wrong = box(2, 0.04), gas(2, holds)[:, 2:], gas(2, holds, 0.035)[:, 2:]
    one = np.exp(-(w.fields["space_potential"] + w.model["ion_energy"][w.state.sites["region"]]) / (K_B * 300.0))
    both = (one * (one.sum() - one)).reshape(4, 2, 4, 2, 4, 2)  # they only exclude each other
    right = (both.sum(axis=(1, 3, 5)) / both.sum()).reshape(1, 64)
    total = found.sum(axis=1)
    assert abs(total.mean() - 1.0) < 4 * total.std() / math.sqrt(BATCHES) + 1e-3 < 0.06
    assert np.sum(apart(found, right) ** 2) < CHI_SQUARE < np.sum(apart(wrong, right) ** 2)
    if holds > 5.0:
        assert gas(2, holds, waits=False)[:, 2:].sum(axis=1).mean() > 1.2


@pytest.mark.parametrize("what", ["few", "many", "without"])
def test_ions_that_wait_go_on_hop_by_hop(what: str) -> None:
    """With no slice from now on: within some forty slices all that wait have gone on, and nobody waits anew.
    Then no trial is more than one event; rates, books and the number of silver are as ever."""
    w, events = sliced(what, 2e-9), np.random.default_rng(11)
    silver = sum(tally(w)[name] for name in ("ions", "metal", "reservoir"))
    run(w, events, np.inf, 600)
    waiting, w.model["slice"] = set(np.flatnonzero(w.state.entities["ahead"])), 0.0
    assert waiting
    end = float(w.state.run["time"][0]) + 8e-8
    while waiting:
        assert run(w, events, end, 50) != advance.REACHED
        still = set(np.flatnonzero(w.state.entities["ahead"]))
        assert still <= waiting
        assert problems(w) == stale(w) == []
        waiting = still
    before = tally(w)
    run(w, events, np.inf, 1000)
    after = tally(w)
    assert 0 < after["events"] - before["events"] <= after["trials"] - before["trials"]
    assert sum(after[name] for name in ("ions", "metal", "reservoir")) == silver


def test_a_slice_shorter_than_every_hold_is_hop_by_hop() -> None:
    """The same events at the same times. Negative control: a slice of some holds."""
    some = [sliced("without", slice_s) for slice_s in (0.0, 1e-13, 1e-8)]
    for w in some:
        run(w, np.random.default_rng(11), np.inf, 3000)
    still, short, longer = (w.state.sites.tobytes() + w.state.run.tobytes() for w in some)
    assert still == short != longer


@pytest.mark.parametrize("what", ["few", "many", "without"])
def test_same_seed_same_bytes_whoever_looks(what: str) -> None:
    """Two runs of one seed agree in every byte, also if one stops to look at any time, or after some trials;
    but for what is at work, if it loses its table at each stop. Negative control: another stream."""
    a, b, c, d = (sliced(what) for _ in range(4))
    for w, seed in ((a, 11), (b, 11), (c, 12)):
        run(w, np.random.default_rng(seed), np.inf, 1500)
    assert same_bytes(a, b) == [] != same_bytes(a, c)
    events, run_ = np.random.default_rng(11), d.state.run
    for stop in np.sort(np.random.default_rng(3).uniform(0.0, 1.1 * a.state.run["time"][0], 60)):
        status = advance.BUDGET
        while run_["trials"][0] < 1500 and status != advance.REACHED:
            status = run(d, events, stop, min(7, 1500 - int(run_["trials"][0])), look=True)
            if what == "few":
                d.state.table[:], d.state.near[:], d.state.look[:] = 0, 0, 0
    run(d, events, np.inf, 1500 - int(run_["trials"][0]))
    assert set(same_bytes(a, d)) <= ({"near", "look", "table"} if what == "few" else set())


def test_epochs_start_again() -> None:
    """More epochs than float32 tells apart: then no row counts, and the next ones do."""
    w = sliced("few")
    run(w, np.random.default_rng(11), np.inf, 600)
    w.state.table[known(w)[0], EPOCH] = 1.0  # of the first epoch, which it would seem to be of again
    w.state.run["epoch"] = EPOCHS - 1
    advance.refresh_all(*w)
    assert w.state.run["epoch"][0] == 1
    assert len(known(w)) == 0
    run(w, np.random.default_rng(12), np.inf, 600)
    assert len(known(w)) > 10
    assert off(w, known(w)) < 1e-6
