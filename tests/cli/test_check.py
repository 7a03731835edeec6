"""kmc check, cite and schema as functions: what they print."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_stacks import STACKS, loaded

import kmc
from kmc.cards.card import list_data, load_card
from kmc.cards.card_schema import FAMILIES
from kmc.cards.yaml_documents import read
from kmc.cli import app
from kmc.cli.commands.check import _shares, check
from kmc.cli.commands.cite import cite
from kmc.cli.commands.schema import schema
from kmc.core.errors import UserError
from kmc.inputs import json_schemas
from kmc.inputs.settings import Settings
from kmc.io import checkpoint
from kmc.kinetics import process_table as processes
from kmc.kinetics.process_table import process_table
from kmc.simulation.simulation import Simulation
from kmc.study import definition


def test_check_of_everything_prints_the_share_of_assumed_values(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each card and stack, and one for all."""
    check()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok  card  ag ")
    assert any(line.startswith("ok  stack ogb_20nm ") for line in lines)
    assert lines[-1].startswith("all: ")
    assert "numbers assumed (" in lines[-1]


def test_check_as_json(capsys: pytest.CaptureFixture[str], repository: Path) -> None:
    """Alone on standard output."""
    check([str(repository / "runs/quick/run.yaml"), "ogb", "ddab_20nm"], as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [(entry["kind"], entry["name"]) for entry in found["files"]] == [
        ("run", "quick"),
        ("card", "ogb"),
        ("stack", "ddab_20nm"),
    ]
    numbers = found["files"][0]["numbers"]
    assert numbers["total"] == sum(numbers[kind] for kind in ("measured", "computed", "fitted", "assumed"))
    assert numbers["assumed_share"] == pytest.approx(numbers["assumed"] / numbers["total"], abs=1e-4)


def test_each_number_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where several are on one line; a card that two files share has its numbers once."""
    (tmp_path / "run.yaml").write_text(
        "stack: ogb_20nm\nprotocol: [{read: {}}]\n"
        "choices: {electrode.bond_energy: 0.3 eV, electrode.exchange_barrier: 0.5 eV, crystal_size: 8 nm}\n"
    )
    again = tmp_path / "again.yaml"
    again.write_text(
        "stack: ogb_20nm\nprotocol: [{read: {}}]\nchoices: {active.permittivity: 7, organic.permittivity: 7}\n"
    )
    run = str(tmp_path / "run.yaml")
    for paths in ([run], [run, "ogb"], [str(again)]):
        check(paths, as_json=True)
        found = json.loads(capsys.readouterr().out)
        assert found["numbers"] == found["files"][0]["numbers"]


def test_the_share_of_assumed_values_is_of_those_alone() -> None:
    """Neither fitted nor measured numbers count as assumed."""
    numbers = [SimpleNamespace(kind=kind) for kind in ("assumed",) * 3 + ("fitted",) * 2 + ("measured",)]
    assert _shares(numbers) == {
        "total": 6,
        "measured": 1,
        "computed": 0,
        "fitted": 2,
        "assumed": 3,
        "assumed_share": 0.5,
    }


def test_check_prints_the_table_of_processes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row a process, columns in line."""
    rows = [
        {"event": "hop", "place": "gap", "barrier_eV": 0.4},
        {"event": "reduction", "place": "tip", "barrier_eV": 0.35},
    ]
    monkeypatch.setattr(processes, "process_table", lambda stack, settings: rows)
    check(["ogb_20nm"], barriers=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == ["event      place  barrier_eV", "hop        gap    0.4", "reduction  tip    0.35"]
    with pytest.raises(UserError, match="needs a stack"):
        check(["ogb"], barriers=True)


def test_the_table_of_processes_follows_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its metal, and its spacing: the prefactor of a hop goes as one over the spacing's square."""
    for name, factor in (("whole", 0.5), ("half", 0.25)):
        (tmp_path / f"{name}.yaml").write_text(
            "stack: ogb_20nm_au\nprotocol: [{hold: {voltage: 0 V, duration: 1 us}}]\n"
            f"settings: {{spacing_factor: {factor}}}\n",
            encoding="utf-8",
        )
    check([str(tmp_path / "whole.yaml"), str(tmp_path / "half.yaml")], barriers=True, as_json=True)
    tables = json.loads(capsys.readouterr().out)["barriers"]
    hop = {name: next(row for row in rows if row["event"] == "Au+ hop") for name, rows in tables.items()}
    assert hop["half"]["prefactor_hz"] == pytest.approx(4 * hop["whole"]["prefactor_hz"])


def test_namesakes_keep_their_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is called as its stack, and that stack: told apart by path. A name of one alone stays."""
    monkeypatch.setattr(processes, "process_table", lambda stack, settings: [{"event": settings.vacancies}])
    run = tmp_path / "ogb_20nm.yaml"
    run.write_text("stack: ogb_20nm\nprotocol: [{read: {}}]\nsettings: {vacancies: explicit}\n")
    stack = next(str(path) for path in list_data("stack") if path.stem == "ogb_20nm")
    names = [str(run), "ogb_20nm", "ddab_20nm"]
    check(names, barriers=True, as_json=True)
    tables = json.loads(capsys.readouterr().out)["barriers"]
    assert tables.keys() == {str(run), stack, "ddab_20nm"}
    assert tables[str(run)] == [{"event": "explicit"}] != tables[stack]
    check(names, barriers=True, numbers=True)
    lines = capsys.readouterr().out.splitlines()
    for what in ("processes", "numbers"):
        assert [line.partition(",")[0] for line in lines if line.startswith(f"{what} of ")] == [
            f"{what} of {name}" for name in (run, stack, "ddab_20nm")
        ]


@pytest.mark.parametrize("name", STACKS)
def test_the_table_of_processes_is_the_cards(name: str) -> None:
    """Hops have the cards' barriers; redox and its reverse differ by the ion's energy and the bonds, the
    reverse has the card's barrier, and each bond adds its energy in place of two of adhesion."""
    stack = loaded(name)
    rows = {
        (row["event"], row["place"]): row["barrier_eV"] for row in process_table(stack, Settings(vacancies="explicit"))
    }
    metal = stack.electrode.symbol
    hop, electrode = f"{metal}+ hop", f"{metal} electrode"
    places = {
        (hop, "organic"): "organic.silver_ion_barrier",
        (hop, "crystal core"): "active.silver_ion_migration_barrier",
        (hop, "crystal surface"): "active.silver_ion_surface_barrier",
        (hop, "grain boundary"): "active.boundary_barrier",
        ("V_Br hop", "crystal core"): "active.vacancy_migration_barrier",
    }
    for place, path in places.items():
        if place in rows:
            assert rows[place] == pytest.approx(stack.value(path), abs=6e-4), place
    assert len(places.keys() & rows.keys()) == (4 if stack.active is not None else 1)
    out = [rows[f"{metal} -> {metal}+ + e-", f"{n} bond{'s' if n > 1 else ''}"] for n in range(1, 6)]
    back = [rows[f"{metal}+ + e- -> {metal}", f"{n} bond{'s' if n > 1 else ''}"] for n in range(1, 6)]
    assert back == pytest.approx([stack.value("electrode.reduction_barrier")] * 5, abs=6e-4)
    wetted = "ligand" if stack.ligand is not None else "active" if stack.active is not None else "organic"
    bond = stack.value("electrode.bond_energy") - 2 * stack.value(f"{wetted}.metal_adhesion")
    assert [b - a for a, b in pairwise(out)] == pytest.approx([bond] * 4, abs=1.1e-3)
    assert out[2] > back[0]  # an ion of the film costs more than an atom at a kink
    silver = {
        ("return", electrode): "exchange_barrier",
        (f"{metal} surface move", "0 bonds lost"): "surface_diffusion_barrier",
    }
    for row, key in silver.items():
        assert rows[row] == pytest.approx(stack.value(f"electrode.{key}"), abs=6e-4), row
    assert rows["ionisation", electrode] > rows["return", electrode]


def test_check_of_an_unknown_name() -> None:
    """The nearest card or stack."""
    with pytest.raises(UserError, match='did you mean "ogb_20nm"'):
        check(["ogb_2nm"])


def test_cite_prints_the_sources_of_a_stack(capsys: pytest.CaptureFixture[str]) -> None:
    """The program, the experiment, and what the numbers rest on."""
    cite("ogb_20nm")
    printed = capsys.readouterr().out
    assert printed.count("{halide_kmc,") == printed.count("{john2022,") == printed.count("{lee2017,") == 1
    cite()
    assert capsys.readouterr().out.count("\n@") == 1


def test_schemas_are_made_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Every key of every family, and the nearest name for a wrong one."""
    schema("ligand")
    found = json.loads(capsys.readouterr().out)
    assert set(FAMILIES["ligand"]) <= set(found["properties"])
    schema()
    assert set(json.loads(capsys.readouterr().out)) == set(json_schemas.names())
    with pytest.raises(UserError, match='did you mean "ligand"'):
        schema("ligan")


def test_the_reference_lists_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    """As Markdown."""
    schema(reference=True)
    printed = capsys.readouterr().out
    for table in FAMILIES.values():
        for key in table:
            assert f"| `{key}` |" in printed


def valid(value: Any, rule: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether `value` obeys a JSON schema, as far as ours go (no library for it is needed)."""
    if "$ref" in rule:
        return valid(value, root["$defs"][rule["$ref"].rpartition("/")[2]], root)
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float), "boolean": bool, "integer": int}
    named = rule.get("type", [])
    named = [named] if isinstance(named, str) else named
    if named and not any(value is None if kind == "null" else isinstance(value, kinds[kind]) for kind in named):
        return False
    if isinstance(value, str) and re.search(rule.get("pattern", ""), value) is None:
        return False
    if isinstance(value, int | float) and value < rule.get("minimum", value):
        return False
    if value != rule.get("const", value) or value not in rule.get("enum", [value]):
        return False
    if "anyOf" in rule and not any(valid(value, each, root) for each in rule["anyOf"]):
        return False
    if "oneOf" in rule and sum(valid(value, each, root) for each in rule["oneOf"]) != 1:
        return False
    for each in rule.get("allOf", []):
        if valid(value, each.get("if", {}), root) and not valid(value, each.get("then", each), root):
            return False
    if isinstance(value, list):
        return all(valid(item, rule.get("items", {}), root) for item in value)
    if not isinstance(value, dict):
        return True
    if len(value) < rule.get("minProperties", 0):
        return False
    known = rule.get("properties", {})
    if isinstance(other := rule.get("additionalProperties"), dict):
        known = dict.fromkeys(value, other) | known
    closed = rule.get("additionalProperties") is False and set(value) - set(known)
    missing = set(rule.get("required", [])) - set(value)
    return not closed and not missing and all(valid(value[key], known[key], root) for key in known if key in value)


