"""kmc run: run a run file and write its dataset and picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kmc.cli.commands._options import RunOutput, Sets, grouped


@grouped
def run(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="The run file, or its folder.")],
    seed: Annotated[int | None, typer.Option("--seed", help="Take this seed.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write here; beside the run file, in out, if not given.")
    ] = None,
    sets: Sets = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run stopped.")] = False,
    *,
    output: RunOutput,
) -> int:
    """Run a run file; print the path of its dataset last, and draw the I-V or the trace beside it.

    ctrl-C stops within a second or so and keeps what was done; --resume goes on from there and ends with
    the same dataset as a run that was never stopped.

    Examples:

        kmc run runs/quick/run.yaml

        kmc run runs/quick/run.yaml --seed 7 --out results/seed7

        kmc run runs/quick/run.yaml --set choices.ligand=ddab --out ddab

        kmc run runs/quick/run.yaml --resume
    """
    from kmc.cli.commands._running import go

    path = run_file / "run.yaml" if run_file.is_dir() else run_file
    changes = list(sets or []) + ([] if seed is None else [f"seed={seed}"])
    folder = path.parent / "out" if out is None else out
    return go(path, changes, folder, output, resume)
