"""One table: every model fitted to the same traces, and what each predicts of the traces held out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kmc.core.atomic_files import finite, write_texts
from kmc.core.errors import UserError
from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.fitting import fit_report
from kmc_analysis.compact.fitting.fit_data import Trace
from kmc_analysis.compact.fitting.model_fit import Fit, Search, fit
from kmc_analysis.metrics.compliance_law import SLOPE_PER_V


def fits(
    names: Sequence[str],
    traces: Sequence[Trace],
    held_out: Sequence[Trace],
    seed: int = 0,
    generations: int = 40,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Fit]:
    """The fit of each model, by its name; `tell` receives lines of progress.

    UserError where the traces cannot determine that many parameters, or two models have one name.
    """
    models = [load_model(name) for name in names]
    for k, model in enumerate(models):
        if any(model.name == other.name for other in models[:k]):
            raise UserError(
                f'two of the models are called "{model.name}"', next_step="give each once, and another name in its file"
            )
    search = Search(seed, generations)
    return {model.name: fit(model, traces, held_out, search=search, tell=tell) for model in models}


def rows(found: Mapping[str, Fit]) -> list[dict[str, Any]]:
    """One row a model, the best prediction first: errors are medians of the conductance's relative error."""
    made = []
    for name, one in found.items():
        slope, _ = fit_report.compliance_law(one)
        made.append(
            {
                "model": name,
                "parameters": len(one.estimates),
                "not_told": [e.parameter.name for e in one.estimates if not e.identified],
                "misfit_decades": finite(math.sqrt(one.mean_square)),
                "median_error": finite(one.errors),
                "median_error_held_out": finite(one.held_out),
                "scatter": finite(one.scatter),
                "fitted": _middle(one.errors),
                "held_out": _middle(one.held_out),
                "slope_per_V": finite(slope),
            }
        )
    return sorted(made, key=lambda row: (_last(row["held_out"]), _last(row["fitted"])))


def _last(value: float | None) -> float:
    return math.inf if value is None else value


def _middle(errors: Mapping[str, float]) -> float | None:
    """The median of the traces' medians; None without traces, or where the model has no answer."""
    return finite(float(np.median(list(errors.values())))) if errors else None


def text(made: Sequence[Mapping[str, Any]]) -> str:
    """The table in Markdown, with a column for each trace."""
    names = [*made[0]["median_error"], *made[0]["median_error_held_out"]]
    traces = [*made[0]["median_error"], *(f"{name} (held out)" for name in made[0]["median_error_held_out"])]
    head = ["model", "parameters", "not told", "misfit (decades)", *traces, "G(Icc) (1/V)"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in made:
        errors = [*row["median_error"].values(), *row["median_error_held_out"].values()]
        shown = ["none" if error is None else f"{error:.1%}" for error in errors]
        slope = "none" if row["slope_per_V"] is None else f"{row['slope_per_V']:.3g}"
        misfit = "none" if row["misfit_decades"] is None else f"{row['misfit_decades']:.3f}"
        cells = [row["model"], str(row["parameters"]), str(len(row["not_told"]))]
        lines.append("| " + " | ".join([*cells, misfit, *shown, slope]) + " |")
    scatter = made[0]["scatter"]
    if scatter:
        shown = [f"{scatter[name]:.1%}" if name in scatter else "-" for name in names]
        lines.append("| " + " | ".join(["one replicate", "-", "-", "-", *shown, "-"]) + " |")
    law = f"Median relative errors of conductance. Measured slope of G(Icc): {SLOPE_PER_V} per V."
    return "\n".join([*lines, "", law]) + "\n"


def write(made: Sequence[Mapping[str, Any]], out: Path) -> list[Path]:
    """Write errors.md and errors.json to the folder `out`; returns the paths."""
    return write_texts(out, {"errors.md": text(made), "errors.json": json.dumps(made, indent=2) + "\n"})
