"""Fits of compact models: global, then local, with intervals and the parameters that the data leave open."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kmc.core.errors import UserError
from kmc_analysis.compact.equations.model import CompactModel, Parameter
from kmc_analysis.compact.fitting import fit_data, global_search
from kmc_analysis.compact.fitting import parameter_intervals as intervals
from kmc_analysis.compact.fitting.fit_data import Trace
from kmc_analysis.compact.fitting.misfit import Problem, from_unit
from kmc_analysis.compact.fitting.parameter_intervals import LEVEL

# Share of the distance between a parameter's bounds: a wider interval does not identify the parameter.
TELLS_NOTHING = 0.5


@dataclass(frozen=True)
class Estimate:
    """One parameter of a fit: value and interval in its unit (see `Fit`), and whether the data identify it.

    why: "" where they do, else the reason.
    """

    parameter: Parameter
    value: float
    low: float
    high: float
    why: str = ""

    @property
    def identified(self) -> bool:
        """Whether the data identify this parameter."""
        return not self.why


@dataclass(frozen=True)
class Fit:
    """The outcome: parameters, goodness, and the directions in which the data say nothing.

    mean_square: of the misfit, in decades. errors: median relative error of the conductance, by trace;
    held_out the same for traces that were not fitted. blind: combinations of parameters, each a mapping of
    name to weight, that the data leave open. scatter: of traces that are medians of replicates, how far one
    of these lies from the others (see `data.typical`), fitted or not. intervals: how they were found;
    of_devices: whether they are the typical device's, or only of the fit to these curves, whose points they
    take for independent.
    """

    model: CompactModel
    values: dict[str, float]
    estimates: list[Estimate]
    chi_squared: float
    mean_square: float
    points: int
    evaluations: int
    errors: dict[str, float]
    held_out: dict[str, float]
    blind: list[dict[str, float]] = field(default_factory=list)
    scatter: dict[str, float] = field(default_factory=dict)
    intervals: str = "profile"
    of_devices: bool = False


@dataclass(frozen=True)
class Search:
    """How a fit is searched for.

    generations: of the global search (differential evolution), 0 for none; bootstrap: number of resamples, 0
    for intervals by the profile of the misfit. The seed is of both.
    """

    seed: int = 0
    generations: int = 40
    bootstrap: int = 0


def fit(
    model: CompactModel,
    traces: Sequence[Trace],
    held_out: Sequence[Trace] = (),
    *,
    fixed: Mapping[str, float] | None = None,
    free: Sequence[str] | None = None,
    search: Search = Search(),
    tell: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Fit `model` to all `traces` at once, to the median of those that are replicates (`data.typical`).

    fixed: parameters with the values to keep; free: the ones to fit, those that the model marks if None.
    `tell` receives lines of progress. Raises UserError for unknown names, values out of bounds and too
    few data.
    """
    from scipy.optimize import least_squares

    fixed = dict(fixed or {})
    for name, value in fixed.items():
        model.within(name, value)
    problem = Problem(model, fit_data.typical(traces), fixed, free, tell)
    points = sum(int(np.sum(one.used)) for one in problem.traces)
    if points <= len(problem.parameters):
        raise UserError(
            f"{points} points cannot tell {len(problem.parameters)} parameters",
            next_step="give more data, or fix parameters",
        )
    best = global_search.start(problem, search.seed, search.generations)
    found = least_squares(
        problem.residuals, best, problem.jacobian, bounds=(0.0, 1.0), xtol=1e-9, ftol=1e-9, max_nfev=60
    )
    return _outcome(problem, found.x, found.jac, found.fun, held_out, search)


def _outcome(
    problem: Problem,
    places: np.ndarray,
    jacobian: np.ndarray,
    residuals: np.ndarray,
    held_out: Sequence[Trace],
    search: Search,
) -> Fit:
    from scipy.stats import t

    freedom = residuals.size - places.size
    chi_squared = float(residuals @ residuals) / freedom
    _, singular, directions = np.linalg.svd(jacobian, full_matrices=False)
    spreads = math.sqrt(chi_squared) / np.maximum(singular, 1e-12 * max(singular[0], 1e-100))
    with np.errstate(over="ignore"):  # of parameters that the data do not constrain
        sigma = np.sqrt(np.sum((directions.T * spreads) ** 2, axis=1))
    half = float(t.ppf(0.5 + LEVEL / 2.0, freedom)) * sigma
    if search.bootstrap:
        low, high = intervals.bootstrapped(problem, places, residuals, search.seed, search.bootstrap)
    else:
        low, high = intervals.profiled(problem, places, jacobian, residuals, half)
    reach = intervals.of_devices(problem.traces, places, jacobian, search.seed)
    low, high = np.minimum(low, places - reach), np.maximum(high, places + reach)
    vector = problem.vector(places)
    estimates = [_estimate(*item) for item in zip(problem.parameters, places, low, high, strict=True)]
    return Fit(
        problem.model,
        dict(zip(problem.model.names, vector.tolist(), strict=True)),
        estimates,
        chi_squared,
        _mean_square(problem, vector),
        residuals.size,
        problem.evaluations,
        _errors(problem, vector, problem.traces),
        _errors(problem, vector, held_out),
        _blind(problem, directions, spreads),
        {one.name: one.scatter for one in [*problem.traces, *held_out] if one.replicates > 1},
        intervals="bootstrap" if search.bootstrap else "profile",
        of_devices=intervals.tell_devices(problem.traces),
    )


def _blind(problem: Problem, directions: np.ndarray, spreads: np.ndarray) -> list[dict[str, float]]:
    """The combinations of parameters that the data leave open, from the singular vectors and their widths."""
    names = [parameter.name for parameter in problem.parameters]
    return [
        {n: round(float(w), 3) for n, w in zip(names, directions[k], strict=True) if abs(w) > 0.2}
        for k in range(spreads.size)
        if 2.0 * 1.96 * spreads[k] > TELLS_NOTHING
    ]


def _estimate(parameter: Parameter, place: float, low: float, high: float) -> Estimate:
    why = ""
    if high - low > TELLS_NOTHING:
        why = "the data cannot tell it: its interval is wider than half of its bounds"
    elif place < 1e-3 or place > 1.0 - 1e-3:
        why = f"it lies at its {'lower' if place < 0.5 else 'upper'} bound"
    ends = [from_unit(parameter, min(max(end, 0.0), 1.0)) for end in (low, high)]
    return Estimate(parameter, from_unit(parameter, place), ends[0], ends[1], why)


def _mean_square(problem: Problem, vector: np.ndarray) -> float:
    """Mean square of the misfit in decades, whatever the weights; infinite without an answer."""
    parts = []
    for one in problem.traces:
        found = problem.predicted(vector, one)
        parts.append(np.full(1, np.inf) if found is None else (found - one.log_g)[one.used] ** 2)
    return float(np.mean(np.concatenate(parts)))


def _errors(problem: Problem, vector: np.ndarray, traces: Sequence[Trace]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in traces:
        predicted = problem.predicted(vector, one)
        name, again = one.name, 2
        while name in found:
            name, again = f"{one.name} ({again})", again + 1
        if predicted is None:
            found[name] = math.inf
        else:
            found[name] = float(np.median(np.abs(10.0 ** (predicted - one.log_g)[one.used] - 1.0)))
    return found
