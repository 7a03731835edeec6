"""What `kmc reservoir` keeps of a plan, and what it says of files and folders that are the user's own."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from kmc import cli
from kmc.errors import UserError
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


@pytest.mark.parametrize(("given", "told"), [
    ("{tau_v: -50 ms, V_h: 0.2 V}", "tau_v = -0.05 is out of its bounds; give 1e-05 to 1000 s"),
    ("{V_h: 0 V}", "V_h = 0 is out of its bounds; give 0.02 to 1 V"),
    ("{V_h: 1 s}", "V"),
    ("{tau: 50 ms}", 'did you mean "tau_v"'),
])  # fmt: skip
def test_a_parameter_keeps_to_its_bounds(tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str,
                                         told: str) -> None:  # fmt: skip
    """In a mapping as in the file of a fit; one line that names the entry's own, or its --set."""
    (tmp_path / "tiny.yaml").write_text(PLAN)
    words = ["reservoir", str(tmp_path / "tiny.yaml"), "--quiet"]
    assert cli.main([*words, "--set", f"devices.parameters={given}"]) == 2
    said = capsys.readouterr().err
    assert "--set devices.parameters" in said
    (tmp_path / "tiny.yaml").write_text(f"{PLAN}devices:\n  parameters: {given}\n")
    assert cli.main(words) == 2
    line = capsys.readouterr().err
    assert "tiny.yaml:6: " in line
    assert told in said
    assert told in line
    assert (said.count("\n"), line.count("\n")) == (1, 1)


def test_a_fit_out_of_bounds_names_its_file(tmp_path: Path) -> None:
    """And not the bounds alone."""
    (tmp_path / "fit.json").write_text('{"model": "silver", "parameters": {"V_h": 0}}')
    (tmp_path / "tiny.yaml").write_text(f"{PLAN}devices: {{parameters: fit.json}}\n")
    with pytest.raises(UserError, match="V_h = 0 is out of its bounds") as error:
        device_model(settings.load(tmp_path / "tiny.yaml"))
    assert error.value.where.endswith("fit.json")
