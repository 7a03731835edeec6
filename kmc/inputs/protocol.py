"""The voltage program of a run: segments in order, from a run file or from builders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from functools import cached_property
from itertools import chain
from typing import Any

from kmc.cards import validators, yaml_documents
from kmc.cards.yaml_documents import Mapping
from kmc.core import units
from kmc.core.errors import UserError
from kmc.inputs import pwl_table
from kmc.inputs.segments import KINDS, LOOPS, Hold, Loop, Pulses, Pwl, Read, Repeat, RepeatUntil, Segment, Sweep
from kmc.inputs.voltage_steps import Step, StopCondition

__all__ = ["Protocol", "Segment", "Step", "StopCondition", "leaves", "read_protocol"]

STEP_LIMIT = 2_000_000
SAMPLE_LIMIT = 20_000_000  # a dataset of 2 GB
_UNITS = {
    **dict.fromkeys(("to", "start", "step", "amplitude", "base", "voltage"), "V"),
    "rate": "V/s",
    **dict.fromkeys(("width", "gap", "duration"), "s"),
    "compliance": "A",
    "temperature": "K",
    **dict.fromkeys(("conductance_above", "conductance_below", "failure"), "S"),
}


class Protocol:
    """Segments in order, or protocols. Immutable; `a + b` runs one after the other.

    >>> Protocol.sweep("1.5 V", rate="100 V/s", compliance="1 uA") + Protocol.read()
    """

    def __init__(self, segments: Any) -> None:
        parts = segments if isinstance(segments, Iterable) else (segments,)
        self.segments: tuple[Segment, ...] = tuple(
            chain.from_iterable(one.segments if isinstance(one, Protocol) else (one,) for one in parts)
        )
        if not all(isinstance(one, Segment) for one in self.segments):
            raise UserError(
                "a protocol is not made of segments",
                next_step="write e.g. Protocol.read(); kmc.simulate takes the list of a run file, too",
            )
        if not self.segments:
            raise UserError("the protocol is empty", next_step="add a segment, e.g. Protocol.sweep(...)")
        total = sum(segment.total() for segment in self.segments)
        if total > STEP_LIMIT:
            raise UserError(
                f"the protocol has {total:,} steps, more than {STEP_LIMIT:,}",
                next_step="take larger steps or fewer cycles",
            )
        looks = sum(map(_looks, self.segments))
        if looks > SAMPLE_LIMIT:
            raise UserError(
                f"the protocol has {looks:,} samples, more than {SAMPLE_LIMIT:,}", next_step="give fewer samples"
            )

    def __add__(self, other: Protocol) -> Protocol:
        return Protocol(self.segments + other.segments) if isinstance(other, Protocol) else NotImplemented

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Protocol) and self.segments == other.segments

    def __hash__(self) -> int:
        return hash(self.segments)

    def __repr__(self) -> str:
        kinds = ", ".join(segment.kind for segment in self.segments)
        return f"Protocol({kinds}; {units.format_si(self.duration_s, 's')})"

    @classmethod
    def sweep(
        cls,
        to: Any,
        rate: Any,
        step: Any = "10 mV",
        compliance: Any = None,
        back: bool = True,
        cycles: int = 1,
        **more: Any,
    ) -> Protocol:
        """A staircase from 0 V (`start`) to `to`, and back."""
        return cls._one(Sweep, to=to, rate=rate, step=step, compliance=compliance, back=back, cycles=cycles, **more)

    @classmethod
    def pulses(
        cls,
        amplitude: Any,
        width: Any,
        gap: Any = 0.0,
        count: int | None = None,
        compliance: Any = None,
        read: Any = None,
        **more: Any,
    ) -> Protocol:
        """`count` pulses of `amplitude` and `width`; `read` is {"voltage": ..., "duration": ...} or None."""
        more |= {} if count is None else {"count": count}
        return cls._one(Pulses, amplitude=amplitude, width=width, gap=gap, compliance=compliance, read=read, **more)

    @classmethod
    def hold(cls, voltage: Any, duration: Any, compliance: Any = None, **more: Any) -> Protocol:
        """A constant voltage."""
        return cls._one(Hold, voltage=voltage, duration=duration, compliance=compliance, **more)

    @classmethod
    def read(cls, voltage: Any = "0.1 V", duration: Any = "1 ms", **more: Any) -> Protocol:
        """A small voltage with one look at its end."""
        return cls._one(Read, voltage=voltage, duration=duration, **more)

    @classmethod
    def pwl(cls, points: Any = None, step: Any = None, file: str | None = None, **more: Any) -> Protocol:
        """Straight lines through (time, voltage) points, or through those of a CSV `file`."""
        given = {"points": points, "step": step, "file": file} | more
        told = {key: one for key, one in given.items() if one is not None}
        return cls([_read_segment({Pwl.kind: told}, "")])

    def repeated(self, times: int, until: dict[str, Any] | None = None) -> Protocol:
        """This protocol `times` times as one segment, or until `until` is met at the end of a turn."""
        kind: type[Loop] = Repeat if until is None else RepeatUntil
        return self._one(kind, **{"segments": self.segments, kind.count: times, "until": until})

    @classmethod
    def _one(cls, kind: type[Segment], **values: Any) -> Protocol:
        return cls([validators.build(kind, values, kind.kind, f"e.g. {kind.example}")])

    @cached_property
    def _steps(self) -> tuple[Step, ...]:
        return tuple(step for index, segment in enumerate(self.segments) for step in segment.steps(index))

    def steps(self) -> list[Step]:
        """All steps in order."""
        return list(self._steps)

    def conditions(self) -> Iterator[StopCondition]:
        """What may end a segment or a loop early."""
        return _conditions(self.segments)

    @cached_property
    def duration_s(self) -> float:
        """The time of all steps, if no stop condition ends a segment early."""
        return float(sum(step.duration_s for step in self._steps))

    def to_data(self) -> list[dict[str, Any]]:
        """Plain data in internal units, for provenance and hashes; read_protocol takes it back."""
        return [_segment_data(segment) for segment in self.segments]


def _conditions(segments: tuple[Segment, ...]) -> Iterator[StopCondition]:
    for segment in segments:
        if segment.until is not None:
            yield segment.until
        if isinstance(segment, Loop):
            yield from _conditions(segment.segments)


def _looks(segment: Segment) -> int:
    """How many samples a segment has at most, without making them."""
    if isinstance(segment, Loop):
        return sum(map(_looks, segment.segments)) * segment.turns
    once = isinstance(segment, Hold) and segment.by_look()  # then one a step
    return segment.total() * (1 if once else getattr(segment, "samples", 1))


def _segment_data(segment: Segment) -> dict[str, Any]:
    values = segment.model_dump(mode="json", exclude_none=True)
    if "pattern" in values:
        del values["count"]
    if isinstance(segment, Loop):
        inner = [_segment_data(one) for one in segment.segments]
        until = {} if segment.until is None else {"until": values["until"]}
        return {segment.kind: {**until, segment.count: segment.turns, "segments": inner}}
    return {segment.kind: values}


def unit_of(*parts: str) -> str:
    """The unit of a number of a protocol in plain data, by the end of its path; "1" for a count."""
    *_, kind, key = parts
    if "points" in parts[:-2]:
        return ("s", "V")[int(key)]
    if (kind, key) == (Pwl.kind, "step"):
        return "s"
    return _UNITS.get(key, "1")


def leaves(items: Iterable[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(kind, settings) of the segments of a protocol's data; in place of a loop those that it repeats."""
    for kind, values in (entry for item in items for entry in item.items()):
        if "segments" in (values or {}):
            yield from leaves(values["segments"])
        else:
            yield kind, values or {}


