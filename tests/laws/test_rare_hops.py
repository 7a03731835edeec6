"""A hop that is a billion times rarer than the others of its site is as frequent in a slice as hop by hop."""

from __future__ import annotations

import numpy as np
import pytest
from small_device import run
from test_glide import known, sliced, trials

from kmc import kernels
from kmc.lattice import Region


def test_rare_hops_keep_their_share() -> None:
    """Into a region that costs an ion 1.4 eV more at 600 K hops are under 1e-9 of a site's total: to 1e-6.
    Negative control: of running sums rounded to float32 nothing is left of most of them."""
    w, rare, lost = sliced("few"), 0, 0
    w.model["ion_energy"][Region.ORGANIC] += 1.4
    kernels.refresh_all(*w)
    run(w, np.random.default_rng(11), np.inf, 2000)
    for site, rates in zip(known(w), trials(w, known(w)), strict=True):
        some = (rates[:6] > 0.0) & (rates[:6] < 1e-9 * rates.sum())
        rare += int(some.sum())
        assert w.state.table[site, :6][some] == pytest.approx(rates[:6][some], rel=1e-6)
        sums = np.cumsum(rates[[6, 7, 0, 1, 2, 3, 4, 5]]).astype(np.float32)
        lost += int((np.diff(sums)[1:][some] == 0.0).sum())
    assert lost > 0.9 * rare > 20
