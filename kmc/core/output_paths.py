"""Where the user says that outputs go: whether what is there already may be replaced or gone on with."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kmc.core.atomic_files import make_folder, probe
from kmc.core.errors import UserError

_HASH = "[0-9a-f]" * 20

# Marks that identify the command that wrote a folder: the folder has all files of at least one entry.
_MARKS = {
    "run": ("run.json",),
    "study": ("study.json",),
    "compare": ("effects.csv effects.tex",),
    "reproduce": ("scoreboard.json", f"computed/{_HASH}.json"),
    "calibrate": ("trials.db",),
    "sensitivity": ("sensitivity.json",),
    "reservoir": ("table.csv weights.csv", "kinetic.csv kinetic_states.csv", f"sweep/{_HASH}.json"),
}
# These keep runs in one way, by a hash, and take nothing from each other that is not theirs: what a first go
# that was killed leaves, or a removed manifest, has no mark yet.
_KEEP_RUNS = ("study", "reproduce", "sensitivity")
_RUNS = (f"tasks/{_HASH}.nc", f"failed/{_HASH}.json", f"work/{_HASH}/run.json")


class Kind(NamedTuple):
    """A kind of output file: what its name may end in, and a pattern that is in each, in its first `size`
    bytes (-1: anywhere). `otherwise` is what else than another path helps where a file has it not."""

    suffixes: tuple[str, ...]
    pattern: bytes
    size: int = 4096
    otherwise: str = ""


# The maker that `kmc.plotting.figure_files` writes into a picture; a user's own pictures have matplotlib's name.
# A PDF has it at the end. Its beginning distinguishes it from a document in which the picture is embedded.
MAKER = "halide-kmc"
_NAME = MAKER.encode()
PICTURE = Kind(
    (".png", ".pdf", ".svg"),
    rb"\A\x89PNG\r\n\x1a\n(?s:.){,200}?tEXtSoftware\0"
    + _NAME
    + rb"|\A<\?xml(?s:.){,2000}?<dc:creator>\s*<cc:Agent>\s*<dc:title>"
    + _NAME
    + rb"|\A%PDF-1\.4\n%\xac\xdc \xab\xba\n(?s:.)*<< /Creator \("
    + _NAME
    + rb"\)",
    -1,
    ", or remove it if an earlier kmc drew it",  # when matplotlib's name stood there
)


def check_file(path: Path, kind: Kind, option: str = "--out") -> None:
    """Whether an output may be written to `path`: a new file, an empty one, or one of the same kind.

    Writes nothing. Raises UserError, and WriteFailed for what the system refuses.
    """
    step = f"choose another {option}"
    if path.is_dir():
        raise UserError(f"{path} is a folder", option, next_step=step)
    if path.suffix.lower() not in kind.suffixes:
        endings = " or ".join(ending for ending in kind.suffixes if ending)
        raise UserError(f"{path} does not end in {endings}", option, next_step=step)
    if path.exists() and not _is_of(path, kind):
        raise UserError(f"{path} holds something else", option, next_step=step + kind.otherwise)
    probe(path, path, option)


def _is_of(path: Path, kind: Kind) -> bool:
    if not path.is_file():  # a device or a pipe
        return False
    try:
        with path.open("rb") as file:
            begin = file.read(kind.size)
    except OSError:
        return False
    return not begin or re.search(kind.pattern, begin, re.MULTILINE) is not None


def is_new(out: Path) -> bool:
    """Whether the folder `out` is not there, or has no file but hidden ones. Raises UserError for a file."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is not a folder", "--out", next_step="choose another --out")
    return all(name.startswith(".") for _, _, names in os.walk(out) for name in names)


def claim(out: Path, command: str) -> bool:
    """Whether `out` holds what `kmc COMMAND` wrote; False for a folder that is new. Writes nothing.

    Raises UserError for a folder that holds something else, and for one that is not new where the command
    does not go on.
    """
    if is_new(out):
        return False
    if command not in _MARKS:
        raise UserError(f"{out} is not empty", "--out", next_step="choose another --out, or delete it")
    marked = [name for name, marks in _MARKS.items() if any(_has(out, mark) for mark in marks)]
    killed = not marked and command in _KEEP_RUNS and any(_has(out, pattern) for pattern in _RUNS)
    if command in marked or killed:
        return True
    raise UserError(
        f"{out} holds something else, no output of kmc {command}", "--out", next_step="choose another --out"
    )


def _has(out: Path, mark: str) -> bool:
    return all(any(out.glob(pattern)) for pattern in mark.split())


@contextlib.contextmanager
def folder(out: Path, command: str = "") -> Iterator[None]:
    """Make `out` before the work inside of it; after an error it is removed again where nothing was written.

    For a `command` it is claimed before. Raises UserError, and WriteFailed for what the system refuses.
    """
    if command:
        claim(out, command)
    missing = [one for one in (out, *out.parents) if not one.exists()]
    try:
        make_folder(out)
        probe(out / "output", out)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # the first that is not empty, or was not made
            for one in missing:
                one.rmdir()
        raise
