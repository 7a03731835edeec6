"""Slips of a chemist's hand: decimal commas, units of other fields, keys in the wrong place, sizes that do
not fit. Each has one message that says what to do, and never a wrong number by following it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kmc
from kmc.cards import yaml_documents
from kmc.cli import app
from kmc.core.errors import UserError
from kmc.inputs.settings import Settings
from kmc.simulation.plausibility import doubts
from kmc.study import load_study

CARD = "family: ligand\nextends: ogb\n"
RUN = "stack: ogb_20nm\nprotocol: [{sweep: {to: 0.5 V, rate: 1 kV/s, compliance: 1 uA}}]\n"


def refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str = "my.yaml") -> str:
    """The message of `kmc check` on a file of this text."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert app.main(["check", str(tmp_path / name)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("gap: {value: 1,4, unit: nm, kind: assumed, why: x}", "1.4"),
        ("gap: {unit: nm, kind: assumed, why: x, value: 0,38}", "0.38"),
        ("gap: {value: 1.4, unit: nm, sigma: 0,05, kind: assumed, why: x}", "0.05"),
    ],
)
def test_a_decimal_comma_on_a_card(line: str, written: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """YAML reads a number and a key; to remove the key would leave another number."""
    told = refused(CARD + line + "\n", tmp_path, capsys)
    assert "my.yaml:3: " in told
    assert f"has a decimal comma; write {written};" in told


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (RUN.replace("1 kV/s", "1,5 kV/s"), "1.5 kV/s"),
        (RUN.replace("0.5 V", "0,5 V"), "0.5 V"),
        (RUN + "variants: {temperature: [300, 312,5]}\n", "312.5"),
        (RUN + "variants: {ligand.seam_width: [0.9 nm, 1,2 nm]}\n", "1.2 nm"),
        (RUN + "variants: {ligand.seam_width: [1,2 nm]}\n", "1.2 nm"),
    ],
)
def test_a_decimal_comma_in_a_run_or_a_study(
    text: str, written: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An entry of its own would be a key without a value, or one more level."""
    assert f"has a decimal comma; write {written};" in refused(text, tmp_path, capsys)


@pytest.mark.parametrize(
    "text",
    [
        "[300,325,350]",
        "[300, 325, 350]",
        "[0.9 nm,1.2 nm]",
        "[1,2]",
        "[a,1, b]",
        "{a: 1,b: 2}",
        "a: 1\n2nd:\n",
        "[[1, 2],[3, 4]]",
        "{a: [1,2], b: 3}",
    ],
)
def test_commas_that_part_values_are_none(text: str) -> None:
    """With a space after each or after none."""
    yaml_documents.parse(text, "x.yaml")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("insertion_barrier: {value: 36.7, unit: kJ/mol, kind: assumed, why: x}", "(1 kJ/mol is 0.01036 eV a"),
        ("insertion_barrier: {value: 8.8, unit: kcal/mol, kind: assumed, why: x}", "(1 kcal/mol is 0.04336 eV a"),
        ("length: {value: 10, unit: Angstrom, kind: assumed, why: x}", 'did you mean "angstrom"?'),
        ("length: {value: 10, unit: A, kind: assumed, why: x}", 'did you mean "angstrom"?'),
    ],
)
def test_units_of_other_fields_are_converted_not_relabelled(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten angstrom are no ten nanometres."""
    told = refused(CARD + line + "\n", tmp_path, capsys)
    assert said in told
    assert "give the value in" in told


@pytest.mark.parametrize("unit", ["angstrom", "Å"])
def test_an_angstrom_is_read(unit: str, tmp_path: Path) -> None:
    """By the name that the message gives, and by its sign."""
    card = CARD + f"length: {{value: 10, unit: {unit}, kind: assumed, why: x}}\n"
    (tmp_path / "my.yaml").write_text(card, encoding="utf-8")
    assert app.main(["check", str(tmp_path / "my.yaml")]) == 0


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("thickness: 40 nm", "choices.thickness"),
        ("ligand: ddab", "choices.ligand"),
        ("temperature: 340 K", "settings.temperature"),
        ("window: 30 nm", "settings.window"),
    ],
)
def test_a_choice_in_the_wrong_place_is_led_to_the_right_one(
    line: str, meant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a file, and as an option."""
    assert f'did you mean "{meant}"?' in refused(RUN + line + "\n", tmp_path, capsys)
    key, _, value = line.partition(": ")
    (tmp_path / "run.yaml").write_text(RUN)
    assert app.main(["run", str(tmp_path / "run.yaml"), "--set", f"{key}={value}"]) == 2
    assert f"write --set {meant}=..." in capsys.readouterr().err


def test_the_perovskite_is_no_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It comes with its thickness, in a stack."""
    assert "write one: active: {card:" in refused(RUN + "choices: {active: cspbbr3_film}\n", tmp_path, capsys)


def test_a_card_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told as what it is."""
    (tmp_path / "my.yaml").write_text(CARD)
    assert app.main(["run", str(tmp_path / "my.yaml")]) == 2
    assert "this is a card of the family ligand, not a run" in capsys.readouterr().err


def test_an_open_entry_of_sources_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not told as one that is not there."""
    (tmp_path / "sources.bib").write_text("@article{a2027,\n title={x}\n}\n@article{b2027,\n title={x\n}\n")
    line = "length: {value: 1, unit: nm, kind: measured, source: b2027}\n"
    told = refused(CARD + line, tmp_path, capsys)
    assert 'sources.bib:4: the entry "b2027" is not closed' in told


def test_lengths_that_do_not_fit_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are built all the same, as films that come out thicker are."""
    (tmp_path / "my.yaml").write_text(RUN + "choices: {crystal_size: 40 nm, ligand.seam_width: 9 nm}\n")
    assert app.main(["check", str(tmp_path / "my.yaml")]) == 0
    told = capsys.readouterr().err
    assert "warning: " in told
    assert "crystal.size is 40 nm, more than active.thickness, 20 nm" in told
    assert "ligand.seam_width is 9 nm, more than ligand.gap, 2.4 nm" in told
    assert doubts(kmc.load_stack("ogb_20nm", **{"device.residue_gap": "1 um"}), Settings()) == [
        "device.residue_gap is 1000 nm, more than active.thickness, 20 nm"
    ]


@pytest.mark.parametrize(("volt", "doubted"), [("600", True), ("-45", True), ("600 mV", False), ("30 V", False)])
def test_voltages_that_no_film_holds_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], volt: str, doubted: bool
) -> None:
    """In a run and in a study: 600 is meant in millivolts. More than a volt per nanometre of 40 nm."""
    file = tmp_path / "my.yaml"
    held = f"{{voltage: {volt}, duration: 1 ms, compliance: 1 uA}}"
    file.write_text(f"stack: ogb_20nm\nprotocol: [hold: {held}]\n")
    assert app.main(["check", str(file)]) == 0
    assert ("V/nm, which no film holds" in capsys.readouterr().err) == doubted
    file.write_text(file.read_text() + "replicates: 2\n")
    assert app.main(["check", str(file)]) == 0
    assert capsys.readouterr().err.count("V/nm, which no film holds") == doubted
    assert any("no film holds" in told for told in load_study(file).warnings) == doubted


@pytest.mark.parametrize(
    ("kelvin", "stage", "doubted"),
    [(200.0, None, True), (300.0, "200 K", True), (300.0, None, False), (200.0, "300 K", False)],
)
def test_stages_on_which_ions_feel_themselves_are_told(kelvin: float, stage: str | None, doubted: bool) -> None:
    """The coldest stage of a run counts, and the settings' where no segment has its own."""
    way = kmc.Protocol.hold("0.1 V", "1 ms", temperature=stage)
    told = doubts(kmc.load_stack("ogb_20nm"), Settings(temperature=kelvin), way)
    assert any("200 K ions hardly move" in line for line in told) == doubted
    assert not doubts(kmc.load_stack("interlayers_only"), Settings(temperature=kelvin), way)


def test_what_forming_leaves_does_nothing_where_it_left_nothing() -> None:
    """Without crystals, and where another run's end is the start; in a device of its own it counts."""
    gap = {"device.residue_gap": "2 nm"}
    words = "device.residue_gap does nothing here: "
    (told,) = doubts(kmc.load_stack("ogb_20nm", **gap), Settings(), begun=True)
    assert told == f"{words}silver is where the other run left it (initial)"
    (told,) = doubts(kmc.load_stack("interlayers_only", **gap), Settings())
    assert told == f"{words}without crystals or a film, and an organic below, forming leaves no silver"
    (told,) = doubts(kmc.load_stack("ogb_20nm", **gap, **{"device.residue_height": "0.5"}), Settings())
    assert told == f"{words}the silver that forming left ends in the organic (device.residue_height)"
    assert doubts(kmc.load_stack("ogb_20nm", **gap), Settings()) == []


@pytest.mark.parametrize(
    ("more", "doubted"),
    [
        ({"count": 4}, True),
        ({"count": 1}, False),
        ({"count": 4, "gap": "1 ms"}, False),
        ({"count": 4, "read": {"voltage": "0.1 V"}}, False),
        ({"pattern": "1011"}, False),
    ],
)
def test_pulses_that_nothing_parts_are_told(more: dict[str, Any], doubted: bool) -> None:
    """In a loop, too. A pattern of bits has none between them."""
    pulses = kmc.Protocol.pulses("1 V", width="1 ms", **more)
    for way in (pulses, pulses.repeated(2)):
        told = doubts(kmc.load_stack("ogb_20nm"), Settings(), way)
        assert told == (["4 pulses without a gap are one of 4 ms"] if doubted else [])


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("[{hold: {voltage: 0 V, duration: 1 s}, read: {}}]", "hold and read are one item of the list"),
        ("\n- sweep:\n  to: 1 V\n  rate: 1 V/s", "not one word with its settings, indented"),
        ("[{sweep: {to: 1 V, rate: 1 V/s}, compliance: 1 uA}]", "not one word with its settings"),
        ("[{sweep: {to: 1 V, rate: 1 V/s}, hodl: {voltage: 0 V}}]", "not one word with its settings"),
        ("[{repeat: {times: 2, segments: {read: {}}}}]", "segments in repeat is not a list of segments"),
    ],
)
def test_lists_that_are_none_are_named(
    protocol: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which list, and what stands where two belong."""
    assert words in refused(f"stack: ogb_20nm\nprotocol: {protocol}\n", tmp_path, capsys)


@pytest.mark.parametrize("name", ["ogb_20nm", "ddab_20nm", "ogb_7nm", "thin_film_100nm", "interlayers_only"])
def test_the_programs_own_stacks_raise_no_doubt(name: str) -> None:
    """What comes with it fits."""
    assert doubts(kmc.load_stack(name), Settings()) == []


def test_check_tells_what_numbers_without_a_unit_were_taken_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit of 1 is one ampere, a temperature of 25 is cold."""
    sweep = "protocol: [{sweep: {to: 0.5, rate: 5, compliance: 1}}]"
    (tmp_path / "my.yaml").write_text(f"stack: ogb_20nm\nsettings: {{temperature: 25}}\n{sweep}\n")
    assert app.main(["check", str(tmp_path / "my.yaml")]) == 0
    told = capsys.readouterr().out
    assert "voltage 0 V to 500 mV, limit 1 A, stage 25 K, " in told


def test_a_unit_that_is_only_wrong_has_no_hint() -> None:
    """Volts are no electronvolts, and no mole is in them."""
    with pytest.raises(UserError, match="wrong dimension") as caught:
        kmc.load_stack("ogb_20nm", **{"ligand.insertion_barrier": "1 V"})
    assert "particle" not in str(caught.value)
