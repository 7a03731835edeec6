"""Numbers of the reservoir that users see, each against one that follows from how its input was made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.export.pulse_response import LIMITS_A, Levels
from kmc_analysis.reservoir import (
    kinetic_states,
    linear_readout,
    pipeline,
    programming_laws,
    pulse_input,
    spike_trains,
    spiking_neurons,
)
from kmc_analysis.reservoir import plan as settings
from kmc_analysis.reservoir.node_devices import Population
from kmc_analysis.reservoir.results import (
    accuracy_table,
    design_sweep,
    energy_costs,
    memory_measures,
    reservoir_figures,
    result_files,
    time_series,
)

# A device of which everything is known: its conductance rises with time, with its flux, or not at all.
CLOCK = """\
name: clock
title: a clock
source: none
validity: this test
parameters:
  G: {value: 1 nS, low: 1 pS, high: 1 mS, unit: S, meaning: conductance at the start}
  per_s: {value: 0, low: 0, high: 1e6, unit: 1/s, meaning: its rise with time}
  per_Vs: {value: 0, low: 0, high: 1e6, unit: 1/V/s, meaning: its rise with flux}
states:
  clock: {initial: 0, rate: 1, meaning: time}
  flux: {initial: 0, rate: V, meaning: voltage over time}
current: G * (1 + per_s * clock + per_Vs * flux) * V
"""
EXACT = linear_readout.Law(2.0, 0.0, 0.0, np.zeros_like)
FASTER = {"slot": "1 ms", "bin": "5 ms", "width": "1 ms"}  # one slot of the device is five ms of the neuron


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> settings.Plan:
    """A plan of two such devices."""
    path = tmp_path_factory.mktemp("clock") / "clock.yaml"
    path.write_text(CLOCK)
    return settings.Plan().changed(devices={"model": str(path), "parameters": {}}, feeding={"nodes": 2})


def devices(plan: settings.Plan, **parameters: str) -> Population:
    """The plan's devices, with these parameters."""
    return Population.of(plan.changed(devices={"parameters": parameters}), 1)


def trained(weights: Any = (), confusion: Any = (), last: Any = (0.0, 0.0)) -> linear_readout.Trained:
    """A readout; last: its accuracies in training and testing after its one epoch."""
    return linear_readout.Trained(np.array([[50.0, 50.0], last]), np.array(weights), np.array(confusion))


def made(readouts: Any, labels: Any = (0, 1), test: int = 1, times: Any = ((), ())) -> pipeline.Result:
    """A result of one node that sees four slots of 5 ms, which is all of its trains."""
    given = tuple(np.array(one, float) for one in times)
    data = spike_trains.Trains(given, np.array(labels), ("irregular", "tonic"), 0.02, test)
    wiring = pulse_input.Wiring(np.array([4]), 4, np.array([1.0]), np.array([0]))
    return pipeline.Result(1, data, wiring, np.zeros((len(labels), 1)), readouts)


def test_weights_of_another_shape_are_half_a_distribution_apart() -> None:
    """S26. Standardised, half of one set is -1, and three quarters of the other are -0.58, its least."""
    double, pairs = [[2.9], [3.1], [2.9], [3.1]], [[0.0], [0.0], [0.0], [1.0]]
    one = made({"fp64": trained(double, np.eye(2)), "measured": trained(pairs, np.eye(2))})
    assert accuracy_table.ks_distance(one, "measured") == pytest.approx(0.5)
    assert accuracy_table.scoreboard([one])["S26_weight_distribution"].value == pytest.approx(0.5)


def test_a_compliance_programs_what_the_readout_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text's inverse is off by 12.94 - 12.49 uS, the model's line by nothing; spreads are those at 60 uA:
    of the model's cycles, and 7.040 x 0.06 + 3.0585 uS."""
    spread = np.linspace(1e-6, 5e-6, LIMITS_A.size)  # 30 to 150 uA
    monkeypatch.setattr(
        programming_laws, "levels", lambda *_, **__: Levels(LIMITS_A, 2.0 * LIMITS_A + 1e-5, spread, {})
    )
    found = programming_laws.laws(load_model("silver"), {}).rows
    target = np.array([1.0e-4, 3.5e-4])
    for name, off in {"measured": -0.45e-6, "alternative": -0.45e-6, "simulated": 0.0}.items():
        law = replace(found[name], spread=np.zeros_like)
        written = law.programmed(target, np.random.default_rng(1))
        assert written - target == pytest.approx(off, abs=1e-12), name
    told = {name: float(law.spread(np.array([60e-6]))[0]) for name, law in found.items()}
    assert told == pytest.approx({"measured": 2e-6, "alternative": 3.4809e-6, "simulated": 2e-6})


