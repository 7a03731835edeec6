"""kmc reproduce: every figure of the experiment on the virtual devices, and the scoreboard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kmc.cli.commands._options import DrawnOutput, Sets, Workers, grouped
from kmc.core import blas_threads

if TYPE_CHECKING:
    from kmc_analysis.experiment.reproduce.run_figures import Reproduction

Keys = Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="Targets to run; all of them if not given.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first device; the rest follow.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="Devices of each program, if not its own number.")]
Quick = Annotated[bool, typer.Option("--quick", help="Few devices, and only figures that take minutes.")]
Out = Annotated[Path, typer.Option("--out", help="Keep runs, scoreboard and pictures here.")]
Minutes = Annotated[
    float | None, typer.Option("--minutes", min=0, help="Stop after so long; the same command goes on.")
]
Done = Annotated[bool, typer.Option("--done", help="Judge what is done; run nothing.")]


@dataclass(frozen=True)
class Devices:
    """The devices that each figure runs."""

    seed: Seed = 1
    seeds: Seeds = None
    quick: Quick = False


@grouped
def reproduce(
    keys: Keys = None,
    *,
    devices: Devices,
    out: Out = Path("runs/reproduce/out"),
    workers: Workers = None,
    minutes: Minutes = None,
    done: Done = False,
    sets: Sets = None,
    output: DrawnOutput,
) -> int:
    """Run the experiment's figures and compare the result with what it observed.

    Prints a row per target: value, 95 % interval, tolerance, verdict. Writes scoreboard.json and .csv,
    where other rows stay, and pictures. The same command continues. Predictions (B1_set_time) are by name.

    Examples:

        kmc reproduce --quick

        kmc reproduce S18c_activation_energy S11_roughness --json

        kmc reproduce --seed 101 --out second

        kmc reproduce --minutes 150

        kmc reproduce S14_gold_electrode --set settings.ion_pairs=false --out bare
    """
    from kmc.core import output_paths
    from kmc_analysis.experiment.reproduce.figure_runs import Changes, Extent
    from kmc_analysis.experiment.reproduce.run_figures import Reproduction
    from kmc_analysis.experiment.targets.targets import chosen

    wanted, changes = chosen(keys or []), Changes.of(sets or [])
    output_paths.claim(out, "reproduce")
    extent = Extent(devices.seed, devices.seeds, devices.quick)
    made = Reproduction(wanted, out, extent, output.picture, done, changes)
    return _go(made, workers or blas_threads.cores(), minutes, output)


def _go(made: Reproduction, workers: int, minutes: float | None, output: DrawnOutput) -> int:
    from kmc.core.interrupts import stopping
    from kmc.core.progress import say
    from kmc.study.study_progress import shown

    with stopping() as asked, shown("reproduce", output.quiet) as telling:
        finished = made.go(workers, telling, _until(minutes, asked))
    failed = made.failed()
    if failed:
        say(failed)
    if not finished:
        say("stopped before its end; the same command goes on")
    _print(made, output.as_json)
    return 0 if finished and not failed else 3


def _until(minutes: float | None, asked: Callable[[], bool]) -> Callable[[], bool]:
    """Whether the user has asked to stop, or the time is over."""
    if minutes is None:
        return asked
    end = time.monotonic() + 60 * minutes
    return lambda: asked() or time.monotonic() >= end


def _print(made: Reproduction, as_json: bool) -> None:
    from kmc.cli.commands._tables import show_rows
    from kmc.core.progress import say
    from kmc_analysis.experiment.reproduce import scoreboard

    rows = list(made.rows.values())
    if as_json:
        print(json.dumps(made.result(), indent=1))
        _warn(made)
        return
    show_rows(scoreboard.HEADS, [scoreboard.cells(one) for one in rows], "Scoreboard")
    say(scoreboard.summary(rows))
    _warn(made)
    print(made.out / scoreboard.CSV_NAME)


def _warn(made: Reproduction) -> None:
    """Say which rows do not compare with what would be made today."""
    from kmc.core.progress import say

    if made.outdated():
        say(f"runs of another engine are among those of {', '.join(made.outdated())}; another --out makes them again")
    if made.stale():
        say(
            f"stale are {', '.join(made.stale())}: rows that stay from before, judged by another definition "
            "of their target; their keys make them again"
        )
    if made.different:
        say(
            f"other cards, programs or sources than today's decided {', '.join(made.different)}: rows that "
            "stay from before; their keys make them again"
        )
    if made.unknown:
        say(
            f"unknown is what decided {', '.join(made.unknown)}: rows that stay from before; their keys make them again"
        )
