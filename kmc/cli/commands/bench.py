"""kmc bench: run a registered benchmark and print its table."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from kmc.cli.commands._options import Json, Quiet
from kmc.core.output_paths import PICTURE, check_file


def bench(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The benchmark; a list if none.")] = None,
    as_json: Json = False,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the rows, if it can.")] = None,
    quiet: Quiet = False,
) -> int:
    """Run a benchmark and print its table, with the machine that the numbers hold for.

    Examples:

        kmc bench

        kmc bench kernel --json > kernel.json

        kmc bench accuracy --figure accuracy.png
    """
    from kmc.benchmarks import registry as benches
    from kmc.core.progress import say, spinner

    if name is None:
        return _list(benches.names(), figure, as_json)
    benches.load(name)  # a wrong name is said before any progress
    draw = benches.drawer(name) if figure is not None else None
    if figure is not None:
        check_file(figure, PICTURE, "--figure")
    with _noted() as interrupted, spinner(f"bench {name}", quiet) as progress:
        result = benches.run(name, progress)
    if draw is not None and figure is not None:
        draw(result["rows"], figure)
    if as_json:
        typer.echo(json.dumps(result["rows"], indent=2))
    else:
        _print_table(result)
    if interrupted.is_set():
        say("interrupted; the rows are of what was measured before")
    return 3 if interrupted.is_set() else 0


def _list(names: list[str], figure: Path | None, as_json: bool) -> int:
    from kmc.core.errors import UserError

    if figure is not None:
        step = f"kmc bench accuracy --figure {figure}"
        raise UserError("--figure needs a benchmark's name", next_step=step)
    typer.echo(json.dumps({"benches": names}) if as_json else "\n".join(names))
    return 0


@contextlib.contextmanager
def _noted() -> Iterator[threading.Event]:
    """Whether ctrl-C came, which interrupts as ever: a benchmark may end there with the rows that it has."""
    came, before = threading.Event(), signal.getsignal(signal.SIGINT)
    if not callable(before):  # it is ignored
        yield came
        return

    def note(*_: object) -> None:
        came.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def _print_table(result: dict[str, Any]) -> None:
    """The rows with all of their columns; those of numbers are to the right."""
    from kmc.cli.commands._tables import show_rows

    machine, rows = result["machine"], result["rows"]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    show_rows(
        columns,
        [[_cell(row.get(column)) for column in columns] for row in rows],
        f"{result['bench']}: {machine['processor']}, {machine['cores']} cores",
        right=[column for column in columns if all(_is_number(row.get(column)) for row in rows)],
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
