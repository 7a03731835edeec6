"""Electronic leak of the layers without metal: injection, traps, space charge, in series over the contact."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq

from kmc.core.units import E_CHARGE, EPS0_F, K_B

TABLE_V = np.geomspace(1e-4, 100.0, 1200)
LOG_TABLE_V = np.log(TABLE_V)
REFERENCE_K = 300.0  # at which the cards give the leak
_TABLES = 64  # kept for the simulations of one process that have the same layers


@dataclass(frozen=True)
class _Active:
    """Trap-controlled space charge (Mark-Helfrich, Rose) behind an injecting contact, Arrhenius."""

    area: float
    length: float
    activation: float
    ohmic: float
    inject: float
    lowering: float
    theta: float  # share of the carriers that is free
    filled: float  # voltage at which the traps are full
    charge: float  # 9/8 of permittivity times mobility

    @classmethod
    def of(cls, layer, area: float) -> "_Active":
        card, length = layer.card, layer.thickness_nm
        eps = EPS0_F * card.value("permittivity")
        return cls(
            area,
            length,
            card.value("leak_activation_energy"),
            card.value("ohmic_conductivity"),
            card.value("injection_limit"),
            card.value("injection_field_lowering"),
            math.exp(-card.value("trap_depth") / (K_B * REFERENCE_K)),
            E_CHARGE * card.value("trap_density") * length**2 / (2 * eps),
            9 / 8 * eps * card.value("mobility"),
        )

    def current(self, voltage: float, temperature: float) -> float:
        """A, at the layer's own voltage."""
        size = abs(voltage)
        free = self.theta if size < self.filled else self.theta + (1 - self.theta) * (1 - self.filled / size)
        bulk = self.area * (self.ohmic * size / self.length + self.charge * free * size**2 / self.length**3)
        inject = self.inject * size * math.exp(self.lowering * (math.sqrt(size) - math.sqrt(0.1)))
        return _in_series(voltage, bulk, inject, self.activation, temperature)


@dataclass(frozen=True)
class _Organic:
    """Ohmic and space-charge-limited conduction of the organic layer (Mott-Gurney)."""

    area: float
    length: float
    activation: float
    ohmic: float
    inject: float
    charge: float

    @classmethod
    def of(cls, layer, area: float) -> "_Organic":
        card = layer.card
        charge = 9 / 8 * (EPS0_F * card.value("permittivity")) * card.value("hole_mobility")
        return cls(
            area,
            layer.thickness_nm,
            card.value("leak_activation_energy"),
            card.value("conductivity"),
            card.value("injection_limit"),
            charge,
        )

    def current(self, voltage: float, temperature: float) -> float:
        """A, at the layer's own voltage."""
        size = abs(voltage)
        bulk = self.area * (self.ohmic * size / self.length + self.charge * size**2 / self.length**3)
        return _in_series(voltage, bulk, self.inject * size, self.activation, temperature)


def _in_series(voltage: float, bulk: float, inject: float, activation: float, temperature: float) -> float:
    thermal = math.exp(-activation / K_B * (1 / temperature - 1 / REFERENCE_K))
    return math.copysign(thermal / (1 / max(bulk, 1e-300) + 1 / max(inject, 1e-300)), voltage)


class Leak:
    """Current of the layers over the whole contact, A, without metal. The cards are read once."""

    def __init__(self, stack):
        area = stack.device.value("contact_area")
        self.active = _Active.of(stack.active, area) if stack.active is not None else None
        self.organic = _Organic.of(stack.organic, area) if stack.organic is not None else None

    def current(self, voltage: float, temperature: float) -> float:
        """Current at a device voltage, A: layers in series, read from a table of relative error 1e-5."""
        if abs(voltage) < TABLE_V[0]:
            return voltage / TABLE_V[0] * self.current(TABLE_V[0], temperature) if voltage else 0.0
        if abs(voltage) > TABLE_V[-1]:
            return self.exact(voltage, temperature)
        table = _table(self.active, self.organic, temperature)
        logarithm = np.interp(math.log(abs(voltage)), LOG_TABLE_V, table)
        return math.copysign(math.exp(logarithm), voltage)

    def exact(self, voltage: float, temperature: float) -> float:
        """The same without the table."""
        return _exact(self.active, self.organic, voltage, temperature)

    def organic_voltage(self, voltage: float, temperature: float) -> float:
        """Share of a device voltage that the organic layer takes, V."""
        return _organic_voltage(self.active, self.organic, voltage, temperature)


@lru_cache(maxsize=_TABLES)
def _table(active: _Active | None, organic: _Organic | None, temperature: float) -> np.ndarray:
    """Logarithms of the current at TABLE_V."""
    return np.log([max(_exact(active, organic, v, temperature), 1e-300) for v in TABLE_V.tolist()])


def _exact(active: _Active | None, organic: _Organic | None, voltage: float, temperature: float) -> float:
    if active is None:
        return organic.current(voltage, temperature) if organic is not None else 0.0
    return active.current(voltage - _organic_voltage(active, organic, voltage, temperature), temperature)


def _organic_voltage(active: _Active | None, organic: _Organic | None, voltage: float, temperature: float) -> float:
    if voltage == 0.0 or active is None or organic is None:
        return 0.0
    sign, size = math.copysign(1.0, voltage), abs(voltage)

    def excess(v: float) -> float:
        return organic.current(v, temperature) - active.current(size - v, temperature)

    return sign * brentq(excess, 0.0, size, xtol=1e-9)
