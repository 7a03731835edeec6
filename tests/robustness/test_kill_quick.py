"""The real quick run, killed or stopped at random moments: every file opens, and going on ends the same."""

from __future__ import annotations

import itertools
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib.image
import pytest
import xarray as xr
from test_kill import all_is_readable, same_as

import kmc

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")]

KILLS = 30
AT_MERGE = 4  # of these, in the last write of all
SEED = 11


class Whole(NamedTuple):
    """The run that was never stopped: its dataset, and what it took."""

    dataset: xr.Dataset
    wall_s: float
    processor_s: float


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Whole:
    """The quick run in one go; a run before it has compiled and read all that a first one must."""
    subprocess.run([sys.executable, "-m", "kmc", "warmup", "--quiet"], check=True, capture_output=True)
    assert start(prepared(tmp_path_factory.mktemp("first"), repository)).wait(300) == 0
    folder = prepared(tmp_path_factory.mktemp("whole"), repository)
    used, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    assert start(folder).wait(300) == 0
    wall_s = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return Whole(kmc.open(folder), wall_s, spent)


def prepared(folder: Path, repository: Path) -> Path:
    """A folder with the quick run's file and no results."""
    shutil.copytree(repository / "runs" / "quick", folder / "quick", ignore=shutil.ignore_patterns("out"))
    return folder / "quick"


def start(folder: Path) -> subprocess.Popen[bytes]:
    """`kmc run run.yaml --resume` as a user types it: ctrl-C reaches it whatever started these tests."""
    return subprocess.Popen(
        [sys.executable, "-m", "kmc", "run", "run.yaml", "--resume"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def moments(length_s: float, merges: int) -> list[float | None]:
    """When to kill, s after the start: spread evenly over a run at random; None is while merging."""
    generator = random.Random(SEED)
    spread = KILLS - merges
    found: list[float | None] = [(k + generator.random()) / spread * length_s for k in range(spread)]
    found += [None] * merges
    generator.shuffle(found)
    return found


def killed(process: subprocess.Popen[bytes], moment: float | None, folder: Path) -> bool:
    """Kill `process` at the moment; False when it was done before."""
    end = time.monotonic() + (300.0 if moment is None else moment)
    while time.monotonic() < end and process.poll() is None:
        if moment is None and any((folder / "out").glob(".quick.nc.*.part")):
            break
        time.sleep(0.0005)
    process.kill()
    return process.wait(60) != 0


def every_file_opens(folder: Path) -> int:
    """Datasets, checkpoints, records and pictures; returns how many files there are."""
    out = folder / "out"
    if not out.is_dir():
        return 0
    all_is_readable(folder)
    files = [path for path in out.rglob("*") if path.is_file() and not path.name.startswith(".")]
    for path in files:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".png":
            assert matplotlib.image.imread(path).size
        else:
            assert path.suffix in (".nc", ".npz"), path
    return len(files)


def folders(home: Path, repository: Path) -> Iterator[Path]:
    """One fresh run folder after the other."""
    for k in itertools.count():
        yield prepared(home / str(k), repository)


def test_the_quick_run_is_quick(whole: Whole) -> None:
    """Under 20 s, in processor time: the wall's depends on what else runs here."""
    assert whole.processor_s < 20


def test_killed_at_random_moments(tmp_path: Path, repository: Path, whole: Whole) -> None:
    """SIGKILL, 30 times: in the start, the simulation, the writes, the merge and the picture.

    A run that was killed goes on and is killed again, until it is done; then a fresh one is begun. A moment
    that comes after the end of a shortened run is kept for later, a little earlier: the machine may be
    quicker than it was.
    """
    fresh, todo = folders(tmp_path, repository), moments(whole.wall_s, AT_MERGE)
    folder, begun, ended, merging, told = next(fresh), 0, 0, 0, 0
    while todo:
        begun += 1
        assert begun < 4 * KILLS
        if killed(start(folder), todo[-1], folder):
            merging += any((folder / "out").glob(".quick.nc.*.part"))
            told += every_file_opens(folder) > 0
            todo.pop()
        else:
            same_as(whole.dataset, folder)
            folder, ended = next(fresh), ended + 1
            late = todo.pop()
            todo.insert(0, None if late is None else 0.95 * late)
    assert start(folder).wait(300) == 0
    same_as(whole.dataset, folder)
    assert merging >= 1
    assert told >= KILLS // 3


def interrupted(folder: Path, moment_s: float, whole: Whole) -> int:
    """Rows that SIGINT at a moment leaves, of a run that then ends as the whole; -1 if it was over before."""
    process = start(folder)
    time.sleep(moment_s)
    process.send_signal(signal.SIGINT)
    code = process.wait(60)
    assert code in (0, 3)
    every_file_opens(folder)
    rows = 0
    if code == 3 and any((folder / "out").rglob("*.nc")):
        past = kmc.open(folder)
        rows = past.sizes["time"]
        assert past.drop_attrs().identical(whole.dataset.isel(time=slice(rows)).drop_attrs())
    assert start(folder).wait(300) == 0
    same_as(whole.dataset, folder)
    return rows if code == 3 else -1


def test_control_c_keeps_the_past(tmp_path: Path, repository: Path, whole: Whole) -> None:
    """SIGINT, in the start and the simulation, which is over by the middle: exit code 3; what was done is a
    part of the whole, and going on ends with the rest. A machine that became slower or quicker shifts the
    later moments until one has caught the simulation."""
    fresh = folders(tmp_path, repository)
    rows = [interrupted(next(fresh), share * whole.wall_s, whole) for share in (0.1, 0.2, 0.3)]
    assert min(rows) >= 0
    share = 0.4
    for _ in range(12):
        rows.append(interrupted(next(fresh), share * whole.wall_s, whole))
        if rows[-1] > 0:
            return
        share *= 1.15 if rows[-1] == 0 else 0.93
    raise AssertionError(f"no ctrl-C caught the simulation: {rows}")
