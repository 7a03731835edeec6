"""The documentation tells the truth: its snippets run, its links lead somewhere, its tables are the code's.

A snippet runs when the line before its fence is `<!-- run -->`, or `<!-- run slow -->` where it takes over
five seconds; after `<!-- file NAME -->` it is written to a file. Those of a page run in order, in one folder
that holds copies of runs/ and nothing else; `$ ` marks a command in a console snippet, the rest is what it
prints. A fast snippet needs no slow one.
"""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

import kmc
from kmc_analysis.calibration.parameters import DEFAULT

TOP = Path(__file__).resolve().parents[2]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
LIMIT_S = 600.0  # no reader waits longer for an example
_FENCE = re.compile(
    r"^<!-- (?:run(?P<slow> slow)?|file (?P<file>[\w./-]+)) -->\n"
    r"```(?P<language>python|console|yaml|text)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Snippet(NamedTuple):
    """A runnable snippet: its page's line, language, text, and the file that it is written to, if any."""

    line: int
    slow: bool
    language: str
    text: str
    file: str | None

    @property
    def command(self) -> list[str]:
        """What runs it."""
        if self.language == "python":
            return [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", self.text]
        commands = [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]
        return ["bash", "-euo", "pipefail", "-c", "\n".join(commands)]


def snippets(text: str) -> list[Snippet]:
    """The runnable snippets of a page, in order."""
    return [
        Snippet(
            text.count("\n", 0, found.start()) + 1, bool(found["slow"]), found["language"], found["text"], found["file"]
        )
        for found in _FENCE.finditer(text)
    ]


def name_of(path: Path) -> str:
    """A page as a test's name shows it."""
    return path.relative_to(TOP).as_posix()


def run_all(page: Path, chosen: list[Snippet], folder: Path) -> None:
    """Run snippets in order in `folder`; the first that fails fails the test with its page and line."""
    shutil.copytree(TOP / "runs", folder / "runs", ignore=shutil.ignore_patterns("out"))
    environment = {
        **os.environ,
        "MPLBACKEND": "Agg",
        "NO_COLOR": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    for snippet in chosen:
        if snippet.file:
            (folder / snippet.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / snippet.file).write_text(snippet.text)
            continue
        code, told = ended(snippet.command, folder, environment)
        assert code == 0, f"{name_of(page)}:{snippet.line}: exit code {code}\n{told}"


def ended(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[int | str, str]:
    """Exit code and the end of what a command printed.

    One that takes too long is stopped with all that it started: a grandchild would hold the pipes open, and
    waiting for their end would never end.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return f"none within {LIMIT_S:g} s", ""
            raise
    return process.returncode, out[-2000:] + err[-4000:]


def pages_with(slow: bool) -> list[Path]:
    """The pages that have a snippet of that kind."""
    return [
        page
        for page in PAGES
        if any(snippet.slow == slow and not snippet.file for snippet in snippets(page.read_text()))
    ]


@pytest.mark.parametrize("page", pages_with(slow=False), ids=name_of)
def test_snippets_run(page: Path, tmp_path: Path) -> None:
    """The fast snippets of a page do what they say."""
    run_all(page, [snippet for snippet in snippets(page.read_text()) if not snippet.slow], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with(slow=True), ids=name_of)
def test_all_snippets_run(page: Path, tmp_path: Path) -> None:
    """All snippets of a page run, in order."""
    run_all(page, snippets(page.read_text()), tmp_path)


def anchors(text: str) -> set[str]:
    """The names that a link can point to inside a page: its headings, as they are slugged."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link and picture of a page is a file of the project, every anchor a heading."""
    broken = []
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        goal = (page.parent / name).resolve() if name else page
        if not goal.exists() or (anchor and anchor not in anchors(goal.read_text())):
            broken.append(link)
    assert broken == []


def test_reference_tables_are_the_programs() -> None:
    """The reference shows every key and variable as the program has it: run docs/make_reference.py."""
    made = runpy.run_path(str(TOP / "docs" / "make_reference.py"))
    for name in made["PAGES"]:
        text = (TOP / "docs" / name).read_text()
        assert made["filled"](text) == text, f"docs/{name} is out of date: python docs/make_reference.py"


def places_of_equations(text: str) -> list[str]:
    """`package.module.function` and `package.module.Class.method` in the last column of the tables."""
    rows = [line.rsplit("|", 2)[1] for line in text.splitlines() if line.startswith("| ")]
    return [place for row in rows for place in re.findall(r"`([\w.]+)`", row)]


def is_there(place: str) -> bool:
    """Whether the code has a module of that name, and in it the function, class or method."""
    folder, names = TOP / "kmc", place.split(".")
    while len(names) > 1 and (folder / names[0]).is_dir():
        folder /= names.pop(0)
    path = folder / f"{names.pop(0)}.py"
    body: list[ast.stmt] = ast.parse(path.read_text()).body if path.is_file() else []
    for name in names:
        known = [node for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        found = [node for node in known if node.name == name]
        if not found:
            return False
        body = found[0].body
    return path.is_file()


def test_every_equation_is_where_the_page_says() -> None:
    """The page of equations names functions and classes that there are; the check finds one that is not."""
    places = places_of_equations((TOP / "docs" / "explanation" / "equations.md").read_text())
    assert len(places) > 40
    assert [place for place in places if not is_there(place)] == []
    assert not is_there("system.rate_laws.no_such_rate")
    assert not is_there("system.no_such_module.f")


def test_every_page_is_in_the_index() -> None:
    """No page of the documentation is an orphan, and the tests that a page names are there."""
    index = (TOP / "docs" / "index.md").read_text()
    pages = [page for page in PAGES if page.name not in ("README.md", "index.md")]
    names = [page.relative_to(TOP / "docs").with_suffix("").as_posix() for page in pages]
    assert [name for name in names if name not in index] == []
    named = {name for page in PAGES for name in re.findall(r"`(tests/[\w/]+\.py)`", page.read_text())}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (TOP / name).is_file()] == []


def test_the_documentation_is_built_without_a_warning(tmp_path: Path) -> None:
    """By Sphinx, with warnings as errors, as `make docs` does; a page with a dead link is refused."""
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    source = shutil.copytree(TOP / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("_build"))

    def built() -> subprocess.CompletedProcess[str]:
        words = [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-q",
            "-b",
            "html",
            str(source),
            str(tmp_path / "html"),
        ]
        return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    done = built()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "explanation" / "equations.html").is_file()
    (source / "how-to" / "resume.md").write_text("# Resume\n\n[nowhere](no-such-page.md)\n")
    assert "no-such-page" in built().stderr


def test_the_extras_that_pages_install_are_there() -> None:
    """Pages install from the checkout, and name extras that it has."""
    extras = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    texts = [page.read_text() for page in PAGES]
    named = [name for text in texts for name in re.findall(r"pip install -e '\.\[(\w+)\]'", text)]
    assert {"calibrate", "dask", "nwb", "reservoir", "spice", "viz"} <= set(named) <= set(extras)


def test_the_how_to_names_what_is_fitted_unless_told() -> None:
    """The numbers that kmc calibrate takes without a name, in their order."""
    page = (TOP / "docs" / "how-to" / "reproduce.md").read_text()
    named = re.findall(r"^\| `((?:electrode|active|organic|device)\.\w+)` \|", page, re.MULTILINE)
    assert named == list(DEFAULT)


def test_readme_example_is_four_lines() -> None:
    """The README's first example needs no more than four statements."""
    found = snippets((TOP / "README.md").read_text())
    first = next(snippet for snippet in found if snippet.language == "python")
    statements = [line for line in first.text.splitlines() if line and not line.startswith("import")]
    assert len(statements) <= 4


def test_a_failing_snippet_is_seen(tmp_path: Path) -> None:
    """The check itself can fail, and says where."""
    page = TOP / "README.md"
    (snippet,) = snippets("text\n<!-- run -->\n```console\n$ false\nshown\n```\n")
    assert (snippet.line, snippet.command[-1]) == (2, "false")
    with pytest.raises(AssertionError, match=r"README\.md:2"):
        run_all(page, [snippet], tmp_path)


def test_a_snippet_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it started: a grandchild that goes on does not keep the test waiting."""
    monkeypatch.setattr(sys.modules[__name__], "LIMIT_S", 1.0)
    (snippet,) = snippets("<!-- run -->\n```console\n$ sleep 60 | cat\n```\n")
    start = time.monotonic()
    with pytest.raises(AssertionError, match="none within 1 s"):
        run_all(TOP / "README.md", [snippet], tmp_path)
    assert time.monotonic() - start < 20


def test_the_tutorial_shows_the_run_that_it_runs() -> None:
    """Its protocol and settings are those of runs/quick/run.yaml."""
    page = (TOP / "docs" / "tutorial" / "first-device.md").read_text()
    shown = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    _, _, run = (TOP / "runs" / "quick" / "run.yaml").read_text().partition("\n")
    assert shown == [run]


def test_the_example_of_a_ligand_lies_where_it_says(tmp_path: Path) -> None:
    """What is said to lie between DDAB and OGB does."""
    page = (TOP / "docs" / "how-to" / "new-ligand.md").read_text()
    (text,) = re.findall(r"<!-- file my_ligand.yaml -->\n```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "my_ligand.yaml").write_text(text)
    mine, ddab, ogb = (kmc.load_card(name) for name in (tmp_path / "my_ligand.yaml", "ddab", "ogb"))
    between = [key for key, one in mine.values.items() if one.why == "between DDAB and OGB"]
    assert len(between) >= 4
    for key in between:
        low, high = sorted((ddab.value(key), ogb.value(key)))
        assert low < mine.value(key) < high, key
