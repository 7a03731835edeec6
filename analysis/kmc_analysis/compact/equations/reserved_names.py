"""Names that a model's file may not give, for they mean something else where its exports are read.

Worst is what ngspice does with a parameter of such a name: it takes its own `pi` or `temper`, and says
nothing.
"""

from __future__ import annotations

import re
from typing import Any

from kmc.cards.yaml_documents import place
from kmc.core.errors import UserError

_MODEL = re.compile(r"[a-z][a-z0-9_]*")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Models whose subcircuit would have a name that there is.
_SUBCIRCUITS = ("limiter",)
# ngspice ignores case; every subcircuit has a parameter `m`.
_SPICE = frozenset(
    """
    m time temper hertz pi e abs acos acosh agauss arctan asin asinh atan atanh aunif ceil cos cosh exp floor
    gauss int limit ln log log10 max min nint pow pwr sgn sin sinh sqr sqrt tan tanh ternary_fcn unif
    """.split()
)
# Verilog-A does: what the module itself declares, then the keywords of Verilog-AMS (LRM 2.4, annex B).
_VERILOG = frozenset(
    """
    p n d volt amp
    above absdelay abstol access ac_stim aliasparam always analog analysis and assert assign atan2 automatic
    begin branch buf bufif0 bufif1 case casex casez cell cmos config connect connectmodule connectrules
    continuous cross ddt ddt_nature ddx deassign default defparam design disable discipline discrete domain
    driver_update edge else end endcase endconfig endconnectrules enddiscipline endfunction endgenerate
    endmodule endnature endparamset endprimitive endspecify endtable endtask event exclude final_step
    flicker_noise flow for force forever fork from function generate genvar ground highz0 highz1 hypot idt
    idt_nature idtmod if ifnone incdir include inf initial initial_step inout input instance integer join
    laplace_nd laplace_np laplace_zd laplace_zp large last_crossing liblist library limexp localparam
    macromodule medium merged module nand nature negedge net_resolution nmos noise_table nor noshowcancelled
    not notif0 notif1 or output parameter paramset pmos posedge potential primitive pull0 pull1 pulldown
    pullup rcmos real realtime reg release repeat resolveto rnmos rpmos rtran rtranif0 rtranif1 scalared
    showcancelled signed slew small specify specparam split string strong0 strong1 supply0 supply1 table task
    timer tran tranif0 tranif1 transition tri tri0 tri1 triand trior trireg units unsigned use uwire vectored
    wait wand weak0 weak1 while white_noise wire wor wreal xnor xor zi_nd zi_np zi_zd zi_zp
    """.split()
)


def check_model(name: str, where: str = "") -> None:
    """UserError at `where` for a name that no subcircuit, module and class can have."""
    if not _MODEL.fullmatch(name):
        raise UserError(
            f'"{name:.40}" cannot be the name of a subcircuit and of a module',
            where,
            nearest=re.sub(r"[^a-z0-9_]+", "_", name.lower()).lstrip("_0123456789") or None,
            next_step="begin with a small letter, and go on with small letters, digits and _",
        )
    if name in _SUBCIRCUITS:
        raise UserError(f'"{name}" is a subcircuit beside the model', where, next_step="give another name")


def check_names(raw: Any) -> None:
    """UserError, with file and line, for the first name of a model's document that cannot be exported."""
    own = {*_VERILOG, *(f"let_{name}" for name in raw.get("let") or {})}
    own |= {f"{kind}_{name}" for name in raw["states"] for kind in ("n", "st")}
    for key in ("parameters", "states", "let"):
        for name in raw.get(key) or {}:
            where = place(raw[key], name)
            if not _NAME.fullmatch(name):
                raise UserError(
                    f'"{name:.40}" cannot be a name in an equation',
                    where,
                    next_step="begin with a letter, and go on with letters, digits and _",
                )
            # States and named expressions have a prefix where they are exported.
            if key == "parameters" and (name in own or name.lower() in _SPICE):
                told = "ngspice" if name.lower() in _SPICE else "the Verilog-A"
                raise UserError(f'"{name}" means something else in {told}', where, next_step="rename it")
