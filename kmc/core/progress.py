"""Progress on standard error: a bar in a terminal, plain lines elsewhere, nothing when not wanted."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, TypeVar

from kmc.core import jit_cache
from kmc.core.units import format_si

Progress = Callable[[dict[str, Any]], None]
Told = TypeVar("Told")
CACHE_STEP = "set KMC_CACHE to a folder that may be written"
_LINE_EVERY_S = 10.0
_SIZES = ((1e9, " G"), (1e6, " M"), (1e3, " k"))


def say(text: str) -> None:
    """Print a line on standard error, as it is: never wrapped, so that a path stays whole."""
    print(text, file=sys.stderr, flush=True)


def cache_problem() -> str:
    """Why compiled kernels are not kept, "" where they are."""
    return "" if jit_cache._prepare() else f"compiled kernels cannot be kept in {jit_cache.cache_dir()}"


@lru_cache(maxsize=1)
def warn_of_cache() -> None:
    """Say once in a program, and not in each of its workers, that its kernels are compiled at every start, or
    at this first one."""
    if multiprocessing.parent_process() is not None:
        return
    if problem := cache_problem():
        say(f"warning: {problem}: every start compiles them again; {CACHE_STEP}")
    elif not jit_cache.compiled():
        say("the first start of this version: its kernels are compiled, which takes a few minutes")


@contextlib.contextmanager
def shown(title: str, wanted: bool | Progress | None = True) -> Iterator[Progress | None]:
    """A function to hand to a run as `progress`; one given in place of yes or no is taken as it is."""
    if callable(wanted):
        yield wanted
    else:
        with somewhere(bool(wanted), lambda: _bar(title), lambda: _lines(title)) as tell:
            yield tell


@contextlib.contextmanager
def somewhere(
    wanted: bool, bar: Callable[[], AbstractContextManager[Told]], lines: Callable[[], Told]
) -> Iterator[Told | None]:
    """The function that displays progress: a `bar` in a terminal, `lines` elsewhere, None if not wanted."""
    if not wanted:
        yield None
    elif sys.stderr.isatty():
        with bar() as tell:
            yield tell
    else:
        yield lines()


@contextlib.contextmanager
def spinner(text: str, quiet: bool, lines: bool = True) -> Iterator[Callable[[str], None]]:
    """A spinner with `text` in a terminal, one line elsewhere; the function changes the text, which elsewhere
    is a further line: each one, or if `lines` is false one in ten seconds."""

    def said() -> Callable[[str], None]:
        say(text)
        return say if lines else now_and_then()

    with somewhere(not quiet, lambda: _turning(text), said) as tell:
        yield tell or (lambda line: None)


@contextlib.contextmanager
def _turning(text: str) -> Iterator[Callable[[str], None]]:
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status.update


def now_and_then() -> Callable[[str], None]:
    """A function that says a line, if the last was said ten seconds ago or more."""
    last = time.monotonic()

    def tell(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_S:
            last = time.monotonic()
            say(line)

    return tell


def state_line(info: dict[str, Any]) -> str:
    """Time, speed, voltage, current, conductance and temperature in a few characters each."""
    parts = [
        f"{format_si(info['time_s'], 's', 3)} of {format_si(info['total_s'], 's', 3)}",
        f"{_rate(info['events_per_s'])} events/s",
        f"V {format_si(info['voltage_V'], 'V', 3)}",
        f"I {format_si(info['current_A'], 'A', 3)}",
        f"G {format_si(info['conductance_S'], 'S', 3)}",
        f"T {info['temperature_K']:.0f} K",
    ]
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds below two minutes, then minutes, then hours and minutes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _rate(value: float) -> str:
    return next((f"{value / size:.3g}{letter}" for size, letter in _SIZES if value >= size), f"{value:.3g}")


def _lines(title: str) -> Progress:
    started, last = time.monotonic(), -math.inf
    first_s: float | None = None

    def progress(info: dict[str, Any]) -> None:
        nonlocal last, first_s
        now = time.monotonic()
        first_s = info["time_s"] if first_s is None else first_s
        if now - last < _LINE_EVERY_S:
            return
        last = now
        done = info["time_s"] - first_s
        left = (info["total_s"] - info["time_s"]) * (now - started) / done if done > 0 else None
        ending = f"  {duration(left)} left at this pace" if left is not None else ""
        share = 100.0 * info["time_s"] / info["total_s"] if info["total_s"] else 100.0
        say(f"{title}: {share:.0f} %  {state_line(info)}{ending}")

    return progress


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left at this pace"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, state="starting")

        def progress(info: dict[str, Any]) -> None:
            bar.update(task, total=info["total_s"], completed=info["time_s"], state=state_line(info))

        yield progress
