"""The picture of a stack: what it shows, for every kind of stack, at no cost before it is drawn."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kmc.cards.search_path import find_data
from kmc.cards.stack import load_stack
from kmc.core.random_streams import stream
from kmc.geometry import builder
from kmc.inputs.settings import Settings
from kmc.plotting import structure_plots

SMALL = {"crystal_size": "4 nm", "thickness": "8 nm", "ligand.gap": "1.2 nm"}
SETTINGS = Settings(window="8 nm")


def panels(axes: object) -> list[str]:
    """Titles of all panels of a picture."""
    return [panel.get_title(loc="left") for panel in axes.figure.axes]


@pytest.mark.parametrize(
    ("name", "choices", "views", "names"),
    [
        ("ogb_20nm", SMALL, 2, {"Ag", "OGB-capped\nCsPbBr$_3$", "pTPD", "PEDOT:PSS"}),
        ("thin_film_100nm", {"thickness": "10 nm"}, 2, {"Ag", "CsPbBr$_3$", "pTPD", "PEDOT:PSS"}),
        ("interlayers_only", {}, 0, {"Ag", "pTPD", "PEDOT:PSS"}),
    ],
)
def test_every_kind_of_stack(tmp_path: Path, name: str, choices: dict, views: int, names: set[str]) -> None:
    """A cut with the layers' names, views from above where there is an active layer, and a saved file."""
    path = tmp_path / "stack.png"
    axes = structure_plots.draw(load_stack(name, **choices), settings=SETTINGS, path=str(path))
    titles = panels(axes)
    assert titles[0].startswith("a   cut at")
    assert len(titles) >= 1 + views
    assert len(titles) == 1 or views
    assert names <= {text.get_text() for text in axes.texts}
    assert "nm" in axes.get_xlabel()
    assert "nm" in axes.get_ylabel()
    assert path.stat().st_size > 10_000


def test_heights_are_above_what_is_there(tmp_path: Path) -> None:
    """A stack without an organic has none to count heights from."""
    file = tmp_path / "bare.yaml"
    file.write_text(re.sub(r"organic:\n(?:  .*\n)+", "", find_data("stack", "ogb_20nm").read_text()))
    for stack, words in (
        (load_stack("ogb_20nm", **SMALL), "organic layer"),
        (load_stack(file, **SMALL), "counter electrode"),
    ):
        axes = structure_plots.draw(stack, settings=SETTINGS)
        assert axes.get_ylabel() == f"height above the {words} (nm)"


def test_the_legend_names_what_is_shown() -> None:
    """Regions of the window only, the residue and the channel; nothing of a film."""
    axes = load_stack("ogb_20nm", **SMALL).plot(settings=SETTINGS)
    labels = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    for word in ("crystal", "ligand chains", "room for metal", "organic", "silver left by forming"):
        assert word in labels
    assert any(label.startswith("widest channel") for label in labels)
    assert "grain boundary" not in labels


def test_a_chosen_device_is_not_called_another() -> None:
    """The description is of the stack as its file has it; with choices it would be untrue."""
    for choices, title in (({}, "Ag / 20 nm of OGB"), ({"ligand": "ddab"}, "ogb_20nm (ligand ddab)")):
        stack = load_stack("ogb_20nm", **choices)
        small = builder.build(load_stack("ogb_20nm", **SMALL), SETTINGS, stream(1, "morphology"))
        axes = structure_plots.draw(stack, lattice=small)
        assert axes.figure.texts[0].get_text().startswith(title)


def test_a_given_lattice_is_drawn() -> None:
    """The picture of a lattice is that of the run which built it, whatever the seed says."""
    stack = load_stack("ogb_20nm", **SMALL)
    lattice = builder.build(stack, SETTINGS, stream(5, "morphology"))
    given = structure_plots.draw(stack, lattice=lattice).images[0].get_array()
    built = structure_plots.draw(stack, settings=SETTINGS, seed=5).images[0].get_array()
    other = structure_plots.draw(stack, settings=SETTINGS, seed=6).images[0].get_array()
    assert np.array_equal(given, built)
    assert given.shape != other.shape or not np.array_equal(given, other)


def test_the_channel_stands_in_the_middle() -> None:
    """The residue is turned to the middle of the cut: its columns lie round x = 0."""
    stack = load_stack("ogb_20nm", **SMALL)
    lattice = builder.build(stack, SETTINGS, stream(1, "morphology"))
    scene = structure_plots._scene(stack, lattice)
    residue = scene.shade == list(structure_plots._SHADES).index("residue")
    columns = np.nonzero(residue[2].any(axis=0))[0]
    assert columns.mean() == pytest.approx(scene.shape[2] // 2, abs=0.5)


def test_the_stump_is_seen_where_its_way_leaves_the_cut() -> None:
    """As its shadow: the picture's tip is as near to the silver as the device's."""
    stack = load_stack("ogb_20nm", **{**SMALL, "thickness": "16 nm"})
    residue = list(structure_plots._SHADES).index("residue")
    left = 0
    for seed in range(1, 7):
        lattice = builder.build(stack, SETTINGS, stream(seed, "morphology"))
        scene = structure_plots._scene(stack, lattice)
        tip = np.flatnonzero((scene.shade == residue) & scene.path)[-1] // (scene.shape[1] * scene.shape[2])
        shown = structure_plots._with_shadow(scene)
        assert np.flatnonzero((shown == residue).any(axis=1))[-1] == tip
        cut = scene.shade[:, scene.shape[1] // 2 + scene.aside]
        left += np.flatnonzero((cut == residue).any(axis=1))[-1] < tip
    assert left  # of a way that does leave the cut


def test_nothing_is_loaded_before() -> None:
    """Importing the pictures' package loads no matplotlib."""
    code = "import sys, kmc.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
