"""kmc warmup: compile the kernels, so that the first run starts at once."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import typer

from kmc.cli.commands._options import Json, Quiet


def warmup(as_json: Json = False, quiet: Quiet = False) -> int:
    """Compile the kernels and keep them in the cache folder ($KMC_CACHE, or the system's own).

    Once for each version of the program; later runs, also in parallel, load what is there.

    Examples:

        kmc warmup
    """
    from kmc.core import jit_cache
    from kmc.core.errors import UserError
    from kmc.core.progress import CACHE_STEP, cache_problem, spinner

    if problem := cache_problem():
        raise UserError(problem, next_step=CACHE_STEP)
    started = time.monotonic()
    with spinner("compiling", quiet):
        beside = start_beside()
        try:
            for vacancies in ("equilibrium", "explicit"):
                compile_run(vacancies, beside.join)  # what failed beside, a run compiles itself
        finally:
            beside.terminate()
    jit_cache.sweep()
    wall_s = round(time.monotonic() - started, 2)
    if as_json:
        typer.echo(json.dumps({"wall_s": wall_s, "cache": str(jit_cache.cache_dir())}, indent=2))
    else:
        typer.echo(f"kernels ready after {wall_s} s, in {jit_cache.cache_dir()}")
    return 0


def start_beside() -> BaseProcess:
    """A process that compiles the kernels of events, and ends by itself even where this one was killed."""
    process = get_context("spawn").Process(target=_compile_beside, daemon=True)
    process.start()
    return process


def _compile_beside() -> None:
    """Ctrl-C of the terminal reaches both processes: the first one ends this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    compile_events()


def compile_events() -> None:
    """The kernels of events, half of the work: for a state of nothing, as a run calls them."""
    import numpy as np

    from kmc.cards.stack import load_stack
    from kmc.inputs.settings import Settings
    from kmc.kinetics import advance
    from kmc.system.parameter_tables import build_model
    from kmc.system.state import FIELD, Grid, allocate

    shape = (8, 8, 8)
    state, fields = allocate(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), 8), np.zeros(512, FIELD)
    model = build_model(load_stack("ogb_20nm"), 0.3, Settings())[0]
    arrays = state, Grid(*shape), fields, model
    advance.advance(*arrays, np.random.default_rng(0), 0.0, 1, False)
    advance.settle_all(*arrays[:2])
    advance.refresh_near(*arrays, np.zeros(1, np.int64))
    advance.refresh_box(*arrays, (0, 1, 0, 1, 0, 1))


def compile_run(vacancies: str, events: Callable[[], None]) -> None:
    """Run 50 ns in a small window with a filament and an island: all kernels of a run.

    events: waits until those that a run calls last are compiled.
    """
    import numpy as np

    from kmc.cards.stack import load_stack
    from kmc.geometry import percolation
    from kmc.geometry.lattice import ACTIVE
    from kmc.inputs.protocol import Protocol
    from kmc.inputs.settings import read_settings
    from kmc.kinetics import advance
    from kmc.simulation.simulation import Simulation
    from kmc.system.state import EMPTY, KIND_METAL

    protocol = Protocol.hold("0.6 V", "50 ns", compliance="1 mA")
    settings = read_settings({"window": "8 nm", "vacancies": vacancies, "event_budget": 10_000})
    stack = load_stack("ogb_7nm").choose(**{"device.heat_padding": "30 nm"})  # less to solve
    simulation = Simulation(stack, protocol, settings, 0)
    simulation.state_dict()  # it asks for the heat of an open filament, which a run does where it is hot
    device, lattice = simulation.device, simulation.lattice
    between = percolation.of(lattice).path & lattice.mask(*ACTIVE) & ~lattice.residue
    seam = np.flatnonzero(between.ravel() & (device.state.sites["cation"] == EMPTY)).astype(np.int32)
    z, y, x = np.unravel_index(seam[len(seam) // 2], lattice.shape)
    _, ny, nx = lattice.shape
    island = np.ravel_multi_index((z, (y + ny // 2) % ny, (x + nx // 2) % nx), lattice.shape)
    advance.place_many(device.state, device.grid, KIND_METAL, np.append(seam, island).astype(np.int32))
    device.trace_current()
    device.solve_fields()
    device.follow_metal()  # nothing changed: it goes all the way for that
    change = device.state.dirty[:1].copy()
    change["site"], change["was"], change["shift"] = seam[0], 0, 1.0
    device.patches.follow(device.state, change, 1.0, device.thermal, 1.0)
    events()
    simulation.run()
