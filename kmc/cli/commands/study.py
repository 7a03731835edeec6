"""kmc study: run over choices, protocols and seeds, in several processes or on a cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kmc.cli.commands._options import Output, Sets, Workers, grouped, refuse_mixtures
from kmc.core import blas_threads

if TYPE_CHECKING:
    from kmc.study.definition import Study
    from kmc.study.engine import Outcome

_LISTED = 20  # failures named at the end; all are in tasks.csv


What = Annotated[str, typer.Argument(metavar="STUDY.yaml", help="The study file or its folder; or the word status.")]
Folder = Annotated[Path | None, typer.Argument(metavar="[DIR]", help="After status: the study's output folder.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write here; beside the study file, in out, if not given.")]
Task = Annotated[int | None, typer.Option("--task", metavar="I", help="Do this one task, in this process.")]
Slurm = Annotated[
    Path | None, typer.Option("--slurm", metavar="FILE", help="Write a SLURM array script here, and run nothing.")
]
Scheduler = Annotated[str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Run on this dask scheduler.")]


@dataclass(frozen=True)
class Place:
    """Where the tasks are done: here by several processes, one alone, on SLURM's cluster or on dask's."""

    workers: Workers = None
    task: Task = None
    slurm: Slurm = None
    scheduler: Scheduler = None


@grouped
def study(
    what: What, folder: Folder = None, out: Out = None, *, place: Place, sets: Sets = None, output: Output
) -> int:
    """Run a study: variants, protocols and replicates crossed into tasks; print its folder last.

    Given again, it does only what is missing, failed or changed. A task that fails is a row of tasks.csv with
    its reason, and the exit code is 3. ctrl-C keeps what is done.

    Examples:

        kmc study runs/ligand_thickness/study.yaml --workers 2

        kmc study runs/ligand_thickness/study.yaml --set replicates=2 --out short

        kmc study status runs/ligand_thickness/out

        kmc study runs/ligand_thickness/study.yaml --slurm job.sh
    """
    if what == "status" and (folder is not None or not Path(what).exists()):
        _refuse_beside_status(out=out, **vars(place), set=sets)
        return _status(folder, output.as_json)
    path = Path(what, "study.yaml") if Path(what).is_dir() else Path(what)
    loaded = _load(path, sets, folder, place)
    target = path.parent / "out" if out is None else out
    if place.slurm is not None:
        return _script(loaded, target, place.slurm, output.as_json)
    if place.task is not None:
        return _one(loaded, target, place.task, output.as_json)
    return _whole(loaded, target, place, output)


def _load(path: Path, sets: list[str] | None, folder: Path | None, place: Place) -> Study:
    """The study, once what was given beside it makes sense together and for it."""
    from kmc.core.errors import UserError
    from kmc.study import load_study

    if folder is not None:
        raise UserError(f"{folder} is one argument too many", next_step="kmc study STUDY.yaml, or kmc study status DIR")
    refuse_mixtures(
        {"--task": place.task, "--slurm": place.slurm, "--scheduler": place.scheduler, "--workers": place.workers}
    )
    loaded = load_study(path, sets or [])
    _refuse_growth(loaded, task=place.task, slurm=place.slurm)
    return loaded


def _refuse_beside_status(**given: Any) -> None:
    """What is for a study that is run would go unheard."""
    from kmc.core.errors import UserError

    for name, value in given.items():
        if value not in (None, []):
            raise UserError(f"--{name} does not go with status", next_step="kmc study status DIR")


def _refuse_growth(loaded: Study, **given: Any) -> None:
    """The number of a task depends on that of the replicates, which only the whole study knows."""
    from kmc.core.errors import UserError

    chosen = [name for name, value in given.items() if value is not None]
    if chosen and loaded.growth:
        raise UserError(
            f"--{chosen[0]} does not go with replicates that go on until a metric is known",
            next_step="add e.g. --set replicates=8",
        )


def _whole(loaded: Study, out: Path, place: Place, output: Output) -> int:
    from kmc.core.interrupts import stopping
    from kmc.core.progress import say
    from kmc.study import dask_cluster
    from kmc.study.engine import execute
    from kmc.study.replicate_rounds import grown
    from kmc.study.study_progress import shown

    do = grown if loaded.growth else execute
    runner = None if place.scheduler is None else dask_cluster.runner(place.scheduler)
    with stopping() as asked, shown(loaded.name, output.quiet) as telling:
        outcome = do(
            loaded,
            out,
            workers=place.workers or blas_threads.cores(),
            telling=telling,
            should_stop=asked,
            runner=runner,
        )
    loaded = loaded.with_replicates(outcome.tasks * len(loaded.seeds) // loaded.count)
    _warn(outcome.warnings)
    _list_failures(loaded, outcome)
    if outcome.left:
        say(
            f"interrupted; {outcome.already + outcome.done} of {outcome.tasks} tasks are kept. "
            f"Go on with the same command"
        )
    if output.as_json:
        print(json.dumps(_told(loaded, outcome), indent=2))
    elif outcome.finished:
        print(out)
    return 0 if outcome.finished else 3


def _list_failures(loaded: Study, outcome: Outcome) -> None:
    from kmc.core.progress import say

    for failure in outcome.failed[:_LISTED]:
        say(f"task {failure.task} ({_place(loaded, failure.task)}) failed: {failure.reason}")
    if outcome.failed:
        say(
            f"{len(outcome.failed)} of {outcome.tasks} tasks failed; all are in {outcome.out / 'tasks.csv'}. "
            "The same command tries them again"
        )


def _warn(warnings: list[str]) -> None:
    from kmc.core.progress import say

    for warning in warnings:
        say(f"warning: {warning}")


def _place(loaded: Study, index: int) -> str:
    """The choices and the seed of a task in a few words."""
    run = loaded.task(index)
    words = [f"{name} {value}" for name, value in run.choices.items()]
    return ", ".join([*words, f"seed {run.seed}"])


def _told(loaded: Study, outcome: Outcome) -> dict[str, Any]:
    failed = [{"task": one.task, "seed": loaded.task(one.task).seed, "reason": one.reason} for one in outcome.failed]
    return {
        "out": str(outcome.out),
        "finished": outcome.finished,
        "tasks": outcome.tasks,
        "already_done": outcome.already,
        "done": outcome.done,
        "failed": failed,
        "left": outcome.left,
        "wall_s": outcome.wall_s,
        "warnings": outcome.warnings,
    }


def _one(loaded: Study, out: Path, index: int, as_json: bool) -> int:
    from kmc.core.interrupts import stopping
    from kmc.core.progress import say
    from kmc.study.engine import execute_one
    from kmc.study.manifest import result_path
    from kmc.study.task import STOPPED

    with stopping() as asked:
        result, warnings = execute_one(loaded, out, index, asked)
    _warn(warnings)
    path = result_path(out, loaded.hashes[index])
    if as_json:
        print(json.dumps({"task": index, "dataset": str(path), **result._asdict()}, indent=2))
    elif result.state == "done":
        print(path)
    if result.state == STOPPED:
        say("interrupted; what was done of the task is kept")
    elif result.reason:
        say(f"task {index} ({_place(loaded, index)}) failed: {result.reason}")
    return 0 if result.state == "done" else 3


def _script(loaded: Study, out: Path, path: Path, as_json: bool) -> int:
    from kmc.core.output_paths import check_file
    from kmc.study.engine import prepare
    from kmc.study.slurm import SCRIPT, write_script

    check_file(path, SCRIPT, "--slurm")
    _warn(prepare(loaded, out))
    write_script(loaded, out, path)
    told = {"script": str(path), "out": str(out), "tasks": loaded.count}
    print(json.dumps(told, indent=2) if as_json else path)
    return 0


def _status(out: Path | None, as_json: bool) -> int:
    from kmc.core.errors import UserError
    from kmc.core.progress import duration
    from kmc.io.dataset import out_of
    from kmc.study.engine import status

    if out is None:
        raise UserError("status needs a study's folder", next_step="e.g. kmc study status runs/mine/out")
    told = status(out_of(out))
    if as_json:
        print(json.dumps(told, indent=2))
        return 0
    print(
        f"{told['name']}: {told['done']} of {told['tasks']} tasks done, {told['failed']} failed, "
        f"{told['missing']} missing"
    )
    if told["other_versions"]:
        print("  some were done by other versions of the program")
    if told["running"] is not None:
        for index, share in told["running"].items():
            print(f"  task {index} at {100 * share:.0f} %")
        if told["left_s"] is not None:
            print(f"  about {duration(told['left_s'])} left")
    if told["elsewhere"]:
        print(f"  under way, each by itself: {', '.join(map(str, told['elsewhere'][:_LISTED]))}")
    for failure in told["failures"][:_LISTED]:
        place = ", ".join(f"{key} {value}" for key, value in failure.items() if key not in ("task", "reason"))
        print(f"  task {failure['task']} ({place}) failed: {failure['reason']}")
    return 0
