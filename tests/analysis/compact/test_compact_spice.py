"""In real ngspice, the subcircuits and the compiled Verilog-A do what the Python reference does."""

# needs-program: ngspice

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import simulators

from kmc.core.errors import UserError
from kmc_analysis.compact.equations import reference_traces
from kmc_analysis.compact.equations.model import FOLDER, CompactModel, load_model, model_names
from kmc_analysis.compact.equations.reference_traces import Drive, simulate
from kmc_analysis.compact.export import model_files, spice_netlists, veriloga

pytestmark = pytest.mark.skipif(
    simulators.ngspice() is None, reason=f"ngspice is not installed; {simulators.NGSPICE_HINT}"
)
needs_compiler = pytest.mark.skipif(
    simulators.openvaf() is None, reason=f"openvaf-r is not installed; {simulators.OPENVAF_HINT}"
)

POINTS = 300  # of time for a pulse; they take 137 to 206
FITTED = model_files.FITTED
DEVICES = [*model_names(), "ogb_20nm"]
TRAIN = Drive.pulses(**model_files.PULSES, count=20, compliance=model_files.PULSE_LIMIT_A)
SETTLED_S = 1e-5  # the source steps from zero at the start, which charges 10 pF


def device(name: str) -> CompactModel:
    """A model with its own values, or `silver` with those of a fit."""
    if name in model_names():
        return load_model(name)
    return model_files.starting_at(load_model("silver"), FITTED / f"{name}.json")


def exported(model: CompactModel, folder: Path, compiled: bool = True) -> str:
    """Write the subcircuit as library.sp, and where it is to be `compiled` the Verilog-A too: its file."""
    (folder / "library.sp").write_text(spice_netlists.subcircuit(model))
    if not compiled:
        return ""
    (folder / "model.va").write_text(veriloga.veriloga(model))
    return simulators.compile_veriloga(folder / "model.va").name


