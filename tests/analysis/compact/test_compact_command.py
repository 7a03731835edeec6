"""`kmc compact fit`, `export` and `table`: what they write, and what they refuse."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compact_truth import bipolar, train

from kmc.cli import app
from kmc.core.units import format_si
from kmc_analysis.commands.compact import _parted, _warned
from kmc_analysis.compact.equations.model import load_model, model_names
from kmc_analysis.compact.equations.reference_traces import Drive, simulate
from kmc_analysis.compact.export import model_files

KEPT = [
    word
    for p in load_model("vteam").parameters
    if p.fitted and p.name != "k_on"
    for word in ("--fix", f"{p.name}={p.value!r} {p.unit}".strip())
]


def write_csv(path: Path, name: str, drive: Drive) -> Path:
    """A measurement of a model."""
    made = simulate(load_model(name), drive)
    rows = zip(drive.time.tolist(), drive.voltage.tolist(), made.current.tolist(), strict=True)
    body = "".join(f"{t!r},{v!r},{i!r},1e-4\n" for t, v, i in rows)
    path.write_text("time_s,voltage_source_V,current_A,compliance_A\n" + body)
    return path


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    """`kmc compact`, also where the package was installed before it had the command."""
    found = metadata.entry_points(group=app.GROUP)
    point = metadata.EntryPoint("compact", "kmc_analysis.commands.compact:compact", app.GROUP)
    if "compact" not in {known.name for known in found}:
        monkeypatch.setattr(app.metadata, "entry_points", lambda group: [point] if group == app.GROUP else [])


@pytest.mark.usefixtures("command")
def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its source and range, and in JSON with its parameters too."""
    assert app.main(["compact", "models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == model_names()
    assert all(row["source"] and row["validity"] and row["parameters"] for row in rows)
    assert app.main(["compact", "models"]) == 0
    told = capsys.readouterr().out
    assert all(row["name"] in told and row["source"] in told for row in rows)


def told_by_the_files(result: dict[str, Any], folder: Path) -> None:
    """What a parameter rests on, and how far the traces went, stand in all files of a fit."""
    written = json.loads((folder / "fit" / "parameters.json").read_text())
    rests = {name: entry["rests_on"] for name, entry in written["parameters"].items()}
    assert rests["alpha_on"] == rests["alpha_off"] == "kept, not fitted"
    for one in result["estimates"]:
        assert rests[one["name"]] == (f"not told by the data: {one['why']}" if one["why"] else "fitted")
    assert {text.partition(":")[0] for text in rests.values()} >= {"kept, not fitted", "fitted"}
    drive = bipolar(61)
    for name in ("kmc_vteam.sp", "kmc_vteam.va"):
        text = (folder / "fit" / name).read_text()
        assert f"fitted to {written['fitted_range']}: beyond" in text
        assert all(f"[{rest}]" in text for rest in rests.values())
    ends = [format_si(float(end), "V") for end in (drive.voltage.min(), drive.voltage.max())]
    assert written["fitted_range"].startswith(" to ".join(ends))


@pytest.mark.usefixtures("command")
def test_fit_from_csv_writes_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured traces in; parameters with intervals, report, held-out error and circuit models out."""
    sweep = write_csv(tmp_path / "sweep.csv", "vteam", bipolar(61))
    unseen = write_csv(tmp_path / "train.csv", "vteam", train())
    fixed = [word for name in ("alpha_on", "alpha_off") for word in ("--fix", f"{name}=2")]
    arguments = [
        "compact",
        "fit",
        str(sweep),
        "--model",
        "vteam",
        "--held-out",
        str(unseen),
        "--generations",
        "0",
        "--out",
        str(tmp_path / "fit"),
        "--json",
        "--quiet",
        *fixed,
    ]
    assert app.main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["median_error_held_out"]["train"] < 0.05
    assert {"name", "value", "low", "high", "unit", "identified"} <= set(result["estimates"][0])
    names = {Path(path).name for path in result["files"]}
    assert {
        "parameters.json",
        "kmc_vteam.sp",
        "kmc_vteam.va",
        "sweep_1uA.cir",
        "pulses.pwl",
        "pulses.csv",
        "crossbar_3x3.cir",
        "traces.npz",
        "report.md",
        "report.json",
        "report.png",
    } <= names
    assert all(Path(path).is_file() for path in result["files"])
    again = ["compact", "export", "vteam", "--parameters", str(tmp_path / "fit" / "parameters.json"), "--out"]
    assert app.main([*again, str(tmp_path / "again")]) == 0
    same = [(tmp_path / folder / "kmc_vteam.sp").read_text() for folder in ("fit", "again")]
    assert same[0] == same[1]
    told_by_the_files(result, tmp_path)
    assert app.main([*again, str(tmp_path / "changed"), "--set", "alpha_on=3"]) == 0
    assert "[given]" in (tmp_path / "changed" / "kmc_vteam.sp").read_text()
    assert "[given]" not in same[0]
    capsys.readouterr()
    assert app.main([*again, str(tmp_path / "again")]) == 2
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.usefixtures("command")
def test_the_table_puts_the_model_that_made_the_data_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two models on the same traces: the one that made them predicts the train to 2 %, the other not."""
    sweep = write_csv(tmp_path / "sweep.csv", "vteam", bipolar(61))
    unseen = write_csv(tmp_path / "train.csv", "vteam", train())
    words = ["compact", "table", str(sweep), "--held-out", str(unseen), "--generations", "0", "--quiet"]
    words += ["--model", "vvteam", "--model", "vteam", "--out", str(tmp_path / "table")]
    assert app.main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in rows] == ["vteam", "vvteam"]
    assert rows[0]["held_out"] < 0.02 < 0.05 < rows[1]["held_out"]
    assert json.loads((tmp_path / "table" / "errors.json").read_text()) == rows
    assert "| train (held out) |" in (tmp_path / "table" / "errors.md").read_text()
    assert app.main(words) == 2
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.usefixtures("command")
def test_a_spread_is_not_of_what_is_held_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second protocol that is held out parts no devices from cycles; fitted, it does."""
    protocols = {"sweep": bipolar(61), "train": train()}
    paths = {
        name: [write_csv(tmp_path / f"{name}_seed{k}.csv", "vteam", drive) for k in (1, 2)]
        for name, drive in protocols.items()
    }
    words = ["--model", "vteam", "--spread", "k_on", "--generations", "0", "--quiet", "--out"]
    fit, unseen = ([str(path) for path in paths[name]] for name in ("sweep", "train"))
    held = [word for path in unseen for word in ("--held-out", path)]
    assert app.main(["compact", "fit", *fit, *held, *words, str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "part devices from cycles" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert app.main(["compact", "fit", *fit, *unseen, *KEPT, *words, str(tmp_path / "out")]) == 0
    written = json.loads((tmp_path / "out" / "parameters.json").read_text())
    assert written["spread"]["device"]["k_on"] == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("start", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_spread_of_no_trace_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], start: bool) -> None:
    """Without --spread the files carry the model's guess, or that of the fit where the search begins."""
    path = write_csv(tmp_path / "one.csv", "silver", bipolar(61))
    begin = ["--start", "ogb_20nm"] if start else []
    words = [str(path), "--model", "silver", "--generations", "0", "--quiet", "--out", str(tmp_path / "out")]
    assert app.main(["compact", "fit", *words, *begin]) == 0
    told = "the guess of the model, fitted to nothing"
    if start:
        told = "that of the fit it starts from, not of these traces"
    assert told in capsys.readouterr().err
    for name in ("parameters.json", "kmc_silver.sp", "kmc_silver.va"):
        assert f"its spread is {told}" in (tmp_path / "out" / name).read_text()


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize("head", [["fit", "--model", "vteam", *KEPT], ["table", "--model", "vteam"]])
def test_what_is_held_out_is_not_fitted(
    head: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trace of the folder, named again another way, is only predicted; none is left where all are."""
    monkeypatch.chdir(tmp_path)
    folder = Path("folder")
    folder.mkdir()
    sweep, unseen = (
        write_csv(folder / f"{name}.csv", "vteam", drive)
        for name, drive in (("sweep", bipolar(61)), ("train", train()))
    )
    words = ["compact", *head, str(folder), "--generations", "0", "--quiet", "--json"]
    again = str(tmp_path / "folder" / ".." / unseen)
    assert app.main([*words, "--held-out", again, "--out", "one"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    errors = found[0] if head[0] == "table" else found
    assert list(errors["median_error"]) == ["sweep"]
    assert list(errors["median_error_held_out"]) == ["train"]
    assert "held out, and not fitted: train" in told.err
    assert app.main([*words, "--held-out", str(sweep), "--held-out", again, "--out", "none"]) == 2
    assert "no trace is left to fit" in capsys.readouterr().err
    assert not Path("none").exists()


# Bad input: (arguments after `kmc compact`, text that the message holds).
BAD = [
    (["fit", "{csv}", "--model", "vtem", "--out", "{out}"], 'did you mean "vteam"'),
    (["fit", "{csv}", "--model", "vteam", "--out", "{out}", "--fix", "v_onn=1 V"], 'did you mean "v_on"'),
    (["fit", "{csv}", "--model", "vteam", "--out", "{out}", "--fix", "v_on=1"], "has no unit"),
    (["fit", "{csv}", "--model", "vteam", "--out", "{out}", "--fix", "v_on=9 V"], "out of its bounds"),
    (["fit", "{broken}", "--model", "vteam", "--out", "{out}"], "broken.csv:3: a cell is not a number"),
    (["fit", "{unknown}", "--model", "vteam", "--out", "{out}"], 'did you mean "current_A"'),
    (["fit", "nowhere.csv", "--model", "vteam", "--out", "{out}"], "nowhere.csv"),
    (["export", "vteam", "--parameters", "{csv}", "--out", "{out}"], "is not the parameters.json of a fit"),
    (["export", "vteam", "--parameters", "nowhere.json", "--out", "{out}"], "nowhere.json is not there"),
    (["export", "vteam", "--name", "My-Cell", "--out", "{out}"], 'did you mean "my_cell"'),
    (["models", "--jsn"], "--json"),
    (["table", "{csv}", "--model", "vtem", "--out", "{out}"], 'did you mean "vteam"'),
]


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize(("words", "said"), BAD)
def test_bad_input_is_one_line_and_writes_nothing(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line, no folder."""
    head = "time_s,voltage_source_V,current_A\n"
    files = {
        "csv": head + "0,0,0\n1,0.1,1e-9\n2,0.2,2e-9\n3,0.3,3e-9\n",
        "broken": head + "0,0,0\n1,one,0\n",
        "unknown": "time_s,voltage_source_V,curent_A\n0,0,0\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    places = {**{name: str(tmp_path / f"{name}.csv") for name in files}, "out": str(tmp_path / "out")}
    assert app.main(["compact", *(word.format(**places) for word in words)]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_current_against_its_voltage_is_not_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Zero and the wrong sign have no logarithm: they are left out, and told. A small current is data."""
    path = tmp_path / "noisy.csv"
    rows = "0,0,0\n1,0.1,0\n2,0.2,-2e-13\n3,-0.3,-3e-14\n4,0.1,1e-10\n"
    path.write_text(f"time_s,voltage_source_V,current_A\n{rows}")
    one = _parted([path], [])[0][0]
    assert one.used.tolist() == [False, False, False, True, True]
    assert capsys.readouterr().err == (
        "warning: 2 points have no current or one against the voltage, and are left out (noisy: 2)\n"
    )
    path.write_text(path.read_text().replace("0.1,0\n", "0.1,1e-12\n").replace("-2e-13", "2e-13"))
    assert _parted([path], [])[0][0].used.sum() == 4
    assert capsys.readouterr().err == ""
    path.write_text("time_s,voltage_source_V,current_A\n0,0,0\n1,0.1,-1e-9\n2,0.2,-3e-9\n3,0.3,1e-9\n")
    assert app.main(["compact", "fit", str(path), "--model", "vteam", "--out", str(tmp_path / "out")]) == 2
    assert "noisy.csv: most currents are against the voltage; turn their sign" in capsys.readouterr().err


def test_tables_in_folders_of_a_folder_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped traces lie in fitted/ and held_out/ of one."""
    (tmp_path / "fitted").mkdir()
    (tmp_path / "fitted" / "a.csv").write_text("time_s,voltage_source_V,current_A\n0,0.1,1e-9\n")
    out = str(tmp_path / "out")
    assert app.main(["compact", "fit", str(tmp_path), "--model", "vteam", "--out", out]) == 2
    assert f"name a folder of them: {tmp_path / 'fitted'}" in capsys.readouterr().err


def test_what_drops_before_the_device_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """150 ohm beside 0.3 mS take 4.3 %, which no model but one with a series resistance has. Control: 0.05 mS
    beside them is told nothing, nor what a limiter takes, soft or ideal."""
    path, head = tmp_path / "sweep.csv", "time_s,voltage_source_V,voltage_device_V,current_A,compliance_A\n"
    for siemens, said in ((0.3e-3, "4.3 % of the source's voltage drop before the device (sweep)"), (0.05e-3, "")):
        share = 1.0 / (1.0 + 150.0 * siemens)
        rows = [(k, 0.1 * k, 0.1 * k * share, 0.1 * k * share * siemens, 1.0) for k in range(4)]
        path.write_text(head + "".join(",".join(map(repr, row)) + "\n" for row in rows))
        _parted([path], [])
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == bool(said)
    model, drive = load_model("vteam"), Drive.sweep(0.6, 1.0, 1e-5)
    written = model_files._tables(model, model.values(), {"sweep": drive})[0]
    (tmp_path / "made.csv").write_text(written["sweep.csv"])
    path.write_text(path.read_text() + "9,0.6,0.1,1e-05,1e-05\n")
    _parted([path, tmp_path / "made.csv"], [])
    assert capsys.readouterr().err == ""


def test_several_devices_in_one_fit_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A study's variants are no replicates. Negative control: seeds of one device, and measurements, are."""
    names = ("ogb_20nm", "ogb_20nm (ligand ddab)", "")
    one, other, measured = (SimpleNamespace(device=name) for name in names)
    _warned([one, other, one])
    assert "2 devices are fitted as one (ogb_20nm; ogb_20nm (ligand ddab))" in capsys.readouterr().err
    _warned([one, one, measured])
    assert capsys.readouterr().err == ""


def test_what_is_written_is_told_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the other commands of the group do: the files, all of them there."""
    out = tmp_path / "vteam"
    assert app.main(["compact", "export", "vteam", "--out", str(out), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert len(files) > 3
    assert sorted(files) == sorted(str(path) for path in out.rglob("*") if path.is_file())
