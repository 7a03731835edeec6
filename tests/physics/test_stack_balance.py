"""Local detailed balance of every kind of event in a window of every stack, with its fields and warmth."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from detailed_balance import KINDS, imbalance, rate_of, sample
from small_device import Window
from small_stacks import LAYERED, STACKS, device, free, put_charges, put_silver, reduced, seam, window_of

from kmc.kinetics import advance
from kmc.system.state import KIND_METAL
from kmc.transport.filament import unlinked

EVENTS = 8  # of each kind
# Without a perovskite there is no bromide, so no vacancy either.
BARE_KINDS = ("ion hop", "surface move", "oxidation", "ionisation")
VOLT = 0.8


@lru_cache(maxsize=2)
def busy(name: str) -> Window:
    """A window at 0.8 V in which every kind of event is possible in every region, warmed by its metal."""
    d = device(reduced(name), temperature=350.0, vacancies="explicit", flight_reach=0, ion_slice="0 s")
    generator = np.random.default_rng(4)
    scattered = free(d, d.lattice.room > 0)
    silver = generator.permutation(scattered)[:60]
    if name in LAYERED:
        way = seam(d)
        silver = np.union1d(silver, way[: len(way) // 2])
    put_silver(d, silver)
    d.set_source(VOLT, np.inf)
    d.advance(np.random.default_rng(5), np.inf, 400, True)
    d.density[:] = 1e-3 * generator.random(d.density.shape)
    put_charges(d, 12)
    d.solve_fields()
    atoms = d.state.entities["site"][d.state.entities["kind"] == KIND_METAL]
    heated = unlinked(atoms.astype(np.int64), np.ones(len(atoms)))
    d.heat.solve(d.state, d.network.film, d.network.side, d.network.column, *heated)
    fields = d.potential.fields
    d.heat.publish(fields)
    warm = fields["temperature"] - d.stage
    fields["temperature"] = d.stage + 150.0 * warm / warm.max()
    d.refresh()
    return window_of(d)


@pytest.mark.parametrize("name", STACKS)
def test_every_event_obeys_local_detailed_balance(name: str) -> None:
    """Forward over reverse rate is exp(-energy/kT) to 1e-9, at the device voltage and local temperature.

    Exact, so no power to state: eight events of each kind that the stack has.
    """
    w = busy(name)
    warm, charge = w.fields["temperature"], w.fields["space_potential"]
    assert np.ptp(warm) > 100.0
    assert name not in LAYERED or np.ptp(charge) > 1e-3
    events = sample(w, EVENTS)
    for kind in KINDS if name in LAYERED else BARE_KINDS:
        some = [one for one in events[kind] if rate_of(w, one.entity, one.channel, one.target) > 0.0]
        assert len(some) >= EVENTS // 2, kind  # beside those that are rarer than a float can say
        size = max(abs(imbalance(w, event)) for event in some)
        assert size < 1e-9, (kind, size)


def worst(w: Window, kind: str, most: int = EVENTS, **terms: bool) -> float:
    """Largest imbalance among events of a kind."""
    return max(abs(imbalance(w, event, **terms)) for event in sample(w, most)[kind])


@pytest.mark.parametrize(
    ("name", "kind", "term"),
    [
        ("ogb_20nm", "oxidation", "bonds"),
        ("ddab_20nm", "oxidation", "adhesion"),
        ("ogb_20nm", "ionisation", "pairs"),
        ("thin_film_100nm", "surface move", "adhesion"),
        ("thin_film_100nm", "vacancy hop", "pairs"),
        ("interlayers_only", "surface move", "bonds"),
    ],
)
def test_a_missing_energy_is_seen(name: str, kind: str, term: str) -> None:
    """Negative control: with one term of the energy left out, detailed balance fails."""
    assert worst(busy(name), kind, 60, **{term: False}) > 1e-3


@pytest.mark.parametrize(("table", "kind"), [("ion_barrier", "ion hop"), ("vacancy_barrier", "vacancy hop")])
def test_a_one_way_barrier_is_seen(table: str, kind: str) -> None:
    """Negative control: barriers between regions that are 1 meV higher one way than the other."""
    w = busy("ogb_20nm").copy()
    wrong = w.model.copy()
    wrong[table] += 1e-3 * np.triu(np.ones_like(wrong[table]), 1)
    w = w._replace(model=wrong)
    advance.refresh_all(*w)
    assert worst(w, kind, 60) > 1e-3
