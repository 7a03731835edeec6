"""Options that several commands have, said once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes at once; one a core if not given.")
]
CheckpointEvery = Annotated[
    str, typer.Option("--checkpoint-every", metavar="TIME", help="Least time between checkpoints.")
]
Drawn = Annotated[bool, typer.Option(help="Draw the I-V or the trace beside the dataset.")]
Picture = Annotated[bool, typer.Option(help="Draw the figures.")]


def refuse_mixtures(given: dict[str, Any]) -> None:
    """Of options that each ask for something else, one at a time can be given: the others are None."""
    from kmc.core.errors import UserError

    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise UserError(f"{chosen[0]} and {chosen[1]} do not go together", next_step="give one of them")


def sets(example: str) -> typer.models.OptionInfo:
    """The option --set, with an entry that the command's file has."""
    return typer.Option("--set", metavar="PATH=VALUE", help=f"Change an entry, e.g. {example}.")


Sets = Annotated[list[str] | None, sets("settings.window=32nm")]
