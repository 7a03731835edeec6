"""Labelled spike trains: generated with jitter, or read from CSV or NWB; and their bit streams."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmc.core import random_streams
from kmc.core.errors import UserError, optional
from kmc_analysis.reservoir import spiking_neurons
from kmc_analysis.reservoir.plan import Data

HEAD = ("sample", "label", "time_s")
CLASS_COLUMN = "label"
ON_GRID = 1e-9  # of a slot: a spike on its beginning is in it, whatever a division rounds to


@dataclass(frozen=True)
class Trains:
    """Spike trains: times in s (one sorted array a sample), labels [samples], and how many test samples end
    it.

    own: from a file, and not the experiment's four patterns; outside: spikes of that file beyond the trains;
    names: of the samples, those of the file or their numbers.
    """

    times: tuple[np.ndarray, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    duration_s: float
    test: int
    own: bool = False
    outside: int = 0
    names: tuple[str, ...] = ()

    @property
    def untested(self) -> list[str]:
        """Classes without a sample to test with."""
        return [name for k, name in enumerate(self.classes) if k not in self.labels[self.held_out]]

    @property
    def untrained(self) -> list[str]:
        """Classes without a sample to train with."""
        return [name for k, name in enumerate(self.classes) if k not in self.labels[self.train]]

    @property
    def note(self) -> str:
        """What a user should know of spikes that are left out, "" where there are none."""
        given = self.outside + sum(one.size for one in self.times)
        said = f"{self.outside} of {given} spikes lie outside 0 s to {self.duration_s:g} s and are left out"
        return said if self.outside else ""

    @property
    def train(self) -> slice:
        """The samples to train with."""
        return slice(0, len(self.times) - self.test)

    @property
    def held_out(self) -> slice:
        """The samples to test with."""
        return slice(len(self.times) - self.test, len(self.times))

    def bits(self, slot_s: float, held: int = 1) -> np.ndarray:
        """[samples, slots], 1 in the slot of a spike and the held - 1 after it (a write that a spike
        prolongs).
        """
        count = round(self.duration_s / slot_s)
        found = np.zeros((len(self.times), count), bool)
        for row, times in zip(found, self.times, strict=True):
            row[np.minimum((times / slot_s + ON_GRID).astype(int), count - 1)] = True
        spikes = found.copy()
        for shift in range(1, held):
            found[:, shift:] |= spikes[:, :-shift]
        return found


def generate(data: Data, seed: int) -> Trains:
    """The four patterns in random order and equal numbers; every spike moved by the jitter, within the
    train.
    """
    order = random_streams.stream(seed, "reservoir labels").permutation(data.samples)
    labels = (np.arange(data.samples) % len(spiking_neurons.CLASSES))[order]
    times = spiking_neurons.simulate(
        labels, data.duration, data.noise, data.current_spread, random_streams.stream(seed, "reservoir neurons")
    )
    stream = random_streams.stream(seed, "reservoir jitter")
    return Trains(
        tuple(jittered(one, data.jitter, data.duration, stream) for one in times),
        labels,
        spiking_neurons.CLASSES,
        data.duration,
        data.test,
        names=tuple(map(str, range(data.samples))),
    )


def jittered(times: np.ndarray, sigma_s: float, duration_s: float, stream: np.random.Generator) -> np.ndarray:
    """Spikes moved by a normal distribution, sorted; what leaves the train is lost."""
    moved = times + sigma_s * stream.standard_normal(times.size)
    return np.sort(moved[(moved >= 0.0) & (moved < duration_s)])


def load(path: Path, data: Data, seed: int) -> Trains:
    """Trains of one's own, in random order: CSV with the columns sample,label,time_s, or NWB.

    Each class has its share of the samples to test with. Raises UserError, with file and line.
    """
    if path.suffix.lower() == ".nwb":
        samples = _nwb(path)
    else:
        samples = _csv(path)
    classes = tuple(sorted({label for label, _ in samples.values()}))
    if len(classes) < 2:
        raise UserError("holds fewer than two labels", str(path), next_step="give the samples labels")
    if len(samples) <= data.test:
        raise UserError(
            f"holds {len(samples)} samples, of which data.test takes {data.test}",
            str(path),
            next_step="lower test in the yaml",
        )
    names, rows = list(samples), list(samples.values())
    every = np.array([classes.index(label) for label, _ in rows])
    order = _parted(every, random_streams.stream(seed, "reservoir labels").permutation(len(rows)), data.test)
    times, labels = [np.sort(np.asarray(rows[i][1], float)) for i in order], every[order]
    kept = tuple(one[(one >= 0.0) & (one < data.duration)] for one in times)
    if not any(one.size for one in kept):
        raise UserError(
            f"has no spike within {data.duration:g} s", str(path), next_step="give times in s, or another data.duration"
        )
    outside = sum(one.size for one in times) - sum(one.size for one in kept)
    return Trains(
        kept, labels, classes, data.duration, data.test, own=True, outside=outside, names=tuple(names[i] for i in order)
    )


def _parted(labels: np.ndarray, order: np.ndarray, test: int) -> np.ndarray:
    """`order` with the `test` samples that end it drawn from each class by its share of all samples."""
    exact = test * np.bincount(labels) / len(labels)
    count = exact.astype(int)
    count[np.argsort(count - exact, kind="stable")[: test - count.sum()]] += 1  # to the largest remainders
    chosen = np.zeros(len(order), bool)
    for k, wanted in enumerate(count):
        chosen[np.flatnonzero(labels[order] == k)[:wanted]] = True
    return np.concatenate([order[~chosen], order[chosen]])


def _csv(path: Path) -> dict[str, tuple[str, list[float]]]:
    """{sample: (label, times in s)}; a row without time is a sample that may have no spike."""
    found: dict[str, tuple[str, list[float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        told = f"cannot be read ({error.strerror})"
        raise UserError(told, str(path), next_step="check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        told = f"{error}" if isinstance(error, csv.Error) else "not text in UTF-8"
        raise UserError(
            f"is no CSV ({told})", str(path), next_step="write sample,label,time_s, or give an NWB file"
        ) from None
    if not rows or tuple(word.strip() for word in rows[0]) != HEAD:
        raise UserError(
            "does not begin with sample,label,time_s",
            f"{path}:1",
            next_step="write that line first; one spike a line after it",
        )
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        sample, label, time = _row(row, f"{path}:{number}")
        known, times = found.setdefault(sample, (label, []))
        if known != label:
            raise UserError(
                f'sample {sample} has the labels "{known}" and "{label}"',
                f"{path}:{number}",
                next_step="give a sample one label",
            )
        times += [] if time is None else [time]
    return found


def _row(row: list[str], where: str) -> tuple[str, str, float | None]:
    step = "write sample,label,time_s, e.g. 7,tonic,0.0312"
    if len(row) != len(HEAD):
        raise UserError(f"has {len(row)} fields, not {len(HEAD)}", where, next_step=step)
    sample, label, text = (word.strip() for word in row)
    for name, word in (("sample", sample), ("label", label)):
        if not word:
            raise UserError(f"has no {name}", where, next_step=step)
    try:
        time = float(text) if text else None
    except ValueError:
        raise UserError(f'"{text:.40}" is no time in seconds', where, next_step=step) from None
    if time is not None and not np.isfinite(time):
        raise UserError(f'"{text:.40}" is not finite', where, next_step=step)
    return sample, label, time


def _nwb(path: Path) -> dict[str, tuple[str, list[float]]]:
    """The units of an NWB file, each a sample, with their column "label"."""
    reader = optional("pynwb", "nwb", f"{path}, an NWB file,", "; or write a CSV with sample,label,time_s")
    if not path.is_file():
        raise UserError("no such file", str(path), next_step="check the path")
    try:
        with reader.NWBHDF5IO(str(path), "r") as file:
            units = file.read().units
            names = () if units is None else units.colnames
            if CLASS_COLUMN not in names or "spike_times" not in names:
                raise UserError(
                    'has no units with "spike_times" and a column "label"',
                    str(path),
                    next_step="add the column with units.add_column",
                )
            return {
                str(k): (str(units[CLASS_COLUMN][k]), [float(t) for t in units["spike_times"][k]])
                for k in range(len(units))
            }
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"cannot be read as NWB ({error!s:.80})", str(path), next_step="check it with nwbinspector"
        ) from None
