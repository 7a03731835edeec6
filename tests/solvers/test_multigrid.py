"""The field solver against direct solves, analytic layers and itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from kmc.benchmarks.field_solver import electrodes, nearly_closed
from kmc.solvers.multigrid import finest_level as mk
from kmc.solvers.multigrid.solver import Hierarchy, face_conductances, renew_faces


def whole_matrix(gz, gy, gx, d) -> sparse.csr_matrix:
    """The operator on all cells, held ones included."""
    number = np.arange(d.size).reshape(d.shape)
    pairs = ((number[:-1], number[1:]), (number, np.roll(number, -1, 1)), (number, np.roll(number, -1, 2)))
    i, j = (np.concatenate([pair[k].ravel() for pair in pairs]) for k in range(2))
    g = np.concatenate([gz.ravel(), gy.ravel(), gx.ravel()])
    a = sparse.coo_matrix((-g, (i, j)), (d.size, d.size)).tocsr()
    a = a + a.T
    return (a - sparse.diags(np.asarray(a.sum(axis=1)).ravel()) + sparse.diags(d.ravel())).tocsr()


def without_held(faces, fixed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces without those between two held cells."""
    gz, gy, gx = (face.copy() for face in faces)
    gz[(fixed[:-1] & fixed[1:]) > 0] = 0.0
    gy[(fixed & np.roll(fixed, -1, 1)) > 0] = 0.0
    gx[(fixed & np.roll(fixed, -1, 2)) > 0] = 0.0
    return gz, gy, gx


def direct(faces, d, fixed, b, u) -> np.ndarray:
    """The answer by a direct solve; held cells keep u."""
    a, x = whole_matrix(*faces, d), u.ravel().copy()
    free, held = np.flatnonzero(fixed.ravel() == 0), np.flatnonzero(fixed.ravel())
    x[free] = spsolve(a[free][:, free].tocsc(), b.ravel()[free] - a[free][:, held] @ x[held])
    return x.reshape(u.shape)


def blobs(shape, contrast: float, seed: int) -> np.ndarray:
    """Metal in random clusters of some cells in an insulator."""
    rng = np.random.default_rng(seed)
    field = rng.standard_normal(shape)
    for axis in range(3):
        field = field + np.roll(field, 1, axis) + np.roll(field, -1, axis)
    return np.where(field > np.quantile(field, 0.85), contrast, 1.0)


def distance(hierarchy: Hierarchy, u: np.ndarray, right: np.ndarray) -> float:
    """Energy of the error over that of the answer."""
    return hierarchy.energy(u - right) / hierarchy.energy(right)


def test_held_cells_side_by_side_do_not_end_a_solution() -> None:
    """An electrode's face between two held cells of other values is none of the energy that ends a solution.

    A mesh cell that holds a tip beside an electrode is held between the two: by that face's energy any start
    had been good enough. Changed afterwards, too, where the tip comes to lie there.
    """
    faces = face_conductances(np.ones((8, 6, 6)))
    gz, gy, gx = faces
    gz[6], gy[7], gx[7] = 1e9, 1e9, 1e9
    fixed, u = electrodes((8, 6, 6))
    hierarchy = Hierarchy(gz, gy, gx, None, fixed)
    hierarchy.solve(None, u, 1e-4)
    fixed[6, 2, 3], u[6, 2, 3] = 1, 0.7
    fixed[3, 2, 3], u[3, 2, 3] = 1, 0.0
    hierarchy.update((3, 7, 2, 3, 3, 4))
    zero = np.zeros(u.shape)
    right = direct(faces, zero, fixed, zero, u)
    assert np.abs(u - right).max() > 0.1
    assert hierarchy.solve(None, u, 1e-4) > 0
    assert np.abs(u - right).max() < 1e-3


