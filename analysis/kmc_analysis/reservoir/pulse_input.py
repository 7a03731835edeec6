"""How one spike train feeds all nodes: what each node's device sees, and when it is read.

The experiment's text does not say it. Here every node has a device of its own and is read once, after the
stretch of the train that it sees: a multiplexer in front of the devices, no read that disturbs another, and
at most a window of writes on each device for one classification. Reads at one time (`end`) leave the
differences between nodes to the spread of the devices and to gains; a window as long as the train lets every
device see all before its read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc_analysis.reservoir.plan import Encoding, Feeding
from kmc_analysis.reservoir.spike_trains import Trains


@dataclass(frozen=True)
class Wiring:
    """ends: [nodes] slots before which a node's window ends; window: its slots; gains: [nodes]; device:
    [nodes].
    """

    ends: np.ndarray
    window: int
    gains: np.ndarray
    device: np.ndarray


def wire(feeding: Feeding, encoding: Encoding, duration_s: float, seed: int) -> Wiring:
    """The wiring of one reservoir; random parts follow from `seed`."""
    slots = round(duration_s / encoding.bin_s)
    if slots < 1:
        raise UserError(
            f"a slot of {encoding.bin_s:g} s is longer than a train of {duration_s:g} s",
            next_step="lower encoding.slot or encoding.bin",
        )
    nodes = feeding.nodes
    stream = random_streams.stream(seed, "reservoir wiring")
    ends = np.maximum(np.round(np.linspace(slots / nodes, slots, nodes)), 1).astype(int)
    if feeding.reads == "end":
        ends = np.full(nodes, slots)
    elif feeding.reads == "random":
        ends = np.sort(stream.integers(1, slots + 1, nodes))
    gains = stream.permutation(np.linspace(feeding.least_gain, 1.0, nodes))
    window = window_slots(feeding, encoding, duration_s)
    return Wiring(ends, window, gains, np.arange(nodes) % (feeding.devices or nodes))


def window_slots(feeding: Feeding, encoding: Encoding, duration_s: float) -> int:
    """The slots that a node sees of a train: no more than the train has."""
    return min(max(1, round(feeding.window / encoding.bin_s)), round(duration_s / encoding.bin_s))


def patterns(trains: Trains, wiring: Wiring, encoding: Encoding) -> np.ndarray:
    """[samples, nodes, slots of the window], 1 where the source writes; before the train there is nothing."""
    bits = trains.bits(encoding.bin_s, encoding.slots)
    padded = np.pad(bits, ((0, 0), (wiring.window, 0)))
    places = wiring.ends[:, None] + np.arange(wiring.window)
    return padded[:, places]
