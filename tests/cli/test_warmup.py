"""`kmc warmup` compiles what a run needs: a run after it compiles nothing."""

import json
import subprocess
import sys

import pytest

from kmc.cli.commands.warmup import start_beside

KNOWN = """
import json, sys
from numba.core.dispatcher import Dispatcher

def known():
    found = {}
    for name, module in list(sys.modules.items()):
        for one in vars(module).values() if name.startswith("kmc") else ():
            if isinstance(one, Dispatcher) and one.signatures:
                name = f"{one.py_func.__module__}.{one.py_func.__name__}"
                found[name] = sorted(map(str, one.signatures))
    print(json.dumps(found))
"""
WARM_UP = """
from kmc.cli.commands.warmup import compile_events, compile_run
compile_run("equilibrium", compile_events)
known()
"""
#: a film of 20 nm whose seam was filled by hand, and an atom aside: atoms leave the hot filament, and return
RUN = """
import numpy as np
import kmc
from kmc.geometry import percolation
from kmc.geometry.lattice import ACTIVE
from kmc.kinetics import advance
from kmc.simulation.simulation import Simulation
from kmc.system.state import KIND_METAL

protocol = kmc.Protocol.hold("0.6 V", "0.1 us", compliance="1 mA") + kmc.Protocol.hold("-0.3 V", "0.1 us")
simulation = Simulation(kmc.load_stack("ddab_20nm"), protocol, kmc.Settings(window="12 nm"), 3)
device, lattice = simulation.device, simulation.lattice
simulation.state_dict()
seam = percolation.of(lattice).path & lattice.mask(*ACTIVE) & ~lattice.residue
sites = np.flatnonzero(seam)
z, y, x = np.unravel_index(sites[len(sites) // 2], lattice.shape)
aside = np.ravel_multi_index((z, (y + lattice.shape[1] // 2) % lattice.shape[1], x), lattice.shape)
advance.place_many(device.state, device.grid, KIND_METAL, np.append(sites, aside).astype(np.int32))
device.trace_current()
device.solve_fields()
simulation.run()
known()
"""


def compiled(script: str) -> dict[str, list[str]]:
    """Signatures of the kernels that a program of its own came to call, by name."""
    done = subprocess.run([sys.executable, "-c", KNOWN + script], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def ready() -> dict[str, list[str]]:
    """What the warm-up calls. It goes first: what a program compiles shows the kernels within, too, which it
    does not where it finds them kept."""
    return compiled(WARM_UP)


@pytest.fixture(scope="module")
def run(ready: dict[str, list[str]]) -> dict[str, list[str]]:
    return compiled(RUN)


def left(run: dict[str, list[str]], ready: dict[str, list[str]]) -> list[str]:
    """Kernels that the run would have to compile."""
    return sorted(name for name, kinds in run.items() if set(kinds) - set(ready.get(name, [])))


def test_a_run_after_the_warmup_compiles_nothing(run: dict[str, list[str]], ready: dict[str, list[str]]) -> None:
    """Among them those of the heat, and of the rates around a change of metal."""
    assert {
        "kmc.kinetics.advance.refresh_box",
        "kmc.thermal.heat_flow.bonds_of",
        "kmc.kinetics.advance.refresh_near",
        "kmc.transport.closed_filament.floating_potentials",
    } <= set(run)
    assert left(run, ready) == []


def test_the_events_are_compiled_beside() -> None:
    """By a process that ends well."""
    beside = start_beside()
    beside.join()
    assert beside.exitcode == 0


def test_what_is_left_is_seen(run: dict[str, list[str]]) -> None:
    """Control: a warm-up without a filament, as it was once, leaves the heat to the run."""
    ready = compiled(
        'import kmc\nkmc.simulate(kmc.load_stack("ogb_20nm"), kmc.Protocol.hold("1 V", "1 us"), '
        'settings=kmc.Settings(window="8 nm"))\nknown()\n'
    )
    assert "kmc.thermal.heat_flow.bonds_of" in left(run, ready)
