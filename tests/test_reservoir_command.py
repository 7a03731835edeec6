"""What `kmc reservoir` keeps of a plan, and what it says of files and folders that are the user's own."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from kmc import cli
from kmc_analysis.compact import model
from kmc_analysis.reservoir import settings, sweep
from kmc_analysis.reservoir.devices import device_model

PLAN = "data: {samples: 48, test: 16}\nfeeding: {nodes: 6}\nreadout: {epochs: 2}\nseeds: 2\n"
SETS = ["--set", "encoding.width=5 ms", "--set", "readout={epochs: 1}"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a plan that was run with --set."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "tiny.yaml").write_text(PLAN)
    assert cli.main(["reservoir", str(folder / "tiny.yaml"), *SETS, "--quiet", "--no-picture"]) == 0
    return folder


def test_the_node_is_the_reservoir_that_ran(done: Path) -> None:
    """With what --set changed."""
    plan = runpy.run_path(str(done / "out/reservoirpy_node.py"))["node"]().plan
    assert plan.encoding.width == 5e-3
    assert plan.readout.epochs == 1
    assert plan.feeding.nodes == 6


def own_model(folder: Path, current: str) -> settings.Plan:
    """A plan with a model of its own beside it, which conducts by this equation."""
    text = re.sub("current: .*", f"current: {current}", (model.FOLDER / "silver.yaml").read_text())
    (folder / "mine.yaml").write_text(text)
    (folder / "own.yaml").write_text(f"{PLAN}devices: {{model: mine.yaml, parameters: {{}}}}\n")
    return settings.load(folder / "own.yaml")


def test_another_equation_is_another_point(tmp_path: Path) -> None:
    """Of a sweep, which keeps what it did: names and numbers of the two models are the same."""
    first = sweep.identity(own_model(tmp_path, "1e-6 * V"), 1)
    assert sweep.identity(own_model(tmp_path, "1e-6 * V"), 1) == first
    assert sweep.identity(own_model(tmp_path, "1e-9 * V"), 1) != first


def test_a_model_lies_beside_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As do its parameters and its trains: the folder that the command is given in decides nothing."""
    plan = own_model(tmp_path, "1e-6 * V")
    monkeypatch.chdir("/")
    assert device_model(plan)[0].path == tmp_path / "mine.yaml"
