"""Which source files a module rests on, and a hash of them: for compiled kernels, engines and results."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import util
from pathlib import Path

HASH_LENGTH = 16
_ENGINE = ("kmc.simulation.parallel_windows", "kmc.inputs.segments")
# Of the engine's imports, those that read, report and keep, and change no result.
_NO_PHYSICS = (
    "kmc.core.jit_cache",
    "kmc.core.source_files",
    "kmc.core.errors",
    "kmc.cards.yaml_documents",
    "kmc.cards.validators",
)
# `kernel` and `inlined` are njit with options (kmc.system.neighbours).
_NJIT = re.compile(r"^\s*@(?:\w+\.)?(?:njit|kernel|inlined)\b", re.MULTILINE)
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([^\n]*))", re.MULTILINE
)
# A docstring on lines of its own; or a string, which stays; or a comment.
_LONG = r'"""(?:[^"\\]|\\.|"(?!""))*"""' + r"|'''(?:[^'\\]|\\.|'(?!''))*'''"
_SHORT = r'"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'"
_PROSE = rf"(?:{_LONG})|\#[^\n]*|"  # on a line of its own, or an empty line
_ASIDE = re.compile(
    rf"^[ \t]*(?:{_PROSE})[ \t]*(?:\n|\Z)|({_LONG}|{_SHORT})|[ \t]*\#[^\n]*|[ \t]+$", re.MULTILINE | re.DOTALL
)


def digest(paths: Iterable[Path], more: str = "", length: int = HASH_LENGTH) -> str:
    """The first characters of the SHA-256 of files, by name and code (`code`), and of a text."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.name.encode() + b"\0" + code(path) + b"\0")
    found.update(more.encode())
    return found.hexdigest()[:length]


def code(path: Path) -> bytes:
    """The content of a file; of a Python source, without comments, docstrings and empty lines."""
    if path.suffix != ".py":
        return path.read_bytes()
    return _ASIDE.sub(lambda found: found[1] or "", path.read_text(encoding="utf-8")).rstrip("\n").encode()


def sources_of(modules: Iterable[str], folder: Path | None = None) -> list[Path]:
    """The files of `modules` and of all that they import, also inside of functions, from their own top package.

    folder: where that package is; by default where it is installed.
    """
    names = list(modules)
    tops = {name.partition(".")[0] for name in names}
    roots = {top: folder or package_folder(top) for top in tops}
    found: dict[str, Path | None] = {}
    while names:
        name = names.pop()
        if name not in found:
            found[name] = path = _file(name, roots)
            names += _imports(path) if path else ()
    return sorted({path for path in found.values() if path})


def kernel_sources(folder: Path | None = None) -> list[Path]:
    """The modules of kmc with kernels and all that they import: constants are compiled in too."""
    top = folder or package_folder("kmc")
    return sources_of((name for name, path in modules_in(top) if _NJIT.search(path.read_text(encoding="utf-8"))), top)


def engine_sources(folder: Path | None = None) -> list[Path]:
    """The modules that a run is made of, in Python and in kernels, without those that only report and keep."""
    top = folder or package_folder("kmc")
    left_out = {_file(name, {"kmc": top}) for name in _NO_PHYSICS}
    made = [path for path in sources_of(_ENGINE, top) if path not in left_out]
    return sorted([top / "simulation" / "simulation.py", *made])


def modules_in(folder: Path, top: str = "kmc") -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every module of a package, its subpackages included."""
    for path in sorted(folder.rglob("*.py")):
        yield ".".join((top, *path.relative_to(folder).with_suffix("").parts)), path


def package_folder(top: str) -> Path:
    """Where a top package is, without importing it."""
    if top == "kmc":
        return Path(__file__).resolve().parent.parent
    spec = util.find_spec(top)
    if spec is None or not spec.origin:
        raise ModuleNotFoundError(top)
    return Path(spec.origin).parent


def _file(module: str, roots: dict[str, Path]) -> Path | None:
    """The source of a module of these packages, None for what is none (a name in a module)."""
    top, *parts = module.split(".")
    if top not in roots:
        return None
    base = roots[top].joinpath(*parts)
    files = (base.with_suffix(".py"), base / "__init__.py") if parts else (base / "__init__.py",)
    return next((path for path in files if path.is_file()), None)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """What a source imports, read once: a program does not change while it runs. Imports are absolute."""
    found: list[str] = []
    for module, names, plain in _IMPORT.findall(path.read_text(encoding="utf-8")):
        if plain:
            found += re.findall(r"[\w.]+", plain)
        else:
            found += [module, *(f"{module}.{name}" for name in re.findall(r"\w+", names))]
    return tuple(found)
