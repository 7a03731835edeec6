"""Where silver is, as the current last saw it: sites in the film; of the organic's, how many and how high."""

import numpy as np

from .cache import njit
from .state import METAL, State


@njit
def follow_changes(sites, fields, in_organic, bottom: int, changed, film, known, foot, column):
    """The film's sites after some changes, ascending; the rest is brought up to date in place.

    changed: sites, ascending, each once; film: sites before, ascending; known bool [N]: metal before.
    """
    ny, nx = foot.shape
    plane = ny * nx
    joined, came = np.empty(changed.size, np.int32), 0
    for i in changed:
        now = sites[i].cation == METAL
        if now and in_organic[i]:
            fields[i].unit = 0.0
        if now == known[i]:
            continue
        known[i] = now
        if not in_organic[i]:
            if now:
                joined[came] = i
                came += 1
            continue
        z, y, x = i // plane, i // nx % ny, i % nx
        column[z] += 1 if now else -1
        if now:
            foot[y, x] = max(foot[y, x], z)
        elif foot[y, x] == z:
            while z > bottom and not (known[i] and in_organic[i]):
                i, z = i - plane, z - 1
            foot[y, x] = z
    out, count, k = np.empty(film.size + came, np.int32), 0, 0
    for i in film:
        while k < came and joined[k] < i:
            out[count] = joined[k]
            count, k = count + 1, k + 1
        if known[i]:
            out[count] = i
            count += 1
    while k < came:
        out[count] = joined[k]
        count, k = count + 1, k + 1
    return out[:count]


@njit
def keep_little(sites, fields, in_organic, metal, old, size: float, least: float, bound: float):
    """Sites of metal whose own potential an update moved; whether that of an atom there by over `bound`, V.

    metal: sites, each once; old: their potential before, at one volt; size: of the device voltage, V. What
    moved by less than `least` (V) in the film is put back: it is not worth new rates, so none is stale.
    """
    moved, count, far = np.empty(metal.size, np.int64), 0, False
    for k in range(metal.size):
        i = metal[k]
        change = abs(fields[i].unit - old[k])
        if change * max(size, 1.0) < least and not (in_organic[i] and change > 0.0):
            fields[i].unit = old[k]
            continue
        moved[count] = i
        count += 1
        far = far or (change * size > bound and sites[i].cation == METAL)
    return moved[:count], far


class Silver:
    """Silver of the film and of the organic under it. All follows from which sites were metal.

    film: sites above the organic, ascending; foot [ny, nx]: plane of the highest silver in the organic, or
    the counter electrode's top; column [nz]: atoms in the organic by plane.
    """

    def __init__(self, in_organic: np.ndarray, shape: tuple[int, int, int], bottom: int):
        self.in_organic, self.shape, self.bottom = in_organic, shape, bottom
        self.known = np.zeros(in_organic.size, np.bool_)
        self._split(np.zeros(0, np.int64))

    def _split(self, metal: np.ndarray) -> np.ndarray:
        """Everything for these sites, ascending; returns those in the organic."""
        nz, ny, nx = self.shape
        self.known[:] = False
        self.known[metal] = True
        inside = self.in_organic[metal]
        organic = metal[inside]
        self.film = metal[~inside].astype(np.int32)
        self.column = np.bincount(organic // (ny * nx), minlength=nz)
        foot = np.full(ny * nx, self.bottom, np.int32)
        np.maximum.at(foot, organic % (ny * nx), (organic // (ny * nx)).astype(np.int32))
        self.foot = foot.reshape(ny, nx)
        return organic

    def take(self, metal: np.ndarray, fields: np.ndarray) -> None:
        """Silver is on these sites, ascending; what is in the organic is at the cathode's potential."""
        fields["unit"][self._split(metal)] = 0.0

    def restore(self, metal: np.ndarray) -> None:
        """The same for what `saved` gave; its potentials are known."""
        self._split(metal)

    def saved(self) -> np.ndarray:
        """Sites of all silver that the current last saw."""
        return np.flatnonzero(self.known)

    def beside(self, changed: np.ndarray) -> np.ndarray:
        """The film's sites and those of `changed` that are none, each once: new there, or in the organic."""
        return np.append(self.film, changed[~self.known[changed] | self.in_organic[changed]])

    def follow(self, state: State, fields: np.ndarray, changed: np.ndarray) -> None:
        """Metal may differ from the last time on these sites alone (ascending, each once)."""
        self.film = follow_changes(state.sites, fields, self.in_organic, self.bottom, changed, self.film,
                                   self.known, self.foot, self.column)
