"""The house stands: a file of kmc imports lower floors only, and nothing grows long without a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

# Every module and subpackage of kmc and its floor. What was split off a module for its size stands a fraction
# below the module that it serves.
FLOORS: dict[str, float] = {
    "errors": 1,
    "threads": 1,
    "cache": 1,
    "units": 1.2,
    "streams": 1.2,
    "files": 1.2,
    "progress": 1.4,
    "stopping": 1.5,
    "outputs": 1.4,
    "documents": 1.4,
    "families": 1.4,
    "typed": 1.6,
    "quantities": 1.6,
    "finding": 1.6,
    "cards": 2,
    "layers": 2.5,
    "corners": 2.4,
    "steps": 2.4,
    "waveforms": 2.5,
    "stack": 3,
    "protocol": 3,
    "settings": 3,
    "lattice": 3.4,
    "relief": 3.4,
    "deposit": 3.6,
    "channels": 3.8,
    "packing": 3.8,
    "grains": 3.8,
    "interstices": 3.8,
    "morphology": 4,
    "state": 4,
    "multigrid_mesh_kernels": 4.4,
    "multigrid_group_kernels": 4.5,
    "multigrid_build_kernels": 4.6,
    "multigrid_cycle_kernels": 4.6,
    "multigrid_kernels": 4.7,
    "multigrid_window_kernels": 4.7,
    "multigrid_near_kernels": 4.8,
    "rates": 5,
    "multigrid": 5,
    "prefetch": 5,
    "model": 5.4,
    "kernels_near": 5.5,
    "kernels_source": 5.6,
    "kernels_pairs": 5.6,
    "kernels_groups": 5.6,
    "kernels_rates": 5.7,
    "kernels_entities": 5.7,
    "kernels_bend": 5.7,
    "kernels_flight": 5.75,
    "kernels_events": 5.8,
    "kernels_glide": 5.9,
    "kernels_stroll": 5.78,
    "kernels_metal": 5.78,
    "boxes": 5.8,
    "silver": 5.8,
    "field_kernels": 5.8,
    "relax_kernels": 5.8,
    "nearest_kernels": 5.7,
    "cluster_kernels": 5.8,
    "transport_kernels": 5.85,
    "filament": 5.8,
    "flow_kernels": 5.6,
    "bridge_kernels": 5.9,
    "surroundings": 5.8,
    "heat_kernels": 5.7,
    "heat_nodes": 5.9,
    "rough": 5.8,
    "mesh": 5.9,
    "leak": 6,
    "fields": 6,
    "processes": 6,
    "heat": 6,
    "transport": 6,
    "kernels": 6,
    "variables": 6.5,
    "circuit": 7,
    "supply": 7,
    "acceleration": 7,
    "observers": 7,
    "populate": 7.3,
    "doubts": 7.4,
    "patches": 7.3,
    "renewal": 7.3,
    "coupling": 7.5,
    "carry": 7.8,
    "windows": 7.9,
    "netcdf": 7.5,
    "migrate": 7.6,
    "provenance": 7.8,
    "dataset": 8,
    "checkpoint": 8,
    "final": 8.5,
    "sets": 8.8,
    "runfile": 9,
    "simulation": 9,
    "interactive": 9.2,
    "outfolder": 9.3,
    "runner": 9.6,
    "study": 10,
    "pictures": 10,
    "export": 10,
    "schemas": 10,
    "opening": 10.2,
    "kernels_bench": 10.5,
    "bench_kernel": 10.8,
    "bench_fields": 10.8,
    "bench_study": 10.8,
    "bench_device": 10.8,
    "bench_scaling": 10.8,
    "bench_small": 10.85,
    "bench_accuracy": 10.9,
    "bench_profile": 10.9,
    "bench_fading": 10.9,
    "bench": 11,
    "__init__": 12,
    "commands": 12.2,
    "cli": 12.4,
    "__main__": 12.6,
}

# Every module and subpackage of what is made of its datasets, and its floor.
ANALYSIS: dict[str, float] = {
    "measured_law": 1,
    "intervals": 1,
    "sources": 1,
    "metrics": 2,
    "measured": 3,
    "compare": 3,
    "compact": 3,
    "differences": 3,
    "tables": 4,
    "study_figures": 4,
    "tightness": 4,
    "reservoir": 5,
    "figures": 6,
    "overlay": 7,
    "reproduce": 7,
    "conclusions": 7.5,
    "calibrate": 8,
    "report": 8,
    "compare_command": 9,
    "commands": 10,
    "__init__": 11,
}

# Imports that go up, each with its reason.
UPWARD: dict[tuple[str, str], str] = {
    ("stack", "pictures"): "Stack.plot() draws itself when asked; nothing of the pictures is loaded before",
}

FILE_LINES = 300
FUNCTION_LINES = 40
KERNEL_LINES = 60

# Longer than that, each with its reason: "file" or "file:function".
LONG: dict[str, str] = {}

TOP = Path(__file__).resolve().parents[2]
# `_peers` stands on no floor: another interpreter runs its files, which import nothing of kmc.
SOURCES = sorted(
    path
    for folder in ("kmc", "analysis/kmc_analysis")
    for path in (TOP / folder).rglob("*.py")
    if "_peers" not in path.parts and "_materials" not in path.parts
)
HOUSES = {"kmc": (TOP / "kmc", FLOORS), "kmc_analysis": (TOP / "analysis/kmc_analysis", ANALYSIS)}
KMC = [path for path in SOURCES if path.is_relative_to(TOP / "kmc")]


def house_of(path: Path) -> str:
    """The package, kmc or kmc_analysis, that a file belongs to."""
    return next(name for name, (folder, _) in HOUSES.items() if path.is_relative_to(folder))


def module_of(path: Path) -> str:
    """The module or subpackage of its house that a file belongs to."""
    parts = path.relative_to(HOUSES[house_of(path)][0]).parts
    return parts[0] if len(parts) > 1 else path.stem


def package_of(path: Path) -> list[str]:
    """The package of a file, as the parts of its dotted name."""
    house = house_of(path)
    return [house, *path.relative_to(HOUSES[house][0]).parts[:-1]]


def name_of(path: Path) -> str:
    """A file as the lists above name it."""
    return path.relative_to(TOP).as_posix()


def absolute(node: ast.ImportFrom, package: list[str]) -> str:
    """The full dotted name that `from ... import` reads from, inside the package of the file."""
    base = package[: len(package) - node.level + 1] if node.level else []
    return ".".join([*base, *([node.module] if node.module else [])])


def imports(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of everything a file imports, inside functions and by importlib too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            whole = absolute(node, package)
            yield from ((node.lineno, f"{whole}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "import_module":
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, str(node.args[0].value)


def target(name: str, house: str = "kmc") -> str | None:
    """The module of a house that a dotted name belongs to; the house's own public names are `__init__`."""
    parts, folder = name.split("."), HOUSES[house][0]
    if parts[0] != house:
        return None
    part = parts[1] if len(parts) > 1 else "__init__"
    return part if (folder / part).is_dir() or (folder / f"{part}.py").is_file() else "__init__"


