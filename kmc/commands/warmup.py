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
    """Run two microseconds in a small window: every kernel is called once or more."""
    from importlib import import_module

    from kmc.protocol import Protocol
    from kmc.settings import read_settings
    from kmc.stack import load_stack

    simulate = import_module("kmc.simulation").simulate
    stack = load_stack("ogb_20nm")
    protocol = Protocol.hold("1 V", "1 us", compliance="1 uA") + Protocol.read("0.1 V", "1 us")
    settings = read_settings({"window": "8 nm", "vacancies": vacancies, "event_budget": 10_000})
    simulate(stack, protocol, seed=0, settings=settings)
