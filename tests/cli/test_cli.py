"""The command line: exit codes, plain messages, machine-readable output, and runs that stop and go on."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import itertools
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import tokenize
from functools import partial
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_simulation
import pytest

import kmc
from kmc.cli import app
from kmc.core import jit_cache, progress, source_files
from kmc.core.interrupts import stopping
from kmc.inputs.run_file import load_run
from kmc.io import checkpoint, dataset, provenance
from kmc.simulation.run_to_folder import execute, fresh

# The program from where it can do something about ctrl-C.
STARTED = "from kmc.__main__ import run; print('up', flush=True); run()"
RUN = """
stack: ogb_20nm
protocol:
  - sweep: {to: 1.5 V, rate: 100 V/s, step: 50 mV, compliance: 1 uA}
seed: 3
"""


@pytest.fixture
def run_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run file in a folder `quick`, and the fake simulation behind it."""
    monkeypatch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
    monkeypatch.setattr("kmc.simulation.simulation", fake_simulation, raising=False)
    path = tmp_path / "quick" / "run.yaml"
    path.parent.mkdir()
    path.write_text(RUN)
    return path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time that the runner reads: a second for each kernel call of the fake simulation, else none."""
    clock, real = SimpleNamespace(now=0.0), fake_simulation.Simulation._call

    def call(self: fake_simulation.Simulation) -> None:
        clock.now += 1.0
        real(self)

    monkeypatch.setattr(fake_simulation.Simulation, "_call", call)
    monkeypatch.setattr("kmc.simulation.run_to_folder.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def plain_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error; nothing on standard output."""
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "Traceback" not in told.err
    return told.err


# --- the frame -------------------------------------------------------------------------------------------


def test_help_is_fast(repository: Path) -> None:
    """`kmc --help` needs less than 0.3 s of processor time (wall time depends on what else runs here)."""
    import resource

    spent = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "kmc", "--help"], cwd=repository, check=True, capture_output=True, timeout=60
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent[1:]) < 0.3


def test_help_imports_nothing_heavy(repository: Path) -> None:
    """Neither the help nor `import kmc` loads numerics, xarray, matplotlib or rich."""
    script = (
        "import sys, kmc\nfrom kmc.cli.app import main\nmain(['--help'])\n"
        "bad = {'numpy', 'numba', 'xarray', 'matplotlib', 'rich', 'pydantic'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", script], cwd=repository, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    """Every command with its line, in the documented order."""
    assert app.main(argv) == 0
    text = capsys.readouterr().out
    places = [text.index(f"\n  {name} ") for name in app.commands()]
    assert places == sorted(places)
    assert all(app.summary(target) for target in app.commands().values())


