"""`python -m kmc` and the program `kmc`."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

INTERRUPTED = 3
AGAIN_S = 0.02  # until a ctrl-C that met a callback is tried again


def keep_interrupts() -> None:
    """No ctrl-C is lost. During an import it ends the program at once, unless a file is half written, for a
    library may ignore any exception. One that meets a callback, which Python ignores, comes once more."""

    def stop(number: int, frame: FrameType | None) -> None:
        if _imports(frame) and not getattr(sys.modules.get("kmc.core.atomic_files"), "unfinished", ()):
            os.write(2, b"interrupted\n")
            os._exit(INTERRUPTED)
        signal.default_int_handler(number, frame)

    def again(what: Any) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(what)
            return
        timer = threading.Timer(AGAIN_S, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in the background it is ignored
        signal.signal(signal.SIGINT, stop)
    sys.unraisablehook = again


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported in `frame` or in one that called it."""
    importing = vars(sys.modules["_frozen_importlib"])
    while frame is not None and frame.f_globals is not importing:
        frame = frame.f_back
    return frame is not None


def run() -> None:
    """Run the command line and leave with its exit code."""
    keep_interrupts()
    try:
        from kmc.core import blas_threads

        blas_threads.one()  # before numpy is loaded
        from kmc.cli.app import main

        code = main()
    except (KeyboardInterrupt, RuntimeError) as error:  # while the command line itself was loaded
        # Python 3.11 wraps what stops a class's __set_name__ in a RuntimeError.
        if not isinstance(error, KeyboardInterrupt) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    if code == INTERRUPTED:
        # Whatever the code, Python ends itself by the signal if ctrl-C met text that a library evaluates
        # while it is imported (named tuples): so the way through its own end is not taken.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
