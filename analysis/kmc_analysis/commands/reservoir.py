"""kmc reservoir: classify spike trains with the devices, and the experiment's table beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kmc.commands._options import Json, Quiet, Sets

File = Annotated[Path, typer.Argument(metavar="RUN.yaml", help="A reservoir file.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="The first seed; else the file's.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="How many seeds; else the file's.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write here; in out beside the file if not given.")]


def reservoir(
    file: File,
    seed: Seed = None,
    seeds: Seeds = None,
    out: Out = None,
    set: Sets = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Feed spike trains to volatile devices and train two readouts: double precision, and drift devices.

    Prints the experiment's table 1 beside the simulated one, epoch by epoch, mean and standard deviation over
    the seeds; writes tables and figures.

    Examples:

        kmc reservoir runs/firing_patterns/reservoir.yaml

        kmc reservoir runs/firing_patterns/reservoir.yaml --seeds 2 --set feeding.nodes=10 --out ten
    """
    from kmc.progress import spinner
    from kmc_analysis.reservoir import outputs, pipeline, settings

    plan = settings.load(file, set or [])
    if seed is not None:
        plan = plan.model_copy(update={"seed": seed})
    target = file.parent / "out" if out is None else out
    with spinner("driving the devices", quiet) as tell:
        results = pipeline.run(plan, seeds, tell)
    summary = outputs.write(plan, results, target)
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        outputs.show(summary)
    return 0
