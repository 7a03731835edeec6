"""The most memory that a process held."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path


def peak_kb(anew: bool = False) -> int:
    """The most memory that this process held; on Linux since it was last asked `anew`."""
    if anew:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # peak = present
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
