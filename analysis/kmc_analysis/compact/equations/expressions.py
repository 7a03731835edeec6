"""The mini-language of model equations: arithmetic, a few functions, rendered in Python, Verilog-A and SPICE.

An expression is written once, in Python's notation with `^` or `**` for powers, and read into Python's own
syntax tree. `exp` and `sinh` stop growing at an argument of 80, alike in every language, so that a trial
step of a solver cannot overflow. `pos(x)` is x above zero and zero below: a threshold without a tail.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping

from kmc.cards.yaml_documents import unknown
from kmc.core.errors import UserError

Rename = Mapping[str, str]

# Function -> number of arguments.
FUNCTIONS = {"exp": 1, "log": 1, "sqrt": 1, "sinh": 1, "tanh": 1, "abs": 1, "pos": 1, "min": 2, "max": 2}
_OPERATORS: dict[type, str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_LIMIT = "80.0"
_WHOLE = ("2.0", "3.0", "4.0")
_ODD = tuple(text for n in range(1, 100, 2) for text in (f"{n}.0", f"(-{n}.0)"))
_NEXT_STEP = "use numbers, names, + - * / ^ and " + ", ".join(FUNCTIONS)


def parse(text: object, where: str = "") -> ast.expr:
    """The syntax tree of an equation's right-hand side. Raises UserError at `where` for anything else."""
    try:
        tree = ast.parse(str(text).replace("^", "**").strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UserError(f'cannot read the equation "{text!s:.60}"', where, next_step=_NEXT_STEP) from None
    _check(tree, where)
    return tree


def _check(node: ast.expr, where: str) -> None:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float()) | ast.Name():
            return
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _check(operand, where)
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Pow()):
            _check(node.left, where)
            return _check(node.right, where)
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            if name not in FUNCTIONS:
                raise unknown(f'an equation has no function "{name}"', name, FUNCTIONS, where)
            if len(node.args) != FUNCTIONS[name]:
                raise UserError(
                    f"{name} takes {FUNCTIONS[name]} argument(s), not {len(node.args)}",
                    where,
                    next_step="correct the equation",
                )
            for argument in node.args:
                _check(argument, where)
            return
    raise UserError(f'"{ast.unparse(node):.40}" has no place in an equation', where, next_step=_NEXT_STEP)


def names(tree: ast.expr) -> set[str]:
    """The names that an expression reads, functions left out."""
    if isinstance(tree, ast.Call):
        return set().union(*(names(argument) for argument in tree.args))
    if isinstance(tree, ast.Name):
        return {tree.id}
    return set().union(*(names(child) for child in ast.iter_child_nodes(tree) if isinstance(child, ast.expr)))


def check_names(tree: ast.expr, known: Iterable[str], where: str = "") -> None:
    """Raises UserError with the nearest name where the expression reads a name that is not `known`."""
    known = list(known)
    for name in sorted(names(tree) - set(known)):
        raise unknown(f'the equation reads "{name}", which the model does not have', name, known, where)


def check_powers(tree: ast.expr, known: Mapping[str, bool], where: str = "") -> None:
    """Raises UserError where a base that may be below zero has an exponent that is no whole number.

    known: name -> whether it is never below zero. The languages disagree on the sign of such a power, and it
    takes the number to choose the function that has Python's.
    """
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(left=base, op=ast.Pow(), right=power):
                if not (_is_whole(power) or never_negative(base, known)):
                    raise UserError(
                        f'the base of "{ast.unparse(node).replace("**", "^"):.60}" may be below zero',
                        where,
                        next_step="write pos() or abs() around the base, or a whole number as the exponent",
                    )


def _is_whole(tree: ast.expr) -> bool:
    match tree:
        case ast.Constant(value=value) | ast.UnaryOp(operand=ast.Constant(value=value)):
            return isinstance(value, (int, float)) and float(value).is_integer()
    return False


