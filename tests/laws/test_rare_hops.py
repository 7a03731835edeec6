"""A hop that is a billion times rarer than the others of its site is as frequent in a slice as hop by hop."""

from __future__ import annotations

import numpy as np
import pytest
from small_device import run
from test_glide import known, sliced, trials

from kmc import kernels
from kmc.lattice import Region


def test_rare_hops_keep_their_share() -> None:
    """Into a region that costs an ion 1.4 eV more at 600 K hops are under 1e-9 of a site's total: to 0.1 %.
    Negative control: of sums rounded to float32 nothing is left of most of them."""
    w, rare, lost = sliced("few"), 0, 0
    w.model["ion_energy"][Region.ORGANIC] += 1.4
    kernels.refresh_all(*w)
    run(w, np.random.default_rng(11), np.inf, 2000)
    for site, rates in zip(known(w), trials(w, known(w)), strict=True):
        row = w.state.table[site]
        some = (rates[:6] > 0.0) & (rates[:6] < 1e-9 * row[-1])
        rare += int(some.sum())
        assert np.diff(row.astype(float)[1:])[some] == pytest.approx(rates[:6][some], rel=1e-3)
        lost += int((np.diff(row.astype(np.float32)[1:])[some] == 0.0).sum())
    assert lost > 0.9 * rare > 20
