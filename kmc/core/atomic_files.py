"""Files that are old or new, never half: whole writes, one lock a folder, plain words for a full disk."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kmc.core.errors import UserError

_SUFFIX = ".part"
_LEAST_ROOM = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}


unfinished: set[Path] = set()  # temporary files, each removed by whatever breaks its writing off


class WriteFailed(UserError):
    """A disk that is full or may not be written. The command line leaves with exit code 3."""

    exit_code = 3


class NoPlace(WriteFailed):
    """A path that cannot be: it is the user's to mend. The command line leaves with exit code 2."""

    exit_code = 2


class Busy(UserError):
    """A folder that another process is writing to."""


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`: after a crash the file is the old one or the new one. Raises WriteFailed."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)


def write_texts(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Put each text at its name in `folder`, which is made; returns the paths. Raises WriteFailed."""
    paths = [folder / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        make_folder(path.parent)
        write_whole(path, text.encode())
    return paths


def csv_text(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV: numbers with every digit, and an empty cell for None."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heads, *rows])
    return text.getvalue()


def finite(value: Any) -> Any:
    """Plain data (mappings and lists of such) with None for a number that is none or without bound: JSON has
    no word for it."""
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def replacing(path: Path, on_disk: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`; what is written there replaces `path` at the end.

    on_disk: whether it is first forced to disk; a file that only describes the present moment need not be.
    Raises WriteFailed for what the system refuses; the temporary file is removed on any error.
    """
    temporary = _temporary(path)
    unfinished.add(temporary)
    try:
        with explained(path):
            yield temporary
            if on_disk:
                _to_disk(temporary, os.O_RDWR)
            os.replace(temporary, path)
            with contextlib.suppress(OSError):  # not every system can sync a folder
                if on_disk:
                    _to_disk(path.parent, os.O_RDONLY)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    finally:
        unfinished.discard(temporary)


@contextlib.contextmanager
def explained(path: Path, option: str = "--out") -> Iterator[None]:
    """Turn the system's (and netCDF's) errors about writing `path`, named by `option`, into a WriteFailed."""
    try:
        yield
    except (RecursionError, NotImplementedError):
        raise  # faults of a program, and no word of the system's
    except (OSError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        if isinstance(error, RuntimeError) or number == errno.EACCES:  # netCDF hides what the system said
            number = _refusal(path) or number
        if number in _FULL:
            step = "free some space, then give the command again (kmc run: with --resume)"
            raise WriteFailed(
                f"cannot write {path}: no space left on the disk (or the quota is used up)", next_step=step
            ) from error
        if number in _REFUSED:
            raise WriteFailed(
                f"cannot write {path}: {os.strerror(number).lower()}", next_step="choose a folder that may be written"
            ) from error
        words = os.strerror(number) if number and number > 0 else str(error)  # netCDF's own are below zero
        told = f"cannot write {path}: {words.lower()}"
        if number in _NOWHERE:
            raise NoPlace(told, next_step=f"choose another {option}") from error
        raise WriteFailed(told, next_step="check the disk") from error


def make_folder(path: Path) -> None:
    """Make `path` and its parents. Raises WriteFailed."""
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)


def probe(path: Path, told: Path, option: str = "--out") -> None:
    """Check that a file can be created at `path`, and remove it. Raises WriteFailed that names `told`."""
    with explained(told, option):
        temporary = _temporary(path)
        temporary.touch()
        temporary.unlink()


def sweep(folder: Path, older_s: float = 0.0) -> None:
    """Remove the temporary files that killed processes left in `folder`: all, or those of `older_s` ago."""
    for leftover in folder.glob(f".*{_SUFFIX}"):
        with explained(leftover), contextlib.suppress(FileNotFoundError):  # another one was quicker
            if not older_s or time.time() - leftover.stat().st_mtime > older_s:
                leftover.unlink()


@contextlib.contextmanager
def only_one(folder: Path, patience_s: float = 0.5, name: str = ".lock") -> Iterator[None]:
    """Hold `folder` for this process; the system lets go of it when the process ends, however it ends.

    name: of the file in it that is held, another where a part is held apart from the whole. Raises Busy when
    another process holds it for longer than `patience_s`; who only looks holds it for less.
    """
    with explained(folder):
        handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)  # the umask decides who shares
    try:
        until = time.monotonic() + patience_s
        while not _locked(handle):
            if time.monotonic() >= until:
                raise Busy(f"another process is writing to {folder}", next_step="wait for it, or choose another folder")
            time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Whether this process holds an open file now, which others do not; True where a system has no locks."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def _to_disk(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _temporary(path: Path) -> Path:
    if not path.name:
        raise NoPlace(f"{path} is a folder", next_step="name a file in it")
    return path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")


def _refusal(path: Path) -> int | None:
    """What the system says to a little more in the temporary file of `path`, None where it takes it."""
    try:
        if shutil.disk_usage(path.parent).free < _LEAST_ROOM:
            return errno.ENOSPC
        with _temporary(path).open("ab") as file:
            file.write(bytes(_LEAST_ROOM))
    except OSError as error:
        return error.errno
    return None