def test_schemas_agree_with_the_files_that_come_with_kmc(repository: Path) -> None:
    """Every card, stack and run file obeys its schema; a wrong one does not."""
    for path in [*list_data("card"), *list_data("stack")]:
        name = "stack" if path.parent.name == "stacks" else load_card(path).family
        rule = json_schemas.schema(name)
        assert valid(read(path), rule, rule), path
    rule = json_schemas.schema("run")
    run = read(repository / "runs/quick/run.yaml")
    assert valid(run, rule, rule)
    assert not valid({**run, "sed": 3}, rule, rule)
    assert not valid({**run, "protocol": [{"sweep": {"to": "1 V"}}]}, rule, rule)
    assert not valid({**run, "protocol": [{"swep": {}}]}, rule, rule)
    points, file = {"points": [["0 s", "0 V"], ["1 s", "1 V"]]}, {"file": "mine.csv"}
    for corners, good in ((points, True), (file, True), ({}, False), ({**points, **file}, False)):
        assert valid({**run, "protocol": [{"pwl": {"step": "1 ms", **corners}}]}, rule, rule) == good


def test_the_schema_of_a_study(repository: Path) -> None:
    """It has the keys that a study takes, the file that comes with kmc obeys it, and wrong ones do not."""
    rule = json_schemas.schema("study")
    assert set(rule["properties"]) == set(definition.KEYS) - {"initial"}
    study = read(repository / "runs/ligand_thickness/study.yaml")
    assert valid(read(repository / "runs/ablations/study.yaml"), rule, rule)
    short = {
        "variants": {"stack": ["ogb_20nm"], "electrode": {"bond_energy": "8 draws"}},
        "protocols": {"a": [{"read": {}}]},
        "replicates": {"to": 8, "until": {"set_voltage": "9 mV"}},
    }
    assert valid(study, rule, rule)
    assert valid(short, rule, rule)
    for wrong in (
        {"sed": 3},
        {"initial": "out"},
        {"variants": {"ligand": "ogb"}},
        {"replicates": 0},
        {"cases": ["a"]},
        {"cases": {"a": "ddab"}},
        {"cases": {}},
        {"protocol": [{"swep": {}}]},
    ):
        assert not valid({**study, **wrong}, rule, rule), wrong
    for needed in ("stack", "protocol"):
        assert not valid({key: study[key] for key in study if key != needed}, rule, rule), needed


