"""`kmc reproduce`: the figures of the chosen targets are run, measured, judged and drawn one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kmc.core import atomic_files
from kmc.core.errors import one_line
from kmc.io import provenance
from kmc_analysis.experiment.figures import figures_of
from kmc_analysis.experiment.figures.definition import Figure, Runs
from kmc_analysis.experiment.reproduce import earlier_rows, row_identity, scoreboard
from kmc_analysis.experiment.reproduce.figure_runs import Changes, Extent, Session, Telling
from kmc_analysis.experiment.targets import literature
from kmc_analysis.experiment.targets.targets import Target, all_rows
from kmc_analysis.experiment.targets.verdict import STALE
from kmc_analysis.metrics.observation import Measured, not_run

_MOST_FAILURES = 2  # named in a row's reason
_PATIENCE_S = 10.0  # to write the board after another command


@dataclass
class Reproduction:
    """The scoreboard of `targets` in the folder `out`, as far as it has come.

    Rows of other targets that are on the folder's scoreboard stay there. Raises UserError where that is of
    other devices or changes.
    """

    targets: list[Target]
    out: Path
    extent: Extent
    picture: bool = True
    done_only: bool = False
    changes: Changes = field(default_factory=Changes)
    rows: dict[str, scoreboard.Row] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)  # names of the figures that were measured
    should_stop: Callable[[], bool] = lambda: False
    cut_off: bool = False  # what a figure computes itself

    def __post_init__(self) -> None:
        self.figures = figures_of({one.key for one in self.targets})
        self.changed = {**self.changes.choices, **self.changes.settings}
        self.earlier = self._earlier()
        self.different, self.unknown = earlier_rows.compared(self.earlier, self.out, self.extent, self.changes)
        self.session = Session(self.figures, self.out, self.extent, self.changes)
        for one in self.targets:
            self.rows[one.key] = scoreboard.row(one, not_run("not reached yet: the same command goes on"))

    def go(self, workers: int, telling: Telling | None = None, should_stop: Callable[[], bool] | None = None) -> bool:
        """Run, measure and judge; returns whether all figures were reached. The files are written whenever a
        figure is done; of a session that was stopped all are measured with the devices that there are. Raises
        Busy and WriteFailed."""
        atomic_files.make_folder(self.out)
        self.should_stop = should_stop or self.should_stop
        finished = self.done_only or self.session.go(workers, self._take, telling, should_stop)
        finished = finished and not self.cut_off
        self.done_only = self.done_only or not finished
        for figure in self.figures:
            if figure.name not in self.taken:
                self._take(figure)
        self._write()
        return finished

    def result(self) -> dict[str, Any]:
        """The scoreboard of the targets as plain data."""
        return self._board(self.rows)

    def failed(self) -> str:
        """How many runs failed, in this session or before, and why the first did; "" for none."""
        failures = self.session.failed()
        told = f"{len(failures)} of {len(self.session.runs)} runs failed: {_first(failures)}"
        return one_line(f"{told}; the same command tries them again") if failures else ""

    def outdated(self) -> list[str]:
        """Keys with runs that another engine made than the one there is, also of rows that stay."""
        there = {**self.earlier, **self.rows}
        return [key for key in all_rows() if key in there and row_identity.others(there[key].engines)]

    def stale(self) -> list[str]:
        """Keys of the rows that stay and were judged by another definition than today's."""
        return [key for key, one in self.earlier.items() if one.verdict == STALE]

    def _take(self, figure: Figure) -> None:
        """Measure a figure whose runs are done, and draw it."""
        self.taken.add(figure.name)
        runs = self.session.of(figure)
        found = self._measured(figure, runs)
        failures, engines = self.session.failed(figure), row_identity.engines(runs)
        decides = row_identity.figure(figure, self.session)
        for one in self.targets:
            if one.key in figure.keys:
                self.rows[one.key] = scoreboard.row(one, _told(found[one.key], failures), engines, decides)
        if self.picture and figure.draw is not None and any(runs.values()):
            figure.draw(runs, self.out / f"{figure.name}.png")
        self._write()

    def _measured(self, figure: Figure, runs: Runs) -> dict[str, Measured]:
        if figure.compute is not None and self.changed:
            return dict.fromkeys(figure.keys, not_run("changes of cards and settings do not reach it"))
        if figure.compute is not None:
            return self._computed(figure)
        found = figure.measure(runs)
        missing = [program.name for program in figure.programs if not runs[program.name]]
        if not missing:
            return found
        if any(runs.values()):
            owed = f"without a run: {', '.join(missing)}"
            return {key: one.noted(owed) if one.value is None else one for key, one in found.items()}
        reason = (
            "left out of --quick"
            if self.session.left_out(figure)
            else "no run of it is done yet"
            if self.done_only
            else "all runs failed"
        )
        return {key: not_run(one.note).noted(reason) if one.value is None else one for key, one in found.items()}

    def _computed(self, figure: Figure) -> dict[str, Measured]:
        """What a figure computes itself, once for the same seeds and versions."""
        assert figure.compute is not None
        count = self.extent.count(figure.seeds, figure.quick_seeds)
        path = self.out / "computed" / f"{row_identity.computed(figure, self.extent.seed, count)}.json"
        there = _read(path)
        if set(figure.keys) <= set(there):
            return there
        if self.done_only or not count:
            return dict.fromkeys(figure.keys, not_run("left out of --quick" if not count else "not done yet"))
        found = figure.compute(self.extent.seed, count, self.should_stop)
        if found is None:
            self.cut_off = True
            return dict.fromkeys(figure.keys, not_run("stopped before its end"))
        atomic_files.make_folder(path.parent)
        atomic_files.write_whole(path, json.dumps({key: asdict(one) for key, one in found.items()}).encode())
        return found

    def _board(self, rows: Mapping[str, scoreboard.Row]) -> dict[str, Any]:
        first = self.extent.seed
        most = max(
            (len(self.extent.seeds(program)) for figure in figures_of(rows) for program in figure.programs), default=0
        )
        return scoreboard.board(
            rows.values(),
            provenance.versions(),
            range(first, first + most),
            **asdict(self.extent),
            changes=self.changed,
        )

    def _earlier(self) -> dict[str, scoreboard.Row]:
        asked = {one.key for one in self.targets}
        return earlier_rows.rows(self.out, asked, self.extent, self.changed)

    def _write(self) -> None:
        """Write the board, with rows that another command, as of --done, wrote meanwhile; one at a time."""
        with atomic_files.only_one(self.out, _PATIENCE_S, ".board"):
            self.earlier = self._earlier()
            there = {**self.earlier, **self.rows}
            scoreboard.write(self._board({key: there[key] for key in all_rows() if key in there}), self.out)
            atomic_files.write_whole(self.out / literature.NAME, literature.as_csv(there).encode())


def _read(path: Path) -> dict[str, Measured]:
    """What a figure computed, none where the file is not there or damaged: then it is computed again."""
    try:
        return {key: Measured(**one) for key, one in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _told(found: Measured, failures: list[str]) -> Measured:
    """What was measured, with the runs that failed: without them there is no hit."""
    if not failures:
        return found
    owed = found.owed or f"{len(failures)} of the runs failed, and may differ from the others"
    return replace(found.noted(f"failed: {_first(failures)}"), owed=owed)


def _first(failures: list[str]) -> str:
    more = f" and {len(failures) - _MOST_FAILURES} more" if len(failures) > _MOST_FAILURES else ""
    return f"{', '.join(failures[:_MOST_FAILURES])}{more}"
