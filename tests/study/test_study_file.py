"""Study files: what they cross, what a task's hash is made of, and how bad ones are refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kmc.cli import app
from kmc.core.errors import UserError
from kmc.study import Study, load_study

STUDY = """\
stack: ogb_20nm
variants:
  electrode.bond_energy: [0.31 eV, 0.35 eV]
  ligand: [ogb, ddab]
  thickness: [20 nm, 40 nm, 90 nm]
protocol:
  - sweep: {to: 1 V, rate: 100 V/s, step: 50 mV, compliance: 1 uA}
replicates: 3
seed: 5
"""

READ = "stack: ogb_20nm\nprotocol: [read: ]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A study file of its own folder."""
    path = tmp_path / "trial" / "study.yaml"
    path.parent.mkdir()
    path.write_text(STUDY)
    return path


def test_axes_are_crossed(file: Path) -> None:
    """Replicates fastest; values in internal units or names; the folder gives the name."""
    study = load_study(file)
    assert study.name == "trial"
    assert study.shape == (2, 2, 3, 3)
    assert study.count == len(set(study.hashes)) == 36
    assert [(axis.name, [level.value for level in axis.levels], axis.unit) for axis in study.axes] == [
        ("electrode.bond_energy", [0.31, 0.35], "eV"),
        ("ligand", ["ogb", "ddab"], ""),
        ("thickness", [20.0, 40.0, 90.0], "nm"),
    ]
    run = study.task(35)
    assert (run.device.ligand.name, run.device.active.thickness_nm) == ("ddab", 90.0)
    assert run.device.value("electrode.bond_energy") == 0.35


def test_a_dataset_names_the_cards_that_were_chosen(file: Path) -> None:
    """Not their contents, whose paths and lines would be part of what the same seed gives."""
    run = load_study(file).task(35)
    assert dict(run.device.choices) == {"ligand": "ddab", "thickness": "90 nm", "electrode.bond_energy": "0.35 eV"}


def test_seeds_are_common_to_all_variants(file: Path) -> None:
    """Paired by seed: every variant has the same seeds in the same order."""
    study = load_study(file)
    assert [study.task(index).seed for index in range(study.count)] == [5, 6, 7] * 12


def test_whole_cards_come_before_their_values(file: Path) -> None:
    """The value of a card counts also where the card is chosen after it in the file."""
    study = load_study(file, ["variants.electrode=[ag, au]"])
    values = {(run.device.electrode.name, run.device.value("electrode.bond_energy")) for run in study.runs}
    assert values == {("ag", 0.31), ("ag", 0.35), ("au", 0.31), ("au", 0.35)}


def test_stacks_temperatures_settings_and_protocols_are_axes(file: Path) -> None:
    """Each with its coordinate."""
    file.write_text(
        "variants:\n  stack: [ogb_20nm, ogb_20nm_au]\n  temperature: [300 K, 77 degC]\n"
        "  settings.refresh_bound: [1.0, 2.0]\n"
        "protocols:\n  low: [hold: {voltage: 0.1 V, duration: 1 ms}]\n"
        "  high: [hold: {voltage: 1 V, duration: 1 ms, samples: 700}]\n"
    )
    study = load_study(file)
    assert [[level.value for level in axis.levels] for axis in study.axes] == [
        ["ogb_20nm", "ogb_20nm_au"],
        [300.0, 350.15],
        [1.0, 2.0],
        ["low", "high"],
    ]
    assert study.samples == 700
    last = study.task(study.count - 1)
    assert (last.device.name, last.settings.temperature, last.protocol.segments[0].voltage) == (
        "ogb_20nm_au",
        350.15,
        1.0,
    )


def changed(study: Study, other: Study) -> list[bool]:
    """Which tasks have another hash."""
    return [a != b for a, b in zip(study.hashes, other.hashes, strict=True)]


PROGRAM = """\
stack: ogb_20nm
variants:
  protocol.0.pulses.compliance: [1 uA, 0.01 mA]
  protocol.1.repeat.segments.0.hold.duration: [1 ms, 2 ms, 5 ms]
protocol:
  - pulses: {amplitude: 1 V, width: 5 ms}
  - repeat: {times: 2, segments: [hold: {voltage: 0 V}]}
"""


