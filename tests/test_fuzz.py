"""Mutated cards, runs, studies, datasets and command lines: accepted, or refused with one message.

`make test` tries some hundred. `make test-all` tries ten thousand in its own process and two hundred through
the command, and tells how they came out:

    python -m pytest -m slow tests/test_fuzz.py

A trial fails for a traceback, for ten seconds, for a file that a refused input leaves behind, and where a
renamed key, a number that is not finite or a wrong unit is accepted.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType

import mutations
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mutations import Mutant
from test_dataset import about, rows_of, snapshots_of

import kmc
from kmc import checkpoint, dataset, documents
from kmc.cli import main
from kmc.errors import CorruptFile, UserError
from kmc.outfolder import describe
from kmc.runfile import load_run
from kmc.study import load_study
from kmc.study.manifest import manifest_of, result_path, write_manifest

HANG_S = 10  # of the processor: the tests may be stopped, or share it
STUCK_S = 300  # by the clock: waits for something
MEMORY_KB = 1_000_000
FRESH_KB = 150_000  # of them: what a process holds before its first trial
# how many trials of each kind: in `make test`, in `make test-all`
TRIALS = {"card": (60, 3000), "stack": (30, 1200), "run": (60, 2600), "study": (30, 900),
          "dataset": (60, 1200), "records": (30, 500), "arguments": (30, 600)}  # fmt: skip
QUICK, SLOW = (sum(counts[k] for counts in TRIALS.values()) for k in (0, 1))
COMMANDS = 200


class Hang(BaseException):
    """The time was over; no handler of the program takes it for an error of its own."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raises Hang in what takes too long."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = {number: signal.signal(number, ring) for number in (signal.SIGALRM, signal.SIGPROF)}
    signal.setitimer(signal.ITIMER_PROF, HANG_S)
    signal.alarm(STUCK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def called(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command line, in this process and in time."""
    out, err = io.StringIO(), io.StringIO()
    with limited(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(words))
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    return code, out.getvalue(), err.getvalue()


def listing(folder: Path) -> dict[str, int]:
    """Every file with its size; the lock of a folder that is looked at stays, and is empty."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def clean(code: int, out: str, err: str) -> str:
    """How a command came out, which must be one of three ways."""
    assert "Traceback" not in err
    assert "\x1b" not in err
    if code == 0:
        return "accepted"
    assert code in (2, 3), err
    assert err.strip(), "nothing is said"
    assert code == 3 or len(err.strip().splitlines()) == 1, err
    return "refused with one message" if code == 2 else "named as damaged"


def tried(mutant: Mutant, folder: Path, counts: Counter[str]) -> None:
    """Check a mutated file, and run it where it is refused: the same refusal, and nothing written."""
    path = folder / mutant.name
    path.write_bytes(mutant.data)
    before = listing(folder)
    way = clean(*called("check", str(path)))
    assert not (mutant.wrong and way == "accepted"), f"accepted {mutant.how}: {mutant.data!r}"
    if way != "accepted" and path.stem in ("run", "study"):
        code, out, err = called(path.stem, str(path), "--out", str(folder / "out"))
        assert (code, out) == (2, ""), err
        assert clean(code, out, err) == way
    assert listing(folder) == before
    counts[f"{path.stem if path.stem in ('run', 'study') else 'card or stack'}: {mutant.how}: {way}"] += 1


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    """The program's own cards are parsed once: only the mutated file is new in a trial."""
    real, ours = documents.read, Path(mutations.TOP, "materials")
    kept = lru_cache(maxsize=64)(real)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "read", lambda path: (kept if path.is_relative_to(ours) else real)(path))
        yield


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Iterator[Counter[str]]:
    """Outcomes, which are printed at the end; trials must not take more memory than in a fresh process."""
    counts: Counter[str] = Counter()
    before_kb = _peak_kb(anew=True)
    yield counts
    more_kb = _peak_kb() - before_kb
    with capsys.disabled():
        print(f"\n{sum(counts.values())} trials, at most {more_kb // 1000} MB more than before them")
        for name, count in sorted(counts.items()):
            print(f"  {count:6} {name}")
    assert more_kb < MEMORY_KB - FRESH_KB


def _peak_kb(anew: bool = False) -> int:
    """The most memory that this process held; on Linux since it was last asked `anew`."""
    if anew:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # peak = present
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_the_peak_of_memory_is_seen() -> None:
    """A block that is given back at once counts, and not for the next trial."""
    before = _peak_kb(anew=True)
    bytearray(300_000_000)
    assert _peak_kb() - before > 200_000
    assert _peak_kb(anew=True) - before < 100_000


def repeated(strategy: st.SearchStrategy, count: int, one: Callable[..., None]) -> None:
    """`one` of `count` values that the strategy draws, the same ones each time."""
    profile = settings(max_examples=count, deadline=None, derandomize=True, database=None,
                       phases=(Phase.generate,), suppress_health_check=list(HealthCheck))  # fmt: skip
    profile(given(strategy)(lambda value: one(value)))()


def sizes(column: int) -> list[tuple[str, int]]:
    return [(kind, counts[column]) for kind, counts in TRIALS.items()]


@pytest.mark.parametrize(("kind", "count"), sizes(0))
def test_some_hundred(kind: str, count: int, tmp_path: Path, told: Counter[str]) -> None:
    """A few of every kind."""
    assert QUICK >= 300
    TRYING[kind](tmp_path, count, told)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), sizes(1))
