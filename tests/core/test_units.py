"""Units: text in, floats in internal units out, and constants that agree with CODATA."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmc.cards.card_schema import FAMILIES, STACK_KEYS
from kmc.core import units
from kmc.core.errors import UserError


@pytest.mark.parametrize("unit", ["degF", "fahrenheit", "degreeC", "degRe"])
def test_a_scale_with_another_zero_is_refused(unit: str) -> None:
    """A factor alone made 5 degF 1280 K. Celsius by its usual names is read."""
    with pytest.raises(UserError, match="not read"):
        units.parse(f"5 {unit}", "K")
    assert units.parse("5 °C", "K") == 278.15


def test_constants_against_codata() -> None:
    """CODATA 2018, to the digits it prints."""
    assert units.K_B == pytest.approx(8.617333262e-5, rel=1e-9)
    assert units.G0 == pytest.approx(7.748091729e-5, rel=1e-9)
    assert units.LORENZ == pytest.approx(2.443e-8, rel=1e-3)
    assert units.EPS0 == pytest.approx(0.0552635, rel=1e-5)
    assert units.EPS0_F * 1e9 == pytest.approx(8.8541878128e-12, rel=1e-10)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("5 ms", "s", 0.005),
        ("5ms", "s", 0.005),
        ("-1.5 V", "V", -1.5),
        ("1e12 1/s", "1/s", 1e12),
        (".5 V", "V", 0.5),
        ("1e-4 cm2/V/s", "nm2/V/s", 1e10),
        ("0.42 W/m/K", "W/nm/K", 4.2e-10),
        ("0.42 W/(m K)", "W/nm/K", 4.2e-10),
        ("1e19 cm-3", "1/nm3", 0.01),
        ("1e19 1/cm^3", "1/nm3", 0.01),
        ("1e-8 m2/s", "nm2/s", 1e10),
        ("20 °C", "K", 293.15),
        ("27 degC", "K", 300.15),
        ("3 Ω", "V/A", 3.0),
        ("77 µS", "S", 7.7e-5),
        ("50 %", "", 0.5),
        ("0.5", "", 0.5),
        ("2 G0", "S", 2 * units.G0),
        ("15 Å", "nm", 1.5),
        ("15 \u212b", "nm", 1.5),
        ("2 \u2126", "ohm", 2.0),
        ("1 kJ/mol", "eV", 0.0),
        (3, "V", 3.0),
        (2.5, "s", 2.5),
    ],
)
def test_quantities_that_people_write(text: object, unit: str, value: float) -> None:
    """Powers, products, symbols, offsets, plain numbers."""
    if text == "1 kJ/mol":
        with pytest.raises(UserError, match="wrong dimension"):
            units.parse(text, unit)
        return
    assert units.parse(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("5", "s", "no unit"),
        ("5 eV", "s", "wrong dimension"),
        ("5 Voltz", "V", "unknown unit"),
        ("nan V", "V", "not a finite"),
        ("inf V", "V", "not a finite"),
        ("1e999 V", "V", "not a finite"),
        (math.nan, "V", "not a finite"),
        (math.inf, "V", "finite"),
        ("9**9**9 V", "V", "cannot read"),
        ("1 V(", "V", "cannot read"),
        ("1 m**99", "nm", "cannot read"),
        ("1 (", "V", "cannot read"),
        ("1 /", "V", "cannot read"),
        ("1 " + "m" * 100, "nm", "characters long"),
        (True, "V", "not a quantity"),
        (None, "V", "quantity"),
        ([1], "V", "not a quantity"),
        ("", "V", "not a finite"),
        ("V", "V", "not a finite"),
        ("1 __import__('os')", "V", "cannot"),
        (10**400, "V", "finite"),
        ("5 V", "", "wrong dimension"),
        ("1_000 V", "V", "cannot read"),
        ("40,5 nm", "nm", "comma.*a point"),
        ("1,000 V", "V", "comma"),
        ("25 C", "K", 'did you mean "degC"'),
    ],
)
def test_what_is_no_quantity_is_refused(text: object, unit: str, says: str) -> None:
    """A UserError with a next step, whatever comes."""
    with pytest.raises(UserError, match=says) as caught:
        units.parse(text, unit)
    assert caught.value.next_step


@given(st.text(max_size=30))
def test_any_text_gives_a_number_or_a_user_error(text: str) -> None:
    """No other exception escapes from the reading of a quantity."""
    try:
        assert math.isfinite(units.parse(text, "V"))
    except UserError:
        pass


@given(st.floats(1e-14, 1e13), st.sampled_from(["s", "V", "A", "S"]))
def test_formatted_quantities_read_back(value: float, unit: str) -> None:
    """format_si and parse are inverse to the digits shown."""
    assert units.parse(units.format_si(value, unit, 6), unit) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.005, "s", "5 ms"),
        (1e-6, "A", "1 uA"),
        (-1e-6, "A", "-1 uA"),
        (0.99999999e-6, "A", "1 uA"),
        (0.0, "V", "0 V"),
        (0.208, "eV", "0.208 eV"),
        (1e5, "s", "100 ks"),
        (300.0, "K", "300 K"),
        (2.0, "", "2"),
        (math.inf, "A", "inf A"),
        (4.925e5, "1/s", "4.925e+05 1/s"),
    ],
)
def test_format_si(value: float, unit: str, text: str) -> None:
    """A prefix where it helps, none where it would read oddly."""
    assert units.format_si(value, unit) == text


def test_every_family_unit_becomes_its_internal_unit() -> None:
    """The table's units are readable and of the dimension of their internal unit."""
    for table in [*FAMILIES.values(), STACK_KEYS]:
        for key in table.values():
            assert units.factor(key.unit, key.internal) > 0


def test_pint_is_imported_only_when_a_unit_is_read() -> None:
    """Importing the cards, the stack and the protocol costs no pint."""
    modules = "kmc.cards.stack, kmc.inputs.protocol, kmc.inputs.run_file"
    code = f"import sys, {modules}; sys.exit('pint' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
