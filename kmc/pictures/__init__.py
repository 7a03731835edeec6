"""Pictures of stacks, made on demand: matplotlib is loaded when one is drawn."""

from __future__ import annotations

from typing import Any


def plot_stack(stack: Any, **options: Any) -> Any:
    """Draw one window of a stack; see `kmc.pictures.structure.draw`. Returns the cross-section's Axes."""
    from kmc.pictures.structure import draw

    return draw(stack, **options)
