"""Times of a reservoir file that devices and trains would round to whole slots."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmc.cli import app
from kmc.core.errors import UserError
from kmc_analysis.reservoir import pipeline
from kmc_analysis.reservoir import plan as settings


def loaded(folder: Path, text: str, *sets: str) -> settings.Plan:
    """A reservoir file of these entries."""
    (folder / "plan.yaml").write_text(text)
    return settings.load(folder / "plan.yaml", sets)


@pytest.mark.parametrize(
    ("text", "line", "told", "nearest"),
    [
        (
            "encoding:\n  slot: 5 ms\n  width: 13 ms\n",
            3,
            "width in encoding: 13 ms is no multiple of slot, 5 ms",
            "15 ms",
        ),
        ("encoding: {slot: 3 ms}\n", 1, "width in encoding: 20 ms is no multiple of slot, 3 ms", "21 ms"),
        ("encoding: {width: 1 ms}\n", 1, "width in encoding: 1 ms is no multiple of slot, 5 ms", "5 ms"),
        ("feeding:\n  nodes: 3\n  window: 52 ms\n", 3, "window = 52 ms is no multiple of encoding.slot, 5 ms", "50 ms"),
        (
            "encoding: {slot: 1 ms, bin: 20 ms}\n",
            1,
            "feeding in the plan: window = 50 ms is no multiple of encoding.bin, 20 ms",
            "40 ms",
        ),
    ],
)
def test_a_time_that_would_be_rounded_is_refused(tmp_path: Path, text: str, line: int, told: str, nearest: str) -> None:
    """At its line, or where the slot is that the default does not fit; the nearest multiple is named."""
    with pytest.raises(UserError) as caught:
        loaded(tmp_path, text)
    assert caught.value.message == told
    assert caught.value.where == f"{tmp_path}/plan.yaml:{line}"
    assert caught.value.next_step == f"write {nearest}"


@pytest.mark.parametrize("entry", ["samples: 50", "noise: 1 mV", "current_spread: 0.1"])
def test_what_generates_trains_is_told_beside_a_file_of_them(tmp_path: Path, entry: str) -> None:
    """It is without effect; not what a plan does not give, nor where a sweep changes something else."""
    rows = ["sample,label,time_s", *(f"{k},{'ab'[k % 2]},0.1" for k in range(20))]
    (tmp_path / "mine.csv").write_text("\n".join(rows) + "\n")
    own = "data: {file: mine.csv, test: 5}\n"
    plan = loaded(tmp_path, own, f"data.{entry.replace(': ', '=')}")
    assert pipeline.check(plan).startswith(f"warning: {entry.split(':')[0]}: of generated trains")
    plan = loaded(tmp_path, own, "data.jitter=30 ms")
    assert pipeline.check(plan).startswith("warning: jitter: of the generalisation rank alone")
    plan = loaded(tmp_path, own)
    assert pipeline.check(plan) == ""
    assert pipeline.check(plan.changed(data={"test": 3})) == ""


def test_a_set_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with exit code 2."""
    (tmp_path / "plan.yaml").write_text("data: {samples: 24, test: 8}\n")
    for entry in ("encoding.width", "feeding.window"):
        assert app.main(["reservoir", str(tmp_path / "plan.yaml"), "--set", f"{entry}=22 ms"]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"--set {entry}" in said
        assert "22 ms is no multiple of" in said


def test_what_is_no_entry_of_a_plan_is_not_offered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither by --set nor by the file; the help's own example is one."""
    (tmp_path / "plan.yaml").write_text("data: {samples: 24, test: 8}\n")
    for entry in ("settings.window=32nm", "sets=3"):
        assert app.main(["reservoir", str(tmp_path / "plan.yaml"), "--set", entry]) == 2
        assert '"sets"?' not in capsys.readouterr().err
    assert loaded(tmp_path, "data: {test: 8}\n", "data.samples=400").data.samples == 400
    assert app.main(["reservoir", "--help"]) == 0
    assert "data.samples=400" in " ".join(capsys.readouterr().out.split())


def test_a_change_is_a_plan_as_well(tmp_path: Path) -> None:
    """The points of a sweep, and what a caller changes: of the two parts together."""
    plan = loaded(tmp_path, "encoding: {slot: 5 ms, width: 20 ms}\nfeeding: {window: 50 ms}\n")
    with pytest.raises(UserError, match="window = 47 ms is no multiple"):
        plan.changed(feeding={"window": "47 ms"})
    with pytest.raises(UserError, match=r"window = 50 ms is no multiple of encoding\.slot, 4 ms"):
        plan.changed(encoding={"slot": "4 ms"})
    changed = plan.changed(encoding={"slot": "4 ms"}, feeding={"window": "48 ms"})
    assert changed.encoding.slots == 5


@pytest.mark.parametrize("slot", ["5 ms", "0.1 ms", "3.3333333333 ms", "1 us"])
def test_multiples_are_told_by_their_digits(tmp_path: Path, slot: str) -> None:
    """Not by the last bits of a quotient."""
    value = float(slot.split()[0])
    times = {"width": f"{6 * value!r} {slot.split()[1]}", "window": f"{27 * value!r} {slot.split()[1]}"}
    text = f"encoding: {{slot: {slot}, width: {times['width']}}}\nfeeding: {{window: {times['window']}}}\n"
    assert loaded(tmp_path, text).encoding.slots == 6
