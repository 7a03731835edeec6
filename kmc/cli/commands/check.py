"""kmc check: read cards, stacks and run files, and say what their numbers rest on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import chain, product
from pathlib import Path
from typing import Annotated, Any

import typer

from kmc.cli.commands._kinds import kind_of
from kmc.cli.commands._options import Json


def check(
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Cards, stacks, runs, studies, by name or path; all that come with kmc if none."),
    ] = None,
    barriers: Annotated[bool, typer.Option("--barriers", help="Print the table of processes.")] = False,
    numbers: Annotated[bool, typer.Option("--numbers", help="Print every number and its source.")] = False,
    as_json: Json = False,
) -> None:
    """Check cards, stacks, run files and studies, and print the share of assumed values.

    An error names file, line, the nearest valid name and what to do: one of each file that is wrong.
    Nothing is written.

    Examples:

        kmc check

        kmc check my_ligand.yaml my_stack.yaml

        kmc check runs/quick/run.yaml --barriers

        kmc check ogb ddab --numbers

        kmc check ogb_20nm --json
    """
    found = _read_all(paths or _all())
    tables = _tables(found, bool(paths)) if barriers else {}
    each = {_place(name, one): one for item in found for name, one in item["numbers"].items()}
    if as_json:
        whole = {
            "files": [_as_data(item, numbers) for item in found],
            "numbers": _shares(each.values()),
            "barriers": {label: rows for label, (_, rows) in tables.items()},
        }
        typer.echo(json.dumps(whole, indent=2))
        return
    for item in found:
        typer.echo(_line(item))
    if len(found) > 1:
        typer.echo(f"all: {_sentence(each.values())}")
    shown = {f"numbers of {label}": _values(item) for label, item in _apart(found)} if numbers else {}
    _print_tables(shown | {_title(label, item): rows for label, (item, rows) in tables.items()})


def _read_all(paths: list[str]) -> list[dict[str, Any]]:
    """What each file holds; where some are wrong, each is told, and the last one's error is raised."""
    from kmc.core.errors import UserError
    from kmc.core.progress import say

    found, wrong = [], []
    for path in paths:
        try:
            found.append(read_input(path))
        except UserError as error:
            wrong.append(error)
    for one in wrong[:-1]:
        say(str(one))
    if wrong:
        raise wrong[-1]
    return found


def _as_data(item: dict[str, Any], numbers: bool) -> dict[str, Any]:
    """What --json prints of a file, on request with its numbers."""
    data = {key: item[key] for key in ("path", "kind", "name", "family", "hash")}
    data["numbers"] = _shares(item["numbers"].values())
    data["waits_for"] = item.get("waits_for")
    return data | ({"values": _values(item)} if numbers else {})


def _place(name: str, one: Any) -> tuple[Any, ...]:
    """What tells a number from others: many files share a card's, and a line may hold several."""
    path = name.partition(" ")[0]  # a number of a card, which files share, is known by its key
    return one.line or id(one), path if one.why == "override" else path.rpartition(".")[2], one.internal


