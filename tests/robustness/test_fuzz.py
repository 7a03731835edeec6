"""Mutated cards, runs, studies, datasets and command lines: accepted, or refused with one message.

`make test` tries some hundred. `make test-all` tries ten thousand in its own process and two hundred through
the command, and tells how they came out:

    python -m pytest -m slow tests/robustness/test_fuzz.py tests/robustness/test_fuzz_command.py

A trial fails for a traceback, for ten seconds, for a file that a refused input leaves behind, and where a
renamed key, a number that is not finite or a wrong unit is accepted.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import hostile
import mutations
import pytest
from fuzzing import called, clean, limited, listing, messages, outcomes, prepared, repeated
from hypothesis import strategies as st
from memory import peak_kb
from mutations import Mutant
from test_dataset import about, rows_of, snapshots_of

import kmc
from kmc.cards import yaml_documents
from kmc.core.errors import CorruptFile, UserError
from kmc.inputs.run_file import load_run
from kmc.io import checkpoint, dataset
from kmc.io.run_folder import describe
from kmc.study import load_study
from kmc.study.manifest import manifest_of, result_path, write_manifest

# how many trials of each kind: in `make test`, in `make test-all`
TRIALS = {
    "card": (60, 3000),
    "stack": (30, 1200),
    "run": (60, 2600),
    "study": (30, 900),
    "dataset": (60, 1200),
    "records": (30, 500),
    "arguments": (30, 600),
}


def tried(mutant: Mutant, folder: Path, counts: Counter[str]) -> None:
    """Check a mutated file, and run it where it is refused: the same refusal, and nothing written.

    It is taken away again: names are looked for beside a file first, and a broken neighbour would answer.
    """
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
    path.unlink()


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    """The program's own cards are parsed once: only the mutated file is new in a trial."""
    real, ours = yaml_documents.read, Path(mutations.TOP, "materials")
    kept = lru_cache(maxsize=64)(real)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            yaml_documents, "read", lambda path, *more: (kept if path.is_relative_to(ours) else real)(path, *more)
        )
        yield


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Iterator[Counter[str]]:
    """Outcomes, which are printed at the end."""
    with outcomes(capsys) as counts:
        yield counts


def test_the_peak_of_memory_is_seen() -> None:
    """A block that is given back at once counts, and not for the next trial."""
    before = peak_kb(anew=True)
    bytearray(300_000_000)
    assert peak_kb() - before > 200_000
    assert peak_kb(anew=True) - before < 100_000


def sizes(column: int) -> list[tuple[str, int]]:
    return [(kind, counts[column]) for kind, counts in TRIALS.items()]


@pytest.mark.parametrize(("kind", "count"), sizes(0))
def test_some_hundred(kind: str, count: int, tmp_path: Path, told: Counter[str]) -> None:
    """A few of every kind."""
    TRYING[kind](tmp_path, count, told)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), sizes(1))
def test_ten_thousand(kind: str, count: int, tmp_path: Path, told: Counter[str]) -> None:
    """Many of every kind."""
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
    (folder / "study.yaml").write_text(hostile.STUDY)
    study = load_study(folder / "study.yaml")
    write_manifest(folder / "study", manifest_of(study, folder / "study"))
    dataset.write(result_path(folder / "study", study.hashes[0]), dataset.build(rows_of(5), [], about()))
    (folder / "run.yaml").write_text(hostile.RUN.replace("initial: other/out\n", ""))
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


def command_lines(folder: Path, count: int, told: Counter[str]) -> None:
    """No words make a traceback, and what is refused leaves no file."""
    prepared(folder)

    def one(words: list[str]) -> None:
        before = listing(folder)
        with contextlib.chdir(folder):
            way = clean(*called(*words), messages(words))
        if way != "accepted":
            assert listing(folder) == before
        told[f"{words[0] or '(nothing)'}: {way}"] += 1

    repeated(hostile.arguments(), count, one)


TRYING = {
    **{kind: files(kind) for kind in ("card", "stack", "run", "study")},
    "dataset": damaged,
    "records": records,
    "arguments": command_lines,
}