def test_numbers_of_the_protocol_are_axes(file: Path) -> None:
    """Coordinates in SI units; what is varied stands nowhere else; tasks are those of written-out files."""
    file.write_text(PROGRAM)
    study = load_study(file)
    assert [(axis.name, [level.value for level in axis.levels], axis.unit) for axis in study.axes] == [
        ("protocol.0.pulses.compliance", pytest.approx([1e-6, 1e-5]), "A"),
        ("protocol.1.repeat.segments.0.hold.duration", [1e-3, 2e-3, 5e-3], "s"),
    ]
    assert len(set(study.hashes)) == 6
    steps = study.task(5).protocol.steps()
    assert [step.compliance_A for step in steps] == [1e-5, math.inf, math.inf]
    assert [step.duration_s for step in steps] == [5e-3] * 3
    written = PROGRAM[PROGRAM.index("protocol:\n") :].replace("width: 5 ms", "width: 5 ms, compliance: 10 uA")
    file.write_text("stack: ogb_20nm\nreplicates: 1\n" + written.replace("0 V}", "0 V, duration: 5 ms}"))
    assert load_study(file).hashes == (study.hashes[5],)


def test_a_limit_and_none_a_file_and_corners_are_axes(file: Path) -> None:
    """What is no number in a protocol's data keeps its name; corners have their units."""
    for name, volt in (("a", 1.0), ("b", 0.5)):
        (file.parent / f"{name}.csv").write_text(f"time_s,voltage_source_V\n0,0\n1e-3,{volt}\n")
    points = "protocol: [pwl: {points: [[0 s, 0 V], [1 ms, 0.7 V]], step: 50 us}]\n"
    for axis, protocol, values, unit in (
        ("protocol.0.read.compliance: [1 uA, null]", "protocol: [read: {}]\n", ["1 uA", "none"], ""),
        ("protocol.0.pwl.file: [a.csv, b.csv]", "protocol: [pwl: {step: 50 us}]\n", ["a.csv", "b.csv"], ""),
        ("protocol.0.pwl.points.1.0: [1 ms, 2 ms]", points.replace("1 ms,", "null,"), [1e-3, 2e-3], "s"),
        ("protocol.0.pwl.points.1.1: [0.5 V, 1 V]", points.replace("0.7 V", "null"), [0.5, 1.0], "V"),
    ):
        file.write_text(f"stack: ogb_20nm\nvariants: {{{axis}}}\n{protocol}")
        (found,) = load_study(file).axes
        assert ([level.value for level in found.levels], found.unit) == (values, unit)
        assert len(set(load_study(file).hashes)) == 2


def test_a_stage_that_a_segment_has_is_not_varied_beside(file: Path) -> None:
    """Its own goes before the setting, also where it is an axis itself."""
    file.write_text(
        "stack: ogb_20nm\nprotocol: [hold: {voltage: 0.1 V, duration: 1 ms}]\nvariants:\n"
        "  protocol.0.hold.temperature: [300 K, 350 K]\n  temperature: [300 K, 320 K]\n"
    )
    with pytest.raises(UserError, match="temperature of its own beside that in variants"):
        load_study(file)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("pulses.compliance", "pulses.amplitude", 'has "protocol.0.pulses.amplitude" beside that in variants'),
        (
            "0.pulses.compliance",
            "0.sweep.compliance",
            'that segment is "pulses", not "sweep"; write protocol.0.pulses.compliance',
        ),
        ("0.pulses.compliance", "4.read.compliance", '"4" is no place in a list of 2'),
        ("[1 uA, 0.01 mA]", "[1 uA, 1e-3 mA]", "has 1e-3 mA twice"),
        ("[1 uA, 0.01 mA]", "8 draws", "not a list of values"),
        ("[1 uA, 0.01 mA]", "[1 uA, 3 V]", "wrong dimension"),
        ("protocol.0.pulses.compliance", "compliance", "or a path: protocol.0.sweep.compliance"),
        ("protocol:\n", "protocols:\n  a:\n", "varies protocol:, and the file has protocols:"),
    ],
)
def test_wrong_numbers_of_the_protocol_are_refused(file: Path, old: str, new: str, told: str) -> None:
    """With the line that gives them."""
    file.write_text(PROGRAM.replace(old, new))
    with pytest.raises(UserError) as caught:
        load_study(file)
    assert told in str(caught.value)
    assert str(file) in str(caught.value)


