"""Silver leaves its site for the potential that an ion finds there: with the open site's space charge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_stacks import device, free, put_silver, seam, window_of

from kmc.electrostatics.site_boxes import box_of
from kmc.geometry.lattice import OPEN
from kmc.kinetics.metal_changes import add_metal, remove_metal
from kmc.simulation.window import Device
from kmc.system.neighbours import neighbour, open_potential

CASES = [("ogb_20nm", 0.4), ("ogb_20nm", 0.8), ("ddab_20nm", 0.4), ("ddab_20nm", 0.8)]


def tipped(name: str, volts: float) -> tuple[Device, int]:
    """Silver in the lower half of the seam at a voltage, solved for; its highest atom."""
    d = device(name)
    way = seam(d)
    plane = d.grid.ny * d.grid.nx
    put_silver(d, low := way[way // plane <= np.median(way // plane)])
    d.set_source(volts, math.inf)
    d.solve_fields()
    return d, int(low[np.argmax(low // plane)])


def there(d: Device, site: int) -> float:
    """Potential of a site, V."""
    here = d.potential.fields[site]
    return float(d.state.run["voltage_device"][0] * here["unit"] + here["space_potential"])


def take(d: Device, site: int) -> None:
    """An atom is gone."""
    remove_metal(d.state, d.grid, d.potential.fields, d.model, int(d.state.sites["entity"][site]))


@pytest.mark.parametrize(("name", "volts"), CASES)
def test_an_atom_is_told_what_a_whole_solution_without_it_says(name: str, volts: float) -> None:
    """To a tenth of kT. Negative control: without its own site's vacancies it is off by three times that."""
    d, site = tipped(name, volts)
    told = open_potential(*window_of(d), site)
    d.potential.fields["source"][site] = 0.0
    bare, right = bare_and_right(d, site)
    assert abs(told - right) < 0.1 * d.thermal
    assert right - bare > 0.3 * d.thermal


def bare_and_right(d: Device, site: int) -> tuple[float, float]:
    """What an atom is told now, and what a whole solution without it says, V."""
    bare = open_potential(*window_of(d), site)
    take(d, site)
    d.solve_fields()
    return bare, there(d, site)


@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm"])
def test_ions_around_it_count(name: str) -> None:
    """Its site would hold its share of its cell's. Negative control: without them it is told less."""
    d, site = tipped(name, 0.8)
    z, y, x = np.unravel_index(site, d.lattice.shape)
    f = d.potential.factor
    d.density[z // f - 1 : z // f + 2, y // f, x // f] = 0.5
    d.solve_fields()
    told = open_potential(*window_of(d), site)
    d.potential.ions[:] = 0.0
    d.vacancies.keep_open(d.state, d.grid, d.potential, d.model)
    bare, right = bare_and_right(d, site)
    assert abs(told - right) < 0.15 * d.thermal
    assert right - bare > 0.5 * d.thermal


def cross_on_the_organic(d: Device) -> list[int]:
    """A free site of the film's first plane, away from silver, and the four beside it."""
    floor, plane = d.lattice.organic_surface(), d.grid.ny * d.grid.nx
    first = set(free(d, d.lattice.room == OPEN)) & set(range(floor * plane, (floor + 1) * plane))
    crosses = [[site, *(int(neighbour(d.grid, site, way)) for way in range(4))] for site in map(int, sorted(first))]
    silver = np.stack(np.unravel_index(d.network.film, d.lattice.shape)[1:])

    def apart(site: int) -> int:
        off = np.abs(silver - np.array(np.unravel_index(site, d.lattice.shape)[1:])[:, None])
        return int(np.minimum(off, np.array(d.lattice.shape[1:])[:, None] - off).max(axis=0).min())

    return max((cross for cross in crosses if first.issuperset(cross)), key=lambda cross: apart(cross[0]))


@pytest.mark.parametrize(("name", "volts"), CASES)
def test_so_are_atoms_that_plate_the_organic(name: str, volts: float) -> None:
    """To 0.25 kT. Negative control: with the film around them as the mesh has it they are over 0.35 off."""
    off = {}
    for sharp in (True, False):
        d = device(name)
        cross = cross_on_the_organic(d)
        if not sharp:
            d.potential.floor += d.grid.ny * d.grid.nx
        put_silver(d, np.array(cross))
        d.set_source(volts, math.inf)
        d.solve_fields()
        each = []
        for site in cross:
            told = open_potential(*window_of(d), site)
            take(d, site)
            d.trace_current()
            d.solve_fields()
            each.append(abs(told - there(d, site)) / d.thermal)
            put_silver(d, np.array([site]))
            d.solve_fields()
        off[sharp] = max(each)
    assert off[True] < 0.25, off
    assert off[False] > max(0.35, 4 * off[True]), off


@pytest.mark.parametrize(("name", "volts"), CASES)
def test_an_atom_that_comes_leaves_for_the_potential_that_it_came_from(name: str, volts: float) -> None:
    """Nothing is solved in between. Negative control: without the site's vacancies it gains by the way."""
    d, _ = tipped(name, volts)
    beside = [neighbour(d.grid, int(i), way) for i in d.network.film for way in range(6)]
    bare_sites = free(d, d.lattice.room == OPEN)
    site = max(set(beside) & set(bare_sites.tolist()), key=lambda i: d.potential.fields["source"][i])
    d.potential.relax(d.state, box_of(d.potential.shape, site, 6), 600, 1.8)
    before = there(d, site)
    add_metal(d.state, d.grid, d.potential.fields, d.model, site)
    back = open_potential(*window_of(d), site)
    d.potential.fields["source"][site] = 0.0
    bare = open_potential(*window_of(d), site)
    assert abs(back - before) < 0.15 * d.thermal
    assert before - bare > 0.5 * d.thermal
