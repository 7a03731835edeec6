"""kmc calibrate: shared numbers of the cards fitted to the calibration targets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kmc.cli.commands._options import Output, Workers, grouped
from kmc.core import blas_threads, output_paths
from kmc.core.errors import UserError

if TYPE_CHECKING:
    from kmc_analysis.calibration.card_fit import Posterior
    from kmc_analysis.experiment.reproduce.figure_runs import Extent

Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PARAMETER]...", help="Numbers such as electrode.bond_energy; eight at most."),
]
Trials = Annotated[int, typer.Option("--trials", min=1, help="Trials in all, those done before counted in.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first device and of the search.")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="Devices of each program.")]
Quick = Annotated[bool, typer.Option("--quick", help="Only figures that take minutes.")]
Reach = Annotated[
    float, typer.Option("--reach", min=0.01, max=1.0, help="Part of sigma that a number goes either way.")
]
Keys = Annotated[
    list[str] | None, typer.Option("--target", metavar="KEY", help="Fit to this target only; may be repeated.")
]
Out = Annotated[Path, typer.Option("--out", help="Keep trials, runs and the fitted cards here.")]


@dataclass(frozen=True)
class Devices:
    """The devices that a trial runs."""

    seed: Seed = 1
    seeds: Seeds = 3
    quick: Quick = False


@grouped
def calibrate(
    paths: Paths = None,
    trials: Trials = 40,
    *,
    devices: Devices,
    keys: Keys = None,
    reach: Reach = 1.0,
    out: Out = Path("runs/calibrate/out"),
    workers: Workers = None,
    output: Output,
) -> int:
    """Fit shared numbers of the cards to the targets of role calibration, and no other.

    Values stay within a sigma of the cards' own (a decade or more where sigma is as large as the value).
    Given again, it goes on. Writes cards of kind fitted, with the trials' spread as sigma. Needs optuna.

    Examples:

        kmc calibrate electrode.bond_energy device.residue_gap --trials 60

        kmc calibrate electrode.resistivity --target S28_conductance_law
    """
    from kmc.core.interrupts import stopping
    from kmc.core.progress import spinner
    from kmc_analysis.calibration.card_fit import Simulated, Stopped, finished, posterior, search
    from kmc_analysis.calibration.parameters import DEFAULT, free
    from kmc_analysis.experiment.reproduce.figure_runs import Extent

    parameters = free(tuple(paths) if paths else DEFAULT, reach=reach)
    extent = Extent(devices.seed, devices.seeds, devices.quick)
    wanted = _targets(keys or [], extent)
    with output_paths.folder(out, "calibrate"), stopping() as asked, spinner("calibrating", output.quiet) as tell:
        judge = Simulated(out / "runs", extent, workers or blas_threads.cores(), asked, wanted)
        study = search(parameters, judge, out, trials, devices.seed, tell, extent, wanted)
    if asked() and not finished(study):
        raise Stopped("interrupted before the first trial was done; the same command goes on")
    _end(study, posterior(study, parameters), out, output.as_json)
    return _told_if_stopped(asked())


def _targets(keys: list[str], extent: Extent) -> set[str]:
    """What is fitted to: all, or the targets chosen. UserError for one of which --quick runs no device."""
    from kmc_analysis.calibration.loss import fitted_targets
    from kmc_analysis.experiment.figures import judging

    found = set(fitted_targets(keys))
    for key in keys:
        programs = [program for figure in judging({key}) for program in figure.programs]
        if not any(extent.seeds(program) for program in programs):
            raise UserError(f"{key} has no quick devices", next_step="leave out --quick")
    return found


def _told_if_stopped(stopped: bool) -> int:
    """The exit code of a search that has something to show, and a line where it was interrupted."""
    from kmc.core.progress import say

    if stopped:
        say("interrupted; the same command goes on")
    return 3 if stopped else 0


def _end(study: Any, found: list[Posterior], out: Path, as_json: bool) -> None:
    """Write the cards and print what was found. Raises Failed where that rests on no target."""
    from kmc.core.atomic_files import finite
    from kmc_analysis.calibration.card_fit import Failed
    from kmc_analysis.calibration.fitted_cards import write_cards
    from kmc_analysis.calibration.loss import is_number

    values = study.best_trial.user_attrs["found"]
    known = [key for key, value in values.items() if is_number(value)]
    if not known:
        raise Failed(
            "no target has a number in the best trial, so there is no card to write",
            next_step="take more --seeds or leave out --quick, with another --out",
        )
    cards = [str(path) for path in write_cards(found, known, out.resolve().name, out)]
    if as_json:
        told = {
            one.free.path: {"best": one.best, "mean": one.mean, "sigma": one.sigma, "unit": one.free.unit}
            for one in found
        }
        whole = {"loss": study.best_value, "targets": values, "parameters": told, "cards": cards}
        print(json.dumps(finite(whole), indent=1))
        return
    for one in found:
        was = f"{one.free.unit} (was {one.free.start:.4g})"
        print(f"{one.free.path}: {one.best:.4g} +- {one.sigma:.2g} {was}")
    print(*cards, sep="\n")