def upward(path: Path, text: str) -> list[str]:
    """The imports of a file inside its house that do not go down, as "file:line ..."."""
    mine, house = module_of(path), house_of(path)
    floors = HOUSES[house][1]
    found = []
    for line, name in imports(ast.parse(text), package_of(path)):
        other = target(name, house)
        if other in (None, mine) or (mine, other) in UPWARD:
            continue
        if mine != "__init__" and floors[other] >= floors[mine]:
            place = f"{name_of(path)}:{line}, floor {floors[mine]},"
            found.append(f"{place} imports {other}, floor {floors[other]}")
    return found


def too_long(path: Path, text: str) -> list[str]:
    """What of a file is longer than it may be, as the keys of LONG."""
    name = name_of(path)
    found = [name] if text.count("\n") > FILE_LINES else []
    limit = KERNEL_LINES if "kernels" in path.stem else FUNCTION_LINES
    for node in ast.walk(ast.parse(text)):
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if function and node.end_lineno - node.lineno >= limit:
            found.append(f"{name}:{node.name}")
    return found


def test_every_module_has_a_floor() -> None:
    """A new module is put into the table, and a module that is gone leaves it."""
    for house, (_, floors) in HOUSES.items():
        there = {module_of(path) for path in SOURCES if house_of(path) == house}
        assert there - set(floors) == set(), "say on which floor, in FLOORS or ANALYSIS above"
        assert set(floors) - there == set(), f"in the table, but not in {house}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    """A file imports lower floors only."""
    assert upward(path, path.read_text()) == []


def test_upward_exceptions_are_in_use() -> None:
    """An exception that nobody needs any more is removed."""
    used = {
        (module_of(path), target(name))
        for path in KMC
        for _, name in imports(ast.parse(path.read_text()), package_of(path))
    }
    assert set(UPWARD) - used == set()


@pytest.mark.parametrize("path", KMC, ids=name_of)
def test_kmc_never_imports_its_analysis(path: Path) -> None:
    """The simulator stands without what is made of its datasets."""
    names = [name for _, name in imports(ast.parse(path.read_text()), ["kmc"])]
    assert [name for name in names if name.split(".")[0] == "kmc_analysis"] == []


def test_nothing_is_longer_than_it_may_be() -> None:
    """Files to 300 lines, functions to 40, kernels to 60; what is longer is in LONG with its reason."""
    found = [item for path in SOURCES for item in too_long(path, path.read_text())]
    assert set(found) - set(LONG) == set(), "shorten it, or give the reason in LONG above"
    assert set(LONG) - set(found) == set(), "in LONG, but short enough"


UPWARD_WAYS = [
    "from kmc import cli",
    "from .cards import Card",
    "from kmc import simulate",
    "def f():\n    import kmc.benchmarks.registry",
    "from . import load_stack",
    "import importlib\nimportlib.import_module('kmc.study')",
]


@pytest.mark.parametrize("text", UPWARD_WAYS)
def test_an_upward_import_is_seen(text: str) -> None:
    """The check itself can fail: each way to import upward from the first floor."""
    assert upward(TOP / "kmc" / "errors.py", text)


@pytest.mark.parametrize(
    "text",
    [
        "from kmc_analysis import compare",
        "from .measured import mean",
        "def f():\n    import kmc_analysis.experiment.figures",
    ],
)
def test_an_upward_import_of_the_analysis_is_seen(text: str) -> None:
    """So it is in what is made of the datasets."""
    assert upward(HOUSES["kmc_analysis"][0] / "intervals.py", text)


def test_a_long_function_is_seen() -> None:
    """The check itself can fail: a function of 41 lines; one of 40 passes."""
    text = "def f():\n" + "    x = 1\n" * 40
    assert too_long(TOP / "kmc" / "errors.py", text.removesuffix("    x = 1\n")) == []
    assert too_long(TOP / "kmc" / "errors.py", text) == ["kmc/core/errors.py:f"]
    assert too_long(TOP / "kmc" / "kernels.py", text) == []
