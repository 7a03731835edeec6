"""Cases of a study: several changes under a name, beside one another and crossed with the variants."""

from __future__ import annotations

from pathlib import Path

import pytest

import kmc
from kmc.cli import app
from kmc.core.errors import UserError
from kmc.inputs.protocol import read_protocol
from kmc.study.definition import Study, load_study
from kmc.study.manifest import read_manifest
from kmc_analysis.experiment.figures import nonvolatile, programmed, volatile
from kmc_analysis.experiment.figures.definition import Segments

BASE = """stack: ogb_20nm
settings: {ion_pairs: true}
choices: {crevice_fraction: 0.01}
protocol:
  - sweep: {to: 0.1 V, rate: 1e8 V/s, step: 50 mV, compliance: 1 uA}
"""
CASES = """cases:
  whole: {}
  without pairs: {settings.ion_pairs: false}
  another: {ligand: ddab, electrode: {bond_energy: 0.25 eV}, protocol.0.sweep.compliance: 1 mA}
  unlimited and warm: {protocol.0.sweep.compliance: null, temperature: 330 K, crevice_fraction: 0}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine" / "study.yaml"
    path.parent.mkdir()
    return path


def of(file: Path, text: str, *sets: str) -> Study:
    file.write_text(BASE + text)
    return load_study(file, sets)


def test_a_case_changes_what_it_names_and_nothing_else(file: Path) -> None:
    """Also what the file says elsewhere; the case without a change is the run file's device."""
    study = of(file, CASES)
    whole, pairs, another, warm = study.runs
    alone = of(file, "")
    assert [whole.device.hash, whole.settings, whole.protocol.to_data()] == [
        alone.runs[0].device.hash,
        alone.runs[0].settings,
        alone.runs[0].protocol.to_data(),
    ]
    assert (whole.settings.ion_pairs, pairs.settings.ion_pairs) == (True, False)
    assert pairs.device.hash == whole.device.hash
    assert another.device.ligand is not None
    assert another.device.ligand.name == "ddab"
    assert another.device.value("electrode.bond_energy") == 0.25
    limits = [run.protocol.to_data()[0]["sweep"].get("compliance") for run in study.runs]
    assert limits == [1e-6, 1e-6, 1e-3, None]
    assert (warm.settings.temperature, warm.device.crevice_fraction) == (330.0, 0.0)
    assert [one.choices.get("ligand") for one in study.runs] == [None, None, "ddab", None]


def test_cases_are_an_axis_beside_the_variants(file: Path) -> None:
    """Crossed with them, replicates fastest, and told by their names; a change makes only its tasks anew."""
    text = "variants: {thickness: [20 nm, 30 nm]}\nreplicates: 2\n" + CASES
    study = of(file, text)
    names = ["whole", "without pairs", "another", "unlimited and warm"]
    assert [(axis.name, [level.value for level in axis.levels]) for axis in study.axes] == [
        ("thickness", [20.0, 30.0]),
        ("case", names),
    ]
    assert study.shape == (2, 4, 2)
    changed = of(file, text, "cases.another.ligand=ogb")
    same = [one == two for one, two in zip(study.hashes, changed.hashes, strict=True)]
    assert same == [True] * 4 + [False] * 2 + [True] * 6 + [False] * 2 + [True] * 2


def test_what_a_case_changes_may_be_given_anew(file: Path) -> None:
    """By its path, also where it is a name with dots, or a mapping in the file."""
    text = "cases: {one: {}, other: {settings.ion_pairs: false, electrode: {bond_energy: 0.25 eV}}}\n"
    more = [
        "cases.other.electrode.bond_energy=0.3 eV",
        "cases.other.settings.ion_pairs=true",
        "cases.other.protocol.0.sweep.to=0.2 V",
        "cases.third.temperature=310 K",
    ]
    one, other, third = of(file, text, *more).runs
    assert (other.device.value("electrode.bond_energy"), other.settings.ion_pairs) == (0.3, True)
    assert [run.protocol.to_data()[0]["sweep"]["to"] for run in (one, other)] == [0.1, 0.2]
    assert third.settings.temperature == 310.0


