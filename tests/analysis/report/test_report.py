"""The report: one page without network, whose filament moves in a real browser."""

# needs-program: chromium

from __future__ import annotations

import base64
import json
import sys
from html import unescape
from pathlib import Path
from typing import Any

import browser
import fake_simulation
import numpy as np
import pytest

from kmc.cli import app
from kmc.inputs.run_file import load_run
from kmc.io import dataset
from kmc.simulation.run_to_folder import RunOptions, carry_out
from kmc.study import load_study
from kmc.study.engine import prepare
from kmc.study.task import perform
from kmc_analysis.commands.report import report as command
from kmc_analysis.report import html_pieces
from kmc_analysis.report.filament_frames import frames, layers

EVIL = '</script><script>alert("x")</script> & <b>bold</b>'
RUN = f"""\
description: '{EVIL}'
stack: ogb_20nm
protocol:
  - sweep: {{to: 1.5 V, rate: 100 V/s, step: 100 mV, compliance: 1 uA}}
snapshots: {{every: 1 ms}}
seed: 5
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four variants with snapshots; its last task is not done, one has failed."""
    file = tmp_path_factory.mktemp("report") / "trial" / "study.yaml"
    file.parent.mkdir()
    file.write_text(RUN + "variants: {ligand: [ogb, ddab], thickness: [20 nm, 40 nm]}\nreplicates: 2\n")
    loaded, out = load_study(file), file.parent / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
        prepare(loaded, out)
        for index in range(loaded.count - 1):
            assert perform(loaded.task(index), out).state == "done"
    (out / "failed" / f"{loaded.hashes[-1]}.json").write_text(json.dumps({"reason": EVIL}))
    return out


@pytest.fixture
def kmc_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is there, whatever entry points are installed."""
    monkeypatch.setattr(app, "commands", lambda: {"report": f"{command.__module__}:report"})


@pytest.fixture(scope="module")
def page(study: Path) -> Path:
    """The page of the study."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "commands", lambda: {"report": f"{command.__module__}:report"})
        assert app.main(["report", str(study), "--quiet"]) == 0
    return study / "report.html"


# --- what is in it ---------------------------------------------------------------------------------------


def test_the_page_says_what_was_run_and_how_to_repeat_it(page: Path) -> None:
    """Counts, axes, conclusions, figures, cards, sources, commands, the study file itself."""
    text = page.read_text()
    for words in (
        "7 of 8 tasks done, 1 failed, 0 missing",
        "ogb, ddab",
        "20 nm, 40 nm",
        "5 to 6",
        "7 of 7 runs switched",
        "S19_thickness_set",
        "set_voltage",
        "bond_energy",
        "@article{john2022",
        "kmc study study.yaml --out out",
        "kmc compare out",
        "replicates: 2",
    ):
        assert words in text, words
    assert text.count('src="data:image/png;base64,') == 3
    assert page.stat().st_size < 15e6
    assert str(page.parent.parent) not in text


