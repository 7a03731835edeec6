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

    u: energy over kT [nz, ny, nx]; sink: rate at which an ion of a cell is taken, 1/s; source: ions a second put into
    a cell; exchange: symmetric conductance to a reservoir (K_ij above, with exp(reference) left out), 1/s, and the
    activity of that reservoir.
    """

    u: np.ndarray
    sink: np.ndarray | None = None
    source: np.ndarray | None = None
    exchange: np.ndarray | None = None
    activity: float = 0.0


class IonDensity:
    """Occupations of the cells of a mesh by one species, and their change in time.

    Args:
        hops: prefactors and barriers of the faces.
        sites: sites of each cell that ions may occupy [nz, ny, nx]; 0 where none may.
        occupation: share of them that is occupied at the start, in [0, 1).
    """

    def __init__(self, hops: Hops, sites: np.ndarray, occupation: np.ndarray):
        self.hops, self.sites = hops, np.asarray(sites, np.float64)
        self.occupation = np.where(self.sites > 0.0, occupation, 0.0)
        self.time_step_s = 0.0  # the next one to be tried; 0: none was made yet
        self.solves = 0  # linear problems solved
        self._rate: np.ndarray | None = None  # of change over the last step, 1/s
        self._closed = self.sites <= 0.0

    def total(self) -> float:
        """Number of ions."""
        return float((self.sites * self.occupation).sum())

    def step(self, around: Surroundings, duration_s: float) -> np.ndarray:
        """Move in time by one implicit step; returns the ions that each cell's sink has taken.

        `duration_s` may be infinite where there is a sink or an exchange: then the end is the steady state.
        Raises NotSettled, with nothing changed.
        """
        taken, occupation = self._implicit(around, duration_s)
        if math.isfinite(duration_s) and duration_s > 0.0:
            self._rate = (occupation - self.occupation) / duration_s
        else:
            self._rate = None
        self.occupation = occupation
        return taken

    def advance(self, around: Surroundings, duration_s: float, tolerance: float = 1e-2) -> np.ndarray:
        """Move in time by steps whose error stays below `tolerance` of each occupation; returns as `step`.

        The error of a step is estimated from how far it ends from where the last step's rate would have led.
        """
        taken, left = np.zeros(self.sites.shape), duration_s
        step_s = self.time_step_s or duration_s * 1e-6
        while left > 0.0:
            step_s = min(step_s, left)
            before, rate = self.occupation, self._rate
            try:
                gone = self.step(around, step_s)
            except NotSettled:
                step_s *= SHRINK
                continue
            expected = before if rate is None else before + step_s * rate
            error = self._error(expected, tolerance)
            if error > 1.0 and step_s > 1e-12 * duration_s:
                self.occupation, self._rate = before, rate
                step_s *= max(SHRINK, SAFETY / math.sqrt(error))
                continue
            taken += gone
            left -= step_s
            if left > 0.0 or step_s == duration_s:
                self.time_step_s = step_s * min(GROWTH, SAFETY / math.sqrt(max(error, 1e-4)))
            step_s = self.time_step_s or step_s
        return taken

    def _error(self, expected: np.ndarray, tolerance: float) -> float:
        """Estimated error of the last step over what is tolerated: the largest of all cells."""
        scale = tolerance * (self.occupation + 1e-3 * self.occupation.max())
        return float((0.5 * np.abs(self.occupation - expected) / np.maximum(scale, LEAST)).max())

    def _implicit(self, around: Surroundings, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Ions taken by sinks [cells], and the occupations after a backward Euler step."""
        open_ = ~self._closed
        u = np.where(open_, around.u, 0.0)
        reference = float(u[open_].min())
        weight = np.where(open_, np.exp(np.clip(reference - u, -700.0, 0.0)), 0.0)  # n / (1 - n) = a weight
        conductances = self.hops.conductances(u, reference)
        sink, source, exchange = (
            np.zeros(u.shape) if one is None else one for one in (around.sink, around.source, around.exchange)
        )
        exchange, reservoir = exchange * math.exp(reference), around.activity * math.exp(-reference)
        per_s = 0.0 if math.isinf(duration_s) else self.sites / duration_s
        old = n = self.occupation
        activity = np.where(open_, n / ((1.0 - n) * np.maximum(weight, 1e-300)), 0.0)
        closed = self._closed.astype(np.uint8)
        for _ in range(ITERATIONS):
            free = 1.0 - n
            faces = self._faces(conductances, free)
            slope = weight * free**2  # dn/da
            into = exchange * free
            diagonal = np.where(open_, (per_s + sink * self.sites) * slope + into, 0.0)
            missing = source + into * (reservoir - activity) - per_s * (n - old) - sink * self.sites * n
            missing = np.where(open_, missing - _outflow(faces, activity), 0.0)
            change = np.zeros(u.shape)
            hierarchy = Hierarchy(*faces, diagonal, closed)
            if hierarchy.solve(missing, change, SOLVE_ETA) < 0:
                raise NotSettled("the linear solver did not converge")
            self.solves += 1
            activity = np.where(open_, np.maximum(activity + change, 0.1 * activity), 0.0)
            product = activity * weight
            before, n = n, product / (1.0 + product)
            if bool((np.abs(n - before) <= SETTLED * n + LEAST).all()):
                break
        else:
            raise NotSettled(f"not settled after {ITERATIONS} iterations")
        taken = sink * self.sites * n
        if math.isinf(duration_s):
            return taken, n
        gain = source + exchange * (1.0 - n) * (reservoir - activity) - taken
        gain -= _outflow(self._faces(conductances, 1.0 - n), activity)
        moved = old + np.divide(gain * duration_s, self.sites, out=np.zeros(u.shape), where=open_)
        return taken * duration_s, np.clip(moved, 0.0, 1.0 - 1e-12)

    def _faces(self, conductances, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Conductances of the faces with exclusion; 0 to cells without sites."""
        room = np.where(self._closed, 0.0, free)
        z, y, x = conductances
        return z * room[:-1] * room[1:], y * room * np.roll(room, -1, 1), x * room * np.roll(room, -1, 2)


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
