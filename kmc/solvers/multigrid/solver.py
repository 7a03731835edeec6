"""One solver for div(c grad u) + source = sink u on a box mesh: multigrid-preconditioned conjugate gradients.

sum over faces of g (u_i - u_j) + d_i u_i = b_i on cells [z, y, x], periodic in y and x, closed at both ends
of z. Coefficients may jump by 1e9: on coarse meshes strongly coupled cells stay apart from the others, so
that metal keeps its own potential there. Ends on r . z < eta^2 x energy (r residual, z preconditioned
residual): a residual norm or a current balance misses the event that closes a filament.
"""

from __future__ import annotations

import numpy as np

from kmc.solvers.multigrid.coarse_links import update
from kmc.solvers.multigrid.finest_level import conjugate_gradients, harmonic_near, residual
from kmc.solvers.multigrid.hierarchy import allocate, shapes_of

Box = tuple[int, int, int, int, int, int]

SWEEPS = 2  # Gauss-Seidel sweeps before and after on the coarse meshes: they cost little
SLOTS, LINKS = 4, 27  # nodes of a block, links of a node: what there is room for at first


def face_conductances(coefficient: np.ndarray, spacing: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Conductances (gz[nz-1,ny,nx], gy[nz,ny,nx], gx[nz,ny,nx]) of faces between cubes of edge `spacing`.

    Args:
        coefficient: conductivity, permittivity ... per cell [z, y, x].
        spacing: cell edge (nm); a face conductance is the harmonic mean times it: layers in series are exact.
    """
    c = np.asarray(coefficient, dtype=np.float64)

    def mean(a, b):
        total = a + b
        return np.divide(2.0 * a * b, total, out=np.zeros_like(total), where=total > 0.0) * spacing

    return mean(c[:-1], c[1:]), mean(c, np.roll(c, -1, axis=1)), mean(c, np.roll(c, -1, axis=2))


def renew_faces(faces, coefficient: np.ndarray, box: Box) -> None:
    """Bring harmonic `faces` up to date with a float64 coefficient that changed in a box of cells."""
    harmonic_near(*faces, coefficient, np.array(box, dtype=np.int64), 1.0)


class Hierarchy:
    """Meshes from the given one down to a single block; solves, and follows local changes of coefficients.

    Args:
        gz, gy, gx: face conductances >= 0: gz[z] joins planes z and z + 1, gy and gx a cell and the next one,
            the last and the first. Kept by reference, read by `update`.
        d: sinks >= 0 [z, y, x], or None. Kept by reference.
        fixed: uint8 [z, y, x], 1 where u is held at the value it has, or None. Kept by reference.

    There must be a held cell or a sink somewhere. After any sequence of updates all numbers are, byte for
    byte, those of a new Hierarchy.
    """

    def __init__(self, gz, gy, gx, d=None, fixed=None):
        self.shape = gy.shape
        self.gz, self.gy, self.gx = gz, gy, gx
        self.d = np.zeros(self.shape) if d is None else d
        self.fixed = np.zeros(self.shape, dtype=np.uint8) if fixed is None else fixed
        self._slots = [1] + [SLOTS] * (len(shapes_of(self.shape)) - 1)
        self._links = LINKS
        self._changed = np.zeros(6, dtype=np.int64)
        self._nothing = np.zeros(self.shape)
        self._meshes = allocate(self.shape, self._slots, self._links)
        #: energy of u where the last solve ended
        self.last_energy = 0.0
        self.update(self._everywhere())

    def _everywhere(self) -> Box:
        nz, ny, nx = self.shape
        return (0, nz, 0, ny, 0, nx)

    def update(self, box: Box) -> None:
        """Take over coefficients, sinks and held cells changed in a box of cells (z0, z1, y0, y1, x0, x1).

        Faces touching the box's cells may have changed too. y and x may run past the edges (they wrap).
        """
        arrays = (self.gz, self.gy, self.gx, self.d, self.fixed)
        mesh, slots = update(self._meshes, *arrays, np.array(box, dtype=np.int64), self._changed)
        while mesh:  # more room, and all anew
            if mesh > 0:
                room = 1 << (slots - 1).bit_length()
                self._slots[mesh:] = [max(n, room) for n in self._slots[mesh:]]
            else:
                self._links *= 2
            self._meshes = allocate(self.shape, self._slots, self._links)
            whole = np.array(self._everywhere(), dtype=np.int64)
            mesh, slots = update(self._meshes, *arrays, whole, self._changed)

    def solve(self, b: np.ndarray | None, u: np.ndarray, eta: float = 1e-4, limit: int = 200) -> int:
        """Solve in place from the start u (held cells keep theirs): the iterations, -1 if `limit` was hit.

        Args:
            b: right-hand side [z, y, x], None for 0.
            u: start and answer, float64 [z, y, x] in C order.
            eta: the energy of the error is about eta^2 of u's (up to three times where metal lies in pieces):
                so is the error of a conductance.
        """
        right, flat = self._flat(b), self._flat(u)
        count, self.last_energy = conjugate_gradients(self._meshes, right, flat, eta, limit, SWEEPS)
        return int(count)

    def energy(self, u: np.ndarray) -> float:
        """sum_faces g (u_i - u_j)^2 + sum d u^2; with electrodes held at 0 and 1 it is the conductance.

        Without faces between two held cells.
        """
        return float(residual(self._meshes, self._flat(None), self._flat(u), np.empty(u.size))[0])

    def apply(self, u: np.ndarray) -> np.ndarray:
        """A u, with u's values on held cells too; 0 there."""
        out = np.empty(u.size)
        residual(self._meshes, self._flat(None), self._flat(u), out)
        return -out.reshape(self.shape)

    def _flat(self, a: np.ndarray | None) -> np.ndarray:
        a = self._nothing if a is None else a
        if a.shape != self.shape or a.dtype != np.float64 or not a.flags.c_contiguous:
            raise ValueError(f"needs float64 {self.shape} in C order, not {a.dtype} {a.shape}")
        return a.reshape(-1)
