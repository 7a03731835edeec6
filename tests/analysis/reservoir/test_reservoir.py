"""The reservoir and its readouts: neurons, trains, wiring, devices, learning."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import yaml

from kmc.cli import app
from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc_analysis.experiment.targets import targets
from kmc_analysis.metrics.compliance_law import INVERSE_S, OFFSET_S, SLOPE_PER_V
from kmc_analysis.reservoir import (
    linear_readout,
    pipeline,
    programming_laws,
    pulse_input,
    spike_trains,
    spiking_neurons,
)
from kmc_analysis.reservoir import plan as settings
from kmc_analysis.reservoir.node_devices import Population, device_model, waveform
from kmc_analysis.reservoir.results import accuracy_table, saved_states

FILE = Path(__file__).resolve().parents[3] / "runs/firing_patterns/reservoir.yaml"
EXACT = linear_readout.Law(SLOPE_PER_V, OFFSET_S, -OFFSET_S, np.zeros_like)


@pytest.fixture(scope="module")
def small() -> settings.Plan:
    """A few samples, devices of one window without spread from cycle to cycle; the rest as in the file."""
    devices = {"cycle_spread": 0.0, "windows": 1}
    return settings.load(FILE).changed(data={"samples": 120, "test": 40}, devices=devices)


@pytest.fixture(scope="module")
def result(small: settings.Plan) -> pipeline.Result:
    """One seed of the small plan."""
    return pipeline.run(small, 1)[0]


def quiet(name: str, current_spread: float = 0.0) -> np.ndarray:
    """Spikes of a neuron without noise."""
    labels = np.array([spiking_neurons.CLASSES.index(name)])
    return spiking_neurons.simulate(labels, 0.75, 0.0, current_spread, np.random.default_rng(0))[0]


def variation(times: np.ndarray) -> float:
    """Coefficient of variation of the intervals between spikes."""
    intervals = np.diff(times)
    return float(intervals.std() / intervals.mean())


def test_trains_do_not_depend_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Irregular firing is chaotic: no exponential that processors round differently is used. The control: one
    that is off by the last digit gives other trains."""
    x = np.linspace(-700.0, 30.0, 100_001)
    assert spiking_neurons.exponential(x) == pytest.approx(np.exp(x), rel=2e-15, abs=0.0)
    assert spiking_neurons.exponential(np.array([0.0, 1.0])) == pytest.approx([1.0, math.e], rel=4e-16, abs=0.0)
    before = quiet("irregular")
    with monkeypatch.context() as patch:
        patch.setattr(np, "exp", None)
        assert np.array_equal(quiet("irregular"), before)
    own = spiking_neurons.exponential
    monkeypatch.setattr(spiking_neurons, "exponential", lambda x: np.nextafter(own(x), np.inf))
    assert not np.array_equal(quiet("irregular"), before)


def test_tonic_period_is_the_integral() -> None:
    """With w at rest's slope and b = 0 the late intervals are equal, and none of the other patterns' are."""
    intervals = np.diff(quiet("tonic"))[10:]
    assert np.ptp(intervals) <= 2 * spiking_neurons.STEP_S
    assert variation(quiet("irregular")) > 0.3
    assert variation(quiet("bursting")) > 0.5


def test_adaptation_slows_and_bursts_repeat() -> None:
    """Intervals of the adapting neuron only grow; the bursting one has short and long ones in turn."""
    intervals = np.diff(quiet("adaptation"))
    assert np.all(np.diff(intervals) > -2 * spiking_neurons.STEP_S)
    assert intervals[-1] > 2.0 * intervals[0]
    bursts = np.diff(quiet("bursting"))[4:]
    short = bursts < bursts.mean()
    assert np.all(short[:-1] | short[1:])


def test_noise_and_spread_make_neurons_differ() -> None:
    """More membrane noise makes the tonic neuron less regular; the spread of currents spreads its rates."""
    labels = np.full(40, spiking_neurons.CLASSES.index("tonic"))
    varied = []
    for noise in (0.0, 5e-4, 2e-3):
        found = spiking_neurons.simulate(labels, 0.5, noise, 0.0, np.random.default_rng(1))
        varied.append(np.mean([variation(times[10:]) for times in found]))
    assert varied[0] < 0.02 < varied[1] < varied[2]
    rates = [times.size for times in spiking_neurons.simulate(labels, 0.5, 0.0, 0.05, np.random.default_rng(1))]
    assert np.std(rates) > 1.0