def test_settings_keep_their_units(file: Path) -> None:
    """As other axes do: a length in nm, a time in s; a count has none, and a word no unit at all."""
    file.write_text(
        f"{READ}variants: {{settings.window: [8 nm, 12 nm], settings.ion_slice: [10 ns, 1 us], "
        "settings.temperature: [300 K, 320 K], settings.windows: [1, 2], "
        "settings.vacancies: [explicit, equilibrium]}\n"
    )
    found = {axis.name: ([level.value for level in axis.levels], axis.unit) for axis in load_study(file).axes}
    assert found == {
        "settings.window": ([8.0, 12.0], "nm"),
        "settings.ion_slice": ([1e-8, 1e-6], "s"),
        "settings.temperature": ([300.0, 320.0], "K"),
        "settings.windows": ([1.0, 2.0], "1"),
        "settings.vacancies": (["explicit", "equilibrium"], ""),
    }


def test_a_hash_is_what_decides_the_result(file: Path) -> None:
    """A card's value, the protocol, settings; not the description, limits of time, or comments."""
    study = load_study(file)
    for text in ("choices.ligand.gap=1.9 nm", "protocol.0.sweep.to=1.1 V", "settings.window=12 nm"):
        assert all(changed(study, load_study(file, [text]))), text
    for text in ("description=other words", "settings.wall_limit_s=5 s", "settings.event_budget=77"):
        assert not any(changed(study, load_study(file, [text]))), text


def test_an_edited_card_changes_the_tasks_that_use_it(file: Path, repository: Path) -> None:
    """And no other: the half of the tasks with that ligand."""
    before = load_study(file)
    text = (repository / "materials" / "ddab.yaml").read_text()
    bib = (repository / "materials" / "sources.bib").read_text()
    (file.parent / "sources.bib").write_text(bib)
    (file.parent / "ddab.yaml").write_text(f"# a comment\n{text}")
    assert not any(changed(before, load_study(file)))
    entry = next(line for line in text.splitlines() if line.startswith("gap:"))
    number = entry.split("value:")[1].split(",")[0].strip()
    other = entry.replace(number, f"{float(number) * 1.1:g}", 1)
    (file.parent / "ddab.yaml").write_text(text.replace(entry, other))
    there = [before.task(index).device.ligand.name == "ddab" for index in range(before.count)]
    assert changed(before, load_study(file)) == there


# what is put in place of a line: (the line, the new line, the error's line, what it says)
BAD = [
    ("  ligand: [ogb, ddab]", "  ligands: [ogb, ddab]", 4, 'did you mean "ligand"?'),
    ("  ligand: [ogb, ddab]", "  ligand: []", 4, "ligand is empty"),
    ("  ligand: [ogb, ddab]", "  ligand: ogb", 4, "not a list of values"),
    ("  ligand: [ogb, ddab]", "  ligand: [ogb, dddab]", 4, 'did you mean "ddab"?'),
    ("  ligand: [ogb, ddab]", "  ligand: [ogb, ogb]", 4, "ligand has ogb twice"),
    ("  ligand: [ogb, ddab]", "  ligand: [ogb, [ddab]]", 4, "is not a plain value"),
    ("  ligand: [ogb, ddab]", "  settings.event_budget: [1, 2]", 4, "changes no result"),
    ("  ligand: [ogb, ddab]", "  seam_width: [0.6 nm]", 4, 'did you mean "ligand.seam_width"?'),
    ("  ligand: [ogb, ddab]", "  settings.windw: [1, 2]", 4, 'did you mean "window"?'),
    ("  thickness: [20 nm, 40 nm, 90 nm]", "  thickness: [20 nm, 0.02 um]", 5, "thickness has 0.02 um twice"),
    ("  thickness: [20 nm, 40 nm, 90 nm]", "  thickness: [20 nm, 40 V]", 5, "wrong dimension"),
    ("  thickness: [20 nm, 40 nm, 90 nm]", "  thickness: [20, 40 nm]", 5, 'write e.g. "20 nm"'),
    ("  thickness: [20 nm, 40 nm, 90 nm]", "  thickness: [20 nm, -1 nm]", 5, "outside"),
    (
        "  electrode.bond_energy: [0.31 eV, 0.35 eV]",
        "  electrode.bond_enrgy: [0.3 eV]",
        3,
        'did you mean "bond_energy"?',
    ),
    ("variants:", "varaints:", 2, 'did you mean "variants"?'),
    ("stack: ogb_20nm", "stack: ogb_20", 1, 'did you mean "ogb_20nm"?'),
    ("replicates: 3", "replicates: 0", 8, "not a whole number of one or more"),
    ("replicates: 3", "replicates: 2.5", 8, "not a whole number of one or more"),
    ("replicates: 3", "replicates: 100000000", 2, "tasks, more than"),
    ("seed: 5", "seed: -1", 9, "whole number of zero or more"),
    ("seed: 5", "initial: ../other", 9, "start afresh"),
    ("seed: 5", "protocols: {a: [read: ], b: [read: ]}", 6, 'has "protocol" beside'),
    ("seed: 5", "choices: {ligand: ddab}", 9, 'has "ligand" beside that in variants; keep one of the two'),
    ("seed: 5", "choices: {electrode: {bond_energy: 0.3 eV}}", 9, 'has "electrode.bond_energy" beside'),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), BAD, ids=[f"{new.strip()}" for _, new, _, _ in BAD])
