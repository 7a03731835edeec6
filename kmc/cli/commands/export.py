"""kmc export: write a dataset as CSV, extended XYZ, VTK or a PWL voltage source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kmc.cli.commands._options import Json


def export(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset, out folder or run folder.")],
    format: Annotated[str, typer.Option("--format", "-f", help="csv, extxyz, vtk or pwl.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write; beside the dataset if not given.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Write a dataset in another format; print the path of what was written.

    csv: the trace, one row a sample. extxyz: silver (and vacancies that are explicit) of each snapshot, for
    OVITO. vtk: fields of each snapshot, for ParaView. pwl: the source's voltage for SPICE.

    Examples:

        kmc export runs/quick/out --format csv

        kmc export seen --format extxyz --out quick.xyz
    """
    from kmc.io import export as writers
    from kmc.io.dataset import home_of, merged_paths, open, require

    write, suffix = writers.writer(format)
    ds = open(dataset)
    require(ds, dataset, whole=False)
    if out is None:
        folder = home_of(dataset)
        stem = dataset.stem if dataset.is_file() else next((p.stem for p in merged_paths(folder)), "run")
        out = folder / f"{stem}{suffix}"
    written = write(ds, out)
    if as_json:
        typer.echo(json.dumps({"format": format, "files": [str(path) for path in written]}, indent=2))
    else:
        for path in written:
            typer.echo(str(path))
    return 0
