"""Physical constants and the reading of quantities with units.

Inside the program every number is a float in eV, nm, s, V, A, S or K; pint is imported at the edge
only, when the first text with a unit is read.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache
from typing import Any

from kmc.core.errors import UserError, nearest

# CODATA 2018; all but EPS0 follow exactly from the 2019 definition of the SI.
E_CHARGE = 1.602176634e-19  # C
K_B = 1.380649e-23 / E_CHARGE  # eV/K
PLANCK = 6.62607015e-34  # J s
G0 = 2.0 * E_CHARGE**2 / PLANCK  # S, conductance quantum
LORENZ = (math.pi * K_B) ** 2 / 3.0  # W ohm/K2, Sommerfeld value
EPS0_F = 8.8541878128e-12 * 1e-9  # F/nm
EPS0 = EPS0_F / E_CHARGE  # e/(V nm)

# The unit a quantity takes inside, by the unit that cards and documentation show.
INTERNAL = {
    "m2/s": "nm2/s",
    "cm2/V/s": "nm2/V/s",
    "W/m/K": "W/nm/K",
    "W/m3/K": "W/nm3/K",
    "MW/m2/K": "W/nm2/K",
    "cm-3": "1/nm3",
    "um2": "nm2",
    "uS": "S",
    "nS": "S",
    "S/cm": "S/nm",
    "ohm": "V/A",
    "ohm m": "V nm/A",
    "ms": "s",
}

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*", re.DOTALL)
_FACTOR = re.compile(r"([A-Za-zµμΩÅ%]+|°C)\s*(?:(?:\^|\*\*)?\s*([+-]?\d))?(?!\d)")
_SIGNS = {"·": "*", "%": "percent", "Ω": "ohm", "Å": "angstrom"}
_PREFIXES = [
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "u"),
    (1e-9, "n"),
    (1e-12, "p"),
    (1e-15, "f"),
]
_COMMON = (
    "V mV A mA uA nA pA S mS uS nS ohm kohm Mohm s ms us ns min hour K nm um mm cm m eV meV Hz V/s mV/s "
    "nm2/s m2/s cm2/s cm2/V/s W/m/K cm-3 1/s percent"
).split()


def internal_unit(unit: str) -> str:
    """The unit that a quantity shown in `unit` takes inside the program."""
    return INTERNAL.get(unit, unit)


def parse(value: Any, unit: str, what: str = "value") -> float:
    """Read "5 ms" (or a number already in `unit`) as a float in `unit`.

    parse("5 ms", "s") is 0.005. A plain text number is taken only where `unit` is dimensionless; a
    float or int is taken as it is. Raises UserError for a missing unit, an unknown unit, a wrong
    dimension, and anything that is not finite.
    """
    if isinstance(value, bool) or value is None:
        raise UserError(f"{what} is {value!r}, not a quantity", next_step=_example(unit))
    if isinstance(value, (int, float)) or (hasattr(value, "__float__") and not isinstance(value, str)):
        return _finite(_as_float(value, what), what, unit)
    if not isinstance(value, str):
        raise UserError(f"{what} is {_shown(value)}, not a quantity", next_step=_example(unit))
    match = _NUMBER.fullmatch(value)
    if match is None:
        raise UserError(f"{what} {_shown(value)} is not a finite number with a unit", next_step=_example(unit))
    number, given = float(match[1]), match[2]
    if given.startswith(","):
        raise UserError(
            f"{what} {_shown(value)} has a comma in its number",
            next_step="write a point before decimals, nothing between thousands",
        )
    if not given and unit:
        raise UserError(f"{what} {_shown(value)} has no unit", next_step=_example(unit))
    return _finite(convert(number, given, unit, what), what, unit)


def convert(number: float, given: str, unit: str, what: str = "value") -> float:
    """`number` in the unit `given` as a float in `unit`; UserError where the dimensions differ.

    Rounded to 15 digits, so that "10 uA" and "1e-5 A" are the same float.
    """
    if given in ("degC", "°C", "celsius") and unit == "K":
        return number + 273.15
    ratio = G0 * factor("S", unit, what) if given == "G0" else factor(given, unit, what)
    return number if ratio == 1.0 else float(f"{number * ratio:.15g}")


@lru_cache(maxsize=1024)
def factor(given: str, unit: str, what: str = "value") -> float:
    """What a number in `given` is multiplied by to be in `unit`."""
    if given == unit:
        return 1.0
    import pint

    source, target = _expression(given, what), _expression(unit, what) or "dimensionless"
    try:
        one, none = (float(_registry().Quantity(n, source).to(target).magnitude) for n in (1.0, 0.0))
    except pint.UndefinedUnitError:
        raise UserError(
            f'{what}: unknown unit "{given}"', nearest=nearest(given, _COMMON), next_step=_example(unit)
        ) from None
    except pint.DimensionalityError:
        raise UserError(
            f'{what} has the wrong dimension: "{given or "no unit"}" cannot become "{unit or "a number"}"',
            nearest="degC" if (given, unit) == ("C", "K") else None,
            next_step=_example(unit),
        ) from None
    except Exception:  # pint's own parser fails in many ways on a malformed unit
        raise UserError(f'{what}: cannot read the unit "{given}"', next_step=_example(unit)) from None
    if none != 0.0:  # Fahrenheit's zero is not nothing
        raise UserError(f'{what}: "{given}" is not read', next_step="give a temperature in K or degC")
    return one


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    return pint.UnitRegistry(cache_folder=None)


def _expression(unit: str, what: str) -> str:
    """`unit` ("cm2/V/s", "W/(m K)", "1/cm^3") in pint's syntax; powers beyond one digit are refused."""
    if len(unit) > 60:
        raise UserError(f"{what}: the unit is {len(unit)} characters long", next_step="write something like nm2/s")
    unit = unicodedata.normalize("NFC", unit)  # the signs of ohm and angstrom are letters then
    rest = _FACTOR.sub("", unit)
    if rest.strip(" 1/*().·") or "**" in rest or re.search(r"[1.]{2}", rest):
        raise UserError(f'{what}: cannot read the unit "{unit}"', next_step="write something like nm2/s or W/m/K")
    text = unit
    for sign, name in _SIGNS.items():
        text = text.replace(sign, name)
    return _FACTOR.sub(lambda m: f" {m[1]}**({m[2]}) " if m[2] else f" {m[1]} ", text).strip()


