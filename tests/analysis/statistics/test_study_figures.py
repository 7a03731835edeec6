"""Figures of a study: time goes forwards, what is left out is said, and nothing warns."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from kmc_analysis.plotting import study_figures


def study(
    time: list[list[float]], current: list[list[float]], levels: int = 1, voltage: list[list[float]] | None = None
) -> xr.Dataset:
    """Runs [replicate, sample] in each of some thicknesses, at two ligands, as kmc.open gives them."""
    shape = (levels, 2, *np.shape(time))
    dims = ("thickness", "ligand", "replicate", "sample")
    data = {
        name: (dims, np.broadcast_to(np.array(rows), shape))
        for name, rows in (("time", time), ("current", current), ("voltage_source", voltage or np.ones_like(time)))
    }
    return xr.Dataset(
        {**data, "state": (dims[:-1], np.ones(shape[:-1]))},
        {"thickness": np.arange(1.0, levels + 1), "ligand": ["ogb", "ddab"]},
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would have been saved."""
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path) -> Path:
        figures.append(figure)
        return path

    monkeypatch.setattr(study_figures, "saved", keep)
    return figures


def test_time_goes_forwards_where_runs_end_early(drawn: list[Figure]) -> None:
    """The second run leaves its first segment early: at 2.1 s its sample stands beside that of the first run
    at 2 s, and after its end at 3 s the first run is alone."""
    nan = np.nan
    time = [[1.0, 2.0, 3.0, 4.0], [1.0, 1.1, 2.1, nan]]
    current = [[1e-9, 2e-9, 3e-9, 4e-9], [3e-9, 4e-9, 6e-9, nan]]
    study_figures.traces(study(time, current), Path("traces.png"))
    axes = drawn[0].axes[0]
    for line in axes.lines:
        np.testing.assert_array_equal(line.get_xdata(), [1.0, 1.1, 2.0, 2.1, 3.0, 4.0])
        np.testing.assert_allclose(line.get_ydata(), [2e-9, 2.5e-9, 3e-9, 4e-9, 3e-9, 4e-9])


def test_a_sweep_is_drawn_against_its_voltage(drawn: list[Figure]) -> None:
    """Sample by sample, there and back; where one run has another program, against time."""
    up = [0.1 * k for k in (0, 1, 2, 3, 2, 1, 0)]
    time, current = [[float(k + 1) for k in range(7)]] * 2, [[1e-9] * 7, [3e-9] * 7]
    ended = [*up[:4], np.nan, np.nan, np.nan]
    study_figures.traces(study(time, current, voltage=[up, ended]), Path("traces.png"))
    study_figures.traces(study(time, current, voltage=[up, [2 * v for v in up]]), Path("traces.png"))
    (swept, *_), (timed, *_) = (figure.axes for figure in drawn)
    assert swept.get_xlabel() == "source voltage (V)"
    np.testing.assert_allclose(swept.lines[0].get_xdata(), up)
    np.testing.assert_allclose(timed.lines[0].get_xdata(), time[0])
    assert timed.get_xlabel() == "time (s)"


def test_the_band_of_a_sweep_is_there_both_ways(drawn: list[Figure]) -> None:
    """Up and back are a band each: one polygon over both, on the same voltages, would blot itself out."""
    up = [0.1 * k for k in (0, 1, 2, 3, 2, 1, 0)]
    time, current = [[float(k + 1) for k in range(7)]] * 2, [[1e-9] * 7, [3e-9] * 7]
    study_figures.traces(study(time, current, voltage=[up, up]), Path("traces.png"))
    bands = [path.vertices[:, 0] for one in drawn[0].axes[0].collections for path in one.get_paths()]
    ways = {tuple(np.round([band.min(), band.max()], 6)) for band in bands}
    assert ways == {(0.0, 0.3)}
    assert len(bands) == 2 * len(drawn[0].axes[0].lines)
    for band in bands:  # out along the lower edge and back along the upper: two turns
        turns = np.diff(np.sign(np.diff(band)[np.diff(band) != 0.0]))
        assert np.count_nonzero(turns) == 1


def test_times_that_differ_by_rounding_are_the_same(drawn: list[Figure]) -> None:
    """At the end no run is alone because its sums of steps were rounded another way."""
    time = [[0.1, 0.2, 0.3], [0.1, 0.2, 0.1 + 0.2]]
    study_figures.traces(study(time, [[1e-9] * 3, [3e-9] * 3]), Path("traces.png"))
    np.testing.assert_allclose(drawn[0].axes[0].lines[0].get_ydata(), 2e-9)


def test_many_samples_are_drawn_at_some(drawn: list[Figure]) -> None:
    """A grid of every time of every run would not fit into memory; its ends are kept."""
    time = np.cumsum(np.random.default_rng(1).random((3, 9000)), axis=1)
    study_figures.traces(study(time.tolist(), np.full(time.shape, 1e-9).tolist()), Path("traces.png"))
    along = drawn[0].axes[0].lines[0].get_xdata()
    assert len(along) < 5000
    assert (along[0], along[-1]) == (time[:, 0].min(), time[:, -1].max())


