"""What a figure of the experiment is made of: programs on virtual devices, an observable, a picture."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import xarray as xr

from kmc.cards.stack import Stack, load_stack
from kmc.inputs.protocol import Protocol, read_protocol
from kmc.io.provenance import run_of
from kmc_analysis.metrics.observation import Measured

Runs = Mapping[str, list[xr.Dataset]]
Segments = list[dict[str, Any]]
#: On one circuit, where the many seams under an electrode matter (one carries 0.34 mS at most):
#: chosen for the slope of figure S28, a calibration target, on one device.
WINDOWS = 8


def paired(*groups: list[xr.Dataset]) -> list[tuple[xr.Dataset, ...]]:
    """The runs of several programs by device: the seeds that each of the programs has, in their order."""
    by_seed = [{run_of(ds)["seed"]: ds for ds in group} for group in groups]
    return [tuple(one[seed] for one in by_seed) for seed in by_seed[0] if all(seed in one for one in by_seed)]


def card_value(ds: xr.Dataset, path: str) -> float:
    """A number such as device.substrate_thermal_resistance that a run was made with: the card's, or what was
    chosen.

    Only what was chosen of that card is read again: another card that was chosen may lie where this process
    does not find it.
    """
    stack, role = run_of(ds)["stack"], path.partition(".")[0]
    chosen = {name: value for name, value in stack["choices"].items() if name.partition(".")[0] == role}
    return load_stack(stack["name"], **chosen).value(path)


@dataclass(frozen=True)
class Program:
    """One voltage program on one stack, on `devices` devices (seeds), on `quick` of them with --quick.

    Two figures that give the same stack, choices, settings and segments share the runs. Segments may be a
    function of the stack, where a level depends on its cards. `snapshots` is how often (s) the silver is
    looked at.
    """

    name: str
    stack: str
    segments: Segments | Callable[[Stack], Segments]
    devices: int
    quick: int = 0
    choices: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    snapshots: float | None = None

    def protocol(self, stack: Stack) -> Protocol:
        """The segments, checked."""
        return read_protocol(self.segments(stack) if callable(self.segments) else self.segments)


@dataclass(frozen=True)
class Figure:
    """A figure: its keys in targets.yaml, its programs, and what they say of each key.

    `measure` takes the finished runs by program, devices in the order of their seeds (a program that was left
    out or of which all runs failed has an empty list), and gives a Measured for every key. `draw` makes the
    picture from the same runs. `protocol` says what was assumed where the experiment's text is silent.
    What is no run of a device is `compute`d from its first seed and their number (`seeds`, `quick_seeds`),
    again when the sources in the folders `depends` of this package change; None when it is asked to stop.
    `rests` gives the programs that a key depends on, if not all: the others enter its note or the picture only.
    """

    name: str
    title: str
    keys: tuple[str, ...]
    programs: tuple[Program, ...]
    measure: Callable[[Runs], dict[str, Measured]]
    protocol: str
    draw: Callable[[Runs, Path], None] | None = None
    compute: Callable[[int, int, Callable[[], bool]], dict[str, Measured] | None] | None = None
    seeds: int = 0
    quick_seeds: int = 0
    depends: tuple[str, ...] = ()
    rests: Mapping[str, tuple[Program, ...]] = field(default_factory=dict)

    def judging(self, keys: Collection[str]) -> Figure:
        """The same figure without devices of programs that none of its keys among `keys` rests on."""
        needed = {program.name for key in self.keys if key in keys for program in self.rests.get(key, self.programs)}
        programs = (one if one.name in needed else replace(one, devices=0, quick=0) for one in self.programs)
        return replace(self, programs=tuple(programs))
