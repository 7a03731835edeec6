"""A hop that is a billion times rarer than the others of its site is as frequent in a slice as hop by hop."""

from __future__ import annotations

import numpy as np
import pytest
from small_device import run
from test_frozen_ion_walks import known, sliced, trials

from kmc.core.jit_cache import njit
from kmc.geometry.lattice import Region
from kmc.kinetics import advance
from kmc.kinetics.frozen_ion_walks import looked_up


@njit
def sums_at(state, grid, fields, model, entity: int, site: int):
    """The running sums by which an ion on a site is moved."""
    return looked_up(state, grid, fields, model, entity, site, 0)


def test_rare_hops_keep_their_share() -> None:
    """Into a region that costs an ion 1.4 eV more at 600 K hops are under 1e-9 of a site's total: the steps
    of the running sums are their rates, to 0.1 %. Negative control: rounded to float32 most steps are nil."""
    w, rare, lost = sliced("few"), 0, 0
    w.model["ion_energy"][Region.ORGANIC] += 1.4
    advance.refresh_all(*w)
    generator = np.random.default_rng(11)
    for _ in range(5):
        run(w, generator, np.inf, 1000)
        ion = int(np.flatnonzero(w.state.entities["kind"] == 0)[0])  # a free slot: none of the ions is moved
        for site, rates in zip(known(w), trials(w, known(w)), strict=True):
            some = (rates[:6] > 1e-13 * rates.sum()) & (rates[:6] < 1e-9 * rates.sum())
            rare += int(some.sum())
            sums = np.array(sums_at(*w, ion, int(site)))
            assert np.diff(sums)[some] == pytest.approx(rates[:6][some], rel=1e-3)
            lost += int((np.diff(sums.astype(np.float32))[some] == 0.0).sum())
    assert lost > 0.9 * rare > 20
