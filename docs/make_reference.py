"""Write the tables of the reference pages from the tables that the program itself uses.

A table stands between `<!-- made: NAME -->` and `<!-- end -->`. Run it after a change of what `MADE` lists:
`python docs/make_reference.py`. A test compares the pages with what this would write.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from kmc.cli import app
from kmc.inputs import json_schemas
from kmc.io.variables import AXES, SNAPSHOTS, TRACES, Variable
from kmc.kinetics.electron_transfer import MECHANISMS
from kmc.kinetics.process_table import PROCESSES
from kmc_analysis.calibration.sensitivity import Influence, keys_of
from kmc_analysis.calibration.sensitivity import table as influences
from kmc_analysis.experiment.figures import all_figures
from kmc_analysis.experiment.figures.programmed import WRITE_LINES
from kmc_analysis.experiment.reproduce import scoreboard as board
from kmc_analysis.experiment.targets import literature
from kmc_analysis.experiment.targets.targets import targets
from kmc_analysis.reservoir.plan import Plan

DOCS = Path(__file__).resolve().parent
PAGES = (
    "reference/cards.md",
    "reference/command-line.md",
    "reference/dataset.md",
    "reference/processes.md",
    "reference/scoreboard.md",
    "reference/predictions.md",
    "how-to/reservoir.md",
)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def variables(rows: dict[str, Variable]) -> str:
    """The variables of one kind."""
    return table(
        ("variable", "unit", "type", "meaning"),
        ((f"`{name}`", row.units, row.dtype, row.long_name) for name, row in rows.items()),
    )


def scoreboard() -> str:
    """The last full result that the program carries."""
    found = board.kept()
    return "No full result is kept yet." if found is None else board.as_markdown(board.rows_of(found))


def predictions() -> str:
    """What is predicted beyond the experiment, with what it was made of."""
    found = board.kept(board.PREDICTED)
    rows = [] if found is None else board.rows_of(found)
    head = ("key", "what", "simulated", "95 % interval", "unit", "n", "engine")
    lines = [
        (f"`{one.key}`", one.what, *(board.cells(one)[k] for k in (4, 5, 6, 7)), board.engines(one)) for one in rows
    ]
    notes = {one.key: one.reason.partition("; ")[2] for one in rows}
    told = "\n".join(f"- `{key}`: {note}." for key, note in notes.items() if note)
    return f"{table(head, lines)}\n\n{told}\n\n{figures(beyond=True)}"


def sensitivity() -> str:
    """What `kmc sensitivity` found last, of the runs that the program carries."""
    kept = json.loads(board.PREDICTED.with_name("sensitivity.json").read_text())
    found = [Influence(**{key: math.nan if value is None else value for key, value in row.items()}) for row in kept]
    rows = [(f"`{name}`", *cells) for name, *cells in influences(found)]
    return table(("number", "range", *(f"`{key}`" for key in keys_of(found))), rows)


def figures(beyond: bool = False) -> str:
    """What each figure does, from its definition: of the experiment, or beyond it."""
    rows = []
    for figure in (one for one in all_figures() if set(one.keys).isdisjoint(targets()) == beyond):
        devices = [f"{one.name} ({one.devices})" for one in figure.programs]
        shown = devices if len(devices) < 6 else [*devices[:4], f"and {len(devices) - 4} more"]
        rows.append(
            (
                figure.name,
                ", ".join(f"`{key}`" for key in figure.keys),
                "; ".join(shown) or "-",
                figure.protocol.replace(WRITE_LINES, "*write and verify*"),
            )
        )
    text = table(("figure", "targets", "programs (devices)", "protocol"), rows)
    return text if "*write and verify*" not in text else f"{text}\n\n*Write and verify*: {WRITE_LINES}."


def compared() -> str:
    """Table 2 with the simulated devices."""
    found = board.kept()
    rows = {} if found is None else {one.key: one for one in board.rows_of(found)}
    return table(literature.HEADS, [*literature.REPORTED, *literature.simulated(rows)])


def plan() -> str:
    """The entries of a reservoir file by their part, with what each part says of itself."""
    rows = []
    for name, field in Plan.model_fields.items():
        if name in ("path", "sets"):
            continue
        if not isinstance(field.default, BaseModel):
            rows.append((f"`{name}`", _default(name, field.default), ""))
            continue
        part = type(field.default)
        entries = ", ".join(_default(key, one.default) for key, one in part.model_fields.items())
        rows.append((f"`{name}`", entries, " ".join((part.__doc__ or "").split())))
    return table(("part", "entries (default)", "meaning"), rows)


def _default(name: str, value: Any) -> str:
    return f"`{name}` ({'none' if value is None else value})"


def processes() -> str:
    """The declared table of processes."""
    head = ("process", "undone by", "condition", "rate law", "numbers of cards", "changes")
    rows = (
        (one.name, one.reverse, one.condition, one.law, ", ".join(f"`{k}`" for k in one.card_keys), one.changes)
        for one in PROCESSES
    )
    return table(head, rows)


def mechanisms() -> str:
    """The mechanisms of electron transfer."""
    rows = ((one.name or "direct", one.condition, ", ".join(f"`{k}`" for k in one.card_keys)) for one in MECHANISMS)
    return table(("mechanism", "condition", "numbers of cards"), rows)


def options() -> str:
    """Every option of every command, as --help has it."""
    return table(("command", "option", "meaning"), _options("kmc", app._program(), None))


def _options(name: str, command: Any, context: Any) -> Iterator[tuple[str, str, str]]:
    with command.make_context(name, [], parent=context, resilient_parsing=True) as inner:
        if hasattr(command, "list_commands"):
            for sub in command.list_commands(inner):
                yield from _options(f"{name} {sub}", command.get_command(inner, sub), inner)
            return
        for one in command.get_params(inner):
            if one.param_type_name == "option" and "--help" not in one.opts:
                names = [*one.opts, *one.secondary_opts]
                value = "" if one.is_flag else f" {one.metavar or one.name.upper()}"
                shown = ", ".join(f"`{part}{value}`" for part in names)
                yield f"`{name}`", shown, " ".join((one.help or "").split()).replace("|", "\\|")


MADE = {
    "cards": json_schemas.reference,
    "scoreboard": scoreboard,
    "figures": figures,
    "compared": compared,
    "predictions": predictions,
    "sensitivity": sensitivity,
    "options": options,
    "plan": plan,
    "processes": processes,
    "mechanisms": mechanisms,
    "traces": lambda: variables(TRACES),
    "snapshots": lambda: variables({**AXES, **SNAPSHOTS}),
}


def filled(text: str) -> str:
    """A page with its tables made anew."""

    def made(found: re.Match[str]) -> str:
        return f"{found[1]}\n{MADE[found[2]]().strip()}\n\n{found[3]}"

    return re.sub(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", made, text, flags=re.DOTALL)


if __name__ == "__main__":
    for name in PAGES:
        page = DOCS / name
        page.write_text(filled(page.read_text()))
