"""The protocols of a study: one, several by name, or one of which the axes vary numbers."""

from __future__ import annotations

import copy
from typing import Any

from kmc.cards import yaml_documents
from kmc.cards.yaml_documents import Mapping
from kmc.core.errors import UserError
from kmc.inputs.overrides import put
from kmc.inputs.protocol import Protocol, read_protocol
from kmc.study.axes import PROGRAM, Axis, Level


class Programs:
    """What `protocol:` or `protocols:` gives under each combination of axes like
    `protocol.0.sweep.compliance`, and of cases that change such. Raises UserError with file and line."""

    def __init__(self, document: Mapping, axes: list[Axis]) -> None:
        self.document = document
        self.varied = [axis for axis in axes if axis.name.startswith(PROGRAM)]
        self.changed = [
            (name, one.where)
            for axis in axes
            for level in axis.levels
            for name, one in (level.changes or {axis.name: level}).items()
            if name.startswith(PROGRAM)
        ]
        several = document.get("protocols")
        if several is None:
            yaml_documents.need(document, "protocol", "the study file", "protocol: [sweep: {...}]")
        else:
            self._check(several)
        #: of several protocols, none for one alone
        self.names = tuple(several or ())
        self.known: dict[tuple[Any, ...], list[Protocol]] = {}

    @property
    def count(self) -> int:
        """How many protocols each combination has."""
        return len(self.names) or 1

    def items(self) -> list[Any]:
        """The protocols as they are given, at the first levels of their axes."""
        if self.names:
            return list(self.document["protocols"].values())
        return [self._changed({axis.name: axis.levels[0] for axis in self.varied})]

    def first(self) -> tuple[Any, str]:
        """The first of them, and its place."""
        where = self.document["protocols"].where(self.names[0]) if self.names else (self.document.where("protocol"))
        return self.items()[0], where

    def of(self, levels: dict[str, Level]) -> list[Protocol]:
        """The protocols of one combination, cases spread; the same objects for the same values."""
        key = tuple((name, level.given) for name, level in levels.items() if name.startswith(PROGRAM))
        if key not in self.known:
            several, where = self.document.get("protocols"), self.document.where("protocol")
            if several is None:
                found = [read_protocol(self._changed(levels), where)]
            else:
                found = [read_protocol(items, several.where(name)) for name, items in several.items()]
            self.known[key] = found
        return self.known[key]

    def _check(self, several: Any) -> None:
        refuse_both(self.document, "protocol", "protocols")
        where = self.document.where("protocols")
        if not isinstance(several, Mapping) or not several:
            raise UserError(
                "protocols is not a mapping of names to protocols",
                where,
                next_step="write protocols: {slow: [...], fast: [...]}",
            )
        if self.changed:
            name, place = self.changed[0]
            raise UserError(
                f"{name} varies protocol:, and the file has protocols:", place, next_step="keep one of the two ways"
            )

    def _changed(self, levels: dict[str, Level]) -> Any:
        """The items of `protocol:` with the values of their axes, which stand nowhere else, and of a case."""
        items, axes = self.document["protocol"], {axis.name for axis in self.varied}
        if not self.changed:
            return items
        whole = Mapping(self.document.file, self.document.line)
        whole["protocol"] = copy.deepcopy(items)
        for name in filter(lambda name: name.startswith(PROGRAM), levels):
            level, parts = levels[name], name.split(".")
            if name in axes and _has(whole, parts):
                raise UserError(
                    f'the study file has "{name}" beside that in variants', level.where, next_step="keep one of the two"
                )
            put(whole, parts, level.given, level.where)
        return whole["protocol"]


def refuse_both(document: Mapping, key: str, other: str) -> None:
    """UserError for what a study file has twice."""
    if document.get(key) is not None:
        raise UserError(
            f'the study file has "{key}" beside that in {other}', document.where(key), next_step="keep one of the two"
        )


def _has(node: Any, parts: list[str]) -> bool:
    """Whether there is a value at a path."""
    for part in parts:
        inside = isinstance(node, list) and part.isdecimal() and int(part) < len(node)
        node = node[int(part)] if inside else node.get(part) if isinstance(node, Mapping) else None
    return node is not None