@pytest.mark.parametrize("contrast", [1.0, 1e6, 1e9])
def test_conductance_equals_a_direct_solve(contrast: float) -> None:
    """Layers and a filament, before and after its gap closes: conductance to 1e-7 where eta is 1e-4."""
    cells, gap = nearly_closed((10, 13, 15), contrast)
    values = []
    for value in (cells[gap], contrast):
        cells[gap] = value
        fixed, u = electrodes(cells.shape)
        faces, zero = face_conductances(cells), np.zeros(cells.shape)
        hierarchy = Hierarchy(*faces, None, fixed)
        right = direct(faces, zero, fixed, zero, u)
        assert hierarchy.solve(None, u, 1e-4) > 0
        values.append(hierarchy.energy(u))
        assert values[-1] == pytest.approx(hierarchy.energy(right), rel=1e-7)
        assert hierarchy.last_energy == values[-1]
    if contrast > 1:  # the control: the open device's answer must not pass for the closed one's
        assert values[1] > 10 * values[0]


@pytest.mark.parametrize("shape", [(4, 4, 4), (5, 7, 9), (16, 12, 13), (9, 4, 32), (6, 1, 5), (2, 3, 2)])
@pytest.mark.parametrize("contrast", [1.0, 1e3, 1e9])
def test_potential_equals_a_direct_solve(shape: tuple[int, int, int], contrast: float) -> None:
    """Clusters of metal, sources, sinks here and there, held cells at random values; any shape, periodic."""
    rng = np.random.default_rng(5)
    faces = face_conductances(blobs(shape, contrast, 1), 0.7)
    fixed = (rng.random(shape) < 0.05).astype(np.uint8)
    fixed[0, 0, 0] = 1
    d, b = np.where(rng.random(shape) < 0.2, 0.3, 0.0), rng.standard_normal(shape)
    u = np.where(fixed, rng.standard_normal(shape), 0.0)
    hierarchy = Hierarchy(*faces, d, fixed)
    right = direct(faces, d, fixed, b, u)
    assert hierarchy.solve(b, u, 1e-7) >= 0
    assert distance(hierarchy, u, right) < 1e-12


def test_many_pieces_of_metal_do_not_hide_an_error() -> None:
    """A sixth of the cells metal of 1e9, floating in pieces: the error is as asked for, in few iterations.

    Where a coarse mesh joins two pieces, the test of r . z passes with errors of per cents.
    """
    shape, eta = (20, 16, 16), 1.5e-2
    faces, zero = face_conductances(blobs(shape, 1e9, 1)), np.zeros(shape)
    fixed, u = electrodes(shape)
    hierarchy = Hierarchy(*faces, None, fixed)
    right = direct(faces, zero, fixed, zero, u)
    assert 0 < hierarchy.solve(None, u, eta) < 30
    assert distance(hierarchy, u, right) < 3 * eta**2
    assert 0 < hierarchy.solve(None, u, 1e-6) < 30
    assert distance(hierarchy, u, right) < 3e-12


def test_layers_divide_the_voltage_as_their_permittivities_say() -> None:
    """Layers in series with a thin one of 1e-6: potential drops as thickness over permittivity."""
    permittivity = np.repeat([1.0, 4.0, 1e-6, 20.0, 4.0], [3, 4, 1, 5, 4])
    cells = np.broadcast_to(permittivity[:, None, None], (17, 6, 5)).copy()
    fixed, u = electrodes(cells.shape)
    Hierarchy(*face_conductances(cells), None, fixed).solve(None, u, 1e-9)
    way = np.cumsum(np.concatenate([[0.0], 0.5 / permittivity[1:] + 0.5 / permittivity[:-1]]))
    assert np.allclose(u, (way / way[-1])[:, None, None], atol=1e-8)


