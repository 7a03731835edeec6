"""Local response of the potential to a changed metal site, within the event, for `kmc.kinetics.advance`.

A metal atom that is added or removed changes the boundary condition of its neighbours: the site's potential, and the
distance to the metal surface, which is half a site nearer with metal. All other metal keeps its potential. The
potential is relaxed in a box of a few sites. The change that passes the box's edge is returned, and
`kmc.electrostatics.local_updates` corrects it later.
"""

import numpy as np

from kmc.core.units import K_B
from kmc.system.composition_rejection import touch
from kmc.system.neighbours import beside, decode, face_to, index, inlined, kernel, outdate, without
from kmc.system.parameter_tables import METAL_FACE
from kmc.system.state import BEND_REACH, METAL

SWEEPS = 5  # of successive over-relaxation: the shape is then within one per cent
OMEGA = 1.4
LEAST = 0.03  # of kT/e: smaller changes of a potential are returned, not applied
LEAST_V = 0.05  # least device voltage that weights the unit potential: the next corner may reach it
TAIL = 2.5  # what 1/r has one site beyond the edge, over what a box that ends there leaves at its edge
NEAR = 1.0  # of kT/e: a change larger than this takes the larger box


@kernel
def bend(state, grid, fields, model, site: int, unit: float, space_potential: float) -> float:
    """Set the potentials (V) of `site` and relax those around it; returns the change beyond the box, V.

    The site has just become metal, or ceased to be: the metal surface is half a site nearer to its neighbours, or
    farther from them.
    """
    here, metal = fields[site], state.sites[site].cation >= METAL
    thermal = K_B * here.temperature
    shift = drive(state, grid, fields, model, site, unit, space_potential, metal)
    if shift < LEAST * thermal:
        here.unit, here.space_potential = unit, space_potential
        return shift
    reach = reach_of(grid, shift, thermal)
    shape(state, grid, fields, model, site, reach, (unit, space_potential), metal)
    far, passed = spread(state, grid, fields, site, reach, LEAST * thermal)
    here.unit, here.space_potential = unit, space_potential
    touch_box(state, grid, site, far + 1 + (model.explicit_vacancies > 0))
    return passed


