"""Where a local fit begins: what traces show at a glance, a global search, and the best of its valleys."""

from __future__ import annotations

import numpy as np

from kmc.core import random_streams
from kmc_analysis.compact.fitting import initial_guess
from kmc_analysis.compact.fitting.misfit import FIT_RTOL, Problem

SEARCH_RTOL = 1e-3  # of the states: a valley is found with a third of the steps that its bottom needs
POLISH_RTOL = 5e-5
POLISH_STEP = 1e-3  # of the bounds' width, for derivatives
SEARCHES = 3  # one in three of the fits of `silver` to thirty devices ended in a valley twice as high
VALLEYS = 4  # members of the last population that are followed downhill
KICKS, SCAN = 3, 16  # rounds at most of scans over single parameters, and points of a scan
APART = 0.05  # of the bounds' width: members closer than that are in one valley
_EDGE = 1e-3


def start(problem: Problem, seed: int, generations: int) -> np.ndarray:
    """The places [free] from which the local fit begins.

    generations: of the global search; 0 begins at the model's own values, without a search.
    """
    own = problem.places_of({})
    if generations == 0:
        return np.clip(own, 0.01, 0.99)
    seen = problem.places_of(initial_guess.values(problem.model, problem.traces, problem.fixed))
    begins = [np.clip(own, _EDGE, 1.0 - _EDGE), np.clip(seen, _EDGE, 1.0 - _EDGE)]
    problem.rtol = SEARCH_RTOL
    for search in range(SEARCHES):
        begins += _population(problem, begins[1], random_streams.numbered(seed, "compact fit", search), generations)
    problem.rtol = POLISH_RTOL
    best = min((_downhill(problem, begin) for begin in begins), key=lambda end: end[0])
    for _ in range(KICKS):
        again = _downhill(problem, _kicked(problem, best[1]))
        if again[0] > 0.99 * best[0]:
            break
        best = again
    problem.rtol = FIT_RTOL
    return best[1]


def _kicked(problem: Problem, places: np.ndarray) -> np.ndarray:
    """The places with each parameter in turn put where a scan over its bounds finds the least misfit.

    A threshold that has no slope, because it lies beyond every sample or another one hides it, comes back so.
    """
    best, places = problem.cost(places), places.copy()
    for k in range(places.size):
        for place in (np.arange(SCAN) + 0.5) / SCAN:
            there = places.copy()
            there[k] = place
            cost = problem.cost(there)
            if cost < best:
                best, places = cost, there
    return places


def _population(problem: Problem, seen: np.ndarray, stream: np.random.Generator, generations: int) -> list[np.ndarray]:
    """The best members, in different valleys, of the last population of a differential evolution."""
    from scipy.optimize import differential_evolution

    found = differential_evolution(
        problem.cost,
        [(0.0, 1.0)] * seen.size,
        x0=seen,
        maxiter=generations,
        popsize=6,
        tol=1e-6,
        polish=False,
        init="sobol",
        rng=stream,
    )
    kept: list[np.ndarray] = []
    for k in np.argsort(found.population_energies):
        member = np.clip(found.population[k], _EDGE, 1.0 - _EDGE)
        if len(kept) < VALLEYS and all(np.max(np.abs(member - other)) > APART for other in kept):
            kept.append(member)
    return kept


def _downhill(problem: Problem, begin: np.ndarray) -> tuple[float, np.ndarray]:
    """Cost and places where a local fit ends that a few far points do not rule."""
    from scipy.optimize import least_squares

    found = least_squares(
        problem.residuals, begin, bounds=(0.0, 1.0), diff_step=POLISH_STEP, loss="soft_l1", max_nfev=25
    )
    places = np.clip(found.x, 1e-6, 1.0 - 1e-6)
    return float(found.cost), places
