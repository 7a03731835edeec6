"""The lattice gas on which the kernel's speed is measured: the same `advance` as in a device."""

import math
import time
from collections.abc import Callable

import numpy as np

from kmc.geometry.lattice import Region
from kmc.kinetics import advance
from kmc.system.parameter_tables import MODEL
from kmc.system.state import FIELD, KIND_ION, Grid, State, allocate

OCCUPIED = 0.1
SPACING_NM = 0.2935
FIELD_V_NM = 0.05
COLD_K, HOT_K = 300.0, 600.0
BARRIER_EV, ATTEMPT_HZ = 0.2, 1e12
WARM_UP_EVENTS = 10_000


def lattice_gas(
    sites: int, rates: str, events: int, seed: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, int, float]:
    """Run a lattice gas: simple cubic, periodic along y and x, 10 % occupied, hops to empty neighbours only.

    `rates` is "exclusion" (1/s to each empty neighbour) or "field"
    (0.05 V/nm and 300 to 600 K along z, a barrier of 0.2 eV: exponentials are recomputed at each event).
    The box has exactly `sites` sites (see `box`). Between closed ends along z there are 1 - 1/(3 nz) of the
    bonds of a periodic box (`bonded`). Returns seconds by `clock` of `advance` after a warm-up,
    events done (exactly `events`), and simulated seconds. Raises ValueError for other `rates`.
    """
    if rates not in ("exclusion", "field"):
        raise ValueError(f"rates is exclusion or field, not {rates}")
    shape = box(sites)
    generator = np.random.default_rng(seed)
    state, grid = _gas(shape, generator), Grid(*shape)
    fields, model = _field(shape) if rates == "field" else _exclusion(shape)
    state.run["voltage_device"], state.run["shift_bound"] = 1.0, np.inf
    advance.refresh_all(state, grid, fields, model)
    state.run["unspent"] = generator.standard_exponential()
    run = state.run
    advance.advance(state, grid, fields, model, generator, np.inf, WARM_UP_EVENTS, False)
    before, begun, wall = int(run["events"][0]), float(run["time"][0]), 0.0
    while run["events"][0] - before < events:
        # The budget counts trials, some of which are null: the last calls close in on the number of events.
        trials = int(events - (run["events"][0] - before))
        start = clock()
        advance.advance(state, grid, fields, model, generator, np.inf, trials, False)
        wall += clock() - start
    return wall, int(run["events"][0]) - before, float(run["time"][0]) - begun


def box(sites: int) -> tuple[int, int, int]:
    """(nz, ny, nx) of the box of exactly `sites` sites that is nearest a cube: 25 x 20 x 20 for 10,000."""
    nx = max(n for n in range(1, round(sites ** (1 / 3)) + 1) if sites % n == 0)
    rest = sites // nx
    ny = max(n for n in range(1, math.isqrt(rest) + 1) if rest % n == 0)
    return rest // ny, ny, nx


def bonded(sites: int) -> float:
    """Sites of a periodic box with as many bonds as the box of `sites` sites, which is closed along z."""
    return sites * (1.0 - 1.0 / (3 * box(sites)[0]))


def _gas(shape: tuple[int, int, int], generator: np.random.Generator) -> State:
    """Ions on a tenth of the sites, drawn without replacement."""
    sites = math.prod(shape)
    count = round(OCCUPIED * sites)
    state = allocate(np.full(shape, Region.CORE, np.uint8), np.zeros(shape, np.uint8), count + 8)
    places = generator.permutation(sites)[:count].astype(np.int32)
    advance.place_many(state, Grid(*shape), KIND_ION, places)
    return state


def _exclusion(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.record]:
    """Fields and tables for a rate of 1/s wherever an ion is."""
    fields = np.zeros(math.prod(shape), FIELD)
    fields["temperature"] = COLD_K
    model = np.zeros(1, MODEL)
    model["ion_prefactor"] = 1.0
    return fields, model[0]


def _field(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.record]:
    """Fields and tables for a field and a temperature gradient along z."""
    z = np.repeat(np.arange(shape[0]), shape[1] * shape[2])
    fields = np.zeros(z.size, FIELD)
    fields["unit"] = z * SPACING_NM * FIELD_V_NM
    fields["temperature"] = COLD_K + (HOT_K - COLD_K) * z / shape[0]
    model = np.zeros(1, MODEL)
    model["ion_barrier"], model["ion_prefactor"] = BARRIER_EV, ATTEMPT_HZ
    return fields, model[0]
