"""What a stack can hardly be meant to be: it is built all the same, and told."""

from __future__ import annotations

from kmc.stack import Stack

# A length, and what it lies in.
_INSIDE = (("active.roughness", "active.thickness"), ("device.residue_gap", "active.thickness"),
           ("crystal.size", "active.thickness"), ("ligand.seam_width", "ligand.gap"))  # fmt: skip


def doubts(stack: Stack) -> list[str]:
    """A sentence on each length of a stack that is larger than what it lies in."""
    sizes = {path: one.internal for path, one in stack.numbers().items()}
    return [f"{one} is {sizes[one]:g} nm, more than {other}, {sizes[other]:g} nm"
            for one, other in _INSIDE if sizes.get(one, 0.0) > sizes.get(other, float("inf"))]  # fmt: skip
