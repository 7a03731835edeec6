"""Run files: what they hold, --set, relative paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmc.cards.card import list_data, load_card
from kmc.cards.stack import load_stack
from kmc.core.errors import UserError
from kmc.inputs.run_file import load_run

RUN = "stack: ogb_20nm\nprotocol:\n  - sweep: {to: 1.5 V, rate: 100 V/s, compliance: 1 uA}\n"


def write(folder: Path, text: str = RUN, name: str = "run.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["quick", "ogb_20nm"])
def test_the_runs_of_this_repository_load(name: str, repository: Path) -> None:
    """They are named for their folder."""
    run = load_run(repository / "runs" / name / "run.yaml")
    assert run.name == name
    assert run.device.hash == load_stack("ogb_20nm").hash


def test_the_double_sweep_of_the_20_nm_device(repository: Path) -> None:
    """Up and back at 1 uA, then fading at 0 V and a read."""
    steps = load_run(repository / "runs/ogb_20nm/run.yaml").protocol.steps()
    sweep = [step for step in steps if step.segment == 0]
    peak = max(step.voltage_V for step in sweep)
    assert (sweep[0].voltage_V, sweep[-1].voltage_V) == (0.0, 0.0)
    assert peak == pytest.approx(0.6, rel=1e-12)
    assert {step.compliance_A for step in sweep} == {1e-6}
    assert (steps[-2].voltage_V, steps[-1].voltage_V) == (0.0, 0.05)


@pytest.mark.parametrize(("name", "choices"), [("ogb_20nm", {}), ("ddab", {"ligand": "ddab"})])
def test_a_run_may_be_called_as_what_it_names(tmp_path: Path, name: str, choices: dict[str, str]) -> None:
    """No file is the stack or card that it asks for by name: that is its namesake of the program."""
    path = write(tmp_path, f"{RUN}choices: {choices}\n", f"{name}.yaml")
    assert load_run(path).device.hash == load_stack("ogb_20nm", **choices).hash


def test_a_run_that_only_itself_is_called_as(tmp_path: Path) -> None:
    """It is not offered as what was meant either."""
    with pytest.raises(UserError, match='no stack is called "mine_alone"') as caught:
        load_run(write(tmp_path, RUN.replace("ogb_20nm", "mine_alone"), "mine_alone.yaml"))
    assert caught.value.nearest != "mine_alone"


@pytest.mark.parametrize("kind", ["protocol: [read: {}]", "protocols: {a: [read: {}]}"])
def test_a_name_is_no_run_beside_it(tmp_path: Path, kind: str) -> None:
    """Nor a study: for a run, its choices, and a card that extends. A damaged one is told."""
    for name in ("ogb_20nm", "ogb", "mine_alone"):
        write(tmp_path, f"stack: ogb_20nm\n{kind}\n", f"{name}.yaml")
    run = write(tmp_path, f"{RUN}choices: {{ligand: ogb}}\n")
    assert load_run(run).device.hash == load_stack("ogb_20nm", ligand="ogb").hash
    assert load_card(write(tmp_path, "extends: ogb\n", "own.yaml")).values == load_card("ogb").values
    assert {path.parent for path in list_data("card", run) if path.stem == "ogb"} != {tmp_path}
    with pytest.raises(UserError, match='no stack is called "mine_alone"') as caught:
        load_run(write(tmp_path, RUN.replace("ogb_20nm", "mine_alone"), "other.yaml"))
    assert caught.value.nearest != "mine_alone"
    write(tmp_path, f"stack: [\n{kind}\n", "ogb_20nm.yaml")
    with pytest.raises(UserError, match="is not valid YAML") as caught:
        load_run(run)
    assert caught.value.where.startswith(f"{tmp_path}/ogb_20nm.yaml:")


def test_a_card_that_speaks_of_a_protocol_is_found(tmp_path: Path) -> None:
    """Only a key at the top tells a run."""
    write(tmp_path, "extends: ogb\ndescription: |\n  after the\n  protocol: of others\n", "mine.yaml")
    assert load_card("mine", tmp_path / "run.yaml").path == str(tmp_path / "mine.yaml")


def test_everything_a_run_file_may_say(tmp_path: Path) -> None:
    """Choices flat and nested, settings, snapshots, initial."""
    write(tmp_path, "", "before.nc")
    run = load_run(
        write(
            tmp_path,
            RUN
            + """description: all
choices:
  ligand: ddab
  electrode: {bond_energy: 0.31 eV}
  device.series_resistance: 10 ohm
