"""What simulators of learning read of a model: loaded by the library, or else held to its format.

aihwkit's wheel does not load beside current torch, CrossSim and NeuroSim are not on the registry: their files
run here against stand-ins with the signatures that those libraries document, or against the library itself
where it is installed.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import math
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from kmc.core.errors import UserError
from kmc_analysis.compact.equations.model import load_model, model_names
from kmc_analysis.compact.export import learning_formats, model_files, pulse_response
from kmc_analysis.compact.export.pulse_response import COUNT, RAMPS
from kmc_analysis.compact.export.reservoirpy_device import Devices
from kmc_analysis.metrics.reads_and_retention import READ_V

FITTED = model_files.FITTED
LAW_PER_V, LAW_OFFSET_S = 3.338, -12.94e-6  # of the seed: G = 3.338 Icc - 12.94 uS


@dataclass
class PiecewiseStepDevice:
    """The parameters of aihwkit 1.2's device that a preset may name, with its defaults."""

    w_min: float = -0.6
    w_max: float = 0.6
    w_min_dtod: float = 0.3
    w_max_dtod: float = 0.3
    dw_min: float = 0.001
    dw_min_std: float = 0.3
    dw_min_dtod: float = 0.3
    up_down_dtod: float = 0.01
    piecewise_up: list[float] = field(default_factory=lambda: [1.0])
    piecewise_down: list[float] = field(default_factory=lambda: [1.0])


@dataclass
class SinglePairConductanceConverter:
    """aihwkit's converter; in microsiemens."""

    g_max: float = 25.0
    g_min: float = 0.0


class BaseNoiseModel:
    """aihwkit's base."""

    def __init__(self, g_converter: SinglePairConductanceConverter) -> None:
        self.g_converter = g_converter


class EmptyDevice:
    """CrossSim 3's base."""

    def __init__(self, device_params: object, weight_error_params: object) -> None:
        self.device_params = device_params


STAND_INS = {
    "aihwkit": {
        "aihwkit.simulator.configs.devices": PiecewiseStepDevice,
        "aihwkit.inference.noise.base": BaseNoiseModel,
        "aihwkit.inference.converter.conductance": SinglePairConductanceConverter,
    },
    "simulator": {"simulator.devices.idevice": EmptyDevice},
}


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the libraries that are not installed."""
    for library, names in STAND_INS.items():
        if importlib.util.find_spec(library) is not None:
            continue
        for name, made in names.items():
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                whole = ".".join(parts[:end])
                if whole not in sys.modules:
                    monkeypatch.setitem(sys.modules, whole, ModuleType(whole))
            setattr(sys.modules[name], made.__name__, made)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exports of our model."""
    out = tmp_path_factory.mktemp("silver")
    model = load_model("silver")
    model_files.write(model, model.values(), out)
    return out


@pytest.fixture(scope="module")
def steps() -> pulse_response.Ladder:
    """Our model's conductances under pulses."""
    model = load_model("silver")
    return pulse_response.ladder(model, model.values())


