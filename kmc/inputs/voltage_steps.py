"""A step of a voltage program, and the conditions that end it early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from kmc.cards.validators import positive

_Siemens = Annotated[float | None, positive("S")]


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of constant source voltage.

    `samples` evenly spaced looks, the last at the step's end; `compliance_A` is inf where there is no
    limit; `temperature_K` is None for the stage's own. `exits` are asked at its end: conditions, and by how
    many steps one goes on where all of them are met; the first that are met count, else one goes on by one.
    """

    duration_s: float
    voltage_V: float
    compliance_A: float
    samples: int
    segment: int
    cycle: int
    temperature_K: float | None = None
    exits: tuple[tuple[tuple[StopCondition, ...], int], ...] = ()

    @property
    def level(self) -> tuple[float, float, float | None]:
        """What is held: voltage, limit and stage. Where it changes is a corner."""
        return self.voltage_V, self.compliance_A, self.temperature_K

    def after(self, conductance_S: float, limited: bool) -> int:
        """By how many steps one goes on, for what the device shows at the step's end."""
        look = (conductance_S, limited)
        return next((ahead for conditions, ahead in self.exits if all(c.met(*look) for c in conditions)), 1)


class StopCondition(BaseModel):
    """What ends a segment early: one of four conditions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conductance_above: _Siemens = None
    conductance_below: _Siemens = None
    current_at_limit: Literal[True] | None = None
    failure: _Siemens = None

    @model_validator(mode="after")
    def _one(self) -> StopCondition:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of " + ", ".join(type(self).model_fields))
        return self

    @property
    def at_cycle_end(self) -> bool:
        """Whether the condition is asked only where a cycle ends: `failure`, a cycle that ends conducting."""
        return self.failure is not None

    def met(self, conductance_S: float, limited: bool) -> bool:
        """Whether this look at the device ends the segment; `limited` is the limiter in action."""
        if self.conductance_above is not None:
            return conductance_S > self.conductance_above
        if self.conductance_below is not None:
            return conductance_S < self.conductance_below
        if self.failure is not None:
            return conductance_S > self.failure
        return limited
