"""What the commands that simulate share: signals, progress, the picture, and what is said at the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from kmc.progress import say, shown

if TYPE_CHECKING:
    from kmc.runner import Outcome

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass(frozen=True)
class Options:
    """How a run is told and kept; nothing here changes its result."""

    out: Path
    resume: bool = False
    as_json: bool = False
    quiet: bool = False
    checkpoint_every: str = "2 s"
    picture: bool = True


def go(run_file: Path, sets: list[str], options: Options) -> int:
    """Run `run_file` with `sets` in options.out; returns the exit code. Raises UserError."""
    from kmc.final import CHECKPOINT
    from kmc.observers import interval
    from kmc.runfile import load_run
    from kmc.runner import execute

    every_s = interval(options.checkpoint_every, "--checkpoint-every")
    goes_on = options.resume and (options.out / CHECKPOINT).is_file()  # it needs no other run any more
    run = load_run(run_file, sets, must_exist=not goes_on)
    command = {"run": os.path.relpath(run_file.resolve(), options.out.resolve()), "sets": sets}
    with stopping() as asked, shown(run.name, not options.quiet) as progress:
        outcome = execute(run, options.out, resume=options.resume, progress=progress, should_stop=asked,
                          checkpoint_every_s=every_s, command=command,
                          warn=lambda told: say(f"warning: {told}"))  # fmt: skip
    if not outcome.finished:
        return _unfinished(outcome, options)
    return _finished(outcome, options)


def _finished(outcome: Outcome, options: Options) -> int:
    from kmc import dataset
    from kmc.pictures.traces import draw

    assert outcome.dataset is not None
    ds = dataset.open(outcome.dataset)
    picture = draw(ds, outcome.dataset.with_suffix(".png")) if options.picture else None
    if options.as_json:
        events = int(ds["events"].values[-1]) if ds.sizes["time"] else 0
        _print_json(outcome, picture, rows=ds.sizes["time"], events=events)
    else:
        print(outcome.dataset)
    return 0


def _unfinished(outcome: Outcome, options: Options) -> int:
    say(f"{outcome.reason}; what was done is kept. Go on with: kmc resume {outcome.out}")
    if options.as_json:
        _print_json(outcome, None)
    return 3


def _print_json(outcome: Outcome, picture: Path | None, **more: Any) -> None:
    told = {
        "dataset": None if outcome.dataset is None else str(outcome.dataset),
        "picture": None if picture is None else str(picture),
        "out": str(outcome.out), "finished": outcome.finished, "reason": outcome.reason,
        "resumed": outcome.resumed, "wall_s": outcome.wall_s, "segments": outcome.segments,
        "warnings": outcome.warnings, **more,
    }  # fmt: skip
    print(json.dumps(told, indent=2))


@contextlib.contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Whether ctrl-C or a kill asked to stop. The first is a wish, obeyed after the kernel's call; a second
    ctrl-C breaks off at once, and the checkpoint before is what is left."""
    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        first = not asked.is_set()
        asked.set()
        if first:
            with contextlib.suppress(OSError, RuntimeError):  # nobody listens, or a line is being written
                say("stopping after this step ...")

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)  # `nohup` has the end of a terminal ignored
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
