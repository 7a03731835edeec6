"""Cards: numbers with unit, kind and source; extends; finding; a new ligand is one file."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from kmc.cards import card as cards
from kmc.cards import quantity as quantities
from kmc.cards import yaml_documents
from kmc.cards.card_schema import FAMILIES, MEANING
from kmc.core.errors import UserError

ALL = [path.stem for path in cards.list_data("card")]
GUESS = 'kind: assumed, why: "a guess"'


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def whole_ligand(**changed: str) -> str:
    """A ligand card with every key, by hand."""
    lines = ["family: ligand"]
    for key, row in FAMILIES["ligand"].items():
        unit = f"unit: {row.unit}, " if row.unit else ""
        lines.append(f"{key}: {changed.get(key, f'{{value: {(row.low + row.high) / 2}, {unit}{GUESS}}}')}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", ALL)
def test_every_card_that_comes_with_kmc_loads(name: str) -> None:
    """With a description, and every number with what its kind calls for."""
    card = cards.load_card(name)
    assert card.name == name
    assert card.description
    known = cards.bibliography()
    for key, quantity in card.values.items():
        assert key in FAMILIES[card.family]
        assert quantity.line.rpartition(":")[2].isdigit()
        assert quantity.kind != "assumed" or quantity.why
        assert quantity.kind not in ("measured", "computed") or quantity.source
        assert set(quantity.source) <= set(known)
        if quantity.kind == "assumed":
            assert quantity.sigma is not None, f"{name}.{key}: an assumed value states its range"


def test_the_cards_that_the_design_names_are_there() -> None:
    """Electrodes, ligands, perovskites, interlayers, void, device."""
    assert {
        "ag",
        "au",
        "ito",
        "ogb",
        "ddab",
        "cspbbr3_nanocrystal",
        "cspbbr3_film",
        "ptpd",
        "pedot_pss",
        "void",
        "device",
    } <= set(ALL)
    assert {cards.load_card(name).family for name in ALL} == set(FAMILIES) == set(MEANING)


def test_values_are_in_internal_units() -> None:
    """eV, nm, s, V, A, S, K."""
    silver, perovskite = cards.load_card("ag"), cards.load_card("cspbbr3")
    assert silver.value("bond_conductance") == pytest.approx(77.48e-6)
    assert silver.value("thermal_conductivity") == pytest.approx(200e-9)
    assert perovskite.value("vacancy_density") == pytest.approx(0.05)
    assert perovskite.value("silver_ion_diffusion_prefactor") == pytest.approx(1e10)
    assert perovskite.quantity("vacancy_density").internal_sigma == pytest.approx(0.05)
    assert cards.load_card("device").value("contact_area") == pytest.approx(1e10)


def test_gold_differs_from_silver_by_its_redox_energy_alone() -> None:
    """The card of gold extends silver's."""
    silver, gold = cards.load_card("ag"), cards.load_card("au")
    differing = {key for key in silver.values if silver.value(key) != gold.value(key)}
    assert differing == {"redox_potential", "redox_potential_in_bromide"}


def test_an_unknown_key_names_the_nearest() -> None:
    """value() of a misspelt key; get() gives its default."""
    card = cards.load_card("ogb")
    with pytest.raises(UserError, match='did you mean "gap"') as caught:
        card.value("gpa")
    assert caught.value.where == card.path
    assert card.get("gpa") is None
    assert card.get("gap", 1.0) == pytest.approx(2.4)


def test_a_card_does_not_change() -> None:
    """Neither its fields nor its numbers."""
    card = cards.load_card("ogb")
    with pytest.raises(Exception, match="frozen"):
        card.name = "x"
    for change in (lambda: card.values.update(gap=1), lambda: card.values.pop("gap"), lambda: card.values.clear()):
        with pytest.raises(TypeError):
            change()
    with pytest.raises(TypeError):
        card.values["gap"] = 1
    with pytest.raises(Exception, match="frozen"):
        card.values["gap"].value = 1


def test_a_card_goes_to_another_process() -> None:
    """Copies and pickles are equal, for studies in parallel."""
    card = cards.load_card("ogb")
    assert pickle.loads(pickle.dumps(card)) == copy.deepcopy(card) == card  # noqa: S301


def test_an_override_is_an_assumption() -> None:
    """with_value: kind assumed, why override; the original is untouched; another hash."""
    card = cards.load_card("ag")
    changed = card.with_value("bond_energy", "310 meV")
    assert changed.value("bond_energy") == pytest.approx(0.31)
    assert (changed.values["bond_energy"].kind, changed.values["bond_energy"].why) == ("assumed", "override")
    assert card.value("bond_energy") == cards.load_card("ag").value("bond_energy")
    assert changed.hash != card.hash
    for value, says in (("0.3 V", "wrong dimension"), ("-1 eV", "outside"), ("0.3", "no unit")):
        with pytest.raises(UserError, match=says):
            card.with_value("bond_energy", value)


