"""One run from Python, in a notebook for instance, without a folder: `kmc.simulate`."""

from __future__ import annotations

import math
import time as wall
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmc.cards.stack import Stack, load_stack
from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc.core.interrupts import Interrupted, ctrl_c, stopping
from kmc.core.progress import Progress, shown
from kmc.core.units import interval
from kmc.inputs.protocol import Protocol, read_protocol
from kmc.inputs.settings import Settings, read_settings
from kmc.io import checkpoint, dataset, provenance
from kmc.io.final_state import is_state, load_state
from kmc.simulation.observers import Look, watch_numbers, watch_sites
from kmc.simulation.plausibility import of_run
from kmc.simulation.simulation import Simulation

if TYPE_CHECKING:
    import xarray as xr


def simulate(
    stack: Stack | str | Path,
    protocol: Protocol | list[dict[str, Any]],
    seed: int = 0,
    settings: Settings | Mapping[str, Any] | None = None,
    initial: str | Path | dict[str, Any] | None = None,
    progress: bool | Progress = False,
    snapshots: str | None = None,
    observers: Mapping[str, Look] | None = None,
) -> xr.Dataset:
    """Run a protocol on a stack and return its trace: variables over `time` (docs/reference/dataset.md).

    stack: a Stack, a name or a path; protocol: a Protocol, or segments as in a run file; initial: folder,
    dataset or state (.npz) of a run that has ended, or a `Simulation.state_dict()`; progress: True shows it,
    a function is called with a dict (time_s, events ...) twice a second at most, and at the end; snapshots:
    how often the sites are kept ("1 ms"); observers: functions that make a number of the sites at each
    sample (`kmc.simulation.observers.Look`). Warns as `kmc run` does, and when `wall_limit_s` is reached. UserError:
    what no run file may say; CorruptFile: a damaged `initial`. Ctrl-C is a `kmc.core.interrupts.Interrupted`, whose
    `trace` is what was simulated; a second keeps nothing."""
    device = stack if isinstance(stack, Stack) else load_stack(stack)
    protocol = protocol if isinstance(protocol, Protocol) else read_protocol(protocol)
    settings = settings if isinstance(settings, Settings) else read_settings(settings)
    seed = random_streams.checked(seed)
    if isinstance(initial, (str, Path)):
        initial = load_state(Path(initial))
    elif initial is not None and not is_state(initial):
        step = "give the output folder of a run, or a Simulation's state_dict()"
        raise UserError("initial is no state of a run", next_step=step)
    begun = None if initial is None else checkpoint.digest(initial)
    looks = None if snapshots is None else {"every": interval(snapshots)}
    about = provenance.describe(device, protocol, settings, seed, initial=begun, snapshots=looks)
    simulation = Simulation(device, protocol, settings, seed, initial)
    about["window_nm"] = provenance.window_nm(simulation.lattice)
    for told in of_run(device, settings, protocol, about["window_nm"], initial is not None):
        warnings.warn(told, stacklevel=2)
    sites = watch_sites(simulation, looks["every"]) if looks else None
    numbers = watch_numbers(simulation, observers) if observers else None
    with stopping(ctrl_c()) as asked, shown(device.name, progress) as tell:
        _in_time(simulation, tell, asked)
    trace = dataset.build(simulation.take_rows(), sites.take() if sites else [], provenance.attributes(about))
    if numbers:
        trace = dataset.with_numbers(trace, numbers.take())
    if asked():
        raise Interrupted(trace)
    return trace


def _in_time(simulation: Simulation, tell: Progress | None, asked: Callable[[], bool]) -> None:
    """Run to the end, until a stop is requested, or to the wall limit of the settings, which gives a warning."""
    limit, begun = simulation.settings.wall_limit_s or math.inf, wall.monotonic()
    simulation.run(tell, lambda: asked() or wall.monotonic() - begun >= limit)
    if not simulation.finished and not asked():
        told = f"the wall limit of {limit:g} s was reached at {simulation.time_s:.3g} s of the protocol"
        warnings.warn(f"{told}; what was simulated is returned", stacklevel=3)
