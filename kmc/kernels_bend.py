"""The potential right around a changed metal site, bent within the event, for `kmc.kernels`.

Metal that comes or goes changes the potential around it by a number times the lattice's Green function of
its site, all other metal held: one shape for both potentials. It is relaxed in a box of a few sites; what
passes the box's edge is left to `kmc.patches`, and told.
"""

from .kernels_groups import touch
from .kernels_near import beside, decode, index, inlined, kernel, outdate
from .state import BEND_REACH, METAL
from .units import K_B

SWEEPS = 5  # of successive over-relaxation: the shape is then within one per cent
OMEGA = 1.4
LEAST = 0.03  # of kT/e: smaller changes of a potential are told and not made
LEAST_V = 0.05  # device voltage at which the unit potential counts at least: the next corner may come to it
TAIL = 2.5  # what 1/r has one site beyond the edge, over what a box that ends there leaves at its edge
NEAR = 1.0  # of kT/e: a change larger than this takes the larger box


@kernel
def bend(state, grid, fields, model, site: int, unit: float, charge: float) -> float:
    """Give `site` other potentials (V) and let those around it follow; returns what passes beyond, V."""
    here = fields[site]
    size = max(abs(state.run[0].voltage), LEAST_V)
    thermal = K_B * here.temperature
    rise_unit, rise_charge = unit - here.unit, charge - here.charge
    shift = size * abs(rise_unit) + abs(rise_charge)
    if shift < LEAST * thermal:
        here.unit, here.charge = unit, charge
        return shift
    reach = BEND_REACH if shift > NEAR * thermal else BEND_REACH - 1
    reach = min(reach, (min(grid.nx, grid.ny) - 1) // 2)
    shape(state, grid, model, site, reach)
    far, passed = spread(state, grid, fields, site, reach, rise_unit, rise_charge, LEAST * thermal / shift)
    here.unit, here.charge = unit, charge  # to the last bit
    touch_box(state, grid, site, far + 1 + (model.explicit_vacancies > 0))
    return shift * passed


@inlined
def place(grid, x: int, y: int, z: int) -> int:
    """Site at coordinates of which x and y may lie one period outside."""
    nx, ny = grid.nx, grid.ny
    x = x + nx if x < 0 else (x - nx if x >= nx else x)
    y = y + ny if y < 0 else (y - ny if y >= ny else y)
    return index((z * ny + y) * nx + x)


@kernel
def shape(state, grid, model, site: int, reach: int) -> None:
    """Column 6 of `state.bend`: the change around `site` for a change of one there, in a box with a shell.

    Columns 0-5: weights of the neighbours, which sum to one; all 0 where the potential is held.
    """
    side = 2 * reach + 3
    x0, y0, z0 = decode(grid, site)
    for c in range(-reach - 1, reach + 2):
        for b in range(-reach - 1, reach + 2):
            for a in range(-reach - 1, reach + 2):
                row = state.bend[((c + reach + 1) * side + b + reach + 1) * side + a + reach + 1]
                row[0], row[6] = 0.0, 0.0
                inner = abs(a) <= reach and abs(b) <= reach and abs(c) <= reach
                if not inner or z0 + c < 1 or z0 + c > grid.nz - 2:
                    continue
                j = place(grid, x0 + a, y0 + b, z0 + c)
                if j == site:
                    row[6] = 1.0
                elif state.sites[j].cation < METAL and not state.sites[j].held:
                    weigh(state, grid, model, j, row)
    for sweep in range(SWEEPS):
        relax(state, side, sweep % 2 == 0)


@inlined
def weigh(state, grid, model, site: int, row) -> None:
    """Weights of the neighbours of a site by the permittivity of the faces between them."""
    x, y, z = decode(grid, site)
    here = state.sites[site].region
    total = 0.0
    for d in range(6):
        row[d] = model.face[here, state.sites[beside(grid, site, x, y, z, d)].region]
        total += row[d]
    part = 1.0 / total
    for d in range(6):
        row[d] *= part


@kernel
def relax(state, side: int, upward: bool) -> None:
    """One sweep over the box. What the last step changed comes in last, so that each waits little for it."""
    step, plane = 1 if upward else -1, side * side
    first = plane if upward else plane * (side - 1) - 1
    late = 0 if upward else 1
    for n in range(plane * (side - 2)):
        k = index(first + n * step)
        row = state.bend[k]
        if row[0] > 0.0:
            new = row[2] * state.bend[index(k - side), 6] + row[3] * state.bend[index(k + side), 6]
            new += row[4] * state.bend[index(k - plane), 6] + row[5] * state.bend[index(k + plane), 6]
            new += row[1 - late] * state.bend[index(k + step), 6]
            kept = row[6] + OMEGA * (new - row[6])
            row[6] = kept + OMEGA * row[late] * state.bend[index(k - step), 6]


@kernel
def spread(state, grid, fields, site: int, reach: int, unit: float, charge: float, least: float
           ) -> tuple[int, float]:
    """Add a change at `site` and its shape around it where that is over `least`.

    Returns how far the change was made, and the largest share of it that was not, or that passes the edge.
    """
    side = 2 * reach + 3
    x0, y0, z0 = decode(grid, site)
    far, passed = 0, 0.0
    for c in range(-reach, reach + 1):
        for b in range(-reach, reach + 1):
            for a in range(-reach, reach + 1):
                share = state.bend[((c + reach + 1) * side + b + reach + 1) * side + a + reach + 1, 6]
                distance = max(abs(a), abs(b), abs(c))
                if distance == reach:
                    passed = max(passed, TAIL * share)
                elif share < least:
                    passed = max(passed, share)
                if share >= least:
                    there = fields[place(grid, x0 + a, y0 + b, z0 + c)]
                    there.unit += share * unit
                    there.charge += share * charge
                    far = max(far, distance)
    return far, passed


@kernel
def touch_box(state, grid, site: int, reach: int) -> None:
    """Touch all entities within `reach` sites along each axis; once round a window that is no wider."""
    x0, y0, z0 = decode(grid, site)
    outdate(state, grid, z0 - reach, z0 + reach + 1, y0 - reach, y0 + reach + 1, x0 - reach, x0 + reach + 1)
    for z in range(max(z0 - reach, 0), min(z0 + reach + 1, grid.nz)):
        for b in range(min(2 * reach + 1, grid.ny)):
            for a in range(min(2 * reach + 1, grid.nx)):
                j = place(grid, x0 - reach + a, y0 - reach + b, z)
                if state.sites[j].entity >= 0:
                    touch(state, index(state.sites[j].entity))
                if state.sites[j].vacancy >= 0:
                    touch(state, index(state.sites[j].vacancy))