def test_levels_that_are_left_out_are_told(drawn: list[Figure]) -> None:
    """Six of nine panels, from the first level to the last; of six none is left out."""
    for levels in (9, 6):
        study_figures.traces(study([[1.0, 2.0]], [[1e-9, 2e-9]], levels), Path("traces.png"))
    titles = [axes.get_title() for axes in drawn[0].axes]
    assert len(titles) == 6
    assert (titles[0], titles[-1]) == ("thickness 1", "thickness 9")
    assert drawn[0].get_suptitle() == "6 of 9 levels of thickness are drawn"
    assert drawn[1].get_suptitle() == ""


def test_no_two_levels_share_a_colour(drawn: list[Figure]) -> None:
    """Of one axis all levels are in one panel, however many."""
    many = study([[1.0, 2.0]], [[1e-9, 2e-9]], 9).isel(ligand=0, drop=True)
    study_figures.traces(many, Path("traces.png"))
    colours = [str(line.get_color()) for line in drawn[0].axes[0].lines]
    assert len(set(colours)) == 9


def test_one_axis_of_numbers_warns_of_nothing(drawn: list[Figure]) -> None:
    """Its trend has no second axis to name; nor has a panel without a finished run anything to name."""
    values = xr.Dataset(
        {"set_voltage": (("thickness", "replicate"), [[0.3, 0.4], [0.4, 0.6]])}, {"thickness": [20.0, 40.0]}
    )
    undone = study([[1.0, 2.0]], [[1e-9, 2e-9]], 2)
    undone = undone.where(undone["thickness"] < 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study_figures.trends(values, Path("trends.png"))
        study_figures.traces(undone, Path("traces.png"))
    assert drawn[0].axes[0].get_legend() is None
    assert drawn[1].axes[0].get_legend() is not None


def test_a_share_in_a_trend_has_a_width(drawn: list[Figure]) -> None:
    """Four SETs in four are between 0.40 and 1."""
    values = xr.Dataset({"set": (("thickness", "replicate"), [[0.0] * 4, [1.0] * 4])}, {"thickness": [20.0, 40.0]})
    study_figures.trends(values, Path("trends.png"))
    (bars,) = drawn[0].axes[0].containers[0].lines[2]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([0.0, 0.6024], abs=1e-4), pytest.approx([0.3976, 1.0], abs=1e-4)]


def test_levels_that_agree_are_both_seen(drawn: list[Figure]) -> None:
    """Two ligands of one set voltage stand beside each other; a mark without an interval is hollow."""
    values = xr.Dataset(
        {"set_voltage": (("thickness", "ligand", "replicate"), np.full((2, 2, 4), 0.4))},
        {"thickness": [20.0, 40.0], "ligand": ["ogb", "ddab"]},
    )
    values["set_voltage"][0] += 0.01 * np.arange(4)
    study_figures.trends(values, Path("trends.png"))
    drawn[0].draw_without_rendering()
    axes = drawn[0].axes[0]
    first, second = (bars.lines[0] for bars in axes.containers)
    apart = second.get_transform().transform((20.0, 0.4)) - first.get_transform().transform((20.0, 0.4))
    assert apart == pytest.approx([0.05 * drawn[0].dpi, 0.0])
    place = axes.get_window_extent()
    for mark in first.get_transform().transform(first.get_xydata()):
        assert place.contains(*mark)
    assert np.ptp(axes.get_xlim()) == pytest.approx(20.0, rel=0.2)
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata().tolist() for line in hollow] == [[40.0], [40.0]]


def test_panels_to_compare_share_an_axis(drawn: list[Figure]) -> None:
    """And levels that lie on each other have lines of their own."""
    many = study([[1.0, 2.0]], [[1e-9, 2e-9]], 2)
    many["current"] = many["current"] * many["thickness"] ** 3
    study_figures.traces(many, Path("traces.png"))
    left, right = drawn[0].axes
    assert left.get_ylim() == right.get_ylim()
    assert len({line.get_linestyle() for line in left.lines}) == 2


def test_less_than_a_decade_is_no_logarithmic_axis(drawn: list[Figure]) -> None:
    """It would have one tick."""
    for most, scale in ((1.06, "linear"), (300.0, "log")):
        values = xr.Dataset(
            {"on_off": (("thickness", "replicate"), [[1.0] * 4, [most] * 4])}, {"thickness": [20.0, 40.0]}
        )
        study_figures.trends(values, Path("trends.png"))
        study_figures.distributions(values, Path("distributions.png"))
        assert [figure.axes[0].get_yscale() for figure in drawn[-2:]] == [scale] * 2


