"""kmc compare: what the variants of a study change, paired by seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kmc.cli.commands._options import Json, Quiet

if TYPE_CHECKING:
    import xarray as xr

    from kmc_analysis.statistics.comparison import Effect


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The output folder of a study; of a run, before OTHER.")]
Other = Annotated[
    Path | None, typer.Argument(metavar="[OTHER]", help="A second run: show what differs in their inputs.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Write here; in DIR/compare if not given.")]
Names = Annotated[
    list[str] | None, typer.Option("--metric", metavar="NAME", help="Show only this metric; may be repeated.")
]
Every = Annotated[bool, typer.Option("--all", help="Show the effects at each level of the other axes too.")]
Picture = Annotated[bool, typer.Option(help="Draw the traces, the distributions and the trends.")]


def compare(
    folder: Folder,
    other: Other = None,
    out: Out = None,
    names: Names = None,
    every: Every = False,
    as_json: Json = False,
    quiet: Quiet = False,
    picture: Picture = True,
) -> int:
    """Compare the variants of a study: effects with 95 % intervals, differences taken seed by seed.

    Every axis's values are held against its first. Prints a table and what it says in words, and writes
    effects.csv (all effects, also at each level of the other axes), effects.tex, metrics.csv (one row a run),
    traces.png, distributions.png where a metric has a number, and trends.png where an axis is one, too. A
    star marks an interval that excludes "no effect".

    --metric chooses what the table, effects.tex and the pictures of metrics show. Both CSV files hold all
    metrics whatever is shown, and what is said in words rests on all of them.

    With a second run (its file, dataset or folder) it prints what went into the two that is not the same.

    Examples:

        kmc compare runs/ligand_thickness/out

        kmc compare runs/ligand_thickness/out --metric on_off --all

        kmc compare runs/quick/out runs/ogb_20nm/run.yaml
    """
    if other is not None:
        _refuse({"--out": out, "--metric": names, "--all": every})
        return _inputs(folder, other, as_json)
    return _effects(folder, out, names or [], every, as_json, quiet, picture)


def _refuse(given: dict[str, Any]) -> None:
    """What is for a study would go unheard."""
    from kmc.core.errors import UserError

    for option, value in given.items():
        if value:
            raise UserError(
                f"{option} does not go with two runs, of which the inputs are compared",
                next_step=f"remove {option}, or name one study",
            )


def _inputs(first: Path, second: Path, as_json: bool) -> int:
    """What differs between the inputs of two runs."""
    from kmc.cli.commands._tables import show_rows
    from kmc_analysis.statistics.run_differences import Difference, differences

    found = differences(first, second)
    if as_json:
        print(json.dumps({"differences": [one._asdict() for one in found]}, indent=2))
    elif found:
        show_rows(Difference._fields, found, f"inputs of {first} and {second}")
    else:
        print("the inputs are the same")
    return 0


def _effects(
    folder: Path, out: Path | None, names: list[str], every: bool, as_json: bool, quiet: bool, picture: bool
) -> int:
    import kmc
    from kmc.core.atomic_files import finite
    from kmc.core.output_paths import folder as made
    from kmc.core.progress import spinner
    from kmc_analysis.experiment.conclusions import conclusions
    from kmc_analysis.statistics import comparison as comparing

    comparing.check_names(names)
    study = kmc.open(folder)
    comparing.check_results(study)
    target = _target(folder, out)
    with made(target, "compare"), spinner("measuring", quiet, lines=False) as tell:
        values = comparing.measure(study, progress=tell)
    found = comparing.effects(values)
    said = conclusions(values, found)
    _tell_missing(study)
    names = names or list(map(str, values.data_vars))
    files = _written(study, values, found, names, target, picture)
    shown = [one for one in found if one.metric in names]
    if as_json:
        plain = [finite(one._asdict()) for one in shown]
        print(json.dumps({"effects": plain, "conclusions": said, "files": files}, indent=2))
        return 0
    _show(study, shown, every)
    for line in (*said, *files):
        print(line)
    return 0


def _tell_missing(study: xr.Dataset) -> None:
    from kmc.core.progress import say

    left = int((study["state"] != 1).sum())
    if left:
        say(f"warning: {left} of {study['state'].size} tasks are not done; their pairs are left out")


def _target(folder: Path, out: Path | None) -> Path:
    from kmc.io.dataset import out_of

    return out_of(folder) / "compare" if out is None else out


def _written(
    study: xr.Dataset, values: xr.Dataset, found: list[Effect], names: list[str], out: Path, picture: bool
) -> list[str]:
    """Write tables and figures into `out`; returns their paths.

    What is for a manuscript shows the metrics `names`. The CSV files have all: a look at one metric is not to
    take the numbers of the others away.
    """
    from kmc.core.atomic_files import write_texts
    from kmc_analysis.plotting import study_figures
    from kmc_analysis.statistics import effect_tables

    shown = [one for one in _overall(found) if one.metric in names]
    texts = {
        "effects.csv": effect_tables.as_csv(found),
        "effects.tex": effect_tables.as_latex(shown),
        "metrics.csv": values.to_dataframe().reset_index().to_csv(index=False, lineterminator="\n"),
    }
    paths: list[Path | None] = [*write_texts(out, texts)]
    if picture:
        paths += [
            study_figures.traces(study, out / "traces.png"),
            study_figures.distributions(values[names], out / "distributions.png"),
            study_figures.trends(values[names], out / "trends.png"),
        ]
    return [str(path) for path in paths if path is not None]


def _overall(found: list[Effect]) -> list[Effect]:
    return [one for one in found if one.at == "all"]


def _show(study: xr.Dataset, found: list[Effect], every: bool) -> None:
    from kmc_analysis.statistics.effect_tables import show

    shown = [one for one in (found if every else _overall(found)) if one.pairs]
    show(shown, f"{study.attrs['study']}: effects, paired by seed")