def _apart(found: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Each by its name, or by its path where several have that name."""
    count = Counter(item["name"] for item in found)
    return [(item["name"] if count[item["name"]] == 1 else item["path"], item) for item in found]


def _tables(found: list[dict[str, Any]], named: bool) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each stack named, or the 20 nm OGB device where none is, with its processes."""
    from kmc.core.errors import UserError
    from kmc.kinetics.process_table import process_table

    stacks = [item for item in found if item["stack"] is not None]
    if not named:
        stacks = [item for item in stacks if item["name"] == "ogb_20nm"]
    if not stacks:
        step = "e.g. kmc check ogb_20nm --barriers"
        raise UserError("--barriers needs a stack or a run file", next_step=step)
    return {label: (item, process_table(item["stack"], item["settings"])) for label, item in _apart(stacks)}


def _title(label: str, item: dict[str, Any]) -> str:
    """Of a table of processes; it says what is no event."""
    density = item["stack"].active is not None and item["settings"].vacancies == "equilibrium"
    note = "\nbromide vacancies are a density in equilibrium without events (vacancies in settings)"
    stage = f"rates without a field at {item['settings'].temperature:g} K"
    return f"processes of {label}, {stage}{note if density else ''}"


def _all() -> list[str]:
    """Every card and stack in reach."""
    from kmc.cards.card import list_data

    return [str(path) for kind in ("card", "stack") for path in list_data(kind)]


def read_input(text: str) -> dict[str, Any]:
    """Load one card, stack, run file or study; UserError where it is wrong."""
    kind, path = kind_of(text)
    readers = {"card": _read_card, "stack": _read_stack, "run": _read_run, "study": _read_study}
    return readers[kind](path)


def _read_card(path: Path) -> dict[str, Any]:
    from kmc.cards.card import load_card

    card = load_card(path)
    return {
        "path": str(path),
        "kind": "card",
        "name": card.name,
        "family": card.family,
        "hash": card.hash,
        "numbers": dict(card.values),
        "stack": None,
        "devices": [],
    }


def _read_run(path: Path) -> dict[str, Any]:
    from kmc.inputs.run_file import load_run
    from kmc.io.final_state import checkpoint_of
    from kmc.simulation import run_to_folder

    run = load_run(path, must_exist=False)  # a chain of runs is checked before its first has begun
    waits = run.initial is not None and not run.initial.exists()
    if run.initial is not None and checkpoint_of(run.initial).is_file():
        run_to_folder.begun_by(run)
    begun = run.initial is not None
    return _of_stack(path, "run", run.name, run.device, run.settings, run.protocol, begun) | {
        "waits_for": str(run.initial) if waits else None,
        "program": _program([run]),
    }


def _program(runs: Iterable[Any]) -> str:
    """What runs do, with units: a number that was given without one shows what it was taken for."""
    from kmc.core.units import format_si

    runs = {(id(run.protocol), run.settings.temperature): run for run in runs}.values()
    steps = [[(step, run.settings.temperature) for step in run.protocol.steps()] for run in runs]
    each = list(chain.from_iterable(steps))
    early = " at most" if any(step.exits for step, _ in each) else ""
    ends = {
        "voltage": ([step.voltage_V for step, _ in each], "V"),
        "limit": ([step.compliance_A for step, _ in each], "A"),
        "stage": ([step.temperature_K or stage for step, stage in each], "K"),
        "": ([run.protocol.duration_s for run in runs], "s"),
    }
    told = []
    for name, (values, unit) in ends.items():
        shown = dict.fromkeys(format_si(one, unit) for one in (min(values), max(values)))
        told.append(f"{name} {' to '.join(shown)}".replace("inf A", "none").strip())
    count = " to ".join(dict.fromkeys(f"{one:,}" for one in (min(map(len, steps)), max(map(len, steps)))))
    return f"{', '.join(told)}{early} in {count} step{'s' * (count != '1')}"


def _read_stack(path: Path) -> dict[str, Any]:
    from kmc.cards.stack import load_stack
    from kmc.inputs.settings import Settings

    stack = load_stack(path)
    return _of_stack(path, "stack", stack.name, stack, Settings())


def _of_stack(
    path: Path, kind: str, name: str, stack: Any, settings: Any, protocol: Any = None, begun: bool = False
) -> dict[str, Any]:
    from kmc.core.errors import UserError
    from kmc.simulation.plausibility import of_devices

    try:
        _tell(path, of_devices([(stack, settings, protocol)], begun))
    except UserError as error:
        raise error.at(f"{path}:1") from None
    return {
        "path": str(path),
        "kind": kind,
        "name": name,
        "family": "stack",
        "hash": stack.hash,
        "numbers": dict(stack.numbers()),
        "stack": stack,
        "settings": settings,
        "devices": [stack],
    }


def _tell(path: Path, warnings: Iterable[str]) -> None:
    """What is doubtful in a file."""
    from kmc.core.progress import say

    for told in warnings:
        say(f"warning: {path}: {told}")


def _values(item: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a number, in the unit of its card; sigma is empty where the source gives none."""
    return [
        {
            "number": name,
            "value": one.value,
            "unit": one.unit,
            "sigma": one.sigma,
            "kind": one.kind,
            "source": one.why or ", ".join([*one.source, *one.targets]),
            "where": one.where or one.run or "",
        }
        for name, one in item["numbers"].items()
    ]


def _read_study(path: Path) -> dict[str, Any]:
    from kmc.study import load_study

    study = load_study(path)
    _tell(path, study.warnings)
    numbers = _by_variant(study)
    says = "; ".join([_size(study), _program(study.runs), _sentence(numbers.values())])
    return {
        "path": str(path),
        "kind": "study",
        "name": study.name,
        "family": "study",
        "hash": "",
        "numbers": numbers,
        "stack": None,
        "says": says,
        "devices": [run.device for run in study.runs],
    }


def _by_variant(study: Any) -> dict[str, Any]:
    """The numbers of all its devices; those that differ once for each value, with a variant that has it."""
    found: dict[str, dict[tuple[Any, ...], tuple[str, Any]]] = {}
    for run, levels in zip(study.runs, product(*(axis.levels for axis in study.axes)), strict=True):
        told = ", ".join(f"{axis.name} {level.given}" for axis, level in zip(study.axes, levels, strict=True))
        for name, one in run.device.numbers().items():
            found.setdefault(name, {}).setdefault((one.internal, one.unit, one.kind), (told, one))
    return {
        name if len(values) == 1 else f"{name} [{told}]": one
        for name, values in found.items()
        for told, one in values.values()
    }


def _size(study: Any) -> str:
    """How many tasks a study has, and of what."""
    axes = [f"{len(axis.levels)} {axis.name}" for axis in study.axes]
    more = f" (up to {study.growth.most})" if study.growth else ""
    return f"{study.count} tasks: " + " x ".join([*axes, f"{len(study.seeds)} replicates{more}"])


def _shares(numbers: Any) -> dict[str, Any]:
    """How many numbers there are of each kind, and the share of assumed ones."""
    from kmc.cards.quantity import KINDS

    counts = Counter(quantity.kind for quantity in numbers)
    total = sum(counts.values())
    share = counts["assumed"] / total if total else 0.0
    return {"total": total, **{kind: counts[kind] for kind in KINDS}, "assumed_share": round(share, 4)}


def _line(item: dict[str, Any]) -> str:
    """What a file is, and what its numbers rest on or how large it is."""
    says = item.get("says") or _sentence(item["numbers"].values())
    if item.get("program"):
        says = f"{item['program']}; {says}"
    if item.get("waits_for"):
        says += f"; starts from {item['waits_for']}, which is not there yet"
    return f"ok  {item['kind']:<5} {item['name']:<20} {says}"


def _sentence(numbers: Any) -> str:
    shares = _shares(numbers)
    total, percent = shares["total"], 100 * shares["assumed_share"]
    if not total:
        return "no numbers of its own"
    others = ", ".join(f"{shares[k]} {k}" for k in ("measured", "computed", "fitted") if shares[k])
    share = f"{shares['assumed']} of {total} numbers assumed ({percent:.0f} %)"
    return f"{share}; {others}" if others else share


def _print_tables(tables: dict[str, list[dict[str, Any]]]) -> None:
    """Each with its title."""
    from kmc.cli.commands._tables import print_columns

    for title, rows in tables.items():
        typer.echo(f"\n{title}")
        print_columns(rows)
