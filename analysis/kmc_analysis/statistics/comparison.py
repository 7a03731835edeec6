"""What did the change do? Effects of a study's axes on metrics, paired by seed, with bootstrap intervals.

The replicates of all variants share their seeds, so that differences are taken seed by seed before they are
averaged: what the variants have in common by chance cancels. Few that agree are no knowledge: counts, and
voltages on the steps of a sweep, agree by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from kmc.core.errors import UserError
from kmc.core.units import format_si
from kmc.study.results import REPLICATE, open_task
from kmc_analysis.metrics import METRICS
from kmc_analysis.metrics.bootstrap_intervals import GRAIN, alike, interval, of_gain, of_share

LEAST = 1e-3  # of a ratio's logarithm: what is nearer to 1 is the same, however narrow its interval
SHARES = ("set",)  # metrics of 0 or 1, whose mean is a share


class Effect(NamedTuple):
    """What going from `base` to `level` of `axis` does to `metric`.

    `kind` is difference (in `unit`) or ratio; `at` names the levels of those other axes that have several,
    "all" where none has, and where the effect is averaged over them seed by seed. `before` and `after` are
    means over the pairs (geometric for ratios), [low, high] is the 95 % interval of `effect`, NaN for too
    few pairs, and `clear` says whether it excludes "no effect" (and, of a ratio, whether that is over
    0.1 %).
    """

    metric: str
    axis: str
    base: str
    level: str
    at: str
    kind: str
    unit: str
    pairs: int
    before: float
    after: float
    effect: float
    low: float
    high: float
    clear: bool


def measure(
    study: xr.Dataset, names: list[str] | None = None, progress: Callable[[str], None] = lambda line: None
) -> xr.Dataset:
    """The metrics `names` (all if None) of every task of a study opened by kmc.open: [axes ..., replicate].

    NaN where a task is not done or has no such number. The files of the tasks are measured, one after the
    other, whatever was made of their values since. Raises CorruptFile for one that is damaged or gone.
    """
    chosen = {name: METRICS[name] for name in (names or METRICS)}
    dims = study["state"].dims
    values = {name: np.full(study["state"].shape, np.nan) for name in chosen}
    places = np.argwhere(study["state"].values == 1)
    for count, place in enumerate(places, 1):
        task = str(study["task"].values[tuple(place)])
        with open_task(Path(study.attrs["folder"]), task) as run:
            for name, metric in chosen.items():
                values[name][tuple(place)] = metric.function(run)
        progress(f"measured {count} of {len(places)} tasks")
    data = {
        name: (dims, values[name], {"units": chosen[name].unit, "long_name": chosen[name].meaning}) for name in chosen
    }
    coordinates = {name: study[name] for name in (*dims, "seed")}
    return xr.Dataset(data, coordinates, {"study": study.attrs.get("study", "")})


def effects(values: xr.Dataset) -> list[Effect]:
    """All effects on the metrics in `values` (see `measure`): each axis's levels against its first."""
    found = []
    sure = _without_chance(values)
    for name in values.data_vars:
        for axis in values[name].dims:
            if axis != REPLICATE:
                found += list(_of_axis(values[name], str(name), str(axis), sure))
    return found


def _without_chance(values: xr.Dataset) -> xr.DataArray:
    """Mark deterministic variants: all METRICS are the same at two seeds or more, to the last bit.

    One metric alone is no evidence, for a set voltage takes few values. Nor are all of them where nothing happened,
    for another device may switch: a share is never exact.
    """
    whole = values.to_dataarray("metric")
    count = whole.notnull().sum(REPLICATE)
    same = (count == 0) | ((count > 1) & (whole.max(REPLICATE) == whole.min(REPLICATE)))
    return same.all("metric") & (set(METRICS) <= set(values))


