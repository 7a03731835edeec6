"""What compiled code must also give as plain Python: run with NUMBA_DISABLE_JIT=1, it writes its results.

Events with the tables of every stack on a made-up window, and one pass of each field, transport and multigrid
kernel.
"""

from __future__ import annotations

import sys

import numpy as np
from small_device import Window, answering, live, run, window
from small_stacks import STACKS, loaded

from kmc.electrostatics import lattice_relaxation as rk
from kmc.electrostatics import mesh_transfer as fk
from kmc.geometry.lattice import Region
from kmc.inputs.settings import Settings
from kmc.kinetics import advance
from kmc.solvers.multigrid.solver import Hierarchy, face_conductances
from kmc.system.parameter_tables import build_model
from kmc.system.state import FIELD, KIND_METAL, Grid, State, allocate
from kmc.transport import closed_filament as bk
from kmc.transport import clusters as ck
from kmc.transport import minimum_cut as fl
from kmc.transport import tunnelling as tk
from kmc.transport.filament import Heated
from kmc.transport.nearest_metal import TunnelGeometry, nearest_cells

EVENT_SHAPE = (8, 8, 8)
SHAPE = (16, 8, 8)
SPACING_NM = 0.2935
TRIALS = 200


def events(name: str) -> dict[str, np.ndarray]:
    """A window after some trials with the tables of a stack."""
    w = window(3, shape=EVENT_SHAPE)
    reach = 1 if name == "ogb_20nm" else 0  # a flight of one more site takes plain Python minutes
    model = build_model(loaded(name), SPACING_NM, Settings(vacancies="explicit", flight_reach=reach))
    w = Window(w.state, w.grid, w.fields, answering(model)[0])
    advance.refresh_all(*w)
    run(w, np.random.default_rng(23), np.inf, TRIALS)
    mine = live(w)
    return {
        "sites": np.array(w.state.sites).view("u1"),
        "site": np.array(w.state.entities["site"][mine]),
        "rates": w.state.rates[mine],
        "clock": np.array([w.state.run["time"][0], w.state.run["events"][0]]),
    }


def column(top: int) -> tuple[State, np.ndarray, np.ndarray]:
    """A window of gap with a bent column of silver up to a plane; its atoms; its fields."""
    region = np.full(SHAPE, Region.GAP, np.uint8)
    region[:2], region[2:4], region[14:] = Region.COUNTER, Region.ORGANIC, Region.ELECTRODE
    region[6:10, :4] = Region.CORE
    state = State(*map(answering, allocate(region, np.ones_like(region), 256)))
    state.sites["cation"][region.ravel() == Region.ELECTRODE] = 3
    state.sites["cation"][region.ravel() == Region.COUNTER] = 4
    atoms = [(z, y, 4) for z in range(2, top + 1) for y in ((3, 4) if z < 8 else (4, 5))]
    sites = np.array([np.ravel_multi_index(a, SHAPE) for a in atoms], np.int32)
    advance.place_many(state, Grid(*SHAPE), KIND_METAL, sites)
    fields = answering(np.zeros(region.size, FIELD))
    fields["unit"] = np.repeat(np.linspace(0, 1, SHAPE[0]), SHAPE[1] * SHAPE[2])
    return state, np.sort(sites[4:]), fields


