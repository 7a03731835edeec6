"""Where outputs go: nothing of the user's is replaced, and what cannot be written is said before the work."""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import shutil
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import fake_simulation
import pytest

import kmc_analysis
from kmc.cli import app
from kmc.core import atomic_files, output_paths
from kmc.plotting import figure_files

RUN = """\
stack: ogb_20nm
protocol: [sweep: {to: 1.5 V, rate: 100 V/s, step: 100 mV, compliance: 1 uA}]
seed: 3
"""
SNAPS = "snapshots: {every: 5 ms}\n"
STUDY = RUN + "variants: {ligand: [ogb, ddab]}\nreplicates: 1\n"
PLAN = "data: {samples: 24, test: 8}\nfeeding: {nodes: 4}\nreadout: {epochs: 1}\nkinetic: {samples: 4}\n"
KEY = "S23a_echo_10ms"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files to start from and the outputs `r` of a run and `s` of a study."""
    top = tmp_path_factory.mktemp("made")
    for name, text in (("run", RUN + SNAPS), ("study", STUDY), ("plan", PLAN)):
        (top / f"{name}.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
        patch.chdir(top)
        assert app.main(["run", "run.yaml", "--out", "r", "--quiet", "--no-picture"]) == 0
        for task in "01":
            assert app.main(["study", "study.yaml", "--out", "s", "--task", task]) == 0
    (top / "s" / "tasks.csv").write_text("task\n")
    return top


@pytest.fixture
def top(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the working folder, with the fake simulation."""
    monkeypatch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
    shutil.copytree(made, tmp_path / "top")
    monkeypatch.chdir(tmp_path / "top")
    return tmp_path / "top"


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


Refused = Callable[..., str]


