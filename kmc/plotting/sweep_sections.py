"""Where in a run its sweeps are: what a picture of current against voltage joins to lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kmc.inputs.protocol import Segment, Step, leaves, read_protocol
from kmc.inputs.segments import Loop, Sweep
from kmc.io.provenance import run_of
from kmc.plotting.plot_style import si

if TYPE_CHECKING:
    import xarray as xr


class Passage(NamedTuple):
    """A sweep once through its levels: the `segment` and `cycle` that it is in, where it goes in `words`, and
    the indices of its `samples`."""

    segment: int
    cycle: int
    words: str
    samples: np.ndarray


def passages(ds: xr.Dataset) -> list[Passage]:
    """The passages of a run's sweeps in order; holds, reads and pulses have none, also within a loop.

    In a run without sweeps, or whose source did not follow its recorded protocol, each cycle of each segment counts
    as a passage.
    """
    protocol = run_of(ds).get("protocol")
    found = list(_of_protocol(ds, read_protocol(protocol).segments)) if protocol else []
    return found or list(_by_cycle(ds, protocol or []))


def limits_of(ds: xr.Dataset) -> np.ndarray:
    """The current limit at each sample, A, inf without one; NaN where the source followed no protocol."""
    items = run_of(ds).get("protocol")
    segments = read_protocol(items).segments if items else ()
    steps = [step for index, segment in enumerate(segments) for step in segment.steps(index)]
    taken = _taken(ds, steps)
    if not len(taken):
        return np.full(ds.sizes["time"], np.nan)
    return np.array([step.compliance_A for step in steps])[taken]


def _of_protocol(ds: xr.Dataset, segments: Sequence[Segment]) -> Iterator[Passage]:
    passage: list[int] = []  # of each step
    leaves: list[Segment] = []  # of each passage
    for leaf in _leaves(segments):
        once = leaf.size() // (leaf.cycles if isinstance(leaf, Sweep) else 1)
        for _ in range(leaf.total() // once):
            passage += [len(leaves)] * once
            leaves.append(leaf)
    steps = [step for index, segment in enumerate(segments) for step in segment.steps(index)]
    of_sample = np.array(passage, int)[_taken(ds, steps)]
    for samples in _runs(of_sample[:, None]):
        sweep = leaves[of_sample[samples[0]]]
        if isinstance(sweep, Sweep):
            warm = "" if sweep.temperature is None else f" at {sweep.temperature:g} K"
            yield _passage(ds, f"to {si(sweep.to, 'V')}{warm}", samples)


def _leaves(segments: Sequence[Segment]) -> Iterator[Segment]:
    """What loops are made of, as often as they turn."""
    for segment in segments:
        if isinstance(segment, Loop):
            for _ in range(segment.turns):
                yield from _leaves(segment.segments)
        else:
            yield segment


def _taken(ds: xr.Dataset, steps: Sequence[Step]) -> np.ndarray:
    """The step of each sample, by the exits that the device took; none where the source had other levels."""
    count, volts = ds.sizes["time"], ds["voltage_source"].values
    conductance, limited = ds["conductance"].values, ds["limited"].values
    order: list[int] = []
    k = seen = 0
    while k < len(steps) and seen < count:
        order.append(k)
        seen += steps[k].samples
        last = min(seen, count) - 1
        k += steps[k].after(float(conductance[last]), bool(limited[last]))
    taken = np.repeat(np.array(order, int), [steps[k].samples for k in order])[:count]
    levels = np.array([step.voltage_V for step in steps])[taken]
    return taken if len(taken) == count and np.allclose(levels, volts) else np.zeros(0, int)


def _by_cycle(ds: xr.Dataset, protocol: list[Any]) -> Iterator[Passage]:
    """Each cycle of the segments that hold a sweep, of all where none does."""
    swept = [k for k, item in enumerate(protocol) if any(kind == "sweep" for kind, _ in leaves([item]))]
    segment = ds["segment"].values
    for samples in _runs(np.stack([segment, ds["cycle"].values], axis=1)):
        if not swept or segment[samples[0]] in swept:
            yield _passage(ds, f"segment {segment[samples[0]]:g}", samples)


def _runs(rows: np.ndarray) -> list[np.ndarray]:
    """The indices of each stretch of rows that are alike."""
    ends = np.flatnonzero((rows[1:] != rows[:-1]).any(axis=1)) + 1
    return np.split(np.arange(len(rows)), ends) if len(rows) else []


def _passage(ds: xr.Dataset, words: str, samples: np.ndarray) -> Passage:
    segment, cycle = (int(ds[name].values[samples[0]]) for name in ("segment", "cycle"))
    return Passage(segment, cycle, words, samples)
