"""The figures, of the experiment and beyond: one definition each, with programs, observable and picture."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module

from kmc_analysis.experiment.figures.definition import Figure

# In the order in which they are run: what costs least comes first.
_MODULES = (
    "static",
    "controls",
    "volatile",
    "nonvolatile",
    "readout",
    "series",
    "endurance",
    "pulses",
    "modes",
    "stressed",
    "predictions",
    "one_write",
)


def all_figures() -> list[Figure]:
    """Every figure, in the order in which they are run."""
    return [figure for name in _MODULES for figure in import_module(f"{__name__}.{name}").FIGURES]


def figures_of(keys: Collection[str]) -> list[Figure]:
    """The figures that say something of the targets `keys`."""
    return [figure for figure in all_figures() if set(figure.keys) & set(keys)]


def judging(keys: Collection[str]) -> list[Figure]:
    """The figures of the targets `keys`, without devices of programs that these do not rest on."""
    return [figure.judging(keys) for figure in figures_of(keys)]