def test_a_case_does_not_vary_a_temperature_that_no_segment_takes(file: Path) -> None:
    """Two cases of one physics; refused as it is in variants."""
    file.write_text(
        "stack: ogb_20nm\nprotocol: [read: {temperature: 300 K}]\ncases: {a: {}, b: {temperature: 310 K}}\n"
    )
    with pytest.raises(UserError, match=r"yaml:2: .*has a temperature of its own beside that in cases"):
        load_study(file)


@pytest.mark.parametrize(
    "varied", ["variants: {temperature: [300 K, 310 K]}", "cases: {a: {}, b: {temperature: 310 K}}"]
)
@pytest.mark.parametrize("second", ["[voltage: 0.5 V]", "[hold]", "[{segments: none}]", "text"])
def test_what_is_no_segment_is_told_beside_a_temperature(
    file: Path, varied: str, second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a second protocol, which is read after the first; no traceback."""
    protocols = f"protocols:\n  a: [read: ]\n  b: {second}\n"
    file.write_text(f"stack: ogb_20nm\n{varied}\n{protocols}")
    assert app.main(["study", str(file)]) == 2
    assert f"{file}:5: " in capsys.readouterr().err


def test_draws_beside_cases_are_of_the_card_that_all_cases_have(file: Path) -> None:
    """A case that exchanges the card leaves no common number to draw from."""
    drawn = "variants: {ligand.seam_width: 3 draws}\n"
    with pytest.raises(UserError, match="is not the same number in all variants"):
        of(file, drawn + "cases: {one: {}, other: {ligand: ddab}}\n")
    assert of(file, drawn + "cases: {one: {}, warm: {temperature: 330 K}}\n").shape == (3, 2, 1)


def test_results_are_read_by_the_names_of_cases(file: Path, tmp_path: Path) -> None:
    """From the file to the dataset: a device with another limit stands at its case's name."""
    file.write_text(BASE + "cases: {low: {protocol.0.sweep.compliance: 1e-12 A}, free: {}}\n")
    assert app.main(["study", str(file), "--quiet", "--workers", "1"]) == 0
    ds = kmc.open(file.parent / "out")
    assert list(ds["case"].values) == ["low", "free"]
    (axis,) = read_manifest(file.parent / "out").axes
    assert axis.changes == [{"protocol.0.sweep.compliance": "1e-12 A"}, {}]
    assert app.main(["report", str(file.parent / "out"), "--quiet"]) == 0
    page = (file.parent / "out" / "report.html").read_text()
    assert "case low" in page
    assert "protocol.0.sweep.compliance: 1e-12 A" in page
    most = ds["current"].max("sample").isel(replicate=0)
    assert float(most.sel(case="low")) < 1.01e-12 < float(most.sel(case="free"))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("cases:\n", 6, "cases is not a mapping"),
        ("cases: [a]\n", 6, "cases is not a mapping"),
        ("cases:\n  a:\n", 7, "the case a is not a mapping"),
        ("cases:\n  a: {}\n  b: {settings.ion_pair: false}\n", 8, 'did you mean "ion_pairs"?'),
        ("cases:\n  a: {}\n  b: {ligands: ddab}\n", 8, 'did you mean "ligand"?'),
        ("cases:\n  a: {}\n  b: {ligand: dddab}\n", 8, 'did you mean "ddab"?'),
        ("cases:\n  a: {}\n  b: {ligand: [ddab]}\n", 8, "is not a plain value"),
        ("cases:\n  a: {}\n  b: {ligand: null}\n", 8, "is not a plain value"),
        ("cases:\n  a: {}\n  b: {settings.wall_limit_s: 1 s}\n", 8, "changes no result"),
        ("cases:\n  a: {}\n  b: {thickness: 40 V}\n", 8, "wrong dimension"),
        ("cases:\n  b: {temperature: 310 K, settings.temperature: 320 K}\n", 7, "is in the case b already"),
        ("cases:\n  a: {protocol.0.hold.voltage: 1 V}\n", 7, 'that segment is "sweep"'),
        ("cases: {a: {}, b: {ligand: ogb}}\n", 6, "are the same run"),
        ("cases:\n  a: {}\n  b: {ligand: ogb}\n", 8, "are the same run"),
        ("variants: {thickness: [20 nm, 30 nm]}\ncases:\n  a: {}\n  b: {ligand: ogb}\n", 9, "are the same run"),
        ("cases:\n  a: {}\n  '': {ligand: ddab}\n", 8, "is no name of a case"),
        ('cases:\n  a: {}\n  "b\\n": {ligand: ddab}\n', 8, "is no name of a case"),
        ("variants: {ligand: [ogb, ddab]}\ncases:\n  a: {ligand: ogb}\n", 8, '"ligand" is in variants already'),
        (
            "variants: {temperature: [300 K]}\ncases:\n  a: {settings.temperature: 300 K}\n",
            8,
            '"settings.temperature" is in variants already',
        ),
    ],
)
def test_bad_cases_are_refused(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, line: int, words: str
) -> None:
    """Exit code 2, one message with file and line, nothing written."""
    file.write_text(BASE + text)
    assert app.main(["study", str(file)]) == 2
    told = capsys.readouterr().err
    assert f"{file}:{line}: " in told
    assert words in told
    assert not (file.parent / "out").exists()


