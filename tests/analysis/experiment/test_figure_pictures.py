"""Every figure measures and draws runs that have the steps of its own protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

from kmc.geometry.lattice import Region
from kmc.io import provenance
from kmc.io.run_folder import describe
from kmc_analysis.experiment.figures import all_figures, endurance, modes
from kmc_analysis.experiment.figures.definition import Figure, Program
from kmc_analysis.experiment.reproduce.figure_runs import Maker
from kmc_analysis.metrics.silver_profile import METAL
from kmc_analysis.plotting import figure_style

DRAWN = [figure for figure in all_figures() if figure.draw]
OPEN_S, VOLATILE_S, CLOSED_S = 4e-10, 1e-5, 3e-4
SHAPE = 12, 6, 6
MAKER = Maker()  # reads a stack once


def device(program: Program, seed: int) -> xr.Dataset:
    """A run of all of the program's steps: closed at 0.3 V and more, as far as the limit lets it; parted by a
    negative voltage, and by 0 V where it conducts little. Seeds differ by a percent.
    """
    steps = MAKER.run(program, seed).protocol.steps()
    count = [step.samples for step in steps]
    volts = np.repeat([step.voltage_V for step in steps], count)
    limit = np.repeat([step.compliance_A for step in steps], count)
    siemens, limited, level = np.full(len(volts), OPEN_S), np.zeros(len(volts), np.int8), OPEN_S
    for k, (volt, most) in enumerate(zip(volts, limit, strict=True)):
        if volt >= 0.3:
            level, limited[k] = min(CLOSED_S, most / volt), most / volt < CLOSED_S
        elif volt < 0 or (volt == 0 and level < VOLATILE_S):
            level = OPEN_S
        siemens[k] = level * (1 + 0.01 * seed)
    columns = {
        "voltage_source": volts,
        "voltage_device": volts,
        "conductance": siemens,
        "current": siemens * volts,
        "limited": limited,
        "segment": np.repeat([step.segment for step in steps], count),
        "cycle": np.repeat([step.cycle for step in steps], count),
        "temperature_stage": np.repeat([step.temperature_K or 300.0 for step in steps], count),
        "n_ag_metal": np.full(len(volts), 50.0),
        "n_ag_ion": np.zeros(len(volts)),
    }
    time = np.cumsum(np.repeat([step.duration_s / step.samples for step in steps], count))
    ds = xr.Dataset(
        {name: ("time", values) for name, values in columns.items()},
        {"time": time},
        provenance.attributes(describe(MAKER.run(program, seed))),
    )
    return ds if program.snapshots is None else ds.merge(looks(float(time[-1])))


def looks(end_s: float) -> xr.Dataset:
    """Four snapshots of a column of silver between an organic and an electrode."""
    region, cation = np.full(SHAPE, 3, np.uint8), np.zeros((4, *SHAPE), np.uint8)
    region[:2], region[-2:], cation[:, 2:-2, 2:4, 2:4] = Region.ORGANIC, Region.ELECTRODE, METAL
    axes = {name: 0.6 * np.arange(size) for name, size in zip("zyx", SHAPE, strict=True)}
    return xr.Dataset(
        {"cation": (("snapshot_time", *"zyx"), cation), "region": (tuple("zyx"), region)},
        axes | {"snapshot_time": np.linspace(1e-3 * end_s, end_s, 4)},
    )


def marks(axes: Axes) -> int:
    """Curves, marks and images with a number that can be seen."""
    lines = [line for line in axes.lines if np.isfinite(np.asarray(line.get_ydata(), float)).any()]
    return len(lines) + len(axes.images)


@pytest.mark.parametrize("figure", DRAWN, ids=lambda figure: figure.name)
def test_each_panel_shows_its_runs(figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two devices each program, and more than of none; every key is measured."""
    seen: list[int] = []
    monkeypatch.setattr(
        figure_style,
        "save",
        lambda canvas, path, dpi: seen.append(min(marks(axes) for axes in canvas.axes if axes.get_title())),
    )
    runs = {one.name: [device(one, seed) for seed in (1, 2)] for one in figure.programs}
    assert figure.draw is not None
    assert set(figure.measure(runs)) == set(figure.keys)
    figure.draw(runs, tmp_path / "some.png")
    figure.draw({name: [] for name in runs}, tmp_path / "none.png")
    assert seen[0] > max(seen[1:], default=0)


def test_modes_and_cycles_are_found_in_their_own_protocols() -> None:
    """S29's three cycles, and the four of figures S7 and 3b and table 2, begin where they are looked for."""
    assert modes.modes(device(modes.MODES, 1)) == (True, True, True, True)
    for program in (endurance.OGB, endurance.DDAB, endurance.WEAK_OGB, endurance.WEAK_DDAB):
        ds = device(program, 1)
        assert endurance.good_cycles(ds) == (endurance.MOST_CYCLES, False)
        assert len(endurance.residues(ds)) == endurance.MOST_CYCLES
    for program in endurance.SEEDED:
        assert endurance._is_seeded(device(endurance.OGB, 1), device(program, 1))
