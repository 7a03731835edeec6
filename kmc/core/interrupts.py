"""A wish to stop is heard between the kernel's calls: what was simulated until then is kept."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from kmc.core.progress import say

if TYPE_CHECKING:
    import xarray as xr

OF_A_COMMAND = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while `kmc.simulate` was at work; `trace` is the dataset of what was simulated until then.

    Before its first step, and at a second ctrl-C, it is a plain KeyboardInterrupt.
    """

    def __init__(self, trace: xr.Dataset) -> None:
        super().__init__("interrupted; what was simulated is this exception's `trace`")
        self.trace = trace


def ctrl_c() -> tuple[str, ...]:
    """What a library may hear: ctrl-C, where it is Python's own. Who ignores or handles it keeps that."""
    return ("SIGINT",) if signal.getsignal(signal.SIGINT) is signal.default_int_handler else ()


@contextlib.contextmanager
def stopping(signals: Sequence[str] = OF_A_COMMAND) -> Iterator[Callable[[], bool]]:
    """Whether ctrl-C or a kill asked to stop. The first is a wish, obeyed after the kernel's call; a second
    ctrl-C breaks off at once, and a checkpoint before is what is left. Other threads than the main one hear
    nothing."""
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
    numbers = [getattr(signal, name) for name in signals if hasattr(signal, name)]
    for number in [one for one in numbers if one.name == "SIGHUP"]:
        if signal.getsignal(number) == signal.SIG_IGN:  # `nohup` has the end of a terminal ignored
            numbers.remove(number)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
