"""One solver for div(c grad u) + source = sink u on a box mesh: multigrid-preconditioned conjugate gradients.

sum over faces of g (u_i - u_j) + d_i u_i = b_i on cells [z, y, x], periodic in y and x, closed at both ends of z.
Coefficients may jump by 1e9: coarse couplings are resistances in series from block centre to block centre.
Stops on r . z < eta^2 x energy (r residual, z preconditioned residual): a residual norm or a current balance
misses the event that closes a filament.
"""

from __future__ import annotations

import numpy as np

from kmc import multigrid_kernels as mk

Box = tuple[int, int, int, int, int, int]


def face_conductances(coefficient: np.ndarray, spacing: float = 1.0, mode: str = "harmonic"):
    """Conductances (gz[nz-1,ny,nx], gy[nz,ny,nx], gx[nz,ny,nx]) of faces between cubic cells of edge `spacing`.

    Args:
        coefficient: conductivity, permittivity ... per cell [z, y, x].
        spacing: cell edge (nm); a face conductance is mean(coefficient) * spacing.
        mode: "harmonic" (layers in series exact) or "arithmetic".
    """
    c = np.asarray(coefficient, dtype=np.float64)

    def mean(a, b):
        if mode == "arithmetic":
            return 0.5 * (a + b) * spacing
        total = a + b
        return np.divide(2.0 * a * b, total, out=np.zeros_like(total), where=total > 0.0) * spacing

    return mean(c[:-1], c[1:]), mean(c, np.roll(c, -1, axis=1)), mean(c, np.roll(c, -1, axis=2))


class _Level:
    """Arrays of one mesh: coefficients, 1 / diagonal, and work vectors b, u, r."""

    def __init__(self, shape: tuple[int, int, int]):
        self.shape = shape
        self.gz, self.gy, self.gx, self.d, self.inverse = (np.zeros(shape) for _ in range(5))
        self.free = np.zeros(shape, dtype=np.uint8)
        self.b, self.u, self.r = (np.zeros(shape) for _ in range(3))

    @property
    def faces(self):
        return self.gz, self.gy, self.gx


class Hierarchy:
    """Meshes from the given one down to a single column; solves, and follows local changes of coefficients.

    Args:
        gz, gy, gx, d: face conductances and sinks as in the module's docstring; kept by reference, read by `update`.
        fixed: uint8 [z, y, x], 1 where u is held at the value it has; kept by reference.
    """

    def __init__(self, gz, gy, gx, d=None, fixed=None):
        shape = gy.shape
        self.gz, self.gy, self.gx = gz, gy, gx
        self.d = np.zeros(shape) if d is None else d
        self.fixed = np.zeros(shape, dtype=np.uint8) if fixed is None else fixed
        self.levels = [_Level(shape)]
        while self.levels[-1].shape[1:] != (1, 1):
            self.levels.append(_Level(tuple((n + 1) // 2 for n in self.levels[-1].shape)))
        self.p, self.ap = np.zeros(shape), np.zeros(shape)
        self.update((0, shape[0], 0, shape[1], 0, shape[2]))

    def update(self, box: Box) -> None:
        """Take over coefficients, sinks and held cells changed in a box of cells (z0, z1, y0, y1, x0, x1).

        Faces touching the box's cells may have changed too. y and x may run past the edges (they wrap).
        """
        top = self.levels[0]
        nz, ny, nx = top.shape
        z0, z1 = max(box[0] - 1, 0), min(box[1] + 1, nz)
        spans = [_wrap(box[2] - 1, box[3] + 1, ny), _wrap(box[4] - 1, box[5] + 1, nx)]
        for y0, y1 in spans[0]:
            for x0, x1 in spans[1]:
                cut = (slice(z0, z1), slice(y0, y1), slice(x0, x1))
                edge = (slice(z0, min(z1, nz - 1)),) + cut[1:]
                top.gz[edge] = self.gz[edge]
                top.gy[cut], top.gx[cut], top.d[cut] = self.gy[cut], self.gx[cut], self.d[cut]
                top.free[cut] = self.fixed[cut] == 0
        lo, hi = (z0, box[2] - 1, box[4] - 1), (z1, box[3] + 1, box[5] + 1)
        self._descend(lo, hi)

    def _descend(self, lo, hi) -> None:
        for k, level in enumerate(self.levels):
            if k:
                fine = self.levels[k - 1]
                # a block's couplings look one block further: its neighbours' inner faces count
                lo = tuple(a // 2 - 1 for a in lo)
                hi = tuple((a + 1) // 2 + 1 for a in hi)
                for part in _parts(lo, hi, level.shape):
                    mk.coarsen(*fine.faces, fine.d, fine.free, *level.faces, level.d, level.free, part)
            for part in _parts(tuple(a - 1 for a in lo), tuple(a + 1 for a in hi), level.shape):
                mk.diagonal(*level.faces, level.d, level.free, level.inverse, part)

    def precondition(self, r: np.ndarray, k: int = 0) -> np.ndarray:
        """One symmetric V-cycle on level k; returns that level's u, an approximate A^-1 r."""
        level = self.levels[k]
        level.u[:] = 0.0
        if k == len(self.levels) - 1:
            mk.chain(level.gz, level.inverse, r, level.u)
            return level.u
        mk.forward(*level.faces, level.inverse, r, level.u)
        mk.residual(*level.faces, level.inverse, r, level.u, level.r)
        below = self.levels[k + 1]
        mk.restrict(level.r, below.b)
        self.precondition(below.b, k + 1)
        mk.prolong(below.u, level.inverse, level.u)
        mk.backward(*level.faces, level.inverse, r, level.u)
        return level.u

    def solve(self, b: np.ndarray | None, u: np.ndarray, eta: float = 1e-4, limit: int = 200) -> int:
        """Solve in place from the start value u (held cells keep theirs); returns the iterations used."""
        top = self.levels[0]
        b = np.zeros(top.shape) if b is None else b
        r = np.empty(top.shape)
        mk.residual(*top.faces, top.inverse, b, u, r)
        z = self.precondition(r)
        rz = mk.dot(r, z)
        self.p[:] = z
        for k in range(limit):
            if rz <= eta * eta * mk.energy(*top.faces, top.d, u):
                return k
            alpha = rz / mk.apply(*top.faces, top.inverse, self.p, self.ap)
            mk.step(u, r, self.p, self.ap, alpha)
            z = self.precondition(r)
            new = mk.dot(r, z)
            mk.direction(self.p, z, new / rz)
            rz = new
        return limit

    def energy(self, u: np.ndarray) -> float:
        """sum_faces g (u_i - u_j)^2 + sum d u^2; with electrodes held at 0 and 1 it is the conductance."""
        top = self.levels[0]
        return mk.energy(*top.faces, top.d, u)


def _wrap(lo: int, hi: int, n: int) -> list[tuple[int, int]]:
    """The index ranges in [0, n) that the periodic range [lo, hi) covers."""
    if hi - lo >= n:
        return [(0, n)]
    lo, hi = lo % n, lo % n + hi - lo
    return [(lo, hi)] if hi <= n else [(lo, n), (0, hi - n)]


def _parts(lo, hi, shape) -> list[Box]:
    """Boxes in the mesh that cover the range lo..hi, periodic in y and x."""
    z0, z1 = max(lo[0], 0), min(hi[0], shape[0])
    return [
        (z0, z1, y0, y1, x0, x1)
        for y0, y1 in _wrap(lo[1], hi[1], shape[1])
        for x0, x1 in _wrap(lo[2], hi[2], shape[2])
    ]