def test_commands_that_are_told_can_be_given(tmp_path: Path, kmc_report: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a space is quoted, and one variant is not to be compared."""
    file = tmp_path / "study.yaml"
    file.write_text(RUN + "replicates: 2\n")
    monkeypatch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
    loaded, out = load_study(file), tmp_path / "my out"
    prepare(loaded, out)
    assert perform(loaded.task(0), out).state == "done"
    assert app.main(["report", str(out), "--quiet"]) == 0
    text = unescape((out / "report.html").read_text())
    assert "kmc study study.yaml --out 'my out'\nkmc report 'my out'<" in text
    assert "kmc compare" not in text


def test_nothing_of_a_users_text_is_obeyed(page: Path) -> None:
    """Description and reasons are shown as they are written."""
    text = page.read_text()
    assert "alert(&quot;x&quot;)" in text
    assert "<script>alert" not in text
    assert "<b>" not in text
    assert text.count("<script") == 2


def test_a_run_alone_has_a_page(
    tmp_path: Path, kmc_report: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its trace, the filament, and the command; --out and --json as elsewhere."""
    monkeypatch.setitem(sys.modules, "kmc.simulation.simulation", fake_simulation)
    (tmp_path / "run.yaml").write_text(RUN)
    command = {"run": "../run.yaml", "sets": ["seed=5"]}
    carry_out(load_run(tmp_path / "run.yaml"), tmp_path / "out", RunOptions(command=command))
    target = tmp_path / "elsewhere" / "page.html"
    assert app.main(["report", str(tmp_path), "--out", str(target), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(target), "bytes": target.stat().st_size}
    text = target.read_text()
    assert "kmc run run.yaml --out out --set seed=5" in text
    assert text.count('src="data:image/png;base64,') == 1
    assert 'id="filament-time"' in text
    assert "bond_energy" in text


@pytest.mark.parametrize(
    ("arguments", "words"), [(["no-such"], "no-such does not exist"), (["empty"], "no task of the study is done")]
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    kmc_report: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    """Exit code 2, nothing written."""
    (tmp_path / "study.yaml").write_text(RUN + "replicates: 2\n")
    prepare(load_study(tmp_path / "study.yaml"), tmp_path / "empty")
    monkeypatch.chdir(tmp_path)
    assert app.main(["report", *arguments, "--quiet"]) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert not list(tmp_path.rglob("*.html"))


def test_a_failed_task_is_listed_with_its_reason(page: Path) -> None:
    """The last of the eight, by its number."""
    assert html_pieces.listed([f"task 7: {EVIL}"]) in page.read_text()


def test_a_number_of_a_card_has_its_sigma(page: Path) -> None:
    """Beside its value, in the table of its card."""
    number = load_study(page.parent.parent / "study.yaml").runs[0].device.electrode.quantity("bond_energy")
    assert f"<td>{number.value:g} {number.unit}</td><td>{number.sigma:g}</td>" in page.read_text()


# --- frames ----------------------------------------------------------------------------------------------


def snapshots(count: int = 9) -> Any:
    """A dataset with random silver in `count` snapshots, 4 sites high, 3 deep, 2 wide."""
    generator = np.random.default_rng(3)
    region = np.repeat(np.array([0, 1, 2, 7], np.uint8), 6).reshape(4, 3, 2)
    silver = generator.integers(3, size=(count, 4, 3, 2)).astype(np.uint8)
    seen = [{"time": 0.5 * k, "spacing_nm": 0.3, "region": region, "cation": silver[k]} for k in range(count)]
    rows = {
        "time": np.arange(count * 5) / 10,
        "voltage_source": np.arange(count * 5) * 1.0,
        "current": np.full(count * 5, 1e-6),
    }
    return dataset.build(rows, seen)


def replayed(found: dict[str, Any], frame: int) -> np.ndarray:
    """The lattice at a frame, as the page's own script comes to it."""
    sites = np.zeros(found["shape"], int)
    for text in found["changes"][: frame + 1]:
        codes = np.frombuffer(base64.b64decode(text), "<u4")
        sites.reshape(-1)[codes // 4] = codes % 4
    return sites


def test_frames_are_the_snapshots() -> None:
    """Every site of every frame, its time, and the voltage of the last sample before it."""
    ds = snapshots()
    found = frames(ds, "a run")
    assert found is not None
    for k in range(9):
        np.testing.assert_array_equal(replayed(found, k), ds["cation"].values[k])
    assert found["times"] == ds["snapshot_time"].values.tolist()
    assert found["voltages"] == [5.0 * k for k in range(9)]
    assert found["spacing"] == pytest.approx(0.3)
    assert [one["name"] for one in layers(ds)] == ["counter", "organic", "film", "electrode"]
    assert layers(ds)[2]["to"] == pytest.approx(0.9)
    assert frames(ds.drop_dims("snapshot_time"), "none") is None


def test_a_rough_interface_is_one_plane() -> None:
    """Where film and electrode take turns from height to height, each keeps its share."""
    region = np.repeat(np.array([0, 2, 7, 4, 7], np.uint8), 4).reshape(5, 2, 2)
    seen = {"time": 0.0, "spacing_nm": 1.0, "region": region, "cation": np.zeros((5, 2, 2), np.uint8)}
    found = layers(dataset.build({"time": np.zeros(1)}, [seen]))
    assert [(one["name"], one["from"], one["to"]) for one in found] == [
        ("counter", 0.0, 1.0),
        ("film", 1.0, 3.0),
        ("electrode", 3.0, 5.0),
    ]


def test_the_curve_below_the_filament_shows_the_greatest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 45 samples nine are shown, and one of either sign that is a thousand times the others is among
    them."""
    monkeypatch.setattr("kmc_analysis.report.filament_frames._POINTS", 9)
    ds = snapshots()
    ds["current"].values[7] = -1e-3
    found = frames(ds, "a run")
    assert found is not None
    assert len(found["trace"]) == 9
    assert [row for row in found["trace"] if row[1] > -4.0] == [[0.7, -3.0]]


def test_frames_are_left_out_within_the_budget() -> None:
    """The last stays; each that is shown is still a snapshot."""
    ds = snapshots(40)
    found = frames(ds, "a run", budget=600)
    assert found is not None
    assert sum(map(len, found["changes"])) <= 600
    assert 1 < len(found["changes"]) < 40
    assert found["total"] == 40
    assert found["times"][-1] == ds["snapshot_time"].values[-1]
    np.testing.assert_array_equal(replayed(found, len(found["changes"]) - 1), ds["cation"].values[-1])


def test_texts_are_escaped() -> None:
    """Cells, lists, summaries, names: each way into the page."""
    ways = [
        html_pieces.paragraph(EVIL),
        html_pieces.listed([EVIL]),
        html_pieces.block(EVIL, EVIL),
        html_pieces.folded(EVIL, ""),
        html_pieces.table([EVIL], [[EVIL]], EVIL),
    ]
    assert not [way for way in ways if "<script>" in way or "<b>" in way or 'alert("' in way]


# --- in a browser ----------------------------------------------------------------------------------------

PICTURE = "document.getElementById('filament-view').toDataURL()"
TOLD = "document.getElementById('filament-told').textContent"


@pytest.fixture
def shown(page: Path, tmp_path: Path) -> Any:
    """The page in a browser."""
    if browser.program() is None:
        pytest.skip(browser.HINT)
    with browser.opened(tmp_path / "profile") as tab:
        tab.open(page.as_uri())
        yield tab


def test_the_slider_moves_the_filament(shown: browser.Browser, page: Path) -> None:
    """By the keyboard; the picture turns by it too; no console error, no request but for the page itself."""
    first, told = shown.value(PICTURE), shown.value(TOLD)
    assert "silver atoms" in told
    shown.value("document.getElementById('filament-time').focus()")
    shown.press("ArrowRight", 39)
    second = shown.value(PICTURE)
    assert second != first
    assert shown.value(TOLD) != told
    shown.press("ArrowLeft", 37)
    assert shown.value(PICTURE) == first
    shown.press("End", 35)
    assert shown.value("document.getElementById('filament-time').value") == "30"
    shown.value("document.getElementById('filament-view').focus()")
    before = shown.value(PICTURE)
    shown.press("ArrowLeft", 37)
    assert shown.value(PICTURE) != before
    assert shown.problems == []
    assert [url for url in shown.requests if not url.startswith("data:")] == [page.as_uri()]


def test_runs_can_be_chosen_and_played(shown: browser.Browser) -> None:
    """Another variant is another filament; Play goes on by itself and stops at the end."""
    change = "one => {one.value = %s; one.dispatchEvent(new Event('change'))}"
    choose = f"({change})(document.getElementById('filament-run'))"
    assert shown.value("document.getElementById('filament-run').options.length") == 4
    shown.value(choose % 3)
    assert shown.value("document.getElementById('filament-time').value") == "0"
    shown.value("document.getElementById('filament-play').click()")
    assert shown.value("document.getElementById('filament-play').textContent") == "Pause"
    moved = "new Promise(done => setTimeout(() => done(document.getElementById('filament-time').value), 600))"
    assert int(shown.value(moved)) > 0
    assert shown.problems == []


def test_it_is_readable_on_a_telephone(shown: browser.Browser) -> None:
    """Nothing is wider than the screen but what scrolls by itself; what is pressed is large enough."""
    shown.resize(360, 740)
    assert shown.value("document.documentElement.scrollWidth") <= 360
    for name in ("filament-play", "filament-time", "filament-run"):
        assert shown.value(f"document.getElementById('{name}').getBoundingClientRect().height") >= 44
    assert shown.value("document.getElementById('filament-view').clientWidth") > 300
    assert shown.problems == []


def test_a_console_error_and_a_request_are_seen(shown: browser.Browser, tmp_path: Path) -> None:
    """The check itself can fail."""
    bad = tmp_path / "bad.html"
    bad.write_text('<p>bad</p><img src="http://127.0.0.1:9/x.png"><script>nothing()</script>')
    shown.open(bad.as_uri())
    assert any("nothing is not defined" in problem for problem in shown.problems)
    assert "http://127.0.0.1:9/x.png" in shown.requests
