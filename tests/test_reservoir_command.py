"""What `kmc reservoir` keeps of a plan, and what it says of files and folders that are the user's own."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from kmc import cli

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
