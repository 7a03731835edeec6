"""A model in Verilog-A, for simulators that compile it."""

from __future__ import annotations

from collections.abc import Mapping

from kmc.core.units import K_B
from kmc_analysis.compact.equations.expressions import to_circuit
from kmc_analysis.compact.equations.model import CompactModel, Parameter
from kmc_analysis.compact.export import circuit_headers
from kmc_analysis.compact.export.spice_netlists import LEAK_OHM, LEAST_OHM, STATE_F, has_series


def veriloga(model: CompactModel, changes: Mapping[str, float] | None = None) -> str:
    """The model in Verilog-A: states through ddt() on internal nodes that hold the way from the initial
    value.

    Parameters are each instance's, as of the subcircuit; a model card gives them to all that are its. The
    bounds are those of a fit: beyond them nothing was tried. Without a transient's time states are held at
    their initial values; some simulators do not call the operating point of a transient static.
    """
    names = {state.name: f"st_{state.name}" for state in model.states}
    names |= {"V": "volt", "I": "amp", "kB": repr(K_B), **{name: f"let_{name}" for name in model.let}}
    inner = "d" if has_series(model) else "p"
    nodes = [f"n_{state.name}" for state in model.states]
    reals = ["volt", "amp", *(f"st_{s.name}" for s in model.states), *(f"let_{name}" for name in model.let)]
    lines = [
        '`include "disciplines.vams"',
        "",
        f"// {model.title}",
        f"// {model.source}",
        *(f"// {line}" for line in circuit_headers.of_values(model)),
        "// needs a reltol of 1.5e-5, an abstol of 1 fA and Gear's method: the .options of the decks",
        f"module kmc_{model.name}_va(p, n);",
        "  inout p, n;",
        f"  electrical p, n{', d' if inner == 'd' else ''}, {', '.join(nodes)};",
    ]
    given = model.values(changes)
    lines += [f"  {_declared(one, given[one.name], circuit_headers.meaning(model, one))}" for one in model.parameters]
    lines += [f"  real {', '.join(reals)};", "  analog begin", f"    volt = V({inner}, n);"]
    lines += [f"    st_{s.name} = V(n_{s.name}) + {to_circuit(s.initial, names)};" for s in model.states]
    lines += [f"    let_{name} = {to_circuit(tree, names)};" for name, tree in model.let.items()]
    lines += [f"    amp = {to_circuit(model.current, names)};", f"    I({inner}, n) <+ amp;"]
    if inner == "d":
        lines.append(f"    I(p, d) <+ V(p, d) / max({to_circuit(model.series, names)}, {LEAST_OHM!r});")
    for s in model.states:
        node, rate = f"n_{s.name}", to_circuit(s.rate, names)
        held = '(analysis("static") || $abstime <= 0.0)'
        # The language has ddt() under no condition. The leak is the subcircuit's: else the node floats.
        lines.append(f"    I({node}) <+ {STATE_F!r} * ddt(V({node})) + {1.0 / LEAK_OHM!r} * V({node});")
        lines.append(f"    I({node}) <+ {held} ? V({node}) : -{STATE_F!r} * ({rate});")
    return "\n".join([*lines, "  end", "endmodule", ""])


def _declared(one: Parameter, value: float, told: str) -> str:
    """A parameter in Verilog-A, with its unit, bounds and meaning."""
    unit = f', units="{one.unit}"' if one.unit else ""
    bounds = f"[{one.low!r}:{one.high!r}]"
    plain = told.replace("\\", " ").replace('"', "'")
    about = f'(* type="instance"{unit}, desc="{plain}" *)'
    return f"{about} parameter real {one.name} = {value!r} from {bounds};"
