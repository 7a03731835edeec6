"""`kmc structure` tells of the window that a run with the same stack, settings and seed would begin with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kmc.cards.stack import load_stack
from kmc.cli import app
from kmc.cli.commands.structure import _gap, _numbers
from kmc.geometry.lattice import OPEN, Lattice, Region
from kmc.inputs.run_file import load_run
from kmc.simulation.parallel_windows import Windows

RUN = """\
stack: ogb_20nm
choices: {thickness: 12 nm}
seed: 5
settings: {window: 15 nm}
protocol:
  - hold: {voltage: 0.1 V, duration: 1 us, samples: 1}
"""


def told(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, object]:
    """What it prints as JSON."""
    assert app.main(["structure", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    """A run of a small window."""
    path = tmp_path / "run.yaml"
    path.write_text(RUN, encoding="utf-8")
    return path


def test_the_window_is_that_of_the_run(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the sites of the run's first window, its silver and its surface; another seed is another window."""
    found = told(capsys, run_file)
    run = load_run(run_file)
    lattice = Windows(run.device, run.settings, run.seed).devices[0].lattice
    assert found["seed"] == 5
    assert found["sites"] == lattice.sites
    assert found["residue_atoms"] == lattice.residue.sum()
    assert found["thickness_nm"] == lattice.thickness_nm()
    assert found["crystal_share"] == lattice.fill()
    other = told(capsys, run_file, "--seed", "6")
    assert other["crystal_share"] != found["crystal_share"]
    assert told(capsys, run_file, "--set", "seed=6") == other


@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm", "thin_film_100nm"])
def test_what_is_built_is_near_what_was_asked(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The residue's gap to a plane of sites, the channel to a site of the seam, the film to its roughness."""
    stack, found = load_stack(name), told(capsys, name)
    numbers, step = stack.numbers(), float(found["spacing_nm"])  # type: ignore[arg-type]
    gap = next(one.internal for key, one in numbers.items() if key.endswith("residue_gap"))
    assert gap - step < found["residue_gap_nm"] < gap + 1.5 * step  # type: ignore[operator]
    assert abs(found["thickness_nm"] - stack.active.thickness_nm) < 3.5  # type: ignore[operator,union-attr]
    if stack.ligand is not None:
        seam = stack.ligand.value("seam_width")
        assert abs(found["channel_nm"] - seam) <= step  # type: ignore[operator]
    assert 0.0 < found["room_share"] < 1.0 - found["crystal_share"] + 1e-9  # type: ignore[operator]


def test_a_gap_is_that_of_the_highest_silver() -> None:
    """Of a lattice drawn by hand, whose electrode hangs down beside it."""
    region = np.full((10, 4, 4), Region.GAP, np.uint8)
    region[0], region[8:], region[5:, 0, 0] = Region.COUNTER, Region.ELECTRODE, Region.ELECTRODE
    residue = np.zeros(region.shape, bool)
    residue[1:3, 2, 2] = True
    residue[1:5, 3, 3] = True
    assert _gap(Lattice(0.5, region, np.zeros_like(region), residue)) == 3 * 0.5
    assert _gap(Lattice(0.5, region, np.zeros_like(region), np.zeros_like(residue))) is None


def test_a_window_that_is_wider_than_deep_is_told_so() -> None:
    """Of a lattice drawn by hand, 6 sites by 4 at 0.5 nm: half of its silver hangs down by two sites, and one
    column of room leads there in five steps."""
    region = np.full((12, 4, 6), Region.GAP, np.uint8)
    region[0], region[1], region[10:], region[8:, :, :3] = (
        Region.COUNTER,
        Region.ORGANIC,
        Region.ELECTRODE,
        Region.ELECTRODE,
    )
    room = np.zeros_like(region)
    room[2:8, 1, 1] = OPEN
    lattice = Lattice(0.5, region, room, np.zeros(region.shape, bool))
    found = _numbers(load_stack("ogb_20nm"), lattice)
    assert (found["width_nm"], found["depth_nm"], found["sites"]) == (3.0, 2.0, 288)
    assert (found["thickness_nm"], found["roughness_nm"]) == (3.5, 0.5)
    assert (found["channel_nm"], found["channel_way_nm"]) == (0.5, 2.5)


def test_stacks_without_crystals_have_no_more_than_they_have(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither channel nor silver; and the table says nothing of them."""
    found = told(capsys, "interlayers_only")
    assert "channel_nm" not in found
    assert found["organic_nm"] == 20.0
    assert app.main(["structure", "interlayers_only"]) == 0
    assert "channel" not in capsys.readouterr().out


def test_a_chosen_device_is_not_called_another(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first line has the choices in place of a description that they make untrue."""
    for what, line in (
        ("interlayers_only", "interlayers_only, seed 0: Ag / pTPD / PEDOT:PSS / ITO"),
        (str(run_file), "ogb_20nm (thickness 12 nm), seed 0\n"),
    ):
        assert app.main(["structure", what, "--seed", "0"]) == 0
        assert capsys.readouterr().out.startswith(line)


def test_the_picture_is_drawn_where_it_was_asked(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The path is the last line; nothing is written without."""
    before = sorted(run_file.parent.iterdir())
    assert app.main(["structure", str(run_file)]) == 0
    assert sorted(run_file.parent.iterdir()) == before
    out = run_file.parent / "window.png"
    assert app.main(["structure", str(run_file), "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ogb"], "a card has no structure of its own; name a stack or a run file"),
        (["ogb_2nm"], 'did you mean "ogb_20nm"?'),
        (["ogb_20nm", "--set", "seed=2"], "--set changes an entry of a run file"),
        (["ogb_20nm", "--out", "window.gif"], "does not end in .png"),
    ],
)
def test_mistakes_get_one_line(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And write nothing."""
    monkeypatch.chdir(tmp_path)
    assert app.main(["structure", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
