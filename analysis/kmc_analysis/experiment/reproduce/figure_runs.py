"""The runs of the figures: each is known by a hash of what decides it, done once, and kept in a folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr

from kmc.cards.card import find_data
from kmc.cards.stack import Stack, load_stack
from kmc.cards.yaml_documents import Mapping as Document
from kmc.core import atomic_files
from kmc.inputs.overrides import apply_sets, flat, place_of
from kmc.inputs.run_file import RunFile
from kmc.inputs.settings import read_settings
from kmc.io import dataset, netcdf, provenance
from kmc.study.manifest import DONE, failure_path, make_folders, reason, result_path
from kmc.study.task import STOPPED, Result
from kmc.study.worker_pool import run_locally
from kmc_analysis.experiment.figures.definition import Figure, Program, Runs

Telling = Callable[[dict[str, Any]], None]
_HASH = 20
REFERENCE = "ogb_20nm"  # the stack that is meant where none is named


@dataclass(frozen=True)
class Extent:
    """Which devices are simulated: seeds from `seed` on, `devices` of each program if given; `quick` takes
    each program's small number, and leaves out programs without one."""

    seed: int = 1
    devices: int | None = None
    quick: bool = False

    def seeds(self, program: Program) -> range:
        """The seeds of a program's devices, none where it is left out."""
        return self._seeds(program.devices, program.quick)

    def _seeds(self, full: int, quick: int) -> range:
        return range(self.seed, self.seed + self.count(full, quick))

    def count(self, full: int, quick: int) -> int:
        """How many of `full` devices, or with --quick of `quick`."""
        planned = quick if self.quick else full
        if not planned or self.devices is None:
            return planned
        return min(planned, self.devices) if self.quick else self.devices

    def covers(self, other: Extent, figures: Iterable[Figure]) -> bool:
        """Whether every device of the figures that `other` takes is one of these."""
        planned = {
            pair
            for figure in figures
            for pair in (
                (figure.seeds, figure.quick_seeds),
                *((program.devices, program.quick) for program in figure.programs),
            )
        }
        return all(set(other._seeds(*pair)) <= set(self._seeds(*pair)) for pair in planned)


@dataclass(frozen=True)
class Changes:
    """What is changed in every program: card values by path (of stacks that have that card), and settings."""

    choices: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, sets: Iterable[str]) -> Changes:
        """Read from texts such as "choices.electrode.bond_energy=0.2 eV". Raises UserError."""
        document = Document("--set", 1)
        apply_sets(document, sets, ("choices", "settings"), "what kmc reproduce changes")
        choices = flat(document, "choices")
        # Now, for there may be no run to do: what the reference cannot choose, no figure's stack can.
        load_stack(REFERENCE).choose(lambda name: place_of(document, "choices", name), **choices)
        read_settings(document.get("settings"), "--set settings")
        return cls(choices, dict(document.get("settings") or {}))

    def choices_for(self, stack: Stack, reference_stack: Stack) -> dict[str, Any]:
        """The changes that a stack has a card for. A whole card takes the place of the reference's own: gold
        stays gold."""
        cards, reference = stack.cards(), reference_stack.cards()

        def holds(path: str) -> bool:
            role, dot, _ = path.partition(".")
            if dot or role not in reference:
                return role in cards or not dot
            return role in cards and cards[role].name == reference[role].name

        return {path: value for path, value in self.choices.items() if holds(path)}


