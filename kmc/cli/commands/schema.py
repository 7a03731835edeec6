"""kmc schema: the JSON schema of cards, stacks, run files and studies, and the reference of their keys."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def schema(
    name: Annotated[
        str | None, typer.Argument(help="A family (ligand, metal, ...), stack, run, study or settings.")
    ] = None,
    reference: Annotated[bool, typer.Option("--reference", help="Print all keys as Markdown tables.")] = False,
) -> None:
    """Print the JSON schema of a card family, a stack, a run file or a study.

    Editors check YAML against it. Without a name, all of them as one JSON object.

    Examples:

        kmc schema ligand

        kmc schema run > run.schema.json

        kmc schema --reference
    """
    from kmc.cards.yaml_documents import unknown
    from kmc.core.errors import UserError
    from kmc.inputs import json_schemas

    if name is not None and name not in json_schemas.names():
        raise unknown(f'no schema is called "{name}"', name, json_schemas.names(), "")
    if reference and name is not None:
        raise UserError("--reference is of all keys", next_step=f"leave out {name}, or --reference")
    if reference:
        typer.echo(json_schemas.reference(), nl=False)
        return
    found = json_schemas.schema(name) if name else {each: json_schemas.schema(each) for each in json_schemas.names()}
    typer.echo(json.dumps(found, indent=2))
