"""What a user installs works away from the checkout: the wheel carries its cards and entry points."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
TARGETS = [
    *PROJECT["scripts"].values(),
    *(value for group in PROJECT["entry-points"].values() for value in group.values()),
]
SUPPORTED = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if ":: Python :: 3." in line]
_TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".cff", ".bib", ".cfg", ".txt", ".sh", ".typed"}
_LEFT_OUT = {".git", ".venv", "out", "_build", "__pycache__", "build", "dist"}


def call(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed; no variable of this checkout reaches it."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KMC_MATERIALS")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, **environment},
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done


@pytest.mark.parametrize("target", TARGETS)
def test_entry_points_name_functions(target: str) -> None:
    """Every command and benchmark that the distribution registers is a function, class or group in a file."""
    module, function = target.split(":")
    roots = [TOP, TOP / "analysis"]
    (path,) = [
        root / f"{module.replace('.', '/')}.py" for root in roots if (root / f"{module.replace('.', '/')}.py").is_file()
    ]
    body = ast.parse(path.read_text()).body
    assigned = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    groups = {target.id for target in assigned if isinstance(target, ast.Name)}
    named = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert function in groups | named


def test_versions_agree() -> None:
    """The version of the distribution stands in the citation too, and the typing markers are there."""
    assert f"\nversion: {PROJECT['version']}\n" in (TOP / "CITATION.cff").read_text()
    assert (TOP / "kmc" / "py.typed").is_file()
    assert (TOP / "analysis" / "kmc_analysis" / "py.typed").is_file()


def test_no_file_names_a_machine_or_a_registry() -> None:
    """No path of this machine and no package index stands in a file that others will read."""
    named = r"--(extra-)?index-url|\burl = \"https?://|/root/|/home/\w+/"
    pattern = re.compile(f"{re.escape(str(TOP))}|{named}")
    text = []
    for folder, folders, names in os.walk(TOP):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        kept = [name for name in names if Path(name).suffix in _TEXT or name in ("Makefile", "run")]
        text += [Path(folder, name) for name in kept]
    text.remove(Path(__file__))
    assert len(text) > 50
    assert [str(path.relative_to(TOP)) for path in text if pattern.search(path.read_text())] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as an installer would."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, TOP, cwd=folder)
    (built,) = folder.glob("halide_kmc-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel; what it depends on is lent by this one."""
    home = tmp_path_factory.mktemp("installed")
    call(sys.executable, "-m", "venv", "--without-pip", "env", cwd=home)
    python = home / "env" / "bin" / "python"
    call(
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=home,
    )
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    here = call(python, "-c", code, cwd=home).stdout.strip()
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(here, "zz_lent.pth").write_text("\n".join(sorted(lent)) + "\n")
    return python.parent


def test_wheel_carries_its_data(wheel: Path) -> None:
    """Both packages, every card and stack, the sources, typing markers and the peer's model; nothing else."""
    names = set(zipfile.ZipFile(wheel).namelist())
    cards = {
        f"kmc/_materials/{path.relative_to(TOP / 'materials').as_posix()}"
        for path in (TOP / "materials").rglob("*")
        if path.suffix in (".yaml", ".bib")
    }
    assert len(cards) > 10
    assert cards <= names
    assert {"kmc/py.typed", "kmc_analysis/py.typed", "kmc_analysis/__init__.py"} <= names
    assert "kmc/benchmarks/peers/kmcos_build.py" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"kmc", "kmc_analysis", f"halide_kmc-{PROJECT['version']}.dist-info"}


def test_installed_finds_its_cards(installed: Path, tmp_path: Path) -> None:
    """Away from the checkout the packaged cards are found, by the command and by the library."""
    call(installed / "kmc", "check", cwd=tmp_path)
    code = "import kmc; print(kmc.__file__); print(kmc.load_stack('ogb_20nm').path)"
    module, stack = call(installed / "python", "-c", code, cwd=tmp_path).stdout.split()
    assert Path(module).is_relative_to(installed.parent)
    assert Path(stack).is_relative_to(Path(module).parent / "_materials")


