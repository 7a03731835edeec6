"""Which numbers of the cards move which figures: elementary effects (Morris), one table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kmc.cards.stack import load_stack
from kmc.core.atomic_files import finite
from kmc.core.errors import UserError, optional
from kmc_analysis.calibration.card_fit import Failed
from kmc_analysis.calibration.loss import is_number
from kmc_analysis.calibration.parameters import OWN, Free
from kmc_analysis.experiment.figures import figures_of, judging
from kmc_analysis.experiment.reproduce.figure_runs import REFERENCE
from kmc_analysis.experiment.targets.targets import Target
from kmc_analysis.metrics.observation import Measured

LEVELS = 4
#: the row that changes no number: its levels are other sets of devices, in each trajectory two of its own
CHANCE = "chance"
Judge = Callable[[dict[str, str], int], dict[str, Measured]]  # of numbers, for the devices of a set
Tell = Callable[[str], None]


class Influence(NamedTuple):
    """What a parameter does to a figure over its range: mean absolute and signed elementary effects, in the
    target's tolerances (decades where a tolerance has one end). `known` trajectories of `asked` had numbers.
    `span` is the range in words.
    """

    parameter: str
    span: str
    key: str
    strength: float
    direction: float
    known: int
    asked: int


def library() -> Any:
    """SALib's Morris sampler. UserError where it is not installed."""
    return optional("SALib.sample.morris", "calibrate", "kmc sensitivity")


def check(targets: Sequence[Target], parameters: Sequence[Free] = ()) -> None:
    """Raise UserError for targets and parameters without a measurable sensitivity.

    They are a target that no device run measures, since the cards' numbers do not affect it; a target with a rule in
    place of a tolerance, which gives no scale for an effect; and a number that some of the judged devices lack, such
    as one of a ligand where devices of another ligand are judged.
    """
    run = {key for figure in figures_of({one.key for one in targets}) if figure.programs for key in figure.keys}
    for one in targets:
        if one.key not in run:
            raise UserError(f"{one.key} is told by no run of a device", next_step="name another target")
        if one.accept.rule:
            raise UserError(
                f"{one.key} has a rule and no tolerance to measure an effect by", next_step="name another target"
            )
    for parameter in parameters:
        role = parameter.path.partition(".")[0]
        if role in OWN:
            _check_own(role, parameter.path, targets)


def _check_own(role: str, path: str, targets: Sequence[Target]) -> None:
    mine = load_stack(REFERENCE).cards()[role].name
    for one in targets:
        for program in (each for figure in judging({one.key}) for each in figure.programs if each.devices):
            card = load_stack(program.stack).choose(**program.choices).cards().get(role)
            if card is None or card.name != mine:
                told = f"{path} is a number of {mine}; {one.key} judges devices without it, too"
                raise UserError(told, next_step="name another target, or a number that all share")


class Lasting:
    """What `judge` says, nothing for numbers of which runs failed before and failed again: these would end
    every go at the same point. `lost` says why."""

    def __init__(self, judge: Judge) -> None:
        self.judge, self.lost = judge, list[str]()

    def __call__(self, choices: dict[str, str], others: int = 0) -> dict[str, Measured]:
        try:
            return self.judge(choices, others)
        except Failed as error:
            if not error.again:
                raise
            self.lost.append(error.message)
            return {}


def influences(
    parameters: Sequence[Free],
    targets: Sequence[Target],
    judge: Judge,
    trajectories: int,
    seed: int = 0,
    tell: Tell = lambda line: None,
) -> list[Influence]:
    """Elementary effects of all parameters, and of chance, on all targets: `trajectories` x (parameters + 2)
    judgements.

    M. D. Morris, Technometrics 33, 161 (1991). Each trajectory changes one parameter after the other by two
    thirds of its range; effects are scaled to the whole range. Chance is one more, which moves to other
    devices. It scatters, too: of eight numbers that do nothing the largest is at 1.5 to 1.8 times chance in
    the median, and above 3.4 to 4 times in one of ten to twenty tables (four or two trajectories).
    """
    names = [*(one.path for one in parameters), CHANCE]
    problem = {"num_vars": len(names), "names": names, "bounds": [[0.0, 1.0]] * len(names)}
    points = library().sample(problem, trajectories, num_levels=LEVELS, seed=seed)
    scores = np.empty((len(points), len(targets)))
    for k, point in enumerate(points):
        devices = k // (len(names) + 1) * LEVELS + round(point[-1] * (LEVELS - 1))
        found = judge(_choices(parameters, point[:-1]), devices)
        scores[k] = [_score(one, found.get(one.key)) for one in targets]
        tell(f"{k + 1} of {len(points)} points judged")
    spans = [*(f"{one.low:.3g} to {one.high:.3g} {one.unit}" for one in parameters), "other devices"]
    return [
        _influence((names[j], spans[j]), j, target, points, scores[:, t], trajectories)
        for t, target in enumerate(targets)
        for j in range(len(names))
    ]


def _choices(parameters: Sequence[Free], point: np.ndarray) -> dict[str, str]:
    values = [
        one.low * (one.high / one.low) ** share if one.log else one.low + share * (one.high - one.low)
        for one, share in zip(parameters, point, strict=True)
    ]
    return {one.path: one.told(value) for one, value in zip(parameters, values, strict=True)}


def _score(target: Target, found: Measured | None) -> float:
    """A value in tolerances of its target; NaN for none, and for a bound, which moves with nothing."""
    if found is None or not is_number(found.value) or math.isinf(found.high):
        return math.nan
    accept = target.accept
    if accept.two_sided:
        return float(found.value) / ((accept.high - accept.low) / 2)
    return math.log10(found.value) if found.value > 0 else math.nan


def _influence(
    name: tuple[str, str], j: int, target: Target, points: np.ndarray, score: np.ndarray, trajectories: int
) -> Influence:
    """The effects of parameter `j`, of that name and span: the steps of each trajectory that move it."""
    steps, rises = np.diff(points, axis=0), np.diff(score)
    size = len(points[0]) + 1
    inside = np.arange(len(steps)) % size != size - 1  # not from one trajectory to the next
    moved = inside & (np.abs(steps[:, j]) > 1e-9)
    effects = (rises[moved] / steps[moved, j])[np.isfinite(rises[moved])]
    if not len(effects):
        return Influence(*name, target.key, math.nan, math.nan, 0, trajectories)
    return Influence(
        *name, target.key, float(np.abs(effects).mean()), float(effects.mean()), len(effects), trajectories
    )


def table(found: Sequence[Influence]) -> list[list[str]]:
    """One row a parameter, with its range, one column a target: the strength, with a sign where it points one
    way."""
    rows: dict[str, list[str]] = {}
    for one in found:
        rows.setdefault(one.parameter, [one.parameter, one.span]).append(_cell(one))
    return list(rows.values())


def _cell(one: Influence) -> str:
    if math.isnan(one.strength):
        return "-"
    sign = (
        ""
        if one.strength == 0
        else "+"
        if one.direction > 0.9 * one.strength
        else ("-" if one.direction < -0.9 * one.strength else "+-")
    )
    some = "" if one.known == one.asked else f" ({one.known} of {one.asked})"
    return f"{sign}{one.strength:.2g}{some}"


def keys_of(found: Sequence[Influence]) -> list[str]:
    """The targets of the columns."""
    return list(dict.fromkeys(one.key for one in found))


def as_rows(found: Sequence[Influence]) -> list[Mapping[str, Any]]:
    """Plain data."""
    return [dict(finite(one._asdict())) for one in found]
