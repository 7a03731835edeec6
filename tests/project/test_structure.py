"""The layout of the sources: layers of packages, sizes of folders, files and functions, and names."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGES = {"kmc": TOP / "kmc", "kmc_analysis": TOP / "analysis" / "kmc_analysis"}

FOLDER_MODULES = 18
FILE_LINES = 340
FUNCTION_LINES = 50
KERNEL_LINES = 75
PARAMETERS = 8

# Longer than that, each with its reason: "file" or "file:function".
LONG: dict[str, str] = {
    "analysis/kmc_analysis/compact/equations/integrator.py": "one integrator, whose kernels numba compiles as one"
}

# Modules that are imported by their names in strings, which import-linter does not see: importer -> imported.
IMPORTED_BY_NAME = {
    # Stack.plot() draws when it is called; until then matplotlib is not loaded.
    ("kmc/cards/stack.py", "kmc.plotting.structure_plots"),
    # A benchmark of both ways to run a study imports each when it is measured.
    ("kmc/benchmarks/study_overhead.py", "kmc.study.dask_cluster"),
    ("kmc/benchmarks/study_overhead.py", "kmc.simulation.simulation"),
}

_DECORATORS = {"njit", "kernel", "inlined"}
_SKIP = "fmt: " + "skip"  # in two parts: this file is searched too


def sources(folder: Path) -> list[Path]:
    """The Python files of a package, without the peers', which are copied as published, and packaged data."""
    found = sorted(folder.rglob("*.py"))
    return [path for path in found if not {"peers", "_materials"} & set(path.relative_to(folder).parts)]


SOURCES = [path for folder in PACKAGES.values() for path in sources(folder)]


def name_of(path: Path) -> str:
    """A file as the lists above name it."""
    return path.relative_to(TOP).as_posix()


def functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a source, nested ones too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def is_kernel(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is compiled by numba."""
    called = (one.func if isinstance(one, ast.Call) else one for one in node.decorator_list)
    return any(ast.unparse(one).rpartition(".")[2] in _DECORATORS for one in called)


def too_long(name: str, text: str) -> list[str]:
    """The file and those of its functions that exceed their limits, as the keys of LONG."""
    found = [name] if text.count("\n") > FILE_LINES else []
    for node in functions(text):
        limit = KERNEL_LINES if is_kernel(node) else FUNCTION_LINES
        if node.end_lineno is not None and node.end_lineno - node.lineno >= limit:
            found.append(f"{name}:{node.name}")
    return found


def too_many_parameters(name: str, text: str) -> list[str]:
    """Functions of a source with more than eight parameters; self and cls are not counted."""
    found = []
    for node in functions(text):
        given = node.args
        plain = [*given.posonlyargs, *given.args]
        count = len(plain) - bool(plain and plain[0].arg in ("self", "cls")) + len(given.kwonlyargs)
        count += (given.vararg is not None) + (given.kwarg is not None)
        if count > PARAMETERS:
            found.append(f"{name}:{node.lineno} {node.name}: {count}")
    return found


def crowded(folder: Path) -> list[str]:
    """Folders of a package with more than 18 Python modules."""
    counts = Counter(path.parent for path in folder.rglob("*.py"))
    return [f"{path}: {count}" for path, count in sorted(counts.items()) if count > FOLDER_MODULES]


def repeated(folder: Path) -> list[str]:
    """File names that a package has twice. A command may have the name of the module that it calls."""
    counts = Counter(path.name for path in sources(folder) if path.parent.name != "commands")
    return [name for name, count in counts.items() if count > 1 and name != "__init__.py"]


def unformatted(folder: Path) -> list[Path]:
    """Python files below a folder in which some lines are kept from the formatter."""
    return [path for path in sorted(folder.rglob("*.py")) if _SKIP in path.read_text(encoding="utf-8")]


def imported_by_name(name: str, text: str) -> set[tuple[str, str]]:
    """(file, module) of the modules of this project that a source imports by a string."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "import_module":
            module = node.args[0].value if isinstance(node.args[0], ast.Constant) else ""
            if str(module).partition(".")[0] in PACKAGES:
                found.add((name, str(module)))
    return found


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with the contracts of the pyproject.toml in a folder, on the packages there."""
    command = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command(sys.argv[1:])"
    paths = os.pathsep.join([str(folder), str(folder / "analysis")])
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the packages and of their contracts."""
    for folder in PACKAGES.values():
        ignored = shutil.ignore_patterns("__pycache__", "_materials")
        shutil.copytree(folder, tmp_path / folder.relative_to(TOP), ignore=ignored)
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    return tmp_path


def test_packages_import_only_lower_ones() -> None:
    """The contracts of pyproject.toml are kept."""
    done = lint_imports(TOP)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("kmc/core/units.py", "", 0),
        ("kmc/core/units.py", "from kmc.cards.card import load_card\n", 1),
        ("kmc/system/state.py", "def f():\n    import kmc.study.cases\n", 1),
        ("kmc/core/units.py", "from ..cli import app\n", 1),
        ("kmc/io/export.py", "import kmc_analysis.metrics\n", 1),
        ("analysis/kmc_analysis/metrics/observation.py", "from kmc_analysis.report import page\n", 1),
    ],
)
def test_an_upward_import_is_found(copy: Path, file: str, text: str, code: int) -> None:
    """Control: the copy without a change passes; each added import of a higher package fails."""
    path = copy / file
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")
    done = lint_imports(copy)
    assert done.returncode == code, done.stdout + done.stderr
    module = file.removeprefix("analysis/").removesuffix(".py").replace("/", ".")
    assert (f"{module} -> " in done.stdout) == (code == 1)


