"""`kmc` with the fake simulation, in a study's workers too: a spawned process imports this file again.

Environment: SLOW_S is slept in each kernel call; a task with the seed FAIL_SEED raises an error, one with
KILL_SEED kills its process, one with HUNGRY_SEED wants more memory than there is. No file may grow beyond
FILE_LIMIT bytes, as on a disk that is full. The study's peak of memory goes to the file PEAK_TO, in kB.
"""

from __future__ import annotations

import atexit
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

CHILD = Path(__file__).resolve()
HERE = CHILD.parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import fake_simulation  # noqa: E402
from memory import peak_kb  # noqa: E402


class Simulation(fake_simulation.Simulation):
    """The fake, with what goes wrong by its seed."""

    slow_s = float(os.environ.get("SLOW_S", "0"))

    def __init__(self, stack: Any, protocol: Any, settings: Any, seed: int, initial: Any = None) -> None:
        super().__init__(stack, protocol, settings, seed, initial)
        if str(seed) == os.environ.get("FAIL_SEED"):
            raise ZeroDivisionError("the fake was told to fail")
        if str(seed) == os.environ.get("KILL_SEED"):
            os.kill(os.getpid(), signal.SIGKILL)
        if str(seed) == os.environ.get("HUNGRY_SEED"):
            resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.RLIM_INFINITY))
            self.memory = np.ones(4 << 30, np.uint8)


if "FILE_LIMIT" in os.environ:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["FILE_LIMIT"]), resource.RLIM_INFINITY))
fake_simulation.Simulation = Simulation
sys.modules["kmc.simulation.simulation"] = fake_simulation

if __name__ == "__main__":
    from kmc.__main__ import run

    if "PEAK_TO" in os.environ:  # its own: what the system tells of a child begins with its parent's
        atexit.register(lambda: Path(os.environ["PEAK_TO"]).write_text(str(peak_kb())))
    run()
