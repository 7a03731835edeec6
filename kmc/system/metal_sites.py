"""Where silver is, as the current last saw it: sites in the film; of the organic's, how many and how high."""

from typing import NamedTuple

import numpy as np

from kmc.core.jit_cache import njit
from kmc.system.state import METAL, State


@njit
def each_once(sites):
    """Sites, ascending, without repetitions."""
    out = np.sort(sites)
    count = 0
    for i in out:
        if count == 0 or i != out[count - 1]:
            out[count] = i
            count += 1
    return out[:count]


class MetalMap(NamedTuple):
    """Where silver is, as of the last update.

    in_organic bool [N]: sites of the organic under a film; bottom: plane of the counter electrode's top;
    known bool [N]: sites with silver; cathode_height int32 [ny, nx]: plane of the highest silver in the
    organic, or `bottom`; column int64 [nz]: silver atoms in the organic by plane.
    """

    in_organic: np.ndarray
    bottom: int
    known: np.ndarray
    cathode_height: np.ndarray
    column: np.ndarray


@njit
def update_metal(sites, fields, changed, film, metal):
    """The film's sites after some changes, ascending; `metal` (MetalMap) is brought up to date in place.

    changed: sites, ascending, each once; film: sites before, ascending.
    """
    in_organic, known, foot, column = metal.in_organic, metal.known, metal.cathode_height, metal.column
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
            while z > metal.bottom and not (known[i] and in_organic[i]):
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
def take_changes(dirty, run, fields, film, known, in_organic):
    """Take over the changes of metal since the last update, before anything follows them.

    Returns them (CHANGE [n]); their sites, ascending, each once; what an ion felt on the site of each, V; the
    film's sites, and those of the changes that are none, each once: new there, or in the organic; their unit
    potentials; and the device voltage.
    """
    count, voltage_device = run[0].dirty, run[0].voltage_device
    changes, felt = dirty[:count].copy(), np.empty(count)
    run[0].dirty, run[0].force_refresh = 0, 0
    for k in range(count):
        here = fields[changes[k].site]
        felt[k] = voltage_device * here.unit + here.space_potential
    changed = each_once(changes.site)
    metal, n = np.empty(film.size + changed.size, np.int64), film.size
    metal[:n] = film
    for i in changed:
        if not known[i] or in_organic[i]:
            metal[n] = i
            n += 1
    old = np.empty(n)
    for k in range(n):
        old[k] = fields[metal[k]].unit
    return changes, changed, felt, metal[:n], old, voltage_device


@njit
def keep_little(sites, fields, in_organic, metal, old, size: float, least: float, bound: float):
    """Sites of metal whose own potential an update moved; whether that of an atom by over `bound`, V.

    metal, old: as `begin` gave them; size: of the device voltage, V. What moved by less than `least` (V) in
    the film is put back: it is not worth new rates, so none is stale.
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


@njit
def follow_shift(changes, fields, felt, voltage_device: float) -> None:
    """Add what the potential on each changed site moved since `begin` to its change's shift.

    A lone atom above the organic's first plane is born at its site's own potential; what plates the organic
    goes to the sheet's.
    """
    for k in range(changes.size):
        here = fields[changes[k].site]
        changes[k].shift += abs(voltage_device * here.unit + here.space_potential - felt[k])


@njit
def plate(sites, fields, before, now, sheet: float):
    """Put silver that lies on the organic at the sheet's potential, and at none what did and does no more.

    before, now: sites, ascending; all of `now` are metal. Returns the sites whose potential moves.
    """
    moved, count, k = np.empty(before.size + now.size, np.int64), 0, 0
    for i in before:
        while k < now.size and now[k] < i:
            k += 1
        if sites[i].cation == METAL and not (k < now.size and now[k] == i):
            fields[i].space_potential = 0.0
            moved[count] = i
            count += 1
    for i in now:
        if fields[i].space_potential != sheet:
            fields[i].space_potential = sheet
            moved[count] = i
            count += 1
    return moved[:count]


class Silver:
    """Silver of the film and of the organic under it. All follows from which sites were metal.

    film: sites above the organic, ascending; cathode_height [ny, nx]: plane of the highest silver in the
    organic, or the counter electrode's top; column [nz]: atoms in the organic by plane.
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
        self.cathode_height = foot.reshape(ny, nx)
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

    def begin(self, state: State, fields: np.ndarray) -> tuple:
        """`take_changes` of this silver: from now on nothing of the metal has changed."""
        return take_changes(state.dirty, state.run, fields, self.film, self.known, self.in_organic)

    def follow(self, state: State, fields: np.ndarray, changed: np.ndarray) -> None:
        """Metal may differ from the last time on these sites alone (ascending, each once)."""
        metal = MetalMap(self.in_organic, self.bottom, self.known, self.cathode_height, self.column)
        self.film = update_metal(state.sites, fields, changed, self.film, metal)
