"""When a window asks whether its space charge must be renewed.

What follows a corner of the waveform takes from microseconds to the whole step: so the time between two asks
begins with the memory of the ions' density and grows by a share of itself, up to a small part of the step. It
begins anew where metal came or went. Error: the space charge is as old as a fifth of the time since then. The
voltage of a filament on a limiter and the number of a few ions flicker all the time: they shorten nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DENSITY_MEMORY_S = 2e-5  # over which the ions' density is averaged: no renewal is closer to the last
GROWTH = 1.25  # of the time from one to the next
PARTS = 64  # of a step, within each of which it is asked at least once


@dataclass(slots=True)
class Renewal:
    """The time of the next, and between two: now, and at most; all s."""

    end_s: float = math.inf
    wait_s: float = math.inf
    longest_s: float = math.inf

    def begin(self, now_s: float, duration_s: float) -> None:
        """A corner of the waveform, and how long it is until the next."""
        self.longest_s = max(duration_s / PARTS, DENSITY_MEMORY_S)
        self.again(now_s)

    def again(self, now_s: float) -> None:
        """From short times on."""
        self.wait_s = DENSITY_MEMORY_S
        self.end_s = now_s + self.wait_s

    def soon(self, last_s: float) -> None:
        """As soon as may be after the last one."""
        self.end_s = min(self.end_s, last_s + DENSITY_MEMORY_S)

    def due(self, now_s: float) -> float:
        """When it is, s: what is overdue is due now."""
        return max(self.end_s, now_s)

    def next(self, now_s: float) -> None:
        """It was asked."""
        self.wait_s = min(GROWTH * self.wait_s, self.longest_s)
        self.end_s = now_s + self.wait_s
