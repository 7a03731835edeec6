"""kmc report: one HTML page about a study or a run, with its filament in three dimensions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kmc.cli.commands._options import Json, Quiet

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The output folder of a study or of a run.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write this file; DIR/report.html if not given.")]


def report(folder: Folder, out: Out = None, as_json: Json = False, quiet: Quiet = False) -> int:
    """Write one HTML page: what was run, the comparison, the filament, cards and sources, the commands.

    The page is one file that needs no network. It shows the filament of runs that have snapshots.

    Examples:

        kmc report runs/ligand_thickness/out

        kmc report runs/quick/out --out quick.html
    """
    from kmc.core.progress import spinner
    from kmc_analysis.report.page import placed, write

    with placed(folder, out), spinner("writing the report", quiet, lines=False) as tell:
        path = write(folder, out, tell)
    print(json.dumps({"report": str(path), "bytes": path.stat().st_size}) if as_json else path)
    return 0