def test_a_pause_at_zero_volt_breaks_the_line(drawn: list[Figure]) -> None:
    """Two pulses with a dark pause between: no line leads across it, and no band."""
    time, current = [[1.0, 2.0, 3.0, 4.0, 5.0]], [[1e-9, 2e-9, 0.0, 3e-9, 4e-9]]
    study_figures.traces(study(time, current), Path("traces.png"))
    axes = drawn[0].axes[0]
    for line in axes.lines:
        assert np.isnan(line.get_ydata()).tolist() == [False, False, True, False, False]
    assert {len(band.get_paths()) for band in axes.collections} == {2}


def test_dark_runs_count_in_a_median(drawn: list[Figure]) -> None:
    """Four of five devices are dark: so is the median. Of two in five that are dark the median is bright, and
    the band reaches down to the edge of the panel."""
    for dark in (4, 2):
        current = [[1e-17, 0.0]] * dark + [[1e-9, 1e-9]] * (5 - dark)
        study_figures.traces(study([[1.0, 2.0]] * 5, current), Path("traces.png"))
    no_line, line = (figure.axes[0].lines[0].get_ydata() for figure in drawn)
    assert np.isnan(no_line).all()
    np.testing.assert_allclose(line, 1e-9)
    (path,) = drawn[1].axes[0].collections[0].get_paths()
    assert path.vertices[:, 1].min() == 0.0
    assert drawn[1].axes[0].get_ylim()[0] > 1e-12


def test_a_look_between_pauses_has_a_mark(drawn: list[Figure]) -> None:
    """One look a pulse: a line needs two, so that there would be nothing to see."""
    study_figures.traces(study([[1.0, 2.0, 3.0, 4.0, 5.0]], [[0.0, 1e-9, 0.0, 2e-9, 3e-9]]), Path("t.png"))
    line = drawn[0].axes[0].lines[0]
    assert line.get_marker() == "."
    assert list(line.get_markevery()) == [1]


def test_an_empty_panel_says_so(drawn: list[Figure]) -> None:
    """Where no run of a level is done, or all of it is dark."""
    for level, words in ((0.0, "no current to draw"), (np.nan, "no run yet")):
        part = study([[1.0, 2.0]], [[1e-9, 2e-9]], 2)
        part["current"] = part["current"].where(part["thickness"] < 2.0, level)
        study_figures.traces(part, Path("traces.png"))
        assert [[text.get_text() for text in axes.texts] for axes in drawn[-1].axes] == [[], [words]]


# --- distributions ---------------------------------------------------------------------------------------


def metric(columns: int, value: float = 0.4) -> xr.Dataset:
    """A set voltage of two ligands at some bond energies that were drawn."""
    energies = 0.2 + 0.0123456 * np.arange(columns // 2)
    axes = ("ligand", "electrode.bond_energy", "replicate")
    return xr.Dataset(
        {
            "set_voltage": (axes, np.full((2, columns // 2, 3), value)),
            "on_off": (axes, np.full((2, columns // 2, 3), 10 * value)),
        },
        {"ligand": ["ogb", "ddab"], axes[1]: (axes[1], energies, {"units": "eV"})},
    )


@pytest.mark.parametrize("columns", [4, 16, 32, 400])
def test_names_of_columns_do_not_overlap(drawn: list[Figure], columns: int) -> None:
    """However many there are: the picture is wider, or some of the columns are named."""
    assert study_figures.distributions(metric(columns), Path("distributions.png")) is not None
    drawn[0].draw_without_rendering()
    axes = drawn[0].axes[0]
    places = [text.get_window_extent() for text in axes.get_xticklabels()]
    assert all(one.x1 < other.x0 for one, other in pairwise(places))
    assert len(axes.lines) == columns
    assert axes.get_window_extent().height > 1.2 * drawn[0].dpi
    assert 160 * drawn[0].get_size_inches().max() < 2**16  # dots that matplotlib can draw


def test_a_drawn_value_has_three_digits(drawn: list[Figure]) -> None:
    """0.212346 eV is 0.212 eV beside a column; 1200 nm is no 1.2e+03 nm."""
    study_figures.distributions(metric(4), Path("distributions.png"))
    names = [text.get_text() for text in drawn[0].axes[0].get_xticklabels()]
    assert names[1] == "ogb\n0.212 eV"
    thick = metric(2).rename({"electrode.bond_energy": "thickness"})
    thick["thickness"] = ("thickness", [1200.0], {"units": "nm"})
    study_figures.distributions(thick, Path("distributions.png"))
    assert drawn[1].axes[0].get_xticklabels()[0].get_text() == "ogb\n1200 nm"


def test_nothing_measured_is_no_picture(drawn: list[Figure]) -> None:
    """As of trends: axes from 0 to 1 say nothing."""
    assert study_figures.distributions(metric(4, np.nan), Path("distributions.png")) is None
    assert not drawn