def test_the_hash_is_of_numbers_not_of_prose(tmp_path: Path) -> None:
    """Comments, order, units and file place do not enter; a value and its kind do."""
    plain = cards.load_card(write(tmp_path, "one", whole_ligand()))
    other = tmp_path / "other"
    other.mkdir()
    text = "\n".join(
        ["# prose", "name: one", *reversed(whole_ligand(gap=f"{{value: 51.5, unit: angstrom, {GUESS}}}").splitlines())]
    )
    assert cards.load_card(write(other, "two", text)).hash == plain.hash
    changed = cards.load_card(
        write(other, "three", "name: one\n" + whole_ligand(gap=f"{{value: 5.2, unit: nm, {GUESS}}}"))
    )
    assert changed.hash != plain.hash


def test_a_number_like_1e12_is_a_number(tmp_path: Path) -> None:
    """YAML 1.2, not 1.1."""
    card = cards.load_card(
        write(tmp_path, "silver", f"extends: ag\nattempt_frequency: {{value: 1e12, unit: 1/s, {GUESS}}}\n")
    )
    assert card.value("attempt_frequency") == 1e12


def test_extends_fills_in_and_is_overridden(tmp_path: Path) -> None:
    """The rest comes from the extended card, with its own file and line."""
    card = cards.load_card(write(tmp_path, "mine", f"extends: ogb\ngap: {{value: 3, unit: nm, {GUESS}}}\n"))
    assert (card.name, card.family, card.value("gap")) == ("mine", "ligand", 3.0)
    assert card.values["gap"].line == f"{tmp_path}/mine.yaml:2"
    assert "ogb.yaml:" in card.values["coverage"].line
    assert card.value("coverage") == cards.load_card("ogb").value("coverage")


def test_a_card_extends_its_namesake(tmp_path: Path) -> None:
    """One's own ogb.yaml may change the packaged one."""
    path = write(tmp_path, "ogb", f"extends: ogb\ngap: {{value: 3, unit: nm, {GUESS}}}\n")
    assert cards.load_card(path).value("gap") == 3.0


def test_a_card_that_extends_itself_alone_is_a_circle(tmp_path: Path) -> None:
    """No namesake further down the search."""
    with pytest.raises(UserError, match="circle"):
        cards.load_card(write(tmp_path, "lonely", "family: ligand\nextends: lonely\n"))


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the file, then $KMC_MATERIALS, then what comes with kmc."""
    beside, variable = tmp_path / "beside", tmp_path / "variable"
    for folder, gap in ((beside, 3), (variable, 4)):
        folder.mkdir()
        write(folder, "ogb", f"extends: ogb\ngap: {{value: {gap}, unit: nm, {GUESS}}}\n")
    assert cards.load_card("ogb").value("gap") == pytest.approx(2.4)
    monkeypatch.setenv("KMC_MATERIALS", str(variable))
    assert cards.load_card("ogb").value("gap") == 4.0
    assert cards.load_card("ogb", beside=beside / "stack.yaml").value("gap") == 3.0


def test_a_folder_of_materials_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named: else a namesake of a card in it would be taken. Negative control: once it is there."""
    monkeypatch.setenv("KMC_MATERIALS", f"{tmp_path}{os.pathsep}{tmp_path / 'mine'}{os.pathsep}")
    for find in (lambda: cards.load_card("ogb"), lambda: cards.list_data("stack")):
        with pytest.raises(UserError, match=r"there is no folder .*mine; make it") as caught:
            find()
        assert caught.value.where == "KMC_MATERIALS"
    (tmp_path / "mine").mkdir()
    assert cards.load_card("ogb").value("gap") == pytest.approx(2.4)


def test_ones_own_sources(tmp_path: Path) -> None:
    """A sources.bib beside the card is read, also after it has changed."""
    path = write(tmp_path, "mine", "extends: ogb\ngap: {value: 3, unit: nm, kind: measured, source: me2026}\n")
    (tmp_path / "sources.bib").write_text("@article{you2026,\n  title = {{A} b}\n}\n")
    with pytest.raises(UserError, match='did you mean "you2026"'):
        cards.load_card(path)
    (tmp_path / "sources.bib").write_text("@article{me2026,\n  title = {{A} {longer} b}\n}\n")
    assert cards.load_card(path).values["gap"].source == ("me2026",)
    assert "longer" in cards.bibliography(path)["me2026"]


def test_a_fit_names_its_targets_and_run(tmp_path: Path) -> None:
    """kind fitted."""
    entry = "{value: 3, unit: nm, kind: fitted, targets: [S3_volatile_switching], run: runs/fit}"
    quantity = cards.load_card(write(tmp_path, "mine", f"extends: ogb\ngap: {entry}\n")).values["gap"]
    assert (quantity.targets, quantity.run) == (("S3_volatile_switching",), "runs/fit")


