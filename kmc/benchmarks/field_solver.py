"""`kmc bench fields`: our multigrid against pyamg's Ruge-Stuben with conjugate gradients.

Layers between metal contacts, and a filament one cell wide that is closed but for one cell. Cold is a solve
from nothing; warm is what it takes when that cell closes the circuit and the conductance rises by orders of
magnitude, from the changed coefficient to the new potential, as a device does it: the hierarchy is updated
near the change, and the solver starts from the last solution and ends at a device's tolerance. The peer
keeps its hierarchy and starts from its last solution; cold and warm it ends at the first iterate whose
conductance is as good as ours: neither the search for that nor its matrices are counted. Both have one
thread. Of several measurements each side's best stands, for what disturbs them only adds.
"""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from kmc.core.blas_threads import one_each
from kmc.core.errors import optional
from kmc.electrostatics.potential import SOLVE_ETA as ETA
from kmc.solvers.multigrid.solver import Hierarchy, face_conductances, renew_faces

Cell = tuple[int, int, int]

SHAPES = ((40, 40, 60), (64, 64, 100))  # nx, ny, nz
CONTRASTS = (1e6, 1e9)
REPEATS = 5
DIRECT = 150_000  # cells up to which the answer comes from a direct solve
PEER = "pyamg Ruge-Stuben + CG"
PEER_LIMIT = 60  # iterations
EXACT = 1e-12  # residual of what counts as the answer


