"""kmc verify: find truncated, changed and incomplete datasets and checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kmc.commands._options import Json

if TYPE_CHECKING:
    from kmc.dataset import Problem


def verify(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Datasets or folders of them.")],
    as_json: Json = False,
) -> int:
    """Check every dataset below the paths: its bytes, content and schema; and what runs need to go on.

    Exit code 3 when something is wrong; each bad file is named.

    Examples:

        kmc verify runs/quick/out/quick.nc

        kmc verify runs
    """
    from kmc.errors import UserError

    problems: list[Problem] = []
    checked: list[Path] = []
    wrong: list[UserError] = []
    for path in paths:
        try:
            _verify_one(path, problems, checked)
        except UserError as error:
            wrong.append(error)
    if checked or not wrong:
        _tell(problems, checked, as_json)
    for one in wrong[:-1]:
        typer.echo(str(one), err=True)
    if wrong:
        raise wrong[-1]
    return 3 if problems else 0


def _verify_one(path: Path, problems: list[Problem], checked: list[Path]) -> None:
    """Add what is wrong with a dataset, or below a folder, and what was looked at. UserError for nothing."""
    from kmc import dataset
    from kmc.final import CHECKPOINT
    from kmc.outfolder import verify_checkpoints

    kept = [path] if path.suffix == ".npz" else sorted(path.rglob(CHECKPOINT))
    # A run that has no row yet has a checkpoint alone.
    found = [] if kept and not any(path.rglob("*.nc")) else dataset.files_of(path)
    problems += dataset.verify(path) if found else []
    problems += verify_checkpoints(path)
    checked += [*found, *kept]


def _tell(problems: list[Problem], checked: list[Path], as_json: bool) -> None:
    if as_json:
        bad = [{"path": str(p.path), "problem": p.message} for p in problems]
        typer.echo(json.dumps({"checked": [str(p) for p in checked], "problems": bad}, indent=2))
        return
    for problem in problems:
        typer.echo(str(problem), err=True)
    wrong = {problem.path for problem in problems}
    typer.echo(f"{len(checked)} datasets and checkpoints checked, {len(wrong)} files with problems")
