"""What went into the runs of a page: protocol, settings, cards with their numbers, sources, commands."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kmc.cards.card import Card, bibliography
from kmc.core.errors import UserError
from kmc_analysis.report.html_pieces import Section, block, folded, paragraph, table

Runs = list[dict[str, Any]]  # the attribute `run` of datasets


def cards(runs: Runs, known: Iterable[Card]) -> Section:
    """The cards by role, each with its numbers where a card of `known` is the very same, and the sources."""
    known = list(known)
    by_hash = {card.hash: card for card in known}
    seen = {(role, card["name"], card["hash"]): None for run in runs for role, card in run["cards"].items()}
    numbers = {(role, card["hash"]): _of_role(run, role) for run in runs for role, card in run["cards"].items()}
    body = "".join(_card(*one, by_hash.get(one[2]), numbers[one[0], one[2]]) for one in seen)
    entries = bibliography(tuple(card.path for card in known))
    keys = dict.fromkeys(["halide_kmc", "john2022", *sorted({key for run in runs for key in run["sources"]})])
    sources = "\n\n".join(entries.get(key, f"{key}: not in sources.bib here") for key in keys)
    return Section("cards", "Cards and sources", body + folded("Sources (BibTeX)", block(sources, "Sources")))


def _of_role(run: dict[str, Any], role: str) -> list[tuple[str, str, str]]:
    """The numbers that a dataset keeps of one part, of datasets before those none."""
    return [
        (path.removeprefix(f"{role}."), f"{one['value']:g} {one['unit']}", one["kind"])
        for path, one in run.get("numbers", {}).items()
        if path.startswith(f"{role}.")
    ]


def _card(role: str, name: str, digest: str, card: Card | None, kept: list[tuple[str, str, str]]) -> str:
    title = f"{role}: {name} ({digest})"
    if card is None:
        told = paragraph("The card here is another one by now, or gone: without its sources.")
        return folded(title, told + table(("number", "value", "kind"), kept, title))
    rows = [
        (
            key,
            f"{one.value:g} {one.unit}",
            "" if one.sigma is None else f"{one.sigma:g}",
            one.kind,
            ", ".join([*one.source, *one.targets]) or one.why,
        )
        for key, one in card.values.items()
    ]
    return folded(title, table(("number", "value", "sigma", "kind", "source or reason"), rows, title))


def protocols(runs: Runs) -> str:
    """The protocols and settings, each once."""
    found = dict.fromkeys(json.dumps(run["protocol"], indent=1) for run in runs)
    settings = dict.fromkeys(json.dumps(run["settings"], indent=1) for run in runs)
    parts = [folded("Protocol", block(text, "Protocol")) for text in found]
    parts += [folded("Settings", block(text, "Settings")) for text in settings]
    return "".join(parts)


def again(out: Path, file: Path | None, command: list[str], versions: dict[str, str]) -> Section:
    """The commands that make it again, from the folder above the results, and the file that they read."""
    program = f"halide-kmc {versions.get('halide-kmc', '')}".strip()
    lines = [*command, shlex.join(["kmc", "report", out.resolve().name])]
    body = paragraph(f"With {program} installed, in the folder above the results:")
    body += block("\n".join(lines), "Commands")
    if file is not None:
        body += paragraph(f"{file.name} holds:") + block(_read(file), file.name)
    made = table(("part", "version"), sorted(versions.items()), "Versions")
    return Section("again", "Do it again", body + folded("Versions", made))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return "it cannot be read here any more"


def beside(out: Path, told: str) -> tuple[Path, str]:
    """The file that a record names relative to `out`, and how it is named from the folder above."""
    file = Path(os.path.normpath(out.resolve() / told))
    return file, os.path.relpath(file, out.resolve().parent)


def cards_of_study(file: Path, sets: Iterable[str]) -> Iterator[Card]:
    """The cards of a study file as it is now; none where it cannot be read."""
    from kmc.study import load_study

    try:
        runs = load_study(file, tuple(sets)).runs
    except UserError:
        return
    for run in runs:
        yield from run.device.cards().values()


def cards_of_run(file: Path, sets: Iterable[str]) -> Iterator[Card]:
    """The cards of a run file as it is now; none where it cannot be read."""
    from kmc.inputs.run_file import load_run

    try:
        yield from load_run(file, sets, must_exist=False).device.cards().values()
    except UserError:
        return
