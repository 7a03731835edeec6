"""A made-up window of 8 x 8 x 16 sites in which every kind of event is common, for tests of the kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kmc.geometry.lattice import Region
from kmc.kinetics import advance
from kmc.system.parameter_tables import MODEL, NO_HOP, PAIR_REACH, PAIR_UNIT, REGIONS
from kmc.system.state import (
    COUNTER_METAL,
    ELECTRODE_METAL,
    FIELD,
    GROUPS,
    ION,
    KIND_EMITTER,
    KIND_ION,
    KIND_METAL,
    KIND_VACANCY,
    METAL,
    Grid,
    State,
    allocate,
)

SHAPE = (16, 8, 8)
INNER = (Region.ORGANIC, Region.CORE, Region.SURFACE, Region.GAP, Region.VOID, Region.BOUNDARY)
COUNTS = (
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
)


class Window(NamedTuple):
    """All that the kernels take, in their order."""

    state: State
    grid: Grid
    fields: np.ndarray
    model: Any

    def copy(self) -> Window:
        """The same window, sharing nothing but the model."""
        return Window(State(*(a.copy() for a in self.state)), self.grid, self.fields.copy(), self.model)


def answering(a: np.ndarray) -> np.ndarray:
    """An array whose records answer to attributes, as in compiled code."""
    return a.view(np.recarray) if a.dtype.names else a


def table(pairs: bool = True) -> np.ndarray:
    """Tables with different numbers for every region, and barriers low enough for thousands of events."""
    generator = np.random.default_rng(5)

    def symmetric(low: float, high: float) -> np.ndarray:
        half = generator.uniform(low, high, (REGIONS, REGIONS))
        return np.maximum(half, half.T)

    model = np.zeros(1, MODEL)
    closed = np.zeros((REGIONS, REGIONS), bool)
    for region in (Region.COUNTER, Region.ELECTRODE):
        closed[region] = closed[:, region] = True
    model["ion_energy"] = generator.uniform(-0.35, -0.15, REGIONS)
    model["ion_barrier"] = np.where(closed, NO_HOP, symmetric(0.2, 0.3))
    model["ion_prefactor"] = symmetric(1e11, 2e11)
    model["face"] = symmetric(1.0, 20.0)
    model["adhesion"] = generator.uniform(0.0, 0.06, REGIONS)
    model["vacancy_energy"] = generator.uniform(-0.05, 0.05, REGIONS)
    model["vacancy_barrier"] = np.where(closed, NO_HOP, symmetric(0.2, 0.3))
    model["vacancy_prefactor"] = symmetric(1e11, 2e11)
    squared = np.arange(PAIR_REACH**2 + 1)
    energy = 0.2 / np.sqrt(squared + 1.0) - 0.2 / np.sqrt(PAIR_REACH**2 + 1.0)
    model["screen"] = np.linspace(0.8, 1.2, REGIONS)
    model["pair"] = np.rint(np.multiply.outer(model["screen"][0], energy) / PAIR_UNIT) * PAIR_UNIT
    model["reach"] = PAIR_REACH**2 + 1 if pairs else 0
    for name, value in {
        "bond": 0.12,
        "kink": -0.36,
        "attempt": 1e13,
        "reduction": 0.4,
        "electrode": 0.45,
        "transfer": 0.4,
        "diffusion": 0.4,
        "isolated": 0.3,
        "exchange": 0.4,
        "exchange_energy": 0.05,
        "explicit_vacancies": 1,
    }.items():
        model[name] = value
    return model


def window(seed: int = 1, pairs: bool = True, shape: tuple[int, int, int] = SHAPE) -> Window:
    """Electrode above, counter below; between them regions, room, potentials and temperatures at random.

    Works with NUMBA_DISABLE_JIT=1 too.
    """
    generator = np.random.default_rng(seed)
    grid = Grid(*shape)
    region = generator.choice(np.array(INNER, np.uint8), shape)
    region[:2], region[-2:] = Region.COUNTER, Region.ELECTRODE
    room = (generator.random(shape) < 0.6).astype(np.uint8)
    room[:2] = room[-2:] = 0
    state = State(*map(answering, allocate(region, room, 4 * region.size)))
    state.sites["cation"][region.ravel() == Region.COUNTER] = COUNTER_METAL
    state.sites["cation"][region.ravel() == Region.ELECTRODE] = ELECTRODE_METAL
    flat = np.arange(region.size).reshape(shape)
    inside = generator.permutation(flat[2:-2].ravel())
    metal = inside[state.sites["room"][inside] == 1][: region.size // 40]
    ions = np.setdiff1d(inside, metal, assume_unique=True)[: region.size // 40]
    vacancies = generator.permutation(flat[2:-2:2, ::2, ::2].ravel())[: region.size // 80]
    for kind, sites in (
        (KIND_EMITTER, flat[-2].ravel()),
        (KIND_METAL, metal),
        (KIND_ION, ions),
        (KIND_VACANCY, vacancies),
    ):
        advance.place_many(state, grid, kind, sites.astype(np.int32))
    fields = potentials(shape, generator)
    out = Window(state, grid, fields, answering(table(pairs))[0])
    state.run["voltage_device"], state.run["shift_bound"] = 0.3, np.inf
    advance.refresh_all(*out)
    state.run["unspent"] = generator.standard_exponential()
    return out


def potentials(shape: tuple[int, int, int], generator: np.random.Generator) -> np.ndarray:
    """A drop along z with noise, the electrodes flat; temperatures around 600 K."""
    fields = np.zeros(shape, FIELD)
    noise = generator.normal(size=(3, *shape))
    fields["unit"] = np.linspace(0.0, 1.0, shape[0])[:, None, None] + 0.05 * noise[0]
    fields["space_potential"] = 0.02 * noise[1]
    fields["unit"][:2], fields["unit"][-2:] = 0.0, 1.0
    fields["space_potential"][:2] = fields["space_potential"][-2:] = 0.0
    fields["temperature"] = 600.0 + 20.0 * noise[2]
    return answering(fields.ravel())


def run(w: Window, generator: np.random.Generator, stop_s: float, trials: int, look: bool = False) -> int:
    """Advance as a simulation without fields would: what asks for a refresh is told that all is well."""
    end = int(w.state.run["trials"][0]) + trials
    status = advance.REFRESH
    while status == advance.REFRESH and w.state.run["trials"][0] < end:
        left = end - int(w.state.run["trials"][0])
        status = advance.advance(*w, generator, stop_s, left, look)
        if status == advance.REFRESH:
            w.state.run["force_refresh"] = w.state.run["dirty"] = 0
    return status


def tally(w: Window) -> dict[str, int]:
    """The counters of a window."""
    return {name: int(w.state.run[name][0]) for name in COUNTS}


def live(w: Window) -> np.ndarray:
    """Entities that are not free slots."""
    return np.flatnonzero(w.state.entities["kind"])


def problems(w: Window) -> list[str]:
    """What is wrong with the bookkeeping of a window."""
    state, out = w.state, []
    entities, sites, groups = state.entities, state.sites, state.groups
    for g in range(GROUPS):
        members = state.members[g, : groups["count"][g]]
        slots = np.arange(len(members))
        if (entities["group"][members] != g).any() or (entities["slot"][members] != slots).any():
            out.append(f"group {g}: members and slots disagree")
        if len(members) and entities["total"][members].max() > groups["bound"][g]:
            out.append(f"group {g}: a member above the bound")
    alive = live(w)
    rated = alive[entities["total"][alive] > 0]
    if groups["count"].sum() != len(rated) or (entities["group"][rated] < 0).any():
        out.append("an entity with rates is in no group")
    if not np.allclose(state.rates[alive].sum(1), entities["total"][alive], rtol=1e-12, atol=0.0):
        out.append("totals are not the sums of rates")
    bound = float((groups["count"] * groups["bound"]).sum())
    if abs(bound / state.run["bound_total"][0] - 1.0) > 1e-12:
        out.append("the bound on the total rate is not the sum over groups")
    for kind, column, number in (
        (KIND_ION, "entity", "ions"),
        (KIND_METAL, "entity", "metal"),
        (KIND_VACANCY, "vacancy", "vacancies"),
    ):
        mine = np.flatnonzero(entities["kind"] == kind)
        if len(mine) != state.run[number][0] or (sites[column][entities["site"][mine]] != mine).any():
            out.append(f"{number}: sites, entities and count disagree")
    if (sites["cation"] == ION).sum() != state.run["ions"][0]:
        out.append("ions on sites and in the count disagree")
    if (sites["cation"] == METAL).sum() != state.run["metal"][0]:
        out.append("metal on sites and in the count disagree")
    x, y, z = entities["x"][alive], entities["y"][alive], entities["z"][alive]
    if ((z.astype(int) * w.grid.ny + y) * w.grid.nx + x != entities["site"][alive]).any():
        out.append("coordinates and sites disagree")
    charges = alive[np.isin(entities["kind"][alive], (KIND_ION, KIND_VACANCY))]
    if w.model["reach"] and (state.crowd[pair_cells(w, charges)] != counted_near(w, charges)).any():
        out.append("charges near each charge and their count disagree")
    return out


def pair_cells(w: Window, charges: np.ndarray) -> np.ndarray:
    """Cell of the pair term of each charge."""
    z, y, x = (w.state.entities[name][charges].astype(int) // 4 for name in ("z", "y", "x"))
    return (z * (w.grid.ny // 4) + y) * (w.grid.nx // 4) + x


def counted_near(w: Window, charges: np.ndarray) -> np.ndarray:
    """How many of the charges are in the cell of each and those around, one by one."""
    near = np.ones((len(charges), len(charges)), np.bool_)
    for name, length in (("z", 10**6), ("y", w.grid.ny), ("x", w.grid.nx)):
        cell = w.state.entities[name][charges].astype(int) // 4
        apart = np.abs(cell[:, None] - cell)
        near &= np.minimum(apart, length // 4 - apart) <= 1
    return near.sum(axis=1)
