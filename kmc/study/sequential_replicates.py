"""Replicates until a metric is known well enough: `{from: 4, to: 32, until: {set_voltage: 20 mV}}`.

All variants get the same seeds, so that they stay paired. How many come next follows from the results alone.
The metrics are the analysis's: an entry point of the group kmc.tightness brings them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from kmc.cards import yaml_documents
from kmc.cards.yaml_documents import Mapping
from kmc.core.errors import UserError

GROUP = "kmc.tightness"
_EXAMPLE = "write e.g. replicates: 8, or replicates: {from: 4, to: 32, until: {set_voltage: 20 mV}}"
_FASTEST = 2.0  # times as many replicates in the next round, at most


@dataclass(frozen=True)
class Growth:
    """From `least` to `most` replicates, until `tightness.widths(dataset)` are at most `tightness.most`."""

    least: int
    most: int
    tightness: Any

    def after(self, count: int, widths: Any) -> int | None:
        """How many replicates follow `count`, None where the widths of all variants are narrow enough."""
        if all(width <= self.tightness.most for width in widths):
            return None
        widest = max((width if math.isfinite(width) else math.inf) for width in widths)
        share = min((widest / self.tightness.most) ** 2, _FASTEST)  # an interval narrows as 1 / sqrt(n)
        return max(count + 1, math.ceil(share * count))


def read_replicates(document: Mapping) -> tuple[int, Growth | None]:
    """The first number of replicates, and how it grows. Raises UserError with file and line."""
    given = document.get("replicates", 1)
    if not isinstance(given, Mapping):
        return _count(given, "replicates", document.where("replicates")), None
    where = document.where("replicates")
    yaml_documents.check_keys(given, ("from", "to", "until"), "replicates")
    least = _count(given.get("from", 4), "from", given.where("from") if "from" in given else where)
    most = _count(yaml_documents.need(given, "to", "replicates", "to: 32"), "to", given.where("to"))
    until = yaml_documents.need(given, "until", "replicates", "until: {set_voltage: 20 mV}")
    if not isinstance(until, Mapping) or len(until) != 1:
        raise UserError("until does not name one metric", given.where("until"), next_step=_EXAMPLE)
    if not 2 <= least <= most:
        raise UserError(
            f"replicates go from {least} to {most}", where, next_step="begin with two at least, and end with no fewer"
        )
    ((metric, width),) = until.items()
    return least, Growth(least, most, _tightness(until.where(metric))(metric, width, until.where(metric)))


def _count(given: Any, name: str, where: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise UserError(f"{name} is {given!r:.40}, not a whole number of one or more", where, next_step=_EXAMPLE)
    return given


def _tightness(where: str) -> Callable[[str, Any, str], Any]:
    """The class that an installed package brings."""
    found = next(iter(metadata.entry_points(group=GROUP)), None)
    if found is None:
        raise UserError("no installed package brings metrics", where, next_step="install halide-kmc whole")
    made: Callable[[str, Any, str], Any] = found.load()
    return made
