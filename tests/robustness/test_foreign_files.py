"""Files that are nearly what a command asks for: refused by name, and nothing is taken for a result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kmc.cards.stack import load_stack
from kmc.cli import app
from kmc.core.errors import UserError
from kmc.inputs.protocol import Protocol
from kmc.inputs.settings import Settings
from kmc.io import checkpoint, dataset, provenance
from kmc.io.final_state import load_state
from kmc.io.variables import TRACES


def made(samples: int = 5) -> xr.Dataset:
    """A dataset of a run that was never made."""
    rows = {name: np.ones(samples) for name in TRACES} | {"time": np.arange(float(samples))}
    protocol = Protocol.hold("0.1 V", "5 s")
    run = provenance.describe(load_stack("ogb_20nm"), protocol, Settings(), 1)
    return dataset.build(rows, (), provenance.attributes(run))


def refused(capsys: pytest.CaptureFixture[str], *given: str | Path) -> str:
    """What is said of a mistake."""
    assert app.main([str(one) for one in given]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", [("cite",), ("plot",), ("report",), ("compact", "traces")])
def test_a_foreign_netcdf_is_no_run(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is a dataset from which a trace was taken; control: the dataset itself is cited."""
    foreign, cut, good = (tmp_path / name for name in ("other.nc", "cut.nc", "good.nc"))
    xr.Dataset({"a": ("x", np.arange(3.0))}).to_netcdf(foreign)
    dataset.write(good, made())
    dataset.write(cut, made().drop_vars(["voltage_device", "conductance"]))
    name = {"cite": "", "plot": "out.png", "report": "out.html"}.get(command[0], "out")
    out = ["--out", tmp_path / name] if name else []
    for path in (foreign, cut):
        told = refused(capsys, *command, path, *out)
        assert "is no dataset of kmc: it has no" in told
        assert path.stem in told
    assert not list(tmp_path.glob("out*"))
    assert app.main(["cite", str(good)]) == 0


@pytest.mark.parametrize(
    ("key", "value"), [("stack", None), ("stack", {"name": "x"}), ("protocol", None), ("seed", "one"), ("settings", 3)]
)
def test_a_dataset_whose_run_lacks_what_is_read_is_refused(
    key: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name, by what draws it and by a run that would start from it; control: the whole one is taken."""
    bad, good = tmp_path / "bad.nc", tmp_path / "good.nc"
    ds = made()
    run = json.loads(ds.attrs["run"])
    for path, record in ((good, run), (bad, {**run, key: value})):
        dataset.write(path, ds.assign_attrs(run=json.dumps(record)))
    for command in (("cite",), ("report", "--out", tmp_path / "page.html")):
        assert f"{key} in its run" in refused(capsys, command[0], bad, *command[1:])
    assert app.main(["cite", str(good)]) == 0


@pytest.mark.parametrize("run", ["no JSON", "[]", "{}"])
def test_a_dataset_whose_run_cannot_be_read_is_refused(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is there, and tells nothing."""
    dataset.write(tmp_path / "bad.nc", made().assign_attrs(run=run))
    for command in ("cite", "report"):
        assert "it has no run" in refused(capsys, command, tmp_path / "bad.nc")


@pytest.mark.parametrize("kept", [{"run": {"seed": 1}}, {"run": 3}, {}])
def test_a_dataset_beside_a_foreign_record(kept: object, tmp_path: Path) -> None:
    """A record without a stack says nothing of the state beside it; with one the dataset is to be a run."""
    (tmp_path / "run.json").write_text(json.dumps(kept))
    checkpoint.save(tmp_path / "checkpoint.npz", {"seed": 1, "windows": {"parts": []}})
    xr.Dataset({"a": ("x", np.arange(3.0))}).to_netcdf(tmp_path / "foreign.nc")
    assert load_state(tmp_path / "foreign.nc")["seed"] == 1
    (tmp_path / "run.json").write_text(json.dumps({"run": json.loads(made().attrs["run"])}))
    with pytest.raises(UserError, match=r"foreign\.nc is no dataset of kmc: it has no"):
        load_state(tmp_path / "foreign.nc")


def test_a_comparison_with_a_foreign_netcdf_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no inputs that could differ."""
    foreign, good = tmp_path / "other.nc", tmp_path / "good.nc"
    xr.Dataset({"a": ("x", np.arange(3.0))}).to_netcdf(foreign)
    dataset.write(good, made())
    assert "other.nc is no dataset" in refused(capsys, "compare", foreign, good)


def test_a_run_without_samples_is_drawn(tmp_path: Path) -> None:
    """An empty picture; and traces of it say which file is too short."""
    dataset.write(tmp_path / "empty.nc", made().isel(time=slice(0, 0)))
    assert app.main(["plot", str(tmp_path / "empty.nc"), "--out", str(tmp_path / "empty.png")]) == 0
    assert (tmp_path / "empty.png").is_file()


def test_a_short_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that are too short, where there are no others."""
    for name, samples in (("short", 1), ("two", 2)):
        dataset.write(tmp_path / f"{name}.nc", made(samples))
    told = refused(capsys, "compact", "traces", tmp_path / "short.nc", tmp_path / "two.nc", "--out", tmp_path / "out")
    assert "fewer than three samples: short, two" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('stack: "a\\0b/c.yaml"', "no such file"),
        ('stack: "\\ud800/x"', "no such file"),
        ("stack: ogb_20nm\nchoices: {ligand: [ogb]}", "ligand is ['ogb'], not a name"),
        ("stack: ogb_20nm\nchoices: {ligand: ''}", "ligand is '', not a name"),
        ("stack: ogb_20nm\n? [a, b]\n: c", "the key ['a', 'b'] is not a word"),
    ],
)
def test_names_that_are_none(text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file can have them, no card does; told in the user's words."""
    (tmp_path / "run.yaml").write_text(f"{text}\nprotocol: [read: {{}}]\n")
    told = refused(capsys, "check", tmp_path / "run.yaml")
    assert words in told
    assert "run.yaml:" in told


def test_what_a_set_lacks_is_said_of_the_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not of the first line of the file."""
    (tmp_path / "run.yaml").write_text("stack: ogb_20nm\nprotocol: [read: {}]\n")
    told = refused(capsys, "run", tmp_path / "run.yaml", "--set", "snapshots={}", "--out", tmp_path / "out")
    assert "--set snapshots" in told


@pytest.mark.parametrize("path", ['""', r'"\ud800.csv"'])
def test_a_source_that_is_no_path_is_refused_at_its_line(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the line of the run file."""
    text = f"stack: ogb_20nm\nprotocol:\n  - pwl: {{file: {path}, step: 1 us}}\n"
    (tmp_path / "run.yaml").write_text(text)
    told = refused(capsys, "check", tmp_path / "run.yaml")
    assert "run.yaml:3: file in pwl is" in told


def test_what_rests_on_nothing_is_not_cited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A picture or a checkpoint is no YAML."""
    (tmp_path / "x.npz").write_bytes(b"PK\3\4")
    assert "name a card, stack, run file" in refused(capsys, "cite", tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["reproduce", "--minutes", "nan", "--out", "out"], "greater than or equal to 0"),
        (["schema", "ligand", "--reference"], "--reference is of all keys"),
        (["schema", "ligan", "--reference"], 'did you mean "ligand"'),
    ],
)
def test_options_that_say_nothing_are_refused(
    given: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, *given)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_an_output_without_room_is_told() -> None:
    """One line and exit code 3, no traceback."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kmc", "schema"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
        )
    assert done.returncode == 3
    assert done.stderr.splitlines() == ["the output cannot be written: no space is left; make room"]
