"""Variants that are drawn from a card value's sigma."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kmc.cards.card import FAMILIES, Quantity
from kmc.cards.stack import load_stack
from kmc.cli import app
from kmc.core.errors import UserError
from kmc.core.random_streams import stream
from kmc.study import load_study
from kmc.study.draws import _one

STUDY = """\
stack: ogb_20nm
variants:
  electrode.bond_energy: 8 draws
  thickness: [20 nm, 40 nm]
protocol: [read: ]
seed: 5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A study file of its own folder."""
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


def values(file: Path, *sets: str, axis: str = "electrode.bond_energy") -> list[float]:
    """The values of an axis."""
    found = next(one for one in load_study(file, sets).axes if one.name == axis)
    return [float(level.value) for level in found.levels]


def test_draws_are_an_axis_like_any_other(file: Path) -> None:
    """In rising order, within the range of an assumed value, in the devices and in the manifest's labels."""
    study = load_study(file)
    drawn = values(file)
    number = load_stack("ogb_20nm").electrode.quantity("bond_energy")
    assert number.internal_sigma
    assert study.shape == (8, 2, 1)
    assert drawn == sorted(drawn)
    assert all(abs(value - number.internal) <= number.internal_sigma for value in drawn)
    assert [run.device.value("electrode.bond_energy") for run in study.runs[::2]] == drawn
    assert study.axes[0].levels[0].given.endswith(" eV")
    assert study.axes[0].unit == "eV"


def test_draws_follow_from_the_seed_and_stay_when_there_are_more(file: Path) -> None:
    """So that a study that is made larger keeps its results."""
    assert values(file) == values(file)
    assert values(file) != values(file, "seed=6")
    more = values(file, "variants.electrode.bond_energy=16 draws")
    assert set(values(file)) < set(more)
    both = ("variants.electrode.attempt_frequency=3 draws",)
    assert values(file, *both) == values(file)
    assert len(values(file, *both, axis="electrode.attempt_frequency")) == 3


def number(kind: str, sigma: float) -> Quantity:
    """A bond energy of 0.3 eV."""
    return Quantity(value=0.3, unit="eV", kind=kind, internal=0.3, internal_sigma=sigma)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "spread"), [("assumed", 0.1 / np.sqrt(3)), ("measured", 0.1)])
def test_the_spread_is_that_of_the_kind(kind: str, spread: float) -> None:
    """Half a range for what is assumed, a standard deviation for what is measured.

    4000 draws: mean and deviation are within four standard errors; the other kind's spread is not.
    """
    generator, row = stream(1, "draws"), FAMILIES["metal"]["bond_energy"]
    found = np.array([_one(number(kind, 0.1), row, generator) for _ in range(4000)])
    assert abs(found.mean() - 0.3) < 4 * spread / np.sqrt(4000)
    assert abs(found.std() / spread - 1) < 0.05


def test_a_range_that_reaches_zero_is_of_decades() -> None:
    """The value is the median of what is drawn, of every such number of silver and of the perovskite; a law
    that is even in the value itself would have 90 % above it.

    1000 draws: the share above is within four standard errors of a half.
    """
    stack, seen = load_stack("ogb_20nm"), 0
    for role in ("electrode", "active"):
        card = stack.cards()[role]
        for key, one in card.values.items():
            row = FAMILIES[card.family][key]
            factors = one.factors(row)
            if one.kind != "assumed" or not factors or row.high * units_of(one) < one.internal * factors[1]:
                continue
            generator, seen = stream(1, key), seen + 1
            found = np.array([_one(one, row, generator) for _ in range(1000)]) / one.internal
            assert abs((found > 1).mean() - 0.5) < 4 * 0.5 / np.sqrt(1000), key
            assert 1 / factors[0] <= found.min() < 1.3 / factors[0], key
            assert factors[1] / 1.3 < found.max() <= factors[1], key
    assert seen >= 5
    factor = stack.electrode.quantity("isolated_redox_factor")
    assert factor.factors(FAMILIES["metal"]["isolated_redox_factor"]) == (10.0, pytest.approx(101.0))


def units_of(one: Quantity) -> float:
    """Internal units in the unit of its card."""
    return one.internal / one.value


def test_no_draw_leaves_the_bounds() -> None:
    """A sigma wider than what the family allows is cut there."""
    generator, row = stream(1, "draws"), FAMILIES["metal"]["bond_energy"]
    found = [_one(number("measured", 5.0), row, generator) for _ in range(200)]
    assert min(found) >= row.low
    assert max(found) <= row.high


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("electrode.bond_energy: 0 draws", "or e.g. electrode.bond_energy: 8 draws"),
        ("electrode.bond_energy: 8 drawz", "or e.g. electrode.bond_energy: 8 draws"),
        ("crystal_size: 3 draws", "write crystal_size: [...], a list of its values"),
        ("settings.refresh_bound: 3 draws", "not a list of values"),
        ("electrode.bond_enrgy: 3 draws", 'did you mean "bond_energy"?'),
        ("elektrode.bond_energy: 3 draws", 'did you mean "electrode"?'),
        ("electrode.bond_energy: 20000 draws", "more than"),
    ],
)
def test_bad_draws_are_refused(file: Path, capsys: pytest.CaptureFixture[str], text: str, words: str) -> None:
    """Exit code 2, with file and line, nothing written."""
    file.write_text(STUDY.replace("electrode.bond_energy: 8 draws", text))
    assert app.main(["study", str(file)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{file}:{2 if 'tasks' in told else 3}: ")
    assert words in told
    assert told.count("\n") == 1
    assert list(file.parent.iterdir()) == [file]


def test_a_number_that_is_not_one_is_not_drawn(file: Path) -> None:
    """A value that differs between the cards of the study, or that has no sigma."""
    other = STUDY.replace("bond_energy", "redox_potential")
    file.write_text(other.replace("thickness: [20 nm, 40 nm]", "electrode: [ag, au]"))
    with pytest.raises(UserError, match="is not the same number in all variants"):
        load_study(file)
    file.write_text(other)
    with pytest.raises(UserError, match="has no sigma to draw from"):
        load_study(file)