@pytest.mark.parametrize(
    "name", ["card_no_why.yaml", "card_no_source.yaml", "card_bare_number.yaml", "card_unknown_entry.yaml"]
)
def test_schemas_refuse_what_the_program_refuses(name: str, repository: Path) -> None:
    """Where a schema can say it."""
    rule = json_schemas.schema("ligand")
    assert not valid(read(repository / "tests/robustness/bad" / name), rule, rule)


def test_check_prints_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Every number of a card with its unit and reason, only where that is asked for; the same as JSON."""
    check(["ddab"])
    assert "numbers of" not in capsys.readouterr().out
    check(["ddab"], numbers=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "numbers of ddab"
    assert any(line.split()[:3] == ["gap_barrier", "0.15", "eV"] for line in lines)
    check(["ddab"], numbers=True, as_json=True)
    values = json.loads(capsys.readouterr().out)["files"][0]["values"]
    assert len(values) == 12
    assert all(row["source"] for row in values)


def test_check_tells_how_large_a_study_is(capsys: pytest.CaptureFixture[str], repository: Path) -> None:
    """The folder stands for the file in it."""
    check([str(repository / "runs/ligand_thickness")])
    told = capsys.readouterr().out
    assert "48 tasks: 2 ligand x 3 thickness x 8 replicates; voltage 0 V to 800 mV, limit 1 uA" in told
    assert re.search(r"stage 300 K, 5\.25 ms in 18 steps; 92 of 101 numbers assumed \(91 %\)", told)


def test_check_tells_what_a_study_varies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bare temperature is in K, whatever was meant; replicates may grow; a window holds two crystals."""
    path = tmp_path / "study.yaml"
    path.write_text(
        "stack: ogb_20nm\nsettings: {window: 12 nm}\nvariants: {temperature: [25, 80]}\n"
        "protocol: [hold: {voltage: 0 V, duration: 1 s}]\n"
        "replicates: {from: 2, to: 8, until: {current_most: 5 %}}\n"
    )
    check([str(path)])
    told = capsys.readouterr()
    assert "4 tasks: 2 temperature x 2 replicates (up to 8); voltage 0 V, limit none" in told.out
    assert "stage 25 K to 80 K" in told.out
    assert "the window is 22.8 nm wide at least where 12 nm were asked for" in told.err


