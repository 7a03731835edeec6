"""Limits linear algebra libraries to one thread a process, before or after they are loaded.

The vectors here are small: two threads spend longer on synchronisation than on arithmetic. The number of threads
also decides the order of a sum, hence the last bit of a result.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache

from threadpoolctl import ThreadpoolController

VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def one() -> None:
    """One thread, unless the variables say otherwise; holds for libraries that are loaded later."""
    for name in VARIABLES:
        os.environ.setdefault(name, "1")


def one_each() -> contextlib.AbstractContextManager[None]:
    """One thread for each of the processes that are started within, whatever the variables said before."""
    return with_variables(dict.fromkeys(VARIABLES, "1"))


@contextlib.contextmanager
def with_variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the processes that are started within."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def alone() -> contextlib.AbstractContextManager[object]:
    """Within it linear algebra has one thread in this process, whatever loaded it; afterwards what it had."""
    return _controller().limit(limits=1, user_api="blas")


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Looks through the loaded libraries: milliseconds."""
    return ThreadpoolController()


def cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
