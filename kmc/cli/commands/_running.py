"""What the commands that simulate share: signals, progress, the picture, and what is said at the end."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmc.core.interrupts import stopping
from kmc.core.progress import say, shown

if TYPE_CHECKING:
    from kmc.cli.commands._options import RunOutput
    from kmc.simulation.run_to_folder import Outcome


def go(run_file: Path, sets: list[str], out: Path, output: RunOutput, resume: bool) -> int:
    """Run `run_file` with `sets` in `out`; returns the exit code. Raises UserError."""
    from kmc.core.units import interval
    from kmc.inputs.run_file import load_run
    from kmc.io.final_state import CHECKPOINT
    from kmc.simulation.run_to_folder import RunOptions, carry_out

    every_s = interval(output.checkpoint_every, "--checkpoint-every")
    goes_on = resume and (out / CHECKPOINT).is_file()  # it needs no other run any more
    run = load_run(run_file, sets, must_exist=not goes_on)
    command = {"run": os.path.relpath(run_file.resolve(), out.resolve()), "sets": sets}
    with stopping() as asked, shown(run.name, not output.quiet) as progress:
        options = RunOptions(
            resume=resume,
            progress=progress,
            should_stop=asked,
            checkpoint_every_s=every_s,
            command=command,
            warn=lambda told: say(f"warning: {told}"),
        )
        outcome = carry_out(run, out, options)
    return _finished(outcome, output) if outcome.finished else _unfinished(outcome, output)


def _finished(outcome: Outcome, output: RunOutput) -> int:
    from kmc.io import dataset
    from kmc.plotting.trace_plots import draw

    assert outcome.dataset is not None
    ds = dataset.open(outcome.dataset)
    picture = draw(ds, outcome.dataset.with_suffix(".png")) if output.picture else None
    if output.as_json:
        events = int(ds["events"].values[-1]) if ds.sizes["time"] else 0
        _print_json(outcome, picture, rows=ds.sizes["time"], events=events)
    else:
        print(outcome.dataset)
    return 0


def _unfinished(outcome: Outcome, output: RunOutput) -> int:
    say(f"{outcome.reason}; what was done is kept. Go on with: kmc resume {outcome.out}")
    if output.as_json:
        _print_json(outcome, None)
    return 3


def _print_json(outcome: Outcome, picture: Path | None, **more: Any) -> None:
    told = {
        "dataset": None if outcome.dataset is None else str(outcome.dataset),
        "picture": None if picture is None else str(picture),
        "out": str(outcome.out),
        "finished": outcome.finished,
        "reason": outcome.reason,
        "resumed": outcome.resumed,
        "wall_s": outcome.wall_s,
        "segments": outcome.segments,
        "warnings": outcome.warnings,
        **more,
    }
    print(json.dumps(told, indent=2))
