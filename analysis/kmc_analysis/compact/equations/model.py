"""A compact model is one file: parameters with units and bounds, states, and equations written once."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from kmc.cards import yaml_documents
from kmc.cards.validators import build
from kmc.cards.yaml_documents import place, unknown
from kmc.core import units
from kmc.core.errors import UserError, nearest
from kmc_analysis.compact.equations import expressions, reserved_names

FOLDER = Path(__file__).parent.parent / "models"
AMBIENT = "T_amb"
# What an equation may read besides parameters and states: device voltage (V), its current (A), and
# Boltzmann's constant (eV/K).
BUILT_IN = ("V", "I", "kB")
SPREADS = ("device", "cycle")
_EXAMPLE = 'R_on: {value: 1 kohm, low: 10 ohm, high: 1 Mohm, unit: ohm, scale: log, meaning: "..."}'

Shown = Literal[
    "off conductance",
    "on conductance",
    "off resistance",
    "on resistance",
    "set voltage",
    "reset voltage",
    "hold voltage",
    "fading time",
]
Text = Annotated[str, BeforeValidator(lambda value: str(value))]
Line = Annotated[str, BeforeValidator(lambda value: " ".join(str(value).split()))]  # exports comment it out


class Parameter(BaseModel):
    """One parameter: value, bounds of a fit, unit, and whether a fit moves its logarithm.

    shows: the feature of a trace from which it can be read off, if there is one (see `glance`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    value: float
    low: float
    high: float
    unit: str
    scale: Literal["linear", "log"] = "linear"
    fitted: bool = True
    shows: Shown | None = None
    meaning: Line


_AMBIENT = Parameter(
    name=AMBIENT, value=300.0, low=200.0, high=450.0, unit="K", fitted=False, meaning="ambient temperature"
)


class _Document(BaseModel):
    """The top level of a model's file."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    name: str
    title: Line
    source: Line
    validity: Line
    parameters: dict[str, Any]
    states: dict[str, Any]
    let: dict[str, Text] = {}
    series: Text = "0"
    current: Text
    spread: dict[str, dict[str, float]] = {}


class _State(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    initial: Text
    rate: Text
    meaning: Line


@dataclass(frozen=True)
class State:
    """One state: a name, the expressions of its initial value and of its rate (1/s), and its meaning."""

    name: str
    initial: ast.expr
    rate: ast.expr
    meaning: str


@dataclass(frozen=True)
class CompactModel:
    """Equations of a device: I(V, states, parameters) in A and d(state)/dt in 1/s.

    `let` holds named expressions in the order in which they are evaluated; `series` is a resistance (ohm) in
    front of the device; `spread` is the standard deviation of a parameter's logarithm, device to device and
    cycle to cycle; `origin` gives the source of the parameters' values, `covers` the conditions of the traces
    of their fit, and `rests` by parameter whether these traces determine it: "" and empty where there is no fit.
    """

    name: str
    title: str
    source: str
    validity: str
    parameters: tuple[Parameter, ...]
    states: tuple[State, ...]
    let: dict[str, ast.expr]
    series: ast.expr
    current: ast.expr
    path: Path
    spread: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    origin: str = "the model's own, of no fit"
    covers: str = ""
    rests: Mapping[str, str] = field(default_factory=dict)

    def with_parameters(self, parameters: Iterable[Parameter]) -> CompactModel:
        """The same equations with other values or bounds."""
        return replace(self, parameters=tuple(parameters))

    @property
    def names(self) -> list[str]:
        """The parameters' names, in the order of their vector."""
        return [parameter.name for parameter in self.parameters]

    @property
    def fixed(self) -> list[str]:
        """The `let` expressions that neither the voltage nor a state moves: worked out once a device."""
        still = {*self.names, "kB"}
        for name, tree in self.let.items():
            if expressions.names(tree) <= still:
                still.add(name)
        return [name for name in self.let if name in still]

    def reads(self, name: str) -> bool:
        """Whether any equation does."""
        states = [tree for state in self.states for tree in (state.initial, state.rate)]
        return any(name in expressions.names(tree) for tree in (*states, *self.let.values(), self.series, self.current))

    def parameter(self, name: str) -> Parameter:
        """The parameter `name`. Raises UserError with the nearest name."""
        if name not in self.names:
            raise unknown(f'{self.name} has no parameter "{name}"', name, self.names, "")
        return self.parameters[self.names.index(name)]

    def within(self, name: str, value: float) -> float:
        """`value`, in the unit of the parameter `name`. Raises UserError where it leaves the bounds."""
        bounds = self.parameter(name)
        if not bounds.low <= value <= bounds.high:
            step = f"give {bounds.low:g} to {bounds.high:g} {bounds.unit}".rstrip()
            raise UserError(f"{name} = {value:g} is out of its bounds", next_step=step)
        return value

    def values(self, changes: Mapping[str, float] | None = None) -> dict[str, float]:
        """All parameters, with `changes` in place of the file's values. UserError for an unknown name."""
        found = {parameter.name: parameter.value for parameter in self.parameters}
        for name, value in (changes or {}).items():
            found[self.parameter(name).name] = float(value)
        return found


def model_names() -> list[str]:
    """The models that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_model(name: str | Path) -> CompactModel:
    """The model of that name, or of a file of your own (a path that ends in .yaml).

    Raises UserError, with file and line, where the file is wrong, and with the nearest name for an unknown
    one.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{name}.yaml"
        if str(name) not in model_names():
            raise UserError(
                f'no compact model is called "{name}"',
                nearest=nearest(name, model_names()),
                next_step="kmc compact models lists them, or give a .yaml file",
            )
    return _assemble(yaml_documents.read(path, f"name: {path.stem}"), path)


def _assemble(raw: yaml_documents.Mapping, path: Path) -> CompactModel:
    found = build(_Document, raw, "the model", "kmc compact models shows complete ones")
    reserved_names.check_model(found.name, place(raw, "name"))
    parameters = [_parameter(name, entry, place(raw["parameters"], name)) for name, entry in found.parameters.items()]
    parameters.append(_AMBIENT)
    constants = {**{p.name: p.low >= 0.0 for p in parameters}, "kB": True}  # whether it is never negative
    states_too = {**constants, **dict.fromkeys(found.states, False)}
    known = {**states_too, "V": False}
    let = {}
    for name, text in found.let.items():
        let[name] = _equation(text, known, place(raw["let"], name))
        known[name] = expressions.never_negative(let[name], known)
    states = tuple(_state(name, entry, constants, known, raw) for name, entry in found.states.items())
    # Before the current is known: whatever depends on V would make the series resistance implicit.
    series = _equation(found.series, states_too, place(raw, "series"))
    model = CompactModel(
        found.name,
        found.title,
        found.source,
        found.validity,
        tuple(parameters),
        states,
        let,
        series,
        _equation(found.current, known, place(raw, "current")),
        path,
        found.spread,
    )
    _check_whole(model, raw)
    reserved_names.check_names(raw)
    return model if model.reads(AMBIENT) else model.with_parameters(parameters[:-1])


def _parameter(name: str, entry: Any, where: str) -> Parameter:
    if not isinstance(entry, dict):
        raise UserError(f"{name} is no mapping", where, next_step=f"write e.g. {_EXAMPLE}")
    unit = str(entry.get("unit", ""))
    read = {"name": name, **entry, "unit": unit}
    for key in ("value", "low", "high"):
        if key in entry:
            try:
                read[key] = units.parse(entry[key], unit, f"{key} of {name}")
            except UserError as error:
                raise error.at(place(entry, key) or where) from None
    try:
        made = build(Parameter, read, name, f"e.g. {_EXAMPLE}")
    except UserError as error:
        raise error.at(where) from None
    if not made.low <= made.value <= made.high or (made.scale == "log" and made.low <= 0.0):
        raise UserError(
            f"{name} is not within its bounds, or a logarithm's lower bound is not positive",
            where,
            next_step="give low <= value <= high",
        )
    return made


def _state(name: str, entry: Any, constants: Mapping[str, bool], known: Mapping[str, bool], raw: Any) -> State:
    where = place(raw["states"], name)
    if not isinstance(entry, dict):
        raise UserError(f"{name} is no mapping", where, next_step="write {initial: 0, rate: ..., meaning: ...}")
    made = build(_State, entry, f"state {name}")
    rate = _equation(made.rate, {**known, "I": False}, place(entry, "rate") or where)
    return State(name, _equation(made.initial, constants, place(entry, "initial") or where), rate, made.meaning)


def _equation(text: str, known: Mapping[str, bool], where: str) -> ast.expr:
    """The tree of an equation; `known` names what it may read, and whether that is never negative."""
    tree = expressions.parse(text, where)
    expressions.check_names(tree, sorted(known), where)
    expressions.check_powers(tree, known, where)
    return tree


def _check_whole(model: CompactModel, raw: Any) -> None:
    every = [*model.names, *(state.name for state in model.states), *model.let, *BUILT_IN]
    folded = [name.lower() for name in every]
    if not 1 <= len(model.states) <= 2:
        raise UserError(
            f"a model has one or two states, not {len(model.states)}",
            place(raw, "states"),
            next_step="leave out what does not move the current",
        )
    for name in every[: -len(BUILT_IN)]:  # circuit simulators ignore case
        if folded.count(name.lower()) > 1:
            key = next((k for k in ("parameters", "states", "let") if name in (raw.get(k) or {})), None)
            if key is None:  # the program's own: the other one is the file's
                continue
            raise UserError(
                f'the name "{name}" is used twice (case does not count)',
                place(raw[key], name),
                next_step="rename one of the two",
            )
    for kind, entries in model.spread.items():
        if kind not in SPREADS:
            raise unknown(f'unknown spread "{kind}"', kind, SPREADS, place(raw["spread"], kind))
        for name, sigma in entries.items():
            if name not in model.names:
                raise unknown(
                    f'{model.name} has no parameter "{name}"', name, model.names, place(raw["spread"][kind], name)
                )
            if not 0.0 <= sigma < math.inf:
                raise UserError(
                    f"{name} has no spread of {sigma}",
                    place(raw["spread"][kind], name),
                    next_step="give a standard deviation of its logarithm",
                )
