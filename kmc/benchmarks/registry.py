"""Benchmarks: functions run(progress) -> rows, registered in the entry-point group kmc.bench."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from kmc.core.atomic_files import finite
from kmc.core.errors import UserError, nearest
from kmc.io import provenance

GROUP = "kmc.bench"


def names() -> list[str]:
    """The registered benchmarks."""
    return sorted({point.name for point in metadata.entry_points(group=GROUP)})


def load(name: str) -> Callable[[Callable[[str], None]], list[dict[str, Any]]]:
    """The function of one benchmark. Raises UserError for an unknown name."""
    points = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if name not in points:
        step = "use one of: " + ", ".join(sorted(points)) if points else "pip install the package to get some"
        raise UserError(f'no benchmark is called "{name}"', nearest=nearest(name, points), next_step=step)
    return points[name].load()


def drawer(name: str) -> Callable[[list[dict[str, Any]], Path], None]:
    """The function draw(rows, path) beside the benchmark's. Raises UserError for one that draws nothing."""
    found = getattr(sys.modules[load(name).__module__], "draw", None)
    if found is None:
        raise UserError(f"the benchmark {name} draws no figure", next_step="leave out --figure")
    return found


def run(name: str, progress: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Run one benchmark: {"bench", "rows", "machine", "versions"}. Raises UserError for an unknown name."""
    rows = [provenance.plain(finite(row)) for row in load(name)(progress)]
    return {"bench": name, "rows": rows, "machine": machine(), "versions": provenance.versions()}


def machine() -> dict[str, Any]:
    """Processor, cores and system that the numbers hold for."""
    return {"processor": _processor(), "cores": os.cpu_count(), "system": platform.platform()}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
