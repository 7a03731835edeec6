"""Named random streams: one run seed, one independent generator for each name."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from kmc.core.errors import UserError

_FIELDS = ("state", "inc", "has_uint32", "uinteger")


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator called `name` of the run with `seed`.

    PCG64 seeded by SeedSequence([seed, crc32(name)]): streams of different names are independent, and
    one is the same whichever others are made and in whatever order.
    """
    sequence = np.random.SeedSequence([checked(seed), zlib.crc32(name.encode())])
    return np.random.Generator(np.random.PCG64(sequence))


def checked(seed: Any, where: str = "") -> int:
    """`seed` as an int. Raises UserError, at `where`."""
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**63:
        raise UserError(
            f"seed is {seed!r:.40}, not a whole number of zero or more", where, next_step="write e.g. seed: 7"
        )
    return int(seed)


def numbered(seed: int, name: str, number: int) -> np.random.Generator:
    """The stream `name` of one of several, as of windows; that of number 0 is `stream(seed, name)` itself."""
    return stream(seed, name if number == 0 else f"{name} {number}")


def get_state(generator: np.random.Generator) -> dict[str, Any]:
    """The state of `generator` as plain text (128-bit integers fit no array type); see set_state."""
    state = generator.bit_generator.state
    inner = state["state"]
    return {
        "bit_generator": "PCG64",
        "state": str(inner["state"]),
        "inc": str(inner["inc"]),
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }


def set_state(generator: np.random.Generator, saved: dict[str, Any]) -> None:
    """Put `generator` back to what get_state returned. Raises UserError on anything else."""
    try:
        if saved["bit_generator"] != "PCG64":
            raise KeyError("bit_generator")
        state, inc, has_uint32, uinteger = (int(saved[field]) for field in _FIELDS)
        generator.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": state, "inc": inc},
            "has_uint32": has_uint32,
            "uinteger": uinteger,
        }
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UserError(
            "this is not the saved state of a random stream", next_step="use a checkpoint of this version"
        ) from None