@pytest.mark.slow
def test_halving_the_step_moves_early_spikes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Explicit Euler at 0.1 ms: the first 50 ms are converged to 2 ms, before chaos and bursts amplify."""
    coarse = {name: quiet(name) for name in spiking_neurons.CLASSES}
    monkeypatch.setattr(spiking_neurons, "STEP_S", 5e-5)
    for name, times in coarse.items():
        fine = quiet(name)
        early = times[times < 0.05]
        assert np.max(np.abs(fine[: early.size] - early)) < 2e-3


def test_bits_hold_a_write_and_a_spike_prolongs_it() -> None:
    """20 ms on a grid of 5 ms are four slots; a second spike within them adds the rest."""
    made = spike_trains.Trains((np.array([0.011, 0.021]), np.empty(0)), np.array([0, 1]), ("a", "b"), 0.05, 1)
    assert made.bits(5e-3).astype(int).tolist() == [[0, 0, 1, 0, 1, 0, 0, 0, 0, 0], [0] * 10]
    assert made.bits(5e-3, 4)[0].astype(int).tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]


def test_windows_end_where_nodes_are_read() -> None:
    """Node k sees its window of the train and nothing after its read."""
    plan = settings.Plan().changed(feeding={"nodes": 5, "window": 0.02})
    times = (np.array([0.012]), np.array([0.04]))
    made = spike_trains.Trains(times, np.array([0, 1]), ("a", "b"), 0.05, 1)
    encoding = plan.encoding.model_copy(update={"width": 5e-3})
    wiring = pulse_input.wire(plan.feeding, encoding, 0.05, 1)
    assert wiring.ends.tolist() == [2, 4, 6, 8, 10]
    seen = pulse_input.patterns(made, wiring, encoding)[0].astype(int)
    assert seen.tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_waveform_writes_then_reads() -> None:
    """Time runs on; 1 V while the pattern is on, then -0.5 V for 5 ms."""
    encoding = settings.Encoding()
    time, write, read = waveform(np.array([0, 0, 1, 1, 0], bool), encoding)
    assert np.all(np.diff(time) > 0.0)
    assert time[-1] == pytest.approx(0.020)
    assert write.max() == 1.0
    assert read.min() == -0.5
    assert np.interp([5e-3, 0.012], time, write + read).tolist() == [1.0, 0.0]


def test_conductance_fades_with_the_age_of_the_last_write(small: settings.Plan) -> None:
    """Without spread: the later the last write, the more conducts; the same seed gives the same states."""
    plain = small.changed(devices={"device_spread": 0.0, "cycle_spread": 0.0})
    population = Population.of(plain, 1)
    patterns = np.zeros((1, 10, 10), bool)
    patterns[0, np.arange(10), np.arange(10)] = True
    found = population.conductances(patterns, np.ones(10), np.zeros(10, int), plain.encoding)[0]
    assert np.all(np.diff(found) > 0.0)
    again = population.conductances(patterns, np.ones(10), np.zeros(10, int), plain.encoding)[0]
    assert np.array_equal(found, again)


def test_law_and_its_inverse() -> None:
    """An exact law hits its targets; the experiment's two constants lose 0.45 uS at every write."""
    stream = random_streams.stream(1, "test")
    target = np.array([1e-4, 3e-4])
    assert EXACT.programmed(target, stream) == pytest.approx(target)
    faulty = linear_readout.Law(SLOPE_PER_V, OFFSET_S, INVERSE_S, np.zeros_like)
    assert faulty.programmed(target, stream) - target == pytest.approx(-4.5e-7)


def test_the_alternative_spread_is_of_microsiemens_and_milliamperes() -> None:
    """7.040 x 0.1 + 3.0585 at 0.1 mA are 3.76 uS."""
    assert programming_laws.alternative_spread(np.array([1e-4, 1e-3])) == pytest.approx([3.7625e-6, 10.0985e-6])


