"""Which changes of metal may move the neck of a closed filament: its atoms are counted by plane."""

from .kernels_near import beside, decode, kernel
from .state import ELECTRODE_METAL, METAL, PIECE


@kernel
def count_spare(state, grid, site: int, added: bool) -> bool:
    """Count an atom that joins or leaves a closed filament, and a small piece that hangs on it alone.

    Whether another place of it than its neck may be narrowest now.
    """
    x, y, z = decode(grid, site)
    if added:
        state.bridge[site] = 0
        for d in range(6):
            j = beside(grid, site, x, y, z, d)
            if state.sites[j].cation == METAL and state.bridge[j]:
                state.bridge[site] = 1
    if not state.bridge[site]:
        return False
    narrows = count_atom(state, grid, site, added)
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        if state.sites[j].cation == METAL and state.bridge[j] != added:
            for k in range(piece(state, grid, j, site)):
                state.bridge[state.piece[k]] = added
                narrows |= count_atom(state, grid, state.piece[k], added)
    return narrows


@kernel
def count_atom(state, grid, site: int, added: bool) -> bool:
    """Count an atom in its plane and its bonds to the electrode; whether one may be narrowest now."""
    x, y, z = decode(grid, site)
    change = 1 if added else -1
    state.spare[z] += change
    for d in range(6):
        if state.sites[beside(grid, site, x, y, z, d)].cation == ELECTRODE_METAL:
            state.spare[grid.nz] += change
    return state.spare[z] < 0 or state.spare[grid.nz] < 0


@kernel
def piece(state, grid, site: int, but: int) -> int:
    """Silver that is one with an atom without another atom: sites go to `state.piece`; how many.

    None where they are more than PIECE: that is the filament.
    """
    found, count, k = state.piece, 1, 0
    found[0] = site
    while k < count:
        x, y, z = decode(grid, found[k])
        for d in range(6):
            j = beside(grid, found[k], x, y, z, d)
            if j == but or state.sites[j].cation != METAL:
                continue
            known = False
            for m in range(count):
                known = known or found[m] == j
            if known:
                continue
            if count == PIECE:
                return 0
            found[count] = j
            count += 1
        k += 1
    return count
