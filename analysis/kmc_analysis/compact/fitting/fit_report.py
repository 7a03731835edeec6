"""The report of a fit: a picture of fit against data with residuals, Markdown to read, and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kmc.core.atomic_files import finite, write_texts
from kmc.core.errors import UserError
from kmc.core.units import format_si
from kmc.plotting.figure_files import save
from kmc_analysis.compact.equations.reference_traces import Drive, simulate
from kmc_analysis.compact.fitting import programmed_conductance as law
from kmc_analysis.compact.fitting.fit_data import Trace
from kmc_analysis.compact.fitting.model_fit import LEVEL, Fit
from kmc_analysis.compact.fitting.programmed_conductance import Programmed
from kmc_analysis.metrics.compliance_law import SLOPE_PER_V
from kmc_analysis.metrics.reads_and_retention import READ_V

LAW_RANGE_A = (30e-6, 150e-6)
MOST_COLUMNS = 8  # of the picture


def compliance_law(found: Fit) -> tuple[float, float]:
    """Slope (1/V) and R squared of G(0.1 V) against the compliance of the set, 30 to 150 uA.

    Not a number where the equations have no answer; R squared too where no conductance follows the limit.
    """
    limits = np.linspace(*LAW_RANGE_A, 7)
    read_g = []
    for limit in limits:
        time, volt = [0.0, 0.5, 0.7, 1.2, 1.4, 1.41, 1.6], [0.0, 0.5, 0.5, 0.0, 0.0, READ_V, READ_V]
        limited = np.where(np.array(volt) == READ_V, math.inf, limit)  # a read has none
        try:
            response = simulate(found.model, Drive.of(time, volt, limited), found.values)
        except UserError:
            return math.nan, math.nan
        read_g.append(response.current[-1] / response.voltage[-1])
    slope, _, squared = law.line(limits.tolist(), read_g)
    return slope, squared


def summary(found: Fit, devices: Sequence[Programmed] = ()) -> dict[str, Any]:
    """The fit, and the simulated law of `devices`, as plain data for JSON."""
    slope, squared = compliance_law(found)
    rows = [
        {
            "name": e.parameter.name,
            "value": e.value,
            "low": e.low,
            "high": e.high,
            "unit": e.parameter.unit,
            "identified": e.identified,
            "why": e.why,
        }
        for e in found.estimates
    ]
    told = {
        "model": found.model.name,
        "source": found.model.source,
        "validity": found.model.validity,
        "level": LEVEL,
        "intervals": found.intervals,
        "intervals_of": "typical device" if found.of_devices else "curves",
        "estimates": rows,
        "blind_directions": found.blind,
        "chi_squared_per_freedom": found.chi_squared,
        "points": found.points,
        "evaluations": found.evaluations,
        "median_error": found.errors,
        "median_error_held_out": found.held_out,
        "replicate_scatter": found.scatter,
        "compliance_law": {
            "slope_per_V": slope,
            "r_squared": squared,
            "measured_slope_per_V": SLOPE_PER_V,
            "simulated": law.summary(devices) if devices else None,
        },
    }
    return dict(finite(told))


def text(found: Fit, devices: Sequence[Programmed] = ()) -> str:
    """The report in Markdown."""
    teller = "data" if found.of_devices else "curves"
    lines = [
        f"# Fit of {found.model.name}",
        "",
        f"{found.model.title}. Source: {found.model.source}.",
        f"Valid: {found.model.validity}",
        "",
        f"{found.points} points, chi squared per degree of freedom {found.chi_squared:.4g}; {_intervals(found)}.",
        "",
        f"| parameter | value | interval | meaning | told by the {teller} |",
        "|---|---|---|---|---|",
    ]
    for e in found.estimates:
        unit = e.parameter.unit
        span = f"{format_si(e.low, unit)} to {format_si(e.high, unit)}"
        lines.append(
            f"| {e.parameter.name} | {format_si(e.value, unit)} | {span} | {e.parameter.meaning} "
            f"| {'yes' if e.identified else 'no: ' + e.why} |"
        )
    return "\n".join([*lines, *_rest(found, devices)]) + "\n"


def _intervals(found: Fit) -> str:
    """What they are: how far devices differ is known where several were measured alike."""
    if found.of_devices:
        return f"{100.0 * LEVEL:.0f} % intervals of the typical device ({found.intervals}, devices redrawn)"
    return (
        f"intervals of the fit to these curves ({found.intervals}), not of a device: points count as "
        "independent, and how devices differ is not in them"
    )


def _rest(found: Fit, devices: Sequence[Programmed]) -> list[str]:
    """What follows the table of parameters."""
    slope, squared = compliance_law(found)
    lines = ["", "Kept as they were: " + (", ".join(_kept(found)) or "none") + ".", ""]
    for weights in found.blind:
        shown = ", ".join(f"{weight:+.2f} {name}" for name, weight in weights.items())
        lines.append(f"The data leave open the combination {shown} (places between the bounds).")
    lines += ["", "| trace | median error of conductance | one replicate lies off | role |", "|---|---|---|---|"]
    for role, errors in (("fitted", found.errors), ("held out", found.held_out)):
        for name, error in errors.items():
            scatter = f"{found.scatter[name]:.1%}" if name in found.scatter else "-"
            lines.append(f"| {name} | {error:.1%} | {scatter} | {role} |")
    fit_line = f"{slope:.3g} per V, R squared {squared:.3f}" if math.isfinite(squared) else "no dependence"
    lines += ["", f"The model against compliance, 30 to 150 uA: {fit_line}; measured {SLOPE_PER_V} per V."]
    return [*lines, "", *law.text(devices)] if devices else lines


def _kept(found: Fit) -> list[str]:
    moved = {e.parameter.name for e in found.estimates}
    return [
        f"{p.name} = {format_si(found.values[p.name], p.unit)}" for p in found.model.parameters if p.name not in moved
    ]


def write(
    found: Fit, traces: Sequence[Trace], held_out: Sequence[Trace], out: Path, devices: Sequence[Programmed] = ()
) -> list[Path]:
    """Write report.md, report.json and report.png to the folder `out`; returns the paths."""
    told = json.dumps(summary(found, devices), indent=2) + "\n"
    paths = write_texts(out, {"report.md": text(found, devices), "report.json": told})
    _draw(found, [*traces, *held_out], len(traces), out / "report.png")
    return [*paths, out / "report.png"]


def _draw(found: Fit, traces: Sequence[Trace], fitted: int, path: Path) -> None:
    """Data and fit above, residuals below, for each trace; MOST_COLUMNS of them beside each other."""
    from matplotlib.figure import Figure

    columns = min(len(traces), MOST_COLUMNS)
    rows = math.ceil(len(traces) / columns)
    figure = Figure(figsize=(4.2 * columns, 5.0 * rows), layout="constrained")
    axes = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=(3, 1) * rows)
    for empty in axes.reshape(rows, 2, columns)[-1, :, len(traces) - columns * (rows - 1) :].flat:
        empty.remove()
    for k, one in enumerate(traces):
        row, column = divmod(k, columns)
        top, below = axes[2 * row, column], axes[2 * row + 1, column]
        below.sharex(top)
        time_ms, there = one.drive.time * 1e3, one.used
        top.plot(time_ms[there], 10.0 ** one.log_g[there], ".", markersize=3, color="0.5", label="data")
        try:
            predicted = one.predicted(simulate(found.model, one.drive, found.values))
        except UserError:  # no answer on this trace, which the table of errors says
            predicted = np.full_like(one.log_g, np.nan)
        top.plot(time_ms[there], 10.0 ** predicted[there], "-", color="C0", label=found.model.name)
        top.set_yscale("log")
        top.set_title(f"{one.name} ({'fitted' if k < fitted else 'held out'})", fontsize=10)
        below.plot(time_ms[there], (predicted - one.log_g)[there], ".", markersize=3, color="C3")
        below.axhline(0.0, color="0.6", linewidth=0.8)
        below.set_xlabel("time (ms)")
    axes[0, 0].set_ylabel("conductance (S)")
    axes[1, 0].set_ylabel("residual (decades)")
    axes[0, 0].legend(frameon=False, fontsize=8)
    save(figure, path, dpi=150)
