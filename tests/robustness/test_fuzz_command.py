"""Mutated files and command lines, each through the command in a process of its own.

python -m pytest -m slow tests/robustness/test_fuzz_command.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hostile
import mutations
import pytest
from fuzzing import HANG_S, MEMORY_KB, STUCK_S, clean, listing, messages, outcomes, prepared, repeated, texts
from hypothesis import strategies as st
from mutations import Mutant

COMMANDS = 200


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Iterator[Counter[str]]:
    """Outcomes, which are printed at the end."""
    with outcomes(capsys) as counts:
        yield counts


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
        way = clean(code, out, err, messages(words))
        assert not (isinstance(drawn, Mutant) and drawn.wrong and way == "accepted")
        assert seconds < HANG_S
        assert kb < MEMORY_KB
        if way != "accepted":
            assert listing(folder) == before
        most_kb, longest_s = max(most_kb, kb), max(longest_s, seconds)
        told[f"{words[0] or '(nothing)'}: {way}"] += 1
        prepared_again(folder)

    strategy = st.one_of(hostile.arguments(), *(mutations.mutant(kind) for kind in mutations.originals()))
    repeated(strategy, COMMANDS, one)
    told[f"(the longest took {longest_s:.1f} s, the largest {most_kb // 1000} MB)"] = 0


def prepared_again(folder: Path) -> None:
    """Put the folder back: names are looked for beside a file first, and a broken neighbour would answer."""
    for path in folder.glob("*.yaml"):
        path.unlink()
    texts(folder)
