"""Spread of parameters device to device and cycle to cycle, from replicates of several protocols.

Replicates with one seed are one device: the same crystals and the same residue of silver. Each of its
protocols is a cycle with events of its own. So the logarithm of a parameter, fitted to one trace, is what the
protocol makes of it, plus the device, plus the cycle: a two-way table, whose variances of devices and cycles
follow from its mean squares (S. R. Searle et al., Variance Components, 1992, chapter 4).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from kmc.core.errors import UserError
from kmc_analysis.compact.equations.model import CompactModel
from kmc_analysis.compact.fitting.fit_data import SEED, Trace
from kmc_analysis.compact.fitting.model_fit import Search, fit

KNOWN = 1.0  # of the logarithm: with a wider half interval, the trace does not determine the parameter


def spreads(
    model: CompactModel, traces: Sequence[Trace], values: Mapping[str, float], names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Standard deviations of the logarithm, {"device": {name: sigma}, "cycle": {name: sigma}}.

    traces: single ones, named PROTOCOL_seedN; values: all parameters, of which each trace moves only `names`,
    together. A trace that does not determine a parameter is left out of its table; a parameter that too few traces
    determine is left out of the result. UserError for parameters that have no logarithm and for fewer than two devices
    or protocols.
    """
    check(model, names, [one.name for one in traces])
    tables: dict[str, dict[tuple[str, str], float]] = {name: {} for name in names}
    for one in traces:
        place = SEED.match(one.name)
        if place is None:
            continue
        for name, value in _of_trace(model, one, values, names).items():
            tables[name][place["protocol"], place["seed"]] = value
    found: dict[str, dict[str, float]] = {"device": {}, "cycle": {}}
    for name, table in tables.items():
        if _freedom(set(table)) > 0:
            found["device"][name], found["cycle"][name] = components(table)
    return found


def check(model: CompactModel, names: Sequence[str], traces: Sequence[str]) -> None:
    """Raise UserError unless `traces` (their names) suffice to separate devices from cycles for `names`.

    An unknown name, and a parameter whose bounds reach zero or are equal, are errors, too.
    """
    for name in names:
        bounds = model.parameter(name)
        if bounds.low <= 0.0:
            raise UserError(
                f"{name} has no logarithm: its bounds reach zero", next_step="name parameters whose bounds are positive"
            )
        if bounds.low == bounds.high:
            raise UserError(f"{name} cannot move: its bounds are equal", next_step="name another parameter")
    places = [(place["protocol"], place["seed"]) for place in map(SEED.match, traces) if place is not None]
    twice = next((place for place in places if places.count(place) > 1), None)
    if names and twice:
        raise UserError(
            f"two traces are called {twice[0]}_seed{twice[1]}".replace("called _", "called "),
            next_step="give each protocol and device one trace",
        )
    if names:
        _check_table(set(places))


def added(
    model: CompactModel, traces: Sequence[Trace], values: Mapping[str, float], names: Sequence[str]
) -> CompactModel:
    """The model with these spreads in place of its own, which it keeps where no parameter is named.

    Raises UserError as `spreads` does.
    """
    if not names:
        return model
    return replace(model, spread=spreads(model, traces, values, names))


def _of_trace(model: CompactModel, one: Trace, values: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Logarithms of the parameters that this trace determines, from a fit that starts at `values`."""
    fixed = {name: value for name, value in values.items() if name not in names}
    moved = [p.model_copy(update={"value": values[p.name]}) for p in model.parameters]
    try:
        made = fit(model.with_parameters(moved), [one], fixed=fixed, free=list(names), search=Search(generations=0))
    except UserError:  # too few points
        return {}
    return {
        e.parameter.name: math.log(e.value)
        for e in made.estimates
        if e.identified and math.log(e.high / e.low) < 2.0 * KNOWN
    }


def components(table: Mapping[tuple[str, str], float]) -> tuple[float, float]:
    """Standard deviations (device, cycle) of a two-way table {(protocol, device): value} with gaps.

    Least squares removes the effects of protocols and devices; the residual is the cycle. UserError where the
    table has too few entries.
    """
    protocols, devices = (sorted({key[i] for key in table}) for i in (0, 1))
    freedom = _check_table(set(table))
    value = np.array(list(table.values()))
    of_protocol, of_device = (_design(table, i, names) for i, names in ((0, protocols), (1, devices)))
    both, without = (_left(value, part) for part in (np.hstack([of_protocol, of_device]), of_protocol))
    cycle = both / freedom
    # Expected drop of the sum of squares when devices are taken out: (added ranks) cycle + c device^2.
    more = _rank(of_protocol, of_device) - _rank(of_protocol)
    weight = np.trace(of_device.T @ _residual_maker(of_protocol) @ of_device)
    device = (without - both - more * cycle) / weight
    return math.sqrt(max(device, 0.0)), math.sqrt(cycle)


def _check_table(places: set[tuple[str, str]]) -> int:
    """Degrees of freedom of the cycle in a table with these places (protocol, device). UserError for none."""
    freedom = _freedom(places)
    if freedom < 1:
        raise UserError(
            "too few traces tell the parameter to part devices from cycles",
            next_step="give two protocols or more, with the same two seeds or more each, not held out",
        )
    return freedom


def _freedom(places: set[tuple[str, str]]) -> int:
    """Degrees of freedom of the cycle, 0 where it cannot be parted from the device.

    By ranks: protocols that share no device make tables of their own, each of which has a mean to lose.
    """
    protocols, devices = (sorted({place[i] for place in places}) for i in (0, 1))
    if len(devices) < 2 or len(protocols) < 2:
        return 0
    return len(places) - _rank(_design(places, 0, protocols), _design(places, 1, devices))


def _design(places: Iterable[tuple[str, str]], i: int, names: Sequence[str]) -> np.ndarray:
    return np.array([[place[i] == name for name in names] for place in places], float)


def _rank(*designs: np.ndarray) -> int:
    return int(np.linalg.matrix_rank(np.hstack(designs)))


def _residual_maker(design: np.ndarray) -> np.ndarray:
    return np.eye(len(design)) - design @ np.linalg.pinv(design)


def _left(value: np.ndarray, design: np.ndarray) -> float:
    rest = _residual_maker(design) @ value
    return float(rest @ rest)