def never_negative(tree: ast.expr, known: Mapping[str, bool]) -> bool:
    """Whether the expression is surely not below zero, where the names are as `known` says."""

    def sure(part: ast.expr) -> bool:
        return never_negative(part, known)

    match tree:
        case ast.Constant(value=int() | float() as value):
            return value >= 0
        case ast.Name(id=name):
            return known.get(name, False)
        case ast.BinOp(left=left, op=ast.Mult(), right=right) if ast.dump(left) == ast.dump(right):
            return True
        case ast.BinOp(left=left, op=ast.Add() | ast.Mult() | ast.Div(), right=right):
            return sure(left) and sure(right)
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int() | float() as value)):
            return value % 2 == 0 or sure(left)
        case ast.BinOp(left=left, op=ast.Pow()):
            return sure(left)
        case ast.Call(func=ast.Name(id="max"), args=arguments):
            return any(map(sure, arguments))
        case ast.Call(func=ast.Name(id="min" | "sinh" | "tanh"), args=arguments):
            return all(map(sure, arguments))
        case ast.Call(func=ast.Name(id=name)):
            return name in ("exp", "sqrt", "abs", "pos")
    return False


def _render(
    tree: ast.expr, rename: Rename, call: Callable[[str, list[str]], str], power: Callable[[str, str], str]
) -> str:
    match tree:
        case ast.Constant(value=int() | float() as value):
            return repr(float(value))
        case ast.Name(id=name):
            return rename.get(name, name)
        case ast.UnaryOp(operand=operand):
            return f"(-{_render(operand, rename, call, power)})"
        case ast.BinOp(left=left, op=operator, right=right):
            first, second = (_render(side, rename, call, power) for side in (left, right))
            if isinstance(operator, ast.Pow):
                return power(first, second)
            return f"({first} {_OPERATORS[type(operator)]} {second})"
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return call(name, [_render(argument, rename, call, power) for argument in arguments])
    raise AssertionError("parse lets nothing else through")


def to_python(tree: ast.expr, rename: Rename | None = None) -> str:
    """Source that numba compiles; needs `import math`."""

    def call(name: str, given: list[str]) -> str:
        if name == "exp":
            return f"math.exp(min({given[0]}, {_LIMIT}))"
        if name == "sinh":
            return f"math.sinh(min(max({given[0]}, -{_LIMIT}), {_LIMIT}))"
        if name == "pos":
            return f"max({given[0]}, 0.0)"
        prefix = "" if name in ("abs", "min", "max") else "math."
        return f"{prefix}{name}({', '.join(given)})"

    def power(base: str, exponent: str) -> str:
        # numba multiplies where the exponent is 3, and calls pow where it is 3.0.
        return f"({base} ** {exponent.removesuffix('.0') if exponent in _WHOLE else exponent})"

    return _render(tree, rename or {}, call, power)


def to_circuit(tree: ast.expr, rename: Rename | None = None, odd: str = "pow") -> str:
    """An expression for Verilog-A (LRM 2.4, section 4) and ngspice's parameters.

    `odd`: the function for odd whole powers; see `to_source`.
    """

    def call(name: str, given: list[str]) -> str:
        if name == "exp":
            return f"exp(min({given[0]}, {_LIMIT}))"
        if name == "sinh":
            return f"sinh(min(max({given[0]}, -{_LIMIT}), {_LIMIT}))"
        if name == "pos":
            return f"max({given[0]}, 0.0)"
        return f"{'ln' if name == 'log' else name}({', '.join(given)})"

    def power(base: str, exponent: str) -> str:
        return f"{odd if exponent in _ODD else 'pow'}({base}, {exponent})"

    return _render(tree, rename or {}, call, power)


def to_source(tree: ast.expr, rename: Rename | None = None) -> str:
    """An expression for ngspice's behavioural sources (manual, 5.1): pow is of |x|, pwr has the sign."""
    return to_circuit(tree, rename, "pwr")