PEAK = "[20 us, 0.5 V], [40 us, 0 V]"
PAUSE = "[1 ms, 1 V], [2 ms, 1 V], [3 ms, 0 V], [3.02 ms, 0.5 V], [3.04 ms, 0 V]"


@pytest.mark.parametrize(
    ("points", "step", "told"),
    [
        (PEAK, "50 us", "pwl reaches 250 mV where a corner has 500 mV"),
        (PEAK, "5 us", "pwl reaches 437.5 mV where a corner has 500 mV"),
        (PEAK, "0.5 us", ""),
        (PAUSE, "50 us", "pwl reaches 250 mV where a corner has 500 mV"),
        (PAUSE, "1 us", ""),
        ("[1 ms, 0.5 V], [2 ms, 1 V]", "1 ms", "pwl reaches 750 mV where a corner has 1 V"),
        ("[1 ns, 1 V], [2 ms, 1 V]", "50 us", ""),
    ],
)
def test_a_staircase_that_cuts_its_corners_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], points: str, step: str, told: str
) -> None:
    """In a loop, too: each step is at the middle of its piece of a line; where the voltage stays or jumps
    nothing is lost."""
    path = tmp_path / "run.yaml"
    corners = f"pwl: {{points: [[0 s, 0 V], {points}], step: {step}}}"
    path.write_text(f"stack: ogb_20nm\nprotocol: [repeat: {{times: 2, segments: [{corners}]}}]\n")
    check([str(path)])
    said = capsys.readouterr().err
    assert (told in said) if told else (said == "")


