"""The trials of a search, kept in a folder: who may go on with them, and what becomes of one cut short."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kmc.cards.stack import load_stack
from kmc.core import atomic_files
from kmc.core.errors import CorruptFile, UserError, optional
from kmc.core.source_files import digest, sources_of
from kmc.io import provenance
from kmc_analysis.calibration import loss
from kmc_analysis.calibration.loss import fitted_targets
from kmc_analysis.calibration.parameters import Free
from kmc_analysis.experiment.figures import judging
from kmc_analysis.experiment.reproduce.figure_runs import Extent, Maker

NAME = "trials.db"
_FAILED = "failed"  # a trial of which runs failed, not one that was stopped

# What decides a loss: how a search differs in it from the one that is there, and what to do.
_OTHER = "choose another --out"
_DIFFERENCES = {
    "engine": ("by another engine", _OTHER),
    "parameters": ("over {held}", "name the same parameters, or choose another --out"),
    "devices": ("over other devices ({held})", "give the same --seed, --seeds and --quick, or choose another --out"),
    "bounds": ("with other starting values or bounds", _OTHER),
    "stacks": ("with other cards or stacks", _OTHER),
    "targets": ("for other targets or tolerances", "give the same --target, or choose another --out"),
    "programs": ("by other programs", _OTHER),
    "sources": ("by other sources of the figures", _OTHER),
}


def optuna() -> Any:
    """The optimiser. UserError where it is not installed."""
    library = optional("optuna", "calibrate", "kmc calibrate")
    library.logging.set_verbosity(library.logging.WARNING)
    return library


def deciding(parameters: Sequence[Free], extent: Extent | None, keys: Collection[str]) -> dict[str, str]:
    """What decides the loss of a choice, by the names of _DIFFERENCES: losses of another do not compare."""
    fitted = fitted_targets(keys)
    figures = judging(fitted)
    programs = [one for figure in figures for one in figure.programs if (extent or Extent()).seeds(one)]
    maker, modules = Maker(), {loss.__name__, *(figure.measure.__module__ for figure in figures)}
    return {
        "engine": provenance.versions()["engine"],
        "parameters": ", ".join(one.path for one in parameters),
        "devices": repr(extent),
        "bounds": repr(list(parameters)),
        "stacks": repr({name: load_stack(name).hash for name in sorted({one.stack for one in programs})}),
        "targets": repr({key: one.accept for key, one in fitted.items()}),
        "programs": repr(sorted({maker.run(one, seed=0).name for one in programs})),
        "sources": digest(sources_of(modules)),
    }


@contextlib.contextmanager
def opened(out: Path, decided: Mapping[str, str]) -> Iterator[Any]:
    """The optuna study in the folder `out`, a new one where there is none, for this process alone.

    A trial without an end, of this process or of one that was killed, fails, and its values are the next to
    be judged; one that is `given_up` has its end. Raises UserError for a study that something else than
    `decided` decides, Busy, CorruptFile and WriteFailed.
    """
    library = optuna()
    atomic_files.make_folder(out)
    with atomic_files.only_one(out), _explained(out / NAME):
        study = library.create_study(study_name="calibrate", storage=_address(out / NAME), load_if_exists=True)
        _compare(study, decided, out)
        _put_back(study)
        try:
            yield study
        finally:
            _put_back(study)


def _address(path: Path) -> str:
    """The database at `path`; in an address "?", "%" and "{" of a folder would mean something else."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=str(path.resolve())).render_as_string()


def _compare(study: Any, decided: Mapping[str, str], out: Path) -> None:
    """Refuse to go on with trials that something else decided; note in a new study what does."""
    if not study.trials:
        for name, value in decided.items():
            study.set_user_attr(name, value)
        return
    held = study.user_attrs
    for name, (told, step) in _DIFFERENCES.items():
        if held.get(name) != decided[name]:
            raise UserError(f"{out} holds a search {told.format(held=held.get(name))}", next_step=step)


def _put_back(study: Any) -> None:
    """Queue the values of the trials under way, and only then let these fail: killed between, none is lost.
    One that was cut off while it asked for its values has those that it was queued with."""
    state = optuna().trial.TrialState
    for trial in study.get_trials(states=(state.RUNNING,)):
        study.enqueue_trial({**trial.system_attrs.get("fixed_params", {}), **trial.params})
        study.tell(trial.number, state=state.FAIL)


def given_up(study: Any, trial: Any) -> bool:
    """Note that runs of a trial failed, and let it fail for good where they did before with its values: what
    fails twice is no full disk, but these numbers. Otherwise its values are judged once more."""
    trial.set_user_attr(_FAILED, True)
    again = sum(_FAILED in one.user_attrs and one.params == trial.params for one in study.trials) > 1
    if again:
        study.tell(trial, state=optuna().trial.TrialState.FAIL)
    return again


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the database's errors about `path` into a WriteFailed for what the system refuses (a full disk, a
    file that cannot be opened), else into a CorruptFile."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (StorageInternalError, DBAPIError) as error:
        cause: BaseException = error
        while cause.__cause__:
            cause = cause.__cause__
        if isinstance(cause, sqlite3.OperationalError):
            step = "check the disk; the same command goes on"
            raise atomic_files.WriteFailed(str(cause), str(path), next_step=step) from error
        raise CorruptFile(str(cause), str(path), next_step="choose another --out") from error