@pytest.fixture
def refused(top: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Gives a command that must end with one line and exit code 2, and no change of any file."""

    def call(*words: str) -> str:
        before = tree(top)
        capsys.readouterr()
        assert app.main(list(words)) == 2
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1), told
        assert tree(top) == before
        return told.err

    return call


# --- single files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "study study.yaml --out o --slurm study.yaml",
        "study study.yaml --out o --slurm s/study.json",
        "study study.yaml --out o --slurm mine.sh",
        "export r -f csv --out r/run.nc",
        "export r -f csv --out s/tasks.csv",
        "export r -f pwl --out mine.pwl",
        "export r -f extxyz --out mine.xyz",
        "export r -f vtk --out mine.vti",
        "report r --out r/run.json",
        "report r --out mine.html",
        "report s --out s/tasks.csv",
        "report s --out study.yaml",
        "reservoir plan.yaml --write-study plan.yaml",
        "bench accuracy --figure mine.png",
    ],
)
def test_no_file_is_replaced_but_an_earlier_output(top: Path, refused: Refused, words: str) -> None:
    """The input itself, what the program keeps, and a file of another kind are refused with the option."""
    for suffix in ("sh", "pwl", "xyz", "html", "png", "vti"):
        (top / f"mine.{suffix}").write_text("mine")
    told = refused(*words.split())
    assert "holds something else; choose another --" in told or "does not end in ." in told


def test_an_earlier_output_is_replaced(top: Path) -> None:
    """Exports, a page, a script with lines of its user, a study of states; an empty file is nobody's loss."""
    pytest.importorskip("pyvista")
    (top / "a.csv").touch()
    for words in (
        "export r -f csv --out a.csv",
        "export r -f pwl --out a.pwl",
        "export r -f extxyz --out a.xyz",
        "export r -f vtk --out a.vti",
        "report r --out a.html --quiet",
        "study study.yaml --out o --slurm a.sh",
        "reservoir plan.yaml --write-study states.yaml",
    ):
        for _ in range(2):
            assert app.main(words.split()) == 0, words
            script = top / "a.sh"
            if script.is_file():
                script.write_text(script.read_text().replace("#SBATCH", "#SBATCH --account=me\n#SBATCH", 1))


@pytest.mark.parametrize("given", [".", "/", "", "r", ".."])
@pytest.mark.parametrize(
    "words",
    [
        "export r -f csv --out",
        "report r --out",
        "study study.yaml --out o1 --slurm",
        "reservoir plan.yaml --write-study",
        "bench accuracy --figure",
    ],
)
def test_a_folder_is_no_file(refused: Refused, words: str, given: str) -> None:
    """Said plainly; an empty path is the working folder."""
    option = words.split()[-1]
    assert f"{option}: {Path(given)} is a folder; choose another {option}" in refused(*words.split(), given)


@pytest.mark.parametrize("suffix", output_paths.PICTURE.suffixes)
def test_a_picture_of_ours_is_replaced(tmp_path: Path, suffix: str) -> None:
    """In each format, and one with much in it too: PDF has its maker's name at the end."""
    from matplotlib.figure import Figure

    figure = Figure()
    for axes in figure.subplots(3, 3).flat:
        axes.plot(range(2000), [k * k % 977 for k in range(2000)])
    output_paths.check_file(figure_files.save(figure, tmp_path / f"a{suffix}"), output_paths.PICTURE)


@pytest.mark.parametrize("suffix", output_paths.PICTURE.suffixes)
def test_a_picture_of_the_users_is_not(top: Path, refused: Refused, suffix: str) -> None:
    """Though matplotlib drew it too, and it speaks of this program."""
    from matplotlib.figure import Figure

    figure = Figure()
    figure.suptitle("halide-kmc", url="halide-kmc")
    figure.savefig(top / f"a{suffix}")
    told = refused("plot", "r", "--out", f"a{suffix}")
    assert "holds something else; choose another --out, or remove it if an earlier kmc drew it\n" in told


def test_writing_to_a_folder_is_one_message() -> None:
    """Whoever writes: the path has no name to write beside."""
    with pytest.raises(atomic_files.NoPlace, match="is a folder"):
        atomic_files.write_whole(Path("."), b"x")


# --- paths that cannot be --------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def analysis() -> dict[str, ModuleType]:
    """All modules of kmc_analysis: one imported while a function is replaced would keep the replacement."""
    found = pkgutil.walk_packages(kmc_analysis.__path__, "kmc_analysis.")
    return {one.name: importlib.import_module(one.name) for one in found}


@pytest.mark.parametrize(
    "words",
    [
        "run run.yaml --out",
        "study study.yaml --out",
        "compact export silver --out",
        "compact fit mine.csv --model silver --out",
        "compact table mine.csv --out",
        "compact traces r --out",
        f"reproduce {KEY} --out",
        "calibrate --out",
        f"sensitivity {KEY} --out",
        "compare s --out",
        "reservoir plan.yaml --out",
        "reservoir plan.yaml --sweep --out",
    ],
)
@pytest.mark.parametrize("given", ["study.yaml", "study.yaml/out", "/proc/x/y"])
def test_a_folder_that_cannot_be_is_said_at_once(
    top: Path, refused: Refused, words: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2 with what to do; nothing was computed, driven or fitted."""

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("the work began")

    (top / "mine.csv").write_text(CSV)
    monkeypatch.setattr("kmc_analysis.experiment.reproduce.figure_runs.Session.go", never)
    modules = analysis()
    for name in (
        "compact.fitting.model_fit.fit",
        "reservoir.pipeline.run",
        "reservoir.results.design_sweep.run",
        "statistics.comparison.measure",
        "calibration.card_fit.search",
        "calibration.sensitivity.influences",
    ):
        home, _, function = name.rpartition(".")
        original = getattr(modules[f"kmc_analysis.{home}"], function)
        for one in modules.values():
            if getattr(one, function, None) is original:
                monkeypatch.setattr(one, function, never)
    told = refused(*words.split(), given)
    assert "is not a folder" in told or "cannot write" in told
    assert "choose another --out" in told


CSV = "time_s,voltage_source_V,current_A\n" + "".join(f"{k}e-3,{k % 7}e-1,{k}e-7\n" for k in range(1, 30))


@pytest.mark.parametrize(
    "words",
    [
        "export r -f csv --out no/x.csv",
        "export r -f csv --out study.yaml/x.csv",
        "study study.yaml --out o1 --slurm no/j.sh",
        "reservoir plan.yaml --write-study no/s.yaml",
        "bench accuracy --figure no/x.png",
        "report r --out study.yaml/x.html",
    ],
)
def test_a_file_that_cannot_be_is_said_before_the_work(refused: Refused, words: str) -> None:
    """Nothing else is left behind: no folder of the study either."""
    option = next(word for word in reversed(words.split()) if word.startswith("--"))
    told = refused(*words.split())
    assert f"choose another {option}" in told


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, 3),
        (errno.EROFS, 3),
        (errno.EACCES, 3),
        (errno.EIO, 3),
        (errno.ENOENT, 2),
        (errno.ENOTDIR, 2),
        (errno.EISDIR, 2),
        (errno.EEXIST, 2),
    ],
)
def test_the_exit_code_says_whose_it_is(tmp_path: Path, number: int, code: int) -> None:
    """2 for a path that cannot be, 3 for a disk that is full, failing, or may not be written; a next step."""
    with pytest.raises(atomic_files.WriteFailed) as caught, atomic_files.explained(tmp_path / "x"):
        raise OSError(number, os.strerror(number))
    assert caught.value.exit_code == code
    assert caught.value.next_step


@pytest.mark.parametrize("error", [NotImplementedError("ours"), RecursionError("ours"), KeyError("ours")])
def test_a_fault_of_the_program_is_not_the_disks(tmp_path: Path, error: Exception) -> None:
    """It stays what it is; netCDF's own RuntimeError says what the system refused."""
    with pytest.raises(type(error), match="ours"), atomic_files.explained(tmp_path / "x"):
        raise error
    with pytest.raises(atomic_files.WriteFailed), atomic_files.explained(tmp_path / "x"):
        raise RuntimeError("NetCDF: HDF error")


def test_what_the_system_says_is_told(tmp_path: Path) -> None:
    """netCDF says "permission denied" of a folder that is not there; the system knows better."""
    with pytest.raises(atomic_files.NoPlace, match="no such file"), atomic_files.explained(tmp_path / "none" / "x.nc"):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def test_netcdfs_own_errors_have_its_words(tmp_path: Path) -> None:
    """Their numbers are below zero, and none of the system's."""
    with pytest.raises(atomic_files.WriteFailed, match="netcdf: hdf error"), atomic_files.explained(tmp_path / "x"):
        raise OSError(-101, "NetCDF: HDF error")


def test_a_full_disk_advises_what_every_command_has(tmp_path: Path) -> None:
    """Only `kmc run` has --resume; the rest are given again as they were."""
    with pytest.raises(atomic_files.WriteFailed) as caught, atomic_files.explained(tmp_path / "x"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.next_step == "free some space, then give the command again (kmc run: with --resume)"


def test_what_a_plan_names_is_read_first(refused: Refused) -> None:
    """Before the devices are driven: the one line is that of the file."""
    for entry in ("data.file=none.csv", "devices.parameters=none.json"):
        for more in ([], ["--sweep", "--set", "sweep={feeding.nodes: [3]}"]):
            words = ("reservoir", "plan.yaml", "--quiet", "--set", entry, *more)
            assert "none." in refused(*words)


def test_a_plan_without_its_file_drives_nothing(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even the words of the progress come."""
    assert app.main(["reservoir", "plan.yaml", "--set", "data.file=none.csv"]) == 2
    assert "driving" not in capsys.readouterr().err
    assert not (top / "out").exists()


# --- folders ---------------------------------------------------------------------------------------------

COMMANDS = {
    "run": "run run.yaml --resume",
    "study": "study study.yaml",
    "compare": "compare s",
    "reproduce": f"reproduce {KEY} --done",
    "calibrate": "calibrate",
    "sensitivity": f"sensitivity {KEY}",
    "reservoir": "reservoir plan.yaml",
    "compact": "compact export silver",
}
# What is in the folders that a command goes on in.
HASH = "0" * 20
OWN = {
    "run": ["run.json"],
    "study": ["study.json", f"tasks/{HASH}.nc"],
    "compare": ["effects.csv", "effects.tex"],
    "reproduce": ["scoreboard.json", f"tasks/{HASH}.nc"],
    "calibrate": ["trials.db"],
    "sensitivity": ["sensitivity.json", f"work/{HASH}/run.json"],
    "reservoir": ["table.csv", "weights.csv"],
}


def filled(out: Path, names: list[str]) -> None:
    """A folder with those files."""
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("{}")


@pytest.mark.parametrize(
    ("command", "other"), [(command, other) for command in COMMANDS for other in (*OWN, "notes") if command != other]
)
def test_a_foreign_folder_is_refused(top: Path, refused: Refused, command: str, other: str) -> None:
    """By every command, whatever it holds: notes, or the output of another command."""
    filled(top / "foreign", ["notes.txt"] if other == "notes" else OWN[other])
    told = refused(*COMMANDS[command].split(), "--out", "foreign")
    assert "foreign is not empty" in told or f"holds something else, no output of kmc {command}" in told


@pytest.mark.parametrize("command", OWN)
def test_ones_own_folder_is_known(tmp_path: Path, command: str) -> None:
    """So is one that a first go left, which was killed before it wrote more than runs."""
    filled(tmp_path / "own", OWN[command])
    assert output_paths.claim(tmp_path / "own", command)
    if command in ("study", "reproduce", "sensitivity"):
        filled(tmp_path / "killed", [f"work/{HASH}/run.json"])
        assert output_paths.claim(tmp_path / "killed", command)


def test_a_folder_without_files_is_new(tmp_path: Path) -> None:
    """None at all, and one with empty folders, a lock and what a killed process left of its first file."""
    assert not output_paths.claim(tmp_path / "none", "run")
    (tmp_path / "segments").mkdir()
    (tmp_path / ".lock").touch()
    (tmp_path / ".run.json.7.part").touch()
    assert not output_paths.claim(tmp_path, "run")


@pytest.mark.parametrize(("name", "stays"), [("a/b", ["a", "a/b", "a/b/kept"]), ("a/b", []), ("r", ["r"])])
def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path: Path, name: str, stays: list[str]) -> None:
    """With its parents, as far as they were made; where something was written, or it was there, it stays."""
    if stays == [name]:
        (tmp_path / name).mkdir()

    def work() -> None:
        with output_paths.folder(tmp_path / name):
            for one in stays[2:]:
                (tmp_path / one).touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert sorted(tree(tmp_path)) == stays
