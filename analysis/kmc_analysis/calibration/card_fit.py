"""The search: optuna proposes shared numbers of the cards, the calibration targets' figures judge them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kmc.core.errors import UserError
from kmc_analysis.calibration.loss import fitted_targets, loss
from kmc_analysis.calibration.parameters import Free
from kmc_analysis.calibration.trials import deciding, given_up, opened, optuna
from kmc_analysis.experiment.figures import judging
from kmc_analysis.experiment.reproduce import row_identity
from kmc_analysis.experiment.reproduce.figure_runs import Changes, Extent, Session
from kmc_analysis.metrics.observation import Measured

_MOST_FAILURES = 2  # named
FURTHER = 10_000  # seeds from one set of devices to the next: more than a program has
Tell = Callable[[str], None]
Judge = Callable[[dict[str, str]], dict[str, Measured]]


class Posterior(NamedTuple):
    """A parameter's best value, and mean and standard deviation over the trials weighted by exp(-loss)."""

    free: Free
    best: float
    mean: float
    sigma: float


@dataclass
class Simulated:
    """The figures' measurements for chosen card numbers; runs are kept in `out`.

    keys: the targets, by default those of the calibration.
    """

    out: Path
    extent: Extent
    workers: int
    should_stop: Callable[[], bool]
    keys: set[str] = field(default_factory=lambda: set(fitted_targets()))

    def __post_init__(self) -> None:
        self.figures = [one for one in judging(self.keys) if one.compute is None]

    def __call__(self, choices: dict[str, str], others: int = 0) -> dict[str, Measured]:
        """`others` counts the set of devices, each with seeds of its own.

        Raises Failed when runs failed, Stopped when it was asked to stop; the runs that are done are kept.
        UserError where another engine made some of them: what it did moves a figure too.
        """
        first = self.extent.seed + others * FURTHER
        session = Session(self.figures, self.out, replace(self.extent, seed=first), Changes(choices))
        self._check_engine(session)
        before = {name for name in session.runs if session.why_failed(name)}
        finished = session.go(self.workers, lambda figure: None, None, self.should_stop)
        if session.failures:
            raise _failed(session, again=not before.isdisjoint(session.failures))
        if not finished:
            raise Stopped("interrupted; the runs that are done are kept")
        self._check_engine(session)  # the workers of a long session may be of newer sources
        found: dict[str, Measured] = {}
        for figure in self.figures:
            if not session.left_out(figure):
                measured = figure.measure(session.of(figure))
                found |= {key: one for key, one in measured.items() if key in self.keys}
        return found

    def _check_engine(self, session: Session) -> None:
        made = {name for figure in self.figures for name in row_identity.engines(session.of(figure))}
        if row_identity.others(made):
            raise UserError(f"{self.out} holds runs of another engine", next_step="choose another --out")


class Stopped(UserError):
    """It was asked to stop in the middle of a trial. The command line leaves with exit code 3."""

    exit_code = 3


class Failed(UserError):
    """Numbers that were asked for are not there to be judged, `again` where runs failed that had failed
    before. The command line leaves with exit code 3."""

    exit_code = 3
    again = False


def _failed(session: Session, again: bool) -> Failed:
    """Why the first of the runs failed that did. What the others say is no loss of these choices."""
    failed = [(session.runs[name], why) for name, why in session.failures.items()]
    told = [f"seed {run.seed} of {run.description}: {why}" for run, why in failed[:_MOST_FAILURES]]
    told += [f"and {len(failed) - _MOST_FAILURES} more"] * (len(failed) > _MOST_FAILURES)
    error = Failed(
        f"{len(failed)} of {len(session.runs)} runs failed: {', '.join(told)}",
        next_step="what is done is kept, and the same command goes on",
    )
    error.again = again
    return error


def search(
    parameters: Sequence[Free],
    judge: Judge,
    out: Path,
    trials: int,
    seed: int = 0,
    tell: Tell = lambda line: None,
    extent: Extent | None = None,
    keys: Collection[str] = (),
) -> Any:
    """An optuna study of `trials` finished trials in out/trials.db, fewer where `judge` was stopped; one that
    is there is gone on with.

    The first trial is the cards' own values. What else `judge` raises is raised, and its trial is judged
    again; values of which runs failed twice are given up, and others asked for.

    Raises UserError for a study whose losses do not compare: of other parameters, bounds, cards, targets,
    or other of them (`keys`; all if none is named), devices (`extent`), or by another engine.
    """
    with opened(out, deciding(parameters, extent, keys)) as study, contextlib.suppress(Stopped):
        count = len(finished(study))
        # By all trials, also those that failed: another session would ask for the same values again.
        seed += len(study.trials)
        study.sampler = optuna().samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=10)
        if not study.trials:
            study.enqueue_trial({one.path: one.start for one in parameters})
        while count < trials:
            trial = study.ask()
            values = {one.path: trial.suggest_float(one.path, one.low, one.high, log=one.log) for one in parameters}
            try:
                found = judge({one.path: one.told(values[one.path]) for one in parameters})
            except Failed as error:
                if not given_up(study, trial):
                    raise
                tell(f"{error.message} again: these values are given up")
                continue
            value = loss(found)
            trial.set_user_attr("found", {key: one.value for key, one in found.items()})
            study.tell(trial, value)
            count += 1
            tell(f"trial {count} of {trials}: loss {value:.3g}, best {study.best_value:.3g}")
    return study


def finished(study: Any) -> list[Any]:
    """The trials of a study that have a loss."""
    return [one for one in study.trials if one.value is not None and math.isfinite(one.value)]


def posterior(study: Any, parameters: Sequence[Free]) -> list[Posterior]:
    """Best values with their spreads. Trials crowd where the loss is low, so a spread is a lower bound."""
    trials = finished(study)
    if not trials:
        raise UserError("no trial is finished", next_step="go on with the same command")
    weight = np.exp(-np.array([one.value - study.best_value for one in trials]))
    weight /= weight.sum()
    found = []
    for one in parameters:
        values = np.array([trial.params[one.path] for trial in trials])
        mean = float(weight @ values)
        sigma = math.sqrt(float(weight @ (values - mean) ** 2))
        found.append(Posterior(one, float(study.best_params[one.path]), mean, sigma))
    return found
