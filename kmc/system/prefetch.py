"""Ask for a line of memory before it is needed, for events wait for one line after another.

It changes no result. The next hop of an ion is to one of six sites, known before it is drawn which; and the
next entity is drawn before the present event is worked out.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from kmc.core.jit_cache import njit

READ, SOON, DATA = 0, 3, 1  # the flags of LLVM's instruction


@intrinsic
def _line(typing: Any, array: Any, row: Any) -> Any:
    """The instruction itself, for the address of a row; one beyond the array does no harm."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, values[0])
        step = builder.extract_value(made.strides, 0)
        place = builder.add(builder.ptrtoint(made.data, step.type), builder.mul(step, values[1]))
        pointer, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        builder.call(ask, [builder.inttoptr(place, pointer), flag(READ), flag(SOON), flag(DATA)])
        return context.get_dummy_value()

    return numba.types.none(array, numba.types.int64), code


if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

    def prefetch(array: np.ndarray, row: int) -> None:
        """Plain Python has no such thing."""

else:

    @njit(_nrt=False, error_model="numpy", forceinline=True)
    def prefetch(array: np.ndarray, row: int) -> None:
        """Ask for the line on which a row begins."""
        _line(array, np.int64(row))  # type: ignore[call-arg]
