"""Sweeps and comparisons say which plan they are of, and leave those of another one in their folder alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from kmc.cli import app
from kmc_analysis.reservoir import kinetic_states, plan_identity, programming_laws
from kmc_analysis.reservoir.results import accuracy_table, design_sweep

PLAN = """\
data: {samples: 24, test: 8}
encoding: {width: 5 ms}
feeding: {nodes: 4, window: 20 ms}
readout: {epochs: 1}
kinetic: {samples: 4}
sweep: {feeding.nodes: [3, 4]}
seeds: 2
"""
STEP = "choose another --out, or delete it\n"
Given = Callable[..., tuple[int, str]]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Given:
    """Gives `kmc reservoir` in a folder with a plan, another one and states; returns its code and words."""

    def point(plan: object, seed: int, folder: Path, known: object) -> dict[str, float]:
        (folder / f"{seed:020}.json").touch()  # by which the folder of a sweep is known
        return dict.fromkeys(accuracy_table.NAMES, 50.0)

    monkeypatch.setattr(design_sweep, "_point", point)
    monkeypatch.setattr(programming_laws, "REPEATS", 2)
    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text(PLAN)
    Path("other.yaml").write_text(PLAN.replace("samples: 24", "samples: 28"))
    Path("states.csv").write_text(",".join(kinetic_states.HEAD) + "\nb0000,0,1e-9\nb0101,0,1e-7\n")

    def call(words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = app.main(["reservoir", *shlex.split(words), "--quiet", "--no-picture"])
        return code, capsys.readouterr().err

    return call


SWEEP, STUDY = "--sweep --out o", "--study states.csv --out o"


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (f"plan.yaml {SWEEP}", f"other.yaml {SWEEP}", "holds results of plan.yaml; "),
        (f"plan.yaml {SWEEP}", f"plan.yaml --set readout.epochs=2 {SWEEP}", "holds results of plan.yaml; "),
        (f"plan.yaml {SWEEP}", f"plan.yaml {SWEEP} --seeds 1", "holds results of 2 seeds, of which this run has 1; "),
        (
            f"plan.yaml {SWEEP}",
            f"plan.yaml --set 'sweep={{feeding.nodes: [4]}}' {SWEEP}",
            "holds results of feeding.nodes = 3, which this run has not; ",
        ),
        (f"plan.yaml {STUDY}", f"other.yaml {STUDY}", "holds results of plan.yaml; "),
        (f"plan.yaml {STUDY}", f"plan.yaml {STUDY} --seed 2", "holds results of 1 seed, of which this run has 0; "),
        (
            f"plan.yaml {STUDY}",
            f"plan.yaml --set kinetic.samples=3 {STUDY}",
            "holds results of kinetic.samples = 4, which this run has not; ",
        ),
        (f"plan.yaml {SWEEP}", f"other.yaml {STUDY}", "holds results of plan.yaml; "),
        (f"plan.yaml {STUDY}", "other.yaml --out o", "holds results of plan.yaml; "),
    ],
)
def test_those_of_another_plan_are_not_replaced(given: Given, first: str, second: str, told: str) -> None:
    """Nor those of more seeds, or of entries that this one leaves out: one line, and no file changes."""
    assert given(first) == (0, "")
    before = {path: path.read_bytes() for path in Path("o").rglob("*.*")}
    assert given(second) == (2, f"--out: o {told}{STEP}")
    assert {path: path.read_bytes() for path in Path("o").rglob("*.*")} == before


def test_the_same_plan_goes_on(given: Given) -> None:
    """With more seeds and entries; a sweep and a comparison of one plan share a folder."""
    assert given(f"plan.yaml {SWEEP}") == (0, "")
    more = "plan.yaml --set 'sweep={feeding.nodes: [3, 4, 5]}' --sweep --out o"
    assert given(f"{more} --seeds 3") == (0, "")
    found = json.loads(Path("o", plan_identity.SWEEP).read_text())
    assert found["seeds"] == [1, 2, 3]
    assert [value for _, value in found["entries"]] == ["3", "4", "5"]
    assert given(f"plan.yaml {STUDY}") == given(f"plan.yaml {STUDY}") == (0, "")


@pytest.mark.parametrize("words", [f"plan.yaml {SWEEP}", f"plan.yaml {STUDY}"])
def test_tables_of_unknown_origin_are_not_replaced(given: Given, words: str) -> None:
    """Those of a version of the program that did not keep it."""
    assert given(words) == (0, "")
    [kept] = Path("o").glob("*.json")
    kept.unlink()
    table_csv = kept.with_suffix(".csv")
    assert given(words) == (2, f"--out: {table_csv} does not say which plan it is of; {STEP}")
