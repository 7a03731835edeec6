"""The cards that a search ends with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from kmc.cards import load_card
from kmc.files import write_whole
from kmc.stack import load_stack
from kmc_analysis.calibrate.fit import Posterior
from kmc_analysis.reproduce.session import REFERENCE


def write_cards(found: Sequence[Posterior], keys: Iterable[str], run: str, out: Path) -> list[Path]:
    """One card for each role: it extends the card it came from with numbers of kind fitted.

    `keys` are the targets that were fitted to, `run` names the search. Raises WriteFailed, and UserError
    for a card that does not load.
    """
    by_role = defaultdict(list)
    for one in found:
        role, _, key = one.free.path.partition(".")
        by_role[role].append((key, one))
    cards, targets = load_stack(REFERENCE).cards(), ", ".join(sorted(keys))
    paths = []
    for role, rows in by_role.items():
        lines = [f"family: {cards[role].family}", f"extends: {cards[role].name}"]
        lines += [f"symbol: {cards[role].symbol}"] * bool(cards[role].symbol)
        for key, one in rows:
            unit = "" if one.free.unit == "1" else f"unit: {one.free.unit}, "
            lines.append(f"{key}: {{value: {one.best:.6g}, {unit}sigma: {one.sigma:.3g}, kind: fitted, "
                         f"targets: [{targets}], run: {_quoted(run)}}}")  # fmt: skip
        path = out / f"{cards[role].name}_fitted.yaml"
        write_whole(path, ("\n".join(lines) + "\n").encode())
        load_card(path)
        paths.append(path)
    return paths


def _quoted(text: str) -> str:
    """A text that YAML takes for nothing else, whatever is in it."""
    return '"' + "".join(one if one.isprintable() and one not in '"\\' else f"\\U{ord(one):08x}"
                         for one in text) + '"'  # fmt: skip
