"""Stacks: the devices of the experiment, choices, and a user's own ligand."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from pathlib import Path

import pytest

from kmc.cards.card import list_data
from kmc.cards.stack import Stack, load_stack
from kmc.core.errors import UserError

GUESS = 'kind: assumed, why: "a guess"'
NAMES = [
    "ogb_20nm",
    "ogb_90nm",
    "ogb_100nm",
    "ogb_7nm",
    "ogb_9nm",
    "ogb_13nm",
    "ddab_20nm",
    "thin_film_100nm",
    "ogb_20nm_au",
    "interlayers_only",
    "pedot_only",
]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def ogb() -> Stack:
    """The 20 nm OGB device."""
    return load_stack("ogb_20nm")


def test_the_devices_of_the_experiment_are_there() -> None:
    """All that targets.yaml names."""
    assert {path.stem for path in list_data("stack")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_stack_loads(name: str) -> None:
    """With cards of the right family in every role."""
    stack = load_stack(name)
    assert stack.name == name
    assert stack.description
    families = {role: card.family for role, card in stack.cards().items()}
    assert families["electrode"] == "metal"
    assert families["device"] == "device"
    assert (stack.ligand is None) == (stack.crystal is None)
    assert all(number.line for number in stack.numbers().values())


@pytest.mark.parametrize(
    ("name", "thickness", "size", "aspect", "sigma", "roughness"),
    [
        ("ogb_20nm", 20, 9, 1.26, 0.36, 3.5),
        ("ogb_90nm", 90, 9, 1.26, 0.36, 3.5),
        ("ogb_100nm", 100, 9, 1.26, 0.36, 3.5),
        ("ogb_7nm", 20, 7, 1.57, 0.25, 3.5),
        ("ogb_9nm", 20, 9, 1.26, 0.36, 3.5),
        ("ogb_13nm", 20, 13, 1.47, 0.23, 3.5),
        ("ddab_20nm", 20, 9, 1.09, 0.10, 5.0),
    ],
)
def test_geometry_as_published(
    name: str, thickness: float, size: float, aspect: float, sigma: float, roughness: float
) -> None:
    """Supplementary Figs. 11, 19 and the sizes of Supplementary Note 2."""
    stack = load_stack(name)
    assert stack.active is not None
    assert stack.crystal is not None
    assert stack.active.thickness_nm == pytest.approx(thickness)
    assert stack.active.roughness_nm == pytest.approx(roughness)
    assert (stack.crystal.size_nm, stack.crystal.aspect_ratio) == pytest.approx((size, aspect))
    assert stack.crystal.aspect_sigma == pytest.approx(sigma)


def test_devices_without_crystals() -> None:
    """PEDOT:PSS with pTPD, PEDOT:PSS alone, and the film without ligand."""
    both, alone, film = (load_stack("interlayers_only"), load_stack("pedot_only"), load_stack("thin_film_100nm"))
    assert both.active is None
    assert both.organic is not None
    assert both.organic.card.name == "ptpd"
    assert alone.organic is not None
    assert (alone.organic.card.name, alone.counter.card.name) == ("pedot_pss", "ito")
    assert film.ligand is None
    assert film.grain is not None


def test_choices_as_keywords(ogb: Stack) -> None:
    """Each choice changes what it names, and the hash."""
    chosen = load_stack(
        "ogb_20nm",
        ligand="ddab",
        thickness="40 nm",
        crystal_size="7 nm",
        electrode="au",
        crevice_fraction=0.1,
        order="ordered",
        **{"active.vacancy_density": "1e20 cm-3"},
    )
    assert chosen.ligand is not None
    assert chosen.active is not None
    assert chosen.crystal is not None
    assert (chosen.ligand.name, chosen.electrode.name) == ("ddab", "au")
    assert chosen.active.thickness_nm == pytest.approx(40)
    assert (chosen.crystal.size_nm, chosen.crystal.order) == (pytest.approx(7), "ordered")
    assert chosen.crevice_fraction == pytest.approx(0.1)
    assert chosen.value("active.vacancy_density") == pytest.approx(0.1)
    assert list(chosen.choices) == [
        "ligand",
        "thickness",
        "crystal_size",
        "electrode",
        "crevice_fraction",
        "order",
        "active.vacancy_density",
    ]
    assert {chosen.numbers()[path].why for path in ("active.thickness", "crystal.size", "crevice_fraction")} == {
        "override"
    }
    assert ogb.ligand is not None
    assert ogb.ligand.name == "ogb"


@pytest.mark.parametrize("name", ["where", "beside", "self", "name_or_path"])
def test_no_name_of_an_argument_is_a_choice(ogb: Stack, name: str) -> None:
    """Names that the program's own functions use are refused as any other unknown name is."""
    for make in (ogb.choose, partial(load_stack, "ogb_20nm")):
        with pytest.raises(UserError, match=name):
            make(**{name: "1"})