@pytest.mark.parametrize("name", list(app.commands()))
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """With examples."""
    assert app.main([name, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"kmc {name}" in told
    assert "Examples:" in told or "COMMAND" in told  # a group's commands have them


def test_no_summary_of_a_command_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the program, and of a command that has commands, on a terminal of 80 columns."""
    for words in ([], ["compact"]):
        assert app.main([*words, "--help"]) == 0
        assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_no_example_of_a_help_is_torn(repository: Path) -> None:
    """On a terminal of 80 columns a command that is wrapped could not be copied."""
    folders = (repository / "kmc" / "cli" / "commands", repository / "analysis" / "kmc_analysis" / "commands")
    lines = [
        line
        for folder in folders
        for path in folder.glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    examples = [line for line in lines if line.startswith(8 * " " + "kmc ")]
    assert len(examples) > 30
    assert [line for line in examples if len(line) > 82] == []


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The distribution's version first, then what it runs on and which kernels it has."""
    assert app.main(["--version"]) == 0
    first, *facts = capsys.readouterr().out.splitlines()
    assert first == f"kmc {kmc.__version__}"
    told = " ".join(facts)
    for part in (
        f"Python {platform.python_version()}",
        f"numba {metadata.version('numba')}",
        f"kernels {jit_cache.source_hash()}",
        str(Path(kmc.__file__).parent),
    ):
        assert part in told


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["rum"], 'no command "rum"; did you mean "run"?'),
        (["--versio"], 'no option --versio; did you mean "--version"?'),
        (["run", "x.yaml", "--sed", "7"], 'kmc run: no option --sed; did you mean "--seed"?'),
        (["run"], "RUN.yaml"),
        (["run", "x.yaml", "--seed", "many"], "--seed"),
        (["run", "x.yaml", "--seed"], "--seed"),
        (["run", "no-such.yaml"], "no-such.yaml"),
        (["verify", "no-such.nc"], "no-such.nc does not exist"),
        (["export", "no-such.nc", "-f", "csv"], "no-such.nc does not exist"),
        (["export", "x.nc", "-f", "cvs"], 'did you mean "csv"'),
        (["resume", "no-such"], "no-such holds no run"),
        (["bench", "kernal"], "kernal"),
    ],
)
def test_bad_input_is_one_line_and_two(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: list[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Exit code 2, one message with the nearest name, nothing written."""
    monkeypatch.chdir(tmp_path)
    assert app.main(argv) == 2
    assert words in plain_error(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_bug_is_not_hidden(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is no user's goes up as it is; rows that were done are kept and can be opened."""
    monkeypatch.setattr(fake_simulation.Simulation, "fail_at_row", 10)
    with pytest.raises(ZeroDivisionError):
        app.main(["run", str(run_file), "--quiet"])
    assert dataset.open(run_file.parent).sizes["time"] == 10


def test_packages_add_commands(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry point's function is a command, its module's first line the help, its int the exit code."""
    code = "def shout(word: str) -> int:\n    print(word.upper())\n    return 3\n"
    text = f'"""kmc shout: say it loud."""\n\n{code}'
    (tmp_path / "extra_kmc.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    point = SimpleNamespace(name="shout", value="extra_kmc:shout")
    monkeypatch.setattr(app.metadata, "entry_points", lambda group: [point] if group == app.GROUP else [])
    assert app.main([]) == 0
    assert "Say it loud." in capsys.readouterr().out
    assert app.main(["shout", "hello"]) == 3
    assert capsys.readouterr().out == "HELLO\n"


# --- run and resume --------------------------------------------------------------------------------------


def test_run_writes_dataset_and_picture(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The dataset's path is the last line; the picture lies beside it; all is sound."""
    assert app.main(["run", str(run_file), "--quiet"]) == 0
    told = capsys.readouterr()
    out = run_file.parent / "out"
    assert told.out == f"{out / 'quick.nc'}\n"
    assert told.err == ""
    assert (out / "quick.png").stat().st_size > 10_000
    assert dataset.verify(out) == []
    ds = kmc.open(run_file.parent)
    assert ds.sizes["time"] == 61
    assert json.loads(ds.attrs["run"])["seed"] == 3
    assert not list(out.rglob(".*.part"))


def test_run_in_json(run_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Standard output is one JSON object; progress is elsewhere."""
    out = tmp_path / "here"
    assert (
        app.main(
            [
                "run",
                str(run_file.parent),
                "--seed",
                "9",
                "--out",
                str(out),
                "--json",
                "--set",
                "choices.thickness=40 nm",
            ]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["finished"]
    assert told["rows"] == 61
    assert told["events"] == kmc.open(told["dataset"])["events"].values[-1] > 0
    run = json.loads(kmc.open(told["dataset"]).attrs["run"])
    assert run["seed"] == 9
    assert run["stack"]["choices"] == {"thickness": "40 nm"}
    assert Path(told["picture"]).is_file()


def test_same_seed_same_content(run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of one seed have one content hash, whatever the checkpoints; another seed has another."""
    hashes = []
    for name, more in (("a", []), ("b", ["--checkpoint-every", "1 us"]), ("c", ["--seed", "4"])):
        monkeypatch.setattr("kmc.simulation.run_to_folder._MOST_COST", 1e9)
        assert app.main(["run", str(run_file), "--quiet", "--out", str(tmp_path / name), *more]) == 0
        hashes.append(kmc.open(tmp_path / name).attrs["content_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(dataset.segment_paths(tmp_path / "b")) > 1


def test_a_window_that_is_not_square_has_its_width_and_depth(
    run_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The warning tells x by y; the dataset keeps [y, x], as its arrays are."""

    class Wide(fake_simulation.Simulation):
        """Wider in x than in y."""

        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            self.lattice = SimpleNamespace(spacing_nm=0.5, shape=(8, 48, 60))

    monkeypatch.setattr(fake_simulation, "Simulation", Wide)
    assert app.main(["run", str(run_file), "--quiet", "--no-picture"]) == 0
    assert "the window is 30 nm by 24 nm where" in capsys.readouterr().err
    assert provenance.run_of(kmc.open(run_file.parent))["window_nm"] == [24.0, 30.0]


def test_a_full_folder_is_refused(run_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One with other files always, one with a run where --resume is missing; nothing is touched."""
    (tmp_path / "note.txt").write_text("mine")
    assert app.main(["run", str(run_file), "--quiet", "--no-picture"]) == 0
    capsys.readouterr()
    before = tree(tmp_path)
    for out, more, words in (
        (tmp_path, [], "holds something else, no output of kmc run"),
        (tmp_path, ["--resume"], "holds something else, no output of kmc run"),
        (run_file.parent / "out", [], "not empty; go on with --resume"),
    ):
        assert app.main(["run", str(run_file), "--out", str(out), *more]) == 2
        assert words in plain_error(capsys)
        assert tree(tmp_path) == before
    (tmp_path / "file").write_text("")
    assert app.main(["run", str(run_file), "--out", str(tmp_path / "file")]) == 2


def test_resume_on_nothing_starts_afresh(run_file: Path, tmp_path: Path) -> None:
    """An empty folder, or none, is no obstacle."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "none"):
        assert app.main(["run", str(run_file), "--quiet", "--resume", "--out", str(tmp_path / name)]) == 0


def test_another_run_is_not_gone_on_with(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The resolved run is compared: another seed or stack is refused, what does not matter is not."""
    assert app.main(["run", str(run_file), "--quiet"]) == 0
    capsys.readouterr()
    before = tree(run_file.parent / "out")
    changes = {"seed=4": "seed differs (3 there, 4 here)", "stack=ddab_20nm": "stack differs"}
    for change, word in changes.items():
        assert app.main(["run", str(run_file), "--resume", "--set", change]) == 2
        assert word in plain_error(capsys)
    assert app.main(["run", str(run_file), "--quiet", "--resume", "--set", "settings.event_budget=7"]) == 0
    after = tree(run_file.parent / "out")
    assert {k: v for k, v in after.items() if not k.endswith(".png")} == {
        k: v for k, v in before.items() if not k.endswith(".png")
    }


def stopping_after(calls: int) -> Any:
    """A function that interrupts this process, as ctrl-C does, in a kernel call."""
    real = fake_simulation.Simulation._call

    def call(self: fake_simulation.Simulation) -> None:
        nonlocal calls
        calls -= 1
        if calls == 0:
            signal.raise_signal(signal.SIGINT)
        real(self)

    return call


def test_a_second_ctrl_c_breaks_off_at_once(
    run_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a call: exit code 3, and what an earlier checkpoint holds can be gone on with."""
    real = fake_simulation.Simulation._call
    with monkeypatch.context() as patch:

        def call(self: fake_simulation.Simulation) -> None:
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
            raise AssertionError("it went on")

        patch.setattr(fake_simulation.Simulation, "_call", call)
        assert app.main(["run", str(run_file), "--quiet"]) == 3
    assert "Traceback" not in capsys.readouterr().err
    assert fake_simulation.Simulation._call is real
    assert app.main(["run", str(run_file), "--quiet", "--resume"]) == 0


def test_cite_of_a_dataset(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sources that its run rested on, as those of the run file; in JSON by key."""
    assert app.main(["run", str(run_file), "--quiet"]) == 0
    capsys.readouterr()
    told = []
    for what in (run_file.parent / "out", run_file):
        assert app.main(["cite", str(what), "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert {"halide_kmc", "john2022"} <= told[0].keys() == told[1].keys()
    assert app.main(["cite", str(run_file.parent / "out")]) == 0
    assert capsys.readouterr().out.count("\n@") + 1 == len(told[0])


def test_cite_of_a_study_has_the_sources_of_every_task(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two stacks, each of which rests on something that the other does not."""
    (tmp_path / "other.yaml").write_text(
        "family: stack\nextends: interlayers_only\norganic:\n  card: ptpd\n"
        "  thickness: {value: 20, unit: nm, sigma: 5, kind: measured, source: me2025}\n"
    )
    (tmp_path / "sources.bib").write_text("@misc{me2025,\n  title = {Mine},\n}\n")
    study = tmp_path / "study.yaml"
    study.write_text("variants: {stack: [ogb_20nm, ./other.yaml]}\nprotocol: [read: {}]\n")
    for task in ("0", "1"):
        assert app.main(["study", str(study), "--task", task]) == 0
    cited = []
    for what in (*(tmp_path / "out" / "tasks").glob("*.nc"), tmp_path / "out"):
        capsys.readouterr()
        assert app.main(["cite", str(what), "--json"]) == 0
        cited.append(json.loads(capsys.readouterr().out).keys())
    first, second, both = cited
    assert first - second
    assert second - first
    assert both == first | second


def test_ctrl_c_keeps_what_was_done(
    run_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3 and how to go on; going on ends with the dataset of a run that was never stopped."""
    run_file.write_text(RUN + "snapshots: {every: 2 ms}\n")
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests themselves run in the background
    for calls in (50, 31, 1):
        with monkeypatch.context() as patch:
            patch.setattr(fake_simulation.Simulation, "_call", stopping_after(calls))
            assert app.main(["run", str(run_file), "--quiet", "--resume"]) == 3
        told = capsys.readouterr()
        assert told.out == ""
        assert f"kmc resume {run_file.parent / 'out'}" in told.err
        assert dataset.verify(run_file.parent) == []
    assert signal.getsignal(signal.SIGINT) is before
    assert 20 < kmc.open(run_file.parent).sizes["time"] < 61
    assert app.main(["resume", str(run_file.parent), "--quiet"]) == 0
    assert app.main(["run", str(run_file), "--quiet", "--out", str(tmp_path / "whole")]) == 0
    stopped, whole = kmc.open(run_file.parent), kmc.open(tmp_path / "whole")
    assert whole.sizes["snapshot_time"] == 15
    assert stopped.attrs["content_sha256"] == whole.attrs["content_sha256"]
    assert stopped.drop_attrs().identical(whole.drop_attrs())


def test_resume_remembers_seed_and_changes(
    run_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kmc resume OUT` needs nothing else; where the run file is gone it says what to do."""
    out = tmp_path / "deep" / "out7"
    with monkeypatch.context() as patch:
        patch.setattr(fake_simulation.Simulation, "_call", stopping_after(20))
        assert (
            app.main(
                ["run", str(run_file), "--seed", "7", "--out", str(out), "--quiet", "--set", "settings.window=30 nm"]
            )
            == 3
        )
    run_file.rename(run_file.with_name("moved.yaml"))
    capsys.readouterr()
    assert app.main(["resume", str(out)]) == 2
    assert "no longer there" in plain_error(capsys)
    run_file.with_name("moved.yaml").rename(run_file)
    assert app.main(["resume", str(out), "--quiet"]) == 0
    assert json.loads(kmc.open(out).attrs["run"])["seed"] == 7


def test_the_wall_limit_interrupts(
    run_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """settings.wall_limit_s ends a session with exit code 3; sessions with it end like one without."""
    monkeypatch.setattr(fake_simulation.Simulation, "slow_s", 0.003)
    limited = ["run", str(run_file), "--quiet", "--resume", "--set", "settings.wall_limit_s=0.2 s"]
    codes = [app.main(limited) for _ in range(2)]
    assert codes == [3, 3]
    assert "wall limit" in capsys.readouterr().err
    assert app.main(["run", str(run_file), "--quiet", "--resume"]) == 0


def test_sessions_and_their_time_add_up(run_file: Path, tmp_path: Path, clock: SimpleNamespace) -> None:
    """A run that was stopped after 50 s tells of two sessions and of its whole time, without the pause."""
    run, out = load_run(run_file), tmp_path / "out"
    first = execute(run, out, should_stop=lambda: clock.now >= 50.0, checkpoint_every_s=1e4)
    assert (first.finished, first.wall_s) == (False, 50.0)
    clock.now = 1000.0
    second = execute(run, out, resume=True, checkpoint_every_s=1e4)
    about = json.loads(kmc.open(out).attrs["provenance"])
    whole_s = 61.0 * fake_simulation.CALLS_A_SAMPLE
    assert (second.wall_s, about["wall_s"], about["sessions"]) == (whole_s, whole_s, 2)


@pytest.mark.parametrize(("spent_s", "finished"), [(0.0, True), (100.0, False)])
def test_what_was_spent_before_counts_for_the_wall_limit(
    run_file: Path, tmp_path: Path, spent_s: float, finished: bool, clock: SimpleNamespace
) -> None:
    """A run of 183 s ends within 200 s, but not where it was begun 100 s ago."""
    run = load_run(run_file, ["settings.wall_limit_s=200 s"])
    outcome = execute(run, tmp_path / "out", begun=fresh(run), spent_s=spent_s, checkpoint_every_s=1e4)
    assert outcome.finished is finished


def test_a_run_starts_from_anothers_end(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`initial:` takes the final state of a run, and its hash is part of the run."""
    assert app.main(["run", str(run_file), "--quiet"]) == 0
    state = checkpoint.load(run_file.parent / "out" / "checkpoint.npz")["simulation"]
    seen: list[Any] = []
    real = fake_simulation.Simulation.__init__

    def spy(self: Any, *args: Any, **more: Any) -> None:
        seen.append(more.get("initial"))
        real(self, *args, **more)

    monkeypatch.setattr(fake_simulation.Simulation, "__init__", spy)
    second = tmp_path / "second.yaml"
    for name in ("quick", "quick/out", "quick/out/quick.nc"):
        second.write_text(RUN + f"initial: {name}\n")
        out = tmp_path / f"from_{name.replace('/', '_')}"
        assert app.main(["run", str(second), "--quiet", "--out", str(out)]) == 0
        assert seen.pop()["level"] == state["level"]
    told = json.loads(kmc.open(out).attrs["run"])["initial"]
    assert len(told) == 64
    first = run_file.parent / "out" / "checkpoint.npz"
    checkpoint.save(first, checkpoint.load(first) | {"wall_s": 1e3, "sessions": 7})
    assert app.main(["run", str(second), "--quiet", "--out", str(tmp_path / "again")]) == 0
    assert json.loads(kmc.open(tmp_path / "again").attrs["run"])["initial"] == told
    checkpoint.save(first, checkpoint.load(first) | {"finished": False})
    capsys.readouterr()
    assert app.main(["run", str(second), "--out", str(tmp_path / "third")]) == 2
    assert "was stopped before its end" in capsys.readouterr().err
    assert not (tmp_path / "third").exists()


def test_a_run_goes_on_when_the_other_is_gone(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own checkpoint holds all: the state that it began with is known by its hash in run.json."""
    assert app.main(["run", str(run_file), "--quiet"]) == 0
    second, out = tmp_path / "second.yaml", tmp_path / "second_out"
    second.write_text(RUN + "initial: quick\n")
    started = ["run", str(second), "--quiet", "--no-picture", "--out"]
    assert app.main([*started, str(tmp_path / "whole")]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(fake_simulation.Simulation, "_call", stopping_after(50))
        assert app.main([*started, str(out)]) == 3
    (run_file.parent / "out").rename(tmp_path / "away")
    capsys.readouterr()
    assert app.main([*started, str(tmp_path / "new")]) == 2
    assert "has no checkpoint to start from" in plain_error(capsys)
    run_file.unlink()
    run_file.parent.rmdir()
    assert app.main([*started, str(tmp_path / "new")]) == 2
    assert 'initial "quick" does not exist' in plain_error(capsys)
    assert app.main(["resume", str(out), "--quiet"]) == 0
    ends = [kmc.open(folder).attrs["content_sha256"] for folder in (out, tmp_path / "whole")]
    assert ends[0] == ends[1]
    second.write_text(RUN.replace("seed: 3", "seed: 4") + "initial: quick\n")
    capsys.readouterr()
    assert app.main(["resume", str(out), "--quiet"]) == 2
    assert "seed differs" in plain_error(capsys)


def test_a_run_that_began_from_nothing_takes_no_missing_state(
    run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An `initial` that was written into the run file since, and leads nowhere, is not the same run."""
    assert app.main(["run", str(run_file), "--quiet", "--no-picture"]) == 0
    run_file.write_text(RUN + "initial: nowhere\n")
    capsys.readouterr()
    assert app.main(["resume", str(run_file.parent), "--quiet"]) == 2
    assert "nowhere" in plain_error(capsys)


def test_a_state_kept_by_hand_is_a_start(run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What checkpoint.save made of a Simulation.state_dict(); another content of such a file is refused."""
    assert app.main(["run", str(run_file), "--quiet"]) == 0
    state = checkpoint.load(run_file.parent / "out" / "checkpoint.npz")["simulation"]
    second, told = tmp_path / "second.yaml", []
    second.write_text(RUN + "initial: mine.npz\n")
    checkpoint.save(tmp_path / "mine.npz", state)
    assert app.main(["run", str(second), "--quiet", "--out", str(tmp_path / "by_hand")]) == 0
    assert app.main(["run", str(second), "--quiet", "--set", "initial=quick", "--out", str(tmp_path / "whole")]) == 0
    for name in ("by_hand", "whole"):
        told.append(kmc.open(tmp_path / name).attrs["content_sha256"])
    assert told[0] == told[1]
    capsys.readouterr()
    for wrong in ({"finished": True}, {"simulation": 3}, {"simulation": {"seed": 3}}):
        checkpoint.save(tmp_path / "mine.npz", wrong)
        assert app.main(["run", str(second), "--out", str(tmp_path / "third")]) == 2
        assert "mine.npz holds no state of a run" in plain_error(capsys)


def test_a_folder_that_another_run_took_is_refused(
    run_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both found it empty; the slower one must not go on with what the faster one wrote."""
    from kmc.simulation import run_to_folder

    real, out = run_to_folder.fresh, run_file.parent / "out"

    def slow(run: Any) -> Any:
        monkeypatch.setattr(run_to_folder, "fresh", real)
        assert app.main(["run", str(run_file), "--seed", "8", "--quiet", "--no-picture"]) == 0
        capsys.readouterr()
        taken.update(tree(out))
        return real(run)

    for more, words in (([], "is not empty"), (["--resume"], "seed differs (8 there, 3 here)")):
        taken: dict[str, bytes] = {}
        monkeypatch.setattr(run_to_folder, "fresh", slow)
        assert app.main(["run", str(run_file), "--quiet", "--no-picture", *more]) == 2
        assert words in plain_error(capsys)
        assert tree(out) == taken
        shutil.rmtree(out)


def test_a_hole_among_the_segments_is_told(
    run_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost one and one that no checkpoint covers are as many as there should be, and are not the same."""
    with monkeypatch.context() as patch:
        patch.setattr(fake_simulation.Simulation, "_call", stopping_after(50))
        assert app.main(["run", str(run_file), "--quiet"]) == 3
    segments = run_file.parent / "out" / "segments"
    (segments / "0000.nc").rename(segments / "0001.nc")
    capsys.readouterr()
    before = tree(segments)
    assert app.main(["resume", str(run_file.parent), "--quiet"]) == 3
    assert "lacks segments that its checkpoint covers" in plain_error(capsys)
    assert tree(segments) == before


class Gone(io.StringIO):
    """A stream to which nobody listens any more."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_lost_listener_stops_no_run(
    run_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, terminal: bool
) -> None:
    """A reader of the progress that ended, or a terminal that was closed: the dataset is whole."""
    monkeypatch.setattr("kmc.core.progress._LINE_EVERY_S", 0.0)
    gone = Gone(number)
    gone.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", gone)
    assert app.main(["run", str(run_file)]) == 0
    assert capsys.readouterr().out == f"{run_file.parent / 'out' / 'quick.nc'}\n"
    assert kmc.open(run_file.parent).sizes["time"] == 61
    assert sys.stderr is gone
    assert app.main(["check", "no_such_card"]) == 2


def test_a_closed_standard_error_is_none(
    run_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`2>&-`: nothing of it comes on standard output."""
    monkeypatch.setattr("kmc.core.progress._LINE_EVERY_S", 0.0)
    monkeypatch.setattr(sys, "stderr", None)
    assert app.main(["run", str(run_file)]) == 0
    assert capsys.readouterr().out == f"{run_file.parent / 'out' / 'quick.nc'}\n"
    assert app.main(["check", "no_such_card"]) == 2
    assert capsys.readouterr().out == ""


def test_only_a_lost_reader_of_the_output_is_no_error(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `| head`; another broken pipe is a bug, and not a success."""

    def broken(self: Any) -> None:
        raise BrokenPipeError(errno.EPIPE, "of a worker")

    with monkeypatch.context() as patch:
        patch.setattr(fake_simulation.Simulation, "_call", broken)
        with pytest.raises(RuntimeError) as caught:
            app.main(["run", str(run_file), "--quiet"])
        assert isinstance(caught.value.__cause__, BrokenPipeError)
    for through in (False, True):
        reader, writer = os.pipe()
        os.close(reader)
        with io.TextIOWrapper(open(writer, "wb", buffering=0), write_through=through) as output:
            monkeypatch.setattr(sys, "stdout", output)
            assert app.main(["run", str(run_file), "--quiet", "--resume"]) == 0
    assert kmc.open(run_file.parent).sizes["time"] == 61


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_a_wish_to_stop_needs_no_listener(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The end of a terminal is a signal and an error of writing to it: the signal counts."""
    monkeypatch.setattr(sys, "stderr", Gone(number))
    with stopping() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP")
def test_what_is_ignored_stays_ignored() -> None:
    """`nohup` has the end of a terminal ignored: a run goes on; without it that is a wish to stop."""
    seen = []
    for before in (signal.SIG_IGN, signal.SIG_DFL):
        kept = signal.signal(signal.SIGHUP, before)
        try:
            with stopping() as asked:
                os.kill(os.getpid(), signal.SIGHUP)
                seen.append(asked())
        finally:
            signal.signal(signal.SIGHUP, kept)
    assert seen == [False, True]


def test_a_stack_that_cannot_be_built_writes_nothing(
    run_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only the simulation finds out is bad input too, and leaves no folder."""
    from kmc.core.errors import UserError

    def fail(self: Any, *_: Any, **__: Any) -> None:
        raise UserError("the window is too small")

    monkeypatch.setattr(fake_simulation.Simulation, "__init__", fail)
    assert app.main(["run", str(run_file)]) == 2
    assert "too small" in plain_error(capsys)
    assert [p.name for p in run_file.parent.iterdir()] == ["run.yaml"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_is_three(
    run_file: Path, capsys: pytest.CaptureFixture[str], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message, no traceback; when there is room again the run goes on to the same end."""
    real = os.replace

    def fail(source: Any, target: Any) -> None:
        if str(target).endswith("checkpoint.npz"):
            raise OSError(number, os.strerror(number))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("kmc.core.atomic_files.os.replace", fail)
        assert app.main(["run", str(run_file), "--quiet"]) == 3
    assert "cannot write" in plain_error(capsys)
    assert dataset.verify(run_file.parent) == []
    assert app.main(["resume", str(run_file.parent), "--quiet"]) == 0


def test_a_damaged_checkpoint_is_three(
    run_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named by resume and by verify, and the segments stay readable."""
    with monkeypatch.context() as patch:
        patch.setattr(fake_simulation.Simulation, "_call", stopping_after(50))
        assert app.main(["run", str(run_file), "--quiet"]) == 3
    capsys.readouterr()
    path = run_file.parent / "out" / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-200])
    assert app.main(["resume", str(run_file.parent)]) == 3
    assert str(path) in plain_error(capsys)
    assert app.main(["verify", str(run_file.parent)]) == 3
    assert str(path) in capsys.readouterr().err
    assert kmc.open(run_file.parent).sizes["time"] > 10


def test_a_merged_file_that_was_damaged_is_made_again(run_file: Path) -> None:
    """Going on with a finished run mends it from its segments."""
    assert app.main(["run", str(run_file), "--quiet"]) == 0
    path = run_file.parent / "out" / "quick.nc"
    good = dataset.open(path)
    path.write_bytes(path.read_bytes()[:3000])
    assert app.main(["resume", str(path), "--quiet", "--no-picture"]) == 0
    assert dataset.open(path).attrs["content_sha256"] == good.attrs["content_sha256"]


def test_segments_stay_few(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time between checkpoints grows with the run: their number is a logarithm of its length."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("kmc.simulation.run_to_folder._LEAST_SHARE", 0.1)
    monkeypatch.setattr("kmc.simulation.run_to_folder.time.monotonic", lambda: clock.now)
    real = fake_simulation.Simulation._call

    def call(self: fake_simulation.Simulation) -> None:
        clock.now += 10.0
        real(self)

    monkeypatch.setattr(fake_simulation.Simulation, "_call", call)
    assert app.main(["run", str(run_file), "--quiet", "--set", "protocol.0.sweep.step=4 mV"]) == 0
    assert clock.now > 22_000
    assert len(dataset.segment_paths(run_file.parent / "out")) < 90


@pytest.mark.parametrize("place", ["kmc.cli.app._program", "kmc.cli.app.LazyGroup.parse_args"])
def test_control_c_before_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """While the command line is loaded or read: exit code 3 and one line, as later."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    monkeypatch.setattr(sys, "argv", ["kmc", "check"])
    monkeypatch.setattr(os, "_exit", sys.exit)  # these tests go on
    with pytest.raises(SystemExit) as left:
        importlib.import_module("kmc.__main__").run()
    assert left.value.code == 3
    assert plain_error(capsys) == "interrupted\n"


def test_progress_lines(run_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from a terminal: plain lines on standard error, none wrapped; --quiet has none."""
    monkeypatch.setattr("kmc.core.progress._LINE_EVERY_S", 0.0)
    assert app.main(["run", str(run_file)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert "quick: " in lines[5]
    for part in ("%", "events/s", "V 500 mV", "I 1 uA", "G 2 uS", "T 310 K", "left"):
        assert part in lines[5]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (119.4, "119 s"),
        (125.0, "2 min"),
        (7140.0, "119 min"),
        (7230.0, "2 h 0 min"),
        (86400.0, "24 h 0 min"),
    ],
)
def test_times_that_are_left(seconds: float, text: str) -> None:
    """Of a run and of a study alike; a day is not 86400 s."""
    assert progress.duration(seconds) == text


def test_the_bar_of_a_terminal(
    run_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a terminal a bar is drawn on standard error, and the path stands alone on standard output."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    assert app.main(["run", str(run_file)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{run_file.parent / 'out' / 'quick.nc'}\n"
    assert "events/s" in told.err


# --- other commands --------------------------------------------------------------------------------------


def test_verify_names_the_file(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 for sound files; 3 and the path for a flipped bit, in JSON too."""
    assert app.main(["run", str(run_file), "--quiet"]) == 0
    assert app.main(["verify", str(run_file.parent)]) == 0
    assert app.main(["verify", str(run_file.parent / "out" / "checkpoint.npz")]) == 0
    path = run_file.parent / "out" / "quick.nc"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))
    capsys.readouterr()
    assert app.main(["verify", str(run_file.parent)]) == 3
    told = capsys.readouterr()
    assert told.err.startswith(f"{path}: ")
    assert app.main(["verify", str(path), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["problems"][0]["path"] == str(path)


def test_verify_looks_at_a_run_without_rows(
    run_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a checkpoint and no dataset yet: 0 where that is sound, 3 and its path where it is damaged."""
    with monkeypatch.context() as patch:
        patch.setattr(fake_simulation.Simulation, "_call", stopping_after(1))
        assert app.main(["run", str(run_file), "--quiet"]) == 3
    path = run_file.parent / "out" / "checkpoint.npz"
    assert list(run_file.parent.rglob("*.nc")) == []
    capsys.readouterr()
    assert app.main(["verify", str(run_file.parent)]) == 0
    assert capsys.readouterr().out == "1 files checked, 0 with problems\n"
    path.write_bytes(path.read_bytes()[:-200])
    for given in (run_file.parent, run_file.parent / "out"):
        assert app.main(["verify", str(given), "--json"]) == 3
        told = json.loads(capsys.readouterr().out)
        assert told["checked"] == [one["path"] for one in told["problems"]] == [str(path)]
    path.unlink()
    assert app.main(["verify", str(run_file.parent)]) == 2
    assert "holds no dataset" in plain_error(capsys)


def test_verify_reads_the_record(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a sound run.json there is no going on: garbage is told, and so is none."""
    assert app.main(["run", str(run_file), "--quiet", "--no-picture"]) == 0
    path = run_file.parent / "out" / "run.json"
    for text, words in (("{", "cannot be read"), (None, "is missing")):
        path.unlink() if text is None else path.write_text(text)
        for given in (run_file.parent, run_file.parent / "out" / "checkpoint.npz"):
            capsys.readouterr()
            assert app.main(["verify", str(given), "--json"]) == 3
            assert json.loads(capsys.readouterr().out)["problems"] == [{"path": str(path), "problem": words}]
    checkpoint.save(run_file.parent / "state.npz", {"seed": 1, "windows": {}})
    assert app.main(["verify", str(run_file.parent / "state.npz")]) == 0  # no run's, but kept by hand


def test_export_prints_its_path(run_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Beside the dataset, or where it was told to."""
    assert app.main(["run", str(run_file), "--quiet"]) == 0
    capsys.readouterr()
    assert app.main(["export", str(run_file.parent), "--format", "csv"]) == 0
    assert capsys.readouterr().out == f"{run_file.parent / 'out' / 'quick.csv'}\n"
    out = tmp_path / "x.pwl"
    assert app.main(["export", str(run_file.parent / "out"), "-f", "pwl", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"format": "pwl", "files": [str(out)]}
    assert app.main(["export", str(run_file.parent), "-f", "extxyz"]) == 2
    out = tmp_path / "no" / "x.csv"
    assert app.main(["export", str(run_file.parent), "-f", "csv", "--out", str(out)]) == 2
    assert "no/x.csv: no such file or directory; choose another --out" in capsys.readouterr().err


def test_bench_prints_a_table_or_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered benchmarks are listed, run, and told as a whole table or as JSON alone."""

    def run(progress: Any) -> list[dict[str, Any]]:
        progress("measuring")
        return [{"sites": 10**6, "events_per_s": 1234567.0, "note": "x" * 150, "now": True}]

    point = SimpleNamespace(name="mine", load=lambda: run)
    found = {"kmc.bench": [point]}
    monkeypatch.setattr("kmc.benchmarks.registry.metadata.entry_points", lambda group: found.get(group, []))
    assert app.main(["bench"]) == 0
    assert capsys.readouterr().out == "mine\n"
    assert app.main(["bench", "mine"]) == 0
    told = capsys.readouterr()
    assert "x" * 150 in told.out
    assert "cores" in told.out
    assert "measuring" in told.err
    assert app.main(["bench", "mine", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result[0]["sites"] == 10**6
    assert app.main(["bench", "min"]) == 2
    assert app.main(["bench", "--figure", "x.png"]) == 2
    told = capsys.readouterr().err
    assert told.endswith("--figure needs a benchmark's name; kmc bench accuracy --figure x.png\n")


def test_a_bench_that_is_interrupted_tells_its_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 3, as all that is not done; ctrl-C is then as it was."""

    def run(progress: Any) -> list[dict[str, Any]]:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return [{"sites": 5}]

    point = SimpleNamespace(name="mine", load=lambda: run)
    monkeypatch.setattr(
        "kmc.benchmarks.registry.metadata.entry_points", lambda group: [point] if "bench" in group else []
    )
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        assert app.main(["bench", "mine", "--json", "--quiet"]) == 3
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    told = capsys.readouterr()
    assert json.loads(told.out) == [{"sites": 5}]
    assert told.err == "interrupted; the rows are of what was measured before\n"


def test_a_bench_draws_its_rows_if_it_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into the file that is named; what cannot be drawn is said before anything is measured."""

    def run(progress: Any) -> list[dict[str, Any]]:
        ran.append(1)
        return [{"sites": 5}]

    ran: list[int] = []
    point = SimpleNamespace(name="mine", load=lambda: run)
    monkeypatch.setattr(
        "kmc.benchmarks.registry.metadata.entry_points", lambda group: [point] if "bench" in group else []
    )
    file = tmp_path / "a.png"
    assert app.main(["bench", "mine", "--figure", str(file)]) == 2
    assert "draws no figure" in capsys.readouterr().err
    monkeypatch.setattr(sys.modules[__name__], "draw", lambda rows, path: path.write_text(str(rows)), raising=False)
    assert app.main(["bench", "mine", "--figure", str(tmp_path / "a.txt")]) == 2
    assert app.main(["bench", "mine", "--figure", str(tmp_path / "no" / "a.png")]) == 2
    assert not ran
    assert app.main(["bench", "mine", "--figure", str(file)]) == 0
    assert file.read_text() == "[{'sites': 5}]"


def test_warmup_says_how_long(
    run_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both kinds of vacancies are run once, time and folder are told; what is compiled: test_warmup.py."""
    ran: list[str] = []
    beside = SimpleNamespace(join=lambda: None, terminate=lambda: ran.append("ended"))
    monkeypatch.setattr("kmc.cli.commands.warmup.start_beside", lambda: beside)
    monkeypatch.setattr("kmc.cli.commands.warmup.compile_run", lambda kind, events: ran.append(kind))
    assert app.main(["warmup", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert ran == ["equilibrium", "explicit", "ended"]
    assert told["cache"] == str(jit_cache.cache_dir())
    assert told["wall_s"] >= 0.0


# --- the package's face ----------------------------------------------------------------------------------


def test_six_names_whatever_was_imported(repository: Path) -> None:
    """The public names stay what they are when every module of the package was imported before."""
    script = (
        "import pkgutil, importlib, kmc\n"
        "for m in pkgutil.walk_packages(kmc.__path__, 'kmc.'):\n"
        "    if '.peers' not in m.name and m.name != 'kmc.__main__':\n"
        "        importlib.import_module(m.name)\n"
        "assert set(kmc.__all__) == "
        "{'Protocol', 'Settings', 'load_card', 'load_stack', 'open', 'simulate'}\n"
        "for n in kmc.__all__: assert callable(getattr(kmc, n)), n\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=repository, check=True, timeout=300)


def test_a_wrong_name_has_its_nearest() -> None:
    """As everywhere."""
    with pytest.raises(AttributeError, match="did you mean 'load_stack'"):
        kmc.load_stac  # noqa: B018


def test_a_cache_in_use_is_as_good_as_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading kernels changes no folder's date by itself: a month after they were compiled they would go."""
    monkeypatch.setenv("KMC_CACHE", str(tmp_path))
    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    monkeypatch.setattr(jit_cache, "source_hash", lambda: "mine")
    folder = tmp_path / "kernels" / "mine"
    for age_days, touched in ((40.0, True), (0.5, False)):
        folder.mkdir(parents=True, exist_ok=True)
        before = time.time() - age_days * 86400
        os.utime(folder, (before, before))
        assert jit_cache._prepare.__wrapped__()
        assert (folder.stat().st_mtime > before + 1.0) is touched
    monkeypatch.setattr(jit_cache, "source_hash", lambda: "next")
    assert jit_cache.sweep() == []


def test_the_cache_follows_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$KMC_CACHE moves the cache; old folders that are not in use are swept; the hash has the kernels."""
    monkeypatch.setenv("KMC_CACHE", str(tmp_path))
    assert jit_cache.cache_dir() == tmp_path / "kernels" / jit_cache.source_hash()
    for name in ("old", "new", jit_cache.source_hash()):
        (tmp_path / "kernels" / name).mkdir(parents=True)
        if name != "new":
            os.utime(tmp_path / "kernels" / name, (0, 0))
    assert [p.name for p in jit_cache.sweep()] == ["old"]
    top = Path(kmc.__file__).parent
    hashed = {path.stem for path in source_files.kernel_sources(top)}
    with_kernels = {path.stem for path in top.rglob("*.py") if "\n@njit" in path.read_text()}
    assert len(with_kernels) > 10
    assert with_kernels <= hashed
    assert {"units", "lattice"} <= hashed  # their constants are compiled in
    assert not {"app", "run_to_folder", "dataset"} & hashed
    engine = {path.stem for path in source_files.engine_sources(top)}
    assert {"window", "vacancy_density", "circuit", "temperature", "builder", "voltage_steps"} <= engine
    assert "simulation" in engine
    assert not {"app", "run_to_folder", "dataset", "errors", "jit_cache"} & engine


def test_what_is_doubtful_is_told_before_the_first_step(
    run_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A night's run at 150 V in place of 150 mV; once, whether or not the run ends."""
    told: list[str] = []
    real = fake_simulation.Simulation._call

    def call(self: fake_simulation.Simulation) -> None:
        told.append(capsys.readouterr().err)
        real(self)

    monkeypatch.setattr(fake_simulation.Simulation, "_call", call)
    words = ["run", str(run_file), "--set", "protocol.0.sweep.to=150 V", "--no-picture", "--quiet"]
    assert app.main(words) == 0
    assert "which no film holds" in told[0]
    assert "which no film holds" not in "".join(told[1:]) + capsys.readouterr().err


def test_a_folder_that_is_gone_is_told(tmp_path: Path, repository: Path) -> None:
    """Removed in another terminal: one line, and no traceback."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\nfrom kmc.cli import app\n"
    script += "raise SystemExit(app.main(['run', 'run.yaml', '--out', 'o']))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(repository)},
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is gone; change to one that is there" in done.stderr or "no such file" in done.stderr


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["choices.ligand.gap=1.4 nm"], ": ligand.gap is 2.4 nm there, 1.4 nm here"),
        (
            ["choices.ligand.gap=1.4 nm", "choices.electrode.bond_energy=0.3 eV"],
            ": electrode.bond_energy is 0.28 eV there, 0.3 eV here (and 1 more)",
        ),
    ],
)
def test_what_another_device_has_is_told(
    run_file: Path, capsys: pytest.CaptureFixture[str], changes: list[str], told: str
) -> None:
    """The first value that differs, and how many more do."""
    words = ["run", str(run_file), "--quiet", "--no-picture"]
    assert app.main(words) == 0
    capsys.readouterr()
    assert app.main([*words, "--resume", *(f"--set={one}" for one in changes)]) == 2
    assert told in capsys.readouterr().err


def told_nothing(text: str) -> bytes:
    """`cache.code` by the tokens of Python itself."""
    lines, aside, begins, inside = text.splitlines(), [], True, set()
    tokens = [one for one in tokenize.generate_tokens(io.StringIO(text).readline) if one.type != tokenize.NL]
    for one, after in itertools.pairwise(tokens):
        alone = begins and one.type == tokenize.STRING and after.type in (tokenize.NEWLINE, tokenize.COMMENT)
        if alone or one.type == tokenize.COMMENT:
            aside.append(one)
        elif one.type == tokenize.STRING:  # all but its last line, behind which there may be a comment
            inside |= set(range(one.start[0] - 1, one.end[0] - 1))
        begins = one.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT)
    for one in reversed(aside):
        (first, start), (last, end) = one.start, one.end
        kept = lines[first - 1][:start] + lines[last - 1][end:]
        lines[first - 1 : last] = [kept, *[""] * (last - first)]
    shown = (line if k in inside else line.rstrip() for k, line in enumerate(lines) if k in inside or line.strip())
    return "\n".join(shown).encode()


def test_a_hash_of_code_does_not_follow_what_is_only_said(tmp_path: Path) -> None:
    """Docstrings and comments are no code, strings and all else are: for all sources, and seen to move."""
    top = Path(kmc.__file__).parents[1]
    sources = [path for part in ("kmc", "analysis") for path in sorted((top / part).rglob("*.py"))]
    assert len(sources) > 150
    other = [path for path in sources if source_files.code(path) != told_nothing(path.read_text("utf-8"))]
    assert other == []

    def code(text: str) -> bytes:
        (tmp_path / "one.py").write_text(text)
        return source_files.code(tmp_path / "one.py")

    bare = code("def f(x):\n    return x + 1\n")
    assert code('"""What."""\n\ndef f(x):  # why\n    """One\n    more."""\n\n    return x + 1\n') == bare
    for other in ("def f(x):\n    return x + 2\n", "def f(x):\n    return x +  1\n", "def f(x):\n    '#'\n"):
        assert code(other) != bare
    assert code("a = '#1'  # two") == b"a = '#1'" != code("a = '#2'")
    assert code('a = """b\n\nc  \n"""  \n\n\nd\n# e\n') == b'a = """b\n\nc  \n"""\nd'


CALLBACK = """
import signal, sys, time, weakref
from kmc.__main__ import keep_interrupts
if len(sys.argv) > 1:
    keep_interrupts()
signal.signal(signal.SIGINT, signal.default_int_handler)
met = type("Met", (), {})()
reference = weakref.ref(met, lambda _: signal.raise_signal(signal.SIGINT))
try:
    del met
    time.sleep(1)
    print("lost")
except KeyboardInterrupt:
    print("kept")
"""


def test_ctrl_c_that_meets_a_callback_is_not_lost() -> None:
    """Python ignores what a callback raises, and imports have some. Negative control: without the hook."""
    for arguments, told in ((["hook"], "kept"), ([], "lost")):
        done = subprocess.run(
            [sys.executable, "-c", CALLBACK, *arguments], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.strip() == told
        assert ("KeyboardInterrupt" in done.stderr) == (told == "lost")


IMPORT = """
import sys
from kmc.__main__ import keep_interrupts
if len(sys.argv) > 2:
    keep_interrupts()
if sys.argv[2:] == ["writing"]:
    from kmc.core import atomic_files
    atomic_files.unfinished.add("half")
sys.path.insert(0, sys.argv[1])
import deaf
print("lost")
"""
DEAF = """
import signal
try:
    signal.raise_signal(signal.SIGINT)
except:
    pass
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_that_meets_an_import_is_not_lost(tmp_path: Path) -> None:
    """What a library imports may ignore every exception. Where a file is half written, whatever writes it is
    to break off, and not the program. Negative control: without the handler."""
    (tmp_path / "deaf.py").write_text(DEAF)
    lost, ended = (0, "lost\n", ""), (3, "", "interrupted\n")
    for arguments, told in (([tmp_path], lost), ([tmp_path, "hook"], ended), ([tmp_path, "writing"], lost)):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        assert (done.returncode, done.stdout, done.stderr) == told


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_while_it_loads_is_exit_code_3(run_file: Path, tmp_path: Path) -> None:
    """At 12 moments of the first half second, once Python itself has come up; nothing is left half written.

    Negative control: a process that is not stopped is still at work.
    """
    codes, half = [], []
    for k in range(12):
        out = tmp_path / str(k)
        process = subprocess.Popen(
            [sys.executable, "-c", STARTED, "run", str(run_file), "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 + 0.04 * k)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        codes.append(process.returncode)
        half += [path.name for path in out.rglob("*.part")]
    assert codes == [3] * 12
    assert half == []
