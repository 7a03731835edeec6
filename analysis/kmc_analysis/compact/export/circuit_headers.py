"""What the head of an exported circuit says of its values, for `circuits` and `veriloga`."""

from __future__ import annotations

from kmc.core.errors import one_line
from kmc_analysis.compact.equations.model import CompactModel, Parameter


def of_values(model: CompactModel) -> list[str]:
    """Where the model holds, where its values are from and how far they reach, and what its nodes are."""
    covers = [f"fitted to {one_line(model.covers)}: beyond that it extrapolates"] if model.covers else []
    return [
        f"valid: {model.validity}",
        f"parameters: {one_line(model.origin)}",
        *covers,
        "p: silver electrode, n: counter electrode; V(p,n) is the device's voltage",
    ]


def of_parameters(model: CompactModel) -> list[str]:
    """Every parameter with its unit, bounds and meaning, and whether a fit determined it."""
    return [
        f"{one.name}{one.unit and f' ({one.unit})'}: {meaning(model, one)}, {one.low:g} to {one.high:g}"
        for one in model.parameters
    ]


def meaning(model: CompactModel, one: Parameter) -> str:
    """Of a parameter, with what its value rests on where a fit says so."""
    rests = model.rests.get(one.name, "")
    return f"{one.meaning} [{one_line(rests)}]" if rests else one.meaning
