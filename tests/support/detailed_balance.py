"""Local detailed balance of single events: energies from the definition, not from the kernel."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from small_device import Window

from kmc.core.units import K_B
from kmc.kinetics import advance
from kmc.kinetics.event_changes import apply, hop_ion
from kmc.kinetics.event_rates import survives
from kmc.kinetics.process_table import PROCESSES, process_of, reverse_of
from kmc.system.neighbours import RETURNS, exchange_cell, neighbour, two_steps
from kmc.system.parameter_tables import METAL_FACE
from kmc.system.state import ELECTRODE_METAL, HOPS, ION, KIND_EMITTER, KIND_ION, KIND_METAL, KIND_VACANCY, METAL

EVERY = slice(None)
REACH = 8  # planes on either side of an event that its energy can depend on: a hop of two and a pair of four


def energy(w: Window, planes: slice = EVERY, bonds: bool = True, adhesion: bool = True, pairs: bool = True) -> float:
    """Energy of a configuration from the definition: site terms, bonds, adhesion, ion pairs, reservoirs; eV.

    An isolated silver atom is 0; atoms in the reservoir are kinks of the electrode. No potentials. Of some
    `planes` alone it is good for differences only: what lies at their ends must be out of the event's reach.
    Terms can be left out, for negative controls.
    """
    m, run_ = w.model, w.state.run[0]
    sites = w.state.sites.reshape(w.grid.nz, w.grid.ny, w.grid.nx)[planes]
    cation, region, shape = sites["cation"], sites["region"], sites.shape
    vacancies = np.argwhere(sites["vacancy"] >= 0)
    total = m["ion_energy"][region[cation == ION]].sum() + m["kink"] * run_["reservoir"]
    total += m["exchange_energy"] * run_["exchanged"] + m["vacancy_energy"][region[tuple(vacancies.T)]].sum()
    silver = (cation == METAL) | (cation == ELECTRODE_METAL)
    for axis in range(3):
        for step in (1, -1):
            near, what = np.roll(silver, step, axis), np.roll(region, step, axis)
            if axis == 0:  # below the first plane is no silver, above the last one is
                near[0 if step == 1 else -1] = step == -1
            if bonds:
                total -= 0.5 * m["bond"] * (silver & near).sum()
            if adhesion:
                total -= m["adhesion"][what[silver & ~near]].sum()
    if pairs:
        charges = np.concatenate([np.argwhere(cation == ION), vacancies])
        for k, place in enumerate(charges):
            d = np.abs(charges[k + 1 :] - place)
            d[:, 1:] = np.minimum(d[:, 1:], np.array(shape[1:]) - d[:, 1:])
            squared = (d**2).sum(1)
            near, places = squared < m["reach"], charges[k + 1 :]
            there = region[tuple(places[near].T)]
            total += m["screen"][region[tuple(place)]] * m["pair"][there, squared[near]].sum()
    return float(total)


def potential(w: Window, site: int) -> float:
    """Potential at a site, V."""
    return float(w.state.run["voltage_device"][0] * w.fields["unit"][site] + w.fields["space_potential"][site])


def around(w: Window, site: int) -> float:
    """Potential of the metal beside an atom, V; without any of what its electron tunnels to.

    NaN between metals of two potentials, where there is no equilibrium.
    """
    near = [j for d in range(6) if w.state.sites["cation"][j := neighbour(w.grid, site, d)] >= METAL]
    z, y, x = (k // 2 for k in np.unravel_index(site, (w.grid.nz, w.grid.ny, w.grid.nx)))
    sources = w.state.supply[:, (z * (w.grid.ny // 2) + y) * (w.grid.nx // 2) + x]
    given = [
        float(w.state.run["voltage_device"][0] * one["unit"] + one["space_potential"]) for one in sources if one["left"]
    ]
    each = [potential(w, j) for j in near] or given
    return each[0] if np.ptp(each) < 1e-12 else math.nan


def opened(w: Window, site: int, part: str = "") -> float:
    """What the kernel takes for the potential of a metal site without its atom: mean flux nil, V.

    part: of "unit" or "charge" alone.
    """
    near = [neighbour(w.grid, site, d) for d in range(6)]
    there_is = (lambda j: float(w.fields[part][j])) if part else (lambda j: potential(w, j))
    sites = w.state.sites
    there = np.where(sites["cation"][near] >= METAL, METAL_FACE, sites["region"][near])
    weight = w.model["face"][sites["region"][site], there]
    free = (sites["cation"][near] < METAL) & (sites["held"][near] == 0)
    returns = RETURNS[int(free.sum())]
    rise = weight * [there_is(j) - there_is(site) for j in near]
    if free.any():  # a face to metal is half a cell, to a site without it a whole one
        region = sites["region"][near]
        back = returns * weight.sum() / weight[free].sum()
        ratio = w.model["face"][region, METAL_FACE] / w.model["face"][region, sites["region"][site]]
        rise *= np.where(free, 1.0 + 2.0 * (1.0 - 1.0 / ratio) * back, 1.0)
    held = 0.0 if part == "unit" else float(w.fields["source"][site])  # what is on the site without the atom
    return there_is(site) + (float(rise.sum()) + held) / (weight.sum() * (1.0 - returns))


class Event(NamedTuple):
    """One event of an entity: what it costs in the potential (eV), where, and the event that undoes it."""

    name: str
    entity: int
    channel: int
    target: int
    charge_eV: float
    temperature: float
    back: int  # channel that undoes it


def event_of(w: Window, entity: int, channel: int) -> Event | None:
    """An event that creates or moves a charge or an atom, or None if it undoes another's, or is excluded."""
    kind, site = int(w.state.entities["kind"][entity]), int(w.state.entities["site"][entity])
    sites, warm = w.state.sites, w.fields["temperature"]
    hop = channel < HOPS
    if kind == KIND_VACANCY:
        j = two_steps(w.grid, site, channel) if hop else -1
        excluded = j < 0 or sites["vacancy"][j] >= 0
    elif hop:
        j = neighbour(w.grid, site, channel)
        # Nothing comes onto a vacancy: an atom must not, and an ion would need up to 10 eV.
        excluded = sites["cation"][j] != 0 or (kind != KIND_ION and sites["vacancy"][j] >= 0)
    else:
        j = site if kind == KIND_METAL else exchange_cell(w.state, w.grid, w.model, site)
        excluded = kind == KIND_ION or (kind == KIND_EMITTER and sites["vacancy"][j] >= 0)
    if excluded or w.state.rates[entity, channel] == 0.0:
        return None
    process = process_of(kind, channel)
    undo = reverse_of(process)
    back = channel ^ 1 if undo is process else undo.channels[0]
    between = 0.5 * (warm[site] + warm[j])
    if kind == KIND_ION or (kind == KIND_VACANCY and hop):
        cost = potential(w, j) - potential(w, site)
        return Event(process.name, entity, channel, j, cost, between, back)
    if kind == KIND_METAL and hop:
        return Event(process.name, entity, channel, j, 0.0, between, back)
    if kind == KIND_METAL:
        near = [neighbour(w.grid, site, d) for d in range(6)]
        if all(w.state.sites["cation"][j] >= METAL for j in near):
            return None  # buried
        cost = (potential(w, site) if sites["held"][site] else opened(w, site)) - around(w, site)
        return None if math.isnan(cost) else Event(process.name, entity, channel, site, cost, warm[site], back)
    cost = potential(w, j) - potential(w, site)
    return Event(process.name, entity, channel, j, cost, warm[j], back)