seed: 9
settings: {window: 12 nm, windows: 4}
snapshots: {every: 1 ms}
initial: before.nc
""",
        )
    )
    assert run.device.ligand is not None
    assert run.device.ligand.name == "ddab"
    assert run.choices == {"ligand": "ddab", "electrode.bond_energy": "0.31 eV", "device.series_resistance": "10 ohm"}
    assert run.device.value("electrode.bond_energy") == pytest.approx(0.31)
    assert (run.seed, run.settings.window, run.settings.windows) == (9, 12.0, 4)
    assert run.snapshots == {"every": 1e-3}
    assert run.initial == tmp_path / "before.nc"


def test_a_value_before_its_card_counts(tmp_path: Path) -> None:
    """The order of the choices in the file says nothing."""
    run = load_run(write(tmp_path, RUN + "choices:\n  electrode.bond_energy: 0.5 eV\n  electrode: au\n"))
    assert (run.device.electrode.name, run.device.value("electrode.bond_energy")) == ("au", 0.5)


def test_a_choice_is_given_once(tmp_path: Path) -> None:
    """Nested and by its path is twice; --set is put over either."""
    nested = RUN + "choices:\n  electrode: {bond_energy: 0.5 eV}\n"
    with pytest.raises(UserError, match="bond_energy is given twice"):
        load_run(write(tmp_path, nested + "  electrode.bond_energy: 0.4 eV\n"))
    run = load_run(write(tmp_path, nested), ["choices.electrode.bond_energy=0.3 eV"])
    assert run.device.value("electrode.bond_energy") == pytest.approx(0.3)


def test_a_stack_beside_the_run(tmp_path: Path) -> None:
    """By name and by relative path, whatever the working directory."""
    (tmp_path / "mine.yaml").write_text("extends: ogb_20nm\nligand: ddab\n")
    for stack in ("mine", "mine.yaml", "./mine.yaml"):
        run = load_run(write(tmp_path, RUN.replace("ogb_20nm", stack)))
        assert run.device.ligand is not None
        assert run.device.ligand.name == "ddab"


def test_the_name_of_a_run(tmp_path: Path) -> None:
    """runs/<name>/run.yaml is <name>, other.yaml is other."""
    assert load_run(write(tmp_path)).name == tmp_path.name
    assert load_run(write(tmp_path, name="other.yaml")).name == "other"


def test_sets_are_put_over_the_file(tmp_path: Path) -> None:
    """Plain, nested, into lists, new and old keys; the file stays as it is."""
    path = write(tmp_path)
    run = load_run(
        path,
        [
            "seed=9",
            "settings.window=12 nm",
            "choices.ligand=ddab",
            "choices.electrode.bond_energy=0.31 eV",
            "protocol.0.sweep.to=2 V",
            "snapshots={every: 1 ms}",
            "settings.spacing_factor=1e0",
        ],
    )
    assert (run.seed, run.settings.window, run.settings.spacing_factor) == (9, 12.0, 1.0)
    assert run.choices == {"ligand": "ddab", "electrode.bond_energy": "0.31 eV"}
    assert max(step.voltage_V for step in run.protocol.steps()) == 2.0
    assert run.snapshots == {"every": 1e-3}
    assert path.read_text() == RUN


@pytest.mark.parametrize(
    ("text", "says", "near"),
    [
        ("sed=9", "unknown key", "seed"),
        ("settings.windw=3 nm", "unknown key", "window"),
        ("protocol.7.sweep=3", "no place in a list of 1", None),
        ("protocol.0.sweep.to=2 eV", "wrong dimension", None),
        ("choices.ligand=dab", "no card is called", "ddab"),
        ("choices.electrode.bond_enegy=3 eV", "a metal card has no", "bond_energy"),
        ("stack=ogb_20n", "no stack is called", "ogb_20nm"),
        ("seed=-1", "whole number", None),
        ("seed", "is not path=value", None),
        ("=3", "is not path=value", None),
        ("seed.x=3", "unknown key|plain value|whole number", None),
        ("stack.x=3", "plain value", None),
        ("seed={a: [", "not valid YAML", None),
        ("seed=*a", "not valid YAML", None),
    ],
)
def test_a_wrong_set_is_refused(text: str, says: str, near: str | None, tmp_path: Path) -> None:
    """The place shown is the option, not a line of the file."""
    with pytest.raises(UserError, match=says) as caught:
        load_run(write(tmp_path), [text])
    assert caught.value.where.startswith("--set")
    assert caught.value.nearest == near
    assert caught.value.next_step


def test_a_set_is_given_once(tmp_path: Path) -> None:
    """One of two values would be lost, in a list too; different paths go together."""
    for twice in (["seed=3", "seed = 4"], ["protocol.0.sweep.to=1 V", "seed=1", "protocol.0.sweep.to=2 V"]):
        with pytest.raises(UserError, match=r"is given twice, as .* and as .*; keep one of the two"):
            load_run(write(tmp_path), twice)
    assert load_run(write(tmp_path), ["choices={ligand: ddab}", "choices.thickness=40 nm"]).choices == {
        "ligand": "ddab",
        "thickness": "40 nm",
    }


def test_a_set_does_not_replace_another(tmp_path: Path) -> None:
    """One that holds the place of an earlier one would undo it; the other way round both count."""
    sweep = "protocol.0.sweep={to: 1 V, rate: 1 V/s}"
    for path, sets in (
        ("settings", ["settings.window=12 nm", "seed=1", "settings={spacing_factor: 1}"]),
        ("protocol.0.sweep", ["protocol.0.sweep.to=2 V", sweep]),
        ("choices", ["choices.electrode.bond_energy=0.3 eV", "choices={ligand: ddab}"]),
    ):
        with pytest.raises(UserError, match=f": {path} would undo {sets[0].partition('=')[0]};") as caught:
            load_run(write(tmp_path), sets)
        assert caught.value.where == f"--set {path}"
        assert "first" in caught.value.next_step
    run = load_run(write(tmp_path), [sweep, "protocol.0.sweep.to=2 V"])
    assert max(step.voltage_V for step in run.protocol.steps()) == 2.0
    run = load_run(write(tmp_path), ["choices.electrode.bond_energy=0.3 eV", "choices.electrode=au"])
    assert run.choices == {"electrode.bond_energy": "0.3 eV", "electrode": "au"}


@pytest.mark.parametrize("choices", ["{electrode: {bond_energy: 0.31 eV}}", "{electrode.bond_energy: 0.31 eV}"])
def test_a_choice_in_a_mapping_is_one_with_a_dot(tmp_path: Path, choices: str) -> None:
    """A card that --set chooses leaves the file's number on it, however the file has it."""
    path = write(tmp_path, RUN + f"choices: {choices}\n")
    run = load_run(path, ["choices.electrode=au"])
    assert run.choices == {"electrode.bond_energy": "0.31 eV", "electrode": "au"}
    run = load_run(path, ["choices.electrode.isolated_redox_factor=1"])
    assert run.choices == {"electrode.bond_energy": "0.31 eV", "electrode.isolated_redox_factor": 1}
    with pytest.raises(UserError, match="no card is called") as caught:
        load_run(path, ["choices.electrode=aux"])
    assert caught.value.where.startswith("--set")
    with pytest.raises(UserError) as caught:
        load_run(write(tmp_path, RUN + f"choices: {choices.replace('eV', 'nm')}\n"), ["choices.electrode=au"])
    assert caught.value.where == f"{path}:4"


