"""Which changes of metal may move the neck of a closed filament: its atoms are counted by plane."""

from .kernels_near import beside, decode, kernel
from .state import ELECTRODE_METAL, METAL


@kernel
def count_spare(state, grid, site: int, added: bool) -> bool:
    """Count an atom that joins or leaves a closed filament, and those that hang on it alone.

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
    change = 1 if added else -1
    state.spare[z] += change
    narrows = state.spare[z] < 0
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        if state.sites[j].cation == ELECTRODE_METAL:
            state.spare[grid.nz] += change
        elif state.sites[j].cation == METAL and state.bridge[j] != added and lonely(state, grid, j, site):
            state.bridge[j] = added
            level = z + (d == 5) - (d == 4)
            state.spare[level] += change
            narrows |= state.spare[level] < 0
    return narrows or state.spare[grid.nz] < 0


@kernel
def lonely(state, grid, site: int, but: int) -> bool:
    """Whether an atom has no metal beside it but one."""
    x, y, z = decode(grid, site)
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        if j != but and state.sites[j].cation >= METAL:
            return False
    return True
