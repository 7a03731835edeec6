"""What `kmc reservoir` keeps of a plan, and what it says of files and folders that are the user's own."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import kmc_analysis
from kmc.cli import app
from kmc.core import atomic_files, source_files
from kmc.core.errors import UserError
from kmc.io import netcdf
from kmc_analysis.commands import reservoir as command
from kmc_analysis.compact.equations import model
from kmc_analysis.reservoir import kinetic_states, pipeline, plan_identity, spike_trains
from kmc_analysis.reservoir import plan as settings
from kmc_analysis.reservoir.node_devices import device_model
from kmc_analysis.reservoir.results import accuracy_table, design_sweep, result_files

PLAN = "data: {samples: 48, test: 16}\nfeeding: {nodes: 6}\nreadout: {epochs: 2}\nseeds: 2\n"
SETS = ["--set", "encoding.width=5 ms", "--set", "readout={epochs: 1}"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a plan that was run with --set."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "tiny.yaml").write_text(PLAN)
    assert app.main(["reservoir", str(folder / "tiny.yaml"), *SETS, "--quiet", "--no-picture"]) == 0
    return folder


def test_the_node_is_the_reservoir_that_ran(done: Path) -> None:
    """With what --set changed."""
    plan = runpy.run_path(str(done / "out/reservoirpy_node.py"))["node"]().plan
    assert plan.encoding.width == 5e-3
    assert plan.readout.epochs == 1
    assert plan.feeding.nodes == 6


def test_the_states_are_kept(done: Path) -> None:
    """For a readout of one's own: those of the pipeline, with their labels and what is to test with."""
    plan = settings.load(done / "tiny.yaml", [word for word in SETS if word != "--set"])
    with xr.open_dataset(done / "out/states.nc") as found:
        assert dict(found.sizes) == {"seed": 2, "sample": 48, "node": 6}
        assert int(found["test"].sum()) == 16
        for seed in (1, 2):
            made, _, features = pipeline.states(plan, seed)
            assert np.array_equal(found["state"].sel(seed=seed), features)
            assert list(found["label"].sel(seed=seed).values) == [made.classes[k] for k in made.labels]
        assert list(found["name"].sel(seed=1).values) == list(map(str, range(48)))
        scale = found["state"].attrs
        assert scale["units"] == "1"
        assert (scale["off_S"], scale["on_S"]) == (plan.devices.off, plan.devices.on)
    assert netcdf.is_sound(done / "out/states.nc")


def test_the_trains_are_kept_as_trains_are_given(done: Path) -> None:
    """Those of the first seed: read back they are the same, by name, spike for spike."""
    plan = settings.load(done / "tiny.yaml", [word for word in SETS if word != "--set"])
    made = pipeline.trains_of(plan, 1)
    given = settings.Data(file="trains.csv", test=16, duration=plan.data.duration)
    found = spike_trains.load(done / "out/trains.csv", given, 7)
    assert sorted(found.names) == sorted(made.names)
    for name, times, label in zip(found.names, found.times, found.labels, strict=True):
        assert np.array_equal(times, made.times[int(name)])
        assert found.classes[label] == made.classes[made.labels[int(name)]]