def test_devices_spread_as_their_compliance_does() -> None:
    """By a law of 2 per volt 100 uS take 50 uA, whose spread here is 5 uS; of 100 uA it would be 10 uS."""
    law = replace(EXACT, spread=lambda limit: 0.1 * limit)
    found = law.programmed(np.full(4000, 1e-4), np.random.default_rng(1))
    assert found.std() == pytest.approx(5e-6, rel=0.05)


def test_a_state_is_the_mean_over_the_last_tenth_of_its_read(clock: settings.Plan) -> None:
    """A write of 5 ms, then a read of 5 ms: the middle of the last tenth is at 9.75 ms."""
    population = devices(clock, per_s="1000 1/s")
    found = population.conductances(np.ones((1, 2, 1), bool), np.ones(2), np.arange(2), clock.encoding)
    assert found[0] == pytest.approx(1e-9 * (1.0 + 9.75), rel=1e-6)


def test_a_gain_scales_the_write(clock: settings.Plan) -> None:
    """By half of it a device of flux rises half as much in 5 ms at 1 V; the read is the same."""
    population = devices(clock, per_Vs="1000 1/V/s")
    one = np.ones((1, 2, 1), bool)
    found = population.conductances(one, np.array([1.0, 0.5]), np.arange(2), clock.encoding)[0]
    assert found[0] - found[1] == pytest.approx(1e-9 * 2.5, rel=1e-4)


def test_a_feature_is_a_share_of_the_decades() -> None:
    """From 0.1 nS to 10 uS, of which 31.6 nS is the middle."""
    conductance = np.array([1e-10, 10.0**-7.5, 1e-5])
    assert Population.of(settings.Plan(), 1).features(conductance) == pytest.approx([0.0, 0.5, 1.0])


def test_the_ideal_reservoir_forgets_what_is_old() -> None:
    """A spike 15 ms before the read weighs exp(-1.5) of one in the last slot, at a leak of 10 ms and in the
    neuron's time: with the weights turned round the baseline would know the wrong end of each train."""
    plan = settings.Plan().changed(encoding=FASTER, feeding={"nodes": 1, "window": "20 ms"}, readout={"leak": "10 ms"})
    one = made({}, times=[[0.001], [0.016, 0.018]])
    found = pipeline.baselines(plan, one.trains, replace(one.wiring, gains=np.array([0.5])))
    assert found["leaky"][:, 0] == pytest.approx([0.5 * np.exp(-1.5), 0.5])
    assert found["none"].tolist() == [[1.0], [2.0]]


def test_streams_are_told_apart_by_the_logarithm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means a decade apart that vary by three quarters of one: all pairs are over two deviations apart but
    the 15 of neighbours; of the conductances themselves, which vary by as much as they are, none would be."""
    swing = 0.75 * np.where(np.arange(memory_measures.CYCLES) % 2, 1.0, -1.0)
    found = 10.0 ** (np.arange(16.0) - 15.0 + swing[:, None])
    monkeypatch.setattr(Population, "conductances", lambda *_: found)
    plan = settings.Plan()
    assert memory_measures.stream_separability(plan, Population.of(plan, 1)) == pytest.approx(105 / 120)


def test_streams_are_told_apart_in_cycles_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same devices as the features, but not with the draws that made these."""
    seen: list[Population] = []
    monkeypatch.setattr(memory_measures, "stream_separability", lambda plan, population: seen.append(population))
    monkeypatch.setattr(memory_measures, "ranks", lambda *_: {})
    monkeypatch.setattr(time_series, "tasks", lambda *_: {})
    monkeypatch.setattr(energy_costs, "costs", lambda *_: {})
    plan = settings.Plan()
    result_files.analysis(plan, made({}))
    [own], features = seen, Population.of(plan, 1)
    assert np.array_equal(own.vectors, features.vectors)
    assert not np.array_equal(own.cycles(50), features.cycles(50))


