"""Compact models: their files, their equations in Python, and the integrator against known answers."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit

from kmc.core.errors import UserError
from kmc_analysis.compact.equations import compilation, expressions, function_addresses, reference_traces
from kmc_analysis.compact.equations.integrator import Followed, Source
from kmc_analysis.compact.equations.model import FOLDER, load_model, model_names
from kmc_analysis.compact.equations.reference_traces import Drive, simulate
from kmc_analysis.compact.export import model_files, spice_netlists, veriloga

MODELS = ["memdiode", "silver", "stanford_pku", "vteam", "vvteam", "yakopcic"]
VTEAM = (FOLDER / "vteam.yaml").read_text()


def test_the_models_are_there() -> None:
    """Every model of the list, with a source and a range in which it holds."""
    assert model_names() == MODELS
    for name in MODELS:
        model = load_model(name)
        assert model.name == name
        assert "(2" in model.source
        assert model.validity


def test_a_vector_of_another_length_is_refused() -> None:
    """Compiled code would write beside its arrays. Control: the model's own vector."""
    model = load_model("vteam")
    kernel, vector = compilation.compiled(model), np.array(list(model.values().values()))
    assert kernel.begin(vector[None])[1][0, : len(vector)] == pytest.approx(vector)
    for wrong in (vector[1:], np.append(vector, 1.0), vector[:1]):
        with pytest.raises(TypeError, match="are not the model's"):
            kernel.begin(wrong[None])


THREE = "states:\n  y: {initial: 0, rate: -y, meaning: one}\n  z: {initial: 0, rate: -z, meaning: more}\n"

# What is wrong in a copy of vteam.yaml: (text, its replacement, what the error says, the nearest name).
WRONG = [
    ("k_on * pos", "k_onn * pos", 'reads "k_onn"', "k_on"),
    ("pos(V / v_on", "poss(V / v_on", 'no function "poss"', "pos"),
    ("V / Ron * exp", "V / / Ron * exp", "cannot read the equation", None),
    ("value: 3 kohm", "value: 3 ks", "wrong dimension", None),
    ("value: 3 kohm", "value: 3 ohm", "not within its bounds", None),
    ("meaning: resistance at x_on}", "meanin: resistance at x_on}", "meanin", "meaning"),
    ("title:", "titel:", 'unknown key "titel"', "title"),
    ("  Roff:", "  rON:", "used twice", None),
    ("let:\n", "let:\n  V: 1\n", "used twice", None),
    ("let:\n", "let:\n  t_amb: 1\n", "used twice", None),
    ("states:\n", THREE, "one or two states, not 3", None),
    ("name: vteam", "name: My-model", '"My-model" cannot be the name of a subcircuit', "my_model"),
    ("name: vteam", "name: 2x", "cannot be the name of a subcircuit", "x"),
    ("name: vteam", "name: limiter", "is a subcircuit beside the model", None),
    ("pos(V / v_on - 1) ^ alpha_on", "(V / v_on - 1) ^ alpha_on", "may be below zero", None),
    ("let:\n", "let:\n  beta\u00b2: 1\n", "cannot be a name in an equation", None),
    *(
        (f"  {old}:", f"  {new}:", f'"{new}" means something else in {where}', None)
        for old, new, where in (
            ("k_on", "p", "the Verilog-A"),
            ("k_on", "n", "the Verilog-A"),
            ("k_on", "volt", "the Verilog-A"),
            ("k_on", "large", "the Verilog-A"),
            ("k_on", "st_x", "the Verilog-A"),
            ("k_on", "m", "ngspice"),
            ("k_on", "let_share", "the Verilog-A"),
            ("k_on", "Temper", "ngspice"),
            ("k_on", "pi", "ngspice"),
        )
    ),
]


@pytest.mark.parametrize(("old", "new", "said", "near"), WRONG)
def test_a_wrong_model_is_refused_with_its_line(
    old: str, new: str, said: str, near: str | None, tmp_path: Path
) -> None:
    """File and line, what, and the nearest name."""
    assert old in VTEAM
    text = VTEAM.replace(old, new)
    path = tmp_path / "mine.yaml"
    path.write_text(text if "rON" not in new else text.replace("Roff", "rON"))
    if old == "  k_on:":
        path.write_text(re.sub(r"\bk_on\b", new[2:-1], VTEAM))
    with pytest.raises(UserError) as caught:
        load_model(path)
    assert said in caught.value.message
    assert caught.value.where.startswith(f"{path}:")
    assert near is None or caught.value.nearest == near


