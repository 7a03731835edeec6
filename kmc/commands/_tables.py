"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def show_rows(heads: Sequence[str], rows: Iterable[Sequence[str]], title: str,
              right: Sequence[str] = ()) -> None:  # fmt: skip
    """A rich table on standard output, as wide as its content wherever it is printed."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left")
    for name in heads:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console()
    needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
    Console(width=max(console.width, needed)).print(table)