def test_stretched_planes_come_through_given_conductances() -> None:
    """Cells that grow 1.5 times from plane to plane: a plate capacitor's potential stays linear in height."""
    height = 1.5 ** np.arange(12)
    gz = np.broadcast_to((2.0 / (height[1:] + height[:-1]))[:, None, None], (11, 6, 6)).copy()
    side = np.broadcast_to(height[:, None, None], (12, 6, 6)).copy()
    fixed, u = electrodes((12, 6, 6))
    u[1:-1] = 0.3
    assert 0 < Hierarchy(gz, side, side.copy(), None, fixed).solve(None, u, 1e-8) < 20
    centre = np.cumsum(height) - 0.5 * height
    assert np.allclose(u[:, 2, 3], (centre - centre[0]) / (centre[-1] - centre[0]), atol=1e-6)


def test_the_mesh_is_periodic_sideways_and_closed_above_and_below() -> None:
    """A source at an edge is felt alike on both sides of it, and rolling the problem rolls the answer."""
    shape = (6, 7, 9)
    b, d = np.zeros(shape), np.full(shape, 0.1)
    b[0, 0, 0] = 1.0
    faces = face_conductances(np.ones(shape))
    u, rolled = np.zeros(shape), np.zeros(shape)
    Hierarchy(*faces, d).solve(b, u, 1e-9)
    assert u[0, 1, 0] == pytest.approx(u[0, -1, 0], rel=1e-6)
    assert u[0, 0, 1] == pytest.approx(u[0, 0, -1], rel=1e-6)
    assert u[0, 0, 0] > 10 * u[-1, 3, 4]
    Hierarchy(*faces, d).solve(np.roll(b, (3, 5), (1, 2)), rolled, 1e-9)
    assert np.allclose(np.roll(u, (3, 5), (1, 2)), rolled, rtol=1e-6)


def test_sinks_alone_make_the_problem_definite() -> None:
    """No held cell: the sum of sink times u equals that of the sources, with sinks everywhere or in one."""
    rng = np.random.default_rng(3)
    source = rng.random((8, 6, 7))
    one = np.where(np.arange(source.size).reshape(source.shape) == 100, 1e-3, 0.0)
    for sink in (np.full_like(source, 0.3), np.full_like(source, 50.0), one):
        u = np.zeros_like(source)
        assert Hierarchy(*face_conductances(np.ones_like(source)), sink).solve(source, u, 1e-9) >= 0
        assert (sink * u).sum() == pytest.approx(source.sum(), rel=1e-6)


def test_a_source_in_a_grounded_box_ends_in_few_iterations() -> None:
    """The energy that r . z is held against is the present one: that of the start is nil here."""
    fixed, u = electrodes((16, 12, 12))
    u[:] = 0.0
    b = np.zeros(u.shape)
    b[7, 5, 5] = 1.0
    faces = face_conductances(blobs(u.shape, 1e3, 2))
    hierarchy = Hierarchy(*faces, None, fixed)
    right = direct(faces, np.zeros(u.shape), fixed, b, u)
    assert 0 < hierarchy.solve(b, u, 1e-2) < 15
    assert distance(hierarchy, u, right) < 3e-4


def test_nearly_all_cells_held() -> None:
    """One free cell takes the mean of its neighbours; none at all takes no iteration."""
    fixed, u = np.ones((5, 6, 4), np.uint8), np.arange(120.0).reshape(5, 6, 4)
    faces = face_conductances(np.ones(u.shape))
    assert Hierarchy(*faces, None, fixed).solve(None, u.copy()) == 0
    fixed[2, 3, 0] = 0
    mean = np.mean([u[1, 3, 0], u[3, 3, 0], u[2, 2, 0], u[2, 4, 0], u[2, 3, 1], u[2, 3, 3]])
    Hierarchy(*faces, None, fixed).solve(None, u, 1e-9)
    assert u[2, 3, 0] == pytest.approx(mean)


