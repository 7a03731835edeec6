"""kmc cite: the sources that a stack, a run or a dataset rests on, as BibTeX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kmc.cli.commands._options import Json
from kmc.core.errors import UserError


def cite(
    what: Annotated[
        str | None, typer.Argument(help="A stack, card, run file, dataset or study; kmc and the experiment if none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the BibTeX entries of all sources that a stack, run or dataset rests on.

    Examples:

        kmc cite

        kmc cite ogb_20nm

        kmc cite runs/quick/run.yaml > sources.bib

        kmc cite runs/quick/out/quick.nc

        kmc cite ligands/out
    """
    from kmc.cards.card import bibliography
    from kmc.core.progress import say

    keys, beside = ([], ()) if what is None else _sources(what)
    known = bibliography(beside)
    wanted = [key for key in dict.fromkeys(["halide_kmc", "john2022", *keys]) if key in known]
    for key in sorted(set(keys) - set(known)):
        say(f"warning: {key} is in no sources.bib here")
    if as_json:
        typer.echo(json.dumps({key: known[key] for key in wanted}, indent=2))
    else:
        typer.echo("\n\n".join(known[key] for key in wanted))


def _sources(what: str) -> tuple[list[str], tuple[Path, ...]]:
    """The keys that `what` rests on, and the files beside which they are found."""
    path = Path(what)
    begun = any((path / name).exists() for name in ("run.yaml", "study.yaml"))
    if path.suffix == ".nc" or (path.is_dir() and not begun):
        home = path.absolute()  # a run's out lies beside its run file, and a study's tasks deeper
        return _of_results(path), (home, *home.parents[:3])
    from kmc.cli.commands.check import read_input

    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        raise UserError(
            "rests on nothing that is cited", what, next_step="name a card, stack, run file, dataset or its folder"
        )
    item = read_input(what)
    keys = sorted({source for quantity in item["numbers"].values() for source in quantity.source})
    beside = [
        file for stack in item["devices"] for file in (stack.path, *(card.path for card in stack.cards().values()))
    ]
    return keys, tuple(map(Path, dict.fromkeys([item["path"], *beside])))


def _of_results(path: Path) -> list[str]:
    """The keys of a dataset, or of all finished tasks of a study."""
    from kmc.study.manifest import is_study

    done = sorted((path / "tasks").glob("*.nc")) if path.is_dir() and is_study(path) else []
    return list(dict.fromkeys(key for one in done or [path] for key in _of_dataset(one)))


def _of_dataset(path: Path) -> list[str]:
    from kmc.io import dataset, provenance

    found = dataset.open(path)
    dataset.require(found, path)
    return [str(key) for key in provenance.run_of(found).get("sources", [])]