@pytest.mark.parametrize(
    "choice",
    [
        {"ligand": "ddab"},
        {"thickness": "21 nm"},
        {"crystal_size": "8 nm"},
        {"electrode": "au"},
        {"crevice_fraction": 0.01},
        {"order": "ordered"},
        {"device.series_resistance": "1 ohm"},
    ],
)
def test_every_choice_changes_the_hash(ogb: Stack, choice: dict[str, object]) -> None:
    """Two devices that differ are never taken for one."""
    assert ogb.choose(**choice).hash != ogb.hash


def test_a_value_counts_before_and_after_its_card(ogb: Stack) -> None:
    """A value of a card that is exchanged, in the same call or a later one, is chosen of the new card."""
    value = {"electrode.bond_energy": "0.5 eV"}
    wanted = ogb.choose(electrode="au", **value)
    assert (wanted.electrode.name, wanted.value("electrode.bond_energy")) == ("au", 0.5)
    assert ogb.choose(**value, electrode="au").hash == wanted.hash
    later = ogb.choose(**value).choose(electrode="au")
    assert later.hash == wanted.hash
    assert dict(later.choices) == dict(wanted.choices)


def test_the_hash_is_of_the_device_not_of_its_name(ogb: Stack) -> None:
    """The gold stack is the silver stack with the choice of gold."""
    assert ogb.choose(electrode="au").hash == load_stack("ogb_20nm_au").hash
    assert ogb.hash == load_stack("ogb_20nm").hash


@pytest.mark.parametrize(
    ("choice", "says", "near"),
    [
        ({"ligan": "x"}, "no choice is called", "ligand"),
        ({"ligand": "ddabb"}, "no card is called", "ddab"),
        ({"thickness": "40 V"}, "wrong dimension", None),
        ({"thickness": "40"}, "no unit", None),
        ({"order": "orderd"}, "order is", "ordered"),
        ({"electrode": "ogb"}, "a metal card is wanted", None),
        ({"electrode.bond_enrgy": "1 eV"}, "a metal card has no", "bond_energy"),
        ({"electrod.bond_energy": "1 eV"}, "no choice is called", "electrode.bond_energy"),
        ({"thickness": "-1 nm"}, "outside", None),
        ({"crevice_fraction": 1.5}, "outside 0 to 0.9", None),
        ({"ligand": 3}, "ligand is 3, not a name", None),
    ],
)
def test_a_wrong_choice_is_refused(ogb: Stack, choice: dict[str, object], says: str, near: str | None) -> None:
    """With the nearest name where there is one."""
    with pytest.raises(UserError, match=says) as caught:
        ogb.choose(**choice)
    assert caught.value.nearest == near
    assert caught.value.next_step


def test_a_choice_that_the_stack_has_no_part_for() -> None:
    """No crystals, no crystal size."""
    with pytest.raises(UserError, match="no crystal"):
        load_stack("thin_film_100nm", crystal_size="9 nm")
    with pytest.raises(UserError, match="without an active layer"):
        load_stack("interlayers_only", ligand="ogb")


def test_a_stack_of_nothing_between_electrodes_is_refused(tmp_path: Path) -> None:
    """It would conduct nothing; a counter alone is no layer to conduct through."""
    layer = "{card: pedot_pss, thickness: {value: 10, unit: nm, kind: assumed, why: a guess}}"
    head = "family: stack\nelectrode: ag\n"
    with pytest.raises(UserError, match="needs active: or organic:") as caught:
        load_stack(write(tmp_path, "bare", f"{head}counter: {layer}\n"))
    assert "add organic:" in caught.value.next_step
    assert load_stack(write(tmp_path, "lined", f"{head}organic: {layer}\ncounter: {layer}\n")).active is None


def test_a_card_that_is_left_out_by_name_is_left_out(tmp_path: Path) -> None:
    """null for one that has a default is that default, as where it is not named."""
    plain = load_stack(write(tmp_path, "plain", "extends: ogb_20nm\n"))
    nulls = load_stack(write(tmp_path, "nulls", "extends: ogb_20nm\ndevice: null\nvoid: ~\ncontact:\n"))
    assert (nulls.device, nulls.void, nulls.contact) == (plain.device, plain.void, None)