_PREFIXED = re.compile(r"[munpfkMG](m|s|A|V|S|W|ohm)\b|\w*\d")  # nm, and nm2 or m2, whose prefix is squared


def format_si(value: float, unit: str, digits: int = 4) -> str:
    """`value` in `unit` with an SI prefix: format_si(0.005, "s") is "5 ms"."""
    whole = unit in ("", "eV", "K", "%") or unit[0] == "1" or _PREFIXED.match(unit)
    if value == 0 or not math.isfinite(value) or whole:
        return f"{value:.{digits}g} {unit}".rstrip()
    size = float(f"{abs(value):.{digits - 1}e}")
    for scale, prefix in _PREFIXES:
        if size >= scale * (1 - 1e-12):
            return f"{value / scale:.{digits}g} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}"


def _as_float(value: Any, what: str) -> float:
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        raise UserError(f"{what} is not a finite number", next_step="give a number that a double can hold") from None


def _finite(number: float, what: str, unit: str) -> float:
    if not math.isfinite(number):
        raise UserError(f"{what} is {number}, not a finite number", next_step=_example(unit))
    return number


def _example(unit: str) -> str:
    return f'write a number with its unit, e.g. "1 {unit}"' if unit else "write a plain number"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def interval(every: Any, what: str = "every in snapshots") -> float:
    """How often something is done, s, of text such as "1 ms". Raises UserError."""
    seconds = parse(every, "s", what)
    if not seconds > 0:
        raise UserError(f"{what} is not more than zero", next_step="write e.g. 1 ms")
    return seconds