def test_a_case_of_one_protocol_does_not_go_with_several(file: Path) -> None:
    """Which of them would it change?"""
    file.write_text(
        "stack: ogb_20nm\nprotocols: {a: [read: ], b: [read: {voltage: 0.2 V}]}\n"
        "cases: {c: {protocol.0.read.voltage: 0.1 V}}\n"
    )
    with pytest.raises(UserError, match="varies protocol:, and the file has protocols:"):
        load_study(file)


def test_the_ablations_that_come_with_kmc_are_of_the_figures(repository: Path) -> None:
    """Their protocols are those of figures S3 and S18a, without the curve and its read, and shorter."""

    def data(segments: Segments) -> object:
        return read_protocol(segments).to_data()

    study = load_study(repository / "runs/ablations/study.yaml")
    assert study.axes[0].levels[0].changes == {}
    low, high = (run.protocol.to_data() for run in study.runs[:2])
    assert low == data(volatile.OGB.segments)
    cycle = nonvolatile.OGB.segments
    assert isinstance(cycle, list)
    short = {"hold": {"voltage": "0 V", "duration": "10 ms", "samples": 10}}
    assert high == data([*cycle[:2], *cycle[4:6], short, cycle[7]])
    for run in study.runs[2:]:
        assert run.protocol.to_data() in (low, high)
        assert (run.device.hash, run.settings) != (study.runs[0].device.hash, study.runs[0].settings)


def test_the_numbers_that_come_with_kmc_for_both_modes_are_tried_on_both(repository: Path) -> None:
    """The way back of figure S3 at its rate, and figure S8 as it is; the first case is the cards' own."""
    study = load_study(repository / "runs/forget_and_remember/study.yaml")
    cards, second, _, near = study.axes[0].levels
    assert cards.changes == {}
    assert set(near.changes) == {"electrode.bond_energy"}
    assert set(second.changes) == {
        *near.changes,
        "ligand.gap_barrier",
        *(f"{place}.silver_ion_formation_energy" for place in ("active", "organic")),
    }
    back, held = (run.protocol.to_data() for run in study.runs[:2])
    assert held == read_protocol(programmed.held()).to_data()
    steps = [part["hold"] for part in back[2:7]]
    assert [step["voltage"] for step in steps] == [0.2, 0.15, 0.1, 0.05, 0.0]
    assert {(step["duration"], step["compliance"]) for step in steps} == {(0.05, 1e-6)}
    paths = ("electrode.bond_energy", "ligand.gap_barrier", "active.silver_ion_formation_energy")
    assert {tuple(run.device.value(path) for path in paths) for run in study.runs} == {
        (0.28, 0.17, 0.31),
        (0.20, 0.22, 0.34),
        (0.25, 0.17, 0.34),
        (0.25, 0.17, 0.31),
    }
    above = [run.device.value("organic.silver_ion_formation_energy") - run.device.value(paths[2]) for run in study.runs]
    assert above == pytest.approx([0.73] * len(above))
