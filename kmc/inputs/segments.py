"""The segments of a voltage program: sweeps, pulses, holds, reads, free waveforms and loops of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import ceil, inf
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from kmc.cards.validators import Bits, Refused, nested, parsed, positive
from kmc.core.errors import UserError
from kmc.inputs.voltage_steps import Step, StopCondition

_Volt = Annotated[float, parsed("V", -1000.0, 1000.0)]
_Second = Annotated[float, positive("s", 1e9)]  # thirty years
_Since = Annotated[float, parsed("s", 0.0, 1e9)]
_Kelvin = Annotated[float | None, parsed("K", 1.0, 2000.0)]
_Limit = Annotated[float | None, positive("A")]
_Count = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
_JUMP = 1e-6  # steps: a line that takes no longer is a jump, and no line is cut once more for so little


class Segment(BaseModel):
    """What all segments share; a subclass is one waveform."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = ""
    example: ClassVar[str] = ""
    mend: ClassVar[str] = "add compliance: with the limit"

    compliance: _Limit = None
    temperature: _Kelvin = None
    until: Annotated[StopCondition | None, nested(StopCondition, "until", "until: {conductance_above: 0.1 mS}")] = None
    repeat: _Count = 1

    @model_validator(mode="after")
    def _has_a_limit(self) -> Segment:
        """A condition that can never be met is a slip: the segment would silently run to its end."""
        if self.until is not None and self.until.current_at_limit and not self.limited:
            raise Refused(UserError("no current limit is set for current_at_limit", next_step=self.mend))
        return self

    @property
    def limited(self) -> bool:
        """Whether a current limit acts where it ends."""
        return self.compliance is not None

    def levels(self) -> Iterator[tuple[float, float, int, int]]:
        """(duration in s, voltage in V, samples, cycle) of each step of one repeat."""
        raise NotImplementedError

    def size(self) -> int:
        """How many steps one repeat has, without making them."""
        raise NotImplementedError

    def total(self) -> int:
        """How many steps all repeats have."""
        return self.size() * self.repeat

    def steps(self, index: int) -> Iterator[Step]:
        """The steps of all repeats, as segment number `index`."""
        limit = inf if self.compliance is None else self.compliance
        left = self.total()
        for turn in range(self.repeat):
            levels = list(self.levels())
            offset = turn * (levels[-1][3] + 1)
            for i, (duration, voltage, samples, cycle) in enumerate(levels):
                last = i + 1 == len(levels) or levels[i + 1][3] != cycle
                until = self.until
                asked = until is not None and (last or not until.at_cycle_end)
                exits = (((until,), left),) if until is not None and asked else ()
                yield Step(duration, voltage, limit, samples, index, cycle + offset, self.temperature, exits)
                left -= 1


class Sweep(Segment):
    """A staircase from `start` to `to` in steps of `step`, and back unless told otherwise."""

    kind: ClassVar[str] = "sweep"
    example: ClassVar[str] = "sweep: {to: 1.5 V, rate: 1 V/s, step: 10 mV, compliance: 1 uA}"

    to: _Volt
    start: _Volt = 0.0
    rate: Annotated[float, parsed("V/s", 1e-9, 1e15)]
    step: Annotated[float, positive("V")] = 0.01
    back: bool = True
    cycles: _Count = 1
    samples: _Count = 1

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Sweep:
        if self.to == self.start:
            raise ValueError("a sweep needs two different voltages; use hold for a constant one")
        return self

    def _edges(self) -> int:
        return max(1, round(min(abs(self.to - self.start) / self.step, 1e9)))

    def size(self) -> int:
        return ((2 if self.back else 1) * self._edges() + 1) * self.cycles

    def levels(self) -> Iterator[tuple[float, float, int, int]]:
        edges = self._edges()
        rise = [self.start + (self.to - self.start) * i / edges for i in range(edges + 1)]
        voltages = rise + rise[-2::-1] if self.back else rise
        duration = abs(self.to - self.start) / edges / self.rate
        for cycle in range(self.cycles):
            for voltage in voltages:
                yield duration, voltage, self.samples, cycle


