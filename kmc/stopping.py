"""A wish to stop is heard between the kernel's calls: what was simulated until then is kept."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from kmc.progress import say

if TYPE_CHECKING:
    import xarray as xr

OF_A_COMMAND = ("SIGINT", "SIGTERM", "SIGHUP")
CTRL_C = ("SIGINT",)  # the others are their program's where this one is a library


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while `kmc.simulate` was at work; `trace` is the dataset of what was simulated until then."""

    def __init__(self, trace: xr.Dataset) -> None:
        super().__init__("interrupted; what was simulated is this exception's `trace`")
        self.trace = trace


@contextlib.contextmanager
def stopping(signals: Sequence[str] = OF_A_COMMAND) -> Iterator[Callable[[], bool]]:
    """Whether ctrl-C or a kill asked to stop. The first is a wish, obeyed after the kernel's call; a second
    ctrl-C breaks off at once, and the checkpoint before is what is left. Other threads than the main one hear
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
    if signal.SIGHUP in numbers and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)  # `nohup` has the end of a terminal ignored
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
