"""A model's equations as functions that numba compiles, and the integrator that calls them.

The integrator is given the functions' addresses: it is compiled once, which takes seven seconds, and not for
each model. They take the states `s` [branches, states] and the parameters `p` [branches, n] of branches in
parallel, behind which is what follows from these alone:

- current(volt, s, p): the current in A of all branches at `volt` V.
- series(s, p): the resistance in ohm in front of all of them, the first one's.
- rates(volt, s, p, out, amps): the same as `current`; writes d(state)/dt in 1/s to `out` [branches, states],
  and each one's current to `amps`.
- begin(s, p): zero; writes the states in which they start to `s`, what follows from their parameters to `p`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from kmc.core.atomic_files import write_whole
from kmc.core.errors import UserError
from kmc.core.jit_cache import cache_root, njit
from kmc.core.units import K_B
from kmc_analysis.compact.equations.expressions import names as names_in
from kmc_analysis.compact.equations.expressions import to_python
from kmc_analysis.compact.equations.function_addresses import addresses
from kmc_analysis.compact.equations.integrator import BLOCKS, INTEGRATE, NEW, OPTIONS, Room, integrate
from kmc_analysis.compact.equations.model import CompactModel

_HEAD = """import math

from kmc.core.jit_cache import njit
from kmc_analysis.compact.equations.function_addresses import SIGNATURES
"""
_FUNCTION = """

@njit(signature_or_function=SIGNATURES["{1}"], **{3})
def {0}:
    total = 0.0
    for b in range(s.shape[0]):
        {2}
    return total
"""


def source_of(model: CompactModel) -> str:
    """The module that numba compiles for a model: its functions."""
    fixed = model.fixed
    vector = [*model.names, *fixed]
    names = {
        **{name: f"let_{name}" for name in model.let},
        **{name: f"p[b, {i}]" for i, name in enumerate(vector)},
        **{state.name: f"s[b, {i}]" for i, state in enumerate(model.states)},
        "V": "volt",
        "I": "amp",
        "kB": repr(K_B),
    }

    def let(*read_by: ast.expr) -> list[str]:
        used = _reached(model, read_by)
        return [
            f"let_{name} = {to_python(tree, names)}"
            for name, tree in model.let.items()
            if name in used and name not in fixed
        ]

    rates = [f"out[b, {i}] = {to_python(s.rate, names)}" for i, s in enumerate(model.states)]
    initial = [f"s[b, {i}] = {to_python(s.initial, names)}" for i, s in enumerate(model.states)]
    count = len(model.names)
    following = [f"p[b, {count + i}] = {to_python(model.let[name], names)}" for i, name in enumerate(fixed)]
    before = let(model.current)
    after = [line for line in let(*(state.rate for state in model.states)) if line not in before]
    current = to_python(model.current, names)
    functions = {
        "current(volt, s, p)": [*before, f"total += {current}"],
        "series(s, p)": [f"return {to_python(model.series, names)}"],
        "rates(volt, s, p, out, amps)": [*before, f"amp = {current}", *after, *rates, "amps[b] = amp", "total += amp"],
        "begin(s, p)": [*following, *initial],
    }
    return _HEAD + "".join(
        _FUNCTION.format(head, head.split("(")[0], "\n        ".join(lines), OPTIONS)
        for head, lines in functions.items()
    )


def _reached(model: CompactModel, trees: Iterable[ast.expr]) -> set[str]:
    """All that the expressions read, those of `let` that they reach through others included."""
    found = set().union(*(names_in(tree) for tree in trees))
    for name, tree in reversed(model.let.items()):
        if name in found:
            found |= names_in(tree)
    return found


@lru_cache(maxsize=64)
def _compiled(name: str, text: str) -> tuple[ModuleType, np.ndarray]:
    """The module of that text, kept in a file named by its hash so that numba's cache is never stale, and
    where its functions are."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = cache_root() / "compact" / f"{name}_{digest}.py"
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            raise UserError(
                f"{path.parent} cannot be written", next_step="point KMC_CACHE to a folder that can"
            ) from None
        write_whole(path, text.encode())
    key = f"_kmc_compact_{name}_{digest}"
    spec = importlib.util.spec_from_file_location(key, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    spec.loader.exec_module(module)
    return module, addresses(module.current, module.series, module.rates)


@dataclass(frozen=True)
class Kernel:
    """A compiled model: its functions, how many states and parameters it has, and how many values follow from
    these alone."""

    functions: ModuleType
    addresses: np.ndarray
    states: int
    parameters: int
    following: int

    def begin(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The states [devices, states] in which devices with the parameters [devices, n] start, and these
        parameters with what follows from them."""
        if vectors.shape[1:] != (self.parameters,):
            raise TypeError(f"{vectors.shape[1:]} are not the model's {self.parameters} parameters")
        states = np.empty((len(vectors), self.states))
        prepared = np.empty((len(vectors), self.parameters + self.following))
        prepared[:, : self.parameters] = vectors
        self.functions.begin(states, prepared)
        return states, prepared


def room(branches: int, states: int) -> Room:
    """What the integrator works in."""
    shape = (branches, states)
    return Room(np.zeros((NEW + 1, *shape)), np.zeros((BLOCKS + 1, *shape, states)), np.zeros((2, branches)))


@lru_cache(maxsize=1)
def integrator() -> Any:
    """`integrate` as numba compiles it: a model is given to it, and is no part of it."""
    with warnings.catch_warnings():  # numba calls functions that are given by address experimental
        warnings.simplefilter("ignore")
        return njit(signature_or_function=INTEGRATE, nogil=True, **OPTIONS)(integrate)


def compiled(model: CompactModel) -> Kernel:
    """A model that numba has compiled, and the integrator."""
    integrator()
    functions, where = _compiled(model.name, source_of(model))
    return Kernel(functions, where, len(model.states), len(model.names), len(model.fixed))
