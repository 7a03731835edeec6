"""kmc sensitivity: which numbers of the cards move which figures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kmc.cli.commands._options import Output, Workers, grouped
from kmc.core import blas_threads

if TYPE_CHECKING:
    from kmc_analysis.calibration.sensitivity import Influence

Keys = Annotated[list[str], typer.Argument(metavar="KEY...", help="Targets whose figures are judged.")]
Paths = Annotated[
    list[str] | None, typer.Option("--parameter", metavar="PATH", help="A number of a card; may be repeated.")
]
Trajectories = Annotated[int, typer.Option("--trajectories", min=1, help="Each changes all parameters once.")]
Reach = Annotated[
    float, typer.Option("--reach", min=0.01, max=1.0, help="Part of sigma that a parameter goes either way.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first device and of the sample.")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="Devices of each program.")]
Out = Annotated[Path, typer.Option("--out", help="Keep runs and the table, sensitivity.json, here.")]


@dataclass(frozen=True)
class Devices:
    """The devices that a point runs."""

    seed: Seed = 1
    seeds: Seeds = 2


@grouped
def sensitivity(
    keys: Keys,
    paths: Paths = None,
    trajectories: Trajectories = 4,
    reach: Reach = 1.0,
    *,
    devices: Devices,
    out: Out = Path("runs/sensitivity/out"),
    workers: Workers = None,
    output: Output,
) -> int:
    """Say which numbers of the cards move which figures: one table of elementary effects.

    Each parameter goes over a sigma of its card's value either way (a decade, or more, where sigma is as
    large). A cell is the mean change of the figure over that range, in the target's tolerances, or in decades
    where it has one end. The row "chance" only takes other devices: what is some times as large is an effect.

    Examples:

        kmc sensitivity S28_linearity --parameter ligand.gap_barrier --reach 0.1

        kmc sensitivity B5_time_to_set B6_time_to_forget --reach 0.2 --out local
    """
    from kmc.core.interrupts import stopping
    from kmc.core.output_paths import folder
    from kmc.core.progress import spinner
    from kmc_analysis.calibration import sensitivity as effects
    from kmc_analysis.calibration.card_fit import Simulated
    from kmc_analysis.calibration.parameters import DEFAULT, free
    from kmc_analysis.experiment.reproduce.figure_runs import Extent
    from kmc_analysis.experiment.targets.targets import chosen

    parameters, wanted = free(tuple(paths or DEFAULT), shared=False, reach=reach), chosen(keys)
    effects.check(wanted, parameters)
    with folder(out, "sensitivity"), stopping() as asked, spinner("judging", output.quiet) as tell:
        cores = workers or blas_threads.cores()
        judge = effects.Lasting(Simulated(out, Extent(devices.seed, devices.seeds), cores, asked, set(keys)))
        found = effects.influences(parameters, wanted, judge, trajectories, devices.seed, tell)
    return _end(found, out, output.as_json, judge.lost)


def _end(found: list[Influence], out: Path, as_json: bool, lost: list[str]) -> int:
    """Tell the table; the exit code, once said how many points have no number and why the first."""
    from kmc.core.progress import say

    _tell(found, out / "sensitivity.json", as_json)
    if lost:
        say(f"{len(lost)} point{'s' * (len(lost) > 1)} without a number: {lost[0]}")
    return 3 if lost else 0


def _tell(found: list[Influence], path: Path, as_json: bool) -> None:
    """Write the table to `path`, and print it."""
    from kmc.cli.commands._tables import show_rows
    from kmc.core.atomic_files import write_whole
    from kmc_analysis.calibration import sensitivity as effects

    rows = effects.as_rows(found)
    write_whole(path, json.dumps(rows, indent=1).encode())
    if as_json:
        print(json.dumps({"influences": rows}, indent=1))
    else:
        show_rows(["parameter", "range", *effects.keys_of(found)], effects.table(found), "Sensitivity")
        print(path)