class ReadPulse(BaseModel):
    """A read pulse within a pulse train."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    voltage: _Volt = 0.1
    duration: _Second = 1e-3


class Pulses(Segment):
    """Equal pulses with gaps; `pattern` ("1011") leaves some out, `read` adds a read pulse after each gap."""

    kind: ClassVar[str] = "pulses"
    example: ClassVar[str] = "pulses: {amplitude: 1 V, width: 5 ms, gap: 10 ms, count: 4, compliance: 10 uA}"

    amplitude: _Volt
    width: _Second
    gap: _Since = 0.0
    count: _Count = 1
    base: _Volt = 0.0
    pattern: Bits | None = None
    read: Annotated[ReadPulse | None, nested(ReadPulse, "read", "read: {voltage: 0.1 V}")] = None
    samples: _Count = 10

    @model_validator(mode="after")
    def _one_count(self) -> Pulses:
        if self.pattern is not None and "count" in self.model_fields_set:
            raise ValueError("pattern and count exclude each other; the pattern's length is the count")
        return self

    def size(self) -> int:
        number = self.count if self.pattern is None else len(self.pattern)
        return number * (1 + (self.gap > 0) + (self.read is not None))

    def levels(self) -> Iterator[tuple[float, float, int, int]]:
        for cycle, bit in enumerate(self.pattern or "1" * self.count):
            yield self.width, self.amplitude if bit == "1" else self.base, self.samples, cycle
            if self.gap > 0:
                yield self.gap, self.base, self.samples, cycle
            if self.read is not None:
                yield self.read.duration, self.read.voltage, 1, cycle


class Hold(Segment):
    """A constant voltage; `spacing: log` looks at times that grow by decades, from a millionth on.

    With `log` or `until` each look ends a step; with `until` the condition is asked at each.
    """

    kind: ClassVar[str] = "hold"
    example: ClassVar[str] = "hold: {voltage: 0 V, duration: 1 s}"

    voltage: _Volt
    duration: _Second
    samples: _Count = 100
    spacing: Literal["linear", "log"] = "linear"

    def size(self) -> int:
        return self.samples if self.by_look() else 1

    def by_look(self) -> bool:
        """Whether each look ends a step."""
        return self.spacing == "log" or (self.until is not None and not self.until.at_cycle_end)

    def levels(self) -> Iterator[tuple[float, float, int, int]]:
        if not self.by_look():
            yield self.duration, self.voltage, self.samples, 0
            return
        shares = (
            np.logspace(-6.0, 0.0, self.samples)
            if self.spacing == "log"
            else (np.arange(1, self.samples + 1) / self.samples)
        )
        ends = self.duration * shares
        ends[-1] = self.duration
        for duration in np.diff(ends, prepend=0.0):
            yield float(duration), self.voltage, 1, 0


class Read(Hold):
    """A short hold at a small voltage with one look, at its end."""

    kind: ClassVar[str] = "read"
    example: ClassVar[str] = "read: {voltage: 0.1 V, duration: 1 ms}"

    voltage: _Volt = 0.1
    duration: _Second = 1e-3
    samples: _Count = 1


class Pwl(Segment):
    """Straight lines through points [time, voltage]: each is a staircase of equal steps of `step` at most."""

    kind: ClassVar[str] = "pwl"
    example: ClassVar[str] = "pwl: {points: [[0 s, 0 V], [1 ms, 1 V]], step: 10 us}"

    points: Annotated[tuple[tuple[_Since, _Volt], ...], Field(min_length=2)]
    step: _Second
    samples: _Count = 1

    @model_validator(mode="after")
    def _forward(self) -> Pwl:
        times = [time for time, _ in self.points]
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise ValueError("the times of the points must rise")
        if times[0] != 0.0:
            raise ValueError("the first point must be at 0 s")
        if not self.size():
            raise ValueError("step is a million times as long as any line between two points, or more")
        return self

    def _cuts(self) -> list[int]:
        """Steps of each line: a corner is an edge, so that no pulse is lost; none for a jump."""
        return [ceil(min((b[0] - a[0]) / self.step, 1e9) - _JUMP) for a, b in pairwise(self.points)]

    def size(self) -> int:
        return sum(self._cuts())

    def levels(self) -> Iterator[tuple[float, float, int, int]]:
        for (one, two), cuts in zip(pairwise(self.points), self._cuts(), strict=True):
            for i in range(cuts):
                voltage = one[1] + (two[1] - one[1]) * (i + 0.5) / cuts
                yield (two[0] - one[0]) / cuts, voltage, self.samples, 0


class Loop(Segment):
    """Segments in turn. A loop is one segment, a cycle is one turn; what is inside may have conditions and
    loops of its own. `count` names the field that says how many turns there are at most.
    """

    count: ClassVar[str] = ""
    mend: ClassVar[str] = "add compliance: to its last segment, where the condition is asked"

    segments: tuple[Any, ...]

    @property
    def limited(self) -> bool:
        return bool(self.segments[-1].limited)

    @property
    def turns(self) -> int:
        """How many turns there are, at most."""
        return int(getattr(self, self.count))

    def size(self) -> int:
        return sum(segment.total() for segment in self.segments) * self.turns

    def steps(self, index: int) -> Iterator[Step]:
        inner = [step for segment in self.segments for step in segment.steps(index)]
        left = self.total()
        for cycle in range(self.turns):
            for i, step in enumerate(inner):
                exits = self._asked(step.exits, len(inner) - i, left) + step.exits
                yield replace(step, cycle=cycle, exits=exits)
                left -= 1

    def _asked(self, exits: Any, turn: int, left: int) -> tuple[tuple[tuple[StopCondition, ...], int], ...]:
        """The loop's own condition, where a turn ends: in its last step, or by another exit to its end."""
        if self.until is None:
            return ()
        ways = [conditions for conditions, ahead in exits if ahead == turn] + [()] * (turn == 1)
        return tuple(((*conditions, self.until), left) for conditions in ways)


class Repeat(Loop):
    """Segments in turn, `times` times."""

    kind: ClassVar[str] = "repeat"
    example: ClassVar[str] = "repeat: {times: 10, segments: [...]}"
    count: ClassVar[str] = "times"

    times: _Count


class RepeatUntil(Loop):
    """Segments in turn until a condition is met at the end of a turn (write-verify), `most` times at most."""

    kind: ClassVar[str] = "repeat_until"
    example: ClassVar[str] = "repeat_until: {until: {conductance_above: 0.1 mS}, most: 50, segments: [...]}"
    count: ClassVar[str] = "most"

    most: _Count


KINDS: dict[str, type[Segment]] = {kind.kind: kind for kind in (Sweep, Pulses, Hold, Read, Pwl)}
LOOPS: dict[str, type[Loop]] = {kind.kind: kind for kind in (Repeat, RepeatUntil)}
