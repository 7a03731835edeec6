"""A study of the reservoir's states is compared with the plan that it was written for, and with no other."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import fake_simulation
import numpy as np
import pytest

from kmc.cli import app
from kmc.core.errors import UserError
from kmc_analysis.reservoir import kinetic_states, programming_laws
from kmc_analysis.reservoir import plan as settings

PLAN = """\
data: {samples: 24, test: 8}
encoding: {slot: 1 ms, bin: 5 ms, width: 1 ms, read_width: 1 ms}
feeding: {nodes: 2, window: 10 ms}
readout: {epochs: 1}
kinetic: {samples: 4}
"""
Compared = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plan, and its study by the fake simulation."""
    top = tmp_path_factory.mktemp("made")
    (top / "plan.yaml").write_text(PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
        patch.chdir(top)
        assert app.main(["reservoir", "plan.yaml", "--write-study", "states.yaml"]) == 0
        for task in range(8):
            assert app.main(["study", "states.yaml", "--out", "s", "--task", str(task)]) == 0
    return top


@pytest.fixture
def compared(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Compared:
    """Compares the study with the plan under some sets; returns the exit code and the words."""
    monkeypatch.chdir(made)
    monkeypatch.setattr(programming_laws, "REPEATS", 2)

    def call(sets: str, study: str = "s") -> tuple[int, str]:
        capsys.readouterr()
        words = ["reservoir", "plan.yaml", "--study", study, "--out", str(tmp_path / "o")]
        code = app.main([*words, "--quiet", "--no-picture", *shlex.split(sets)])
        return code, capsys.readouterr().err

    return call


def test_a_study_is_compared_with_its_plan(compared: Compared, tmp_path: Path) -> None:
    """As are the states that a comparison leaves, which tell their patterns alone."""
    assert compared("") == (0, "")
    states = str(tmp_path / "o/kinetic_states.csv")
    assert compared("", states) == compared("--set encoding.amplitude='0.9 V' --out other", states) == (0, "")


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ("--set encoding.slot='2 ms' --set encoding.width='2 ms'", "encoding.slot = 1 ms, and the plan 2 ms"),
        ("--set encoding.amplitude='0.9 V'", "encoding.amplitude = 1 V, and the plan 900 mV"),
        ("--set encoding.read_amplitude='-0.4 V'", "encoding.read_amplitude = -500 mV, and the plan -400 mV"),
        ("--set encoding.read_width='2 ms'", "encoding.read_width = 1 ms, and the plan 2 ms"),
        ("--set devices.compliance='2 uA'", "devices.compliance = 1 uA, and the plan 2 uA"),
        ("--set kinetic.stack=ogb_9nm", "kinetic.stack = ogb_20nm, and the plan ogb_9nm"),
    ],
)
def test_a_study_of_other_pulses_is_refused(compared: Compared, sets: str, told: str, tmp_path: Path) -> None:
    """At once: devices are driven for nothing else."""
    code, said = compared(sets)
    assert (code, said.count("\n")) == (2, 1)
    assert f"s: has {told}; " in said
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("study", ["s", "states.csv"])
def test_patterns_of_another_length_are_refused(compared: Compared, made: Path, study: str) -> None:
    """In a folder as in a table."""
    (made / "states.csv").write_text(",".join(kinetic_states.HEAD) + "\nb01,0,1e-9\n")
    code, said = compared("--set feeding.window='20 ms'", study)
    assert (code, said.count("\n")) == (2, 1)
    assert f"{study}: has patterns of 2 slots, and the plan's window has 4; " in said


def test_python_is_told_too() -> None:
    """Whoever gives states of other patterns."""
    plan = settings.Plan().changed(feeding={"window": "20 ms"})
    with pytest.raises(UserError, match="patterns of 10 slots, and the plan's window has 4"):
        kinetic_states.compared(plan, {"b0000000011": np.array([1e-9])}, 1)


def one_task(made: Path, name: str, text: str) -> None:
    """A study of this text and name, of which the fake simulation did one task."""
    (made / f"{name}.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
        assert app.main(["study", f"{name}.yaml", "--out", name, "--task", "0"]) == 0


def test_a_study_of_more_than_patterns_is_refused(compared: Compared, made: Path) -> None:
    """Of two ligands one would be compared without a word."""
    text = (made / "states.yaml").read_text()
    wide = text.replace("protocols:", "variants: {ligand: [ogb, ddab]}\nprotocols:", 1)
    one_task(made, "wide", wide)
    code, said = compared("", "wide")
    assert (code, said.count("\n")) == (2, 1)
    assert "the study varies ligand, too" in said


def test_a_study_of_ones_own_protocols_is_refused(compared: Compared, made: Path) -> None:
    """Though they be called as patterns are."""
    text = (made / "states.yaml").read_text()
    protocols = "protocols:\n  b00:\n    - sweep: {to: 1 V, rate: 100 V/s}\n"
    protocols += "    - hold: {voltage: -0.5 V, duration: 1 ms, samples: 20, compliance: 1 uA}\n"
    one_task(made, "mine", text[: text.index("protocols:")] + protocols)
    code, said = compared("", "mine")
    assert (code, said.count("\n")) == (2, 1)
    assert "b00 is no pattern of writes and a read" in said


def test_the_study_of_a_plan_finds_its_stack_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack beside the plan; the study lies in another folder and is read from a third."""
    home = Path(str(kinetic_states.__file__)).parents[3] / "materials" / "stacks" / "ogb_20nm.yaml"
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "my_stack.yaml").write_text(home.read_text())
    plan = tmp_path / "plans" / "plan.yaml"
    plan.write_text(PLAN.replace("{samples: 4}", "{samples: 4, stack: ./my_stack.yaml}"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    assert app.main(["reservoir", str(plan), "--write-study", "studies/states.yaml"]) == 0
    monkeypatch.chdir("/")
    assert app.main(["check", str(tmp_path / "studies" / "states.yaml")]) == 0


def test_ways_to_run_that_exclude_each_other(compared: Compared) -> None:
    """Not the first of them in silence."""
    for words in ("--sweep", "--seeds 3"):
        code, told = compared(words)
        assert (code, "do not go together" in told) == (2, True)


def test_a_study_that_is_written_has_no_folder(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--out would go unheard."""
    monkeypatch.chdir(made)
    assert app.main(["reservoir", "plan.yaml", "--write-study", "other.yaml", "--out", "o"]) == 2
    assert "--write-study and --out do not go together" in capsys.readouterr().err
    assert not (made / "other.yaml").exists()
