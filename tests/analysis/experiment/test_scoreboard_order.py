"""The order of a board's runs: one that is cut short has rows with all their devices; and the time left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kmc.io import netcdf
from kmc.study.manifest import result_path
from kmc.study.task import Result
from kmc_analysis.experiment.figures import all_figures
from kmc_analysis.experiment.figures.definition import Figure
from kmc_analysis.experiment.reproduce.figure_runs import Extent, Session, _Going


def some(*names: str) -> list[Figure]:
    """These figures, in the order in which they are listed."""
    return [figure for figure in all_figures() if figure.name in names]


def whole(session: Session) -> list[str]:
    """The figures of which no run is missing."""
    return [one.name for one in session.figures if not session.missing([one])]


def do(session: Session, names: list[str]) -> None:
    """As if these runs were done."""
    for name in names:
        path = result_path(session.out, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_all_devices_of_a_figure_come_before_the_next(tmp_path: Path) -> None:
    """Of its programs the first devices before the second, so that pairs are whole when it is cut."""
    session = Session(some("S14", "S16"), tmp_path, Extent(seed=5, devices=3))
    found = [(session.runs[name].description, session.runs[name].seed) for name in session.missing()]
    programs = ("gold 1 uA", "gold 1 mA"), ("interlayers_only", "pedot_only")
    assert found == [(name, seed) for two in programs for seed in (5, 6, 7) for name in two]
    assert len(session.missing(session.figures[:1])) == 6


def test_runs_that_figures_share_come_with_the_first(tmp_path: Path) -> None:
    """S17 is of the devices of S18a: what it needs beside those is all that is left."""
    session = Session(some("S18a", "S17"), tmp_path, Extent())
    do(session, session.missing()[:6])
    assert whole(session) == []  # a file that is no dataset is no run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(netcdf, "is_sound", Path.is_file)
        assert whole(session) == ["S18a"]
        left = session.missing()
    assert {session.runs[name].description for name in left} == {"unwritten ogb_20nm"}


@pytest.mark.parametrize("extent", [Extent(), Extent(seed=101, devices=8), Extent(quick=True)])
def test_a_board_that_is_cut_has_rows_with_all_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extent: Extent
) -> None:
    """What a figure lacks is at the head of what is missing when those before it are done, also where it was
    cut and is given again, and nothing is lost. By seeds no figure was whole before nearly all were."""
    monkeypatch.setattr(netcdf, "is_sound", Path.is_file)
    session = Session(all_figures(), tmp_path, extent)
    assert sorted(session.missing()) == sorted(session.runs)
    for figure in session.figures:
        own = session.missing([figure])
        assert session.missing()[: len(own)] == own
        do(session, own[: len(own) // 2])
        assert session.missing([figure]) == own[len(own) // 2 :]
        do(session, own)
        assert not set(own) & set(session.missing())
    assert session.missing() == []


def test_the_time_left_is_that_of_dear_runs(tmp_path: Path) -> None:
    """What costs little comes first. Runs of 1 s and one of 100 s are done: the rest of that program takes
    100 s each, and so does what none is done of. All runs alike would foretell a third of it."""
    told: list[dict[str, Any]] = []
    session = Session(some("S14", "S16"), tmp_path, Extent(devices=4))
    going = _Going(session, lambda figure: None, told.append, lambda: False)
    list(going._tasks())
    going.started -= 104.0
    for index, wall_s in enumerate((1.0, 100.0, 1.0, 1.0, 1.0)):
        if index != 3:
            going._on_done(index, Result("done", wall_s=wall_s))
    # gold 1 uA: two at 1 s and one more; gold 1 mA: one at 100 s and three more; the others eight
    assert told[-1]["left_s"] == pytest.approx(104.0 * (1 + 300 + 800) / 103.0, rel=1e-3)