def rate_of(w: Window, entity: int, channel: int, target: int) -> float:
    """Rate at which an event really happens, 1/s: thinned where repulsion by near charges thins it."""
    rate = float(w.state.rates[entity, channel])
    kind = w.state.entities["kind"][entity]
    if kind not in (KIND_METAL, KIND_EMITTER) or (kind == KIND_METAL and channel < 6):
        return rate
    low, high = 0.0, rate
    if survives(*w, entity, channel, target, rate * (1 - 1e-15)):
        return rate
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if survives(*w, entity, channel, target, middle) else (low, middle)
    return low


def carry_out(w: Window, event: Event) -> Window:
    """A copy of the window after the event, its rates refreshed as the kernel does."""
    after = w.copy()
    if event.name == "ion hop":
        assert hop_ion(after.state, after.grid, after.model, event.entity, event.channel)
    else:
        assert apply(*after, np.random.default_rng(0), event.entity, event.channel, 0.0)
    advance.advance(*after, np.random.default_rng(0), -1.0, 1, True)
    return after


def imbalance(w: Window, event: Event, **terms: bool) -> float:
    """ln(forward/reverse) + energy/kT of an event: zero if it obeys local detailed balance."""
    after = carry_out(w, event)
    forward = rate_of(w, event.entity, event.channel, event.target)
    column = "vacancy" if event.name in ("vacancy hop", "exchange") else "entity"
    undoing = int(after.state.sites[column][event.target])
    origin = int(w.state.entities["site"][event.entity])
    reverse = rate_of(after, undoing, event.back, origin)
    if event.name == "ionisation":  # the rate of return is that to all electrode neighbours, which are alike
        near = [neighbour(w.grid, event.target, d) for d in range(6)]
        reverse /= sum(w.state.sites["cation"][j] == ELECTRODE_METAL for j in near)
    z = origin // (w.grid.ny * w.grid.nx)
    planes = slice(max(z - REACH, 0), z + REACH + 1)
    cost = energy(after, planes, **terms) - energy(w, planes, **terms) + event.charge_eV
    return math.log(forward / reverse) + cost / (K_B * event.temperature)


#: Of each process and the one that undoes it the first in the table: the law is tested there and back.
KINDS = tuple(one.name for k, one in enumerate(PROCESSES) if PROCESSES.index(reverse_of(one)) >= k)


def sample(w: Window, most: int) -> dict[str, list[Event]]:
    """Up to `most` events of each kind of a window."""
    out: dict[str, list[Event]] = {name: [] for name in KINDS}
    order = np.random.default_rng(8).permutation(np.flatnonzero(w.state.entities["kind"]))
    for entity in order:
        for channel in range(7):
            event = event_of(w, int(entity), channel)
            if event is not None and len(out[event.name]) < most:
                out[event.name].append(event)
    return out
