"""Table 2 beside the simulated devices: what the scoreboard has is in it, and a dash is what it has not."""

from __future__ import annotations

from kmc_analysis.experiment.reproduce import scoreboard
from kmc_analysis.experiment.targets import literature
from kmc_analysis.experiment.targets.targets import targets
from kmc_analysis.metrics.observation import median, median_of_bounds, not_run

RATIO = "S19_thickness_on_off"


def test_the_simulated_ratio_at_1_mA_is_in_its_row() -> None:
    """S19 measures it; where it was not run, and of DDAB, of which no row tells it, there is a dash."""
    there = scoreboard.row(targets()[RATIO], median([500.0] * 6))
    ogb, ddab = literature.simulated({RATIO: there})
    assert (ogb.ratio, ddab.ratio) == ("500", "-")
    ogb, _ = literature.simulated({RATIO: scoreboard.row(targets()[RATIO], not_run("too dear"))})
    assert ogb.ratio == "-"


def test_a_bound_from_below_is_told_as_one() -> None:
    """Kept as long as was looked by most devices: at least that, whatever the others did. Where most failed
    and one did not, their number."""
    key = "fig3b_ogb_nonvolatile_endurance"
    most = ([4.0, 1.0, 2.0, 4.0, 4.0, 4.0], [True, False, False, True, True, True], ">= 4")
    one = ([2.0, 3.0, 0.0, 4.0, 0.0, 1.0], [False, False, False, True, False, False], "1.5")
    for good, ended, cell in (([4.0] * 6, [True] * 6, ">= 4"), most, one):
        ogb, _ = literature.simulated({key: scoreboard.row(targets()[key], median_of_bounds(good, ended))})
        assert ogb.cycles == cell


def test_a_row_has_a_cell_for_every_head() -> None:
    """As the table of the experiment's supplement."""
    rows = [*literature.REPORTED, *literature.simulated({})]
    assert {len(row) for row in rows} == {len(literature.HEADS)}
    assert set(literature.simulated({})[0][1:]) == {"-"}
