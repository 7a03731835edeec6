"""Where compiled kernels are kept, and the one decorator that compiles them.

Numba looks at a function's own file only: a kernel that calls a changed kernel of another module would be
served stale. So the cache folder is keyed by a hash of all sources that kernels are made of and of versions.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from kmc.core.source_files import digest, engine_sources, kernel_sources

_KEEP_DAYS, _DAY_S = 30, 86400.0


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
    """The user's home folder. Without one (a container's user), a path that cannot be written, so that the
    cache is reported as unwritable."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


@lru_cache(maxsize=1)
def source_hash() -> str:
    """A short SHA-256 of the code that kernels are made of, the Python version and numba's."""
    return digest(kernel_sources(), f"{platform.python_version()} numba {metadata.version('numba')}")


@lru_cache(maxsize=1)
def engine_hash() -> str:
    """A short SHA-256 of all code that a run's steps, events, fields, heat and circuit rest on."""
    return digest(engine_sources())


def cache_dir() -> Path:
    """The folder of the kernels compiled from exactly these sources."""
    return cache_root() / "kernels" / source_hash()


def compiled() -> bool:
    """Whether any kernels of exactly these sources, at this place, are in the cache.

    Numba keeps the kernels of each folder of sources in a folder named by a hash of its path.
    """
    return any(any(folder.glob("*.nbi")) for folder in _folders_of_kernels() if folder.is_dir())


def _folders_of_kernels() -> Iterator[Path]:
    for folder in sorted({path.parent for path in kernel_sources()}):
        here = os.path.abspath(folder)
        name = hashlib.sha1(here.encode(), usedforsecurity=False).hexdigest()
        yield cache_dir() / f"{os.path.basename(here)}_{name}"


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
