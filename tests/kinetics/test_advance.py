"""The event kernels on a small window in which every kind of event is common: bookkeeping, not physics."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_device import SHAPE, Window, live, problems, run, tally, window

from kmc.core.jit_cache import njit
from kmc.core.source_files import kernel_sources
from kmc.kinetics import advance
from kmc.kinetics.entity_records import drop_entity
from kmc.kinetics.event_changes import apply_vacancy, hop_ion, remove_charge
from kmc.system.neighbours import exchange_cell, exchange_electrode, neighbour
from kmc.system.prefetch import prefetch
from kmc.system.state import ELECTRODE_METAL, KIND_ION, KIND_VACANCY, State, allocate, grow

EVERY_KIND = ("metal_events", "emitted", "returned", "hops")


def generator() -> np.random.Generator:
    """The stream of the events."""
    return np.random.default_rng(11)


def same_bytes(a: Window, b: Window) -> list[str]:
    """Arrays in which two windows differ."""
    out = [
        name
        for name in State._fields
        if name != "members" and getattr(a.state, name).tobytes() != getattr(b.state, name).tobytes()
    ]
    for g in np.flatnonzero(a.state.groups["count"]):
        n = a.state.groups["count"][g]
        if (a.state.members[g, :n] != b.state.members[g, :n]).any():
            out.append(f"members of group {g}")
    return out + ["fields"] * (a.fields.tobytes() != b.fields.tobytes())


def stale(w: Window) -> list[tuple[int, int, float, float]]:
    """Rates of a window that a recompute from scratch changes: (kind, channel, kept, recomputed)."""
    fresh = w.copy()
    advance.refresh_all(*fresh)
    out = []
    for entity in live(w):
        kept, new = w.state.rates[entity], fresh.state.rates[entity]
        for channel in np.flatnonzero(~np.isclose(kept, new, rtol=1e-10, atol=0.0)):
            out.append((int(w.state.entities["kind"][entity]), int(channel), kept[channel], new[channel]))
    return out


@pytest.mark.parametrize(("seed", "pairs", "shape"), [(1, True, SHAPE), (2, True, (12, 20, 24)), (3, False, SHAPE)])
def test_incremental_rates_equal_recomputed(seed: int, pairs: bool, shape: tuple[int, int, int]) -> None:
    """After thousands of events of all kinds no rate differs from a recompute, and the books are in order."""
    w, events = window(seed, pairs, shape), generator()
    where = set(w.state.entities["site"][w.state.entities["kind"] == KIND_VACANCY])
    for _ in range(8):
        run(w, events, np.inf, 2600)
        assert stale(w) == []
        assert problems(w) == []
    counts = tally(w)
    assert all(counts[name] > 100 for name in EVERY_KIND), counts
    assert counts["events"] > 8000
    assert where != set(w.state.entities["site"][w.state.entities["kind"] == KIND_VACANCY])


WIDE = (12, 20, 24)  # in which a charge has cells of the neighbour list that it does not see


@pytest.mark.parametrize(("exact", "shape"), [(True, SHAPE), (True, WIDE), (False, WIDE)])
def test_pair_energies_followed_are_those_summed_anew(exact: bool, shape: tuple[int, int, int]) -> None:
    """To the last bit, after hundreds of hops of ions and some of vacancies: multiples of a power of two.
    Negative control: with energies that are not, what rounding left in the sums is seen."""
    w, events = window(1, shape=shape), generator()
    if not exact:
        w.model["pair"][:-1] *= 1.0 + 1e-6 / 3.0
    advance.refresh_all(*w)
    where = set(w.state.entities["site"][w.state.entities["kind"] == KIND_VACANCY])
    run(w, events, np.inf, 8000)
    assert w.state.run["hops"][0] > 300
    assert where != set(w.state.entities["site"][w.state.entities["kind"] == KIND_VACANCY])
    fresh = w.copy()
    advance.refresh_all(*fresh)
    charges = np.isin(w.state.entities["kind"], (KIND_ION, KIND_VACANCY))
    kept, new = (x.state.pairs[charges] for x in (w, fresh))
    assert np.count_nonzero(new) > 50
    assert np.allclose(kept, new, atol=1e-12)
    assert (kept == new).all() == exact


@pytest.mark.parametrize("kind", [KIND_ION, KIND_VACANCY])
def test_a_hop_touches_those_who_feel_it_and_no_others(kind: int) -> None:
    """Charges whose pair energies a hop changes, here or where they may go, and the one that hopped."""
    w = window(1, shape=WIDE)
    advance.refresh_all(*w)
    felt, charges = [], np.isin(w.state.entities["kind"], (KIND_ION, KIND_VACANCY)).sum()
    for entity in np.flatnonzero(w.state.entities["kind"] == kind):
        for direction in range(6):
            moved = w.copy()
            move = hop_ion if kind == KIND_ION else apply_vacancy
            if not 3 < w.state.entities["z"][entity] < WIDE[0] - 4:
                continue
            if not move(moved.state, moved.grid, moved.model, int(entity), direction):
                continue
            waiting = set(moved.state.entities["waiting"][: int(moved.state.run["touched"][0])].tolist())
            changed = set(np.flatnonzero((moved.state.pairs != w.state.pairs).any(axis=1)).tolist())
            assert changed | {int(entity)} <= waiting
            # A vacancy's hop of two sites may bring it as near as it was.
            assert len(waiting - changed - {int(entity)}) <= (0 if kind == KIND_ION else 4)
            felt.append(len(changed))
    assert len(felt) > 50
    assert 1.0 < np.mean(felt) < 0.2 * charges


def test_a_missed_refresh_is_seen() -> None:
    """Negative control: a millivolt more where an ion may go makes rates stale."""
    w = window(1)
    assert stale(w) == []
    ion = np.flatnonzero(w.state.rates[:, 0] * (w.state.entities["kind"] == KIND_ION))[0]
    w.fields["space_potential"][neighbour(w.grid, int(w.state.entities["site"][ion]), 0)] += 1e-3
    assert (KIND_ION, 0) in [(kind, channel) for kind, channel, *_ in stale(w)]


def test_the_last_charge_forgets_the_one_before() -> None:
    """When one of two ions goes, the other is touched though nothing is left to repel it."""
    w = window(1)
    for entity in np.flatnonzero(np.isin(w.state.entities["kind"], (KIND_ION, KIND_VACANCY))):
        drop_entity(w.state, w.grid, entity)
    inside = 6 * w.grid.nx * w.grid.ny
    places = inside + np.flatnonzero(w.state.sites["cation"][inside:] == 0)[:2]
    advance.place_many(w.state, w.grid, KIND_ION, places.astype(np.int32))
    advance.refresh_all(*w)
    assert stale(w) == []
    remove_charge(w.state, w.grid, w.model, np.int64(w.state.sites["entity"][places[0]]))
    advance.advance(*w, generator(), -1.0, 1, True)
    assert w.state.run["ions"][0] == 1
    assert stale(w) == []


@pytest.mark.parametrize("shape", [(16, 8, 8), (12, 12, 16), (24, 16, 8)])
def test_silver_and_vacancies_are_conserved(shape: tuple[int, int, int]) -> None:
    """Ions, metal and the electrode's reservoir together keep their number; vacancies less exchanged too."""
    w, events = window(4, shape=shape), generator()
    before = tally(w)
    run(w, events, np.inf, 20_000)
    after = tally(w)
    assert problems(w) == []
    assert after["events"] > 5000
    assert after["reservoir"] != before["reservoir"]
    silver = [c["ions"] + c["metal"] + c["reservoir"] for c in (before, after)]
    assert silver[0] == silver[1]
    assert before["vacancies"] - before["exchanged"] == after["vacancies"] - after["exchanged"]
    assert after["emitted"] - after["returned"] == -after["reservoir"]


