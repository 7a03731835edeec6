"""The readout by the compact model's own law: left out where no straight line programs such devices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kmc.cli import app
from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.export.pulse_response import LIMITS_A, Levels
from kmc_analysis.reservoir import programming_laws
from kmc_analysis.reservoir.results import accuracy_table, design_sweep

PLAN = "data: {samples: 24, test: 8}\nfeeding: {nodes: 3}\nreadout: {epochs: 1}\nseeds: 1\n"


def levels(monkeypatch: pytest.MonkeyPatch, mean: np.ndarray) -> None:
    """What the compliances of the law leave, in place of the model's."""
    found = Levels(LIMITS_A, mean, np.full(mean.shape, 1e-7), {})
    monkeypatch.setattr(programming_laws, "levels", lambda *_, **__: found)


@pytest.mark.parametrize(
    ("mean", "told"),
    [
        (1e-9 + 1e-12 * LIMITS_A, "from 1 nS at 30 uA to 1 nS at 150 uA"),  # vvteam: no compliance programs it
        (5e-4 - 1.0 * LIMITS_A, "from 470 uS at 30 uA to 350 uS at 150 uA"),
        (np.minimum(3.0 * LIMITS_A, 2e-4), "R squared is 0.603, less than 0.95"),  # yakopcic, memdiode: saturated
    ],
)
def test_a_law_without_a_line_is_left_out(monkeypatch: pytest.MonkeyPatch, mean: np.ndarray, told: str) -> None:
    """Its inverse divides by the slope of that line: the readout would be an ideal memory of no device."""
    levels(monkeypatch, mean)
    found = programming_laws.laws(load_model("silver"), {})
    assert set(found.rows) == {"measured", "alternative"}
    assert told in found.note


def test_a_law_with_a_line_stays() -> None:
    """That of silver, whose line misses nothing."""
    found = programming_laws.laws(load_model("silver"), {})
    assert set(found.rows) == {"measured", "alternative", "simulated"}
    assert found.note == ""


def test_what_is_left_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the results and in print; every figure is drawn all the same."""
    levels(monkeypatch, np.full(LIMITS_A.shape, 1e-9))
    (tmp_path / "plan.yaml").write_text(PLAN)
    assert app.main(["reservoir", str(tmp_path / "plan.yaml"), "--quiet"]) == 0
    out = capsys.readouterr().out
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert found["notes"]
    assert all(note in out for note in found["notes"])
    assert found["notes"][0].startswith(programming_laws.LEFT_OUT)
    assert "simulated" not in {row["readout"] for row in found["table"]}
    assert all(Path(path).is_file() for path in found["files"])


def test_a_sweep_tells_its_points_without_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a point has no mean there; the others keep theirs, at their own places."""

    def point(plan: object, seed: int, folder: Path, known: object) -> dict[str, float]:
        model = plan.devices.model  # type: ignore[attr-defined]
        return {name: 50.0 for name in accuracy_table.NAMES if name != "simulated" or model == "silver"}

    monkeypatch.setattr(design_sweep, "_point", point)
    (tmp_path / "plan.yaml").write_text(PLAN + "devices: {parameters: {}}\n")
    words = ["reservoir", str(tmp_path / "plan.yaml"), "--sweep", "--quiet"]
    assert app.main([*words, "--set", "sweep={devices.model: [vvteam, silver]}"]) == 0
    out = capsys.readouterr().out
    assert f"devices.model = vvteam: {programming_laws.LEFT_OUT}" in out
    assert "devices.model = silver:" not in out
    rows = [line.split(",")[1:3] for line in (tmp_path / "out/sweep.csv").read_text().splitlines()]
    assert ["silver", "simulated"] in rows
    assert ["vvteam", "simulated"] not in rows
