"""Electrons of an atom that touches several metals: each gives and takes them at its own potential."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_stacks import LAYERED, loaded

from kmc.core.units import K_B
from kmc.geometry.builder import spacing_nm
from kmc.geometry.lattice import OPEN, Region
from kmc.inputs.settings import Settings
from kmc.kinetics import advance
from kmc.kinetics.redox_rates import redox
from kmc.system.neighbours import neighbour
from kmc.system.parameter_tables import build_model
from kmc.system.state import FIELD, KIND_METAL, Grid, State, allocate

SHAPE, GRID, MIDDLE = (8, 8, 8), Grid(8, 8, 8), 4 * 64 + 4 * 8 + 4
WAYS = (True, False)  # oxidation, reduction
KT = K_B * 300.0
PHI = 0.02  # what the ion feels, V


def alone(name: str) -> tuple[State, np.ndarray, np.ndarray]:
    """A site of the seam or the boundary at 300 K without metal; state, fields, the stack's model."""
    stack = loaded(name)
    home = Region.GAP if stack.ligand is not None else Region.BOUNDARY
    region = np.full(SHAPE, home, np.uint8)
    fields = np.zeros(region.size, FIELD)
    fields["temperature"] = 300.0
    return (
        allocate(region, np.full_like(region, OPEN), 16),
        fields,
        build_model(stack, spacing_nm(stack, Settings()), Settings())[0],
    )


def rates(name: str, potentials: list[float]) -> np.ndarray:
    """Oxidation and reduction [2] with metal at these potentials on the first neighbours, 1/s."""
    state, fields, model = alone(name)
    around = np.array([neighbour(GRID, MIDDLE, d) for d in range(len(potentials))], np.int32)
    advance.place_many(state, GRID, KIND_METAL, around)
    fields["space_potential"][around] = potentials
    return np.array([redox(state, GRID, fields, model, MIDDLE, PHI, way) for way in WAYS])


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize("voltage", [0.05, 0.1, 0.3])
def test_in_a_neck_redox_is_faster_both_ways_than_at_the_mean(name: str, voltage: float) -> None:
    """By cosh(alpha e V / 2kT) with half of V to either side: 1.1 at 50 mV, 9 at 0.3 V with the cards."""
    assert float(alone(name)[2]["transfer"]) == pytest.approx(0.5)
    mean = rates(name, [0.0, 0.0])
    apart = rates(name, [-0.5 * voltage, 0.5 * voltage])
    assert apart / mean == pytest.approx([math.cosh(0.25 * voltage / KT)] * 2, rel=1e-9)


@pytest.mark.parametrize("name", LAYERED)
def test_each_metal_is_a_channel_with_its_share_of_the_attempts(name: str) -> None:
    """Three neighbours of one potential, one of another: the mean of the rates at either, by their shares."""
    low, high = rates(name, [0.0] * 4), rates(name, [0.2] * 4)
    for potentials in ([0.0, 0.0, 0.0, 0.2], [0.0, 0.2, 0.0, 0.0], [0.2, 0.0, 0.0, 0.0]):
        assert rates(name, potentials) == pytest.approx(0.75 * low + 0.25 * high, rel=1e-12)
    assert abs(math.log(high[0] / low[0])) > 2.0  # else the mean of the potentials would pass, too


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize("potential", [-0.3, 0.0, 0.3])
def test_every_channel_obeys_detailed_balance(name: str, potential: float) -> None:
    """Against the same atom's channels to metal at 0 V: their ratio changes by exp(e V / kT)."""
    still, there = rates(name, [0.0, 0.0]), rates(name, [potential, potential])
    assert (there[0] / there[1]) / (still[0] / still[1]) == pytest.approx(math.exp(potential / KT), rel=1e-9)