def _of_axis(values: xr.DataArray, metric: str, axis: str, sure: xr.DataArray) -> Iterator[Effect]:
    others = [dim for dim in values.dims if dim not in (axis, REPLICATE)]
    whole = values.transpose(axis, *others, REPLICATE)
    table = whole.values.reshape(whole.sizes[axis], -1, whole.sizes[REPLICATE])
    exact = sure.transpose(axis, *others).values.reshape(table.shape[:2])
    names = [label(whole, axis, k) for k in range(whole.sizes[axis])]
    shape = tuple(whole.sizes[dim] for dim in others)
    for k in range(1, len(names)):
        between = (metric, axis, names[0], names[k])
        if table.shape[1] > 1:
            yield _effect(between, "all", table[[0, k]], bool(exact[[0, k]].all()))
        for j, place in enumerate(np.ndindex(shape)):
            several = [(d, p) for d, p in zip(others, place, strict=True) if whole.sizes[d] > 1]
            at = ", ".join(f"{d} {label(whole, d, p)}" for d, p in several) or "all"
            yield _effect(between, at, table[[0, k], j : j + 1], bool(exact[[0, k], j].all()))


def label(values: xr.DataArray, axis: Any, k: int, digits: int = 6) -> str:
    """A level as text: a number with its unit."""
    value, unit = values[axis].values[k], values[axis].attrs.get("units", "")
    if isinstance(value, (float, np.floating)):
        return format_si(float(value), "" if unit == "1" else unit, digits)
    return str(value) if unit in ("", "1") else f"{value} {unit}"


def _effect(between: tuple[str, str, str, str], at: str, table: np.ndarray, exact: bool) -> Effect:
    """The effect between the two of `table` [2, others, replicate]; a pair lacks where either has no number.

    Where it is `exact`, with no chance seen in it, the interval is the effect, but of a share.
    """
    ratio = METRICS[between[0]].ratio
    base, level = np.log(np.where(table > 0, table, np.nan)) if ratio else table
    both = np.isfinite(base) & np.isfinite(level)
    seeds = both.any(axis=0)
    count = both.sum(axis=0)[seeds]
    sums = [np.where(both, part, 0.0).sum(axis=0)[seeds] for part in (level - base, base, level)]
    difference, before, after = (part / count for part in sums)
    grain = GRAIN * float(np.abs([before, after]).max(initial=0.0))
    if between[0] in SHARES:
        low, high = of_gain(difference)
    elif alike(difference, grain) and not exact:
        low = high = math.nan
    else:
        low, high = interval(difference)
    mean = float(np.mean(difference)) if len(difference) else math.nan
    shown: Callable[[float], float] = math.exp if ratio else float
    clear = bool(low > 0 or high < 0) and abs(mean) >= (LEAST if ratio else grain)
    ends = [shown(float(np.mean(part))) if len(part) else math.nan for part in (before, after)]
    return Effect(
        *between,
        at=at,
        kind="ratio" if ratio else "difference",
        unit="1" if ratio else METRICS[between[0]].unit,
        pairs=int(both.sum()),
        before=ends[0],
        after=ends[1],
        effect=shown(mean),
        low=shown(low),
        high=shown(high),
        clear=clear,
    )


def of_level(metric: str, values: np.ndarray) -> tuple[float, float]:
    """The interval of the mean of a metric's `values` (of a ratio their logarithms), NaN for too few."""
    if metric in SHARES:
        return of_share(values)
    grain = GRAIN * float(np.abs(values).max(initial=0.0))
    return (math.nan, math.nan) if alike(values, grain) else interval(values)


def check_names(names: list[str]) -> None:
    """UserError with the nearest name for a metric that there is not."""
    from kmc.cards.yaml_documents import unknown

    for name in names:
        if name not in METRICS:
            raise unknown(f'no metric is called "{name}"', name, METRICS, "")


def check_results(study: xr.Dataset) -> None:
    """UserError for what is no study, and for one with nothing done or nothing to compare."""
    if "state" not in study or REPLICATE not in study.dims:
        raise UserError("this is one run, not a study", next_step="give the folder of kmc study")
    if not (study["state"] == 1).any():
        raise UserError("no task of the study is done", next_step="go on with kmc study STUDY.yaml")
    if max(study["state"].shape[:-1], default=1) < 2:
        raise UserError("the study has one variant only", next_step="give an axis two values or more")
