"""Pictures of traces show what they should: axes, limits, arrows and the words of the title."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fake_simulation
import numpy as np
import pytest
import xarray as xr

from kmc import dataset
from kmc.outputs import PICTURE
from kmc.pictures import traces
from kmc.protocol import Protocol
from kmc.stack import load_stack
from kmc.variables import TRACES

PNG = b"\x89PNG\r\n\x1a\n"


def swept(**options: object) -> xr.Dataset:
    """A swept run of the fake simulation."""
    program = {"rate": "100 V/s", "step": "50 mV", "compliance": "1 uA", **options}
    return fake_simulation.simulate(load_stack("ogb_20nm"), Protocol.sweep("1.5 V", **program), seed=3)


def pulsed() -> xr.Dataset:
    """A pulsed run of the fake simulation."""
    program = Protocol.pulses("1 V", width="5 ms", gap="10 ms", count=4, compliance="10 uA")
    return fake_simulation.simulate(load_stack("ogb_20nm"), program, seed=3)


def words(axes: object) -> str:
    """All text on an axes."""
    texts = [text.get_text() for text in axes.texts]  # type: ignore[attr-defined]
    return " ".join([axes.get_title("left"), *texts])  # type: ignore[attr-defined]


def test_an_iv_has_its_words_and_marks() -> None:
    """Logarithmic |I|, the limit's line, four arrows; device, limit, rate and seed in the title."""
    figure = traces.iv(swept())
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert any(np.allclose(line.get_ydata(), 1e-6) for line in axes.lines[1:])
    arrows = [text for text in axes.texts if text.arrow_patch is not None]
    assert len(arrows) == 4
    for part in ("ogb_20nm", "compliance 1 µA", "100 V/s to 1.5 V", "seed 3"):
        assert part in words(axes)


def test_arrows_point_along_the_sweep() -> None:
    """Two with rising voltage, then two with falling."""
    figure = traces.iv(swept())
    arrows = [text for text in figure.axes[0].texts if text.arrow_patch is not None]
    steps = [arrow.xy[0] - arrow.xyann[0] for arrow in arrows]
    assert [step > 0 for step in steps] == [True, True, False, False]


def test_cycles_have_shades_and_a_scale() -> None:
    """Several cycles: one curve each, and a scale that says which is which."""
    figure = traces.iv(swept(cycles=4))
    assert len(figure.axes) == 2
    assert len({line.get_color() for line in figure.axes[0].lines[:4]}) == 4


def test_a_trace_has_four_panels() -> None:
    """Voltage, current, conductance, temperature over one time axis in a fitting unit."""
    figure = traces.trace(pulsed())
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["voltage (V)", "|current| (A)", "conductance (S)", "temperature (K)"]
    assert figure.axes[-1].get_xlabel() == "time (ms)"
    for part in ("ogb_20nm", "compliance 10 µA", "4 pulses of 1 V, 5 ms", "seed 3"):
        assert part in words(figure.axes[0])


def test_draw_takes_the_picture_that_fits(tmp_path: Path) -> None:
    """A sweep (also inside a repeat) makes an I-V, anything else a trace; nothing else is left behind."""
    assert traces.is_swept(swept())
    assert not traces.is_swept(pulsed())
    loop = (Protocol.sweep("1 V", rate="1 kV/s", step="0.2 V") + Protocol.read()).repeated(2)
    assert traces.is_swept(fake_simulation.simulate(load_stack("ogb_20nm"), loop))
    path = traces.draw(swept(), tmp_path / "iv.png")
    assert path.read_bytes().startswith(PNG)
    assert traces.draw(pulsed(), tmp_path / "trace.svg").read_text().lstrip().startswith("<?xml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["iv.png", "trace.svg"]


@pytest.mark.parametrize("suffix", PICTURE.suffixes)
def test_the_same_data_has_the_same_bytes(tmp_path: Path, suffix: str,
                                          monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """On another day too."""
    found = set()
    for day in (1, 2):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(86400 * day))
        found.add(traces.draw(swept(), tmp_path / f"{day}{suffix}").read_bytes())
    assert len(found) == 1


def test_every_picture_is_saved_by_one_function(repository: Path) -> None:
    """Which puts our name into it, and no date."""
    places = [path for folder in ("kmc", "analysis") for path in (repository / folder).rglob("*.py")]
    assert [path.stem for path in places if ".savefig(" in path.read_text(encoding="utf-8")] == ["saving"]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_samples(tmp_path: Path, count: int) -> None:
    """No sample, one or two, all zero, and no word about the run: still a picture."""
    rows = {name: np.zeros(count) for name in TRACES}
    ds = dataset.build(rows)
    for figure in (traces.iv(ds), traces.trace(ds)):
        figure.savefig(tmp_path / "x.png")


def test_no_pyplot_and_no_window(repository: Path) -> None:
    """Drawing imports no pyplot: no global state, no display, and 0.3 s less."""
    script = ("import sys; sys.path.insert(0, 'tests')\nimport test_pictures as t\n"
              "t.traces.iv(t.swept()).savefig('/dev/null', format='png')\n"
              "assert 'matplotlib.pyplot' not in sys.modules")  # fmt: skip
    subprocess.run([sys.executable, "-c", script], cwd=repository, check=True, timeout=120)