def test_bad_lines_are_refused(
    file: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: int, words: str
) -> None:
    """Exit code 2, one message with file and line, nothing written."""
    file.write_text(STUDY.replace(old, new))
    refused(file, capsys, f"{file}:{line}: ", words)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("- a\n- b\n", 1, "is not a YAML mapping"),
        ("", 1, "is not a YAML mapping of keys to values; begin with e.g. stack: ogb_20nm"),
        ("stack: ogb_20nm\nvariants: {}\nprotocol: [read: ]\n", 2, "variants is empty"),
        ("stack: ogb_20nm\nvariants:\nprotocol: [read: ]\n", 2, "variants is empty"),
        ("stack: ogb_20nm\nvariants: [ligand]\nprotocol: [read: ]\n", 2, "variants is not a mapping"),
        ("stack: ogb_20nm\nvariants: {ligand: [ogb]}\n", 1, 'has no "protocol"'),
        ("protocol: [read: ]\n", 1, 'has no "stack"'),
        ("stack: ogb_20nm\nprotocols: {}\n", 2, "protocols is not a mapping"),
        ("stack: ogb_20nm\nprotocols: {a: [reed: ]}\n", 2, 'did you mean "read"?'),
        ("stack: ogb_20nm\nvariants: {stack: [ogb_20nm]}\nprotocol: [read: ]\n", 1, "beside that in variants"),
        (
            f"{READ}variants: {{temperature: [300 K, 350 K]}}\nsettings: {{temperature: 350 K}}\n",
            4,
            'has "temperature" beside that in variants',
        ),
        (
            f"{READ}variants: {{settings.windows: [1, 2]}}\nsettings: {{windows: 2}}\n",
            4,
            'has "settings.windows" beside that in variants',
        ),
        (
            f"{READ}variants:\n  temperature: [300 K]\n  settings.temperature: [350 K]\n",
            5,
            'has "settings.temperature" beside that in variants',
        ),
    ],
)
def test_bad_files_are_refused(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, line: int, words: str
) -> None:
    """As a whole: no mapping, nothing varied, nothing to run."""
    file.write_text(text)
    refused(file, capsys, f"{file}:{line}: ", words)


WARM = "variants: {temperature: [300 K, 350 K]}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            f"{WARM}protocol:\n  - sweep: {{to: 1 V, rate: 1 V/s,\n      temperature: 300 K}}\n"
            "  - read: {temperature: 310 K}\n",
            5,
        ),
        (f"{WARM}protocol:\n  - repeat:\n      times: 2\n      segments:\n        - read: {{temperature: 300 K}}\n", 7),
        (
            f"{WARM}protocols:\n  a: [read: ]\n  b:\n    - repeat_until:\n        most: 2\n"
            "        segments:\n"
            "          - read: {temperature: 300 K}\n        until: {conductance_above: 1 uS}\n",
            9,
        ),
        ("variants: {settings.temperature: [300 K, 350 K]}\nprotocol: [read: {temperature: 350 K}]\n", 3),
    ],
    ids=["sweep", "repeat", "repeat_until", "setting"],
)
def test_a_segment_does_not_override_the_temperature_that_is_varied(file: Path, text: str, line: int) -> None:
    """Both variants would run at the segments', and nothing would say so."""
    file.write_text(f"stack: ogb_20nm\n{text}")
    with pytest.raises(UserError, match=rf"yaml:{line}: .* has a temperature of its own beside that in vari"):
        load_study(file)
    file.write_text(
        file.read_text()
        .replace("variants: {temperature: [300 K, 350 K]}\n", "")
        .replace("settings.temperature: [300 K, 350 K]", "thickness: [20 nm, 40 nm]")
    )
    load_study(file)