def narma(u: np.ndarray) -> np.ndarray:
    """Atiya and Parlos' series of order ten, y(k + 1) from y(k) ... y(k - 9), u(k) and u(k - 9)."""
    y = np.zeros(u.size + 1)
    for k in range(9, u.size):
        y[k + 1] = 0.3 * y[k] + 0.05 * y[k] * sum(y[k - i] for i in range(10)) + 1.5 * u[k - 9] * u[k] + 0.1
    return y


def test_a_series_asks_for_what_follows_and_scores_what_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that are y(k + 1) and u(k - 1) to the end make no error, those of another step would; where
    they are so in training alone, and noise after it, they are worse than the mean and remember nothing."""
    known = 600

    def drive(population: Population, encoding: settings.Encoding, u: np.ndarray, gains: np.ndarray) -> Any:
        answers = np.column_stack([narma(0.5 * u)[1:], np.append(0.0, u[:-1])])
        noise = np.random.default_rng(1).permutation(answers)
        return np.where(np.arange(u.size)[:, None] < known, answers, noise)

    monkeypatch.setattr(time_series, "STEPS", 600)
    monkeypatch.setattr(time_series, "TRAIN", 500)
    monkeypatch.setattr(time_series, "drive", drive)
    population = Population.of(settings.Plan(), 1)
    found = time_series.tasks(population, settings.Encoding(), 1)["devices"]
    assert found["narma10"] < 1e-4
    assert found["memory"][0] > 0.999
    known = 500
    found = time_series.tasks(population, settings.Encoding(), 1)["devices"]
    assert found["narma10"] > 1.0
    assert max(found["memory"]) < 0.1


def test_a_step_is_read_at_its_end(clock: settings.Plan) -> None:
    """Of 10 ms each; a write takes a tenth of 5 ms to all of it, times the gain, and 50 mV the rest."""
    u, gains = np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5])
    timed, charged = devices(clock, per_s="1000 1/s"), devices(clock, per_Vs="1000 1/V/s")
    found = time_series.drive(timed, clock.encoding, u, gains)
    assert found[:, 0] == pytest.approx(timed.features(np.array([11e-9, 21e-9, 31e-9])), rel=1e-6)
    found = time_series.drive(charged, clock.encoding, u, gains)
    width_ms = gains * np.array([[0.5], [2.75], [5.0]])
    flux = np.cumsum(width_ms + 0.05 * (10.0 - width_ms), axis=0)
    assert found == pytest.approx(charged.features(1e-9 * (1.0 + flux)), rel=1e-5)


def test_memory_is_a_squared_correlation() -> None:
    """The last input under as much noise: half of its variance is told."""
    stream = np.random.default_rng(1)
    u = stream.random(8000)
    x = np.append(0.0, u[:-1]) + stream.random(8000)
    found = memory_measures.memory(x[:, None], u, 1, slice(100, 4000), slice(4000, 8000))
    assert found[0] == pytest.approx(0.5, abs=0.04)


def test_a_large_class_counts_by_its_samples() -> None:
    """Four at 0 ± 1 and two at 6 ± 1 about 2: 4 x 4 + 2 x 16 between them, 6 within."""
    x = np.array([-1.0, 1.0, -1.0, 1.0, 5.0, 7.0])[:, None]
    assert memory_measures.class_separability(x, np.array([0, 0, 0, 0, 1, 1])) == pytest.approx(8.0)


def test_recall_is_of_the_true_class_over_all_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """9 of 10 and 5 of 20 with one seed, none and all with another: 45 and 62.5 %, in results and picture."""
    answers = np.repeat([0, 1, 0, 1], [9, 1, 15, 5])
    told = linear_readout.confusion(np.eye(2), np.eye(2)[answers], np.repeat([0, 1], [10, 20]))
    assert told.tolist() == [[9, 1], [15, 5]]
    results = [made({"fp64": trained(confusion=one)}) for one in (told, [[0, 10], [0, 20]])]
    assert result_files._recalls(results) == {"fp64": {"irregular": 45.0, "tonic": 62.5}}
    assert accuracy_table._hardest(results).value == 1.0
    monkeypatch.setattr(reservoir_figures, "saved", lambda figure, path: figure)
    drawn: Any = reservoir_figures.confusion(results, Path())
    assert [text.get_text() for text in drawn.axes[0].texts] == ["45.0", "55.0", "37.5", "62.5"]


def test_double_precision_follows_the_gradient() -> None:
    """A second epoch of one sample adds the rate times its features and what the answer lacked."""
    x, found = np.array([[1.0, -2.0], [0.0, 0.0]]), []
    for plan in (settings.Readout(rate=0.3, epochs=1), settings.Readout(rate=0.3, epochs=2)):
        found.append(
            linear_readout.train_double(
                x, np.array([1, 0]), 2, slice(0, 1), slice(1, 2), plan, np.random.default_rng(1)
            ).weights
        )
    shares = np.exp(x[0] @ found[0]) / np.exp(x[0] @ found[0]).sum()
    assert found[1] - found[0] == pytest.approx(0.3 * np.outer(x[0], [0.0, 1.0] - shares))


def test_conductances_begin_as_asked_and_end_within_their_range() -> None:
    """0.5 ± 0.1 mS where nothing is written; a step too large goes to 0.1 and 0.35 mS, a weight of one."""

    def learnt(x: np.ndarray, **changes: Any) -> linear_readout.Trained:
        plan = settings.Readout(epochs=1, **changes)
        return linear_readout.train_devices(
            x, np.array([0, 1]), 2, slice(0, 1), slice(1, 2), plan, EXACT, np.random.default_rng(1)
        )

    first = learnt(np.ones((2, 2000)), threshold="1 S").plus
    assert (first.mean(), first.std()) == pytest.approx((0.5e-3, 0.1e-3), rel=0.05)
    last = learnt(np.ones((2, 1)), rate=100.0)
    assert np.append(last.plus, last.minus) == pytest.approx([0.35e-3, 0.1e-3, 0.1e-3, 0.35e-3])
    assert last.weights[0] == pytest.approx([1.0, -1.0])


def test_tables_have_means_and_deviations_over_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """80 and 86 % in testing: 83 ± 4.24 after the last epoch, in the table as in a sweep."""
    results = [made({"none": trained(last=last)}) for last in ((90.0, 80.0), (94.0, 86.0))]
    training, testing = accuracy_table.rows(results)
    assert (training["mean"][-1], training["sd"][-1]) == pytest.approx((92.0, 8.0**0.5))
    assert (testing["mean"][-1], testing["sd"][-1]) == pytest.approx((83.0, 18.0**0.5))
    monkeypatch.setattr(design_sweep, "laws", lambda *_: None)
    monkeypatch.setattr(pipeline, "states", lambda *_: None)
    monkeypatch.setattr(pipeline, "one", lambda plan, seed, *_: results[seed])
    points = [design_sweep._point(settings.Plan(), seed, tmp_path, {}) for seed in (0, 1)]
    [row] = design_sweep.summary([{"entry": "feeding.nodes", "value": 3, **point} for point in points])
    assert (row["mean"], row["sd"], row["n"]) == pytest.approx((83.0, 18.0**0.5, 2))


def test_the_usual_answer_is_that_of_training() -> None:
    """Though most samples are of the other class, of which all are to test with."""
    assert accuracy_table.majority([made({}, [1, 1, 0, 0, 0, 0], 3, [()] * 6)]) == 0.0


def test_energy_is_voltage_squared_times_conductance(clock: settings.Plan) -> None:
    """1 nS, 5 ms at 1 V a write (1.5 a sample) and 5 ms at 0.5 V for the read: 8.75 pJ, all in the device."""
    plan = clock.changed(encoding={"width": "5 ms"}, feeding={"nodes": 1, "window": "20 ms"})
    one = made({"fp64": trained()}, times=[[0.001], [0.001, 0.011]])
    found = energy_costs.costs(plan, one, "fp64")
    assert np.array([found["reservoir_J"], found["device_J"]]) / 8.75e-12 == pytest.approx(1.0, rel=0.02)
    assert found["write_pulses"] == 1.5


def test_nodes_are_read_where_and_written_as_asked() -> None:
    """At the end of 150 slots; with gains evenly from a half to one."""
    found = pulse_input.wire(settings.Feeding(nodes=3, reads="end", least_gain=0.5), settings.Encoding(), 0.75, 1)
    assert found.ends.tolist() == [150, 150, 150]
    assert sorted(found.gains) == pytest.approx([0.5, 0.75, 1.0])


def test_kinetic_states_are_compared_in_decades(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last two of twenty looks that rise by 1 nS each; two decades and half a one too low are 1.25."""
    assert kinetic_states._last(-0.5e-9 * np.arange(1.0, 21.0), np.full(20, -0.5)) == pytest.approx(19.5e-9)
    plan = settings.Plan().changed(encoding=FASTER, feeding={"nodes": 1, "window": "5 ms"})
    monkeypatch.setattr(kinetic_states, "_compact", lambda *_: np.tile([1e-11, 10.0**-8.5], (3, 1)))
    found = kinetic_states.compared(plan, {"b0": np.array([1e-9]), "b1": np.array([1e-8])}, 1)
    told = [found[f"{name}_decades"] for name in ("error", "worst", "bias")]
    assert told == pytest.approx([1.25, 2.0, -1.25])