def read_protocol(items: Any, where: str = "", what: str = "protocol") -> Protocol:
    """The protocol of a run file's list of segments, called `what`; errors name file and line."""
    place = yaml_documents.place(items) or where
    if not isinstance(items, list) or not items:
        raise UserError(f"{what} is not a list of segments", place, next_step=f"write - {Sweep.example}")
    segments = [_read_segment(item, yaml_documents.place(items, i) or where) for i, item in enumerate(items)]
    try:
        return Protocol(segments)
    except UserError as error:
        raise error.at(place) from None


def _read_segment(item: Any, where: str) -> Segment:
    kinds: dict[str, type[Segment]] = {**KINDS, **LOOPS}
    if isinstance(item, dict) and len(item) > 1 and kinds.keys() >= item.keys():
        raise UserError(
            f"{' and '.join(map(str, item))} are one item of the list", where, next_step="begin each with - of its own"
        )
    if not isinstance(item, dict) or len(item) != 1:
        raise UserError(
            "a segment is not one word with its settings, indented below it or in braces",
            where,
            next_step=f"write - {Sweep.example}",
        )
    name, values = next(iter(item.items()))
    place = yaml_documents.place(item, name) or where
    if name not in kinds:
        raise yaml_documents.unknown(f'unknown segment "{name}"', name, kinds, place)
    if values is None and name == "read":
        values = Mapping(*_split(place))
    if not isinstance(values, dict):
        raise UserError(f"{name} has no settings", place, next_step=f"write - {kinds[name].example}")
    try:
        if name == Pwl.kind:
            values = pwl_table.with_points(values)
        if name in KINDS:
            return validators.build(KINDS[name], values, name, f"e.g. {KINDS[name].example}")
        return _read_loop(LOOPS[name], values, place)
    except UserError as error:
        raise error.at(place) from None


def _read_loop(kind: type[Loop], values: dict[str, Any], where: str) -> Loop:
    allowed = ("segments", kind.count, *(("until",) if kind is RepeatUntil else ()))
    yaml_documents.check_keys(values, allowed, kind.kind)
    for key in allowed:
        if values.get(key) is None:
            raise UserError(f'{kind.kind} has no "{key}"', where, next_step=f"e.g. {kind.example}")
    given = copy(values)  # with the lines of its keys, where it has any
    given["segments"] = read_protocol(values["segments"], where, f"segments in {kind.kind}").segments
    return validators.build(kind, given, kind.kind, f"e.g. {kind.example}")


def _split(where: str) -> tuple[str, int]:
    file, _, line = where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (where, 1)