def test_ten_thousand(kind: str, count: int, tmp_path: Path, told: Counter[str]) -> None:
    """Many of every kind."""
    assert SLOW >= 10_000
    TRYING[kind](tmp_path, count, told)


def files(kind: str) -> Callable[[Path, int, Counter[str]], None]:
    """The trials of a kind of file."""

    def trials(folder: Path, count: int, told: Counter[str]) -> None:
        repeated(mutations.mutant(kind), count, lambda one: tried(one, folder, told))

    return trials


# --- datasets and checkpoints ------------------------------------------------------------------------------


def sound(folder: Path) -> list[Path]:
    """A dataset with snapshots, one without, and a checkpoint."""
    full = dataset.build(rows_of(20), snapshots_of([0.0, 10.0]), about())
    plain = dataset.build(rows_of(200), [], about())
    state = {"time": 1.5, "rows": rows_of(30), "stream": 2**127 + 1, "nested": {"list": [1, None, "x"]}}
    checkpoint.save(folder / "checkpoint.npz", state)
    checkpoint.save(folder / "small.npz", state, small=True)
    return [
        dataset.write(folder / "full.nc", full),
        dataset.write(folder / "plain.nc", plain),
        folder / "checkpoint.npz",
        folder / "small.npz",
    ]


def content(path: Path) -> str:
    """All that a reader gets from a dataset or checkpoint."""
    if path.suffix == ".npz":
        return repr(checkpoint.load(path))
    return dataset.content_hash(kmc.open(path))


def damaged(folder: Path, count: int, told: Counter[str]) -> None:
    """A damaged file is named by kmc verify and refused by its readers, or it reads as before."""
    originals = {path: (path.read_bytes(), content(path)) for path in sound(folder)}

    def one(draw: st.DataObject) -> None:
        path = draw.draw(st.sampled_from(sorted(originals)))
        data, right = originals[path]
        broken = draw.draw(mutations.damage(data))
        path.write_bytes(broken)
        try:
            way = clean(*called("verify", str(path)))
            named = way == "named as damaged"
            try:
                with limited():
                    same = content(path) == right
            except (CorruptFile, UserError):
                same = False
                assert named, "refused when it is read, but not by kmc verify"
            assert same or named
            told[f"{path.suffix}: {way}"] += 1
        finally:
            path.write_bytes(data)

    repeated(st.data(), count, one)


# --- the records of runs and studies ------------------------------------------------------------------------


def recorded(folder: Path) -> list[Path]:
    """The manifest of a study with a result, and the record of a run that was begun."""
    (folder / "study.yaml").write_text(mutations.STUDY)
    study = load_study(folder / "study.yaml")
    write_manifest(folder / "study", manifest_of(study, folder / "study"))
    dataset.write(result_path(folder / "study", study.hashes[0]), dataset.build(rows_of(5), [], about()))
    (folder / "run.yaml").write_text(mutations.RUN.replace("initial: other/out\n", ""))
    (folder / "run").mkdir()
    run = describe(load_run(folder / "run.yaml"))
    record = {"run": run, "command": {"run": "../run.yaml", "sets": ["seed=8"]}}
    (folder / "run" / "run.json").write_text(json.dumps(record))
    return [folder / "study" / "study.json", folder / "run" / "run.json"]