def test_programmings_are_counted_by_device(clock: settings.Plan) -> None:
    """Their mean and their most; a device lasts for as many trainings as its most goes into 5655."""
    plan = clock.changed(encoding={"width": "5 ms"}, feeding={"nodes": 1, "window": "20 ms"})
    pair = replace(
        trained(), plus=np.full((1, 2), 1e-4), minus=np.full((1, 2), 1e-4), writes=np.array([[[3, 1]], [[0, 4]]])
    )
    found = energy_costs.costs(plan, made({"fp64": pair}, times=[[0.001], [0.001, 0.011]]), "fp64")
    assert (found["programmings_mean"], found["programmings_most"]) == (2.0, 4)
    assert found["trainings"] == pytest.approx(5655 / 4)
    assert found["lifetime_samples"] == pytest.approx(2e6 / 1.5)


def test_ties_count_against_the_hardest_class() -> None:
    """Two classes of one recall: neither is the worst alone."""
    assert accuracy_table._hardest([made({"fp64": trained(confusion=[[5, 5], [5, 5]])})]).value == 2.0


def test_membrane_noise_has_its_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.1 V over all time are 10 mV in one step of a hundredth of twice the membrane's time: as many neurons
    pass a threshold of 10 mV as the Gaussian says."""
    monkeypatch.setattr(spiking_neurons, "PEAK_MV", -60.0)
    labels = np.full(20000, spiking_neurons.CLASSES.index("tonic"))
    found = spiking_neurons.simulate(labels, spiking_neurons.STEP_S, 0.1, 0.0, np.random.default_rng(1))
    drift = 1e3 * spiking_neurons.STEP_S * 500.0 / 200.0  # mV
    kick = 100.0 * np.sqrt(2 * 1e3 * spiking_neurons.STEP_S * 10.0 / 200.0)
    share = np.mean([one.size > 0 for one in found])
    assert share == pytest.approx(stats.norm.sf((10.0 - drift) / kick), abs=0.01)


def test_the_models_own_law_is_undone_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for is programmed, with the spread of its levels."""
    limits = np.linspace(30e-6, 150e-6, 7)
    found = Levels(limits, 3.0 * limits + 1e-5, np.full(7, 1e-7), {})
    monkeypatch.setattr(programming_laws, "levels", lambda *_, **__: found)
    law = programming_laws.laws(load_model("silver"), {}).rows["simulated"]
    made_S = law.programmed(np.full(4000, 2e-4), np.random.default_rng(1))
    assert made_S.mean() == pytest.approx(2e-4, abs=1e-8)
    assert made_S.std() / 1e-7 == pytest.approx(1.0, rel=0.1)