def test_one_range_of_pythons_is_told() -> None:
    """By the package, the Makefile and the pages: from the first to the last that is named as supported."""
    numbers = [tuple(int(part) for part in version.split(".")) for version in SUPPORTED]
    (first, low), (last, high) = numbers[0], numbers[-1]
    assert numbers == [(3, minor) for minor in range(low, high + 1)]
    assert PROJECT["requires-python"] == f">={first}.{low},<{last}.{high + 1}"
    asked = f"not ({first}, {low}) <= sys.version_info[:2] < ({last}, {high + 1})"
    assert asked in (TOP / "Makefile").read_text()
    for page in ("README.md", "Makefile", "docs/tutorial/first-device.md", "docs/reference/compatibility.md"):
        assert f"{SUPPORTED[0]} to {SUPPORTED[-1]}" in (TOP / page).read_text(), page


def others() -> list[str]:
    """Other Pythons on this machine that the project supports and that can make environments."""
    found = {}
    for name in (*(f"python{version}" for version in SUPPORTED), "/usr/bin/python3"):
        if shutil.which(name) is None:
            continue
        code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([name, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        version = done.stdout.strip()
        if done.returncode == 0 and version in SUPPORTED:
            found.setdefault(version, name)
    found.pop(f"{sys.version_info[0]}.{sys.version_info[1]}", None)
    return [found[version] for version in sorted(found)][-1:]


def test_source_distribution_is_whole(wheel: Path) -> None:
    """What it takes to build, test and read it, and nothing that a run left."""
    (path,) = wheel.parent.glob("halide_kmc-*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Makefile",
        "kmc/cli/app.py",
        "materials/ogb.yaml",
        "tests/conftest.py",
        "docs/index.md",
        "runs/quick/run.yaml",
        "analysis/kmc_analysis/statistics/comparison.py",
        "CITATION.cff",
    }
    assert wanted <= names
    assert [name for name in names if "/out/" in name or name.startswith(".ci/")] == []


@pytest.mark.slow
@pytest.mark.parametrize("form", ["whl", "tar.gz"])
def test_another_python_runs_it(wheel: Path, form: str, tmp_path: Path) -> None:
    """Wheel and source distribution, with what they depend on, in the newest other Python there is."""
    if not others():
        pytest.skip("no other supported Python here")
    (built,) = wheel.parent.glob(f"halide_kmc-*.{form}")
    call(others()[0], "-m", "venv", "env", cwd=tmp_path)
    folder = tmp_path / "env" / "bin"
    call(folder / "python", "-m", "pip", "install", "-q", built, cwd=tmp_path)
    told = call(folder / "kmc", "--version", cwd=tmp_path).stdout
    assert told.startswith(f"kmc {PROJECT['version']}\n")
    assert str(tmp_path / "env") in told
    call(folder / "kmc", "check", cwd=tmp_path)
    if form == "whl":
        shutil.copy(TOP / "runs" / "quick" / "run.yaml", tmp_path / "quick.yaml")
        done = call(
            folder / "kmc",
            "run",
            "quick.yaml",
            "--out",
            "out",
            cwd=tmp_path,
            MPLBACKEND="Agg",
            KMC_CACHE=str(tmp_path / "cache"),
        )
        assert Path(tmp_path, done.stdout.strip().splitlines()[-1]).is_file()


@pytest.mark.slow
def test_installed_runs(installed: Path, tmp_path: Path) -> None:
    """The installed program simulates: the quick run, from a copy of its file."""
    shutil.copytree(TOP / "runs" / "quick", tmp_path / "quick", ignore=shutil.ignore_patterns("out"))
    done = call(installed / "kmc", "run", "quick/run.yaml", "--out", "out", cwd=tmp_path, MPLBACKEND="Agg")
    dataset = Path(tmp_path, done.stdout.strip().splitlines()[-1])
    assert dataset.suffix == ".nc"
    assert dataset.is_file()