def test_vacancies_are_exchanged_with_the_electrode() -> None:
    """Without repulsion the electrode makes and fills vacancies, one electrode site a halide site."""
    w, events = window(5, pairs=False), generator()
    before = tally(w)
    run(w, events, np.inf, 20_000)
    after = tally(w)
    assert after["exchanged"] > before["exchanged"]
    made = after["vacancies"] - before["vacancies"]
    assert made == after["exchanged"] - before["exchanged"]
    assert problems(w) == []
    full = window(5, pairs=False)
    full.model["exchange_energy"] = 1.0  # vacancies cost more there: the electrode fills them
    first = tally(full)
    run(full, generator(), np.inf, 20_000)
    last = tally(full)
    assert last["exchanged"] < first["exchanged"]
    assert last["vacancies"] - first["vacancies"] == last["exchanged"] - first["exchanged"]
    sites = w.state.entities["site"][w.state.entities["kind"] == KIND_VACANCY]
    assert len(set(sites)) == len(sites) == after["vacancies"]
    z, rest = np.divmod(sites, w.grid.ny * w.grid.nx)
    assert not (z % 2).any()
    assert not (rest // w.grid.nx % 2).any()
    assert not (rest % w.grid.nx % 2).any()


def test_each_halide_site_exchanges_with_one_electrode_site() -> None:
    """On a rough electrode too, exchange and its reverse name the same pair of sites."""
    w = window(7)
    cation = w.state.sites["cation"].reshape(SHAPE)
    height = np.random.default_rng(2).integers(9, 14, SHAPE[1:])
    cation[4:] = np.where(np.arange(4, SHAPE[0])[:, None, None] >= height, ELECTRODE_METAL, 0)
    electrode = np.flatnonzero(w.state.sites["cation"] == ELECTRODE_METAL)
    cells = {int(site): exchange_cell(w.state, w.grid, w.model, int(site)) for site in electrode}
    paired = {site: cell for site, cell in cells.items() if cell >= 0}
    assert len(paired) == len(set(paired.values())) == SHAPE[1] * SHAPE[2] // 4
    for site, cell in paired.items():
        assert exchange_electrode(w.state, w.grid, w.model, cell) == site


def test_same_seed_same_bytes() -> None:
    """Two runs of one seed agree in every byte; another stream does not."""
    a, b, c = window(1), window(1), window(1)
    run(a, generator(), np.inf, 5000)
    run(b, generator(), np.inf, 5000)
    run(c, np.random.default_rng(12), np.inf, 5000)
    assert same_bytes(a, b) == []
    assert same_bytes(a, c) != []


@pytest.mark.parametrize("pairs", [True, False])
def test_looks_and_budgets_leave_no_trace(pairs: bool) -> None:
    """Stops to look at any time, and budgets of a few trials, change no byte of a trajectory."""
    a, b = window(2, pairs), window(2, pairs)
    first, second = generator(), generator()
    run(a, first, np.inf, 3000)
    times = np.sort(np.random.default_rng(3).uniform(0.0, 1.1 * a.state.run["time"][0], 60))
    for stop in times:
        while b.state.run["trials"][0] < 3000:
            left = 3000 - int(b.state.run["trials"][0])
            if run(b, second, stop, min(7, left), look=True) == advance.REACHED:
                break
    run(b, second, np.inf, 3000 - int(b.state.run["trials"][0]))
    assert b.state.run["trials"][0] == 3000
    assert same_bytes(a, b) == []


def test_a_physical_stop_leaves_the_trajectory() -> None:
    """Time spent up to a stop is not spent again: the same events at the same times, to rounding."""
    a, b = window(2), window(2)
    first, second = generator(), generator()
    run(a, first, np.inf, 3000)
    end = a.state.run["time"][0]
    for stop in np.linspace(0.0, end, 50)[1:-1]:
        assert run(b, second, stop, 10**6) == advance.REACHED
        assert b.state.run["time"][0] == stop
    run(b, second, np.inf, 3000 - int(b.state.run["trials"][0]))
    assert (a.state.sites == b.state.sites).all()
    assert tally(a) == tally(b)
    assert b.state.run["time"][0] == pytest.approx(end, rel=1e-12)


def test_growing_keeps_pair_energies() -> None:
    """The rows of `pairs` go along with their charges."""
    state = window(6).state
    assert np.count_nonzero(state.pairs) > 50
    assert (grow(state, state.entities.size + 16).pairs[: state.entities.size] == state.pairs).all()


def test_growing_leaves_the_trajectory() -> None:
    """A kernel that runs out of entity slots says so, and goes on with more as if nothing had been."""
    a, b = window(6, pairs=False), window(6, pairs=False)
    small = int(b.state.run["entities"][0]) + 8
    b = b._replace(
        state=State(
            *(
                x[:, :small].copy()
                if name == "members"
                else x[:small].copy()
                if name in ("entities", "rates", "pairs")
                else x
                for name, x in zip(State._fields, b.state, strict=True)
            )
        )
    )
    first, second, statuses = generator(), generator(), []
    run(a, first, np.inf, 8000)
    while b.state.run["trials"][0] < 8000:
        status = run(b, second, np.inf, 8000 - int(b.state.run["trials"][0]))
        statuses.append(status)
        if status == advance.FULL:
            b = b._replace(state=grow(b.state, b.state.entities.size + 16))
    assert statuses.count(advance.FULL) > 1
    assert (a.state.sites == b.state.sites).all()
    assert a.state.run.tobytes() == b.state.run.tobytes()


def test_every_kernel_is_hashed() -> None:
    """A change in any module of the event kernels makes another cache folder."""
    folder = Path(advance.__file__).parent
    package = folder.parent
    without = {folder / name for name in ("__init__.py", "process_table.py", "process_rows.py", "initial_state.py")}
    below = ("system/composition_rejection", "system/neighbours", "ions/pair_energies", "ions/site_charge")
    kernels = set(folder.glob("*.py")) - without | {package / f"{name}.py" for name in below}
    assert len(kernels) == 16
    assert kernels <= set(kernel_sources(package))


PLAIN = """
import sys
import numpy as np
from small_device import run, window
w, events = window(1), np.random.default_rng(11)
run(w, events, np.inf, {trials})
np.savez(sys.argv[1], rates=w.state.rates, fields=np.array(w.fields), run=np.array(w.state.run),
         sites=np.array(w.state.sites), site=np.array(w.state.entities.site), density=w.state.density)
"""


def test_compiled_equals_plain(tmp_path: Path) -> None:
    """The kernels as Python functions choose the same events; floats agree to 1e-12."""
    out, trials = tmp_path / "plain.npz", 150
    tests = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join([str(tests / "support"), str(tests.parent)])
    subprocess.run(
        [sys.executable, "-c", PLAIN.format(trials=trials), str(out)],
        check=True,
        timeout=300,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": paths},
    )
    w = window(1)
    run(w, generator(), np.inf, trials)
    plain = np.load(out, allow_pickle=False)
    assert plain["run"]["events"][0] == w.state.run["events"][0] > 50
    for name in ("cation", "entity", "vacancy"):
        assert (plain["sites"][name] == w.state.sites[name]).all()
    assert (plain["site"] == w.state.entities["site"]).all()
    for name in w.state.run.dtype.names:
        np.testing.assert_allclose(plain["run"][name], w.state.run[name], rtol=1e-12)
    for name in w.fields.dtype.names:
        np.testing.assert_allclose(plain["fields"][name], w.fields[name], rtol=1e-12)
    np.testing.assert_allclose(plain["rates"], w.state.rates, rtol=1e-12)
    np.testing.assert_allclose(plain["density"], w.state.density, rtol=1e-12, atol=1e-30)


@pytest.mark.parametrize("shape", [(25, 20, 20), (7, 5, 9), (8, 8, 16)])
def test_no_cell_of_any_box_lies_outside_its_arrays(shape: tuple[int, int, int]) -> None:
    """Lists of charges and cells of density hold every site, also where no edge divides a side."""
    state = allocate(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), 16)
    nz, ny, nx = shape
    z, y, x = nz - 1, ny - 1, nx - 1
    assert ((z // 4) * (ny // 4) + y // 4) * (nx // 4) + x // 4 < state.head.size
    assert ((z // 2) * (ny // 2) + y // 2) * (nx // 2) + x // 2 < state.density.size


def test_memory_is_asked_for() -> None:
    """The machine's own instruction, for any row, and nothing else: the array stays as it is. The names of
    functions are in the code, too, and do not count. Negative control: a kernel that does not ask."""
    rows = np.arange(64.0).reshape(8, 8)
    asked = njit(cache=False)(lambda rows, row: prefetch(rows, row))
    for row in (0, 7, 8, -1, 10**6, -(10**6)):
        asked(rows, row)
    assert (rows == np.arange(64.0).reshape(8, 8)).all()
    without = njit(cache=False)(lambda rows, row: rows[row, 0])
    without(rows, 0)
    told = [
        re.findall(r"^\s+(?:prefetch|prfm)\w*\s", "".join(one.inspect_asm().values()), re.M) for one in (asked, without)
    ]
    assert told[0]
    assert not told[1]


def test_a_call_leaves_nothing_behind() -> None:
    """The loop counts no references, so what calls it does: else each call keeps the generator and 60 bytes.

    Negative control: the loop called on its own.
    """
    w, stream = window(1), generator()

    def kept(call: Callable[..., int]) -> int:
        before = sys.getrefcount(stream)
        for _ in range(50):
            call(*w, stream, -1.0, 0, True)
        return sys.getrefcount(stream) - before

    assert kept(advance.advance) == 0
    assert kept(advance._events) > 0