class Maker:
    """Makes the runs of programs with `changes` over them; a stack is read once."""

    def __init__(self, changes: Changes | None = None) -> None:
        self.changes = changes or Changes()
        self.stacks: dict[str, Stack] = {}

    def run(self, program: Program, seed: int) -> RunFile:
        """The run of one device, named by its hash. Raises UserError for what the cards do not have."""
        return self.runs(program, [seed])[0]

    def runs(self, program: Program, seeds: Iterable[int]) -> list[RunFile]:
        """The runs of the devices with these seeds; all but the seed is read and checked once."""
        stack = self._stack(program.stack)
        changed = self.changes.choices_for(stack, self._stack(REFERENCE)) if self.changes.choices else {}
        choices = {**program.choices, **changed}
        stack = stack.choose("--set", **choices)
        settings = read_settings({**program.settings, **self.changes.settings}, "--set")
        snapshots = None if program.snapshots is None else {"every": program.snapshots}
        protocol, path = program.protocol(stack), str(find_data("stack", program.stack))
        about = {
            "protocol": protocol.to_data(),
            "stack": {"hash": stack.hash},
            "initial": None,
            "settings": settings.model_dump(),
            "snapshots": snapshots,
        }
        return [
            RunFile(
                path=program.name,
                name=provenance.run_hash({**about, "seed": seed})[:_HASH],
                stack=path,
                device=stack,
                protocol=protocol,
                choices=choices,
                seed=seed,
                settings=settings,
                snapshots=snapshots,
                description=program.name,
            )
            for seed in seeds
        ]

    def _stack(self, name: str) -> Stack:
        if name not in self.stacks:
            self.stacks[name] = load_stack(name)
        return self.stacks[name]


