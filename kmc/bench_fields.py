"""`kmc bench fields`: our multigrid against pyamg's Ruge-Stuben, cold and after one cell changes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .multigrid import Hierarchy, face_conductances

SHAPES = ((40, 40, 60), (64, 64, 100))  # nx, ny, nz
CONTRASTS = (1e6, 1e9)
ETA = 1e-4
REPEATS = 3
PEER = "pyamg Ruge-Stuben + CG"


def nearly_closed(shape: tuple[int, int, int], contrast: float) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Layers of permittivity 1, 3 and 7 with a one-cell filament up to one cell below the top: [z, y, x].

    Also returns the gap cell that closes it.
    """
    nx, ny, nz = shape
    cells = np.ones((nz, ny, nx))
    cells[nz // 3 : 2 * nz // 3] = 3.0
    cells[2 * nz // 3 :] = 7.0
    cells[1 : nz - 2, ny // 2, nx // 2] = contrast
    return cells, (nz - 2, ny // 2, nx // 2)


def electrodes(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Held cells (first and last plane) and the start value: 0 below, 1 above, linear between."""
    fixed = np.zeros(shape, np.uint8)
    fixed[0] = fixed[-1] = 1
    start = np.broadcast_to(np.linspace(0.0, 1.0, shape[0])[:, None, None], shape).copy()
    return fixed, start


def ours(cells: np.ndarray, gap: tuple[int, int, int]) -> dict[str, float]:
    """Seconds cold and warm, and the conductance before and after the gap closes."""
    cells = cells.copy()
    fixed, u = electrodes(cells.shape)
    begin = time.perf_counter()
    faces = face_conductances(cells)
    hierarchy = Hierarchy(*faces, None, fixed)
    hierarchy.solve(None, u, ETA)
    cold = time.perf_counter() - begin
    before = hierarchy.energy(u)
    cells[gap] = cells[1, gap[1], gap[2]]
    changed = face_conductances(cells)
    begin = time.perf_counter()
    for kept, new in zip(faces, changed, strict=True):
        kept[...] = new
    z, y, x = gap
    hierarchy.update((z, z + 1, y, y + 1, x, x + 1))
    hierarchy.solve(None, u, ETA)
    return {"cold": cold, "warm": time.perf_counter() - begin, "before": before, "after": hierarchy.energy(u)}


def matrix(cells: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
    """Sparse operator on the free cells, its right-hand side for one volt, and the free cells."""
    from scipy import sparse

    number = np.arange(cells.size).reshape(cells.shape)
    gz, gy, gx = face_conductances(cells)
    pairs = [(number[:-1], number[1:], gz), (number, np.roll(number, -1, 1), gy), (number, np.roll(number, -1, 2), gx)]
    i = np.concatenate([p[0].ravel() for p in pairs])
    j = np.concatenate([p[1].ravel() for p in pairs])
    g = np.concatenate([p[2].ravel() for p in pairs])
    whole = sparse.coo_matrix((-g, (i, j)), (cells.size, cells.size))
    whole = (whole + whole.T).tocsr()
    whole = whole - sparse.diags(np.asarray(whole.sum(axis=1)).ravel())
    fixed, u = electrodes(cells.shape)
    free = np.flatnonzero(fixed.ravel() == 0)
    held = np.flatnonzero(fixed.ravel())
    return whole[free][:, free].tocsr(), -(whole[free][:, held] @ u.ravel()[held]), free


def conductance(cells: np.ndarray, free: np.ndarray, values: np.ndarray) -> float:
    """Energy of a solution at one volt: the conductance, with an error of second order."""
    _, u = electrodes(cells.shape)
    u.ravel()[free] = values
    gz, gy, gx = face_conductances(cells)
    parts = (gz * np.diff(u, axis=0) ** 2, gy * (u - np.roll(u, -1, 1)) ** 2, gx * (u - np.roll(u, -1, 2)) ** 2)
    return float(sum(p.sum() for p in parts))


def exact(cells: np.ndarray) -> float:
    """Conductance by a direct solve, or by our solver to 1e-12 where that is too large."""
    if cells.size < 150_000:
        from scipy.sparse.linalg import splu

        a, b, free = matrix(cells)
        return conductance(cells, free, splu(a.tocsc()).solve(b))
    fixed, u = electrodes(cells.shape)
    hierarchy = Hierarchy(*face_conductances(cells), None, fixed)
    hierarchy.solve(None, u, 1e-12)
    return hierarchy.energy(u)


def peer(cells: np.ndarray, gap: tuple[int, int, int], error: float) -> tuple[float, float]:
    """Seconds of pyamg cold, and warm with its hierarchy kept, stopped at our error of the conductance."""
    import pyamg
    from scipy.sparse.linalg import cg

    a, b, free = matrix(cells)
    begin = time.perf_counter()
    solver = pyamg.ruge_stuben_solver(a)
    last = solver.solve(b, tol=1e-8, accel="cg")
    cold = time.perf_counter() - begin
    closed = cells.copy()
    closed[gap] = closed[1, gap[1], gap[2]]
    target = exact(closed)
    a, b, free = matrix(closed)
    preconditioner = solver.aspreconditioner()
    begin, spent, value = time.perf_counter(), 0.0, last
    for _ in range(60):
        value, _info = cg(a, b, x0=value, rtol=0.0, maxiter=5, M=preconditioner)
        spent = time.perf_counter() - begin
        if abs(conductance(closed, free, value) / target - 1.0) <= max(error, 1e-6):
            break
    return cold, spent


def run(progress: Callable[[str], None] | None = None) -> list[dict[str, Any]]:
    """Rows of shape, contrast, cold_s, warm_s, error_G, peer, peer_cold_s, peer_warm_s, ratio_cold, ratio_warm."""
    ours(*nearly_closed((8, 8, 12), 1e6))  # compiles
    rows = []
    for shape in SHAPES:
        for contrast in CONTRASTS:
            if progress is not None:
                progress(f"fields {shape}, contrast {contrast:g}")
            cells, gap = nearly_closed(shape, contrast)
            closed = cells.copy()
            closed[gap] = contrast
            runs = [ours(cells, gap) for _ in range(REPEATS)]
            error = max(abs(runs[0]["before"] / exact(cells) - 1), abs(runs[0]["after"] / exact(closed) - 1))
            cold, warm = (statistics.median(r[key] for r in runs) for key in ("cold", "warm"))
            peer_cold, peer_warm = peer(cells, gap, error)
            rows.append({
                "shape": list(shape), "contrast": contrast, "cold_s": cold, "warm_s": warm, "error_G": error,
                "peer": PEER, "peer_cold_s": peer_cold, "peer_warm_s": peer_warm, "ratio_cold": peer_cold / cold,
                "ratio_warm": peer_warm / warm})  # fmt: skip
    return rows
