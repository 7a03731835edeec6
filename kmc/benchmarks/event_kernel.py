"""Speed of the kernel on a lattice gas, beside kmcos on the same gas.

The gas: simple cubic, periodic, 10 % occupied, exclusion only, rate 1 to each empty neighbour. Physics is
equal when events / (time x sites) = 0.540. The peer is measured in the same run where the variable
KMC_PEER_KMCOS names a Python that imports kmcos; else its recorded speeds stand in, and the row says so.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from kmc.core.jit_cache import cache_root

PEER = "kmcos 1.1.0 local_smart"
PEER_VARIABLE = "KMC_PEER_KMCOS"
MODEL = "latgas3d_local_smart"
EVENTS_PER_SITE_TIME = 0.540  # 6 neighbours x 0.1 occupied x 0.9 empty
SEED = 7
REPEATS = 3
_PATIENCE_S = 600.0  # with one command of the peer
_LOG = logging.getLogger(__name__)


class Size(NamedTuple):
    """One size of the gas: its box in sites, and how many events a measurement takes."""

    box: tuple[int, int, int]
    events: int
    peer_events: int
    peer_recorded: float  # events/s, 2 vCPU Xeon, one core, median

    @property
    def sites(self) -> int:
        """How many sites the box holds."""
        return self.box[0] * self.box[1] * self.box[2]


SIZES = (
    Size((20, 20, 25), 5_000_000, 1_000_000, 2.22e6),
    Size((40, 50, 50), 5_000_000, 1_000_000, 1.72e6),
    Size((100, 100, 100), 5_000_000, 1_000_000, 0.95e6),
)


class PeerFailed(Exception):
    """The peer could not be built or run; the message says why."""


def run(progress: Callable[[str], None] = lambda line: None) -> list[dict[str, Any]]:
    """Measure this kernel, and the peer where there is one; two rows (exclusion, field) a size.

    Returns rows of sites, rates ("exclusion": uniform; "field": 0.05 V/nm and 300-600 K, exponentials
    recomputed at each event), events_per_s, events_per_site_time, peer, peer_events_per_s, peer_measured_now,
    ratio. The peer has the exclusion-only rates in both. `progress` takes a line of text at each step.
    """
    peer = _prepare_peer(progress)
    rows = []
    for size in SIZES:
        peer_speed = _peer_speed(peer, size, progress)
        for rates in ("exclusion", "field"):
            progress(f"{size.sites} sites, {rates}: this kernel")
            rows.append(_row(size, rates, *measure(size.sites, rates, size.events), peer_speed))
    return rows


def measure(sites: int, rates: str, events: int, repeats: int = REPEATS) -> tuple[float, float]:
    """Median speed in events/s, and events / (time x sites of a periodic box) over all repeats, of this kernel."""
    from kmc.benchmarks.lattice_gas import bonded, lattice_gas

    lattice_gas(sites, rates, 1_000, SEED)  # compiles
    runs = [lattice_gas(sites, rates, events, SEED + repeat) for repeat in range(repeats)]
    speed = statistics.median(done / wall for wall, done, _ in runs)
    return speed, sum(done for _, done, _ in runs) / sum(time for *_, time in runs) / bonded(sites)


def _row(size: Size, rates: str, speed: float, check: float, peer_speed: float | None) -> dict[str, Any]:
    against = size.peer_recorded if peer_speed is None else peer_speed
    return {
        "sites": size.sites,
        "rates": rates,
        "events_per_s": speed,
        "events_per_site_time": check,
        "peer": PEER,
        "peer_events_per_s": against,
        "peer_measured_now": peer_speed is not None,
        "ratio": speed / against,
    }


def _prepare_peer(say: Callable[[str], None]) -> tuple[str, Path] | None:
    """The peer's interpreter and the folder of its compiled model, or None where it cannot be measured."""
    python = os.environ.get(PEER_VARIABLE)
    if not python:
        say(f"{PEER}: recorded speeds ({PEER_VARIABLE} is not set)")
        return None
    try:
        return python, build_peer(python)
    except PeerFailed as error:
        _LOG.warning("%s: recorded speeds, for %s=%s does not serve: %s", PEER, PEER_VARIABLE, python, error)
        return None


def _peer_speed(peer: tuple[str, Path] | None, size: Size, say: Callable[[str], None]) -> float | None:
    if peer is None:
        return None
    say(f"{size.sites} sites: {PEER} (setting up takes it about a minute at 1e6 sites)")
    try:
        return measure_peer(*peer, size)[0]
    except PeerFailed as error:
        _LOG.warning("%s: recorded speed at %d sites, for its run failed: %s", PEER, size.sites, error)
        return None


def build_peer(python: str) -> Path:
    """Compile the peer's model once for this interpreter; return the folder of the compiled model.

    Needs gfortran beside kmcos. Raises PeerFailed with the peer's last words.
    """
    versions = _call([python, "-c", "import sys, kmcos; print(sys.version, sys.prefix, kmcos.__version__)"])
    with resources.as_file(resources.files("kmc.benchmarks") / "peers" / "kmcos_build.py") as script:
        key = hashlib.sha256(versions.encode() + script.read_bytes()).hexdigest()[:16]
        model = cache_root() / "peers" / f"kmcos-{key}" / MODEL
        if not model.is_dir():
            model.parent.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=model.parent.parent) as folder:
                _call([python, str(script), "local_smart"], cwd=folder)
                if not list(Path(folder, MODEL).glob("kmc_model.*.so")):
                    raise PeerFailed("its model did not compile (is gfortran installed?)")
                shutil.rmtree(model.parent, ignore_errors=True)
                model.parent.mkdir()
                os.replace(Path(folder, MODEL), model)
    return model


def measure_peer(python: str, model: Path, size: Size) -> tuple[float, float]:
    """Median speed of the peer in events/s, and its events / (time x sites). Raises PeerFailed."""
    box = "x".join(map(str, size.box))
    with resources.as_file(resources.files("kmc.benchmarks") / "peers" / "kmcos_bench.py") as script:
        text = _call([python, str(script), box, str(size.peer_events), str(REPEATS)], cwd=model)
    found = re.findall(r"ev/s=(\d+)\s+rate/site=([\d.]+)", text)
    if len(found) != REPEATS:
        raise PeerFailed(_last_line(text) or "it printed no speed")
    speeds, rates = zip(*((float(speed), float(rate)) for speed, rate in found), strict=True)
    return statistics.median(speeds), statistics.mean(rates)


def _call(command: list[str], cwd: str | Path | None = None) -> str:
    """Standard output of a command of the peer, on one thread. Raises PeerFailed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerFailed(str(error)) from error
    if done.returncode != 0:
        raise PeerFailed(_last_line(done.stderr) or f"exit code {done.returncode}")
    return done.stdout


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