def records(folder: Path, count: int, told: Counter[str]) -> None:
    """A record that was changed leads nowhere: no command writes, and nothing outside the folder is read."""
    originals = {path: path.read_text() for path in recorded(folder)}

    def one(draw: st.DataObject) -> None:
        path = draw.draw(st.sampled_from(sorted(originals)))
        text = originals[path]
        how = draw.draw(st.sampled_from((mutations.nasty_json, mutations.scribbled, mutations.broken_bytes)))
        path.write_bytes(draw.draw(how(path.name, text)).data)
        before = listing(folder)
        commands = (
            [("study", "status", str(path.parent))]
            if path.name == "study.json"
            else [("resume", str(path.parent)), ("resume", str(path.parent), "--checkpoint-every", "1 V")]
        )
        for words in commands[-1:]:
            told[f"{path.name}: {clean(*called(*words))}"] += 1
        with contextlib.suppress(UserError), limited():
            kmc.open(path.parent).load()
        assert listing(folder) == before

    repeated(st.data(), count, one)


# --- the command line ---------------------------------------------------------------------------------------


def prepared(folder: Path) -> None:
    """What command lines may name: a run file, a study, a card, and a folder of results that is in use."""
    (folder / "run.yaml").write_text(mutations.RUN)
    (folder / "study.yaml").write_text(mutations.STUDY)
    (folder / "card.yaml").write_text((mutations.TOP / "materials" / "void.yaml").read_text())
    (folder / "full").mkdir()
    dataset.write(folder / "full" / "run.nc", dataset.build(rows_of(5), [], about()))
    checkpoint.save(folder / "full" / "checkpoint.npz", {"segments": 0})


def command_lines(folder: Path, count: int, told: Counter[str]) -> None:
    """No words make a traceback, and what is refused leaves no file."""
    prepared(folder)

    def one(words: list[str]) -> None:
        before = listing(folder)
        with contextlib.chdir(folder):
            way = clean(*called(*words))
        if way != "accepted":
            assert listing(folder) == before
        told[f"{words[0] or '(nothing)'}: {way}"] += 1

    repeated(mutations.arguments(), count, one)


TRYING = {
    **{kind: files(kind) for kind in ("card", "stack", "run", "study")},
    "dataset": damaged,
    "records": records,
    "arguments": command_lines,
}


# --- through the command ------------------------------------------------------------------------------------


def by_process(words: list[str], folder: Path) -> tuple[int, str, str, float, int]:
    """Exit code, output, errors, processor seconds and most memory (kB) of `kmc` in a process of its own."""
    paths = os.pathsep.join([str(mutations.TOP), str(mutations.TOP / "analysis")])
    with open(folder.parent / "out.txt", "w+b") as out, open(folder.parent / "err.txt", "w+b") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "kmc", *words],
            cwd=folder,
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )
        killer = threading.Timer(STUCK_S, process.kill)
        killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        told = [(file.seek(0), file.read().decode(errors="replace"))[1] for file in (out, err)]
    return process.returncode, told[0], told[1], usage.ru_utime + usage.ru_stime, usage.ru_maxrss


@pytest.mark.slow
def test_two_hundred_through_the_command(tmp_path: Path, told: Counter[str]) -> None:
    """Mutated files and command lines, each in a process of its own: in time, in memory, with one message."""
    folder = tmp_path / "here"
    folder.mkdir()
    prepared(folder)
    most_kb, longest_s = 0, 0.0

    def one(drawn: Mutant | list[str]) -> None:
        nonlocal most_kb, longest_s
        if isinstance(drawn, Mutant):
            (folder / drawn.name).write_bytes(drawn.data)
            words = ["check", drawn.name]
        else:
            words = [word for word in drawn if "\0" not in word]
        before = listing(folder)
        code, out, err, seconds, kb = by_process(words, folder)
        way = clean(code, out, err)
        assert not (isinstance(drawn, Mutant) and drawn.wrong and way == "accepted")
        assert seconds < HANG_S
        assert kb < MEMORY_KB
        if way != "accepted":
            assert listing(folder) == before
        most_kb, longest_s = max(most_kb, kb), max(longest_s, seconds)
        told[f"{words[0] or '(nothing)'}: {way}"] += 1
        prepared_again(folder)

    strategy = st.one_of(mutations.arguments(), *(mutations.mutant(kind) for kind in mutations.originals()))
    repeated(strategy, COMMANDS, one)
    told[f"(the longest took {longest_s:.1f} s, the largest {most_kb // 1000} MB)"] = 0


def prepared_again(folder: Path) -> None:
    (folder / "run.yaml").write_text(mutations.RUN)
    (folder / "study.yaml").write_text(mutations.STUDY)