def test_a_constant_potential_is_a_solution() -> None:
    """All electrodes at one value: the answer is that value, its energy is rounding, the solver ends."""
    fixed, _ = electrodes((8, 6, 6))
    u = np.where(fixed, 0.7, 0.0)
    hierarchy = Hierarchy(*face_conductances(blobs(u.shape, 1e6, 2)), None, fixed)
    assert 0 < hierarchy.solve(None, u) < 60
    assert np.allclose(u, 0.7, atol=1e-9)


class Changing:
    """A device of random clusters whose cells change one by one: coefficient, held or free, or both."""

    def __init__(self, shape: tuple[int, int, int], contrast: float, seed: int) -> None:
        self.rng, self.contrast = np.random.default_rng(seed), contrast
        self.cells = blobs(shape, contrast, seed)
        self.fixed, self.u = electrodes(shape)
        self.faces = face_conductances(self.cells)
        self.hierarchy = Hierarchy(*self.faces, None, self.fixed)

    def boxes(self, count: int) -> Iterator[tuple[int, ...]]:
        """Make a change and give its box, `count` times; electrodes stay."""
        nz, ny, nx = self.cells.shape
        for _ in range(count):
            cell = tuple(int(v) for v in self.rng.integers((1, 0, 0), (nz - 1, ny, nx)))
            other = self.rng.uniform(0.5, 5.0) if self.contrast == 1.0 else self.contrast
            self.cells[cell] = other if self.cells[cell] == 1.0 else 1.0
            if self.rng.random() < 0.3:
                self.fixed[cell] ^= 1
                self.u[cell] = self.rng.random() if self.fixed[cell] else self.u[cell]
            box = tuple(v for c in cell for v in (c, c + 1))
            renew_faces(self.faces, self.cells, box)
            yield box

    def right(self) -> np.ndarray:
        """The potential now, by a direct solve."""
        zero = np.zeros(self.cells.shape)
        return direct(self.faces, zero, self.fixed, zero, self.u)


@pytest.mark.parametrize("shape", [(11, 13, 9), (16, 16, 12), (5, 6, 21)])
def test_an_update_equals_a_new_hierarchy(shape: tuple[int, int, int]) -> None:
    """After each of many local changes the answer has a new hierarchy's bytes, in as many iterations."""
    device = Changing(shape, 1e6, 8)
    start = electrodes(shape)[1]
    for k, box in enumerate(device.boxes(60)):
        device.hierarchy.update(box)
        if k % 3 == 0:
            u, other = start.copy(), start.copy()
            new = Hierarchy(*device.faces, None, device.fixed)
            assert device.hierarchy.solve(None, u, 1e-5) == new.solve(None, other, 1e-5)
            assert u.tobytes() == other.tobytes()


def test_without_an_update_the_answer_is_another() -> None:
    """The control of the test above: a hierarchy that was not told gives other bytes."""
    device = Changing((11, 13, 9), 1e6, 8)
    list(device.boxes(1))
    u, other = electrodes((11, 13, 9))[1], electrodes((11, 13, 9))[1]
    device.hierarchy.solve(None, u, 1e-5)
    Hierarchy(*device.faces, None, device.fixed).solve(None, other, 1e-5)
    assert u.tobytes() != other.tobytes()


def test_a_box_that_wraps_is_taken_over_on_both_sides() -> None:
    """A box past the edges in y and x, on odd periods, and one larger than the mesh."""
    shape, rng = (6, 9, 11), np.random.default_rng(2)
    cells = blobs(shape, 1e4, 3)
    fixed, start = electrodes(shape)
    faces = face_conductances(cells)
    kept = Hierarchy(*faces, None, fixed)
    for box in ((2, 4, 7, 11, -2, 2), (1, 5, -1, 1, 9, 13), (0, 6, -20, 20, -3, 30)):
        y, x = np.arange(box[2], box[3]) % 9, np.arange(box[4], box[5]) % 11
        where = np.ix_(range(box[0], box[1]), y, x)
        cells[where] = np.where(rng.random(cells[where].shape) < 0.5, 1e4, 1.0)
        renew_faces(faces, cells, box)
        for face, new in zip(faces, face_conductances(cells), strict=True):
            assert face.tobytes() == new.tobytes()
        kept.update(box)
        u, other = start.copy(), start.copy()
        kept.solve(None, u)
        Hierarchy(*faces, None, fixed).solve(None, other)
        assert u.tobytes() == other.tobytes()