def potentials() -> dict[str, np.ndarray]:
    """Coarsen, solve, prolong and relax around a column of silver; the cells of it nearest to each."""
    state, _, fields = column(11)
    cells = tuple(n // 2 for n in SHAPE)
    fixed, unit, charge = np.zeros(cells, np.uint8), np.zeros(cells), np.full(cells, 0.01)
    share = np.zeros(fixed.shape)
    start, sheet = 2 * np.arange(cells[0]), np.zeros(cells, np.uint8)
    mesh = fk.Transfer(2, SHAPE, start, sheet, -1, 1)
    fk.coarsen(state.sites, fields, mesh, fixed, unit, share)
    coefficient = np.random.default_rng(3).uniform(1.0, 20.0, cells)
    rounds = Hierarchy(*face_conductances(coefficient), None, fixed).solve(None, unit, 1e-6)
    place = (np.arange(SHAPE[0]) + 0.5) / 2 - 0.5
    below = np.floor(place).astype(np.int64)
    low, high = (np.clip(below + k, 0, cells[0] - 1) for k in (0, 1))
    fk.prolong(state.sites, fields, mesh, (low, high, place - below), unit, charge, True)
    face = np.random.default_rng(4).uniform(1.0, 20.0, (8, 8))
    fk.lay(state.sites, fields, mesh, charge, share)
    spill = rk.relax(state.sites, fields, face, SHAPE, (3, 13, -2, 6, 5, 11), 6, 1.3)
    box, most, built_in = (4, 12, -1, 7, 4, 12), np.linspace(0.0, 0.2, 8), np.full(8, 0.05)
    schedule, ions = rk.Schedule(3, 2, 1.3, 0.1), rk.CellIons(2, 0.1 * charge, share)
    vacancies = rk.Screen(most, built_in, 0.4, 0.1, 0.026)
    rk.screened(state.sites, fields, face, SHAPE, box, schedule, ions, vacancies)
    return {
        "fixed": fixed,
        "mesh": unit,
        "unit": np.array(fields["unit"]),
        "charge": np.array(fields["space_potential"]),
        "source": np.array(fields["source"]),
        "nearest": np.array(nearest_cells(fixed == 1, 2, 1, 6)),
        "rounds": np.array([rounds, spill]),
    }


def currents(top: int) -> dict[str, np.ndarray]:
    """Clusters and tunnelling links of a column that ends below the electrode, or the network of a bridge."""
    state, atoms, _ = column(top)
    label, index = np.zeros((2, state.sites.size), np.int32)
    in_organic = state.sites["region"] == Region.ORGANIC
    labels = ck.label_clusters(state.sites, in_organic, atoms, label, state.bridge, SHAPE)
    roof, foot = np.full(SHAPE[1:], 14, np.int32), np.full(SHAPE[1:], 3, np.int32)
    best, planes = np.zeros((len(atoms), labels)), np.zeros((len(atoms), 2))
    channels, matrix = np.zeros((labels, labels)), np.zeros((labels, labels))
    potential = np.linspace(0, 1, labels)
    table = 77e-6 * np.exp(-2.2 * (np.sqrt(np.arange(65)) - 1.0))
    linked = np.zeros(len(atoms), np.bool_)
    geometry, own = TunnelGeometry(roof, foot, 8, table, SHAPE), label[atoms]
    tk.tunnelling_links(atoms, own, geometry, best, planes, linked)
    tk.cluster_links(own, best, planes, channels, matrix)
    none, direct = np.zeros(0, np.int64), np.zeros(0)
    network = tk.TunnelNetwork(atoms, own, best, planes, channels, matrix, none, direct, potential)
    kinds = (np.int64, float, float, np.int64)
    heated = Heated(*(np.zeros(2 * len(atoms) * labels, kind) for kind in kinds))
    ends = tk.link_heating(network, geometry, heated)
    index[atoms] = np.arange(len(atoms))
    links, weight = np.zeros((7 * len(atoms), 3), np.int32), np.zeros(7 * len(atoms))
    unit, side = np.full(len(atoms), 0.5), np.zeros(len(atoms), np.uint8)
    to = bk.bonds(state.sites, in_organic, atoms, index, SHAPE)
    flow = np.zeros((len(atoms), 6), np.int8)
    graph, cut = bk.BondGraph(atoms, to, flow, side), fl.minimum_cut(to, flow, side)
    neck = bk.neck_planes(graph, SHAPE[1] * SHAPE[2])
    count = bk.bridge_network(graph, 3e-3, 77e-6, SHAPE, links, weight) if cut else 0
    if cut:
        near = geometry._replace(reach=3)
        count = bk.neck_links(graph, near, 1e-7, links, weight, count)
    level = atoms // (SHAPE[1] * SHAPE[2])
    rounds = bk.solve_network(links[:count], weight[:count], level, unit, 1e-6) if count else 0
    return {
        "label": label,
        "matrix": matrix,
        "channels": channels,
        "planes": planes,
        "ends": np.concatenate([*heated, [ends]]),
        "links": links[:count],
        "weight": weight[:count],
        "unit": unit,
        "rounds": np.array([rounds, cut, *neck]),
        "side": side,
        "flow": flow,
    }


def everything() -> dict[str, np.ndarray]:
    """All results, by "case: array"."""
    cases = {name: events(name) for name in STACKS}
    cases |= {"potentials": potentials(), "gap": currents(10), "bridge": currents(13)}
    return {f"{case}: {key}": value for case, found in cases.items() for key, value in found.items()}


if __name__ == "__main__":
    np.savez(sys.argv[1], **everything())
