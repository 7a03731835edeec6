"""What decides a row of the scoreboard: it is kept with the row, and told where it is no longer so."""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import kmc_analysis
from kmc.cards.stack import Stack
from kmc.cli import app
from kmc.core.source_files import sources_of
from kmc.io import provenance
from kmc_analysis.experiment.figures import all_figures
from kmc_analysis.experiment.figures.definition import Figure
from kmc_analysis.experiment.reproduce import row_identity, scoreboard
from kmc_analysis.experiment.reproduce.figure_runs import Extent
from kmc_analysis.experiment.reproduce.run_figures import Reproduction
from kmc_analysis.experiment.targets.targets import all_rows, targets
from kmc_analysis.metrics.observation import Measured, exact
from kmc_analysis.reservoir import pipeline
from kmc_analysis.reservoir.results import accuracy_table

KEY, BARE = "S11_roughness", "S16_interlayers_only"


def reproduce(out: Path, *words: str) -> int:
    """The command in the folder `out`, without pictures."""
    return app.main(["reproduce", *words, "--out", str(out), "-q", "--no-picture", "--done"])


def changed(out: Path, key: str, **values: Any) -> None:
    """Change a row of the board in `out`; None takes an entry away."""
    found = json.loads((out / "scoreboard.json").read_text())
    (row,) = [one for one in found["targets"] if one["key"] == key]
    for name, value in values.items():
        row[name] = value
        if value is None:
            del row[name]
    (out / "scoreboard.json").write_text(json.dumps(found))


@pytest.fixture
def out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a board of which BARE has a result of today's engine."""
    assert reproduce(tmp_path, BARE, KEY) == 0
    changed(tmp_path, BARE, verdict="hit", simulated=0.1, engines=[provenance.versions()["engine"]])
    capsys.readouterr()
    return tmp_path


