"""How a model answers trains of equal pulses, and how far its compliance sets it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kmc.core.errors import UserError
from kmc_analysis.compact.equations.model import CompactModel
from kmc_analysis.compact.equations.reference_traces import Drive, Response, population, simulate
from kmc_analysis.metrics.reads_and_retention import READ_V

COUNT = 32  # pulses in either direction
RAMPS = 8  # repeats, each with the cycle's spread
PULSE_V, LIMIT_A, WAIT_S = 0.6, 1e-4, 1e-3
WIDTHS_S = np.geomspace(1e-7, 1.0, 22)
SEED = 7
LEAST_S = 1e-12  # a change of conductance below that is none
LEAST_SHARE = 0.2  # of the way up, which pulses down go back at least: less is no device that learns
# The compliances of the measured law (John et al. 2022, Fig. S28), programmed by a sweep to PROGRAM_V.
LIMITS_A = np.linspace(30e-6, 150e-6, 7)
PROGRAM_V, RATE_V_PER_S = 0.5, 1.0
WAITS_S = (1e-3, 1.0, 3600.0, 86400.0)


@dataclass(frozen=True)
class Ladder:
    """Conductances in S, read at READ_V after WAIT_S, before the first and after every pulse.

    up, down: [ramps, COUNT + 1]; up_s, down_s: widths of the pulses of +-PULSE_V.
    """

    up: np.ndarray
    down: np.ndarray
    up_s: float
    down_s: float


@dataclass(frozen=True)
class Levels:
    """Conductances in S of the compliance-programmed device: mean and spread at `limits` (A), and later.

    later: {seconds after programming: mean conductance [limits]}.
    """

    limits: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    later: Mapping[float, np.ndarray]


def train(voltage: float, width: float, count: int) -> tuple[Drive, np.ndarray]:
    """`count` pulses of `width` s, each followed by WAIT_S at READ_V; the read points' places [count + 1].

    LIMIT_A holds for a positive voltage alone: under a limit a closed device stays below its reset voltage.
    """
    edge = 1e-3 * width
    shape_t = np.array([edge, width, width + edge, width + edge + WAIT_S])
    shape_v = np.array([voltage, voltage, READ_V, READ_V])
    time = (np.arange(count)[:, None] * shape_t[-1] + shape_t).ravel()
    drive = Drive.of(
        np.append(0.0, time), np.append(READ_V, np.tile(shape_v, count)), LIMIT_A if voltage > 0.0 else np.inf
    )
    return drive, np.append(0, 4 * np.arange(1, count + 1))


def _read(response: Response, places: np.ndarray) -> np.ndarray:
    return np.abs(response.current[places] / response.voltage[places])


def _ramp(
    model: CompactModel, values: Mapping[str, float], start: np.ndarray | None, voltage: float, width: float
) -> tuple[np.ndarray, np.ndarray]:
    """Conductances [COUNT + 1] and the last states."""
    drive, places = train(voltage, width, COUNT)
    response = simulate(model, drive, values, start)
    return _read(response, places), response.states[-1]


def _best_width(
    model: CompactModel, values: Mapping[str, float], start: np.ndarray | None, voltage: float, least: float = LEAST_S
) -> float:
    """The width at which a third of the pulses goes half of the way: a slow ramp that still saturates."""
    ramps = {}
    for width in WIDTHS_S.tolist():
        with contextlib.suppress(UserError):  # an answer at some widths is enough
            ramps[width] = _ramp(model, values, start, voltage, width)[0]
    moved = {width: abs(ramp[-1] - ramp[0]) for width, ramp in ramps.items()}
    most = max(moved.values(), default=0.0)
    if most < least:
        raise UserError(
            f"{model.name} hardly changes under pulses of {voltage:g} V",
            next_step="give it other parameters, or leave the tables of pulses out",
        )
    return min(ramps, key=lambda width: abs(abs(ramps[width][COUNT // 3] - ramps[width][0]) / most - 0.5))


def ladder(model: CompactModel, values: Mapping[str, float]) -> Ladder:
    """Up and down in equal pulses, RAMPS times with the cycle's spread. UserError where nothing moves."""
    up_s = _best_width(model, values, None, PULSE_V)
    first, state = _ramp(model, values, None, PULSE_V, up_s)
    down_s = _best_width(model, values, state, -PULSE_V, LEAST_SHARE * (first[-1] - first[0]))
    ups, downs = [], []
    start: np.ndarray | None = None
    for vector in population(model, RAMPS, SEED, "cycle", values):
        own = dict(zip(model.names, vector, strict=True))
        risen, start = _ramp(model, own, start, PULSE_V, up_s)
        fallen, start = _ramp(model, own, start, -PULSE_V, down_s)
        ups.append(risen)
        downs.append(fallen)
    return Ladder(np.array(ups), np.array(downs), up_s, down_s)


def levels(
    model: CompactModel, values: Mapping[str, float], limits: np.ndarray = LIMITS_A, repeats: int = RAMPS
) -> Levels:
    """What each compliance leaves, read WAITS_S after the programming sweep; there is no voltage between."""
    half = PROGRAM_V / RATE_V_PER_S
    time, volt, places = [0.0, half, 1.2 * half, 2.2 * half], [0.0, PROGRAM_V, PROGRAM_V, 0.0], []
    for wait in WAITS_S:
        time += [2.2 * half + wait + t for t in (-2e-4, -1e-4, 0.0, 1e-4)]
        volt += [0.0, READ_V, READ_V, 0.0]
        places.append(len(time) - 2)
    found = np.empty((limits.size, repeats, len(WAITS_S)))
    for i, limit in enumerate(limits):
        drive = Drive.of(time, volt, limit)
        for j, vector in enumerate(population(model, repeats, SEED, "cycle", values)):
            response = simulate(model, drive, dict(zip(model.names, vector, strict=True)))
            found[i, j] = _read(response, np.array(places))
    mean, spread = found.mean(axis=1), found.std(axis=1, ddof=1)
    return Levels(limits, mean[:, 0], spread[:, 0], dict(zip(WAITS_S, mean.T, strict=True)))