def of_the_page(name: str, model: CompactModel, folder: Path, repository: Path) -> np.ndarray:
    """What a deck of the page on ngspice writes, beside what the page exports."""
    page = (repository / "docs" / "how-to" / "ngspice.md").read_text()
    deck = re.search(rf"<!-- file spice/{name}.cir -->\n```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert deck is not None
    (folder / "kmc_silver.sp").write_text(spice_netlists.subcircuit(model))
    (folder / f"{name}.cir").write_text(deck[1])
    return simulators.run_deck(folder / f"{name}.cir", f"{name}.txt")


@pytest.mark.parametrize("name", ["silver", "ogb_20nm"])
def test_a_device_is_reset_where_nothing_limits_it(name: str, tmp_path: Path, repository: Path) -> None:
    """The deck of the page: 100 uA hold it, -0.6 V open it; a limiter of both signs would leave it closed."""
    found = of_the_page("reset", device(name), tmp_path, repository)
    closed, left = (np.interp(at, found[:, 0], found[:, 3] / 0.05) for at in (0.025, 0.135))
    assert closed > 1e-4
    assert left < 1e-8
    deck = (tmp_path / "reset.cir").read_text().replace("kmc_set_limiter", "kmc_limiter")
    (tmp_path / "both.cir").write_text(deck.replace("reset.txt", "both.txt"))
    both = simulators.run_deck(tmp_path / "both.cir", "both.txt")
    assert (np.interp(0.135, both[:, 0], both[:, 3]) > 1e-6) == (name == "ogb_20nm")


def test_the_circuit_of_the_how_to_runs(tmp_path: Path, repository: Path) -> None:
    """The deck of the page on ngspice, beside what it exports: the limiter holds 10 uA, the device sets."""
    table = of_the_page("mine", load_model("silver"), tmp_path, repository)
    assert table[-1, 0] == pytest.approx(0.1)
    current, device = np.abs(table[:, 3]), np.abs(table[:, 2])
    assert 0.99e-5 < np.median(current[current > 0.9e-5]) < 1.01e-5
    beyond = np.diff(table[:, 0], prepend=0.0)[current > 1.1e-5]  # s: the 10 pF across it discharge
    assert current.max() < 1.3e-5
    assert beyond.sum() < 1e-5
    assert device[current > 0.9e-5].min() < 0.5 * table[:, 1].max()


def side_by_side(name: str, count: float, folder: Path, osdi: str = "", nested: bool = False) -> float:
    """The current of `count` devices by `m`, after 0.9 ms at 0.6 V; `nested` in a subcircuit of one's own."""
    loaded = (f".model mod kmc_{name}_va", f"pre_osdi {osdi}") if osdi else ("", "")
    device = f"N1 a 0 mod m={count}" if osdi else f"X1 a 0 kmc_{name} m={count}"
    if nested:
        device = f".subckt own a b\nX1 a b kmc_{name}\n.ends\nX1 a 0 own m={count}"
    deck = folder / "deck.cir"
    deck.write_text(
        f"* m\n.include library.sp\n{loaded[0]}\n{spice_netlists._OPTIONS}\nV1 a 0 PWL(0 0 1u 0.6)\n{device}\n"
        f".tran 1u 0.9m 0 1u uic\n.control\n{loaded[1]}\nrun\nwrdata out.txt i(V1)\n.endc\n.end\n"
    )
    return -float(simulators.run_deck(deck, "out.txt")[-1, 1])


@pytest.mark.parametrize("name", ["silver", "memdiode"])  # states that read the current; a series resistance
def test_m_is_devices_side_by_side(name: str, tmp_path: Path) -> None:
    """On the instance, and on one of a circuit around it: m times the current of one."""
    (tmp_path / "library.sp").write_text(spice_netlists.subcircuit(load_model(name)))
    one = side_by_side(name, 1, tmp_path)
    assert one > 1e-5
    for count, nested in ((4, False), (0.5, False), (4, True)):
        assert side_by_side(name, count, tmp_path, nested=nested) == pytest.approx(count * one, rel=1e-3)


@needs_compiler
def test_m_of_veriloga_is_devices_side_by_side(tmp_path: Path) -> None:
    """There the simulator does it."""
    (tmp_path / "library.sp").write_text(spice_netlists.limiter())
    (tmp_path / "model.va").write_text(veriloga.veriloga(load_model("silver")))
    osdi = simulators.compile_veriloga(tmp_path / "model.va").name
    one, four = (side_by_side("silver", count, tmp_path, osdi) for count in (1, 4))
    assert four == pytest.approx(4 * one, rel=1e-3)


@needs_compiler
def test_a_device_of_veriloga_has_parameters_of_its_own(tmp_path: Path) -> None:
    """On its line, as of the subcircuit, or in the model for all: the leak at 300 K and at 360 K."""
    silver = load_model("silver")
    (tmp_path / "model.va").write_text(veriloga.veriloga(silver))
    osdi = simulators.compile_veriloga(tmp_path / "model.va").name
    deck = tmp_path / "deck.cir"
    deck.write_text(
        f"* two\n.model cold kmc_silver_va\n.model warm kmc_silver_va T_amb=360\n{spice_netlists._OPTIONS}\n"
        "V1 a 0 PWL(0 0 1u 0.2)\nV2 b 0 PWL(0 0 1u 0.2)\nV3 c 0 PWL(0 0 1u 0.2)\n"
        "N1 a 0 cold\nN2 b 0 cold T_amb=360\nN3 c 0 warm\n.tran 1u 9u 0 1u uic\n"
        f".control\npre_osdi {osdi}\nset num_threads=1\nrun\nset wr_singlescale\n"
        "wrdata out.txt i(V1) i(V2) i(V3)\n.endc\n.end\n"
    )
    found = -simulators.run_deck(deck, "out.txt")[-1, 1:]
    drive = Drive.of([0.0, 1e-6, 9e-6], [0.0, 0.2, 0.2])
    cold, warm = (simulate(silver, drive, {"T_amb": kelvin}).current[-1] for kelvin in (300.0, 360.0))
    assert found == pytest.approx([cold, warm, warm], rel=1e-3)


@pytest.mark.parametrize("options", [".temp 35", ".temp 85", ".options tnom=0"])
def test_the_limiter_limits_at_every_temperature(options: str, tmp_path: Path) -> None:
    """10 uA: its diodes stand for no junction, and one of ngspice's at 35 degC lets 300 times as much by."""
    (tmp_path / "library.sp").write_text(spice_netlists.limiter())
    deck = tmp_path / "deck.cir"
    deck.write_text(
        f"* limiter\n.include library.sp\n{spice_netlists._OPTIONS}\n{options}\nV1 s 0 PWL(0 0 1u 0.6 1m 0.6)\n"
        "Xlimit s d 0 kmc_limiter icc=10u\nR1 d 0 200\n.tran 1u 1m 0 1u uic\n"
        ".control\nrun\nwrdata out.txt i(V1)\n.endc\n.end\n"
    )
    assert -simulators.run_deck(deck, "out.txt")[-1, 1] == pytest.approx(1e-5, rel=1e-3)


AT_START = ["op", "dc V1 0.1 0.5 0.4", "tran 10u 1m", "tran 10u 1m uic", "ac dec 1 1 1"]


def at_start(model: CompactModel, analysis: str, given: str, folder: Path, osdi: str) -> float:
    """The device's current at 0.1 V where an analysis begins, or that of a small signal of 0.1 V."""
    device = f"N1 a 0 mod {given}" if osdi else f"X1 a 0 kmc_{model.name} {given}"
    card, loaded = (f".model mod kmc_{model.name}_va", f"pre_osdi {osdi}") if osdi else ("", "")
    deck = folder / "deck.cir"
    deck.write_text(
        f"* start\n.include library.sp\n{card}\n{spice_netlists._OPTIONS}\nV1 a 0 dc 0.1 ac 0.1\n"
        f"{device}\n.control\nset num_threads=1\n{loaded}\n{analysis}\nset wr_singlescale\n"
        "wrdata out.txt i(V1)\n.endc\n.end\n"
    )
    return -float(np.atleast_2d(simulators.run_deck(deck, "out.txt"))[0, 1])


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
@pytest.mark.parametrize("name", model_names())
def test_every_analysis_begins_at_the_start(name: str, compiled: bool, tmp_path: Path) -> None:
    """Not with the state in which its rates would rest: an operating point, a transient from one, and one
    without."""
    model = load_model(name)
    osdi = exported(model, tmp_path, compiled)
    expected = simulate(model, Drive.of([0.0, 1e-9], [0.1, 0.1])).current[0]
    for analysis in AT_START[:-1]:
        assert at_start(model, analysis, "", tmp_path, osdi) == pytest.approx(expected, rel=1e-2), analysis


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_a_programmed_device_is_the_start_of_a_simulation(compiled: bool, tmp_path: Path) -> None:
    """2 % of the metal, on the device's line: 0.1 mS in every analysis, and in the reference."""
    model = load_model("silver")
    osdi = exported(model, tmp_path, compiled)
    expected = simulate(model, Drive.of([0.0, 1e-9], [0.1, 0.1]), {"metal_0": 0.02}).current[0]
    assert expected == pytest.approx(1e-5, rel=1e-3)
    for analysis in AT_START:
        assert at_start(model, analysis, "metal_0=0.02", tmp_path, osdi) == pytest.approx(expected, rel=1e-3)
    upward = at_start(model, "dc V1 0.5 0.6 0.1", "metal_0=0.02", tmp_path, osdi)  # above the threshold
    assert upward == pytest.approx(5.0 * expected, rel=1e-3)


@needs_compiler
def test_veriloga_has_units_bounds_and_meanings(tmp_path: Path) -> None:
    """A parameter out of its bounds ends ngspice; the subcircuit tells them in comments."""
    model = load_model("silver")
    osdi = exported(model, tmp_path)
    assert "* tau_v (s): time in which" in (tmp_path / "library.sp").read_text()
    assert 'units="s", desc="time in which' in (tmp_path / "model.va").read_text()
    # The language has no ddt where a condition decides: other compilers than this one refuse it.
    assert not re.search(r"\?[^;]*ddt", (tmp_path / "model.va").read_text())
    assert at_start(model, "op", "tau_v=0.5", tmp_path, osdi) > 0.0
    with pytest.raises(UserError, match="tau_v is out of bounds"):
        at_start(model, "op", "tau_v=-1", tmp_path, osdi)


@needs_compiler
@pytest.mark.parametrize("top", [1.6, 1.9, 2.0, 2.1, 3.0, 5.0])
def test_a_jump_of_two_volt_passes_in_veriloga(top: float, tmp_path: Path) -> None:
    """`memdiode` under a limit, whose rates span 30 decades: no singular matrix, no step that collapses."""
    osdi = exported(load_model("memdiode"), tmp_path)
    deck = tmp_path / "deck.cir"
    deck.write_text(
        f"* jump\n.include library.sp\n.model mod kmc_memdiode_va\n{spice_netlists._OPTIONS}\n"
        f"Vsource s 0 PWL(0 0 5m {top} 15m -{top} 20m 0)\nXlimit s a 0 kmc_limiter icc=100u\nN1 a 0 mod\n"
        f".tran 20u 20m 0 20u uic\n.control\nset num_threads=1\npre_osdi {osdi}\nrun\n"
        "wrdata out.txt v(a)\n.endc\n.end\n"
    )
    assert simulators.run_deck(deck, "out.txt")[-1, 0] == pytest.approx(0.02)


def test_a_gap_that_newton_overshoots_has_a_power(tmp_path: Path) -> None:
    """`stanford_pku` at the simulator's own tolerances, too."""
    model = load_model("stanford_pku")
    (tmp_path / "library.sp").write_text(spice_netlists.subcircuit(model))
    text = spice_netlists.bench(model, TRAIN, "library.sp", "out.txt", step=model_files.PULSE_STEP_S)
    (tmp_path / "deck.cir").write_text(text.replace(spice_netlists._OPTIONS, ""))
    assert simulators.run_deck(tmp_path / "deck.cir", "out.txt")[-1, 0] == pytest.approx(TRAIN.time[-1])


def test_devices_are_drawn_one_after_the_other(tmp_path: Path) -> None:
    """The deck of the export: ten lines, whose voltages scatter about as their threshold does."""
    model = load_model("silver")
    model_files.write(model, model.values(), tmp_path)
    deck = ["ngspice", "-b", "monte_carlo.cir"]
    subprocess.run(deck, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    found = np.loadtxt(tmp_path / "monte_carlo.txt", skiprows=1)
    assert found[:, 0].tolist() == list(range(1, 11))
    assert 0.02 < np.std(np.log(found[:, 1])) < 0.2
    model_files.write(model, {**model.values(), "V_th": 0.9}, tmp_path)  # beyond the sweep
    subprocess.run(deck, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert np.loadtxt(tmp_path / "monte_carlo.txt", skiprows=1)[:, 1].tolist() == [-1.0] * 10
    (tmp_path / "none").mkdir()
    model_files.write(load_model("vteam"), load_model("vteam").values(), tmp_path / "none")
    assert (tmp_path / "none" / "monte_carlo.cir").exists() == bool(load_model("vteam").spread.get("device"))


def test_there_is_no_noise(tmp_path: Path) -> None:
    """None is modelled; the resistors that hold a state's node make none either."""
    (tmp_path / "library.sp").write_text(spice_netlists.subcircuit(load_model("silver")))
    (tmp_path / "deck.cir").write_text(
        f"* noise\n.include library.sp\n{spice_netlists._OPTIONS}\nV1 s 0 dc 0.1 ac 1\nR2 s b 1e9 noisy=0\n"
        "X2 b 0 kmc_silver\n.control\nnoise v(b) V1 dec 1 1 1k\nsetplot noise1\n"
        "wrdata out.txt onoise_spectrum\n.endc\n.end\n"
    )
    assert simulators.run_deck(tmp_path / "deck.cir", "out.txt")[:, 1].max() == 0.0


def apart(drive: Drive, table: np.ndarray, current: np.ndarray) -> float:
    """Largest relative distance of ngspice's device current from the reference's.

    At a jump the two differ by their steps in time: the reference may be a sample early or late.
    """
    got = np.interp(drive.time, table[:, 0], table[:, 3])
    around = np.array([np.r_[current[:1], current[:-1]], current, np.r_[current[1:], current[-1:]]])
    outside = np.maximum(np.maximum(around.min(axis=0) - got, got - around.max(axis=0)), 0.0)
    return float(np.max((outside / (np.abs(current) + 1e-12))[drive.time > SETTLED_S]))


def agreement(model: CompactModel, folder: Path, compiled: bool) -> dict[str, float]:
    """The distance for sweeps at four limits, for a SET and a RESET, and for a pulse train."""
    osdi = exported(model, folder, compiled)
    drives = {f"{limit:g} A": Drive.sweep(0.6, 1.0, limit) for limit in (1e-6, 1e-5, 1e-4, 1e-3)}
    drives |= {"reset": Drive.set_and_reset(0.6, 1.0, 1e-4), "pulses": TRAIN}
    found = {}
    for name, drive in drives.items():
        step = model_files.PULSE_STEP_S if name == "pulses" else None
        deck = folder / "deck.cir"
        deck.write_text(spice_netlists.bench(model, drive, "library.sp", "out.txt", osdi, step))
        found[name] = apart(drive, simulators.run_deck(deck, "out.txt"), simulate(model, drive).current)
    return found


@pytest.mark.parametrize("name", DEVICES)
def test_subcircuit_agrees(name: str, tmp_path: Path) -> None:
    """Within 1 % of the current at every sample."""
    found = agreement(device(name), tmp_path, compiled=False)
    assert max(found.values()) < 0.01, found


def test_a_state_may_begin_at_a_thermal_energy(tmp_path: Path) -> None:
    """Boltzmann's constant in `initial` is one in ngspice, too: 1 uA/eV of kB 300 K."""
    (tmp_path / "warm.yaml").write_text(
        "name: warm\ntitle: warm\nsource: none\nvalidity: none\nparameters:\n"
        "  R: {value: 1 Mohm, low: 1 ohm, high: 1 Gohm, unit: ohm, scale: log, meaning: resistance}\n"
        "states:\n  x: {initial: kB * 300, rate: 0, meaning: state}\ncurrent: V * x / R\n"
    )
    model = load_model(str(tmp_path / "warm.yaml"))
    exported(model, tmp_path, compiled=False)
    (tmp_path / "warm.cir").write_text(
        "warm\n.include library.sp\nV1 s 0 1\nX1 s 0 kmc_warm\n.control\ntran 1u 1m\n"
        "wrdata warm.txt -i(V1)\nquit\n.endc\n.end\n"
    )
    found = simulators.run_deck(tmp_path / "warm.cir", "warm.txt")
    assert found[-1, 1] == pytest.approx(1e-6 * 8.617333e-5 * 300, rel=1e-3)
    made = simulate(model, Drive.of([0.0, 1e-3], [1.0, 1.0]))
    assert made.current[-1] == pytest.approx(found[-1, 1], rel=1e-3)


def test_an_odd_power_has_the_sign_of_its_base(tmp_path: Path) -> None:
    """A model of one's own whose current goes with V^3, at both signs: its pow is of the absolute value."""
    own = tmp_path / "mine.yaml"
    given = (FOLDER / "vteam.yaml").read_text()
    law = "V / Ron * exp((share - 1) * log(Roff / Ron))"
    assert law in given
    own.write_text(given.replace(law, "(V + 5 * V^3) / Roff").replace("name: vteam", "name: mine"))
    model, drive = load_model(own), Drive.sweep(-0.6, 1.0, 1e-3)
    netlist, deck = spice_netlists.subcircuit(model), tmp_path / "deck.cir"
    deck.write_text(spice_netlists.bench(model, drive, "library.sp", "out.txt"))
    found = []
    for text in (netlist, netlist.replace("pwr(", "pow(")):
        (tmp_path / "library.sp").write_text(text)
        found.append(apart(drive, simulators.run_deck(deck, "out.txt"), simulate(model, drive).current))
    assert found[0] < 0.01 < 0.1 < found[1]


@needs_compiler
@pytest.mark.parametrize("name", DEVICES)
def test_veriloga_agrees(name: str, tmp_path: Path) -> None:
    """The same through openvaf-r and OSDI."""
    found = agreement(device(name), tmp_path, compiled=True)
    assert max(found.values()) < 0.01, found


def pulse_source(voltage: float, width: float, gap: float, read: float = 0.05, edge: float = 1e-2) -> str:
    """PULSE(...) for the source of Drive.pulses: ngspice searches a long PWL at every step."""
    ramp = edge * width
    return f"PULSE({read!r} {voltage!r} 0 {ramp!r} {ramp!r} {width - ramp!r} {width + gap!r})"


def points_of(model: CompactModel, folder: Path, count: int, osdi: str = "") -> float:
    """Points of time for each of some pulses, to their end without a convergence failure: what they cost, the
    same on any machine."""
    (folder / "library.sp").write_text(spice_netlists.subcircuit(model))
    drive = Drive.pulses(**model_files.PULSES, count=count, compliance=model_files.PULSE_LIMIT_A)
    source = pulse_source(**model_files.PULSES)
    deck = folder / "deck.cir"
    deck.write_text(spice_netlists.bench(model, drive, "library.sp", "out.txt", osdi, model_files.PULSE_STEP_S, source))
    table = simulators.run_deck(deck, "out.txt")
    assert table[-1, 0] == pytest.approx(drive.time[-1], rel=1e-6)
    return len(table) / count


COUNTS = [100, pytest.param(1000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", DEVICES)
def test_pulses(name: str, count: int, tmp_path: Path) -> None:
    """In no more points than a pulse's edges and its answer need."""
    assert points_of(device(name), tmp_path, count) < POINTS


@needs_compiler
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", DEVICES)
def test_pulses_of_veriloga(name: str, count: int, tmp_path: Path) -> None:
    """The same through openvaf-r and OSDI."""
    model = device(name)
    (tmp_path / "model.va").write_text(veriloga.veriloga(model))
    osdi = simulators.compile_veriloga(tmp_path / "model.va").name
    assert points_of(model, tmp_path, count, osdi) < POINTS


def test_two_devices_of_one_model_in_a_circuit(tmp_path: Path) -> None:
    """Exported under names of their own; each does as the reference with its parameters."""
    model, drive = load_model("vteam"), Drive.sweep(0.6, 1.0, np.inf)
    own = {"low": {"v_on": 0.3}, "high": {"v_on": 0.5}}
    for name, changes in own.items():
        model_files.write(model, model.values(changes), tmp_path / name, name)
        told = json.loads((tmp_path / name / "parameters.json").read_text())
        assert told["model"] == "vteam"
        assert f"module kmc_{name}_va" in (tmp_path / name / f"kmc_{name}.va").read_text()
    lines = [f".include {name}/kmc_{name}.sp\nV{name} s {name} 0\nX{name} {name} 0 kmc_{name}" for name in own]
    deck = tmp_path / "deck.cir"
    deck.write_text(
        "\n".join(["* two", spice_netlists._OPTIONS, f"Vsource s 0 {spice_netlists.pwl(drive)}", *lines])
        + "\n.tran 1m 1.2 0 1m uic\n.control\nrun\nset wr_singlescale\nwrdata out.txt i(Vlow) i(Vhigh)\n"
        ".endc\n.end\n"
    )
    table = simulators.run_deck(deck, "out.txt")
    for column, changes in enumerate(own.values(), start=1):
        made = simulate(model, drive, changes).current
        found = np.interp(drive.time, table[:, 0], table[:, column])
        assert found[50:-50] == pytest.approx(made[50:-50], rel=0.05)


def test_a_crossbar_of_different_devices_runs(tmp_path: Path) -> None:
    """3 x 3 devices with their own thresholds: the driven row's devices set, and the columns carry it all."""
    model = load_model("silver")
    (tmp_path / "library.sp").write_text(spice_netlists.subcircuit(model))
    vectors = reference_traces.population(model, 9, 7)
    own = [dict(zip(model.names, vector, strict=True)) for vector in vectors]
    deck = tmp_path / "deck.cir"
    deck.write_text(spice_netlists.crossbar(model, 3, 3, Drive.sweep(0.6, 1.0, 1e-4), "library.sp", "out.txt", own))
    table = simulators.run_deck(deck, "out.txt")
    total = table[:, 1:].sum(axis=1)
    assert total.max() == pytest.approx(1e-4, rel=0.01)
    assert table[-1, 0] == pytest.approx(1.2, rel=1e-6)
