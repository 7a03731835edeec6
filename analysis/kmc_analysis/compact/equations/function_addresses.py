"""A model's functions, which the integrator calls by their addresses.

Numba takes a function as an argument too, but looks its address up anew in each call, for 0.15 ms: as long as
a hundred steps.

Numba keeps the compiled integrator by its own file alone: who changes this one touches that one too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

ROW, ROWS = types.float64[::1], types.float64[:, ::1]
SIGNATURES = {
    "current": types.float64(types.float64, ROWS, ROWS),
    "series": types.float64(ROWS, ROWS),
    "rates": types.float64(types.float64, ROWS, ROWS, ROWS, ROW),
    "begin": types.float64(ROWS, ROWS),
}


def addresses(*functions: Any) -> np.ndarray:
    """Where functions are that were compiled for one signature each: as long as they are kept."""
    (found,) = zip(*(one.overloads.values() for one in functions), strict=True)
    return np.array([one.library.get_pointer_to_function(one.fndesc.llvm_func_name) for one in found])


def _at(signature: Any) -> Any:
    """In a kernel: the function of that signature at an address."""
    function = types.FunctionType(signature)

    @intrinsic
    def at(typingctx, address):
        def generated(context, builder, _, given):
            made = cgutils.create_struct_proxy(function)(context, builder)
            made.jit_addr = builder.inttoptr(given[0], cgutils.voidptr_t)
            return made._getvalue()

        return function(types.int64), generated

    return at


_current, _series, _rates = (_at(SIGNATURES[name]) for name in ("current", "series", "rates"))


@register_jitable
def model_at(where):
    """In a kernel: the current, series and rates of a model, whose addresses these are."""
    return _current(where[0]), _series(where[1]), _rates(where[2])
