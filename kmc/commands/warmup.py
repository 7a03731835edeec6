"""kmc warmup: compile the kernels, so that the first run starts at once."""

from __future__ import annotations

import json
import time

import typer

from kmc.commands._options import Json, Quiet


def warmup(
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compile the kernels and keep them in the cache folder ($KMC_CACHE, or the system's own).

    Once for each version of the program; later runs, also in parallel, load what is there.

    Examples:

        kmc warmup
    """
    from kmc import cache
    from kmc.errors import UserError
    from kmc.progress import CACHE_STEP, cache_problem, spinner

    if problem := cache_problem():
        raise UserError(problem, next_step=CACHE_STEP)
    started = time.monotonic()
    with spinner("compiling", quiet) as tell:
        for vacancies in ("equilibrium", "explicit"):
            tell(f"compiling (vacancies {vacancies})")
            _compile(vacancies)
    cache.sweep()
    wall_s = round(time.monotonic() - started, 2)
    if as_json:
        typer.echo(json.dumps({"wall_s": wall_s, "cache": str(cache.cache_dir())}, indent=2))
    else:
        typer.echo(f"kernels ready after {wall_s} s, in {cache.cache_dir()}")
    return 0


def _compile(vacancies: str) -> None:
    """Run two microseconds in a small window, the second with a filament and an island: all kernels of a run.

    Few changes of metal call for the last two, which are called for none.
    """
    import numpy as np

    from kmc import channels, kernels
    from kmc.lattice import ACTIVE
    from kmc.protocol import Protocol
    from kmc.settings import read_settings
    from kmc.simulation import Simulation
    from kmc.stack import load_stack
    from kmc.state import EMPTY, KIND_METAL

    protocol = Protocol.hold("1 V", "1 us", compliance="1 uA")
    protocol += Protocol.hold("0.6 V", "1 us", compliance="1 mA")
    settings = read_settings({"window": "8 nm", "vacancies": vacancies, "event_budget": 10_000})
    simulation = Simulation(load_stack("ogb_20nm"), protocol, settings, 0)
    simulation.run(should_stop=lambda: simulation.time_s >= 1e-6)
    simulation.state_dict()  # it asks for the heat of an open filament, which a run does where it is hot
    device, lattice = simulation.device, simulation.lattice
    between = channels.of(lattice).path & lattice.mask(*ACTIVE) & ~lattice.residue
    seam = np.flatnonzero(between.ravel() & (device.state.sites["cation"] == EMPTY)).astype(np.int32)
    z, y, x = np.unravel_index(seam[len(seam) // 2], lattice.shape)
    _, ny, nx = lattice.shape
    island = np.ravel_multi_index((z, (y + ny // 2) % ny, (x + nx // 2) % nx), lattice.shape)
    kernels.place_many(device.state, device.grid, KIND_METAL, np.append(seam, island).astype(np.int32))
    device.trace_current()
    device.solve_fields()
    simulation.run()
    arrays = device.state, device.grid, device.potential.fields, device.model
    device.follow_metal()  # nothing changed: it goes all the way for that
    change = device.state.dirty[:1].copy()
    change["site"], change["was"], change["shift"] = seam[0], 0, 1.0
    device.patches.follow(device.state, change, 1.0, device.thermal, 1.0)
    kernels.refresh_near(*arrays, seam.astype(np.int64))
    kernels.refresh_box(*arrays, 0, 1, 0, 1, 0, 1)
