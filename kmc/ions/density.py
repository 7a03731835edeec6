"""The master equation of one ion species in mean field: occupations of the cells of a box mesh in time.

Each hop has a rate that obeys detailed balance, so the net flow from cell i to j, averaged over hops, is

    J_ij = K_ij (1 - n_i) (1 - n_j) (a_i - a_j),    a = n / (1 - n) exp(u),    u = (E + q phi) / kT,

with K symmetric: nothing flows where the activity a is the same everywhere, whatever the mesh. A step in time is
implicit (backward Euler), and each of its iterations is a symmetric div(c grad a) problem for the multigrid
solver: a short step follows a transient, a long one ends in the steady state. Flows of the last iteration are
what moves ions, so their number is conserved to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kmc.solvers.multigrid.solver import Hierarchy

SETTLED = 1e-9  # relative change of every occupation at which the iterations of a step end
ITERATIONS = 60
SOLVE_ETA = 1e-7  # of the linear solver; the iterations mend what it leaves
LEAST, GROWTH, SHRINK, SAFETY = 1e-30, 3.0, 0.2, 0.9  # bounds on how a step in time follows the last one's error


class NotSettled(ArithmeticError):
    """The iterations of a step did not converge; a shorter step does."""


class Hops(NamedTuple):
    """Hops across the faces of a box mesh, periodic along y and x.

    Each is (z [nz-1, ny, nx], y, x [nz, ny, nx]) of float64. prefactor: attempts a second that pass a face
    without a barrier, of all parallel and serial hops between the middles of two cells; saddle: intrinsic barrier
    over kT, the same in both directions.
    """

    prefactor: tuple[np.ndarray, np.ndarray, np.ndarray]
    saddle: tuple[np.ndarray, np.ndarray, np.ndarray]

    def conductances(self, u: np.ndarray, reference: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """K_ij exp(reference), 1/s: prefactor exp(-max(saddle + (u_i + u_j) / 2, u_i, u_j))."""
        pairs = ((u[:-1], u[1:]), (u, np.roll(u, -1, 1)), (u, np.roll(u, -1, 2)))
        z, y, x = (
            nu * np.exp(reference - np.maximum(top + 0.5 * (a + b), np.maximum(a, b)))
            for nu, top, (a, b) in zip(self.prefactor, self.saddle, pairs, strict=True)
        )
        return z, y, x


@dataclass(frozen=True)
class Surroundings:
    """What ions are exchanged with during a step.

    u: energy over kT [nz, ny, nx], to which `Places.energy` is added; sink: of each kind of place in a cell
    [kinds, nz, ny, nx], the sum over its sites of the rate at which an ion on it is taken, 1/s; source: ions a second
    put into a cell; exchange: symmetric conductance to a reservoir (K_ij above), 1/s, and that reservoir's activity.
    """

    u: np.ndarray
    sink: np.ndarray | None = None
    source: np.ndarray | None = None
    exchange: np.ndarray | None = None
    activity: float = 0.0


class Places(NamedTuple):
    """Where ions may be: how many sites of each kind a cell has [kinds, nz, ny, nx], and the energy of an ion there
    over kT [kinds]. Sites of one cell share its activity."""

    sites: np.ndarray
    energy: np.ndarray


class IonDensity:
    """Numbers of the ions of one species in the cells of a mesh, and their change in time.

    Args:
        hops: prefactors and barriers of the faces.
        places: sites of each cell by kind.
        activity: of the ions at the start, uniform.
        u: energy over kT of the cells at the start.
    """

    def __init__(self, hops: Hops, places: Places, activity: float, u: np.ndarray):
        self.hops, self.places = hops, places
        self._closed = ~(places.sites.sum(axis=0) > 0.0)
        self.activity = np.where(self._closed, 0.0, activity)
        self.ions = (places.sites * self.occupations(u)).sum(axis=0)
        self.time_step_s = 0.0  # the next one to be tried; 0: none was made yet
        self.solves = 0  # linear problems solved
        self._rate: np.ndarray | None = None  # of change over the last step, ions a second

    def occupations(self, u: np.ndarray) -> np.ndarray:
        """Share of the sites of each kind that is occupied [kinds, nz, ny, nx], at energies over kT `u`."""
        product = self.activity * np.exp(-np.clip(u + self._energy(), -700.0, 700.0))
        return product / (1.0 + product)

    def total(self) -> float:
        """Number of ions."""
        return float(self.ions.sum())

    def step(self, around: Surroundings, duration_s: float) -> np.ndarray:
        """Move in time by one implicit step; returns the ions that each cell's sinks have taken.

        Where `duration_s` is infinite, which needs a sink or an exchange, the end is the steady state and what is
        returned is a current, 1/s. Raises NotSettled, with nothing changed.
        """
        before = self.ions
        taken = self._implicit(around, duration_s)
        finite = math.isfinite(duration_s) and duration_s > 0.0
        self._rate = (self.ions - before) / duration_s if finite else None
        return taken

    def advance(self, around: Surroundings, duration_s: float, tolerance: float = 1e-2) -> np.ndarray:
        """Move in time by steps whose error stays below `tolerance` of each cell's ions; returns as `step`.

        The error of a step is estimated from how far it ends from where the last step's rate would have led.
        """
        taken, left = np.zeros(self.ions.shape), duration_s
        step_s = self.time_step_s or duration_s * 1e-6
        while left > 0.0:
            step_s = min(step_s, left)
            before = self.ions, self.activity, self._rate
            try:
                gone = self.step(around, step_s)
            except NotSettled:
                step_s *= SHRINK
                continue
            expected = before[0] if before[2] is None else before[0] + step_s * before[2]
            error = self._error(expected, tolerance)
            if error > 1.0 and step_s > 1e-12 * duration_s:
                self.ions, self.activity, self._rate = before
                step_s *= max(SHRINK, SAFETY / math.sqrt(error))
                continue
            taken += gone
            left -= step_s
            if left > 0.0 or step_s == duration_s:
                self.time_step_s = step_s * min(GROWTH, SAFETY / math.sqrt(max(error, 1e-4)))
            step_s = self.time_step_s or step_s
        return taken

    def _energy(self) -> np.ndarray:
        return np.asarray(self.places.energy)[:, None, None, None]

    def _error(self, expected: np.ndarray, tolerance: float) -> float:
        """Estimated error of the last step over what is tolerated: the largest of all cells."""
        scale = tolerance * (self.ions + 1e-3 * self.ions.max())
        return float((0.5 * np.abs(self.ions - expected) / np.maximum(scale, LEAST)).max())

    def _implicit(self, around: Surroundings, duration_s: float) -> np.ndarray:
        """A backward Euler step: new ions and activities; returns what sinks took."""
        open_, sites = ~self._closed, self.places.sites
        u = np.where(open_, around.u, 0.0)
        least = float(np.asarray(self.places.energy).min())
        reference = float(u[open_].min()) + least
        weight = np.exp(np.clip(reference - u - self._energy(), -700.0, 0.0))  # n / (1 - n) = activity weight
        conductances = self.hops.conductances(u, reference)
        nothing = np.zeros(u.shape)
        sink = np.zeros(sites.shape) if around.sink is None else around.sink
        source = nothing if around.source is None else around.source
        exchange = nothing if around.exchange is None else around.exchange * math.exp(reference)
        reservoir = around.activity * math.exp(-reference)
        per_s = 0.0 if math.isinf(duration_s) else 1.0 / duration_s
        old, activity = self.ions, self.activity * math.exp(-reference)
        closed, n = self._closed.astype(np.uint8), np.zeros(sites.shape)
        for _ in range(ITERATIONS):
            product = activity * weight
            before, n = n, product / (1.0 + product)
            if bool((np.abs(n - before) <= SETTLED * n + LEAST).all()):
                break
            ions, free = (sites * n).sum(axis=0), self._free(n)
            faces = self._faces(conductances, free)
            slope = weight * (1.0 - n) ** 2  # dn / d activity
            into = exchange * free
            diagonal = np.where(open_, ((per_s * sites + sink) * slope).sum(axis=0) + into, 0.0)
            missing = source + into * (reservoir - activity) - per_s * (ions - old) - (sink * n).sum(axis=0)
            missing = np.where(open_, missing - _outflow(faces, activity), 0.0)
            change = np.zeros(u.shape)
            if Hierarchy(*faces, diagonal, closed).solve(missing, change, SOLVE_ETA) < 0:
                raise NotSettled("the linear solver did not converge")
            self.solves += 1
            activity = np.where(open_, np.maximum(activity + change, 0.1 * activity), 0.0)
        else:
            raise NotSettled(f"not settled after {ITERATIONS} iterations")
        self.activity, free = activity * math.exp(reference), self._free(n)
        taken = (sink * n).sum(axis=0)
        if math.isinf(duration_s):
            self.ions = (sites * n).sum(axis=0)
            return taken
        gain = source + exchange * free * (reservoir - activity) - taken
        gain -= _outflow(self._faces(conductances, free), activity)
        self.ions = np.maximum(old + gain * duration_s, 0.0)
        return taken * duration_s

    def _free(self, n: np.ndarray) -> np.ndarray:
        """Share of a cell's sites that is empty; 0 where it has none."""
        sites = self.places.sites
        count = sites.sum(axis=0)
        return np.divide((sites * (1.0 - n)).sum(axis=0), count, out=np.zeros(count.shape), where=count > 0.0)

    def _faces(self, conductances, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Conductances of the faces with exclusion; 0 to cells without sites."""
        z, y, x = conductances
        return z * free[:-1] * free[1:], y * free * np.roll(free, -1, 1), x * free * np.roll(free, -1, 2)


def _outflow(faces: tuple[np.ndarray, np.ndarray, np.ndarray], activity: np.ndarray) -> np.ndarray:
    """Ions a second that leave each cell across its faces."""
    z, y, x = faces
    out = np.zeros(activity.shape)
    flow = z * (activity[:-1] - activity[1:])
    out[:-1] += flow
    out[1:] -= flow
    for axis, face in ((1, y), (2, x)):
        flow = face * (activity - np.roll(activity, -1, axis))
        out += flow - np.roll(flow, 1, axis)
    return out
