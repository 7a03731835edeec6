"""A run that is killed at any moment leaves readable files, and going on ends as if nothing had happened."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import xarray as xr

import kmc
from kmc.inputs.run_file import load_run
from kmc.io import dataset
from kmc.io.run_folder import verify_checkpoints
from kmc.simulation.run_to_folder import execute

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")

RUN = """
stack: ogb_20nm
protocol:
  - sweep: {to: 1.5 V, rate: 100 V/s, step: 25 mV, compliance: 1 uA}
  - pulses: {amplitude: 1 V, width: 5 ms, gap: 10 ms, count: 2, compliance: 10 uA}
seed: 5
snapshots: {every: 4 ms}
"""

# Kills itself in the write number argv[1], before or after the file takes its place (argv[2]); 0 is never.
CHILD = """
import os, signal, sys
sys.path[:0] = [{tests!r}, {top!r}]
import fake_simulation
sys.modules["kmc.simulation.simulation"] = fake_simulation
fake_simulation.Simulation.slow_s = {slow!r}
import kmc.simulation.run_to_folder
from kmc.cli.app import main
kmc.simulation.run_to_folder._MOST_COST = 1e9
kmc.simulation.run_to_folder._LEAST_SHARE = 0.0
left, when = int(sys.argv[1]), sys.argv[2]
real = os.replace
def replace(source, target):
    global left
    left -= 1
    if left == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
every = {every!r}
sys.exit(main(["run", "run.yaml", "--resume", "--quiet", "--no-picture", "--checkpoint-every", every]))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> xr.Dataset:
    """The dataset of the run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "quick"
    assert child(folder, repository, every="1 h").wait(60) == 0
    return kmc.open(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The run's folder; its name is the run's."""
    return tmp_path / "quick"


def child(
    folder: Path, repository: Path, kill_at: int = 0, when: str = "after", every: str = "10 ms", slow: float = 0.001
) -> subprocess.Popen[bytes]:
    """Start or go on with the run in `folder`, in a process of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "run.yaml").write_text(RUN)
    support = str(repository / "tests" / "support")
    script = CHILD.format(tests=support, top=str(repository), every=every, slow=slow)
    return subprocess.Popen(
        [sys.executable, "-c", script, str(kill_at), when],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def all_is_readable(folder: Path) -> None:
    """Every file that has its final name is sound, and what is there opens."""
    out = folder / "out"
    if list(out.rglob("*.nc")):
        assert dataset.verify(out) == []
        kmc.open(folder).load()
    assert verify_checkpoints(out) == []


def same_as(whole: xr.Dataset, folder: Path) -> None:
    """Equal in every variable, coordinate and type, and nothing temporary is left."""
    found = kmc.open(folder)
    assert found.drop_attrs(deep=False).identical(whole.drop_attrs(deep=False))
    assert [v.dtype for v in found.variables.values()] == [v.dtype for v in whole.variables.values()]
    assert found.attrs["content_sha256"] == whole.attrs["content_sha256"]
    assert list((folder / "out").rglob(".*.part")) == []


def kills(seed: int) -> Iterator[tuple[int, str]]:
    """Writes to die in: the record, a segment, a checkpoint, and later ones."""
    generator = random.Random(seed)
    yield from ((1, "before"), (1, "after"), (2, "after"), (3, "before"))
    while True:
        yield generator.randrange(2, 9), generator.choice(("before", "after"))


def go_on_until_done(folder: Path, repository: Path, sessions: int, seed: int) -> int:
    """Die in one write after the other, then finish; returns how often it died."""
    died = 0
    for (kill_at, when), _ in zip(kills(seed), range(sessions), strict=False):
        code = child(folder, repository, kill_at, when).wait(60)
        if code == 0:
            return died
        assert code == -signal.SIGKILL
        died += 1
        all_is_readable(folder)
    assert child(folder, repository, every="1 h").wait(60) == 0
    return died


def test_killed_in_its_writes(folder: Path, repository: Path, whole: xr.Dataset) -> None:
    """Between any two of segment, checkpoint and record."""
    assert go_on_until_done(folder, repository, 4, seed=1) == 4
    same_as(whole, folder)


@pytest.mark.slow
def test_killed_in_many_writes(folder: Path, repository: Path, whole: xr.Dataset) -> None:
    """The same, until it is done."""
    assert go_on_until_done(folder, repository, 30, seed=2) >= 5
    same_as(whole, folder)


@pytest.mark.slow
def test_killed_at_random_moments(folder: Path, repository: Path, whole: xr.Dataset) -> None:
    """Also in the middle of writing, merging and starting; kills that come before the first file too."""
    generator = random.Random(4)
    for _ in range(25):
        process = child(folder, repository, every="1 ms")
        time.sleep(generator.uniform(0.3, 1.6))
        process.kill()
        if process.wait(60) == 0:
            break
        all_is_readable(folder)
    else:
        assert child(folder, repository).wait(60) == 0
    same_as(whole, folder)


def test_killed_while_merging(folder: Path, repository: Path, whole: xr.Dataset) -> None:
    """The last write of all: segments stay, the merged file is made when going on."""
    assert child(folder, repository, kill_at=4, when="before", every="1 h").wait(60) == -signal.SIGKILL
    assert not list((folder / "out").glob("*.nc"))
    assert kmc.open(folder).sizes["time"] == whole.sizes["time"]
    assert child(folder, repository, every="1 h").wait(60) == 0
    same_as(whole, folder)


def test_two_at_once(folder: Path, repository: Path) -> None:
    """A second process on the same folder is refused while the first runs, and does it no harm."""
    first = child(folder, repository, slow=0.02)
    for _ in range(200):
        if (folder / "out" / "checkpoint.npz").exists():
            break
        time.sleep(0.05)
    assert child(folder, repository).wait(60) == 2
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 3
    assert dataset.verify(folder) == []


@pytest.mark.slow
def test_the_simulation_itself_goes_on(tmp_path: Path) -> None:
    """The real simulation, stopped after every few kernel calls and restored, ends as in one go."""
    path = tmp_path / "run.yaml"
    path.write_text(
        "stack: ogb_7nm\nsettings: {window: 8 nm, event_budget: 2000}\nsnapshots: {every: 9 us}\n"
        "protocol:\n- hold: {voltage: 1 V, duration: 20 us}\n- read: {duration: 1 us}\n"
    )
    run = load_run(path)
    assert execute(run, tmp_path / "whole", checkpoint_every_s=1e9).finished
    calls = iter(range(10**9))
    stops = 0
    while not execute(run, tmp_path / "cut", resume=True, should_stop=lambda: next(calls) % 4 == 3).finished:
        stops += 1
    assert stops >= 2
    same_as(kmc.open(tmp_path / "whole"), tmp_path / "cut")
