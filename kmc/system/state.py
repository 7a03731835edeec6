"""What changes during a run: occupations, entities and clock.

An *entity* owns events: a silver ion, a silver atom, a bromide vacancy or a surface site of the
silver electrode. Its row of `rates` holds one rate a channel; entities of similar total rate share a
group (composition-rejection), so that choosing an event never costs a pass over all sites.
Only `kmc.kinetics.advance` moves entities; the coupling sets clocks and bounds. Records, because all of one site or
entity lies on one cache line.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

EMPTY, ION, METAL, ELECTRODE_METAL, COUNTER_METAL = 0, 1, 2, 3, 4
KIND_ION, KIND_METAL, KIND_EMITTER, KIND_VACANCY = 1, 2, 3, 4
CHANNELS = 8
HOPS = 6  # channels 0 to 5 of a row: hops or moves to the six neighbours; or ionisation onto them
REDUCTION, RETURN = 6, 7  # channels of an ion: reduction on its site, return into the silver electrode
OXIDATION = 6  # channel of a silver atom
EXCHANGE, FILLING = 6, 6  # channels of vacancy exchange: of an electrode site, and of the vacancy back
#: Of `ahead`: no wait; what waited goes on. Else what follows: REDUCTION or RETURN of an ion, ION_AT or
#: INTO_ELECTRODE of an atom.
NO_WAIT, GOES_ON = 0, 1
#: How the first passage of an ionised adatom ends: back, as an atom, as an ion on a site, in the electrode.
HOME, ATOM_AT, ION_AT, INTO_ELECTRODE = 0, 1, 2, 3
OWN = 6  # column of `pairs` for the place where a charge is
GROUPS = 256  # of half a binary order of magnitude each, from 2^-64 to 2^64 per second
GROUP_OFFSET = (1023 - 64) * 2  # of the exponent's bits in a float64
DIRTY_LIMIT = 256
IN_FILAMENT, ON_WAY, IN_STUMP = 1, 2, 3  # of `State.bridge`
NEAR_MOST = 512  # charges in a cell of the pair term and those around it: more is no gas of ions
FLIGHT_MOST = 4  # largest domain of a flight, sites around its start
VISITS = 8  # sites of an adatom's frozen-environment walk whose rates are kept
BEND_REACH = 3  # sites around a changed metal site whose potential follows within the event

SITE = np.dtype(
    [
        ("cation", "u1"),  # EMPTY, ION, METAL, ELECTRODE_METAL, COUNTER_METAL
        ("region", "u1"),
        ("room", "u1"),
        ("held", "u1"),  # copies from the Lattice; held: its potential is given
        ("entity", "i4"),  # entity on the cation site, or -1
        ("vacancy", "i4"),  # vacancy entity on a halide site, or -1
    ]
)
ENTITY = np.dtype(
    [
        ("site", "i4"),
        ("kind", "i4"),  # kind 0: a free slot
        ("group", "i4"),
        ("slot", "i4"),  # group -1 while it has no events; slot: its place among the members
        # list of the charges in a cell of the pair term; of an atom that waits: where it goes, metal beside it
        ("next", "i4"),
        ("previous", "i4"),
        ("total", "f8"),  # 1/s, regardless of exclusion
        ("stamp", "f8"),  # pair clock at the last move
        ("x", "u2"),
        ("y", "u2"),
        ("z", "u2"),  # coordinates of the site
        ("touched", "u1"),  # 1: its rates must be computed again
        # what waits for the time of a frozen walk to pass, and what follows it: NO_WAIT, GOES_ON, ...
        ("ahead", "u1"),
        ("free", "i4"),
        ("waiting", "i4"),  # columns of their own: stacks of free slots and of touched entities
        ("returns", "f8"),  # least chance that its ion comes back, which its rate leaves out; 64 bytes: one line
    ]
)
GROUP = np.dtype(
    [
        ("count", "i4"),
        ("active", "i4"),  # active: a column of its own, the groups in use from the fastest down
        ("bound", "f8"),  # 1/s, at least every member's total
    ]
)
#: Clock, sums and counts of a window, 31 numbers in one row: a checkpoint writes them as one array.
RUN = np.dtype(
    [
        (name, "f8")
        for name in (
            "time",
            "unspent",
            "draw",
            "bound_total",
            "voltage_device",
            "shift_bound",
            "pair_clock",
            "watch",
            "stale",
            "stale_bound",
        )
    ]
    + [
        (name, "i8")
        for name in (
            "entities",
            "free",
            "active",
            "dirty",
            "ions",
            "metal",
            "vacancies",
            "reservoir",
            "events",
            "trials",
            "metal_events",
            "emitted",
            "returned",
            "exchanged",
            "hops",
            "force_refresh",
            "touched",
            "regrouped",
            "epoch",
            "neck_low",
            "neck_high",
        )
    ]
)
SIDES = 2  # of what gives electrons: the cathode's, with silver that joins both, and the anode's
SUPPLY = np.dtype(
    [
        ("left", "f8"),  # what distance to the nearest source leaves
        ("unit", "f8"),
        ("space_potential", "f8"),  # potentials of that source, as FIELD's
    ]
)
CHANGE = np.dtype(
    [
        ("site", "i4"),
        ("was", "i4"),  # was: 1 if there was metal at the last solution
        ("shift", "f8"),  # what of its change of potential passed beyond the box that followed at once, V
        ("error", "f8"),  # the same at its place, by all changes since the last solution
    ]
)
FIELD = np.dtype(
    [
        ("unit", "f8"),  # potential at one volt across the device
        ("space_potential", "f8"),  # potential of the space charge with the metal grounded, V
        ("temperature", "f8"),  # K
        # space charge on the site, V times permittivity: of vacancies and ions; of metal what it would hold open
        ("source", "f8"),
    ]
)

VISIT = np.dtype(
    [
        ("site", "i8"),
        ("hops", "f8"),
        ("leave", "f8"),  # rates at which its atom moves along the metal and flies off, 1/s
        ("away", "f8"),  # chance that the ion does not come back
    ]
)

#: Columns of the table of rates, after those of six hops: rate of the events that end a walk; the row's epoch.
ENDS, EPOCH = 6, 7
EPOCHS = 2**24  # float32 represents every whole number up to this
#: Arrays of the State that follow from the others.
MADE = ("members", "look", "table")


class Grid(NamedTuple):
    """Shape of the lattice, periodic along y and x."""

    nz: int
    ny: int
    nx: int


class State(NamedTuple):
    """Arrays that the kernels mutate. Shapes: N sites, E entities (capacity), G groups.

    One record of 22 fields, since every event needs most of them and numba passes a tuple at no cost.
    """

    sites: np.ndarray  # SITE [N]
    entities: np.ndarray  # ENTITY [E]
    rates: np.ndarray  # float64 [E, CHANNELS], 1/s
    #: float64 [E, CHANNELS]: pair energy of a charge after each of six steps, and OWN, eV over `screen` there
    pairs: np.ndarray
    groups: np.ndarray  # GROUP [G]
    members: np.ndarray  # int32 [G, E] (untouched pages cost nothing)
    head: np.ndarray  # int32 [cells]: first charge in a cell of 4^3 sites, or -1
    crowd: np.ndarray  # int32 [cells]: charges in a cell and those around it
    near: np.ndarray  # int64 [NEAR_MOST, 4]: x, y, z, region of the charges around the ion at work
    look: np.ndarray  # float32 [8]: a row as those of `table`, for an ion that feels others or without lists
    table: np.ndarray  # float32 [N, 8]: rates of an ion on each site, feeling none, 1/s, and their epoch
    density: np.ndarray  # float64 [cells of 2^3 sites]: residence time of others' ions, s
    supply: np.ndarray  # SUPPLY [SIDES, the same cells]: electrons for redox without a metal neighbour
    factors: np.ndarray  # float64 [CHANNELS]: prefactors of the row at work, 1/s
    bend: np.ndarray  # float64 [(2 BEND_REACH + 3)^3, 10]: box of the local response (`kmc.kinetics.local_response`)
    #: float64 [VISITS, (2 FLIGHT_MOST + 3)^3, CHANNELS + 2]: chains of `kmc.kinetics.first_passage`
    domain: np.ndarray
    visits: np.ndarray  # VISIT [VISITS]: sites and rates of these chains (`kmc.kinetics.frozen_adatom_walks`)
    kept: np.ndarray  # float64 [(2 BEND_REACH + 1)^3, 3]: saved potentials (`kmc.kinetics.first_passage`)
    dirty: np.ndarray  # CHANGE [DIRTY_LIMIT]: metal sites changed since the last field update
    #: uint8 [N]: of a closed filament; on one of as many ways through it as its neck has; of an open one
    bridge: np.ndarray
    run: np.ndarray  # RUN [1]


def _lines(count: int, dtype: DTypeLike, columns: int = 0) -> np.ndarray:
    """Zeros whose first element begins a cache line: a record or row of 64 bytes then lies on one."""
    size = count * max(1, columns) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    out = raw[start : start + size].view(dtype)
    return out.reshape(count, columns) if columns else out


def _entities(capacity: int) -> np.ndarray:
    """Free slots."""
    entities = _lines(capacity, ENTITY)
    entities["site"] = entities["group"] = entities["next"] = entities["previous"] = -1
    return entities


def allocate(region: np.ndarray, room: np.ndarray, capacity: int) -> State:
    """Return the empty State of a lattice (region, room: [z, y, x]) with room for `capacity` entities."""
    sites = np.zeros(region.size, SITE)
    sites["region"], sites["room"] = region.ravel(), room.ravel()
    sites["entity"] = sites["vacancy"] = -1
    # One cell more than fits along each axis: a side that is no multiple of the edge has a last, cut cell.
    pair_cells = math.prod(n // 4 + 1 for n in region.shape)
    density_cells = math.prod(-(-n // 2) for n in region.shape)
    supply = np.zeros((SIDES, density_cells), SUPPLY)
    supply["left"][0] = 1.0
    return State(
        sites,
        _entities(capacity),
        _lines(capacity, np.float64, CHANNELS),
        _lines(capacity, np.float64, CHANNELS),
        np.zeros(GROUPS, GROUP),
        np.zeros((GROUPS, capacity), np.int32),
        np.full(pair_cells, -1, np.int32),
        np.zeros(pair_cells, np.int32),
        np.zeros((NEAR_MOST, 4), np.int64),
        np.zeros(8, np.float32),
        _lines(region.size, np.float32, 8),
        np.zeros(density_cells),
        supply,
        np.zeros(CHANNELS),
        np.zeros(((2 * BEND_REACH + 3) ** 3, 10)),
        np.zeros((VISITS, (2 * FLIGHT_MOST + 3) ** 3, CHANNELS + 2)),
        np.zeros(VISITS, VISIT),
        np.zeros(((2 * BEND_REACH + 1) ** 3, 3)),
        np.zeros(DIRTY_LIMIT, CHANGE),
        np.zeros(region.size, np.uint8),
        np.zeros(1, RUN),
    )


def grow(state: State, capacity: int) -> State:
    """Return the same State with room for more entities."""
    old = state.entities.size
    entities = _entities(capacity)
    entities[:old] = state.entities
    rates, pairs = (_lines(capacity, np.float64, CHANNELS) for _ in range(2))
    members = np.zeros((GROUPS, capacity), np.int32)
    rates[:old], pairs[:old] = state.rates, state.pairs
    for g in np.flatnonzero(state.groups["count"]):
        members[g, : state.groups["count"][g]] = state.members[g, : state.groups["count"][g]]
    return state._replace(entities=entities, rates=rates, pairs=pairs, members=members)