@dataclass
class Session:
    """The runs of `figures` in the folder `out`; `extent` says which devices."""

    figures: Sequence[Figure]
    out: Path
    extent: Extent
    changes: Changes = field(default_factory=Changes)
    failures: dict[str, str] = field(default_factory=dict)  # by a run's name, of this session

    def __post_init__(self) -> None:
        maker = Maker(self.changes)
        self.runs: dict[str, RunFile] = {}
        self.names: dict[tuple[str, str], list[str]] = {}  # by figure and program
        for figure in self.figures:
            for program in figure.programs:
                made = maker.runs(program, self.extent.seeds(program))
                self.names[figure.name, program.name] = [run.name for run in made]
                self.runs |= {run.name: run for run in made}

    def missing(self, figures: Iterable[Figure] | None = None) -> list[str]:
        """The runs that are not done: all devices of a figure before those of the next, so that a board that
        is cut short has rows with all of theirs; of a figure the first devices of its programs come first.

        Figures are listed by what they cost. After a third of the computing more than half of the rows have
        their devices; by seeds next to none would, and few devices decide nothing. The first devices of all
        programs, done before the rest, would be that third alone, for those of 100 nm are the dearest.
        """
        wanted = dict.fromkeys(
            name for figure in (self.figures if figures is None else figures) for name in self._by_seed(figure)
        )
        return [name for name in wanted if not netcdf.is_sound(result_path(self.out, name))]

    def _by_seed(self, figure: Figure) -> list[str]:
        """The runs of a figure, of each device all programs."""
        names = [name for program in figure.programs for name in self.names[figure.name, program.name]]
        return sorted(names, key=lambda name: self.runs[name].seed)

    def go(
        self,
        workers: int,
        on_figure: Callable[[Figure], None],
        telling: Telling | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Do what is missing; `on_figure` is called when all runs of a figure are done or failed.

        Returns whether all figures were reached. Raises Busy when another process works in the folder.
        """
        make_folders(self.out)
        with atomic_files.only_one(self.out):
            return _Going(self, on_figure, telling, should_stop or (lambda: False)).go(workers)

    def of(self, figure: Figure) -> Runs:
        """The finished runs of a figure by program, devices in the order of their seeds."""
        return {program.name: list(self._open(self.names[figure.name, program.name])) for program in figure.programs}

    def _open(self, names: list[str]) -> Iterator[xr.Dataset]:
        for name in names:
            path = result_path(self.out, name)
            if netcdf.is_sound(path):
                yield dataset.open(path)

    def failed(self, figure: Figure | None = None) -> list[str]:
        """Why runs of a figure, or of all, failed in this session or before."""
        names = dict.fromkeys(
            name for (whose, _), some in self.names.items() for name in some if figure is None or whose == figure.name
        )
        found = [(self.runs[name], self.why_failed(name)) for name in names]
        return [f"seed {run.seed} of {run.description}: {why}" for run, why in found if why]

    def why_failed(self, name: str) -> str:
        """The reason, "" for a run that is done or was not tried. One that was killed when it was done may
        have left the reason of a try before."""
        if name in self.failures:
            return self.failures[name]
        tried = failure_path(self.out, name).is_file() and not netcdf.is_sound(result_path(self.out, name))
        return reason(self.out, name) if tried else ""

    def left_out(self, figure: Figure) -> bool:
        """Whether no device of a figure with programs was asked for."""
        return bool(figure.programs) and not any(self.names[figure.name, program.name] for program in figure.programs)


class _Going:
    """One go at the missing runs."""

    def __init__(
        self,
        session: Session,
        on_figure: Callable[[Figure], None],
        telling: Telling | None,
        should_stop: Callable[[], bool],
    ) -> None:
        self.session, self.on_figure = session, on_figure
        self.telling, self.should_stop = telling, should_stop
        self.todo = session.missing()
        self.waiting = {figure.name: set(session.missing([figure])) for figure in session.figures}
        self.by_name = {figure.name: figure for figure in session.figures}
        self.count, self.done = len(self.todo), 0
        self.shares: dict[int, float] = {}
        self.walls: dict[int, float] = {}  # s, of those that are done
        self.started = time.monotonic()

    def go(self, workers: int) -> bool:
        self._ready()
        if self.todo:
            run_locally(
                self._tasks(),
                self.session.out,
                min(workers, len(self.todo)),
                self._on_done,
                self._on_progress,
                self.should_stop,
            )
        self._ready(computed=not self.should_stop())  # last, for it keeps the workers waiting
        return not self.waiting

    def _tasks(self) -> Iterator[tuple[int, RunFile]]:
        for index, name in enumerate(self.todo):
            self.shares[index] = 0.0
            yield index, self.session.runs[name]

    def _on_done(self, index: int, result: Result) -> None:
        self.shares.pop(index, None)
        name = self.todo[index]
        if result.state == DONE or (result.reason and result.state != STOPPED):
            self.done += 1
            self.walls[index] = result.wall_s
            for names in self.waiting.values():
                names.discard(name)
        if result.state not in (DONE, STOPPED):
            self.session.failures[name] = result.reason
        self._ready()
        self._tell()

    def _on_progress(self, index: int, share: float) -> None:
        self.shares[index] = share
        self._tell()

    def _ready(self, computed: bool = False) -> None:
        """Hand over the figures that wait for nothing; those that compute themselves only with `computed`."""
        for name in [
            name
            for name, names in self.waiting.items()
            if not names and (computed or self.by_name[name].compute is None)
        ]:
            del self.waiting[name]
            self.on_figure(self.by_name[name])

    def _tell(self) -> None:
        if self.telling is None:
            return
        running = {str(index): share for index, share in self.shares.items()}
        failed = len(self.session.failures)
        self.telling(
            {
                "tasks": self.count,
                "done": max(0, self.done - failed),
                "failed": failed,
                "running": running,
                "left_s": self._left_s(),
            }
        )

    def _left_s(self) -> float | None:
        """Estimated time left, s; None before a run is done, for the first percents of a run overestimate it.

        A run is taken to last as long as the finished runs of its program. Where none is finished, it is taken to
        last as long as those of the slowest other program, for the most expensive runs come last.
        """
        programs = [self.session.runs[name].description for name in self.todo]
        walls: dict[str, list[float]] = {}
        for index, wall_s in self.walls.items():
            walls.setdefault(programs[index], []).append(wall_s)
        means = {program: sum(some) / len(some) for program, some in walls.items()}
        costs = [means.get(program, max(means.values(), default=1.0)) for program in programs]
        work = sum(share * costs[index] for index, share in {**self.shares, **dict.fromkeys(self.walls, 1.0)}.items())
        elapsed = time.monotonic() - self.started
        return elapsed * (sum(costs) - work) / work if self.done and work else None