def test_a_step_at_a_temperature_of_its_own_stands_beside_one_that_is_varied(file: Path) -> None:
    """Set at 300 K, kept at the temperature that is varied, read at 300 K: three tasks that differ."""
    segments = [
        "hold: {voltage: 1 V, duration: 1 us, temperature: 300 K}",
        "hold: {voltage: 0 V, duration: 1 ms}",
        "read: {temperature: 300 K}",
    ]
    lines = "".join(f"  - {one}\n" for one in segments)
    varied = "variants: {temperature: [300 K, 330 K, 360 K]}"
    file.write_text(f"stack: ogb_20nm\n{varied}\nprotocol:\n{lines}")
    assert load_study(file).count == 3


def refused(file: Path, capsys: pytest.CaptureFixture[str], where: str, words: str) -> None:
    """Exit code 2, one line on standard error that starts with `where`, and no new file."""
    assert app.main(["study", str(file)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith(where)
    assert words in told.err
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("variants: {crystal_size: [9 nm, 90 nm], thickness: [20 nm, 200 nm]}\n", "a window of "),
        (
            "variants: {settings.vacancies: [equilibrium, explicit]}\nsettings: {spacing_factor: 1.0}\n",
            "spacing_factor is 1, and vacancies are explicit",
        ),
    ],
)
def test_what_no_task_could_build_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], more: str, words: str
) -> None:
    """As `kmc check` and `kmc run` do; not as hundreds of failed tasks."""
    file.write_text(READ + more)
    refused(file, capsys, f"{file}:1: ", words)


THICKER = "the active layer is built 3.52 nm thick where 2 nm were asked for"


