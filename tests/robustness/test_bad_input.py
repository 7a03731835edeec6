"""Bad cards, stacks and run files: each is refused with file and line, the nearest name and a next step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kmc.cli.app import main
from kmc.core.errors import UserError

HERE = Path(__file__).resolve().parent / "bad"

# file: (line of the error, what it says, the nearest name it offers)
BAD: dict[str, tuple[int, str, str | None]] = {
    "card_missing_unit.yaml": (3, "gap has no unit", None),
    "card_unknown_key.yaml": (3, 'a ligand card has no "coverge"', "coverage"),
    "card_unknown_key_far.yaml": (3, "use one of: length, gap", None),
    "card_wrong_dimension.yaml": (3, "wrong dimension", None),
    "card_unknown_unit.yaml": (3, 'unknown unit "nmm"', "nm"),
    "card_negative_barrier.yaml": (3, "outside 0 to 3 eV", None),
    "card_too_large.yaml": (3, "outside 0.3 to 10 nm", None),
    "card_nan.yaml": (3, "not finite", None),
    "card_infinite.yaml": (3, "not finite", None),
    "card_overflow.yaml": (3, "not finite", None),
    "card_nan_sigma.yaml": (3, "not finite", None),
    "card_negative_sigma.yaml": (3, "sigma of gap is negative", None),
    "card_text_value.yaml": (3, "not a number", None),
    "card_value_with_unit.yaml": (3, "its unit has its own entry", None),
    "card_bare_number.yaml": (3, "a number needs its unit, kind and source", None),
    "card_no_kind.yaml": (3, "gap has no kind", None),
    "card_wrong_kind.yaml": (3, "kind of gap", "assumed"),
    "card_no_why.yaml": (3, 'does not say "why"', None),
    "card_no_source.yaml": (3, "measured but has no source", None),
    "card_unknown_source.yaml": (3, "not in sources.bib", "john2022"),
    "card_fit_without_run.yaml": (3, "does not name targets and run", None),
    "card_unknown_entry.yaml": (3, 'unknown key "sigmas"', "sigma"),
    "card_key_twice.yaml": (4, "given twice", None),
    "card_hostile_unit.yaml": (3, "cannot read the unit", None),
    "card_tag.yaml": (3, "tag", None),
    "card_no_family.yaml": (1, 'no "family"', None),
    "card_unknown_family.yaml": (1, "unknown family", "ligand"),
    "card_missing_key.yaml": (1, 'the void card has no "thermal_conductivity"', None),
    "card_alias_bomb.yaml": (2, "anchors and aliases", None),
    "card_circle_a.yaml": (2, "circle", None),
    "card_circle_b.yaml": (2, "circle", None),
    "card_extends_metal.yaml": (2, '"ag" is a metal card; name a ligand card', None),
    "card_extends_nothing.yaml": (2, 'no card is called "obg"', "ogb"),
    "reservoir_file.yaml": (1, "this is a reservoir file; kmc reservoir", None),
    "card_extends_typo.yaml": (1, 'no card is called "ogbb"', "ogb"),
    "card_not_yaml.yaml": (3, "not valid YAML", None),
    "card_tab.yaml": (2, "use spaces, not tabs", None),
    "card_empty.yaml": (1, "not a YAML mapping", None),
    "card_list.yaml": (1, "not a YAML mapping", None),
    "stack_empty.yaml": (1, 'the stack has no "electrode"', None),
    "stack_extends_ligand.yaml": (2, '"ogb" is a ligand card; name a stack', None),
    "stack_extends_ligand_unsaid.yaml": (2, '"ogb" is a ligand card; name a stack', None),
    "stack_too_large.yaml": (1, "a window of 3e+08 sites", None),
    "stack_unknown_card.yaml": (2, 'no card is called "oggb"', "ogb"),
    "stack_wrong_family.yaml": (2, "a metal card is wanted here", None),
    "stack_unknown_key.yaml": (2, 'a stack has no "ligands"', "ligand"),
    "stack_bare_thickness.yaml": (4, "a number needs its unit, kind and source", None),
    "stack_film_with_ligand.yaml": (1, "needs crystal: and no grain:", None),
    "stack_zero_thickness.yaml": (4, "outside 0.5 to 2000 nm", None),
    "run_no_stack.yaml": (1, 'the run file has no "stack"', None),
    "run_no_protocol.yaml": (1, 'the run file has no "protocol"', None),
    "run_unknown_key.yaml": (4, 'unknown key "sed"', "seed"),
    "run_stack_is_a_card.yaml": (3, '"ogb" is a ligand card, not a stack', None),
    "run_unknown_stack.yaml": (1, 'no stack is called "ogb_20"', "ogb_20nm"),
    "run_zero_compliance.yaml": (3, "compliance in sweep", None),
    "run_negative_compliance.yaml": (6, "more than 0", None),
    "run_unknown_segment.yaml": (3, 'unknown segment "swep"', "sweep"),
    "run_no_rate.yaml": (3, 'sweep has no "rate"', None),
    "run_missing_unit.yaml": (5, "has no unit", None),
    "run_wrong_dimension.yaml": (3, "wrong dimension", None),
    "run_nan_voltage.yaml": (3, "not a finite number", None),
    "run_empty_protocol.yaml": (2, "not a list of segments", None),
    "run_endless.yaml": (3, "steps, more than", None),
    "run_too_many_samples.yaml": (3, "30,000,000 samples, more than", None),
    "run_points_go_back.yaml": (3, "must rise", None),
    "run_two_conditions.yaml": (6, "exactly one", None),
    "run_unknown_condition.yaml": (6, 'unknown key "conductance_over"', "conductance_above"),
    "run_negative_seed.yaml": (4, "whole number of zero or more", None),
    "run_fraction_seed.yaml": (4, "whole number of zero or more", None),
    "run_unknown_setting.yaml": (5, 'unknown key "windw"', "window"),
    "run_wrong_setting.yaml": (5, "vacancies in settings", "explicit"),
    "run_huge_window.yaml": (4, "out of range", None),
    "run_unknown_choice.yaml": (4, 'no choice is called "ligan"', "ligand"),
    "run_unknown_choice_card.yaml": (5, 'no card is called "dddab"', "ddab"),
    "run_choice_wrong_unit.yaml": (6, "wrong dimension", None),
    "run_choice_unknown_value.yaml": (4, 'a metal card has no "bond_enrgy"', "bond_energy"),
    "run_choice_bare_number.yaml": (5, 'mobility is 10, without a unit; write e.g. "10 cm2/V/s"', None),
    "run_choice_of_the_stack.yaml": (5, "is the stack's own, no card's; choose thickness", None),
    "run_choice_of_the_stack_alone.yaml": (5, "extend ogb_20nm in a file with that number", None),
    "run_bare_pattern.yaml": (3, 'write e.g. pattern: "1011", in quotes', None),
    "run_snapshots.yaml": (4, 'unknown key "evry"', "every"),
    "run_loop_without_count.yaml": (3, 'repeat has no "times"', None),
}


def refuse(path: Path | str) -> UserError:
    """The error that reading `path` as kmc check does raises."""
    from kmc.cli.commands.check import read_input

    with pytest.raises(UserError) as caught:
        read_input(str(path))
    return caught.value


def test_every_bad_file_is_in_the_table() -> None:
    """No file of the folder bad goes untested, and there are forty or more."""
    assert sorted(path.name for path in HERE.iterdir()) == sorted(BAD)
    assert len(BAD) >= 40


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_says_where_what_and_what_next(name: str) -> None:
    """One line: file:line, what, the nearest name where one exists, the next step."""
    line, says, near = BAD[name]
    error = refuse(HERE / name)
    assert error.where == f"{HERE / name}:{line}", str(error)
    assert says in str(error)
    assert error.nearest == near
    assert error.next_step
    assert str(error).count("\n") == 0
    assert "Traceback" not in str(error)


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_what_is_no_file_of_text(tmp_path: Path) -> None:
    """Missing, a directory, binary, too large, too deep, a device: refused at once."""
    assert "no such file" in str(refuse(tmp_path / "none.yaml"))
    assert "directory" in str(refuse(tmp_path))
    assert "not a text file" in str(refuse(write(tmp_path, "binary.yaml", bytes(range(256)))))
    assert "larger than 1 MB" in str(refuse(write(tmp_path, "large.yaml", b"# " + b"x" * 1_000_000)))
    assert "nested too deeply" in str(refuse(write(tmp_path, "deep.yaml", b"a: " + b"[" * 20_000)))
    assert "no such file" in str(refuse("/dev/zero.yaml"))
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert "no such file" in str(refuse(pipe))


def test_a_control_character_does_not_reach_the_terminal(tmp_path: Path) -> None:
    """A key with an escape sequence is shown without it."""
    path = write(tmp_path, "escape.yaml", b'family: ligand\nextends: ogb\n"gap\\e[31m": 3\n')
    assert "\x1b" not in str(refuse(path))


def test_anchors_are_refused_in_one_line(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """An anchor that is given twice: the parser's own warning does not reach the terminal."""
    assert "anchors and aliases" in str(refuse(write(tmp_path, "twice.yaml", b"a: &x 1\nb: &x 2\n")))
    assert len(recwarn) == 0


