"""Levels of an axis that are drawn from a card value's sigma: `electrode.bond_energy: 8 draws`."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from kmc.cards import quantity
from kmc.cards.card import FAMILIES, Quantity
from kmc.cards.card_schema import Key
from kmc.cards.stack import Stack
from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc.study.axes import CARDS, CASE, Axis, Level, Maker, spread

_MOST = 10_000


def drawn(axes: list[Axis], maker: Maker, seed: int) -> list[Axis]:
    """The axes with the levels of those that are to be drawn, in rising order. Raises UserError.

    Each has a stream of its own of the study's seed: the first of 16 draws are those of 8.
    """
    return [_with_levels(axis, axes, maker, seed) if axis.draws else axis for axis in axes]


def _with_levels(axis: Axis, axes: list[Axis], maker: Maker, seed: int) -> Axis:
    if axis.draws > _MOST:
        raise UserError(f"{axis.draws} draws are more than {_MOST}", axis.where, next_step="take fewer")
    device = _common(axis, axes, maker)
    role, _, key = axis.name.partition(".")
    card = device.cards()[role]
    number, row = card.quantity(key), FAMILIES[card.family][key]
    if not number.internal_sigma:
        raise UserError(
            f"{axis.name} of {card.name} has no sigma to draw from",
            axis.where,
            next_step=f"write a list of values, or give {key} a sigma in the card",
        )
    generator = random_streams.stream(seed, f"draws of {axis.name}")
    values = sorted(_one(number, row, generator) for _ in range(axis.draws))
    texts = [f"{value:.9g} {row.internal}".strip() for value in values]
    return replace(axis, levels=tuple(Level(text, text, axis.where) for text in texts))


def _common(axis: Axis, axes: list[Axis], maker: Maker) -> Stack:
    """A device with the axis's card; refused where the cards of the study differ in that number."""
    whole = [other for other in axes if other.name in ("stack", *CARDS, CASE)]
    found: dict[str, Stack] = {}
    for levels in itertools.product(*(other.levels for other in whole)):
        chosen = {other.name: level for other, level in zip(whole, levels, strict=True)}
        device = maker.make(spread(chosen))[0]
        try:
            device.value(axis.name)
        except UserError as error:
            raise UserError(error.message, axis.where, error.nearest, error.next_step) from None
        role, _, key = axis.name.partition(".")
        found.setdefault(str(device.cards()[role].quantity(key).identity()), device)
    if len(found) > 1:
        raise UserError(
            f"{axis.name} is not the same number in all variants, so that draws would not be",
            axis.where,
            next_step="draw it in a study of one card, or write a list of values",
        )
    return next(iter(found.values()))


def _one(number: Quantity, row: Key, generator: np.random.Generator) -> float:
    """One draw within the bounds: uniform over the range of an assumed value, in decades where it is one of
    decades (then half of the draws are on either side of the value), normal for all others."""
    assert number.internal_sigma is not None
    uniform = number.kind == "assumed"
    factors = number.factors(row) if uniform else None
    while True:
        shift = float(generator.uniform(-1, 1) if uniform else generator.standard_normal())
        if factors:
            value = number.internal * factors[shift > 0] ** shift
        else:
            value = number.internal + number.internal_sigma * shift
        try:
            quantity.check_bounds(value, row.internal, value, "", row, "")
        except UserError:
            continue  # half of the draws at least are towards the value itself, which is within
        return value