def test_an_unknown_model_offers_the_nearest() -> None:
    """A name that is not there."""
    with pytest.raises(UserError) as caught:
        load_model("vtem")
    assert caught.value.nearest == "vteam"


@pytest.mark.parametrize("text", ["__import__('os')", "x if x else 1", "x.y", "[1]", "True", "'a'", "min(1)", "f(x)"])
def test_only_equations_are_equations(text: str) -> None:
    """Nothing but arithmetic gets through."""
    with pytest.raises(UserError):
        expressions.parse(text)


# Powers of parameters (a: -1 to 1, b: 0 to 4) and of let (c: 2 b): text, and whether it is an equation.
POWERS = [
    ("(V - 0.3) ^ b", False),
    ("V ^ (1 + 2)", False),
    ("x ^ b", False),
    ("a ^ b", False),
    ("c ^ -a", True),
    ("-b ^ a", True),
    ("(b - 1) ^ a", False),
    ("(V - 0.3) ^ 3 + V ^ -1", True),
    ("pos(V) ^ b + abs(x) ^ b + exp(V) ^ b", True),
    ("(V * V / (b + 0.1) + 1e-6) ^ (b / 2)", True),
    ("(V * x) ^ b", False),
    ("max(1 - x, 1e-6) ^ b + min(b, 2) ^ b", True),
    ("max(1 - x, V) ^ b", False),
    ("min(1, V) ^ b", False),
    ("((V - 1) ^ 2) ^ b", True),
    ("((V - 1) ^ 3) ^ b", False),
    ("log(b) ^ b", False),
]


@pytest.mark.parametrize(("text", "taken"), POWERS)
def test_a_power_has_one_sign_in_every_language(text: str, taken: bool, tmp_path: Path) -> None:
    """ngspice takes the base's absolute value, so a base below zero needs a number for its exponent."""
    path, never = tmp_path / "mine.yaml", 'unit: "", meaning: none'
    parameters = f"  a: {{value: 1, low: -1, high: 1, {never}}}\n  b: {{value: 1, low: 0, high: 4, {never}}}\n"
    made = VTEAM.replace("parameters:\n", f"parameters:\n{parameters}").replace("let:\n", "let:\n  c: 2 * b\n")
    path.write_text(made.replace("current: V / Ron", f"current: ({text}) * V / Ron"))
    if taken:
        load_model(path)
        return
    with pytest.raises(UserError, match=r"mine\.yaml:\d+: .*may be below zero.*pos\(") as caught:
        load_model(path)
    assert "**" not in str(caught.value)


def test_an_expression_means_the_same_in_python() -> None:
    """Precedence, powers, the cut of exp and sinh, and pos."""
    text = "-x ^ 2 + 3 * (x - 1) / 2 - exp(100) * 0 + pos(x - 1) ^ 1.5 + min(x, 1) * sinh(max(x, 2) / x)"
    x = 1.7
    value = eval(expressions.to_python(expressions.parse(text)), {"math": math, "x": x})  # noqa: S307
    expected = -(x**2) + 3 * (x - 1) / 2 + (x - 1) ** 1.5 + math.sinh(2 / x)
    assert value == pytest.approx(expected, rel=1e-12)
    assert expressions.to_circuit(expressions.parse("log(x) ^ 2")) == "pow(ln(x), 2.0)"


def _kilohm() -> tuple[Any, Any, Any]:
    """1 kohm, and a state that decays in 1 s."""

    @njit(function_addresses.SIGNATURES["rates"])
    def rates(volt, s, p, out, amps):
        out[0, 0], amps[0] = -s[0, 0], volt / 1000.0
        return amps[0]

    current = njit(function_addresses.SIGNATURES["current"])(lambda volt, s, p: volt / 1000.0)
    return current, njit(function_addresses.SIGNATURES["series"])(lambda s, p: 0.0), rates


