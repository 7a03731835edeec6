"""kmc reservoir: classify spike trains with the devices, and the experiment's table beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kmc.cli.commands._options import DrawnOutput, grouped, refuse_mixtures, sets

if TYPE_CHECKING:
    from kmc_analysis.reservoir.plan import Plan

PATIENCE_S = 60.0  # for another that writes results of the same plan into the folder
File = Annotated[Path, typer.Argument(metavar="RUN.yaml", help="A reservoir file.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="The first seed; else the file's.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="How many seeds; else the file's.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write here; in out beside the file if not given.")]
Changes = Annotated[list[str] | None, sets("data.samples=400")]
Sweep = Annotated[bool, typer.Option("--sweep", help="Vary the file's `sweep`, one entry at a time.")]
WriteStudy = Annotated[
    Path | None, typer.Option("--write-study", metavar="FILE", help="Write the study of source (a); no more.")
]
Study = Annotated[Path | None, typer.Option("--study", metavar="DIR", help="Compare (b) with this study of (a).")]


@dataclass(frozen=True)
class Instead:
    """What is done in place of a single run."""

    sweep: Sweep = False
    write_study: WriteStudy = None
    study: Study = None


@grouped
def reservoir(
    file: File,
    seed: Seed = None,
    seeds: Seeds = None,
    out: Out = None,
    set: Changes = None,
    *,
    instead: Instead,
    output: DrawnOutput,
) -> int:
    """Feed spike trains to volatile devices and train two readouts: double precision, and drift devices.

    Prints the experiment's table 1 beside ours; writes tables and figures. States come from compact models
    (b); a study of kinetic Monte Carlo (a) can be compared.

    Examples:

        kmc reservoir runs/firing_patterns/reservoir.yaml

        kmc reservoir runs/firing_patterns/reservoir.yaml --sweep --seeds 3

        kmc reservoir runs/firing_patterns/kinetic.yaml --write-study states.yaml
    """
    from kmc.core.output_paths import folder
    from kmc_analysis.reservoir import plan as settings

    refuse_mixtures(
        {
            "--sweep": instead.sweep or None,
            "--write-study": instead.write_study,
            "--study": instead.study,
            "--out": instead.write_study and out,
            "--seeds": None if instead.sweep else seeds,
        }
    )
    plan, target = settings.load(file, set or [], seed), file.parent / "out" if out is None else out
    if instead.write_study is not None:
        return _print(_study_written(plan, instead.write_study), output.as_json, _show_written)
    with folder(target, "reservoir"):
        if instead.sweep:
            return _sweep(plan, seeds, target, output)
        if instead.study is not None:
            return _compare(plan, instead.study, target, output)
        return _run(plan, seeds, target, output)


def _print(found: dict[str, Any], as_json: bool, show: Any) -> int:
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    return 0


def _check(plan: Plan) -> None:
    """Read what the plan names, and say at once what of it is left out: before the work, not after."""
    from kmc.core.progress import say
    from kmc_analysis.reservoir import pipeline

    if warning := pipeline.check(plan):
        say(warning)


def _run(plan: Plan, seeds: int | None, out: Path, output: DrawnOutput) -> int:
    from kmc.core.atomic_files import only_one
    from kmc.core.progress import spinner
    from kmc_analysis.reservoir import pipeline, plan_identity
    from kmc_analysis.reservoir.results import result_files

    _check(plan)
    count = plan.seeds if seeds is None else seeds
    plan_identity.check_place(plan, range(plan.seed, plan.seed + count), out)
    with spinner("driving the devices", output.quiet) as tell:
        results = pipeline.run(plan, count, tell)
        with only_one(out, PATIENCE_S):
            plan_identity.check_place(plan, range(plan.seed, plan.seed + count), out)  # another may have written
            summary = result_files.write(plan, results, out, output.picture, tell)
    return _print(summary, output.as_json, result_files.show)


def _sweep(plan: Plan, seeds: int | None, out: Path, output: DrawnOutput) -> int:
    from kmc.core.atomic_files import only_one
    from kmc.core.progress import spinner
    from kmc_analysis.reservoir.results import design_sweep as sweeping
    from kmc_analysis.reservoir.results import result_files

    with spinner("sweeping", output.quiet) as tell:
        rows = sweeping.run(plan, plan.seeds if seeds is None else seeds, out, tell)
        with only_one(out, PATIENCE_S):
            found = result_files.write_sweep(plan, rows, out, output.picture)
    return _print(found, output.as_json, result_files.show_sweep)


def _study_written(plan: Plan, path: Path) -> dict[str, Any]:
    from kmc.core.output_paths import check_file
    from kmc_analysis.reservoir import kinetic_states, pipeline
    from kmc_analysis.reservoir.pulse_input import wire

    check_file(path, kinetic_states.STUDY, "--write-study")
    _check(plan)
    data = pipeline.trains_of(plan, plan.seed)
    wiring = wire(plan.feeding, plan.encoding, data.duration_s, plan.seed)
    return kinetic_states.write_study(plan, data, wiring, path, plan.seed)


def _show_written(found: dict[str, Any]) -> None:
    print(
        f"{found['patterns']} patterns on {found['devices']} devices, {found['tasks']} tasks: "
        f"kmc study {found['study']}"
    )
    print(found["study"])


def _compare(plan: Plan, folder: Path, out: Path, output: DrawnOutput) -> int:
    from kmc.core.atomic_files import only_one
    from kmc.core.progress import spinner
    from kmc_analysis.reservoir import kinetic_states, matching_study, pipeline, plan_identity
    from kmc_analysis.reservoir.results import result_files

    study = matching_study.states(plan, folder)
    _check(plan)
    plan_identity.check_place(plan, [plan.seed], out, plan_identity.COMPARISON, kinetic_states.entries(plan))
    with spinner("driving the devices", output.quiet):
        result = pipeline.run(plan, 1)[0]
    with only_one(out, PATIENCE_S):
        plan_identity.check_place(plan, [plan.seed], out, plan_identity.COMPARISON, kinetic_states.entries(plan))
        found = result_files.write_comparison(plan, study, result, out, output.picture)
    return _print(found, output.as_json, result_files.show_comparison)