def loaded(path: Path) -> ModuleType:
    """An exported file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", [n for n in model_names() if n != "stanford_pku"])
def test_every_model_has_its_files(name: str) -> None:
    """Tables of pulses for all; what a compliance programs only where one does."""
    model = load_model(name)
    made = learning_formats.texts(model, model.values())
    assert {"pulses_up_down.csv", "crosssim/set.csv", "aihwkit_pulsed.py", "neurosim_arrays.h"} <= set(made)
    assert ("aihwkit_programmed.py" in made) == (name != "vvteam")  # which keeps nothing


@pytest.mark.slow
def test_the_stiffest_model_has_its_files_too() -> None:
    """Its equations have no answer at some widths of a pulse, which are left out."""
    model = load_model("stanford_pku")
    assert "neurosim_arrays.h" in learning_formats.texts(model, model.values())


def test_a_model_that_stands_still_is_said_to(tmp_path: Path) -> None:
    """No pulse moves it: a word in place of the tables, and everything else is written."""
    model = load_model("vteam")
    still = {**model.values(), "v_on": 2.0}
    with pytest.raises(UserError, match="hardly changes under pulses"):
        pulse_response.ladder(model, still)
    names = {path.name for path in model_files.write(model, still, tmp_path)}
    assert "no_tables_of_pulses.txt" in names
    assert "kmc_vteam.sp" in names


def test_a_device_that_hardly_goes_back_has_no_tables() -> None:
    """Metal that -0.6 V does not take away: up is of the first pulse alone, and no device learns so."""
    model = load_model("silver")
    stuck = {**model.values(), "V_r": 2.0, "tau_v": 1000.0}
    with pytest.raises(UserError, match=r"hardly changes under pulses of -0\.6 V"):
        pulse_response.ladder(model, stuck)


def test_pulses_down_bring_a_fitted_device_back() -> None:
    """`ogb_20nm` is held at 0.13 V by a limit, below its reset voltage: what resets it has none."""
    model = model_files.starting_at(load_model("silver"), Path("ogb_20nm"))
    found = pulse_response.ladder(model, model.values())
    assert np.all(found.up[1:, -1] > 3.0 * found.up[1:, 0])
    assert found.down[:-1, -1] == pytest.approx(found.up[1:, 0], rel=1e-3)


def test_compliance_programs_the_measured_law(folder: Path) -> None:
    """Levels rise with the compliance, by the law's slope; a day later less is left."""
    rows = np.genfromtxt(folder / "levels.csv", delimiter=",", names=True)
    slope, offset = np.polyfit(rows["compliance_A"], rows["conductance_S"], 1)
    assert slope == pytest.approx(LAW_PER_V, rel=0.01)
    assert abs(offset - LAW_OFFSET_S) < 20e-6
    assert np.all(rows["after_86400_s_S"] < 0.9 * rows["conductance_S"])


def test_plain_tables(folder: Path) -> None:
    """CSV and NPZ as numpy reads them, and a PWL source that a simulator reads: times that rise."""
    rows = np.genfromtxt(folder / "pulses_up_down.csv", delimiter=",", names=True)
    assert rows.size == COUNT + 1
    assert rows["up_S"][-1] > 10.0 * rows["up_S"][0]
    with np.load(folder / "traces.npz") as arrays:
        assert arrays["pulses_current_A"].shape == arrays["pulses_time_s"].shape
    corners = np.loadtxt(folder / "pulses.pwl")
    assert np.all(np.diff(corners[:, 0]) > 0.0)


def test_crosssim_tables(folder: Path, steps: pulse_response.Ladder) -> None:
    """Header rmp1,rmp2,...; a row a pulse; currents at 0.1 V, as its script turns them into conductances."""
    for name, ramps in (("set", steps.up), ("reset", steps.down)):
        path = folder / "crosssim" / f"{name}.csv"
        assert path.read_text().splitlines()[0] == ",".join(f"rmp{k + 1}" for k in range(RAMPS))
        table = np.genfromtxt(path, skip_header=1, delimiter=",")
        assert table.shape == (COUNT + 1, RAMPS)
        assert table / READ_V == pytest.approx(ramps.T)


