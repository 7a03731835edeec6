"""Write the tables of the reference pages from the tables that the program itself uses.

A table stands between `<!-- made: NAME -->` and `<!-- end -->`. Run it after a change of a card family or
of a dataset variable: `python docs/make_reference.py`. A test compares the pages with what this would write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from kmc import schemas
from kmc.variables import AXES, SNAPSHOTS, TRACES, Variable
from kmc_analysis.reproduce import board

DOCS = Path(__file__).resolve().parent
PAGES = ("reference/cards.md", "reference/dataset.md", "reference/scoreboard.md")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def variables(rows: dict[str, Variable]) -> str:
    """The variables of one kind."""
    return table(("variable", "unit", "type", "meaning"),
                 ((f"`{name}`", row.units, row.dtype, row.long_name) for name, row in rows.items()))


def scoreboard() -> str:
    """The last full result that the program carries."""
    found = board.kept()
    return "No full result is kept yet." if found is None else board.as_markdown(board.rows_of(found))


MADE = {"cards": schemas.reference, "scoreboard": scoreboard, "traces": lambda: variables(TRACES),
        "snapshots": lambda: variables({**AXES, **SNAPSHOTS})}


def filled(text: str) -> str:
    """A page with its tables made anew."""
    def made(found: re.Match[str]) -> str:
        return f"{found[1]}\n{MADE[found[2]]().strip()}\n\n{found[3]}"

    return re.sub(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", made, text, flags=re.DOTALL)


if __name__ == "__main__":
    for name in PAGES:
        page = DOCS / name
        page.write_text(filled(page.read_text()))