def _resistor(times: list[float], volts: list[float], limit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    time = np.array(times)
    out = Followed(np.empty(time.size), np.empty(time.size), np.empty((time.size, 1, 1)))
    source, model = Source(time, np.array(volts), np.full(time.size, limit)), _kilohm()
    where, states, p = function_addresses.addresses(*model), np.ones((1, 1)), np.zeros((1, 1))
    assert compilation.integrator()(where, source, states, p, 1e-6, out, compilation.room(1, 1)) > 0
    return out.volts, out.amps, out.states[:, 0]


def test_the_integrator_decays_and_limits() -> None:
    """exp(-t) to 1e-4, and the limiter holds its current within 0.1 % in both polarities."""
    volts, amps, states = _resistor([0.0, 1.0, 2.0, 3.0], [0.1, 1.0, -1.0, 0.1], 5e-4)
    assert states[:, 0] == pytest.approx(np.exp([0.0, -1.0, -2.0, -3.0]), rel=1e-4)
    assert amps[1:3] == pytest.approx([5e-4, -5e-4], rel=1e-3)
    assert volts[1:3] == pytest.approx([0.5, -0.5], rel=1e-3)
    assert amps[0] == pytest.approx(1e-4, rel=0.01)  # the limiter's softness costs under half a millivolt


def test_a_step_without_an_answer_is_made_smaller_or_said(tmp_path: Path) -> None:
    """A root of a negative number: no step gives an answer there, and none is made up."""
    text = VTEAM.replace("rate: k_on", "rate: sqrt(0.5 - x - abs(V)) * k_on")
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert path.read_text() != VTEAM
    with pytest.raises(UserError, match="cannot be integrated"):
        simulate(load_model(path), Drive.sweep(1.0, 1.0, 1e-3))


def test_silver_volatile_below_persistent_above() -> None:
    """At 1 uA the bridge fades and nothing stays; at 100 uA metal stays and a reset removes it."""
    model = load_model("silver")
    fading = Drive.of([0.0, 0.4, 0.8, 1.6, 1.61, 1.7], [0.0, 0.45, 0.0, 0.0, 0.05, 0.05], 1e-6)
    low = simulate(model, fading)
    assert low.current[1] == pytest.approx(1e-6, rel=1e-3)
    assert low.current[-1] / 0.05 < 3e-9  # under three times pristine
    setting = Drive.of(
        [0.0, 0.5, 1.0, 1.4, 1.41, 1.5, 2.2, 2.9, 2.91, 3.0], [0.0, 0.5, 0.0, 0.0, 0.1, 0.1, -0.8, 0.0, 0.1, 0.1], 1e-4
    )
    high = simulate(model, setting)
    assert high.current[5] / 0.1 == pytest.approx(1e-4 / 0.2996, rel=0.1)  # G(Icc) of the measured law
    assert high.current[-1] < 0.01 * high.current[5]


def test_warmth_makes_silver_fade_faster() -> None:
    """The ambient's temperature moves the volatile state."""
    model = load_model("silver")
    drive = Drive.of([0.0, 0.4, 0.41, 0.43], [0.0, 0.45, 0.05, 0.05], 1e-6)
    cold, warm = (simulate(model, drive, {"T_amb": kelvin}).states[-1, 0] for kelvin in (300.0, 330.0))
    assert warm < 0.7 * cold


def test_a_population_is_spread_and_repeats_itself() -> None:
    """Log-normal spread of the file, the same for a seed, another for another seed."""
    model = load_model("silver")
    one, two, other = (reference_traces.population(model, 500, seed) for seed in (7, 7, 8))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    spread = np.std(np.log(one[:, model.names.index("V_th")]))
    assert spread == pytest.approx(model.spread["device"]["V_th"], rel=0.15)


def test_only_a_model_that_reads_the_ambient_has_it() -> None:
    """What moves nothing is no parameter, in an export neither."""
    assert [name for name in MODELS if "T_amb" in load_model(name).names] == ["silver"]
    assert "T_amb" in spice_netlists.subcircuit(load_model("silver"))
    for made in (spice_netlists.subcircuit, veriloga.veriloga):
        assert "T_amb" not in made(load_model("stanford_pku"))
    with pytest.raises(UserError, match="has no parameter"):
        model_files.read_changes(load_model("vteam"), ["T_amb=350 K"])
