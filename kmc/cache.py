"""Where compiled kernels are kept, and the one decorator that compiles them.

Numba looks at a function's own file only: a kernel that calls a changed kernel of another module would be
served stale. So the cache folder is keyed by a hash of all sources that kernels are made of and of versions.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent
_KEEP_DAYS, _DAY_S = 30, 86400.0
# `kernel` and `inlined` are njit with options (kernels_near).
_NJIT = re.compile(r"^\s*@(?:\w+\.)?(?:njit|kernel|inlined)\b", re.MULTILINE)
# A docstring on lines of its own; or a string, which stays; or a comment.
_LONG = r'"""(?:[^"\\]|\\.|"(?!""))*"""' + r"|'''(?:[^'\\]|\\.|'(?!''))*'''"
_SHORT = r'"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'"
_SAID = rf"(?:{_LONG})|\#[^\n]*|"  # on a line of its own, or nothing is there
_ASIDE = re.compile(rf"^[ \t]*(?:{_SAID})[ \t]*(?:\n|\Z)|({_LONG}|{_SHORT})|[ \t]*\#[^\n]*|[ \t]+$",
                    re.MULTILINE | re.DOTALL)  # fmt: skip
_IMPORT = re.compile(
    r"^\s*from (?:\.|kmc\.)(\w+) import|^\s*from (?:\.|kmc) import (\([^)]*\)|[^\n]*)", re.MULTILINE
)


def cache_root() -> Path:
    """The folder that holds all of this program's caches: $KMC_CACHE, else the platform's."""
    chosen = os.environ.get("KMC_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    home = _home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "halide-kmc"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "halide-kmc" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "halide-kmc"


def _home() -> Path:
    """The user's home; where the system knows none (a container's user), a place that nothing can be put in:
    caches are then told to be unwritable."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


@lru_cache(maxsize=1)
def source_hash() -> str:
    """A short SHA-256 of the code that kernels are made of, the Python version and numba's."""
    return _digest(kernel_sources(_PACKAGE), f"{platform.python_version()} numba {metadata.version('numba')}")


@lru_cache(maxsize=1)
def engine_hash() -> str:
    """A short SHA-256 of all code that a run's steps, events, fields, heat and circuit rest on."""
    return _digest(engine_sources(_PACKAGE))


def code(path: Path) -> bytes:
    """What a file does: all of it, of a Python source without comments, docstrings and empty lines."""
    if path.suffix != ".py":
        return path.read_bytes()
    return _ASIDE.sub(lambda found: found[1] or "", path.read_text(encoding="utf-8")).rstrip("\n").encode()


def _digest(paths: list[Path], more: str = "") -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + code(path) + b"\0")
    digest.update(more.encode())
    return digest.hexdigest()[:16]


def kernel_sources(package: Path) -> list[Path]:
    """The modules with kernels and all that they import from the package: constants are compiled in too."""
    texts = {path: path.read_text(encoding="utf-8") for path in package.glob("*.py")}
    return _with_imports(package, [path for path, text in texts.items() if _NJIT.search(text)])


def engine_sources(package: Path) -> list[Path]:
    """The modules that a run is made of, in Python and in kernels, without what only tells and keeps."""
    made = _with_imports(package, [package / f"{name}.py" for name in ("windows", "waveforms")])
    looks = {"cache", "documents", "errors", "typed"}
    return sorted([package / "simulation.py", *(path for path in made if path.stem not in looks)])


def _with_imports(package: Path, todo: list[Path]) -> list[Path]:
    """Modules and all that they import from the package, each once."""
    found: dict[str, Path] = {}
    while todo:
        path = todo.pop()
        if path.stem in found or not path.exists():
            continue
        found[path.stem] = path
        imported = sum(_IMPORT.findall(path.read_text(encoding="utf-8")), ())
        todo += [package / f"{name}.py" for name in re.findall(r"\w+", " ".join(imported))]
    return sorted(found.values())


def cache_dir() -> Path:
    """The folder of the kernels compiled from exactly these sources."""
    return cache_root() / "kernels" / source_hash()


def compiled() -> bool:
    """Whether any kernels of exactly these sources are kept, beside those of compact models; numba keeps
    those of each place of the package apart."""
    here = os.path.dirname(os.path.abspath(__file__))  # as numba has it: links are not followed
    digest = hashlib.sha1(here.encode(), usedforsecurity=False).hexdigest()
    return any((cache_dir() / f"{os.path.basename(here)}_{digest}").glob("*.nbi"))


@lru_cache(maxsize=1)
def _prepare() -> bool:
    """Point numba at `cache_dir()`; False where nothing can be written there (then nothing is cached).

    Once a day the folder's date becomes now: what numba does within leaves it alone, and `sweep` goes by it.
    """
    import numba

    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    if not os.access(folder, os.W_OK):
        return False
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime > _DAY_S:
            os.utime(folder)
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    return True


def njit(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """`numba.njit` with the cache in the right folder; use bare or with numba's options.

    `import kmc` does not import numba; only modules with kernels do, through this decorator.
    """
    import numba

    options.setdefault("cache", True)
    if options["cache"] and not _prepare():
        options["cache"] = False
    decorate = numba.njit(**options)
    return decorate if function is None else decorate(function)


def sweep() -> list[Path]:
    """Remove the kernels of sources unused for a month; returns the folders removed."""
    removed: list[Path] = []
    parent = cache_root() / "kernels"
    for folder in sorted(parent.iterdir()) if parent.is_dir() else []:
        with contextlib.suppress(FileNotFoundError):  # another one was quicker
            age_days = (time.time() - folder.stat().st_mtime) / _DAY_S
            if folder.name != source_hash() and age_days > _KEEP_DAYS:
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    return removed
