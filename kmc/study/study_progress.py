"""Progress of a whole study on standard error: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from kmc.core.progress import duration, now_and_then, somewhere

_SHOWN = 3  # tasks under way that are named


def shown(title: str, quiet: bool) -> AbstractContextManager[Callable[[dict[str, Any]], None] | None]:
    """The function that displays the progress reports of `engine.execute`; None if quiet."""
    return somewhere(not quiet, lambda: _bar(title), lambda: _lines(title))


def line(info: dict[str, Any]) -> str:
    """Counts, tasks under way with the share done, and the time left."""
    parts = [f"{info['done']} of {info['tasks']} tasks done"]
    if info["failed"]:
        parts.append(f"{info['failed']} failed")
    running = list(info["running"].items())
    if running:
        named = ", ".join(f"{index} at {100 * share:.0f} %" for index, share in running[:_SHOWN])
        parts.append(f"running {named}" + (" ..." if len(running) > _SHOWN else ""))
    if info["left_s"] is not None:
        parts.append(f"about {duration(info['left_s'])} left")
    return "; ".join(parts)


def _lines(title: str) -> Callable[[dict[str, Any]], None]:
    tell = now_and_then()
    return lambda info: tell(f"{title}: {line(info)}")


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, state="starting")

        def tell(info: dict[str, Any]) -> None:
            completed = info["done"] + info["failed"] + sum(info["running"].values())
            bar.update(task, total=info["tasks"], completed=completed, state=line(info))

        yield tell
