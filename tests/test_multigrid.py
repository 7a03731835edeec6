"""The field solver against direct solves, layers and itself."""

import numpy as np
import pytest

from kmc import bench_fields
from kmc.multigrid import Hierarchy, face_conductances


@pytest.mark.parametrize("contrast", [1.0, 1e6, 1e9])
def test_conductance_equals_a_direct_solve(contrast: float) -> None:
    """A nearly closed filament in layers, before and after the gap closes: conductance to 1e-3."""
    cells, gap = bench_fields.nearly_closed((10, 12, 14), contrast)
    got = bench_fields.ours(cells, gap)
    assert got["before"] == pytest.approx(bench_fields.exact(cells), rel=1e-3)
    closed = cells.copy()
    closed[gap] = contrast
    assert got["after"] == pytest.approx(bench_fields.exact(closed), rel=1e-3)
    if contrast > 1:  # the control: the open device's answer must not pass for the closed one's
        assert got["before"] != pytest.approx(got["after"], rel=1e-3)


def test_layers_divide_the_voltage_as_their_permittivities_say() -> None:
    """Cells of permittivity 1 and 4 in series: the potential is linear in each with slopes 4 to 1."""
    cells = np.ones((12, 4, 4))
    cells[6:] = 4.0
    fixed, u = bench_fields.electrodes(cells.shape)
    Hierarchy(*face_conductances(cells), None, fixed).solve(None, u, 1e-10)
    steps = np.diff(u[:, 0, 0])
    assert steps[1:4] / steps[7:10] == pytest.approx(4.0, rel=1e-6)


def test_an_update_equals_a_new_hierarchy() -> None:
    """Changing one cell and telling the box gives the same bytes as building anew."""
    cells, gap = bench_fields.nearly_closed((9, 10, 16), 1e6)
    fixed, u = bench_fields.electrodes(cells.shape)
    faces = face_conductances(cells)
    kept = Hierarchy(*faces, None, fixed)
    cells[gap] = 1e6
    for old, new in zip(faces, face_conductances(cells), strict=True):
        old[...] = new
    z, y, x = gap
    kept.update((z, z + 1, y, y + 1, x, x + 1))
    other = u.copy()
    kept.solve(None, u, 1e-6)
    Hierarchy(*face_conductances(cells), None, fixed).solve(None, other, 1e-6)
    assert u.tobytes() == other.tobytes()


def test_sinks_alone_make_the_problem_definite() -> None:
    """No held cell, a sink everywhere: the sum of sink times u equals the sum of the sources."""
    rng = np.random.default_rng(3)
    source, sink = rng.random((8, 6, 7)), np.full((8, 6, 7), 0.3)
    u = np.zeros_like(source)
    Hierarchy(*face_conductances(np.ones_like(source)), sink).solve(source, u, 1e-10)
    assert (sink * u).sum() == pytest.approx(source.sum(), rel=1e-6)
