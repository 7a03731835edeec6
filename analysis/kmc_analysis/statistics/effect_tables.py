"""Tables of effects: for the terminal, as CSV and as LaTeX."""

from __future__ import annotations

import math

from kmc.cli.commands._tables import show_rows
from kmc.core.atomic_files import csv_text
from kmc_analysis.metrics import METRICS
from kmc_analysis.statistics.comparison import Effect

_LATEX = str.maketrans({"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$"})


def as_csv(found: list[Effect]) -> str:
    """All effects with every digit, one a line."""
    return csv_text(Effect._fields, found)


HEADS = ("metric", "change", "at", "pairs", "from", "to", "effect (95 %)", "")


def cells(one: Effect) -> list[str]:
    """An effect in the columns of HEADS; a star marks one that excludes "no effect"."""
    ends = (with_unit(number(value), METRICS[one.metric].unit) for value in (one.before, one.after))
    return [
        one.metric,
        f"{one.axis}: {one.base} to {one.level}",
        one.at,
        str(one.pairs),
        *ends,
        effect(one),
        "*" if one.clear else "",
    ]


def as_latex(found: list[Effect]) -> str:
    """A booktabs tabular, to be \\input."""
    lines = [
        r"\begin{tabular}{llllrll}",
        r"\toprule",
        r"metric & change & at & pairs & from & to & effect (95\,\%) \\",
        r"\midrule",
    ]
    for one in found:
        lines.append(" & ".join(cell.translate(_LATEX) for cell in cells(one)[:-1]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def effect(one: Effect) -> str:
    """The effect with its interval: "x2.1 [1.7, 2.6]" for a ratio, "+0.15 [0.1, 0.2] V" for a difference."""
    if math.isnan(one.effect):
        return "-"
    if one.kind == "ratio":
        known = [value for value in (one.effect, one.low, one.high) if not math.isnan(value)]
        # A clear ratio very near to 1 shows enough digits to differ from 1.
        digits = next((n for n in range(3, 9) if "1" not in [f"{value:.{n}g}" for value in known]), 9)
        shown = [f"{value:.{digits if one.clear else 3}g}" for value in known]
        return f"x{shown[0]}" + (f" [{shown[1]}, {shown[2]}]" if len(shown) == 3 else "")
    bounds = "" if math.isnan(one.low) else f" [{number(one.low)}, {number(one.high)}]"
    return with_unit(f"{one.effect:+.3g}{bounds}", one.unit)


def with_unit(text: str, unit: str) -> str:
    """A number with its unit, where it has both."""
    return text if unit == "1" or text == "-" else f"{text} {unit}"


def number(value: float) -> str:
    """Three digits; a dash for none."""
    return "-" if math.isnan(value) else f"{value:.3g}"


def show(found: list[Effect], title: str) -> None:
    """Effects on standard output; a star marks a clear one."""
    show_rows(HEADS, [cells(one) for one in found], title, right=("pairs", "from", "to"))
