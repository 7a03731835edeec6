"""Observers: when x what, on copies. Looking changes nothing; rows are buffered until they are taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from kmc.core.errors import UserError
from kmc.io.variables import ALL

#: makes a number of copies: cation, vacancy, potential, temperature, region [z, y, x], and spacing_nm
Look = Callable[[dict[str, Any]], float]


class Rows:
    """Columns of plain floats; an append costs a tenth of a microsecond a value, not an xarray object."""

    def __init__(self, names: Iterable[str]) -> None:
        self.columns: dict[str, list[float]] = {name: [] for name in names}

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def __getitem__(self, name: str) -> list[float]:
        return self.columns[name]

    def append(self, **values: float) -> None:
        """Add one row. Raises KeyError unless exactly the columns' names are given."""
        if values.keys() != self.columns.keys():
            raise KeyError(f"a row needs {list(self.columns)}, not {list(values)}")
        for name, value in values.items():
            self.columns[name].append(float(value))

    def take(self) -> dict[str, np.ndarray]:
        """All buffered rows as float64 columns; the buffer is empty afterwards."""
        taken = {name: np.array(column, np.float64) for name, column in self.columns.items()}
        for column in self.columns.values():
            column.clear()
        return taken


class When(Protocol):
    """Says at each sample whether it is time to look; its memory is plain data, kept in checkpoints."""

    def due(self, time_s: float) -> bool: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, saved: dict[str, Any]) -> None: ...


@dataclass
class Every:
    """At the first sample at or after each multiple of `interval_s`, the start of the run left out."""

    interval_s: float
    next_index: int = 1

    def due(self, time_s: float) -> bool:
        """Whether a multiple of the interval was reached since the last time this was true."""
        # A sample that rounding puts just before its multiple still counts.
        reached = math.floor(time_s / self.interval_s * (1 + 1e-9))
        if reached < self.next_index:
            return False
        self.next_index = reached + 1
        return True

    def state_dict(self) -> dict[str, Any]:
        """The index of the next multiple."""
        return {"next_index": self.next_index}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.next_index = int(saved["next_index"])


class Always:
    """At every sample."""

    def due(self, time_s: float) -> bool:
        """Always."""
        return True

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Nothing to remember."""


@dataclass
class Observer:
    """Looks with `what` when `when` says so, and keeps copies.

    `what` returns a dict of arrays and numbers; arrays are copied, so the simulation cannot change them later
    nor the observer the simulation.
    """

    when: When
    what: Callable[[], dict[str, Any]]
    seen: list[dict[str, Any]] = field(default_factory=list)

    def offer(self, time_s: float) -> bool:
        """Look if due; returns whether it did."""
        if not self.when.due(time_s):
            return False
        copies = {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in self.what().items()}
        self.seen.append({"time": float(time_s), **copies})
        return True

    def take(self) -> list[dict[str, Any]]:
        """All that was seen since the last call."""
        taken, self.seen = self.seen, []
        return taken


def watch_sites(simulation: Any, every_s: float) -> Observer:
    """Let a simulation keep a snapshot of its sites this often, s."""
    spacing = float(simulation.lattice.spacing_nm)
    watching = Observer(Every(every_s), lambda: {"spacing_nm": spacing, **simulation.snapshot()})
    simulation.observers.append(watching)
    return watching


def watch_numbers(simulation: Any, functions: Mapping[str, Look]) -> Observer:
    """Let each function make a number of the sites at every sample. UserError for a name that is taken, and
    for what is no function."""
    if not isinstance(functions, Mapping) or not all(callable(one) for one in functions.values()):
        step = "write observers={'name': function}"
        raise UserError("observers are functions by the name that their number gets", next_step=step)
    for name in functions:
        if not isinstance(name, str) or name in ALL or not name.isidentifier():
            raise UserError(
                f"an observer cannot be called {name!r}",
                next_step="give it a name of its own, of letters, digits and _",
            )
    spacing = float(simulation.lattice.spacing_nm)

    def what() -> dict[str, float]:
        sites = {"spacing_nm": spacing, **simulation.snapshot()}
        return {name: _number(name, function(sites)) for name, function in functions.items()}

    watching = Observer(Always(), what)
    simulation.observers.append(watching)
    return watching


def _number(name: str, found: Any) -> float:
    try:
        return float(found)
    except (TypeError, ValueError):
        raise UserError(f"observer {name} gave {found!r}", next_step="return one number") from None
