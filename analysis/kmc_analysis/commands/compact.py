"""kmc compact: fit compact models to traces, and write them for circuit simulators."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from kmc.cli.commands._options import Json, Output, grouped
from kmc.core.errors import UserError
from kmc.core.progress import say

compact = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Fit compact models to traces, and write them for circuit simulators.",
)
MOST_NAMED = 4  # devices or traces in a warning
MOST_LOST = 0.01  # of the voltage, before a warning
Given = Annotated[
    list[Path], typer.Argument(metavar="DATASET...", help="Datasets, runs, studies, CSV, or folders of CSV.")
]
Name = typer.Option("--model", help="A model's name, or your own .yaml file.")
Folder = Annotated[Path, typer.Option("--out", help="The folder to write; new or empty.")]
Unseen = Annotated[
    list[Path] | None, typer.Option("--held-out", help="A trace to predict, not to fit; may be repeated.")
]
Kept = Annotated[list[str] | None, typer.Option("--fix", help='Keep a parameter, e.g. "tau_v=30 ms"; may be repeated.')]
Spread = Annotated[
    list[str] | None, typer.Option("--spread", help="Part a parameter's spread in the fitted traces (devices, cycles).")
]
Programmed = Annotated[
    list[Path] | None,
    typer.Option("--programmed", help="Runs that a compliance programmed, for G(Icc); may be repeated."),
]
Begin = Annotated[Path | None, typer.Option("--start", help="parameters.json of a fit: the search begins there, too.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the search and of the bootstrap.")]
Generations = Annotated[int, typer.Option("--generations", min=0, help="Of the global search.")]
Resamples = Annotated[
    int, typer.Option("--bootstrap", min=0, help="Resamples of residuals for the intervals; their profile if 0.")
]


@dataclass(frozen=True)
class Beside:
    """What a fit is given beside traces."""

    fix: Kept = None
    start: Begin = None
    spread: Spread = None
    programmed: Programmed = None


@dataclass(frozen=True)
class Search:
    """How a fit is searched for."""

    seed: Seed = 0
    generations: Generations = 40


@dataclass(frozen=True)
class FitSearch(Search):
    """How a fit is searched for, and its intervals."""

    bootstrap: Resamples = 0


@compact.command()
def models(as_json: Json = False) -> None:
    """List the models, their sources and where they hold."""
    from kmc_analysis.compact.equations.model import load_model, model_names

    found = [load_model(name) for name in model_names()]
    if as_json:
        rows = [
            {
                "name": m.name,
                "title": m.title,
                "source": m.source,
                "validity": m.validity,
                "parameters": [p.model_dump() for p in m.parameters],
            }
            for m in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    for model in found:
        typer.echo(f"{model.name:14}{model.title}\n{'':14}{model.validity}\n{'':14}{model.source}")


@compact.command()
@grouped
def fit(
    datasets: Given,
    model: Annotated[str, Name],
    out: Folder,
    held_out: Unseen = None,
    *,
    beside: Beside,
    search: FitSearch,
    output: Output,
) -> None:
    """Fit a model to traces; write parameters, a report and the model.

    Examples:

        kmc compact fit runs/ogb_20nm/out --model silver --out fit

        kmc compact fit sweep.csv pulses.csv --model vteam --held-out train.csv
    """
    from kmc_analysis.compact.equations.model import load_model
    from kmc_analysis.compact.export import model_files
    from kmc_analysis.compact.fitting import fit_data, fit_report, parameter_spreads
    from kmc_analysis.compact.fitting import model_fit as fits
    from kmc_analysis.compact.fitting import programmed_conductance as law

    spread = beside.spread or []
    loaded = model_files.starting_at(load_model(model), beside.start)
    fixed = model_files.read_changes(loaded, beside.fix or [])
    single, unseen = _parted(datasets, held_out or [])
    parameter_spreads.check(loaded, spread, [one.name for one in _warned(single)])
    traces, devices = fit_data.typical(single), law.programmed(fit_data.read_all(beside.programmed or []))
    with _working(out, f"fitting {loaded.name} to {len(traces)} trace(s)", output.quiet) as tell:
        found = fits.fit(loaded, traces, unseen, fixed=fixed, search=fits.Search(**vars(search)), tell=tell)
        loaded = parameter_spreads.added(loaded, single, found.values, spread)
    _untold(loaded, spread)
    loaded = model_files.of_fit(loaded, found, traces, _of_spread(loaded, spread, beside.start))
    written = fit_report.write(found, traces, unseen, out, devices) + model_files.write(loaded, found.values, out)
    _tell((fit_report.summary if output.as_json else fit_report.text)(found, devices), list(map(str, written)))


def _of_spread(model: Any, names: list[str], start: Path | None) -> str:
    """Where the spread is from that the files carry, and a word on standard error if no trace told it."""
    if names or not any(model.spread.values()):
        return ""
    told = "the guess of the model, fitted to nothing"
    if start:
        told = "that of the fit it starts from, not of these traces"
    say(f"note: no --spread: the spread in parameters.json is {told}")
    return f"; its spread is {told}"


def _untold(model: Any, names: list[str]) -> None:
    """Which of the spreads that were asked for the traces did not tell."""
    missing = [name for name in names if name not in model.spread["device"]]
    if missing:
        say(f"warning: too few traces tell {_shown(missing, ', ')} to part devices from cycles: it has no spread")


@contextlib.contextmanager
def _working(out: Path, told: str, quiet: bool) -> Iterator[Callable[[str], None]]:
    """The folder is there before the work, which takes minutes."""
    from kmc.core.output_paths import folder
    from kmc.core.progress import spinner

    with folder(out, "compact"), spinner(told, quiet, lines=False) as tell:
        yield tell


def _parted(datasets: list[Path], held_out: list[Path]) -> tuple[list[Any], list[Any]]:
    """The traces to fit, one by one, and what is to predict, which is none of them, whatever names it."""
    from kmc_analysis.compact.fitting import fit_data

    fitted, unseen = fit_data.places(datasets), fit_data.places(held_out)
    kept = {path: one for path, one in fitted.items() if path not in unseen}
    if not kept:
        raise UserError("no trace is left to fit: all are held out", next_step="hold fewer of them out")
    if len(kept) < len(fitted):
        names = [one.name for path, one in fitted.items() if path in unseen]
        say(f"held out, and not fitted: {_shown(names, ', ')}")
    traces, predicted = ([one.read() for one in group.values()] for group in (kept, unseen))
    _told([*traces, *predicted])
    for one in predicted:
        if not one.used.any():
            raise UserError(
                f"{one.name} has no point to predict: none has a current along its voltage",
                next_step="do not hold it out",
            )
    return traces, fit_data.typical(predicted)


def _told(traces: list[Any]) -> None:
    """What of the traces is not fitted."""
    against = [one for one in traces if one.against]
    if against:
        shown = _shown([f"{one.name}: {one.against}" for one in against], ", ")
        say(
            f"warning: {sum(one.against for one in against)} points have no current or one against the "
            f"voltage, and are left out ({shown})"
        )
    most = max(traces, key=lambda one: one.lost)
    if most.lost > MOST_LOST:
        say(
            f"warning: up to {100.0 * most.lost:.1f} % of the source's voltage drop before the device "
            f"({most.name}), all of which a fit gives to the device"
        )


def _shown(names: list[str], between: str) -> str:
    """The first of the names."""
    return between.join(names[:MOST_NAMED] + ["..."] * (len(names) > MOST_NAMED))


def _warned(traces: list[Any]) -> list[Any]:
    """The same traces; says where what is fitted as one device are several."""
    devices = sorted({one.device for one in traces if one.device})
    if len(devices) > 1:
        say(
            f"warning: {len(devices)} devices are fitted as one ({_shown(devices, '; ')}); for one of "
            "them alone write its traces with kmc compact traces, and fit their CSV"
        )
    return traces


def _tell(told: str | dict[str, Any], files: list[str]) -> None:
    """The report on standard output, as JSON or as text, with the files that were written."""
    lines = [told, *files] if isinstance(told, str) else [json.dumps({**told, "files": files}, indent=2)]
    typer.echo("\n".join(lines))


def _list(written: list[Path], as_json: bool) -> None:
    """The files on standard output, a line each or as JSON."""
    files = list(map(str, written))
    typer.echo(json.dumps({"files": files}, indent=2) if as_json else "\n".join(files))


@compact.command()
@grouped
def table(
    datasets: Given,
    out: Folder,
    held_out: Unseen = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="A model; may be repeated. All if not given.")
    ] = None,
    *,
    search: Search,
    output: Output,
) -> None:
    """Fit every model to the same traces; table what each predicts.

    Examples:

        kmc compact table sweep.nc pulse.nc --held-out train.nc --out errors
    """
    from kmc_analysis.compact.equations.model import load_model, model_names
    from kmc_analysis.compact.fitting import fit_data
    from kmc_analysis.compact.fitting import model_comparison as tables

    names = model or model_names()
    for name in names:
        load_model(name)
    single, unseen = _parted(datasets, held_out or [])
    traces = fit_data.typical(single)
    with _working(out, f"fitting {len(names)} models to {len(traces)} trace(s)", output.quiet) as tell:
        made = tables.rows(tables.fits(names, traces, unseen, search.seed, search.generations, tell))
    written = tables.write(made, out)
    typer.echo(json.dumps(made, indent=2) if output.as_json else tables.text(made))
    if not output.as_json:
        _list(written, as_json=False)


@compact.command()
def traces(
    datasets: Annotated[list[Path], typer.Argument(metavar="DATASET...", help="Runs, datasets or studies.")],
    out: Folder,
    as_json: Json = False,
) -> None:
    """Write simulated runs as CSV, as fit and table read them.

    Examples:

        kmc compact traces runs/compact_ogb_20nm/out --out traces
    """
    from kmc.core.output_paths import folder
    from kmc_analysis.metrics import trace_columns

    with folder(out, "compact"):
        written = trace_columns.write(datasets, out)
    _list(written, as_json)


@compact.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name, or your own .yaml file.")],
    out: Folder,
    parameters: Annotated[
        Path | None, typer.Option("--parameters", help="parameters.json of a fit, or ogb_20nm; else the model's own.")
    ] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", help='Change a parameter, e.g. "V_th=0.4 V"; may be repeated.')
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of subcircuit, module and class (kmc_NAME); the model's if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a model for ngspice and Verilog-A, with benches and tables.

    Examples:

        kmc compact export silver --out silver

        kmc compact export silver --parameters ogb_20nm --out ogb

        kmc compact export silver --parameters fit/parameters.json --out silver

        kmc compact export silver --set "V_th=0.4 V" --name low --out low
    """
    from kmc.core.output_paths import folder
    from kmc_analysis.compact.equations import reserved_names
    from kmc_analysis.compact.equations.model import load_model
    from kmc_analysis.compact.export import model_files

    loaded = model_files.starting_at(load_model(model), parameters)
    values = loaded.values(model_files.read_changes(loaded, set or []))
    loaded = replace(loaded, origin="; ".join([loaded.origin, *(set or [])]))
    if name is not None:
        reserved_names.check_model(name)
    with folder(out, "compact"):
        written = model_files.write(loaded, values, out, name)
    _list(written, as_json)
