"""Hops of ions on the lattice as hops between the cells of a mesh: sites in series and in parallel.

A link of the mesh joins the middles of two cells. Each line of sites across their face is a path: the hop over the
face, and half of each hop on either side of it. Resistances 1 / K of a path add, and conductances of paths do, as for
the permittivity; so at equilibrium nothing flows, and a layered film has the exact current.
"""

from __future__ import annotations

import numpy as np

from kmc.ions.density import Hops, Places
from kmc.system.parameter_tables import NO_HOP, REGIONS


def places_of(region: np.ndarray, energy_eV: np.ndarray, allowed: np.ndarray, thermal_eV: float, factor: int) -> Places:
    """Sites of each region in the cells of a mesh, and the energies of ions there over kT.

    region: uint8 [nz, ny, nx]; energy_eV: by region; allowed: bool, like region, where ions may be.
    """
    kinds = [kind for kind in range(REGIONS) if bool((allowed & (region == kind)).any())]
    sites = np.stack([cells(np.where(allowed & (region == kind), 1.0, 0.0), factor) for kind in kinds])
    return Places(sites, np.asarray(energy_eV)[kinds] / thermal_eV)


def hops_of(region: np.ndarray, tables, allowed: np.ndarray, thermal_eV: float, factor: int) -> Hops:
    """Links of the mesh from the hops of the lattice.

    tables: (energy [R], barrier [R, R], prefactor [R, R]) by region, eV and 1/s. The links hold the energies of the
    sites, so that with `Places.energy` the `u` of a cell is the electrical energy alone.
    """
    return Hops(*zip(*(_faces(region, tables, allowed, thermal_eV, factor, axis) for axis in range(3)), strict=True))


def cells(values: np.ndarray, factor: int) -> np.ndarray:
    """Sums of values of the sites over the cells of a mesh; the last cells may be cut."""
    for axis in range(3):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], factor), axis=axis)
    return values


def _site_resistance(region, tables, allowed, thermal_eV: float, axis: int) -> np.ndarray:
    """1 / K of the hop from each site to the next one along an axis (periodic), s; infinite where there is none."""
    energy, barrier, prefactor = tables
    there, open_ = np.roll(region, -1, axis), allowed & np.roll(allowed, -1, axis)
    e_i, e_j = energy[region] / thermal_eV, energy[there] / thermal_eV
    saddle = barrier[region, there] / thermal_eV
    exponent = np.maximum(saddle + 0.5 * (e_i + e_j), np.maximum(e_i, e_j))
    open_ &= barrier[region, there] < NO_HOP
    return np.where(open_, np.exp(np.minimum(exponent, 600.0)) / prefactor[region, there], np.inf)


def _faces(region, tables, allowed, thermal_eV: float, factor: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """(prefactor, saddle over kT) of the mesh's faces along an axis."""
    one = _site_resistance(region, tables, allowed, thermal_eV, axis)
    count = region.shape[axis]
    starts = np.arange(0, count, factor)
    last = np.minimum(starts + factor, count) - 1  # the last site of each cell along the axis
    face = np.take(one, last, axis)
    # half of the way through each cell, between the middles of its first and last site
    inner = np.moveaxis(one, axis, 0)
    through = np.stack([inner[a:b].sum(axis=0) for a, b in zip(starts, last, strict=True)])
    half = 0.5 * np.moveaxis(through, 0, axis)
    path = half + face + np.roll(half, -1, axis)
    others = [k for k in range(3) if k != axis]
    conductance = 1.0 / path
    for other in others:
        edges = np.arange(0, conductance.shape[other], factor)
        conductance = np.add.reduceat(conductance, edges, axis=other)
    if axis == 0:
        conductance = conductance[:-1]
    paths = float(factor**2) * float(np.max(tables[2]))
    with np.errstate(divide="ignore"):
        saddle = np.log(paths / conductance)
    return np.where(np.isfinite(saddle), paths, 0.0), np.where(np.isfinite(saddle), saddle, 0.0)
