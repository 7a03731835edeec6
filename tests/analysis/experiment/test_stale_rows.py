"""Rows that an earlier definition of their target judged are stale: no verdict of theirs counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kmc.cli import app
from kmc_analysis.experiment.figures import all_figures
from kmc_analysis.experiment.reproduce import scoreboard
from kmc_analysis.experiment.targets import literature
from kmc_analysis.experiment.targets import targets as module
from kmc_analysis.experiment.targets.targets import REDEFINED, Accept, definition, targets
from kmc_analysis.experiment.targets.verdict import HIT, MISS, NOT_RUN, STALE
from kmc_analysis.metrics.observation import Measured, median, not_run

KEY = "S21_size_on_off"


def made(key: str = KEY, value: float = 1000.0) -> dict[str, Any]:
    """A row of today as a file holds it: of a one-sided tolerance, a hit unless `value` is small."""
    return scoreboard.row(targets()[key], Measured(value, value, value, 8, "told"))._asdict()


def read(*rows: dict[str, Any]) -> list[scoreboard.Row]:
    """Rows as a board gives them."""
    return scoreboard.rows_of({"targets": list(rows)})


@pytest.mark.parametrize(
    "values",
    [
        {"what": "another observation"},
        {"value": 1.0},
        {"unit": "V"},
        {"device": ("ogb_20nm",)},
        {"accept": Accept(low=300.5)},
        {"accept": Accept(rule="more than 300")},
    ],
)
def test_what_defines_a_target_is_in_its_hash(values: dict[str, Any]) -> None:
    """Negative control: what only labels it is not."""
    target = targets()[KEY]
    assert definition(target._replace(**values)) != definition(target)
    assert definition(target._replace(figure="S99", role="report", kind="stated")) == definition(target)


def test_a_definition_at_the_head_of_the_file_redefines_the_rows_it_concerns(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other row."""
    row, other = made(), made("S14_gold_electrode", 1.0)
    monkeypatch.setattr(module, "REDEFINED", {**REDEFINED, (4, "sweep"): (KEY,)})
    assert [one.verdict for one in read(row, other)] == [STALE, HIT]


def test_all_rows_of_simulated_devices_are_redefined_by_forming() -> None:
    """The list is that of the figures with runs; every key of the lists is a target."""
    run = {key for figure in all_figures() if figure.programs for key in figure.keys} & set(targets())
    assert set(REDEFINED[3, "forming"]) == run
    assert {key for keys in REDEFINED.values() for key in keys} <= set(targets())
    pulses = {key for figure in all_figures() if figure.name[:3] in ("S22", "S23", "S24", "S25") for key in figure.keys}
    assert set(REDEFINED[3, "pulses"]) == pulses


def test_a_row_by_another_definition_is_stale() -> None:
    """Whatever its verdict, which its reason keeps; so is a row that names no definition. Negative control:
    a row of today, and one that was not run, stay as they are."""
    today, low = made(), made(value=1.0)
    none = scoreboard.row(targets()[KEY], not_run("too dear"))._asdict()
    assert [one.verdict for one in read(today, low, none)] == [HIT, MISS, NOT_RUN]
    other = [{**one, "definition": "before"} for one in (today, low, none)]
    assert [(one.verdict, one.reason) for one in read(*other)] == [
        (STALE, "hit by an earlier definition; told"),
        (STALE, "miss by an earlier definition; the interval lies below the band; told"),
        (NOT_RUN, "too dear"),
    ]
    (unnamed,) = read({name: value for name, value in today.items() if name != "definition"})
    assert unnamed.verdict == STALE
    again = read(*(one._asdict() for one in read(*other)))  # written and read once more
    assert again == read(*other)


def test_a_stale_verdict_does_not_count() -> None:
    """The target stays among those that count, its hit does not."""
    rows = read(made(), {**made("S19_thickness_on_off"), "definition": "before"})
    assert scoreboard.counts(rows, "validation") == {
        **dict.fromkeys(("miss", "unclear", "not run"), 0),
        HIT: 1,
        STALE: 1,
    }
    assert "1 of 2 validation targets hit (1 stale)" in scoreboard.summary(rows)
    assert "- `S19_thickness_on_off`, stale: hit by an earlier definition; told." in scoreboard.as_markdown(rows)


def test_the_kept_board_counts_what_was_judged_by_the_definitions_of_today() -> None:
    """Schema 3 redefined every row of simulated devices; the file itself says which rows are stale. When rows
    are computed again this list becomes shorter."""
    found = scoreboard.kept()
    assert found is not None
    written = json.loads(scoreboard.KEPT.read_text())
    assert [row["verdict"] for row in found["targets"]] == [row["verdict"] for row in written["targets"]]
    stale = {row["key"] for row in found["targets"] if row["verdict"] == STALE}
    redefined = {key for keys in REDEFINED.values() for key in keys}
    assert stale <= redefined
    for row in found["targets"]:
        if row["verdict"] not in (STALE, NOT_RUN):
            assert row["definition"] == definition(targets()[row["key"]])


def test_a_stale_row_is_told_until_it_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command that leaves it, in the files that it writes, and in table 2."""

    def reproduce(key: str) -> str:
        words = ["reproduce", key, "--out", str(tmp_path), "-q", "--no-picture", "--done"]
        assert app.main(words) == 0
        return capsys.readouterr().err

    def verdict() -> str:
        rows = json.loads((tmp_path / "scoreboard.json").read_text())["targets"]
        return next(row["verdict"] for row in rows if row["key"] == "S11_roughness")

    reproduce("S11_roughness")
    assert "stale" not in reproduce("S18b_hrs_regimes")
    found = json.loads((tmp_path / "scoreboard.json").read_text())
    found["targets"][0]["definition"] = "before"
    (tmp_path / "scoreboard.json").write_text(json.dumps(found))
    for _ in range(2):
        assert "stale are S11_roughness: rows that stay" in reproduce("S18b_hrs_regimes")
        assert verdict() == STALE
    assert "stale" in (tmp_path / "scoreboard.csv").read_text()
    assert "stale" not in reproduce("S11_roughness")
    assert verdict() == HIT


def test_table_2_marks_a_stale_number() -> None:
    """Negative control: not that of a row of today."""
    key = "S19_thickness_on_off"
    row = scoreboard.row(targets()[key], median([500.0] * 6))._asdict()
    for more, told in (({}, "500"), ({"definition": "before"}, "500 (stale)")):
        (one,) = read({**row, **more})
        assert literature.simulated({key: one})[0].ratio == told