def test_bounds_are_inclusive(tmp_path: Path) -> None:
    """The ends of a key's range load, a hair beyond does not."""
    for value in (0, 1):
        cards.load_card(write(tmp_path, "mine", f"extends: ogb\ncoverage: {{value: {value}, {GUESS}}}\n"))
    for value in (-0.001, 1.001):
        with pytest.raises(UserError, match="outside 0 to 1"):
            cards.load_card(write(tmp_path, "mine", f"extends: ogb\ncoverage: {{value: {value}, {GUESS}}}\n"))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_required_key_is_asked_for(family: str, tmp_path: Path) -> None:
    """An empty card of each family is told what to add."""
    first = next(key for key, row in FAMILIES[family].items() if row.required)
    with pytest.raises(UserError, match=f'no "{first}"') as caught:
        cards.load_card(write(tmp_path, "mine", f"family: {family}\n"))
    assert caught.value.next_step.startswith(f"add {first}: {{value:")


def test_the_table_of_families_is_sound() -> None:
    """Bounds in order, a meaning each, names of whole words."""
    for table in FAMILIES.values():
        for name, row in table.items():
            assert row.low < row.high, name
            assert row.meaning, name
            assert name.islower(), name


def test_documents_know_their_lines() -> None:
    """Mappings and sequences, nested."""
    document = yaml_documents.parse("a: 1\nb:\n  - x\n  - y: 2\n", "f")
    assert document.where("b") == "f:2"
    assert document["b"].where(1) == "f:4"
    assert document["b"][1].where("y") == "f:4"
    assert (document.where("none"), document["b"].where(9)) == ("f:1", "f:3")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e12", 1e12),
        ("1.5", 1.5),
        ("-3", -3),
        (".5", 0.5),
        ("true", True),
        ("null", None),
        ("yes", "yes"),
        ("0x10", "0x10"),
        ("'1'", "1"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("", None),
    ],
)
def test_scalars(text: str, value: object) -> None:
    """YAML 1.2's core: no yes and no, no dates, no sexagesimals."""
    assert yaml_documents.parse(f"a: {text}", "f")["a"] == value


def test_quantities_without_unit_are_dimensionless(tmp_path: Path) -> None:
    """unit: 1 and no unit mean the same; percent is understood."""
    for entry in ("value: 0.5", "value: 0.5, unit: 1", "value: 50, unit: '%'"):
        card = cards.load_card(write(tmp_path, "mine", f"extends: ogb\ncoverage: {{{entry}, {GUESS}}}\n"))
        assert card.value("coverage") == pytest.approx(0.5)


def test_an_example_of_an_entry_loads(tmp_path: Path) -> None:
    """What the error message tells one to write loads once its numbers are filled in."""
    example = quantities.example(FAMILIES["ligand"]["gap"])
    entry = example.replace("value: ...", "value: 2.0").replace("sigma: ...", "sigma: 0.1")
    assert entry != example
    assert cards.load_card(write(tmp_path, "mine", f"extends: ogb\ngap: {entry}\n")).value("gap") == 2.0


def test_importing_cards_is_quick() -> None:
    """No numpy, no pint, no numba: `kmc --help` and checks start at once."""
    heavy = ("pint", "numba", "xarray", "scipy")
    code = f"import sys, kmc.cards.card; sys.exit(any(name in sys.modules for name in {heavy}))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_entry_to_add_gives_no_number(tmp_path: Path) -> None:
    """Whoever takes it over has to fill in a value: 0.3 would be out of a permittivity's bounds."""
    path = tmp_path / "mine.yaml"
    path.write_text("family: ligand\ndescription: empty\n")
    with pytest.raises(UserError, match=r"\{value: \.\.\., ") as caught:
        cards.load_card(path)
    assert "0.3" not in caught.value.next_step


def test_a_symbol_is_one_word_and_of_its_own_card(tmp_path: Path) -> None:
    """A card that extends silver is not called silver; blanks would be columns of an export."""
    path = tmp_path / "cu.yaml"
    path.write_text("extends: ag\n", encoding="utf-8")
    assert cards.load_card(path).symbol == ""
    path.write_text("extends: ag\nsymbol: Cu\n", encoding="utf-8")
    assert cards.load_card(path).symbol == "Cu"
    path.write_text("extends: ag\nsymbol: Ag (cast)\n", encoding="utf-8")
    with pytest.raises(UserError, match="not one word") as error:
        cards.load_card(path)
    assert error.value.where.endswith("cu.yaml:2")
    for name in ("cspbbr3_nanocrystal", "cspbbr3_film"):
        assert cards.load_card(name).symbol == "CsPbBr3"
