"""The verdict on one target, by the rule at the head of targets.yaml."""

from __future__ import annotations

import math
from typing import NamedTuple

from kmc_analysis.experiment.targets.targets import Target
from kmc_analysis.metrics.observation import Measured

HIT, MISS, UNCLEAR, NOT_RUN = "hit", "miss", "unclear", "not run"
STALE = "stale"  # judged by a definition that has changed since
VERDICTS = (HIT, MISS, UNCLEAR, NOT_RUN, STALE)


class Verdict(NamedTuple):
    """One of VERDICTS, and why where it is no hit."""

    verdict: str
    reason: str = ""


def judge(target: Target, found: Measured) -> Verdict:
    """The verdict on what was measured.

    Hit: the point estimate lies in the band and the 95 % interval is no wider than a band with two ends, or
    lies inside a band with one. Miss: the interval excludes the band. Unclear: otherwise. A hit is also
    unclear where something that the target asks for was not done. A hit or miss is unclear where the interval is not
    reliable, except for a miss by a bound.
    """
    if found.value is None:
        return Verdict(NOT_RUN, found.note)
    verdict = _judge(target, found)
    if found.open and (verdict.verdict == HIT or (verdict.verdict == MISS and not found.bound)):
        return Verdict(UNCLEAR, _with(found, found.open))
    if found.owed and verdict.verdict == HIT:
        return Verdict(UNCLEAR, _with(found, found.owed))
    return verdict


def _judge(target: Target, found: Measured) -> Verdict:
    if target.accept.rule:
        return _by_rule(found)
    if not target.accept.given:
        return _without_band(target, found)
    value = float(found.value)
    if not math.isfinite(found.low) or not math.isfinite(found.high):
        if math.isinf(value) or found.n > 1:
            return _at_infinity(target, found)
        return Verdict(UNCLEAR, _with(found, "one device has no interval: more replicates are owed"))
    return _in_band(target, found, value)


def _in_band(target: Target, found: Measured, value: float) -> Verdict:
    accept = target.accept
    if found.high < accept.low or found.low > accept.high:
        side = "below" if found.high < accept.low else "above"
        return Verdict(MISS, _with(found, f"the interval lies {side} the band"))
    if accept.holds(value):
        if accept.two_sided and found.high - found.low <= accept.high - accept.low:
            return Verdict(HIT, found.note)
        if not accept.two_sided and accept.holds(found.low) and accept.holds(found.high):
            return Verdict(HIT, found.note)
        return Verdict(UNCLEAR, _with(found, "the interval is too wide: more replicates are owed"))
    return Verdict(UNCLEAR, _with(found, "the estimate lies outside the band, which its interval reaches"))


def _at_infinity(target: Target, found: Measured) -> Verdict:
    """An interval with an open end (a bound of what was simulated), or none at all."""
    if math.isnan(found.low) and math.isnan(found.high):
        return Verdict(UNCLEAR, _with(found, "there is no interval"))
    low = -math.inf if math.isnan(found.low) else found.low
    high = math.inf if math.isnan(found.high) else found.high
    accept = target.accept
    if high < accept.low or low > accept.high:
        return Verdict(MISS, _with(found, "the bound lies outside the band"))
    if accept.low <= low and high <= accept.high:
        return Verdict(HIT, found.note)
    return Verdict(UNCLEAR, _with(found, "a bound only"))


def _by_rule(found: Measured) -> Verdict:
    if found.holds is None:
        return Verdict(UNCLEAR, _with(found, "more replicates are owed"))
    return Verdict(HIT if found.holds else MISS, found.note)


def _without_band(target: Target, found: Measured) -> Verdict:
    """The file gives no tolerance: an input is read back exactly, all else is reported only."""
    if target.role == "input" and found.exact:
        same = found.value == target.value
        return Verdict(HIT if same else MISS, found.note if same else _with(found, "not the value given"))
    return Verdict(UNCLEAR, _with(found, "reported only: the file gives no tolerance"))


def _with(found: Measured, reason: str) -> str:
    """The reason before the note, once."""
    return found.note if reason in found.note else f"{reason}; {found.note}".rstrip("; ")