def test_a_file_that_a_set_names_is_beside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that the run file names, wherever the command is given; errors tell the option."""
    (tmp_path / "runs").mkdir()
    path = write(tmp_path / "runs")
    (tmp_path / "mine.csv").write_text("0 0\n1e-3 0.5\n")
    monkeypatch.chdir("/")
    segment = "{pwl: {file: ../mine.csv, step: 1 ms}}"
    for text in (
        f"protocol=[{segment}]",
        f"protocol.0={segment}",
        f"protocol.0={{repeat: {{times: 1, segments: [{segment}]}}}}",
    ):
        assert load_run(path, [text]).protocol.duration_s == pytest.approx(1e-3)
    for text in (
        "protocol=[{pwl: {file: 3, step: 1 ms}}]",
        "settings={windw: 3}",
        "protocol.0={sweep: {to: 2 eV, rate: 1 V/s}}",
    ):
        with pytest.raises(UserError) as caught:
            load_run(path, [text])
        assert caught.value.where.startswith(f"--set {text.partition('=')[0]}"), text


def test_a_limiter_that_is_off_meets_no_condition(tmp_path: Path) -> None:
    """`settings.compliance: false` beside a condition on the limit, in a loop too."""
    until = "until: {current_at_limit: true}"
    hold = "hold: {voltage: 1 V, duration: 1 ms, compliance: 1 uA"
    for segment in (f"{hold}, {until}}}", f"repeat_until: {{{until}, most: 2, segments: [{hold}}}]}}"):
        path = write(tmp_path, f"stack: ogb_20nm\nprotocol:\n  - {segment}\n")
        assert load_run(path).settings.compliance
        with pytest.raises(UserError, match="current_at_limit") as caught:
            load_run(path, ["settings.compliance=false"])
        assert caught.value.where == "--set settings.compliance"
        assert caught.value.next_step
    assert not load_run(write(tmp_path), ["settings.compliance=false"]).settings.compliance


def test_what_a_run_starts_from_must_be_there(tmp_path: Path) -> None:
    """For kmc run; kmc check takes a chain of runs that has not begun, and says so."""
    path = write(tmp_path, RUN + "initial: nowhere.nc\n")
    with pytest.raises(UserError, match="does not exist") as caught:
        load_run(path)
    assert caught.value.where == f"{path}:4"
    assert load_run(path, must_exist=False).initial == tmp_path / "nowhere.nc"
