"""`kmc bench scaling`: how the cost of an event, of a field solution and of memory grow with the sites.

Kernel: the lattice gas with a field and a temperature gradient, exponentials computed at each event. Field:
one whole solution of the potential, from changed metal to its values on the sites, in devices that grow;
memory: the largest that the process of that device took.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

EVENTS = 1_000_000
REPEATS = 5
STACK = "ogb_20nm"
CRYSTAL = "5 nm"  # of a device whose window can be small: at all sizes the same one
#: sites of the lattice gas; window of a device, nm
SIZES = ((10_000, 12.0), (100_000, 24.0), (1_000_000, 54.0))
KIB = 1 if sys.platform == "darwin" else 1024  # what the system counts memory in, bytes


def run(progress: Callable[[str], None] = lambda line: None) -> list[dict[str, Any]]:
    """Rows of sites (of the gas), kernel_ns_per_event, device_sites, field_ns_per_site, rss_bytes.

    Medians of REPEATS, in processor time. `progress` takes a line of text at each step.
    """
    rows = []
    for sites, window in SIZES:
        progress(f"{sites} sites: kernel")
        row = {"sites": sites, "kernel_ns_per_event": _alone(kernel_cost, sites)}
        progress(f"{STACK} with crystals of {CRYSTAL} in a window of {window:g} nm")
        rows.append(row | _alone(device_cost, window))
    return rows


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a process of its own: its memory counts alone."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def kernel_cost(sites: int) -> float:
    """Median ns per event of the lattice gas."""
    from kmc.benchmarks.lattice_gas import lattice_gas

    costs = []
    for seed in range(REPEATS):
        wall, events, _ = lattice_gas(sites, "field", EVENTS, seed, time.process_time)
        costs.append(1e9 * wall / events)
    return statistics.median(costs)


def device_cost(window_nm: float) -> dict[str, Any]:
    """Sites of a device, median ns per site of a whole solution of its potential, and its memory."""
    from kmc.cards.stack import load_stack
    from kmc.inputs.protocol import Protocol
    from kmc.inputs.settings import Settings
    from kmc.simulation.simulation import Simulation

    settings = Settings().changed(window=f"{window_nm} nm")
    stack = load_stack(STACK).choose(crystal_size=CRYSTAL)
    device = Simulation(stack, Protocol.read(), settings, 1).device
    potential, spent = device.potential, []
    for _ in range(REPEATS + 1):
        potential.unit[potential.fixed == 0] = 0.0
        potential.fields["unit"][0] += 1e-6  # held metal that differs: the mesh is solved again
        begin = time.process_time()
        potential.prepare(device.state)
        potential.publish(device.state, True)
        spent.append(time.process_time() - begin)
    sites = device.lattice.region.size
    return {
        "device_sites": sites,
        "field_ns_per_site": 1e9 * statistics.median(spent[1:]) / sites,
        "rss_bytes": KIB * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
