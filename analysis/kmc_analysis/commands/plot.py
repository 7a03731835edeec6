"""kmc plot: runs and measurements in one picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kmc.cli.commands._options import Json

Paths = Annotated[
    list[Path], typer.Argument(metavar="TRACE...", help="Datasets, out folders of runs or studies, CSVs.")
]
Out = Annotated[Path, typer.Option("--out", help="The picture: .png, .pdf or .svg.")]
Against = Annotated[
    str, typer.Option("--against", help="voltage, time, or auto: the voltage where the runs are swept.")
]

Linear = Annotated[bool, typer.Option("--linear", help="The current with its sign, on a linear axis.")]


def plot(
    paths: Paths,
    out: Out = Path("traces.png"),
    against: Against = "auto",
    linear: Linear = False,
    as_json: Json = False,
) -> int:
    """Draw the current of runs, studies and measurements beside each other; print the picture's path.

    A measurement is a CSV with the columns time_s, voltage_source_V and current_A.

    Examples:

        kmc plot runs/quick/out

        kmc plot out mine.csv --out beside.png

        kmc plot out mine.csv --against time --out beside.pdf

        kmc plot out mine.csv --linear --out signs.png
    """
    from kmc.core.errors import UserError, nearest
    from kmc.core.output_paths import PICTURE, check_file
    from kmc_analysis.plotting.overlay import AXES, draw

    if against not in AXES:
        raise UserError(
            f'nothing is drawn against "{against}"',
            "--against",
            nearest(against, AXES),
            f"use one of: {', '.join(AXES)}",
        )
    check_file(out, PICTURE)
    picture = draw(paths, out, against, linear)
    typer.echo(json.dumps({"picture": str(picture)}) if as_json else str(picture))
    return 0
