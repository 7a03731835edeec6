"""Ions that feel each other: what the lists by cells find is what all pairs give."""

from __future__ import annotations

import numpy as np
import pytest
from small_device import SHAPE, Window, problems, run, table, window

from kmc.kinetics import advance
from kmc.kinetics.entity_records import drop_entity
from kmc.system.parameter_tables import NO_HOP, PAIR_REACH
from kmc.system.state import EMPTY, KIND_ION, KIND_METAL, KIND_VACANCY, OWN

WIDE = (16, 20, 24)  # in which an ion has cells around it that it does not see


def ions_alone(shape: tuple[int, int, int], count: int, stay: bool) -> Window:
    """A window with this many ions, which only hop if they are to `stay`, no atom and no vacancy."""
    w = window(1, shape=shape)
    model = table()
    model["exchange"], model["explicit_vacancies"], model["flight"] = NO_HOP, 0, 0
    if stay:
        model["reduction"] = model["electrode"] = 9.0
    w = Window(w.state, w.grid, w.fields, model.view(np.recarray)[0])
    there = np.isin(w.state.entities["kind"], (KIND_ION, KIND_METAL, KIND_VACANCY))
    for entity in np.flatnonzero(there):
        drop_entity(w.state, w.grid, int(entity))
    inside = slice(4 * w.grid.nx * w.grid.ny, 12 * w.grid.nx * w.grid.ny)
    free = inside.start + np.flatnonzero(w.state.sites["cation"][inside] == EMPTY)
    places = np.random.default_rng(2).choice(free, count, replace=False)
    advance.place_many(w.state, w.grid, KIND_ION, places.astype(np.int32))
    advance.refresh_all(*w)
    return w


def by_all_pairs(w: Window) -> np.ndarray:
    """Each ion's pair energy over `screen` where it is, pair by pair."""
    ions = np.flatnonzero(w.state.entities["kind"] == KIND_ION)
    z, y, x = (w.state.entities[name][ions].astype(int) for name in ("z", "y", "x"))

    def ring(a: np.ndarray, length: int) -> np.ndarray:
        apart = np.abs(a[:, None] - a)
        return np.minimum(apart, length - apart)

    squared = ring(x, w.grid.nx) ** 2 + ring(y, w.grid.ny) ** 2 + (z[:, None] - z) ** 2
    region = w.state.sites["region"][w.state.entities["site"][ions]]
    energy = np.where(squared < PAIR_REACH**2, w.model.pair[region, np.minimum(squared, PAIR_REACH**2)], 0.0)
    np.fill_diagonal(energy, 0.0)
    return energy.sum(axis=1)


def found(w: Window) -> np.ndarray:
    """The same as the window has it."""
    return w.state.pairs[w.state.entities["kind"] == KIND_ION, OWN]


@pytest.mark.parametrize(
    ("shape", "count", "stay"), [(WIDE, 3, True), (WIDE, 25, True), (SHAPE, 6, True), (WIDE, 10, False)]
)
def test_ions_feel_each_other_as_all_pairs_do(shape: tuple[int, int, int], count: int, stay: bool) -> None:
    """To the last bit at each of twenty stops: where ions seldom meet, cells lie round the window, ions come
    and go.

    Negative control: where nobody is counted, nobody is felt.
    """
    w, events, felt, blind = ions_alone(shape, count, stay), np.random.default_rng(4), 0, False
    for _ in range(20):
        run(w, events, np.inf, 300)
        energy = by_all_pairs(w)
        assert (found(w) == energy).all()
        assert problems(w) == []
        felt += np.count_nonzero(energy)
        other = w.copy()
        other.state.crowd[:] = 0
        run(other, np.random.default_rng(5), np.inf, 300)
        blind |= bool((found(other) != by_all_pairs(other)).any())
    gone = w.state.run["returned"][0]
    assert (w.state.run["hops"][0] > 1000) if stay else (min(gone, w.state.run["emitted"][0]) > 20)
    assert felt > 0
    assert blind
