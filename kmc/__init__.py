"""Kinetic Monte Carlo of halide-perovskite memristors: card, stack, protocol, run, study, dataset.

Six names are public; each is imported when first used, so that `import kmc` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmc.cards.card import load_card as load_card
    from kmc.cards.stack import load_stack as load_stack
    from kmc.inputs.protocol import Protocol as Protocol
    from kmc.inputs.settings import Settings as Settings
    from kmc.simulation.simulate import simulate as simulate
    from kmc.study.open_results import open as open

# Public name -> module. None of the names is a module's own, or importing that module would replace it.
_PUBLIC = {
    "load_card": "cards.card",
    "load_stack": "cards.stack",
    "Protocol": "inputs.protocol",
    "simulate": "simulation.simulate",
    "Settings": "inputs.settings",
    "open": "study.open_results",
}

__all__ = ["Protocol", "Settings", "load_card", "load_stack", "open", "simulate"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use; `__version__` is the distribution's."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("halide-kmc")
        except PackageNotFoundError:
            return "0+unknown"
    if name not in _PUBLIC:
        from difflib import get_close_matches

        close = get_close_matches(name, _PUBLIC, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module 'kmc' has no attribute {name!r}{hint}")
    from importlib import import_module

    value = getattr(import_module(f"kmc.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