def test_void_counts_where_no_ligand_fills_it(ogb: Stack) -> None:
    """What does nothing is no choice; the number that does something is named."""
    film = load_stack("thin_film_100nm", **{"void.permittivity": 2})
    assert film.value("void.permittivity") == 2
    with pytest.raises(UserError, match="the ligand fills the voids") as caught:
        ogb.choose(**{"void.permittivity": 2})
    assert caught.value.next_step == "choose ligand.permittivity"


def test_an_entry_of_an_extended_stack_is_replaced_whole(tmp_path: Path) -> None:
    """As the reference says: what the new entry leaves out is not that of the other stack."""
    size = "{value: 7, unit: nm, kind: assumed, why: a guess}"
    crystal = load_stack(write(tmp_path, "cubes", f"extends: ogb_20nm\ncrystal: {{size: {size}}}\n")).crystal
    assert (crystal.size_nm, crystal.aspect_ratio, crystal.aspect_sigma) == (7.0, 1.0, 0.0)


def test_crevices_need_a_layer_to_be_in(tmp_path: Path) -> None:
    """As a choice and in a file."""
    with pytest.raises(UserError, match="no active, so no crevice_fraction"):
        load_stack("interlayers_only", crevice_fraction=0.1)
    share = "crevice_fraction: {value: 0.1, kind: assumed, why: a guess}"
    with pytest.raises(UserError, match="without an active layer has a crevice_fraction"):
        load_stack(write(tmp_path, "open", f"extends: interlayers_only\n{share}\n"))


def test_a_new_ligand_is_one_file_and_no_code(tmp_path: Path) -> None:
    """A user's stack beside the user's ligand, by name, from any working directory."""
    write(
        tmp_path, "stearyl", f"extends: ogb\ndescription: saturated\ngap_barrier: {{value: 0.43, unit: eV, {GUESS}}}\n"
    )
    path = write(tmp_path, "mine", "extends: ogb_20nm\nligand: stearyl\n")
    stack = load_stack(path)
    assert stack.ligand is not None
    assert (stack.name, stack.ligand.name) == ("mine", "stearyl")
    assert stack.value("ligand.gap_barrier") == pytest.approx(0.43)
    assert load_stack("ogb_20nm", ligand=str(tmp_path / "stearyl.yaml")).hash == stack.hash


def test_a_stack_in_a_folder_called_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout of materials/ works for a user's own folder, and by $KMC_MATERIALS."""
    (tmp_path / "stacks").mkdir()
    write(tmp_path, "stearyl", f"extends: ogb\ngap: {{value: 2.6, unit: nm, {GUESS}}}\n")
    path = write(tmp_path / "stacks", "mine", "extends: ogb_20nm\nligand: stearyl\n")
    assert load_stack(path).value("ligand.gap") == pytest.approx(2.6)
    monkeypatch.setenv("KMC_MATERIALS", str(tmp_path))
    assert load_stack("mine").hash == load_stack(path).hash


def test_a_stack_does_not_change_and_travels(ogb: Stack) -> None:
    """Frozen; copies and pickles are equal, for studies in parallel."""
    with pytest.raises(Exception, match="frozen"):
        ogb.name = "x"
    assert pickle.loads(pickle.dumps(ogb)).hash == copy.deepcopy(ogb).hash == ogb.hash  # noqa: S301


def test_sources_and_values(ogb: Stack) -> None:
    """The keys that the device rests on, and values by path."""
    assert "john2022" in ogb.sources()
    assert ogb.value("electrode.bond_energy") == ogb.electrode.value("bond_energy")
    with pytest.raises(UserError, match='did you mean "electrode"'):
        ogb.value("electrod.bond_energy")


def test_a_card_is_no_number(ogb: Stack) -> None:
    """The message names a number of that card."""
    for path in ("electrode", "electrode."):
        with pytest.raises(UserError, match="is a card, not a number; name one"):
            ogb.value(path)


def test_an_entry_inside_another_is_told_where_it_belongs(tmp_path: Path) -> None:
    """A ligand inside of `active` is not a misspelt thickness."""
    path = tmp_path / "stack.yaml"
    path.write_text("extends: ogb_20nm\nactive:\n  ligand: ddab\n")
    with pytest.raises(UserError, match="top level") as caught:
        load_stack(path)
    assert caught.value.where == f"{path}:3"
    path.write_text("extends: ogb_20nm\nligand: ddab\n")
    assert load_stack(path).ligand.name == "ddab"