@pytest.mark.usefixtures("libraries")
def test_crosssim_device(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programming spreads by what the cycles do, reading adds nothing, and time takes from every level."""
    np.random.seed(1)  # noqa: NPY002 - CrossSim's devices draw from numpy's global generator
    module = loaded(folder / "crosssim" / "kmc_device.py")
    parameters = SimpleNamespace(
        Gmin_norm=0.2, Gmax_norm=1.0, Grange_norm=0.8, clip_conductance=False, cell_bits=0, time=0.0
    )
    device = module.KmcSilver(parameters, SimpleNamespace(magnitude=0.0))
    target = np.linspace(0.2, 1.0, 2000).reshape(50, 40)
    programmed = device.programming_error(target)
    expected = np.interp(target, module.LEVELS, module.SPREADS)
    assert np.std(programmed - target) == pytest.approx(expected.mean(), rel=0.5)
    assert np.array_equal(device.read_noise(target), target)
    assert np.all(device.drift_error(target, 86400.0) < 0.9 * target)
    monkeypatch.setattr(module, "SPREADS", np.zeros_like(module.SPREADS))  # drift draws a programming, too
    assert device.drift_error(target, 0.0) == pytest.approx(target, rel=0.01)


@pytest.mark.usefixtures("libraries")
def test_aihwkit_pulses(folder: Path, steps: pulse_response.Ladder) -> None:
    """A weight that moves by aihwkit's rule follows the model's own ramp within a tenth of the range."""
    device = loaded(folder / "aihwkit_pulsed.py").pulsed()
    assert (device.w_min, device.w_max) == (-1.0, 1.0)
    nodes = np.linspace(device.w_min, device.w_max, len(device.piecewise_up))
    low, high = steps.up.mean(0)[0], steps.up.mean(0)[-1]
    ways = ((steps.up, device.piecewise_up, 1.0), (steps.down, device.piecewise_down, -1.0))
    for ramp, scales, sign in ways:
        expected = learning_formats.weights(ramp.mean(0), low, high)
        found = [expected[0]]
        for _ in range(COUNT):
            step = sign * device.dw_min * np.interp(found[-1], nodes, scales)
            found.append(np.clip(found[-1] + step, -1.0, 1.0))
        assert np.max(np.abs(np.array(found) - expected)) < 0.2


@pytest.mark.usefixtures("libraries")
def test_aihwkit_compliance(folder: Path) -> None:
    """Conductances in microsiemens; noise when programmed, and less of everything a day later."""
    model = loaded(folder / "aihwkit_programmed.py").ComplianceProgrammed()
    assert 30.0 < model.g_converter.g_min < model.g_converter.g_max < 1000.0
    target = np.linspace(model.g_converter.g_min, model.g_converter.g_max, 500)
    programmed = model.apply_programming_noise_to_conductance(target)
    assert 0.0 < np.std(programmed - target) < 0.05 * model.g_converter.g_max
    drift = model.generate_drift_coefficients(target)
    day, hour = (model.apply_drift_noise_to_conductance(programmed, drift, t) for t in (86400.0, 3600.0))
    assert np.all(day < hour)
    assert np.all(hour < programmed)


def test_neurosim_arrays(folder: Path) -> None:
    """LTP strictly rising, LTD strictly falling, each beginning where the other ends."""
    text = (folder / "neurosim_arrays.h").read_text()
    arrays = {}
    for name in ("dataConductanceLTP", "dataConductanceLTD"):
        body = text.split(f"{name} = {{")[1].split("}")[0]
        arrays[name] = np.array([float(word) for word in body.split(",")])
        assert f"maxNumLevel{name[-3:]} = {arrays[name].size - 1};" in text
    up, down = arrays.values()
    assert np.all(np.diff(up) > 0.0)
    assert np.all(np.diff(down) < 0.0)
    assert (up[0], up[-1]) == (down[-1], down[0])


def test_neurosim_has_the_width_of_each_pulse() -> None:
    """10 us to raise the conductance, 2 ms to lower it."""
    ramp = np.linspace(1e-9, 1e-4, COUNT + 1)
    pulsed = pulse_response.Ladder(np.array([ramp, ramp]), np.array([ramp[::-1]] * 2), up_s=1e-5, down_s=2e-3)
    lines = learning_formats.neurosim_arrays(load_model("silver"), pulsed).splitlines()
    assert {"writePulseWidthLTP = 1e-05;", "writePulseWidthLTD = 0.002;"} <= set(lines)


def recall(node: Devices, seed: int) -> float:
    """R squared with which a ridge tells the last input but one from the node's features."""
    from reservoirpy.nodes import Ridge

    x = np.random.default_rng(seed).random((400, 1))
    features = node.run(x)
    wanted = np.vstack([np.zeros((1, 1)), x[:-1]])
    readout = Ridge(ridge=1e-6)
    readout.fit(features[20:300], wanted[20:300])
    miss = wanted[300:] - readout.run(features[300:])
    return float(1.0 - np.mean(miss**2) / np.var(wanted[300:]))


def test_the_node_of_a_model_of_ones_own(tmp_path: Path) -> None:
    """Its file is found, and its spreads are those that it was exported with."""
    given = load_model("stanford_pku").path.read_text()  # whose gap does not begin at zero
    (tmp_path / "mine.yaml").write_text(given.replace("name: stanford_pku", "name: mine"))
    own = replace(load_model(tmp_path / "mine.yaml"), spread={"device": {"I0": 0.7}})
    (tmp_path / "node.py").write_text(learning_formats.reservoirpy_node(own, own.values(), 1e-4))
    made = loaded(tmp_path / "node.py").node(devices=30)
    assert made.model.name == "mine"
    first = made.run(np.full((3, 1), 0.5))
    made.reset()
    assert np.array_equal(made.run(np.full((3, 1), 0.5)), first)
    place = own.names.index("I0")
    assert 0.4 < np.log(made.vectors[:, place]).std() < 1.0


def test_a_slow_device_has_pulses_that_move_it(tmp_path: Path) -> None:
    """The shipped device: the features of its node tell the input before, by the width of pulse in its
    export, and after a hundred steps, when the start no longer moves them, still move. Negative control: with
    a tenth of that width less than a third as much."""
    slow = model_files.starting_at(load_model("silver"), FITTED / "ogb_20nm_even_weights.json")
    width = pulse_response.ladder(slow, slow.values()).up_s
    (tmp_path / "node.py").write_text(learning_formats.reservoirpy_node(slow, slow.values(), width))
    module, x = loaded(tmp_path / "node.py"), np.random.default_rng(1).random((200, 1))
    moved, still = (
        module.node(devices=10, seed=3, **given).run(x)[100:].std(axis=0).max()
        for given in ({}, {"width_s": 0.1 * module.WIDTH_S})
    )
    assert moved > 1e-3
    assert still < 0.3 * moved
    assert recall(module.node(devices=10, seed=3), 5) > 0.5


def test_reservoirpy_node(folder: Path) -> None:
    """The same seed gives the same features; devices that fade slowly remember inputs, quick ones do not."""
    module = loaded(folder / "reservoirpy_node.py")
    x = np.random.default_rng(1).random((30, 2))
    one, two, other = (module.node(devices=10, seed=seed).run(x) for seed in (3, 3, 4))
    assert one.shape == (30, 10)
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert np.all((one > -0.2) & (one < 1.2))
    assert module.node(devices=2).model.spread == module.SPREAD
    forgetful = Devices("silver", {**module.PARAMETERS, "tau_v": 1e-5}, 30, 3)
    assert recall(module.node(devices=30, seed=3), 5) > 0.7
    assert recall(forgetful, 5) < 0.1


def test_a_node_is_called_as_it_is_asked_to() -> None:
    """A reservoir of two nodes tells them apart by it."""
    nodes = [Devices("vteam", {}, 1, name=name) for name in ("left", "right", None)]
    assert [node.name for node in nodes] == ["left", "right", None]


def test_a_node_refuses_what_is_no_number() -> None:
    """Before a device is driven by it: silence would be a constant feature."""
    for wrong in (
        {"compliance_A": math.nan},
        {"compliance_A": -1e-6},
        {"off_S": 0.0},
        {"on_S": 1e-11},
        {"on_S": 1e-10},
        {"width_s": "1 ms"},
        {"pulse_V": math.nan},
        {"devices": 0},
    ):
        with pytest.raises(UserError, match=f"{next(iter(wrong))} is"):
            Devices("vteam", {}, **wrong)
    with pytest.raises(UserError, match="an input is"):
        Devices("vteam", {}, 2).run(np.full((1, 1), np.nan))


def test_a_node_is_copied_to_where_it_runs() -> None:
    """In another process its equations are compiled again: two workers give what one does."""
    node, series = Devices("vteam", {}, 3, 5), np.random.default_rng(1).random((2, 4, 1))
    alone = node.run(series)
    node.reset()
    assert np.array_equal(copy.deepcopy(node).run(series), alone)
    assert np.array_equal(node.run(series, workers=2), alone)


def test_a_users_words_end_no_docstring() -> None:
    """Whatever a model's title and source are: all of the modules can be read."""
    words = 'Bridge """quoted""" of \\x'
    odd = replace(load_model("vteam"), title=words, source=words)
    made = {name: text for name, text in learning_formats.texts(odd, odd.values()).items() if name.endswith(".py")}
    assert made
    for name, text in made.items():
        compile(text, name, "exec")