def nearly_closed(shape: tuple[int, int, int], contrast: float) -> tuple[np.ndarray, Cell]:
    """Layers of 7, 3 and 1 between metal, and a filament from below to one cell short of the top: [z, y, x].

    It steps sideways now and then. Also returns the gap cell that closes it.
    """
    nx, ny, nz = shape
    cells = np.ones((nz, ny, nx))
    cells[: 2 * nz // 3] = 3.0
    cells[: nz // 3] = 7.0
    cells[0] = cells[-1] = contrast
    y, x = ny // 2, nx // 2
    for z in range(1, nz - 2):
        cells[z, y, x] = contrast
        if z % 7 == 3 and z < nz - 4:
            y, x = (y + 1, x) if z % 2 else (y, x - 1)
            cells[z, y, x] = contrast
    return cells, (nz - 2, y, x)


def electrodes(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Held cells (first and last plane) and the start value: 0 below, 1 above, linear between."""
    fixed = np.zeros(shape, np.uint8)
    fixed[0] = fixed[-1] = 1
    start = np.broadcast_to(np.linspace(0.0, 1.0, shape[0])[:, None, None], shape).copy()
    return fixed, start


class Ours:
    """Our solver: cold on the given cells, then from change to change."""

    def __init__(self, cells: np.ndarray) -> None:
        self.cells = cells.copy()
        fixed, self.u = electrodes(cells.shape)
        begin = time.perf_counter()
        self.faces = face_conductances(self.cells)
        self.hierarchy = Hierarchy(*self.faces, None, fixed)
        self.hierarchy.solve(None, self.u, ETA)
        self.seconds = time.perf_counter() - begin

    def conductance(self) -> float:
        """Between the electrodes, at present."""
        return self.hierarchy.energy(self.u)

    def change(self, cell: Cell, value: float) -> float:
        """Give a cell another coefficient; seconds until the potential has followed."""
        z, y, x = cell
        box = (z, z + 1, y, y + 1, x, x + 1)
        begin = time.perf_counter()
        self.cells[cell] = value
        renew_faces(self.faces, self.cells, box)
        self.hierarchy.update(box)
        self.hierarchy.solve(None, self.u, ETA)
        return time.perf_counter() - begin


def matrix(cells: np.ndarray) -> tuple[Any, np.ndarray]:
    """Sparse operator on the free cells and its right-hand side for one volt."""
    from scipy import sparse

    number = np.arange(cells.size).reshape(cells.shape)
    pairs = ((number[:-1], number[1:]), (number, np.roll(number, -1, 1)), (number, np.roll(number, -1, 2)))
    i, j = (np.concatenate([pair[k].ravel() for pair in pairs]) for k in range(2))
    g = np.concatenate([face.ravel() for face in face_conductances(cells)])
    whole = sparse.coo_matrix((-g, (i, j)), (cells.size, cells.size))
    whole = (whole + whole.T).tocsr()
    whole = whole - sparse.diags(np.asarray(whole.sum(axis=1)).ravel())
    fixed, u = electrodes(cells.shape)
    free = np.flatnonzero(fixed.ravel() == 0)
    held = np.flatnonzero(fixed.ravel())
    return whole[free][:, free].tocsr(), -(whole[free][:, held] @ u.ravel()[held])


def conductance(cells: np.ndarray, values: np.ndarray) -> float:
    """Energy of a solution on the free cells at one volt: the conductance, with an error of second order."""
    fixed, u = electrodes(cells.shape)
    u[fixed == 0] = values
    gz, gy, gx = face_conductances(cells)
    total = (gz * np.diff(u, axis=0) ** 2).sum()
    total += (gy * (u - np.roll(u, -1, 1)) ** 2).sum() + (gx * (u - np.roll(u, -1, 2)) ** 2).sum()
    return float(total)


def exact(states: list[np.ndarray]) -> list[float]:
    """Conductances of states that differ in few cells: of the first by a direct solve, if it is small enough.

    The others, and all of large ones, by conjugate gradients to a residual of 1e-12, preconditioned by the
    first one's factors (exact but for the changed cells) or by the peer's hierarchy.
    """
    from scipy.sparse.linalg import LinearOperator, cg, splu

    systems = [matrix(cells) for cells in states]
    a = systems[0][0]
    if states[0].size < DIRECT:
        # symmetric and diagonally dominant: no pivoting, an ordering for symmetric matrices
        factors = splu(a.tocsc(), "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        inverse = LinearOperator(a.shape, factors.solve)
    else:
        inverse = _peer().ruge_stuben_solver(a).aspreconditioner()
    found = []
    for cells, (a, b) in zip(states, systems, strict=True):
        values, left = cg(a, b, rtol=EXACT, maxiter=PEER_LIMIT, M=inverse)
        if left:
            raise RuntimeError(f"{left} iterations do not bring the residual to {EXACT}")
        found.append(conductance(cells, values))
    return found


def _peer() -> Any:
    """The peer's library. UserError where it is not installed."""
    return optional("pyamg", "test", "kmc bench fields", ", with a Python that pyamg has wheels for")


class Peer:
    """The peer's hierarchy for the given cells, and how long it takes to a conductance of given quality."""

    def __init__(self, cells: np.ndarray) -> None:
        a, _ = matrix(cells)
        library, spent = _peer(), []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            solver = library.ruge_stuben_solver(a)
            spent.append(time.perf_counter() - begin)
        self.preconditioner, self.seconds = solver.aspreconditioner(), min(spent)

    def solve(self, cells: np.ndarray, start: np.ndarray, target: float, error: float) -> tuple[float, np.ndarray]:
        """Seconds from a start to a conductance within `error` of `target`, and the solution there."""
        from scipy.sparse.linalg import cg

        a, b = matrix(cells)
        good: list[bool] = []

        def look(values: np.ndarray) -> None:
            good.append(abs(conductance(cells, values) / target - 1.0) <= error)
            if good[-1]:
                raise StopIteration

        try:
            cg(a, b, x0=start, rtol=0.0, maxiter=PEER_LIMIT, M=self.preconditioner, callback=look)
        except StopIteration:
            pass
        spent = []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            values, _ = cg(a, b, x0=start, rtol=0.0, maxiter=len(good), M=self.preconditioner)
            spent.append(time.perf_counter() - begin)
        return min(spent), values


def states(shape: tuple[int, int, int], contrast: float) -> tuple[np.ndarray, np.ndarray, Cell]:
    """Cells with the filament open and closed, and the cell in which they differ."""
    cells, gap = nearly_closed(shape, contrast)
    closed = cells.copy()
    closed[gap] = contrast
    return cells, closed, gap


def right_answers(shape: tuple[int, int, int], contrast: float) -> list[float]:
    """The exact conductances with the filament open and closed."""
    return exact(list(states(shape, contrast)[:2]))


def measure_ours(shape: tuple[int, int, int], contrast: float, right: list[float]) -> list[float]:
    """Best seconds cold of REPEATS, warm of as many after each, and the errors of the conductance there."""
    cells, _, gap = states(shape, contrast)
    Ours(nearly_closed((12, 12, 16), 1e6)[0]).change((14, 6, 6), 1e6)  # compiles
    cold, warm, error = [], [], [0.0, 0.0]
    for _ in range(REPEATS):
        ours = Ours(cells)
        cold.append(ours.seconds)
        error[0] = abs(ours.conductance() / right[0] - 1.0)
        for _ in range(REPEATS):
            warm.append(ours.change(gap, contrast))
            error[1] = max(error[1], abs(ours.conductance() / right[1] - 1.0))
            ours.change(gap, cells[gap])
    return [min(cold), min(warm), *error]


def measure_peer(shape: tuple[int, int, int], contrast: float, right: list[float], errors: list[float]) -> list[float]:
    """Best seconds of the peer cold and warm of REPEATS, each to the given error of the conductance."""
    cells, closed, _ = states(shape, contrast)
    peer = Peer(cells)
    cold, values = peer.solve(cells, electrodes(cells.shape)[1][1:-1].ravel(), right[0], errors[0])
    warm, _ = peer.solve(closed, values, right[1], errors[1])
    return [peer.seconds + cold, warm]


def run(progress: Callable[[str], None] = lambda line: None) -> list[dict[str, Any]]:
    """Rows of shape (nx, ny, nz), contrast, cold_s, warm_s, error_G, peer, peer_cold_s, peer_warm_s, ratios.

    `progress` takes a line of text at each step.
    """
    _peer()
    rows = []
    spawn = multiprocessing.get_context("spawn")
    with one_each(), ProcessPoolExecutor(1, mp_context=spawn) as pool:
        for shape, contrast in itertools.product(SHAPES, CONTRASTS):
            name = f"{'x'.join(str(n) for n in shape)}, contrast {contrast:g}"
            progress(f"{name}: exact conductances")
            right = pool.submit(right_answers, shape, contrast).result()
            progress(f"{name}: this solver")
            cold, warm, *errors = pool.submit(measure_ours, shape, contrast, right).result()
            progress(f"{name}: {PEER}")
            peer_cold, peer_warm = pool.submit(measure_peer, shape, contrast, right, errors).result()
            rows.append(
                {
                    "shape": list(shape),
                    "contrast": contrast,
                    "cold_s": cold,
                    "warm_s": warm,
                    "error_G": max(errors),
                    "peer": PEER,
                    "peer_cold_s": peer_cold,
                    "peer_warm_s": peer_warm,
                    "ratio_cold": peer_cold / cold,
                    "ratio_warm": peer_warm / warm,
                }
            )
    return rows