def test_imports_by_name_are_listed() -> None:
    """import-linter does not see them. Control: the call in a function, by its full name."""
    found = set()
    for path in SOURCES:
        found |= imported_by_name(name_of(path), path.read_text(encoding="utf-8"))
    assert found == IMPORTED_BY_NAME
    text = "import importlib\ndef f():\n    importlib.import_module('kmc.study')\n"
    assert imported_by_name("a.py", text) == {("a.py", "kmc.study")}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_is_crowded(package: str, tmp_path: Path) -> None:
    """At most 18 Python modules in a folder. Control: a folder with 18, then with 19."""
    assert crowded(PACKAGES[package]) == []
    for k in range(FOLDER_MODULES):
        (tmp_path / f"m{k}.py").touch()
    assert crowded(tmp_path) == []
    (tmp_path / "one_more.py").touch()
    assert crowded(tmp_path) == [f"{tmp_path}: 19"]


@pytest.mark.parametrize("package", PACKAGES)
def test_file_names_are_unique(package: str, tmp_path: Path) -> None:
    """A file name says which module it is. Control: a name in two folders; a command is excepted."""
    assert repeated(PACKAGES[package]) == []
    for folder in ("a", "commands", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
        (tmp_path / folder / "export.py").touch()
        assert repeated(tmp_path) == (["export.py"] if folder == "b" else [])


def test_all_code_is_formatted(tmp_path: Path) -> None:
    """No line is kept from the formatter. Control: one that is."""
    assert [path for name in ("kmc", "analysis", "tests", "docs") for path in unformatted(TOP / name)] == []
    (tmp_path / "a.py").write_text(f"x = [1,2]  # {_SKIP}\n")
    assert unformatted(tmp_path) == [tmp_path / "a.py"]


def test_files_and_functions_are_short() -> None:
    """Files up to 340 lines, functions up to 50, kernels up to 75; longer ones are in LONG with a reason."""
    found = {item for path in SOURCES for item in too_long(name_of(path), path.read_text(encoding="utf-8"))}
    assert found - set(LONG) == set(), "shorten it, or give the reason in LONG above"
    assert set(LONG) - found == set(), "in LONG, but short enough"


@pytest.mark.parametrize(("decorator", "limit"), [("", 50), ("@njit\n", 75), ("@kernel(inline=True)\n", 75)])
def test_a_long_function_is_found(decorator: str, limit: int) -> None:
    """Control: a function as long as allowed passes, one line more does not; so with a file."""
    text = decorator + "def f():\n" + "    x = 1\n" * (limit - 1)
    assert too_long("a.py", text) == []
    assert too_long("a.py", text + "    x = 1\n") == ["a.py:f"]
    assert too_long("a.py", "x = 1\n" * FILE_LINES) == []
    assert too_long("a.py", "x = 1\n" * (FILE_LINES + 1)) == ["a.py"]


def test_functions_have_few_parameters() -> None:
    """At most eight; the failure lists every function with more."""
    found = [item for path in SOURCES for item in too_many_parameters(name_of(path), path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(["more than eight parameters:", *found])


def test_many_parameters_are_found() -> None:
    """Control: eight pass, a ninth of any kind does not; self is not counted."""
    eight = "a, b, c, d, e, f, g, h"
    assert too_many_parameters("a.py", f"def f({eight}): pass") == []
    assert too_many_parameters("a.py", f"class A:\n    def f(self, {eight}): pass") == []
    for ninth in ("i", "*i", "*, i", "**i"):
        assert too_many_parameters("a.py", f"def f({eight}, {ninth}): pass") == ["a.py:1 f: 9"]