@pytest.mark.parametrize("contrast", [1e6, 1e9])
def test_following_the_events_of_a_filament(contrast: float) -> None:
    """Closing and opening, each from the last solution: the conductance to 1e-7 of a direct solve."""
    cells, gap = nearly_closed((14, 14, 26), contrast)
    fixed, u = electrodes(cells.shape)
    faces, zero = face_conductances(cells), np.zeros(cells.shape)
    hierarchy = Hierarchy(*faces, None, fixed)
    hierarchy.solve(None, u)
    box = tuple(v for c in gap for v in (c, c + 1))
    for value in (contrast, 1.0, contrast, 1.0):
        cells[gap] = value
        renew_faces(faces, cells, box)
        hierarchy.update(box)
        assert hierarchy.solve(None, u, 1e-4) > 0
        right = direct(faces, zero, fixed, zero, u)
        assert hierarchy.energy(u) == pytest.approx(hierarchy.energy(right), rel=1e-7)
        assert distance(hierarchy, u, right) < 3e-8
        assert hierarchy.last_energy == hierarchy.energy(u)


def test_twice_the_same_bytes() -> None:
    """Solving, and solving again after each of some changes, gives the same bytes each time."""
    answers = set()
    for _ in range(2):
        device = Changing((20, 13, 12), 1e6, 3)
        device.hierarchy.solve(None, device.u)
        for box in device.boxes(10):
            device.hierarchy.update(box)
            device.hierarchy.solve(None, device.u)
        answers.add(device.u.tobytes())
    assert len(answers) == 1


def test_residual_and_energy_are_the_matrixs() -> None:
    """Compiled residual and energy, held cells included, against the whole matrix, to 1e-10.

    But for faces between two held cells, whose energy no solution changes.
    """
    shape = (5, 4, 6)
    rng = np.random.default_rng(0)
    faces, d, b = face_conductances(blobs(shape, 1e3, 0)), rng.random(shape), rng.random(shape)
    fixed = (rng.random(shape) < 0.2).astype(np.uint8)
    hierarchy, u = Hierarchy(*faces, d, fixed), rng.random(shape)
    a = whole_matrix(*without_held(faces, fixed), d)
    product = np.where(fixed.ravel(), 0.0, a @ u.ravel())
    r = np.zeros(u.size)
    energy, rough = mk.residual(hierarchy._meshes, b.ravel(), u.ravel(), r)
    assert energy == pytest.approx(u.ravel() @ (a @ u.ravel()), rel=1e-10)
    assert np.allclose(r, np.where(fixed, 0.0, b).ravel() - product)
    assert rough == pytest.approx((np.where(fixed.ravel(), 0.0, r) ** 2 / a.diagonal()).sum(), rel=1e-10)
    assert np.allclose(hierarchy.apply(u), product.reshape(shape))


def test_wrong_arrays_are_refused() -> None:
    """Not float64, not in C order, another shape: an error instead of an answer lost."""
    fixed, u = electrodes((6, 5, 4))
    hierarchy = Hierarchy(*face_conductances(np.ones(u.shape)), None, fixed)
    for bad in (u.astype(np.float32), np.asfortranarray(u), u[:5]):
        with pytest.raises(ValueError, match="needs float64"):
            hierarchy.solve(None, bad)


def test_means_of_faces() -> None:
    """Half cells in series, times the spacing; 0 beside an insulator."""
    cells = np.array([2.0, 6.0, 0.0]).reshape(3, 1, 1)
    assert np.allclose(face_conductances(cells, 0.5)[0].ravel(), [1.5, 0.0])
