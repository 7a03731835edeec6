"""One run in one folder: segments and checkpoints on the way, one merged file at the end.

    out/run.json            the resolved run, written first
    out/segments/0000.nc    rows since the checkpoint before
    out/checkpoint.npz      all that the loop carries, and how many segments it covers
    out/<name>.nc           the segments joined, when the run is done

A segment is written before the checkpoint that covers it, and going on deletes later ones. So a kill at any
moment leaves every file readable, and the merged file does not depend on where the run was cut.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from kmc.core import atomic_files, output_paths
from kmc.core.errors import CorruptFile, UserError
from kmc.core.progress import Progress, say
from kmc.inputs.run_file import RunFile
from kmc.io import checkpoint, dataset, provenance
from kmc.io.final_state import CHECKPOINT, load_state, same_seed
from kmc.io.run_folder import RECORD, claim, describe, read_record
from kmc.simulation.observers import Observer, watch_sites

_LEAST_SHARE = 0.02  # of the elapsed time passes between checkpoints: their number grows as a logarithm
_MOST_COST = 0.1  # of the time goes into writing them


@dataclass
class Outcome:
    """How a run ended: `dataset` is the merged file, None while the run is not finished."""

    out: Path
    dataset: Path | None
    finished: bool
    reason: str
    resumed: bool
    wall_s: float
    segments: int
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunOptions:
    """Options for the execution of a run and its progress; none of them changes the result.

    `command` is kept in out/run.json, so that `kmc resume` can find the run file again; `begun` is a
    Simulation of the run that is under way and of which nothing was written, after `spent_s`; `warn` takes
    the outcome's warnings as they arise.
    """

    resume: bool = False
    progress: Progress | None = None
    should_stop: Callable[[], bool] | None = None
    checkpoint_every_s: float = 2.0
    command: dict[str, Any] = field(default_factory=dict)
    begun: Any = None
    spent_s: float = 0.0
    warn: Callable[[str], None] = lambda told: None


def execute(
    run: RunFile,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    checkpoint_every_s: float = 2.0,
    begun: Any = None,
    spent_s: float = 0.0,
) -> Outcome:
    """`carry_out` with what programs ask for: the options are those of RunOptions."""
    options = RunOptions(resume, progress, should_stop, checkpoint_every_s, begun=begun, spent_s=spent_s)
    return carry_out(run, out, options)


def carry_out(run: RunFile, out: Path, options: RunOptions) -> Outcome:
    """Run `run` in `out` until it is finished, `should_stop` says so, or the wall limit is reached.

    UserError when `out` is in use, not empty (without `resume`) or holds another run, and WriteFailed on a
    full disk.
    """
    record = {"run": describe(run, out if options.resume else None), "command": options.command}
    claim(out, record["run"], options.resume)
    session = _Session(run, out, record, options)
    with output_paths.folder(out):
        if options.begun is None and not (out / CHECKPOINT).is_file():
            try:  # what the stack cannot do is said before anything is written
                session.simulation = session.fresh()
            except UserError as error:
                raise error.at(run.initial_where or f"{run.path}:1") from None
        with atomic_files.only_one(out):
            session.warnings += claim(out, record["run"], options.resume)  # another may have taken it by now
            return session.go()


def _simulation() -> Any:
    """The class Simulation; its import brings numba, so it comes late."""
    from kmc.simulation.simulation import Simulation

    return Simulation


def fresh(run: RunFile) -> Any:
    """A Simulation at the start of `run`. Raises UserError for what the stack cannot do."""
    return _simulation()(run.device, run.protocol, run.settings, run.seed, initial=begun_by(run))


def begun_by(run: RunFile) -> dict[str, Any] | None:
    """The state that `run` starts from, None for a device as it is built. UserError for one of another seed,
    and for a state that is none."""
    if run.initial is None:
        return None
    try:
        initial = load_state(run.initial)
        same_seed(initial, run.seed)
    except UserError as error:
        raise error.at(run.initial_where) from None
    return initial


class _Session:
    """The loop around one Simulation in one folder."""

    def __init__(self, run: RunFile, out: Path, record: dict[str, Any], options: RunOptions) -> None:
        self.run, self.out, self.record, self.options = run, out, record, options
        self.asked = options.should_stop or (lambda: False)
        self.warnings: list[str] = []
        self.started = time.monotonic() - options.spent_s
        self.before_s = 0.0  # computing time of earlier sessions
        self.covered = 0
        self.sessions = 1
        self.simulation = options.begun
        self.observer: Observer | None = None
        self.reason = ""

    def go(self) -> Outcome:
        atomic_files.sweep(self.out)
        saved = self._saved()
        resumed = saved is not None
        if saved is None or not saved["finished"]:
            self.simulation = self._restored(saved) if saved else self.simulation or self.fresh()
            self._observe(self.simulation, saved)
            self._tell_window()
        for told in self.warnings:
            self.options.warn(told)
        if saved is None or not saved["finished"]:
            reason = self._loop(self.simulation)
            if reason:
                return self._outcome(None, False, reason, resumed)
            (self.out / f"{self.record['run']['name']}.nc").unlink(missing_ok=True)  # of an earlier go
        return self._outcome(self._merged(), True, "finished", resumed)

    def _saved(self) -> dict[str, Any] | None:
        """The checkpoint to go on from; files that no checkpoint covers are removed."""
        old = read_record(self.out)
        if old is None:
            self._write_record()
        else:
            self.record = old
        path = self.out / CHECKPOINT
        saved = checkpoint.load(path) if path.is_file() else None
        if saved is not None:
            self.covered, self.before_s = saved["segments"], saved["wall_s"]
            self.sessions = saved["sessions"] + 1
        self._keep_covered()
        return saved

    def _keep_covered(self) -> None:
        """Just the segments that the checkpoint covers. Raises CorruptFile where one of them is not there."""
        atomic_files.make_folder(self.out / "segments")
        atomic_files.sweep(self.out / "segments")
        found = {path: int(path.stem) for path in dataset.segment_paths(self.out)}
        if [index for index in found.values() if index < self.covered] != list(range(self.covered)):
            raise CorruptFile(
                f"{self.out} lacks segments that its checkpoint covers", next_step="start the run in another folder"
            )
        for path, index in found.items():
            if index >= self.covered:
                path.unlink()

    def fresh(self) -> Any:
        """A Simulation at the start of the run."""
        return fresh(self.run)

    def _restored(self, saved: dict[str, Any]) -> Any:
        run = self.run
        return _simulation().from_state_dict(run.device, run.protocol, run.settings, saved["simulation"])

    def _observe(self, simulation: Any, saved: dict[str, Any] | None) -> None:
        """Watch for snapshots, if the run asks for them."""
        if not self.run.snapshots:
            return
        self.observer = watch_sites(simulation, self.run.snapshots["every"])
        if saved is not None:
            self.observer.when.load_state_dict(saved["observer"])

    def _write_record(self) -> None:
        atomic_files.write_whole(self.out / RECORD, json.dumps(self.record, indent=1, sort_keys=True).encode())

    def _tell_window(self) -> None:
        """Keep the size that the window has, and say where it is far from what was asked for."""
        from kmc.simulation.plausibility import of_run

        sides = provenance.window_nm(self.simulation.lattice)
        if self.record["run"].get("window_nm") != sides:
            self.record["run"]["window_nm"] = sides
            self._write_record()
        self.warnings += of_run(
            self.simulation.stack, self.run.settings, self.run.protocol, sides, self.run.initial is not None
        )

    def _loop(self, simulation: Any) -> str:
        """Run in slices, each followed by a checkpoint; "" when finished, else why it stopped."""
        due = time.monotonic() + self.options.checkpoint_every_s
        while not simulation.finished:
            try:
                simulation.run(progress=self.options.progress, should_stop=partial(self._pause, due))
            except BaseException:
                self._keep_rows(simulation)
                raise
            reason = self._stop_reason()
            before = time.monotonic()
            self._save(simulation)
            cost = time.monotonic() - before
            due = time.monotonic() + max(
                self.options.checkpoint_every_s, _LEAST_SHARE * self._wall_s(), cost / _MOST_COST
            )
            if reason and not simulation.finished:
                return reason
        return ""

    def _pause(self, due: float) -> bool:
        return time.monotonic() >= due or bool(self._stop_reason())

    def _stop_reason(self) -> str:
        """Why to stop, "" while there is no reason; once given, it stays."""
        limit = self.run.settings.wall_limit_s
        if not self.reason and self.asked():
            self.reason = "interrupted"
        elif not self.reason and limit is not None and time.monotonic() - self.started >= limit:
            self.reason = f"the wall limit of {limit:g} s was reached"
        return self.reason

    def _save(self, simulation: Any) -> None:
        """One segment of what is new, then the checkpoint that covers it."""
        if self._write_segment(simulation):
            self.covered += 1
        state = {
            "segments": self.covered,
            "finished": bool(simulation.finished),
            "wall_s": self._wall_s(),
            "sessions": self.sessions,
            "simulation": simulation.state_dict(),
            "observer": self.observer.when.state_dict() if self.observer else {},
        }
        checkpoint.save(self.out / CHECKPOINT, state, small=bool(simulation.finished))

    def _write_segment(self, simulation: Any) -> bool:
        rows, snapshots = simulation.take_rows(), self.observer.take() if self.observer else []
        if not snapshots and not len(rows["time"]) and not (simulation.finished and not self.covered):
            return False
        ds = dataset.build(rows, snapshots, provenance.attributes(self.record["run"], wall_s=self._wall_s()))
        dataset.write_segment(self.out, self.covered, ds)
        return True

    def _keep_rows(self, simulation: Any) -> None:
        """Keep the rows of a run that failed; its checkpoint stays the one before."""
        try:
            self._write_segment(simulation)
        except Exception as error:
            say(f"the last rows are lost: {error}")

    def _merged(self) -> Path:
        """The merged file; one that is there and sound is kept."""
        path = self.out / f"{self.record['run']['name']}.nc"
        if path.is_file() and not dataset.verify(path):
            return path
        gone = [k for k in range(self.covered) if not dataset.segment_path(self.out, k).is_file()]
        if gone:
            raise CorruptFile(
                f"segment {gone[0]} of {self.out} is gone: another process did the same run",
                next_step="where a file system has no locks, start a run once",
            )
        about = provenance.attributes(self.record["run"], wall_s=self._wall_s(), sessions=self.sessions)
        return dataset.merge(self.out, path.stem, about)

    def _wall_s(self) -> float:
        return round(self.before_s + time.monotonic() - self.started, 3)

    def _outcome(self, path: Path | None, finished: bool, reason: str, resumed: bool) -> Outcome:
        return Outcome(self.out, path, finished, reason, resumed, self._wall_s(), self.covered, self.warnings)