READ = "stack: ogb_20nm\nprotocol: [read: {}]\n"


def test_check_tells_between_what_a_run_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Least and most of voltage, limit and stage, whichever segment has them, and how long all takes."""
    path = tmp_path / "run.yaml"
    path.write_text(
        "stack: ogb_20nm\nprotocol:\n"
        "  - sweep: {to: 1 V, rate: 100 V/s, step: 50 mV, compliance: 1 uA}\n"
        "  - hold: {voltage: -0.2 V, duration: 5 ms, temperature: 330 K}\n"
    )
    check([str(path)])
    told = "voltage -200 mV to 1 V, limit 1 uA to none, stage 300 K to 330 K, 25.5 ms in 42 steps;"
    assert told in capsys.readouterr().out


def test_a_folder_of_results_hides_no_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--out ddab makes one; a folder that holds a run is that run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ddab").mkdir()
    check(["ddab"])
    assert capsys.readouterr().out.startswith("ok  card  ddab ")
    (tmp_path / "ddab" / "run.yaml").write_text(READ)
    check(["ddab"])
    assert capsys.readouterr().out.startswith("ok  run   ddab ")
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="is a directory"):
        check(["other"])


def test_the_numbers_of_a_study_are_those_of_each_variant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What differs once for each value, with a variant that has it; what all share once."""
    path = tmp_path / "study.yaml"
    path.write_text(READ + "variants: {ligand: [ogb, ddab]}\n")
    check([str(path)], numbers=True)
    names = [line.split("  ")[0].strip() for line in capsys.readouterr().out.splitlines()]
    assert {"ligand.gap [ligand ogb]", "ligand.gap [ligand ddab]", "electrode.bond_energy"} <= set(names)
    assert names.count("ligand.permittivity") == 1


def test_check_refuses_the_state_of_another_seed(tmp_path: Path) -> None:
    """As kmc run does, at the line that names the state."""
    first = Simulation(kmc.load_stack("pedot_only"), kmc.Protocol.read(), seed=3, settings=Settings(window=6.0))
    checkpoint.save(tmp_path / "checkpoint.npz", first.state_dict())
    path = tmp_path / "next.yaml"
    path.write_text(READ + "seed: 1\ninitial: checkpoint.npz\n")
    with pytest.raises(UserError, match="belongs to seed 3, this run has seed 1") as caught:
        check([str(path)])
    assert caught.value.where == f"{path}:4"


