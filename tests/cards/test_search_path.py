"""Where results go and where things are found, whatever files and folders are called."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kmc.cli import app
from kmc.core.errors import UserError
from kmc.inputs import run_file
from kmc.io import dataset, final_state, netcdf
from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.export import model_files
from kmc_analysis.compact.export.spice_netlists import subcircuit
from kmc_analysis.compact.export.veriloga import veriloga
from kmc_analysis.compact.fitting import model_comparison
from kmc_analysis.metrics import trace_columns

RUN = "stack: interlayers_only\nprotocol:\n- hold: {voltage: %s V, duration: 1 ms, samples: 2}\n"


def run(folder: Path, name: str = "run", voltage: float = 0.1, out: str = "out", *more: str) -> Path:
    """A short run without silver in `folder`/`out`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(RUN % voltage)
    assert app.main(["run", str(file), "--out", str(folder / out), "--quiet", "--no-picture", *more]) == 0
    return folder / out


def test_a_level_that_is_a_path_stays_in_the_folder(tmp_path: Path) -> None:
    """`kmc compact traces` of a study whose levels are a path and "1 V/s": files of the folder, no others."""
    mine = tmp_path / "cards" / "mine.yaml"
    mine.parent.mkdir()
    source = Path(str(trace_columns.__file__)).parents[3] / "materials" / "stacks" / "interlayers_only.yaml"
    mine.write_text(source.with_name("pedot_only.yaml").read_text())
    study = tmp_path / "study.yaml"
    one, two = (f"[hold: {{voltage: {volts} V, duration: 1 ms, samples: 4}}]" for volts in (0.1, 0.2))
    study.write_text(
        f"variants: {{stack: [{mine}, interlayers_only]}}\n"
        f"protocols: {{1V/s: {one}, 10V/s: {two}}}\nreplicates: 1\nseed: 0\n"
    )
    assert app.main(["study", str(study), "--out", str(tmp_path / "out"), "--quiet", "--workers", "1"]) == 0
    found = trace_columns.write([tmp_path / "out"], tmp_path / "traces")
    assert len(found) == 4
    assert {path.parent for path in found} == {tmp_path / "traces"}
    assert sorted(path.name for path in mine.parent.iterdir()) == ["mine.yaml"]


def test_a_folder_called_tilde_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bash leaves the ~ of --out=~/x; all of the run is then in ./~ and nothing in the user's home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "run.yaml").write_text(RUN % 0.1)
    assert app.main(["run", "run.yaml", "--out=~/x", "--quiet", "--no-picture"]) == 0
    found = dataset.merged_paths(Path("~/x"))
    assert len(found) == 1
    assert netcdf.load(found[0]).sizes["time"] == 2
    assert not (tmp_path / "home").exists()


def test_a_dataset_beside_a_strange_checkpoint_is_no_start(tmp_path: Path) -> None:
    """`initial: b/a.nc` is not the state of b."""
    a, b = run(tmp_path / "a", "a"), run(tmp_path / "b", "b", 0.2)
    strange = b / "a.nc"
    shutil.copy(a / "a.nc", strange)
    with pytest.raises(UserError, match="another run than the checkpoint beside it"):
        final_state.load_state(strange)
    assert final_state.load_state(a / "a.nc")["seed"] == final_state.load_state(a)["seed"] == 0


def test_a_task_of_a_study_is_no_start(tmp_path: Path) -> None:
    """A study keeps no states; the reason says so."""
    study = tmp_path / "study.yaml"
    study.write_text((RUN % 0.1) + "replicates: 1\n")
    assert app.main(["study", str(study), "--out", str(tmp_path / "out"), "--quiet", "--workers", "1"]) == 0
    with pytest.raises(UserError, match="tasks keep no state"):
        final_state.load_state(tmp_path / "out")


def test_the_sources_beside_a_run_are_cited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A card and its sources.bib lie beside the run file, the stack is the program's."""
    card = Path(str(trace_columns.__file__)).parents[3] / "materials" / "ogb.yaml"
    old = "length: {value: 2.2, unit: nm, sigma: 0.25, kind: assumed, "
    assert old in card.read_text()
    new = "length: {value: 2.2, unit: nm, sigma: 0.25, kind: measured, source: me2025, "
    (tmp_path / "mine.yaml").write_text(card.read_text().replace(old, new))
    (tmp_path / "sources.bib").write_text("@misc{me2025,\n  title = {Mine},\n}\n")
    (tmp_path / "run.yaml").write_text(
        "stack: ogb_20nm\nchoices: {ligand: mine}\nprotocol: [hold: {voltage: 0 V, duration: 1 us}]\n"
    )
    assert app.main(["cite", str(tmp_path / "run.yaml")]) == 0
    told = capsys.readouterr()
    assert "@misc{me2025" in told.out
    assert "me2025" not in told.err


@pytest.mark.parametrize("name", ["x" * 201, "a\\b", "ä" * 101])
def test_a_name_that_no_dataset_can_have_is_refused_first(tmp_path: Path, name: str) -> None:
    """The same rule as the record's, before anything is computed."""
    file = tmp_path / f"{name}.yaml"
    file.write_text(RUN % 0.1)
    with pytest.raises(UserError, match="plain name"):
        run_file.load_run(file)
    assert run_file.one_word("x" * 200) == "x" * 200


def test_what_is_computed_again_replaces_the_dataset(tmp_path: Path) -> None:
    """Without its checkpoint a run begins anew: the file of the go before is not its result."""
    out = run(tmp_path)
    before = json.loads(netcdf.load(dataset.merged_paths(out)[0]).attrs["provenance"])
    (out / final_state.CHECKPOINT).unlink()
    run(tmp_path, "run", 0.1, "out", "--resume")
    after = json.loads(netcdf.load(dataset.merged_paths(out)[0]).attrs["provenance"])
    assert before != after


def test_a_model_is_given_once() -> None:
    """Two models of one name would be one row; a parameter that is set twice one value."""
    with pytest.raises(UserError, match='two of the models are called "silver"'):
        model_comparison.fits(["silver", "silver"], [], [])
    with pytest.raises(UserError, match="given twice"):
        model_files.read_changes(load_model("memdiode"), ["rs=10 ohm", "rs=20 ohm"])


def test_words_of_a_model_stay_in_their_comment(tmp_path: Path) -> None:
    """A title of two lines would be a line of the circuit."""
    file = tmp_path / "mine.yaml"
    models = Path(str(model_comparison.__file__)).parents[1] / "models"
    lines = (models / "memdiode.yaml").read_text().splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("title:"))
    lines[at : at + 1] = ["title: |", "  My device", "  R1 and its friends"]
    file.write_text("\n".join(lines))
    model = load_model(str(file))
    assert model.title == "My device R1 and its friends"
    for circuit in (subcircuit(model), veriloga(model)):
        assert not any(line.startswith("R1 and") for line in circuit.splitlines())
