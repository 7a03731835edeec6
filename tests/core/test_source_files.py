"""The key of compiled kernels follows their code and that of all modules that they import, nothing else."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmc.core import source_files
from kmc.core.source_files import digest, kernel_sources, modules_in, package_folder, sources_of

TOPS = ("kmc", "kmc_analysis")
# A line of the Python file that each of these modules writes; the regular expression takes it for an import.
IN_A_STRING = {
    "learning_formats.py": "kmc_analysis.compact.export.reservoirpy_device",
    "result_files.py": "kmc_analysis.reservoir.results.reservoirpy_reservoir",
}
CODE, COMMENT = "\nADDED = 1\n", "\n# One more comment.\n"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package kmc."""
    folder = tmp_path_factory.mktemp("copy") / "kmc"
    shutil.copytree(package_folder("kmc"), folder, ignore=shutil.ignore_patterns("__pycache__", "_materials"))
    return folder


def name_of(node: ast.expr) -> str:
    """The last part of the name of what is called or decorates."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]


def has_kernel(path: Path) -> bool:
    """Whether a function of a module is decorated as a kernel; found without the regular expression."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {name_of(one) for node in ast.walk(tree) for one in getattr(node, "decorator_list", ())}
    return not found.isdisjoint(("njit", "kernel", "inlined"))


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, also in functions, by its syntax tree; and by IN_A_STRING."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield str(node.module)
    if path.name in IN_A_STRING:
        yield IN_A_STRING[path.name]


def files(names: Iterator[str] | tuple[str, ...], roots: dict[str, Path]) -> set[Path]:
    """The files of those of the names that are modules of these packages."""
    return {path for name in names if (path := source_files._file(name, roots))}


def key_with(package: Path, path: Path, text: str) -> str:
    """The key of the kernels while a file of the copy holds this text."""
    before = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    try:
        return digest(kernel_sources(package))
    finally:
        path.write_text(before, encoding="utf-8")


def test_the_key_follows_every_module_with_kernels(package: Path) -> None:
    """Of any subpackage. Control: a comment, and another docstring, change nothing."""
    key = digest(kernel_sources(package))
    assert key == digest(kernel_sources())
    modules = [path for path in sorted(package.rglob("*.py")) if has_kernel(path)]
    assert len(modules) >= 35
    assert len({path.parent for path in modules}) >= 8
    for path in modules:
        text = path.read_text(encoding="utf-8")
        assert key_with(package, path, text + CODE) != key, path
        assert text.startswith('"""')
        changed = '"""Another docstring. ' + text.removeprefix('"""') + COMMENT
        assert key_with(package, path, changed) == key, path


def constants(package: Path) -> dict[Path, str]:
    """Modules without kernels of which modules with kernels import constants, and one of these constants."""
    found = {}
    for path in kernel_sources(package):
        for name in imports(path) if has_kernel(path) else ():
            module, _, constant = name.rpartition(".")
            source = source_files._file(module, {"kmc": package})
            if source and constant.isupper() and not has_kernel(source):
                found[source] = constant
    return found


def test_the_key_follows_the_constants_that_kernels_import(package: Path) -> None:
    """Their values are compiled in. Control: a module that no kernel imports."""
    key = digest(kernel_sources(package))
    found = constants(package)
    assert {"state.py", "lattice.py"} <= {path.name for path in found}
    for path, constant in found.items():
        text = path.read_text(encoding="utf-8")
        assert key_with(package, path, f"{text}\n{constant} = 0\n") != key, path
    other = package / "plotting" / "plot_style.py"
    assert key_with(package, other, other.read_text(encoding="utf-8") + CODE) == key


@pytest.mark.parametrize("decorator", ["@njit", "@jit_cache.njit(cache=False)", "@kernel", "@inlined"])
def test_the_key_follows_a_new_module_with_kernels(package: Path, decorator: str) -> None:
    """In a new subpackage too, however its only kernel is decorated. Control: a module without kernels."""
    key = digest(kernel_sources(package))
    new = package / "new" / "kernels.py"
    new.parent.mkdir()
    for text, changes in (("def f(): pass\n", False), (f"{decorator}\ndef f(): pass\n", True)):
        new.write_text(text)
        assert (digest(kernel_sources(package)) != key) is changes
    shutil.rmtree(new.parent)


@pytest.mark.parametrize("top", TOPS)
def test_all_imports_of_a_module_are_found(top: str) -> None:
    """The regular expression finds the modules of both packages that the syntax tree has."""
    roots = {name: package_folder(name) for name in TOPS}
    modules = [path for _, path in modules_in(roots[top], top) if "peers" not in path.parts]
    assert len(modules) > 80
    for path in modules:
        assert files(source_files._imports(path), roots) == files(imports(path), roots), path


@pytest.mark.parametrize("top", TOPS)
def test_all_sources_of_a_module_are_found(top: str) -> None:
    """So do those that its imports import in turn, from its own package."""
    roots = {top: package_folder(top)}
    direct = {path: files(imports(path), roots) for _, path in modules_in(roots[top], top)}
    for name, path in modules_in(roots[top], top):
        found, new = {path}, {path}
        while new:
            new = set().union(*(direct[one] for one in new)) - found
            found |= new
        assert set(sources_of([name])) == found, name


@pytest.mark.parametrize(
    "text",
    [
        "import kmc.core.units\n",
        "import os, kmc.core.units as units\n",
        "from kmc.core import units\n",
        "from kmc.core.units import (\n    convert,\n    Unit,\n)\n",
        "def f():\n    from kmc.core import errors, units\n",
        "from kmc.core import (\n    errors,\n    units,\n)\n",
    ],
)
def test_each_form_of_import_is_found(text: str, tmp_path: Path) -> None:
    """Control: a comment and a longer name of a module are no import of it."""
    roots = {"kmc": package_folder("kmc")}
    path = tmp_path / "a.py"
    path.write_text(text)
    assert roots["kmc"] / "core" / "units.py" in files(source_files._imports(path), roots)
    other = tmp_path / "b.py"
    other.write_text("# import kmc.core.units\nfrom kmc.core import units_of\n")
    assert roots["kmc"] / "core" / "units.py" not in files(source_files._imports(other), roots)