@inlined
def reach_of(grid, shift: float, thermal: float) -> int:
    """How far a box reaches from its middle, sites."""
    reach = BEND_REACH if shift > NEAR * thermal else BEND_REACH - 1
    return min(reach, (min(grid.nx, grid.ny) - 1) // 2)


@inlined
def size_of(state, unit: float, space_potential: float) -> float:
    """A change of the two potentials, V."""
    return max(abs(state.run[0].voltage_device), LEAST_V) * abs(unit) + abs(space_potential)


@inlined
def driven(old: float, new: float, there: float, ratio: float) -> float:
    """By how much what holds a neighbour moves: new - there, for `ratio` times old - there before."""
    return new - there - ratio * (old - there)


@inlined
def face_ratio(state, model, j: int, region: int, metal: bool) -> float:
    """The face from j to a site of `region` before it became metal (or was it no more), over that after."""
    ratio = without(state, model, j, region)
    return 1.0 / ratio if metal else ratio


@kernel
def drive(state, grid, fields, model, site: int, unit: float, space_potential: float, metal: bool) -> float:
    """The largest change of what holds a neighbour of a site that changes, V."""
    here, region = fields[site], np.int64(state.sites[site].region)
    x, y, z = decode(grid, site)
    most = size_of(state, unit - here.unit, space_potential - here.space_potential)
    for d in range(6):
        j = beside(grid, site, x, y, z, d)
        if state.sites[j].cation < METAL and not state.sites[j].held:
            ratio = face_ratio(state, model, j, region, metal)
            du = driven(here.unit, unit, fields[j].unit, ratio)
            most = max(
                most,
                size_of(state, du, driven(here.space_potential, space_potential, fields[j].space_potential, ratio)),
            )
    return most


@inlined
def place(grid, x: int, y: int, z: int) -> int:
    """Site at coordinates of which x and y may lie one period outside."""
    nx, ny = grid.nx, grid.ny
    x = x + nx if x < 0 else (x - nx if x >= nx else x)
    y = y + ny if y < 0 else (y - ny if y >= ny else y)
    return index((z * ny + y) * nx + x)


@kernel
def shape(state, grid, fields, model, site: int, reach: int, given, metal: bool) -> None:
    """Columns 6 and 7 of `state.bend`: the changes of both potentials around a site that changes.

    Columns 0-5: weights of the neighbours, which sum to one; all 0 where the potential is held. 8 and 9: what
    the site itself adds, next to it. The box has a shell. given: its unit and space-charge potentials, V.
    """
    side = 2 * reach + 3
    x0, y0, z0 = decode(grid, site)
    for c in range(-reach - 1, reach + 2):
        for b in range(-reach - 1, reach + 2):
            for a in range(-reach - 1, reach + 2):
                row = state.bend[((c + reach + 1) * side + b + reach + 1) * side + a + reach + 1]
                row[0], row[6], row[7], row[8], row[9] = 0.0, 0.0, 0.0, 0.0, 0.0
                inner = abs(a) <= reach and abs(b) <= reach and abs(c) <= reach
                if not inner or z0 + c < 1 or z0 + c > grid.nz - 2:
                    continue
                j = place(grid, x0 + a, y0 + b, z0 + c)
                if j != site and state.sites[j].cation < METAL and not state.sites[j].held:
                    weigh(state, grid, fields, model, row, (j, site), given, metal)
    for sweep in range(SWEEPS):
        relax(state, side, sweep % 2 == 0)


@inlined
def weigh(state, grid, fields, model, row, pair, given, metal: bool) -> None:
    """Weights of the neighbours of site j by the permittivity of the faces between them; its sources.

    pair: j and the site that changes, whose potentials are `given`.
    """
    j, site = pair
    unit, space_potential = given
    x, y, z = decode(grid, j)
    here = np.int64(state.sites[j].region)
    region = np.int64(state.sites[site].region)
    total, part = 0.0, -1
    for d in range(6):
        k = beside(grid, j, x, y, z, d)
        if k == site:
            part = d
            row[d] = model.face[here, METAL_FACE if metal else region]
        else:
            row[d] = face_to(state, model, here, k)
        total += row[d]
    for d in range(6):
        row[d] /= total
    if part >= 0:
        ratio = face_ratio(state, model, j, region, metal)
        row[8] = row[part] * driven(fields[site].unit, unit, fields[j].unit, ratio)
        row[9] = row[part] * driven(fields[site].space_potential, space_potential, fields[j].space_potential, ratio)


@kernel
def relax(state, side: int, upward: bool) -> None:
    """One sweep over the box. The last step's result enters each sum last, which shortens the dependency chain."""
    step, plane = 1 if upward else -1, side * side
    first = plane if upward else plane * (side - 1) - 1
    late, box = 0 if upward else 1, state.bend
    unit, space_potential = (0.0, 0.0)  # the last step's result, in registers: a load would wait for its store
    for n in range(plane * (side - 2)):
        k = index(first + n * step)
        row = box[k]
        if row[0] == 0.0:
            unit, space_potential = 0.0, 0.0
            continue
        unit = followed(box, row, k, 6, (side, plane, step), late, unit)
        space_potential = followed(box, row, k, 7, (side, plane, step), late, space_potential)
        row[6], row[7] = unit, space_potential


@inlined
def followed(box, row, k: int, q: int, steps, late: int, last: float) -> float:
    """The change of a potential, column `q`, after a step; `last`: of the place just before."""
    side, plane, step = steps
    new = row[q + 2] + row[2] * box[index(k - side), q] + row[3] * box[index(k + side), q]
    new += row[4] * box[index(k - plane), q] + row[5] * box[index(k + plane), q]
    new += row[1 - late] * box[index(k + step), q]
    kept = row[q] + OMEGA * (new - row[q])
    return kept + OMEGA * row[late] * last


@kernel
def spread(state, grid, fields, site: int, reach: int, least: float) -> tuple[int, float]:
    """Add the changes around `site` where they are over `least` (V).

    Returns how far that was, and the largest change that was not made, or that passes the edge, V.
    """
    side = 2 * reach + 3
    x0, y0, z0 = decode(grid, site)
    far, passed = 0, 0.0
    for c in range(-reach, reach + 1):
        for b in range(-reach, reach + 1):
            for a in range(-reach, reach + 1):
                row = state.bend[((c + reach + 1) * side + b + reach + 1) * side + a + reach + 1]
                size = size_of(state, row[6], row[7])
                distance = max(abs(a), abs(b), abs(c))
                if distance == reach:
                    passed = max(passed, TAIL * size)
                elif size < least:
                    passed = max(passed, size)
                if size >= least:
                    there = fields[place(grid, x0 + a, y0 + b, z0 + c)]
                    there.unit += row[6]
                    there.space_potential += row[7]
                    far = max(far, distance)
    return far, passed


@kernel
def touch_box(state, grid, site: int, reach: int) -> None:
    """Touch all entities within `reach` sites along each axis; once round a window that is no wider."""
    x0, y0, z0 = decode(grid, site)
    box = (z0 - reach, z0 + reach + 1, y0 - reach, y0 + reach + 1, x0 - reach, x0 + reach + 1)
    outdate(state, grid, box)
    for z in range(max(z0 - reach, 0), min(z0 + reach + 1, grid.nz)):
        for b in range(min(2 * reach + 1, grid.ny)):
            for a in range(min(2 * reach + 1, grid.nx)):
                j = place(grid, x0 - reach + a, y0 - reach + b, z)
                if state.sites[j].entity >= 0:
                    touch(state, index(state.sites[j].entity))
                if state.sites[j].vacancy >= 0:
                    touch(state, index(state.sites[j].vacancy))