def test_check_tells_what_a_run_waits_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A chain of runs that has not begun is sound, but not to be started at this one."""
    path = tmp_path / "next.yaml"
    path.write_text(READ + "initial: first\n")
    for told in (True, False):
        check([str(path)])
        says = f"; starts from {tmp_path / 'first'}, which is not there yet\n"
        assert capsys.readouterr().out.endswith(says) is told
        check([str(path)], as_json=True)
        (file,) = json.loads(capsys.readouterr().out)["files"]
        assert file["waits_for"] == (str(tmp_path / "first") if told else None)
        (tmp_path / "first").mkdir(exist_ok=True)


@pytest.mark.parametrize(
    "more",
    [
        "choices: {crystal_size: 90 nm, thickness: 200 nm}\n",
        "variants: {crystal_size: [9 nm, 90 nm], thickness: [20 nm, 200 nm]}\n",
        "settings: {window: 500 nm}\n",
    ],
)
def test_check_refuses_a_window_that_no_run_builds(more: str, tmp_path: Path) -> None:
    """Of a run and of every variant of a study."""
    path = tmp_path / "large.yaml"
    path.write_text(READ + more)
    with pytest.raises(UserError, match=r"a window of .* sites") as caught:
        check([str(path)])
    assert caught.value.where == f"{path}:1"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("settings: {windows: 100}\n", "100 windows of"),
        ("settings: {vacancies: explicit, spacing_factor: 1.0}\n", "spacing_factor is 1"),
        ("settings: {vacancies: explicit}\nchoices: {active.vacancy_site_limit: 2}\n", "vacancy_site_limit is 2"),
    ],
)
def test_check_refuses_what_no_run_builds(more: str, says: str, tmp_path: Path) -> None:
    """More windows than memory holds; explicit vacancies that are not one a unit cell."""
    path = tmp_path / "run.yaml"
    path.write_text(READ + more)
    with pytest.raises(UserError, match=says) as caught:
        check([str(path)])
    assert caught.value.where == f"{path}:1"


def test_check_refuses_a_spread_of_no_crystals(tmp_path: Path) -> None:
    """Aspect ratios of cubes with a spread."""
    path = tmp_path / "cubes.yaml"
    path.write_text(
        "family: stack\nextends: ogb_20nm\ncrystal:\n"
        "  size: {value: 9, unit: nm, kind: assumed, why: a}\n"
        "  aspect_ratio: {value: 1, sigma: 0.1, kind: assumed, why: a}\n"
    )
    with pytest.raises(UserError, match=r"have no sigma of 0\.1; give aspect_ratio a sigma of at most 0"):
        check([str(path)])


def test_check_tells_of_a_film_that_is_built_thicker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once a file, on the error stream: what is asked is not what is simulated."""
    path = tmp_path / "study.yaml"
    path.write_text(f"{READ}variants: {{thickness: [2 nm, 20 nm], crystal_size: [7 nm, 9 nm]}}\n")
    check([str(path)])
    said = capsys.readouterr()
    told = "the active layer is built 3.52 nm thick where 2 nm were asked for"
    assert said.err.startswith(f"warning: {path}: {told}: it holds a gap of the ligand and two cells\n")
    assert said.err.count(told) == 1
    assert said.out.startswith("ok ")


def test_check_tells_each_file_that_is_wrong(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a file, in their order, and none about the good one between them; exit code 2."""
    bad = repository / "tests/robustness/bad"
    names = ["card_no_why.yaml", "card_no_source.yaml", "card_bare_number.yaml"]
    assert app.main(["check", *(str(bad / name) for name in names[:2]), "ogb", str(bad / names[2])]) == 2
    said = capsys.readouterr()
    assert [Path(line.partition(":")[0]).name for line in said.err.splitlines()] == names
    assert not said.out


def test_check_names_the_file_that_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card beside, without its .yaml; a file of nearly that name, in its folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tbab.yaml").write_text("extends: ogb\ndescription: another\n")
    (tmp_path / "run.yaml").write_text("stack: ./stack_20mn.yaml\nprotocol: [read: {}]\n")
    with pytest.raises(UserError, match=r"no such file: \./stack_20mn.yaml; check"):
        check(["run.yaml"])
    (tmp_path / "stack_20nm.yaml").write_text("extends: ogb_20nm\nligand: tbab\n")
    for given, meant in (("tbab", "tbab.yaml"), ("tbap.yaml", "tbab.yaml"), ("run.yaml", "stack_20nm.yaml")):
        with pytest.raises(UserError) as caught:
            check([given])
        assert caught.value.nearest == meant


def test_the_reference_has_every_segment(capsys: pytest.CaptureFixture[str]) -> None:
    """Its own keys with their defaults; the shared ones are no part of a row."""
    schema(reference=True)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| `sweep`")]
    assert "`to`, `rate` | `start` (0.0)" in row
    assert "compliance" not in row