def separable(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four classes around four corners."""
    stream = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    corners = stream.standard_normal((4, 12))
    return corners[labels] + 0.2 * stream.standard_normal((count, 12)), labels


def test_exact_devices_learn_what_double_precision_learns() -> None:
    """Devices without spread or fault of the law reach the same accuracy; with 50 uS of spread they do
    not.
    """
    x, labels = separable(600, 1)
    train, test = slice(0, 400), slice(400, 600)
    plan = settings.Readout(rate=0.02, threshold=0.0)
    double = linear_readout.train_double(x, labels, 4, train, test, plan, random_streams.stream(1, "a"))
    exact = linear_readout.train_devices(x, labels, 4, train, test, plan, EXACT, random_streams.stream(1, "a"))
    assert double.accuracy[-1, 1] > 97.0
    assert exact.accuracy[-1, 1] > 97.0
    assert exact.plus.max() <= plan.most + 1e-12
    noisy = linear_readout.Law(SLOPE_PER_V, OFFSET_S, -OFFSET_S, lambda limit: np.full(limit.shape, 5e-5))
    spoiled = linear_readout.train_devices(x, labels, 4, train, test, plan, noisy, random_streams.stream(1, "a"))
    assert spoiled.accuracy[-1, 1] < exact.accuracy[-1, 1] - 2.0
    assert double.confusion.sum() == 200


def test_push_pull_shares_a_change() -> None:
    """Half of dG goes up in G+ and half goes down in G-; a pair below the threshold is left as it is."""
    plan = settings.Readout(rate=0.1, threshold=1e-6, initial_mean="0.2 mS", initial_sigma="1 nS")
    learner = linear_readout._Pairs(2, 1, plan, EXACT, random_streams.stream(1, "a"))
    before = learner.g.copy()
    learner.update(np.array([1.0, 0.01]), np.array([0.5]))
    moved = learner.g - before
    assert moved[:, 0, 0] == pytest.approx([0.5 * 0.05 * 0.25e-3, -0.5 * 0.05 * 0.25e-3])
    assert np.all(moved[:, 1, 0] == 0.0)
    assert learner.writes[:, :, 0].tolist() == [[1, 0], [1, 0]]


def test_all_readouts_learn(result: pipeline.Result) -> None:
    """Every readout and baseline ends far above chance on samples held out; a shuffled label stays at it."""
    assert set(result.readouts) == set(accuracy_table.NAMES)
    for name, trained in result.readouts.items():
        assert trained.accuracy[-1, 1] > 60.0, name
    x = pipeline.standardised(result.features, result.features[result.trains.train], True)
    wrong = np.random.default_rng(2).permutation(result.trains.labels)
    lost = linear_readout.train_double(
        x, wrong, 4, result.trains.train, result.trains.held_out, settings.Readout(), random_streams.stream(1, "a")
    )
    assert lost.accuracy[-1, 1] < 50.0


def test_what_is_held_out_decides_no_weight(small: settings.Plan, result: pipeline.Result) -> None:
    """With other labels, features and spikes of the test samples every readout has the same weights, to the
    last bit, and learns its training samples alike; the control is its test accuracy, which differs."""
    data, features = result.trains, result.features.copy()
    labels, first = data.labels.copy(), len(data.times) - data.test
    labels[data.held_out] = (labels[data.held_out] + 1) % 4
    features[data.held_out] *= 3.0
    times = data.times[:first] + tuple(one[:1] for one in data.times[first:])
    changed = replace(data, labels=labels, times=times)
    found = programming_laws.laws(*device_model(small))
    other = pipeline.one(small, 1, found, (changed, result.wiring, features))
    for name, trained in result.readouts.items():
        again = other.readouts[name]
        np.testing.assert_array_equal(again.weights, trained.weights, err_msg=name)
        np.testing.assert_array_equal(again.accuracy[:, 0], trained.accuracy[:, 0], err_msg=name)
        assert not np.array_equal(again.accuracy[:, 1], trained.accuracy[:, 1]), name


def test_a_class_between_two_others_needs_a_constant() -> None:
    """Three classes in a row along one feature: without a constant term the middle one is at most level with
    the others where it lies, with one all are told apart.
    """
    labels = np.arange(300) % 3
    x = (labels - 1.0)[:, None] + 0.05 * np.random.default_rng(1).standard_normal((300, 1))
    part, rest = slice(0, 200), slice(200, 300)
    found = {}
    for constant in (True, False):
        scaled = pipeline.standardised(x, x[part], constant)
        assert scaled.shape == (300, 1 + constant)
        plan = settings.Readout(rate=0.1, epochs=50)
        found[constant] = linear_readout.train_double(
            scaled, labels, 3, part, rest, plan, random_streams.stream(1, "a")
        )
    assert found[True].accuracy[-1, 1] == 100.0
    assert found[False].accuracy[-1, 1] < 85.0
    assert found[False].confusion[1, 1] < 0.6 * found[False].confusion[1].sum()


def test_each_class_has_its_share_of_the_test(tmp_path: Path) -> None:
    """Whatever the seed; the samples are shuffled, and known by the names that the file gives them."""
    rows = [f"s{k},{'rare' if k % 4 == 0 else 'usual'},{0.001 * (k + 1)}" for k in range(120)]
    path = tmp_path / "spikes.csv"
    path.write_text("\n".join([",".join(spike_trains.HEAD), *rows]) + "\n")
    orders = set()
    for seed in range(5):
        found = spike_trains.load(path, settings.Data(test=41, file="spikes.csv"), seed)
        assert np.bincount(found.labels[found.held_out]).tolist() in ([10, 31], [11, 30])
        assert sorted(found.names) == sorted(f"s{k}" for k in range(120))
        assert all(
            times[0] == pytest.approx(0.001 * (int(name[1:]) + 1))
            for name, times in zip(found.names, found.times, strict=True)
        )
        assert not found.untested
        orders.add(found.names)
    assert len(orders) == 5


def test_a_seed_is_given_once() -> None:
    """By --seed or by --set: one of two would be lost."""
    assert settings.load(FILE, [], 3).seed == settings.load(FILE, ["seed=3"]).seed == 3
    with pytest.raises(UserError, match="seed is given twice, as 4 and as 3"):
        settings.load(FILE, ["seed=4"], 3)


def test_an_empty_file_is_told_how_to_begin(tmp_path: Path) -> None:
    """As a reservoir file does, and not as a card."""
    (tmp_path / "mine.yaml").write_text("")
    with pytest.raises(UserError, match=r"begin with .* data: {samples"):
        settings.load(tmp_path / "mine.yaml")


def test_same_seed_same_result(small: settings.Plan, result: pipeline.Result) -> None:
    """To the last bit; another seed differs."""
    again, other = pipeline.run(small, 2)
    assert np.array_equal(again.features, result.features)
    assert np.array_equal(again.readouts["measured"].plus, result.readouts["measured"].plus)
    assert not np.array_equal(other.features, result.features)


def test_scoreboard_has_its_targets(result: pipeline.Result) -> None:
    """All five keys, by the names and the figures of the targets; a rank of a few has no interval."""
    assert accuracy_table.scoreboard([result, result])["S27_hardest_class"].open
    found = accuracy_table.scoreboard([result] * 6)
    assert set(found) == {
        "T1_fp64_accuracy",
        "T1_icc_accuracy",
        "T1_gap",
        "S26_weight_distribution",
        "S27_hardest_class",
    }
    for row in found.values():
        assert row.low <= row.value <= row.high
    gap = found["T1_fp64_accuracy"].value - found["T1_icc_accuracy"].value
    assert found["T1_gap"].value == pytest.approx(gap)
    told = yaml.safe_load(targets.FILE.read_text())
    assert set(found) <= set(told["targets"])
    percent = told["readout"]["accuracy_percent"]
    for name in ("fp64", "device"):
        assert list(accuracy_table.EXPERIMENT_TABLE[name][0]) == percent[f"{name}_training"]
        assert list(accuracy_table.EXPERIMENT_TABLE[name][1]) == percent[f"{name}_testing"]


def test_the_scoreboard_takes_the_last_test_accuracy(result: pipeline.Result) -> None:
    """Of each seed the testing one of the last epoch; the gap is that of the same seeds."""

    def trained(train: float, test: float) -> linear_readout.Trained:
        epochs = np.array([[0.0, 0.0], [train, test]])
        return linear_readout.Trained(epochs, np.array([[1.0, 2.0], [3.0, 5.0]]), np.eye(4, dtype=int))

    pairs = [{"fp64": trained(97.0 + k, 80.0 + k), "measured": trained(90.0 + k, 70.0 + k)} for k in range(3)]
    found = accuracy_table.scoreboard([replace(result, readouts=pair) for pair in pairs])
    known = {"T1_fp64_accuracy": 81.0, "T1_icc_accuracy": 71.0, "T1_gap": 10.0}
    assert {key: found[key].value for key in known} == known


def test_the_majority_is_that_of_training(result: pipeline.Result) -> None:
    """All training samples are of one class, ten of the forty test samples too: 25 %, though most of these
    are of another class."""
    labels = np.repeat([0, 1, 0], [80, 30, 10])
    assert accuracy_table.majority([replace(result, trains=replace(result.trains, labels=labels))]) == 25.0


def test_the_weights_that_are_kept_are_of_their_devices(result: pipeline.Result) -> None:
    """A weight has the sign of its first conductance less its second."""
    rows = list(csv.DictReader(saved_states.weights_csv(result).splitlines()))
    pairs = [
        (float(row["weight"]), float(row["plus_S"]) - float(row["minus_S"]))
        for row in rows
        if row["readout"] == "measured"
    ]
    weights, differences = np.array(pairs).T
    assert weights.size == result.readouts["measured"].weights.size
    np.testing.assert_array_equal(np.sign(weights), np.sign(differences))


def test_ranks_of_recall(result: pipeline.Result) -> None:
    """The class with the lowest recall has rank 1, the best of four has 4."""
    confusion = np.diag([9, 8, 7, 5]) + 1
    trained = linear_readout.Trained(np.zeros((6, 2)), np.eye(4), confusion)
    made = pipeline.Result(1, result.trains, result.wiring, result.features, {"fp64": trained})
    assert accuracy_table._hardest([made]).value == 1.0
    turned = linear_readout.Trained(np.zeros((6, 2)), np.eye(4), confusion[::-1, ::-1])
    made = pipeline.Result(1, result.trains, result.wiring, result.features, {"fp64": turned})
    assert accuracy_table._hardest([made]).value == 4.0


def test_trains_of_ones_own(tmp_path: Path, result: pipeline.Result) -> None:
    """What is written is read back; faults are told with their line."""
    path = tmp_path / "spikes.csv"
    rows = [
        f"{sample},{result.trains.classes[label]},{time}"
        for sample, (times, label) in enumerate(zip(result.trains.times, result.trains.labels, strict=True))
        for time in ([f"{one:.6f}" for one in times] or [""])
    ]
    path.write_text("\n".join([",".join(spike_trains.HEAD), *rows]) + "\n")
    data = settings.Data(test=40)
    found = spike_trains.load(path, data, 1)
    assert sorted(found.classes) == sorted(result.trains.classes)
    assert sum(t.size for t in found.times) == sum(t.size for t in result.trains.times)
    for text, said in (
        ("time,label\n", ":1"),
        ("sample,label,time_s\n1,a,x\n", ":2"),
        ("sample,label,time_s\n1,a,0.1\n1,b,0.2\n", ":3"),
        ("sample,label,time_s\n,a,0.1\n", ":2"),
    ):
        path.write_text(text)
        with pytest.raises(UserError) as error:
            spike_trains.load(path, data, 1)
        assert error.value.where.endswith(said)
    path.write_bytes(b"PK\x03\x04\xff")
    with pytest.raises(UserError, match="is no CSV"):
        spike_trains.load(path, data, 1)
    with pytest.raises(UserError):  # pynwb is missing, or the file
        spike_trains.load(tmp_path / "none.nwb", data, 1)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    """`kmc reservoir`, also where the package was installed before it had the command."""
    found = list(metadata.entry_points(group=app.GROUP))
    point = metadata.EntryPoint("reservoir", "kmc_analysis.commands.reservoir:reservoir", app.GROUP)
    if "reservoir" not in {known.name for known in found}:
        monkeypatch.setattr(app.metadata, "entry_points", lambda group: [point] if group == app.GROUP else [])


@pytest.mark.usefixtures("command")
def test_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON alone on standard output; the table as a file; a fault of the file with its line and exit code
    2.
    """
    plan = tmp_path / "reservoir.yaml"
    plan.write_text("data: {samples: 48, test: 16}\nfeeding: {nodes: 6}\nreadout: {epochs: 2}\n")
    assert app.main(["reservoir", str(plan), "--seeds", "1", "--quiet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert all(Path(path).is_file() for path in found["files"])
    assert {row["readout"] for row in found["table"]} == set(accuracy_table.NAMES)
    plan.write_text("data: {samples: 48, test: 16}\nfeeding: {nodez: 6}\n")
    assert app.main(["reservoir", str(plan)]) == 2
    told = capsys.readouterr()
    assert "reservoir.yaml:2" in told.err
    assert "nodes" in told.err
    changes = ["--set", "feeding={nodes: 6}", "--set", "devices.model=silvr"]
    assert app.main(["reservoir", str(plan), *changes]) == 2
    assert "silver" in capsys.readouterr().err
