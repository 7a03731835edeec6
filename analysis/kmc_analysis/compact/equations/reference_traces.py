"""The Python reference: a model's equations compiled into the integrator, and traces simulated with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc_analysis.compact.equations.compilation import Kernel, compiled, integrator, room
from kmc_analysis.compact.equations.integrator import Followed, Source
from kmc_analysis.compact.equations.model import CompactModel

RTOL = 2e-5  # of the states; the agreement with ngspice is tested at 1 %


@dataclass(frozen=True)
class Drive:
    """A source: straight between the points; a limit holds from its point to the next.

    time: [n] in s, never backwards. voltage: [n] in V. compliance: [n] in A, inf where there is none.
    """

    time: np.ndarray
    voltage: np.ndarray
    compliance: np.ndarray

    @classmethod
    def of(cls, time: Any, voltage: Any, compliance: Any = np.inf) -> Drive:
        """From anything array-like; one compliance, in A, stands for all points. Raises UserError for times
        that fall or are not as many as the voltages, and for what is no voltage or no limit."""
        time = np.array(time, float, order="C")
        if time.shape != np.shape(voltage) or not (np.diff(time) >= 0.0).all():
            raise UserError(
                "a drive's times do not rise, or are not as many as its voltages",
                next_step="give times in s in rising order, one for each voltage",
            )
        volts = np.array(voltage, float, order="C")
        limits = np.array(np.broadcast_to(np.asarray(compliance, float), time.shape))
        if not np.isfinite(volts).all():
            raise UserError("a drive has a voltage that is not finite", next_step="give volts")
        if not (limits > 0.0).all():
            raise UserError(
                f"a drive's limit is {limits[~(limits > 0.0)][0]:g} A",
                next_step="give a positive current, or inf for no limit",
            )
        return cls(time, volts, limits)

    @classmethod
    def sweep(cls, to: float, rate: float, compliance: float, points: int = 401) -> Drive:
        """0 V to `to` V and back at `rate` V/s, under `compliance` A."""
        half = abs(to) / rate
        time = np.linspace(0.0, 2.0 * half, points)
        return cls.of(time, to * (1.0 - np.abs(time / half - 1.0)), compliance)

    @classmethod
    def set_and_reset(cls, to: float, rate: float, compliance: float, points: int = 401) -> Drive:
        """`sweep` to `to` V, then the same to -`to` V without a limit, for a RESET is not limited."""
        up = cls.sweep(to, rate, compliance, points)
        return cls.of(
            np.append(up.time, up.time[-1] + up.time[1:]),
            np.append(up.voltage, -up.voltage[1:]),
            np.append(up.compliance[:-1], np.full(points, np.inf)),
        )

    @classmethod
    def pulses(
        cls,
        voltage: float,
        width: float,
        gap: float,
        count: int,
        compliance: float,
        read: float = 0.05,
        edge: float = 1e-2,
        samples: int = 5,
    ) -> Drive:
        """`count` pulses of `voltage` V and `width` s, `gap` s apart at `read` V, with edges of edge *
        width."""
        ramp = edge * width
        inside = np.linspace(ramp, width, samples)
        after = np.linspace(width + ramp, width + gap, samples, endpoint=False)
        shape_t = np.concatenate([[0.0], inside, after])
        shape_v = np.concatenate([[read], np.full(samples, voltage), np.full(samples, read)])
        period = width + gap
        time = (np.arange(count)[:, None] * period + shape_t).ravel()
        return cls.of(np.append(time, count * period), np.append(np.tile(shape_v, count), read), compliance)


@dataclass(frozen=True)
class Response:
    """What a device did: voltage (V), current (A) at [n] points, states [n, states] or of branches
    [n, branches, states], steps taken."""

    voltage: np.ndarray
    current: np.ndarray
    states: np.ndarray
    steps: int


def start(kernel: Kernel, vector: np.ndarray) -> np.ndarray | None:
    """The states [states] in which a device with the parameters `vector` [n] starts; None where the equations
    have no answer."""
    (states,), _ = kernel.begin(vector[None])
    return states if np.isfinite(states).all() else None


def start_of(model: CompactModel, parameters: np.ndarray) -> np.ndarray:
    """The states [states] in which a device with the vector `parameters` [n] starts. Raises UserError."""
    states = start(compiled(model), parameters)
    if states is None:
        raise unanswered(model)
    return states


def follow(kernel: Kernel, drive: Drive, states: np.ndarray, vector: np.ndarray, rtol: float) -> Response | None:
    """The response of a device with the parameters `vector` from `states`, which move on, by a `compiled`
    model; None where the equations have no answer, or one that is no number.

    vector, states: [n] and [states], or [branches, n] and [branches, states] of branches in parallel behind
    one limiter and the first one's series resistance.
    """
    count, branches = drive.time.size, vector.reshape(-1, vector.shape[-1])
    own = states.reshape(len(branches), kernel.states)
    source = Source(drive.time, drive.voltage, drive.compliance)
    made = Followed(np.empty(count), np.empty(count), np.empty((count, *own.shape)))
    _, given = kernel.begin(branches)
    steps = integrator()(kernel.addresses, source, own, given, rtol, made, room(*own.shape))
    if steps < 0 or not np.isfinite(made.amps).all():
        return None
    return Response(made.volts, made.amps, made.states.reshape(count, *states.shape), steps)


def unanswered(model: CompactModel) -> UserError:
    """What is said where `follow` has no response."""
    return UserError(
        f"{model.name} cannot be integrated with these parameters",
        next_step="move them away from their bounds, or lower the spreads",
    )


def simulate(
    model: CompactModel,
    drive: Drive,
    changes: Mapping[str, float] | None = None,
    start: np.ndarray | None = None,
    rtol: float = RTOL,
) -> Response:
    """The response of one device; `changes` replaces parameters, `start` [states] the initial states.

    Raises UserError where the equations have no answer with these parameters.
    """
    vector = np.array(list(model.values(changes).values()))
    states = start_of(model, vector) if start is None else np.array(start, float)
    response = follow(compiled(model), drive, states, vector, rtol)
    if response is None:
        raise unanswered(model)
    return response


def population(
    model: CompactModel, devices: int, seed: int, kind: str = "device", changes: Mapping[str, float] | None = None
) -> np.ndarray:
    """Parameter vectors [devices, n] spread log-normally as the model's file says; `kind` is device or
    cycle."""
    vectors = np.tile(list(model.values(changes).values()), (devices, 1))
    stream = random_streams.stream(seed, f"compact {kind}")
    return spread(model, vectors, kind, stream)


def spread(model: CompactModel, vectors: np.ndarray, kind: str, stream: np.random.Generator) -> np.ndarray:
    """The parameter vectors [devices, n] spread log-normally, in place, by what `stream` draws."""
    for name, sigma in sorted(model.spread.get(kind, {}).items()):
        vectors[:, model.names.index(name)] *= np.exp(sigma * stream.standard_normal(len(vectors)))
    return vectors
