"""What trials of hostile input share: limits of time and memory, and how a command may come out."""

from __future__ import annotations

import contextlib
import io
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import hostile
import mutations
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from memory import peak_kb
from test_dataset import about, rows_of

from kmc.cli.app import main
from kmc.io import checkpoint, dataset

HANG_S = 10  # of the processor: the tests may be stopped, or share it
STUCK_S = 300  # by the clock: waits for something
MEMORY_KB = 1_000_000
FRESH_KB = 150_000  # of them: what a process holds before its first trial


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


def clean(code: int, out: str, err: str, most: int = 1) -> str:
    """How a command came out, which must be one of three ways; with `most` messages, one a file."""
    assert "Traceback" not in err
    assert "\x1b" not in err
    if code == 0:
        return "accepted"
    assert code in (2, 3), err
    assert err.strip(), "nothing is said"
    said = [line for line in err.strip().splitlines() if not line.startswith("warning: ")]  # of other files
    assert code == 3 or 1 <= len(said) <= most, err
    return "refused with one message" if code == 2 else "named as damaged"


def messages(words: list[str]) -> int:
    """The most messages of a command line: `kmc check` has one for each of its files."""
    return max(1, len(words) - 1) if words[:1] == ["check"] else 1


@contextlib.contextmanager
def outcomes(capsys: pytest.CaptureFixture[str]) -> Iterator[Counter[str]]:
    """Outcomes, which are printed at the end; trials must not take more memory than in a fresh process."""
    counts: Counter[str] = Counter()
    before_kb = peak_kb(anew=True)
    yield counts
    more_kb = peak_kb() - before_kb
    with capsys.disabled():
        print(f"\n{sum(counts.values())} trials, at most {more_kb // 1000} MB more than before them")
        for name, count in sorted(counts.items()):
            print(f"  {count:6} {name}")
    assert more_kb < MEMORY_KB - FRESH_KB


def repeated(strategy: st.SearchStrategy, count: int, one: Callable[..., None]) -> None:
    """`one` of `count` values that the strategy draws, the same ones each time."""
    profile = settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    profile(given(strategy)(lambda value: one(value)))()


def texts(folder: Path) -> None:
    """A run file, a study and a card."""
    (folder / "run.yaml").write_text(hostile.RUN)
    (folder / "study.yaml").write_text(hostile.STUDY)
    (folder / "card.yaml").write_text((mutations.TOP / "materials" / "void.yaml").read_text())


def prepared(folder: Path) -> None:
    """What command lines may name: these texts, and a folder of results that is in use."""
    texts(folder)
    (folder / "full").mkdir()
    dataset.write(folder / "full" / "run.nc", dataset.build(rows_of(5), [], about()))
    checkpoint.save(folder / "full" / "checkpoint.npz", {"segments": 0})