@pytest.mark.usefixtures("unmeasured")
def test_devices_that_see_nothing_are_told(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A duration far beyond the last spike: all states alike, which is said, and JSON that holds no NaN."""
    rows = [f"{k},{'ab'[k % 2]},{0.001 * (k + 1)}" for k in range(40)]
    (own.parent / "spikes.csv").write_text("\n".join([",".join(spike_trains.HEAD), *rows]) + "\n")
    words = ["reservoir", str(own), "--seeds", "1", "--no-picture", "--quiet", "--json"]
    assert app.main([*words, "--set", "data.duration=750"]) == 0

    def none(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    told = json.loads(capsys.readouterr().out, parse_constant=none)
    assert any("nodes are in one state, whatever the sample" in note for note in told["notes"])


def test_the_examples_of_the_how_to_run_in_a_folder_of_results(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node with spike times, and the states that are kept."""
    page = (Path(__file__).resolve().parents[3] / "docs/how-to/reservoir.md").read_text()
    node, kept = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.syspath_prepend(str(done / "out"))
    made: dict[str, np.ndarray] = {}
    exec(node, made)
    assert made["states"].shape == (2, 6)
    exec(kept.replace("runs/firing_patterns/out", str(done / "out")), made)
    assert made["x"].shape == (32, 6)
    assert len(made["labels"]) == 32


@pytest.mark.usefixtures("unmeasured")
def test_a_class_that_is_not_tested_has_no_recall(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is it the hardest; what the most frequent answer gets is told beside the accuracies."""
    rows = ["0,rare,0.5", *(f"{k},usual,0.{k}" for k in range(1, 40))]
    (own.parent / "spikes.csv").write_text("\n".join([",".join(spike_trains.HEAD), *rows]) + "\n")
    data = settings.load(own).data
    made = ((k, spike_trains.load(own.parent / "spikes.csv", data, k)) for k in range(1, 20))
    seed = next(k for k, one in made if "rare" not in held_out_of(one))
    words = ["reservoir", str(own), "--seeds", "1", "--seed", str(seed), "--no-picture", "--quiet"]
    assert app.main(words) == 0
    told = capsys.readouterr().out
    assert "always the most frequent class: 100.0 %" in told
    assert "hardest class, FP64, backpropagation: usual" in told
    found = json.loads((own.parent / "out/results.json").read_text())
    assert set(found["recall"]["fp64"]) == {"usual"}


@pytest.mark.usefixtures("unmeasured")
def test_a_class_that_is_not_trained_is_told(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As one is that is not tested."""
    rows = ["0,rare,0.5", *(f"{k},usual,0.{k}" for k in range(1, 40))]
    (own.parent / "spikes.csv").write_text("\n".join([",".join(spike_trains.HEAD), *rows]) + "\n")
    words = ["reservoir", str(own), "--seeds", "1", "--no-picture", "--quiet", "--set", "data.test=39"]
    assert app.main(words) == 0
    assert "no sample to train with: " in capsys.readouterr().out


def test_another_that_writes_there_is_waited_for(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that two plans do not share a folder: who comes late looks at what is there then, or gives up."""
    monkeypatch.setattr(command, "PATIENCE_S", 0.1)
    words = ["reservoir", str(own), "--seeds", "1", "--no-picture", "--quiet"]
    (own.parent / "out").mkdir()
    with atomic_files.only_one(own.parent / "out"):
        assert app.main(words) == 2
    assert "another process is writing" in capsys.readouterr().err


def held_out_of(data: spike_trains.Trains) -> set[str]:
    """The classes of the samples that are to test with."""
    return {data.classes[k] for k in data.labels[data.held_out]}


def own_model(folder: Path, current: str) -> settings.Plan:
    """A plan with a model of its own beside it, which conducts by this equation."""
    text = re.sub("current: .*", f"current: {current}", (model.FOLDER / "silver.yaml").read_text())
    (folder / "mine.yaml").write_text(text)
    (folder / "own.yaml").write_text(f"{PLAN}devices: {{model: mine.yaml, parameters: {{}}}}\n")
    return settings.load(folder / "own.yaml")


def test_another_equation_is_another_point(tmp_path: Path) -> None:
    """Of a sweep, which keeps what it did: names and numbers of the two models are the same."""
    first = plan_identity.identity(own_model(tmp_path, "1e-6 * V"), 1)
    assert plan_identity.identity(own_model(tmp_path, "1e-6 * V"), 1) == first
    assert plan_identity.identity(own_model(tmp_path, "1e-9 * V"), 1) != first


def test_another_program_makes_other_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a sweep that goes on after an update has old and new points; a plan remains the same one."""
    (tmp_path / "tiny.yaml").write_text(PLAN)
    plan, package = settings.load(tmp_path / "tiny.yaml"), Path(kmc_analysis.__file__).parent
    made_by = source_files.sources_of([plan_identity._MADE_BY])
    plans, points = set(), {plan_identity.identity(plan, 1)}
    changed = ("reservoir/linear_readout.py", "compact/equations/reference_traces.py", "metrics/compliance_law.py")
    for k, name in enumerate(("", *changed)):
        copies = [tmp_path / str(k) / path.relative_to(package) for path in made_by]
        for copy, path in zip(copies, made_by, strict=True):
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(path.read_text() + "# said\n" + "ANOTHER = 1\n" * (path == package / name))
        monkeypatch.setattr(plan_identity, "sources_of", lambda modules, copies=copies: copies)
        plan_identity._sources.cache_clear()
        plans.add(plan_identity.identity(plan))
        points.add(plan_identity.identity(plan, 1))
    plan_identity._sources.cache_clear()
    assert len(plans) == 1
    assert len(points) == 4, "a copy with other comments is the same program"
    drawn = package / "reservoir/results/reservoir_figures.py"
    assert drawn.is_file()
    assert drawn not in made_by, "what only draws makes no number"


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_readout_that_diverges_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its files and pictures: numbers that there are not are null, or none."""
    (tmp_path / "wild.yaml").write_text(
        "data: {samples: 40, test: 8}\nfeeding: {nodes: 3}\nseeds: 1\n"
        "readout: {rate: 100, output: linear, epochs: 30}\n"
    )
    assert app.main(["reservoir", str(tmp_path / "wild.yaml"), "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "the weights diverged; lower readout.rate" in told
    assert "S26_weight_distribution: none, 0 seed(s)" in told
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [path for path in found["files"] if path.endswith("weights.png") and Path(path).is_file()]


def test_a_unit_with_a_slash_is_no_file(tmp_path: Path) -> None:
    """A choice of a number is written into the study as it stands; a card by its path."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.yaml").write_text("extends: ogb\n")
    (tmp_path / "tiny.yaml").write_text(
        f"{PLAN}kinetic: {{choices: {{active.mobility: 2 cm2/V/s, ligand: own/mine.yaml}}, "
        "settings: {wall_limit_s: null, window_slices: 2}}\n"
    )
    plan = settings.load(tmp_path / "tiny.yaml")
    text = kinetic_states.study_text(plan, np.zeros((1, 1, 4), bool), 1)
    assert '  active.mobility: "2 cm2/V/s"\n' in text
    assert f'  ligand: "{tmp_path / "own/mine.yaml"}"\n' in text
    assert "  wall_limit_s: null\n  window_slices: 2\n  windows: 1\n" in text
    (tmp_path / "own" / "mine.yaml").unlink()
    with pytest.raises(UserError, match=r"tiny\.yaml: .*own/mine\.yaml"):
        kinetic_states.study_text(plan, np.zeros((1, 1, 4), bool), 1)


def test_a_model_lies_beside_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As do its parameters and its trains: the folder that the command is given in decides nothing."""
    plan = own_model(tmp_path, "1e-6 * V")
    monkeypatch.chdir("/")
    assert device_model(plan)[0].path == tmp_path / "mine.yaml"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{tau_v: -50 ms, V_h: 0.2 V}", "tau_v = -0.05 is out of its bounds; give 1e-05 to 1000 s"),
        ("{V_h: 0 V}", "V_h = 0 is out of its bounds; give 0.02 to 1 V"),
        ("{V_h: 1 s}", "V"),
        ("{tau: 50 ms}", 'did you mean "tau_v"'),
    ],
)
def test_a_parameter_keeps_to_its_bounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, told: str
) -> None:
    """In a mapping as in the file of a fit; one line that names the entry's own, or its --set."""
    (tmp_path / "tiny.yaml").write_text(PLAN)
    words = ["reservoir", str(tmp_path / "tiny.yaml"), "--quiet"]
    assert app.main([*words, "--set", f"devices.parameters={given}"]) == 2
    said = capsys.readouterr().err
    assert "--set devices.parameters" in said
    (tmp_path / "tiny.yaml").write_text(f"{PLAN}devices:\n  parameters: {given}\n")
    assert app.main(words) == 2
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


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A plan for trains of one's own, of 2 s, of which it takes the first."""
    stream = np.random.default_rng(1)
    rows = [
        f"{sample},{('slow', 'irregular')[sample % 2]},{time:.4f}"
        for sample in range(40)
        for time in np.sort(stream.uniform(0.0, 2.0, 10 + 10 * (sample % 2)))
    ]
    (tmp_path / "spikes.csv").write_text("\n".join([",".join(spike_trains.HEAD), *rows]) + "\n")
    data = "data: {file: spikes.csv, test: 10, duration: 1 s}\n"
    (tmp_path / "own.yaml").write_text(data + PLAN[PLAN.index("\n") + 1 :])
    return tmp_path / "own.yaml"


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the figures of merit, which take most of the time."""
    monkeypatch.setattr(result_files, "analysis", lambda plan, result: ({}, {}))
    monkeypatch.setattr(result_files, "_merit_lines", lambda merit: [])


@pytest.mark.usefixtures("unmeasured")
def test_spikes_that_are_left_out_are_counted(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At once on standard error, and in the results; nothing is said where the train is long enough."""
    words = ["reservoir", str(own), "--seeds", "1", "--no-picture", "--quiet"]
    inside = sum(one.size for one in spike_trains.load(own.parent / "spikes.csv", settings.load(own).data, 1).times)
    said = f"{600 - inside} of 600 spikes lie outside 0 s to 1 s and are left out"
    assert app.main([*words, "--json"]) == 0
    told = capsys.readouterr()
    assert said in told.err
    assert json.loads(told.out)["notes"] == [said]
    assert json.loads((own.parent / "out/results.json").read_text())["notes"] == [said]
    assert app.main(words) == 0
    assert said in capsys.readouterr().out
    assert app.main([*words, "--set", "data.duration=2 s", "--out", str(own.parent / "whole")]) == 0
    told = capsys.readouterr()
    assert "outside" not in told.err + told.out


def test_a_sweep_counts_them_once(
    own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many points have the same trains."""
    monkeypatch.setattr(design_sweep, "_point", lambda *_: dict.fromkeys(accuracy_table.NAMES, 50.0))
    words = ["reservoir", str(own), "--sweep", "--set", "sweep={feeding.nodes: [3, 4, 6]}", "--no-picture"]
    assert app.main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err.count("spikes lie outside") == 1


DAMAGED = ["[1]", "3", "null", "{}", '{"fp64": null}', '{"fp64": 9', '{"fp64": NaN}']


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_point_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """As one that is not there; a whole one is kept."""
    trained = SimpleNamespace(accuracy=np.full((1, 2), 50.0))
    plan, result = settings.Plan(), SimpleNamespace(readouts={"fp64": trained})
    monkeypatch.setattr(design_sweep.pipeline, "states", lambda *_: None)
    monkeypatch.setattr(design_sweep.pipeline, "one", lambda *_: result)
    (tmp_path / f"{design_sweep.identity(plan, 1)}.json").write_text(damage)
    assert design_sweep._point(plan, 1, tmp_path, {}) == {"fp64": 50.0}
    monkeypatch.setattr(design_sweep.pipeline, "one", None)
    assert design_sweep._point(plan, 1, tmp_path, {}) == {"fp64": 50.0}


@pytest.mark.usefixtures("unmeasured")
def test_trains_of_ones_own_are_not_the_experiments(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither its accuracies stand beside theirs, nor are theirs figures of the scoreboard."""
    assert app.main(["reservoir", str(own), "--no-picture", "--quiet"]) == 0
    out = capsys.readouterr().out
    found = json.loads((own.parent / "out/results.json").read_text())
    assert {row["source"] for row in found["table"]} == {"simulated"}
    assert found["scoreboard"] == {}
    assert "experiment" not in out + (own.parent / "out/table.csv").read_text()
    assert "T1_" not in out
    assert "weights_ks" in found


@pytest.fixture
def again(done: Path, tmp_path: Path) -> Path:
    """A copy of the plan's folder, with a second plan in it."""
    shutil.copytree(done, tmp_path / "again")
    (tmp_path / "again/second.yaml").write_text(PLAN.replace("nodes: 6", "nodes: 5"))
    return tmp_path / "again"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["second.yaml"], "holds results of tiny.yaml --set encoding.width=5 ms --set readout={epochs: 1}; "),
        (["tiny.yaml"], "holds results of tiny.yaml --set encoding.width=5 ms --set readout={epochs: 1}; "),
        (["tiny.yaml", *SETS, "--seeds", "1"], "holds results of 2 seeds, of which this run has 1; "),
        (["tiny.yaml", *SETS, "--seed", "2"], "holds results of 2 seeds, of which this run has 1; "),
    ],
)
def test_results_of_another_plan_are_not_replaced(
    again: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    """Nor those of more seeds: another --out takes the new ones."""
    before = {path.name: path.read_bytes() for path in (again / "out").iterdir() if path.is_file()}
    words = ["reservoir", str(again / words[0]), *words[1:], "--quiet", "--no-picture"]
    assert app.main(words) == 2
    said = capsys.readouterr().err
    assert f"--out: {again / 'out'} {told}choose another --out, or delete it\n" == said
    assert {path.name: path.read_bytes() for path in (again / "out").iterdir() if path.is_file()} == before


def test_an_edited_plan_is_another_one(again: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever its name; words and the number of seeds alone make none."""
    identical = settings.load(again / "tiny.yaml")
    (again / "tiny.yaml").write_text(f"description: the same\n{PLAN}seed: 3\n")
    assert plan_identity.identity(settings.load(again / "tiny.yaml")) == plan_identity.identity(identical)
    (again / "tiny.yaml").write_text(PLAN.replace("samples: 48", "samples: 52"))
    assert app.main(["reservoir", str(again / "tiny.yaml"), *SETS, "--quiet"]) == 2
    assert "holds results of an earlier tiny.yaml --set" in capsys.readouterr().err


@pytest.mark.usefixtures("unmeasured")
def test_the_same_plan_goes_on_in_its_folder(again: Path) -> None:
    """With as many seeds, or more, in whatever words; the weights of the first seed stay as they are."""
    first = (again / "out/weights.csv").read_bytes()
    sets = ["--set", "readout={epochs: 1}", "--set", "encoding.width=0.005 s", "--seeds", "3"]
    assert app.main(["reservoir", str(again / "tiny.yaml"), *sets, "--quiet", "--no-picture"]) == 0
    assert json.loads((again / "out/results.json").read_text())["seeds"] == [1, 2, 3]
    assert (again / "out/weights.csv").read_bytes() == first


@pytest.mark.parametrize("text", ["{}", '{"seeds": [1], "table": []}', "[]", "x", '{"plan": {}, "seeds": 3}'])
def test_results_of_unknown_origin_are_not_replaced(again: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Those of an earlier version of the program, or a file that is damaged."""
    (again / "out/results.json").write_text(text)
    assert app.main(["reservoir", str(again / "tiny.yaml"), *SETS, "--quiet"]) == 2
    assert "results.json does not say which plan it is of; choose another --out" in capsys.readouterr().err
