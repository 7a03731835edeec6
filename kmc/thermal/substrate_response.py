"""Steady heat flow in what surrounds a filament: solved once for each node that is heated.

The domain reaches beyond the window by stretched cells, whose aspect ratios no point smoother likes. Its
conductivity is nearly layered, and for a layered box the equation separates: that solution, exact by
eigenvectors along x and y and elimination along z (Lynch, Rice & Thomas, Numer. Math. 6, 185 (1964)),
preconditions conjugate gradients, with an exact solution on the cells that differ much from their layer. All
but that one is in single precision: the same in a rise to 3e-7 of its peak, in four fifths of the time.
"""

import math

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import splu

from kmc.geometry.lattice import SOLID, Region
from kmc.solvers.tridiagonal import solve_tridiagonal
from kmc.thermal import heat_flow as hk

ISLAND = 3.0  # times its layer's conductivity or as much less: film in an electrode, gaps (10: many steps)
RESIDUAL = 0.002  # relative: rise and outflow are then within 1 %, those of the film within 0.1 % (measured)
MOST = 1000  # steps of conjugate gradients; some tens are usual


class Surroundings:
    """A box of cells whose outermost shell is held at zero.

    kappa: conductivity of the cells [z, y, x], W/(nm K); width: their widths along each axis, nm; inner: the
    conductance of the faces among the cells in the middle, as `window_faces` gives it.
    """

    def __init__(self, kappa: np.ndarray, width: list[np.ndarray], inner: list[np.ndarray]):
        self.faces = _faces(kappa, width)
        for own, better in zip(self.faces, inner, strict=True):
            margin = [(n - m) // 2 for n, m in zip(own.shape, better.shape, strict=True)]
            own[tuple(slice(a, a + m) for a, m in zip(margin, better.shape, strict=True))] = better
        self.shape = tuple(n - 2 for n in kappa.shape)
        wz, wy, wx = width
        layer = np.exp(np.log(kappa).mean(axis=(1, 2)))
        (ly, self.vy), (lx, self.vx) = _eigenmodes(wy), _eigenmodes(wx)
        resistance = wz / 2 / layer
        g = 1.0 / (resistance[1:] + resistance[:-1])
        diagonal = (g[1:] + g[:-1])[:, None, None] + (layer * wz)[1:-1, None, None] * (ly[:, None] + lx)
        self.vy, self.vx, self.pivot, self.factor = (
            part.astype(np.float32) for part in (self.vy, self.vx, *_factorize(diagonal, -g[1:-1]))
        )
        contrast = np.abs(np.log(kappa[1:-1, 1:-1, 1:-1] / layer[1:-1, None, None]))
        self.islands = np.flatnonzero(contrast > np.log(ISLAND))
        leaving = _outflow_matrix(self.faces, self.islands)
        self.inverse = splu(leaving[:, self.islands].tocsc()) if len(self.islands) else None
        self.leaving = leaving.astype(np.float32)
        self.faces = [part.astype(np.float32) for part in self.faces]

    def rise(self, source: np.ndarray) -> np.ndarray:
        """Rise of all cells [z, y, x] for the heat in each of them, W; of the outermost shell 0. In K."""
        inside = (slice(1, -1),) * 3
        rise = np.zeros(source.shape)
        rise[inside] = self._solve(source[inside].ravel().astype(np.float32)).reshape(self.shape)
        return rise

    def _solve(self, right: np.ndarray) -> np.ndarray:
        """Conjugate gradients from zero, until the residual is RESIDUAL of the right side."""
        found, residual = np.zeros_like(right), right.copy()
        goal = RESIDUAL**2 * _dot(right, right)
        along, before = np.zeros_like(right), 1.0
        for _ in range(MOST):
            if _dot(residual, residual) <= goal:
                break
            balanced = self._precondition(residual)
            now = _dot(residual, balanced)
            along *= now / before
            along += balanced
            image = self._apply(along)
            step = now / _dot(along, image)
            found += step * along
            residual -= step * image
            before = now
        return found

    def _apply(self, u: np.ndarray) -> np.ndarray:
        """Heat leaving each cell at temperatures u, W."""
        out = np.empty(self.shape, np.float32)
        hk.heat_outflow(u.reshape(self.shape), *self.faces, out)
        return out.ravel()

    def _precondition(self, r: np.ndarray) -> np.ndarray:
        """The layered box for what the islands, solved exactly, leave over (Mandel, CNME 9, 233 (1993))."""
        if self.inverse is None:
            return self._solve_layered(r)
        first = self.inverse.solve(r[self.islands].astype(float)).astype(np.float32)
        rest = self._solve_layered(r - self.leaving.T @ first)
        rest[self.islands] += first - self.inverse.solve((self.leaving @ rest).astype(float))
        return rest

    def _solve_layered(self, r: np.ndarray) -> np.ndarray:
        """Solution of the layered box."""
        y = self.vy.T @ r.reshape(self.shape) @ self.vx
        solve_tridiagonal(y, self.factor, self.pivot)
        return (self.vy @ y @ self.vx.T).ravel()


def window_faces(
    region: np.ndarray, values: np.ndarray, boundary: float, spacing: float, factor: int
) -> list[np.ndarray]:
    """Conductance of the faces between cells of `factor` sites along z, y and x, W/K, from middle to middle.

    The sites of a column are in series and columns side by side. values: conductivity by region, W/(nm K);
    boundary: resistance where a crystal meets its ligand, nm2 K/W, which heat along a gap does not pass.
    """
    crystal, ligand = (np.isin(region, kinds) for kinds in (SOLID, (Region.GAP, Region.VOID)))
    half, faces = factor // 2, []
    for axis in range(3):
        kinds, own, other = (np.moveaxis(part, axis, 0) for part in (region, crystal, ligand))
        count = (len(kinds) // factor - 1, factor, *kinds.shape[1:])
        inside = (spacing / values[kinds])[half : len(kinds) - half].reshape(count).sum(axis=1)
        meets = (own[:-1] & other[1:] | other[:-1] & own[1:])[half - 1 : len(kinds) - half].astype(float)
        passed = meets[:-1].reshape(count).sum(axis=1)
        passed += 0.5 * (meets[factor::factor] - meets[:-factor:factor])  # in a cell's middle: half of it
        flow = spacing**2 / (inside + boundary * passed)
        blocks = flow.reshape(len(flow), flow.shape[1] // factor, factor, flow.shape[2] // factor, factor)
        faces.append(np.moveaxis(blocks.sum(axis=(2, 4)), 0, axis))
    return faces


def _outflow_matrix(faces: list[np.ndarray], cells: np.ndarray) -> csr_array:
    """Heat leaving each of `cells` (flat indices) for one kelvin in each of all cells, W/K [n, all]."""
    shape = tuple(n - 1 for n in (faces[0].shape[0], faces[1].shape[1], faces[2].shape[2]))
    at = np.unravel_index(cells, shape)
    diagonal = np.zeros(len(cells))
    rows, columns, flows = [np.arange(len(cells))], [cells], [diagonal]
    for axis in range(3):
        for way in (0, 1):
            flow = faces[axis][tuple(n + (way if k == axis else 1) for k, n in enumerate(at))]
            diagonal += flow
            inside = at[axis] != (0, shape[axis] - 1)[way]
            rows.append(np.flatnonzero(inside))
            columns.append(cells[inside] + (2 * way - 1) * math.prod(shape[axis + 1 :]))
            flows.append(-flow[inside])
    every = (np.concatenate(rows), np.concatenate(columns))
    return coo_array((np.concatenate(flows), every), (len(cells), math.prod(shape))).tocsr()


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """Scalar product in one thread: several take a thousand times longer to meet on a busy machine."""
    return float(np.einsum("i,i->", a, b, dtype=np.float64))


def _eigenmodes(width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and vectors of -d2/dx2 on cells between held ones, weighted by their widths."""
    g = 2.0 / (width[1:] + width[:-1])
    stiff = np.diag(g[1:] + g[:-1]) - np.diag(g[1:-1], 1) - np.diag(g[1:-1], -1)
    return eigh(stiff, np.diag(width[1:-1]))


def _factorize(diagonal: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pivots and factors of one symmetric tridiagonal matrix along z for each mode."""
    pivot, factor = diagonal.copy(), np.zeros_like(diagonal)
    for k in range(1, len(diagonal)):
        factor[k - 1] = off[k - 1] / pivot[k - 1]
        pivot[k] -= off[k - 1] * factor[k - 1]
    return pivot, factor


def _faces(kappa: np.ndarray, width: list[np.ndarray]) -> list[np.ndarray]:
    """Conductance of the faces between cells of unequal width, W/K: halves in series."""
    wz, wy, wx = width
    area = (wy[:, None] * wx, (wz[:, None] * wx)[:, None, :], (wz[:, None] * wy)[:, :, None])
    faces = []
    for axis, w in enumerate(width):
        shape = [1, 1, 1]
        shape[axis] = -1
        half = w.reshape(shape) / 2 / kappa
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        faces.append(area[axis] / (half[tuple(low)] + half[tuple(high)]))
    return faces
