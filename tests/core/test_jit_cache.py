"""A cache of kernels that is empty or cannot be written is told once; `kmc warmup` refuses the latter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.caching import _CacheLocator

from kmc.core import jit_cache as cache

WARNING = "warning: compiled kernels cannot be kept in {cache}/kernels/"
TWICE = """
import multiprocessing
from kmc.core.progress import warn_of_cache

def work():
    warn_of_cache()

if __name__ == "__main__":
    warn_of_cache()
    warn_of_cache()
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join()
"""
# What comes after the warning would compile every kernel for this one test.
BEGUN = """
from kmc import Protocol
from kmc.simulation import simulation
from kmc.study import worker_pool

def enough(*given):
    print("begun")
    raise SystemExit

simulation.Windows = worker_pool._Pool = enough
{begin}
"""
BEGIN = {
    "run": "simulation.Simulation(None, Protocol.read())",
    "study": "worker_pool.run_locally(iter(()), None, 1, None, None, None)",
}


def said(cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What Python says with this folder for the cache."""
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "KMC_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """A file where the folder would be."""
    path = tmp_path / "taken"
    path.write_text("")
    return path


def test_it_is_said_once_and_not_by_workers(taken: Path, tmp_path: Path) -> None:
    """One line that names the folder and the variable. Negative control: a good folder is not spoken of, but
    where nothing is compiled yet, or only by a copy elsewhere, that the first start takes long."""
    script = tmp_path / "twice.py"
    script.write_text(TWICE)
    told = said(taken, str(script)).stderr
    assert told.startswith(WARNING.format(cache=taken))
    assert told.endswith("set KMC_CACHE to a folder that may be written\n")
    assert told.count("\n") == 1
    first = said(tmp_path / "new", str(script)).stderr
    assert first.startswith("the first start of this version")
    assert first.count("\n") == 1
    (kernels,) = (tmp_path / "new" / "kernels").iterdir()
    here = _CacheLocator.get_suitable_cache_subpath(cache.__file__)
    for folder, told in (("kmc_elsewhere", first), (here, "")):
        (kernels / folder).mkdir()
        (kernels / folder / "hop.py310.nbi").write_bytes(b"")
        assert said(tmp_path / "new", str(script)).stderr == told


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that the system knows nothing of: no folder, and no traceback; a variable still chooses one."""

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    for name in ("KMC_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OSError):
        cache.cache_dir().mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("KMC_CACHE", "/somewhere")
    assert cache.cache_root() == Path("/somewhere")


@pytest.mark.parametrize("what", BEGIN)
def test_runs_and_studies_say_it(taken: Path, what: str) -> None:
    """Before they compute."""
    done = said(taken, "-c", BEGUN.format(begin=BEGIN[what]))
    assert done.stdout == "begun\n", done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(WARNING.format(cache=taken))


def test_warmup_is_refused(taken: Path) -> None:
    """Exit code 2: what it was asked for is not to be had."""
    done = said(taken, "-m", "kmc", "warmup")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"compiled kernels cannot be kept in {taken}/kernels/")
    assert done.stderr.count("\n") == 1