def test_rows_that_stay_are_compared(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the runs that today's cards ask for; nothing is said of those that are the same."""
    assert reproduce(out, KEY) == 0
    assert BARE not in capsys.readouterr().err
    before = (out / "scoreboard.json").read_text()
    monkeypatch.setattr(Stack, "hash", "other cards")
    for _ in range(2):  # the row stays what it was, and so does what is said of it
        assert reproduce(out, KEY) == 0
        assert f"other cards, programs or sources than today's decided {BARE}" in capsys.readouterr().err
        assert (out / "scoreboard.json").read_text() == before
    assert reproduce(out, KEY, BARE) == 0
    assert "other cards" not in capsys.readouterr().err


def test_engines_of_rows_that_stay_are_told(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As those of the rows that were asked for."""
    changed(out, BARE, engines=["before"])
    assert reproduce(out, KEY) == 0
    assert f"runs of another engine are among those of {BARE}" in capsys.readouterr().err


def test_rows_of_before_are_unknown(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A board that says nothing of it goes on; what has no result is not spoken of."""
    changed(out, BARE, decided=None)
    assert reproduce(out, KEY) == 0
    assert f"unknown is what decided {BARE}:" in capsys.readouterr().err
    changed(out, BARE, decided=None, verdict="not run")
    assert reproduce(out, KEY) == 0
    assert BARE not in capsys.readouterr().err


def test_the_kept_board_can_be_read_and_goes_on(tmp_path: Path) -> None:
    """Its rows say nothing of what decided them, or do; no row is lost."""
    found = scoreboard.kept()
    assert found is not None
    assert [one.key for one in scoreboard.rows_of(found)] == list(targets())
    (tmp_path / "scoreboard.json").write_text(json.dumps(found))
    assert reproduce(tmp_path, KEY, "--seeds", str(len(found["seeds"]))) == 0
    assert list(targets()) == [row["key"] for row in json.loads((tmp_path / "scoreboard.json").read_text())["targets"]]


def test_sources_and_tolerances_decide_a_row(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its runs are the same: it would be measured or judged otherwise today."""
    told = f"other cards, programs or sources than today's decided {BARE}"
    rows = all_rows()
    judged = {**rows, BARE: rows[BARE]._replace(accept=rows[BARE].accept._replace(high=9.0))}
    with monkeypatch.context() as other:
        other.setattr(row_identity, "all_rows", lambda: judged)
        assert reproduce(out, KEY) == 0
        assert told in capsys.readouterr().err
    read = row_identity.sources_of
    for name in ("kmc_analysis.experiment.figures.controls", "kmc_analysis.experiment.targets.verdict"):
        with monkeypatch.context() as other:  # the sources of this one are others
            other.setattr(
                row_identity, "sources_of", lambda given, name=name: [*read(given), *[Path(__file__)] * (name in given)]
            )
            assert reproduce(out, KEY) == 0
            assert told in capsys.readouterr().err
    assert reproduce(out, KEY) == 0
    assert BARE not in capsys.readouterr().err


def test_two_commands_keep_each_others_rows(tmp_path: Path) -> None:
    """One begins, another makes a row and writes the board, then the first one writes."""
    made = Reproduction([targets()[KEY]], tmp_path, Extent(), picture=False, done_only=True)
    assert reproduce(tmp_path, "S18b_hrs_regimes") == 0
    assert made.go(1)
    found = json.loads((tmp_path / "scoreboard.json").read_text())
    assert {row["key"] for row in found["targets"]} == {KEY, "S18b_hrs_regimes"}


def test_two_commands_write_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One has read the board and is about to write it when another would: no row is lost."""
    first, second = (
        Reproduction([targets()[key]], tmp_path, Extent(), picture=False, done_only=True)
        for key in (KEY, "S18b_hrs_regimes")
    )
    other, read = threading.Thread(target=second.go, args=(1,)), Reproduction._earlier

    def reading(self: Reproduction) -> dict[str, scoreboard.Row]:
        found = read(self)
        if self is first and not other.ident:
            other.start()
            other.join(0.5)
        return found

    monkeypatch.setattr(Reproduction, "_earlier", reading)
    first.go(1)
    other.join()
    found = json.loads((tmp_path / "scoreboard.json").read_text())
    assert {row["key"] for row in found["targets"]} == {KEY, "S18b_hrs_regimes"}


@pytest.mark.parametrize("damage", [{"seed": "a"}, {"seed": None}, {"devices": "6"}, {"quick": 1}])
def test_a_board_of_no_known_devices_is_as_none(out: Path, damage: dict[str, Any]) -> None:
    """Edited by hand: it is written anew, and no traceback."""
    found = json.loads((out / "scoreboard.json").read_text())
    (out / "scoreboard.json").write_text(json.dumps({**found, **damage}))
    assert reproduce(out, KEY) == 0
    assert [row["key"] for row in json.loads((out / "scoreboard.json").read_text())["targets"]] == [KEY]


# --- what a figure computes itself -----------------------------------------------------------------------


def computed() -> Figure:
    """The figure of the readout."""
    return next(one for one in all_figures() if one.compute is not None)


def test_all_that_the_readout_imports_decides_it() -> None:
    """The law and the metrics beside its own folders; what only tells does not."""
    package = Path(kmc_analysis.__file__).parent
    found = {str(path.relative_to(package)) for path in sources_of(["kmc_analysis.experiment.figures.readout"])}
    assert {
        "metrics/compliance_law.py",
        "metrics/bootstrap_intervals.py",
        "experiment/figures/readout.py",
        "metrics/pulse_trains.py",
        "metrics/reads_and_retention.py",
        "compact/equations/model.py",
        "reservoir/pipeline.py",
    } <= found
    reporting = {"commands/reproduce.py", "report/page.py"}
    assert all((package / name).is_file() for name in reporting)
    assert not reporting & found
    for name in found:
        for node in ast.walk(ast.parse((package / name).read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kmc_analysis"):
                base = package.parent.joinpath(*str(node.module).split("."))
                assert base.is_dir() or str(base.with_suffix(".py").relative_to(package)) in found


def test_versions_and_imports_decide_the_readout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another numpy or another law is another result."""
    figure, law = computed(), tmp_path / "law.py"
    law.write_text("1")
    monkeypatch.setattr(row_identity, "sources_of", lambda modules: [law])
    seen = [row_identity.computed(figure, 1, 2), row_identity.computed(figure, 1, 2)]
    law.write_text("2")
    seen.append(row_identity.computed(figure, 1, 2))
    monkeypatch.setattr(provenance, "versions", lambda: {"numpy": "9"})
    seen.append(row_identity.computed(figure, 1, 2))
    assert (len(seen), len(set(seen))) == (4, 3)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"T1_gap": {"x": 1}}', b'{"S": 3}', b"\xff"])
def test_a_damaged_result_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes) -> None:
    """As if it were not there; a whole one is read."""
    calls: list[int] = []

    def compute(first: int, count: int, should_stop: Callable[[], bool]) -> dict[str, Measured]:
        calls.append(count)
        return dict.fromkeys(figure.keys, exact(1.0))

    figure = replace(computed(), compute=compute)
    monkeypatch.setattr(row_identity, "computed", lambda *given: "name")
    (tmp_path / "computed").mkdir()
    (tmp_path / "computed" / "name.json").write_bytes(damage)
    monkeypatch.setattr("kmc_analysis.experiment.reproduce.run_figures.figures_of", lambda keys: [figure])
    made = Reproduction([targets()["T1_gap"]], tmp_path, Extent())
    for _ in range(2):
        assert made._computed(figure) == dict.fromkeys(figure.keys, exact(1.0))
    assert len(calls) == 1


def test_what_is_computed_hears_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two seeds: the row is not run, the board not finished, and the same command computes it all."""
    begun: list[int] = []
    monkeypatch.setattr(pipeline, "one", lambda plan, seed, *_: begun.append(seed))
    monkeypatch.setattr(accuracy_table, "scoreboard", lambda results: dict.fromkeys(computed().keys, exact(1.0)))
    wanted = [targets()["T1_gap"]]
    for stop_at, finished, verdict in ((3, False, "not run"), (99, True, "miss")):
        begun.clear()
        made = Reproduction(wanted, tmp_path, Extent())
        # the session itself looks before and after its runs, of which there are none
        assert made.go(1, should_stop=lambda stop_at=stop_at: len(begun) >= stop_at) is finished
        assert begun == list(range(1, min(stop_at, 10) + 1))
        assert [row["verdict"] for row in made.result()["targets"]] == [verdict]
