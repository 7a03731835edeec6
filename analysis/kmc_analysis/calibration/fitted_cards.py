"""The cards that a search ends with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from kmc.cards.card import load_card
from kmc.cards.stack import load_stack
from kmc.core.atomic_files import write_whole
from kmc_analysis.calibration.card_fit import Posterior
from kmc_analysis.experiment.reproduce.figure_runs import REFERENCE

FILM = "thin_film_100nm"


def write_cards(found: Sequence[Posterior], keys: Iterable[str], run: str, out: Path) -> list[Path]:
    """One card for each role: it extends the card it came from with numbers of kind fitted; of the active
    layer one for crystals and one for the film, which share what is fitted.

    `keys` are the targets that were fitted to, `run` names the search. Raises WriteFailed, and UserError
    for a card that does not load.
    """
    by_role = defaultdict(list)
    for one in found:
        role, _, key = one.free.path.partition(".")
        by_role[role].append((key, one))
    stacks, told = [load_stack(name).cards() for name in (REFERENCE, FILM)], ", ".join(sorted(keys))
    paths = []
    for role, rows in by_role.items():
        lines = [_line(key, one, told, run) for key, one in rows]
        for card in {cards[role].name: cards[role] for cards in stacks if role in cards}.values():
            head = [f"family: {card.family}", f"extends: {card.name}"]
            head += [f"symbol: {card.symbol}"] * bool(card.symbol)
            path = out / f"{card.name}_fitted.yaml"
            write_whole(path, ("\n".join(head + lines) + "\n").encode())
            load_card(path)
            paths.append(path)
    return paths


def _line(key: str, one: Posterior, targets: str, run: str) -> str:
    unit = "" if one.free.unit == "1" else f"unit: {one.free.unit}, "
    return (
        f"{key}: {{value: {one.best:.6g}, {unit}sigma: {one.sigma:.3g}, kind: fitted, "
        f"targets: [{targets}], run: {_quoted(run)}}}"
    )


def _quoted(text: str) -> str:
    """A text that YAML takes for nothing else, whatever is in it."""
    return '"' + "".join(one if one.isprintable() and one not in '"\\' else f"\\U{ord(one):08x}" for one in text) + '"'