def test_a_chain_of_extends_that_never_ends(tmp_path: Path) -> None:
    """Twenty cards that extend one another are as bad as a circle."""
    for i in range(30):
        write(tmp_path, f"link{i}.yaml", f"family: ligand\nextends: link{i + 1}\n".encode())
    assert "circle" in str(refuse(tmp_path / "link0.yaml"))


@pytest.mark.parametrize("name", BAD)
def test_the_command_line_refuses_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """kmc check: exit code 2, one plain line on standard error, no traceback."""
    assert main(["check", str(HERE / name)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{HERE / name}:{BAD[name][0]}: " in captured.err
    assert len(captured.err.strip().splitlines()) == 1


GOOD_RUN = """stack: ogb_20nm
protocol:
  - sweep: {to: 0.5 V, rate: 1 kV/s, step: 50 mV, compliance: 1 uA}
seed: 7
"""
LIGAND = GOOD_RUN + "choices: {ligand: card.yaml}\n"
BOMB = (HERE / "card_alias_bomb.yaml").read_text()
NAN = 'extends: ogb\ngap: {value: .nan, unit: nm, kind: assumed, why: "x"}\n'
BARE = "extends: ogb\nsurface_vacancy_density: 1e12\n"

# what is run: (the files there are, the command, how its one line begins)
NASTY: dict[str, tuple[dict[str, str | bytes], list[str], str]] = {
    "compliance of zero": (
        {"run.yaml": (HERE / "run_zero_compliance.yaml").read_text()},
        ["run", "run.yaml"],
        "run.yaml:3: compliance in sweep",
    ),
    "unknown key": ({"run.yaml": GOOD_RUN + "sed: 3\n"}, ["run", "run.yaml"], 'run.yaml:5: unknown key "sed"'),
    "alias bomb": ({"run.yaml": LIGAND, "card.yaml": BOMB}, ["run", "run.yaml"], "card.yaml:2: anchors"),
    "circle": (
        {"run.yaml": LIGAND, "card.yaml": "extends: card.yaml\n"},
        ["run", "run.yaml"],
        "card.yaml:1: extends goes in a circle",
    ),
    "binary": ({"run.yaml": bytes(range(256)) * 50}, ["run", "run.yaml"], "run.yaml:1: is not a text file"),
    "a study": (
        {"run.yaml": GOOD_RUN + "variants: {ligand: [ogb, ddab]}\n"},
        ["run", "run.yaml"],
        'run.yaml:5: "variants" makes this a study, not a run; start it with kmc study run.yaml',
    ),
    "empty": (
        {"run.yaml": ""},
        ["run", "run.yaml"],
        "run.yaml:1: is not a YAML mapping of keys to values; begin with e.g. stack: ogb_20nm",
    ),
    "two seeds": (
        {"run.yaml": GOOD_RUN},
        ["run", "run.yaml", "--set", "seed=3", "--seed", "4"],
        "--set seed: seed is given twice, as 3 and as 4; keep one of the two",
    ),
    "checkpoints that go back": (
        {"run.yaml": GOOD_RUN},
        ["run", "run.yaml", "--checkpoint-every", "-3 s"],
        "--checkpoint-every is not more than zero",
    ),
    "directory": ({"cards/note.txt": "x"}, ["check", "cards"], "cards: is a directory"),
    "missing": ({}, ["run", "none.yaml"], "none.yaml: no such file"),
    "a name without end": (
        {"run.yaml": GOOD_RUN.replace("ogb_20nm", "x" * 5000)},
        ["run", "run.yaml"],
        "run.yaml:1: no stack is called",
    ),
    "a path without end": ({}, ["run", "x" * 5000], "xxxxxxxx"),
    "NaN in a card": (
        {"run.yaml": LIGAND, "card.yaml": NAN},
        ["run", "run.yaml"],
        "card.yaml:2: value of gap is not finite",
    ),
    "NaN on the command line": (
        {"run.yaml": GOOD_RUN},
        ["run", "run.yaml", "--set", "settings.window=.nan"],
        "--set settings.window: ",
    ),
    "1e12 without unit": (
        {"run.yaml": LIGAND, "card.yaml": BARE},
        ["run", "run.yaml"],
        "card.yaml:2: surface_vacancy_density is a bare value",
    ),
    "nested without end": (
        {"run.yaml": GOOD_RUN + "x: " + "[" * 100_000},
        ["run", "run.yaml"],
        "run.yaml:1: is nested too deeply",
    ),
    "a window that fills the memory": (
        {"run.yaml": GOOD_RUN + "settings: {window: 500 nm}\n"},
        ["run", "run.yaml"],
        "run.yaml:1: a window of 4e+08 sites",
    ),
    "a mesh that does not fit": (
        {"run.yaml": GOOD_RUN + "settings: {mesh_factor: 3}\n"},
        ["run", "run.yaml"],
        "run.yaml:5: mesh_factor in settings is 3",
    ),
}


@pytest.mark.parametrize("name", NASTY)
def test_a_program_that_is_given_nonsense(name: str, tmp_path: Path) -> None:
    """A process of its own: exit code 2 within seconds, one plain line, nothing written."""
    files, command, begins = NASTY[name]
    for file, content in files.items():
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "kmc", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[2])},
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(begins)
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
