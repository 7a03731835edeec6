"""A new ligand is one YAML file and no code: a made-up one is chosen in a run file, and runs."""

from __future__ import annotations

import pytest
import xarray as xr

import kmc
from kmc.inputs.run_file import load_run
from kmc.simulation.run_to_folder import execute

# Its shell is shorter and sparser than those of the real ones, and silver ions like it and cross it easily.
MADE_UP = """
family: ligand
description: a made-up ligand
length: {value: 1.1, unit: nm, kind: assumed, why: "made up"}
gap: {value: 1.2, unit: nm, kind: assumed, why: "made up"}
coverage: {value: 0.3, kind: assumed, why: "made up"}
seam_width: {value: 1.2, unit: nm, kind: assumed, why: "made up"}
insertion_barrier: {value: 0.3, unit: eV, kind: assumed, why: "made up"}
gap_barrier: {value: 0.12, unit: eV, kind: assumed, why: "made up"}
gap_ion_energy: {value: -0.1, unit: eV, kind: assumed, why: "made up"}
surface_vacancy_density: {value: 0.2, unit: 1/nm2, kind: assumed, why: "made up"}
metal_adhesion: {value: 0.1, unit: eV, kind: assumed, why: "made up"}
permittivity: {value: 3.0, kind: assumed, why: "made up"}
thermal_conductivity: {value: 0.3, unit: W/m/K, kind: assumed, why: "made up"}
"""
TWIN = "extends: ogb\ndescription: OGB under another name\n"
RUN = """
stack: ogb_20nm
choices: {{ligand: {ligand}, crystal_size: 4 nm, thickness: 8 nm}}
protocol:
  - hold: {{voltage: 1 V, duration: 10 us, samples: 8, compliance: 1 uA}}
seed: 3
settings: {{window: 8 nm}}
"""


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, xr.Dataset]:
    """The same small run with four ligands, two of them files beside the run file."""
    folder = tmp_path_factory.mktemp("ligands")
    (folder / "made_up.yaml").write_text(MADE_UP)
    (folder / "twin.yaml").write_text(TWIN)
    found = {}
    for ligand in ("ogb", "ddab", "made_up.yaml", "twin.yaml"):
        (folder / "run.yaml").write_text(RUN.format(ligand=ligand))
        outcome = execute(load_run(folder / "run.yaml"), folder / f"out-{ligand}")
        assert outcome.dataset is not None
        found[ligand] = kmc.open(outcome.dataset).drop_attrs(deep=False)
    return found


@pytest.mark.parametrize("known", ["ogb", "ddab"])
def test_a_made_up_ligand_runs_as_its_numbers_say(traces: dict[str, xr.Dataset], known: str) -> None:
    """Its run is another, and more silver is on its way as ions than in either of the real ligands."""
    made_up, other = traces["made_up.yaml"], traces[known]
    assert made_up.sizes["time"] == other.sizes["time"] == 8
    assert not made_up.equals(other)
    assert made_up.events[-1] > 0
    assert made_up.n_ag_ion.mean() > 2 * other.n_ag_ion.mean()


def test_a_ligand_is_its_numbers_not_its_name(traces: dict[str, xr.Dataset]) -> None:
    """Control: OGB's numbers under another name give the same run to the last bit."""
    assert traces["twin.yaml"].identical(traces["ogb"])
    assert traces["ogb"].events[-1] > 0