def test_a_film_that_is_built_thicker_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, whichever variants ask for it; so is what does not fit into such a film, or does nothing."""
    file.write_text(f"{READ}variants: {{thickness: [2 nm, 20 nm], crystal_size: [7 nm, 9 nm]}}\n")
    told = load_study(file).warnings
    assert [line.startswith(THICKER) for line in told] == [True] + [False] * (len(told) - 1)
    assert "device.residue_gap is 4 nm, more than active.thickness, 2 nm" in told
    assert app.main(["study", str(file), "--slurm", str(file.parent / "job.sh")]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {THICKER}")
    assert said.splitlines() == [f"warning: {line}" for line in told]
    file.write_text(f"{READ}variants: {{active.electrode_exchange_barrier: [0.3 eV, 0.4 eV]}}\n")
    assert [line.partition(":")[0] for line in load_study(file).warnings] == [
        "active.electrode_exchange_barrier does nothing here"
    ]


def test_gaps_of_as_many_sites_are_told(file: Path) -> None:
    """Their devices are the same, however many are asked for; gaps of whole sites are told apart."""
    file.write_text(f"{READ}variants: {{device.residue_gap: [1 nm, 1.1 nm, 1.2 nm, 1.3 nm]}}\n")
    assert load_study(file).warnings == (
        "device.residue_gap: 3 values from 1.1 nm to 1.3 nm are one gap of 4 sites, 1.17 nm",
    )
    file.write_text(f"{READ}variants: {{device.residue_gap: [1.1 nm, 1.2 nm, 1.4 nm, 1.5 nm]}}\n")
    (told,) = load_study(file).warnings
    assert told.endswith("1.17 nm (2 such groups in all)")
    file.write_text(f"{READ}variants: {{device.residue_gap: [0.9 nm, 1.2 nm, 1.5 nm]}}\n")
    assert load_study(file).warnings == ()


def test_check_and_study_tell_the_same_of_all_devices(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A voltage that the second film alone does not hold, under the second protocol alone."""
    protocols = "".join(
        f"  {name}: [hold: {{voltage: {volt}, duration: 1 ms}}]\n"
        for name, volt in (("low", "0.1 V"), ("high", "30 V"))
    )
    file.write_text(f"stack: ogb_20nm\nvariants: {{thickness: [100 nm, 6 nm]}}\nprotocols:\n{protocols}")
    told = load_study(file).warnings
    assert any("30 V over 26 nm" in line for line in told)
    assert app.main(["check", str(file)]) == 0
    assert capsys.readouterr().err.splitlines() == [f"warning: {file}: {line}" for line in told]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["study", "no-such.yaml"], "no-such.yaml: no such file"),
        (["study", "status", "no-such"], "no-such holds no study"),
        (["study", "study.yaml", "more"], "one argument too many"),
        (["study", "study.yaml", "--task", "0", "--slurm", "x"], "do not go together"),
        (["study", "study.yaml", "--task", "0", "--workers", "2"], "--task and --workers do not go together"),
        (["study", "study.yaml", "--slurm", "x", "--workers", "2"], "--slurm and --workers do not go together"),
        (["study", "study.yaml", "--scheduler", "tcp://a:1", "--workers", "2"], "do not go together"),
        *(
            (["study", "status", "out", f"--{name}", value], f"--{name} does not go with status")
            for name, value in (
                ("out", "x"),
                ("workers", "7"),
                ("set", "a=b"),
                ("task", "0"),
                ("slurm", "x.sh"),
                ("scheduler", "foo"),
            )
        ),
        (["study", "study.yaml", "--task", "36"], "the study has no task 36"),
        (["study", "study.yaml", "--task", "-1"], "the study has no task -1"),
        (["study", "study.yaml", "--set", "replicate=2"], 'did you mean "replicates"?'),
        (["study", "study.yaml", "--workers", "0"], "--workers"),
        (["study", "study.yaml", "--out", "study.yaml"], "is not a folder"),
        (["study", "study.yaml", "--out", "."], "holds something else, no output of kmc study"),
    ],
)
def test_bad_arguments_are_refused(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Exit code 2, one message, nothing written."""
    monkeypatch.chdir(file.parent)
    assert app.main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert words in told.err
    assert list(file.parent.iterdir()) == [file]


OGB = 'extends: ogb\ngap: {value: 1.9, unit: nm, sigma: 0.6, kind: assumed, why: "tried"}\n'
AU = 'extends: au\nredox_potential_in_bromide: {value: 0.9, unit: V, kind: assumed, why: "tried"}\n'


@pytest.mark.parametrize(
    ("axis", "name", "text"),
    [("ligand", "ogb", OGB), ("electrode", "au", AU), ("stack", "ogb_20nm", "extends: ogb_20nm\nligand: ddab\n")],
    ids=["ligand", "electrode", "stack"],
)
def test_namesakes_with_other_contents_are_told_apart(file: Path, axis: str, name: str, text: str) -> None:
    """One's own edited copy is not the same "twice": files and datasets would call both alike. Renamed, the
    two are compared."""
    mine = file.parent / "mine"
    mine.mkdir()
    (mine / f"{name}.yaml").write_text(text)
    (mine / "other.yaml").write_text(text)
    study = STUDY.replace("  ligand: [ogb, ddab]", f"  {axis}: [{name}, mine/{name}.yaml]")
    study = study.replace("stack: ogb_20nm\n", "") if axis == "stack" else study
    file.write_text(study)
    words = rf"{axis} has two different \w+ called {name}: {name} at .*:\d and mine/{name}.yaml; rename"
    with pytest.raises(UserError, match=words):
        load_study(file)
    file.write_text(study.replace(f"mine/{name}", "mine/other"))
    assert [level.value for level in load_study(file).axes[1].levels] == [name, "other"]


def test_a_name_that_finds_the_file_beside_it_is_said(file: Path) -> None:
    """`ogb` is the study's own ogb.yaml where there is one: renamed, the two are different cards."""
    (file.parent / "ogb.yaml").write_text(OGB)
    file.write_text(STUDY.replace("ligand: [ogb, ddab]", "ligand: [ogb, ./ogb.yaml]"))
    words = r"has ./ogb.yaml twice .*; keep one of the two, or rename ogb.yaml if another ogb was meant"
    with pytest.raises(UserError, match=words):
        load_study(file)


def test_the_studies_that_come_with_it_are_sound(repository: Path) -> None:
    """Two ligands, three thicknesses, eight replicates."""
    study = load_study(repository / "runs" / "ligand_thickness" / "study.yaml")
    assert [axis.name for axis in study.axes] == ["ligand", "thickness"]
    assert study.shape == (2, 3, 8)


def test_check_reads_studies(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`kmc check` refuses what `kmc study` refuses."""
    assert app.main(["check", str(file)]) == 0
    file.write_text(STUDY.replace("replicates: 3", "replicates: 0"))
    assert app.main(["check", str(file)]) == 2
    assert f"{file}:8: " in capsys.readouterr().err


def test_twins_are_refused(file: Path) -> None:
    """Two stacks that differ by their names alone would be one result under two."""
    for name in "ab":
        (file.parent / f"{name}.yaml").write_text("extends: ogb_20nm\n")
    text = STUDY.replace("  ligand: [ogb, ddab]", "  stack: [a.yaml, b.yaml]")
    text = text.replace("stack: ogb_20nm\n", "")
    file.write_text(text)
    with pytest.raises(UserError, match="are the same run"):
        load_study(file)
