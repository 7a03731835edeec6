"""Devices and cycles are told apart, and the fitted device comes with its parameters and spreads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import kmc_analysis.compact
from kmc.cli import app
from kmc.core.errors import UserError
from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.equations.reference_traces import Drive, simulate
from kmc_analysis.compact.export import model_files
from kmc_analysis.compact.export.model_files import read_parameters
from kmc_analysis.compact.fitting import fit_data
from kmc_analysis.compact.fitting.parameter_spreads import check, components, spreads

FITTED = Path(kmc_analysis.compact.__file__).parent / "fitted"


def table(device: float, cycle: float, seed: int, gaps: float = 0.0) -> dict[tuple[str, str], float]:
    """40 devices in six protocols that differ, some entries missing."""
    stream = np.random.default_rng(seed)
    own = device * stream.standard_normal(40)
    return {
        (f"protocol{i}", f"{j}"): 2.0 * i + own[j] + cycle * stream.standard_normal()
        for i in range(6)
        for j in range(40)
        if stream.random() >= gaps
    }


@pytest.mark.parametrize(("device", "cycle"), [(0.3, 0.1), (0.1, 0.3), (0.0, 0.2)])
def test_the_variances_come_back(device: float, cycle: float) -> None:
    """Within four of their standard errors, with a fifth of the table missing; no device, no spread of it."""
    found = components(table(device, cycle, 3, gaps=0.2))
    assert found[1] == pytest.approx(cycle, rel=4.0 / np.sqrt(2 * 145))
    error = (device**2 + cycle**2 / 4.8) * np.sqrt(2.0 / 39.0)  # of the variance; 4.8 entries a device
    assert found[0] ** 2 == pytest.approx(device**2, abs=4.0 * error)


def test_too_small_a_table_is_refused() -> None:
    """One protocol alone cannot part devices from cycles."""
    with pytest.raises(UserError, match="part devices from cycles"):
        components({("sweep", "1"): 0.0, ("sweep", "2"): 1.0})


def test_two_traces_of_one_device_and_protocol_are_refused() -> None:
    """The later one would take the place of the first."""
    names = ["slow_seed1", "slow_seed2", "fast_seed1", "fast_seed2"]
    check(load_model("vteam"), ["k_on"], names)
    with pytest.raises(UserError, match="two traces are called slow_seed1"):
        check(load_model("vteam"), ["k_on"], [*names, "slow-seed1"])


def test_spread_of_devices_that_differ_in_speed() -> None:
    """Four devices of different growth in two protocols without cycle's spread: it is all the devices'."""
    model = load_model("vteam")
    factors = np.array([0.7, 1.0, 1.2, 1.6])
    traces = []
    for name, drive in (("slow", Drive.sweep(0.6, 1.0, 1e-4, 61)), ("fast", Drive.sweep(0.6, 2.0, 1e-4, 61))):
        for k, factor in enumerate(factors, start=1):
            made = simulate(model, drive, {"k_on": 50.0 * factor})
            traces.append(
                fit_data.trace(
                    f"{name}_seed{k}", drive.time, drive.voltage, made.current, drive.compliance, made.voltage
                )
            )
    found = spreads(model, traces, model.values(), ["k_on"])
    assert found["device"]["k_on"] == pytest.approx(np.std(np.log(factors), ddof=1), rel=0.02)
    assert found["cycle"]["k_on"] < 0.02


@pytest.mark.parametrize("path", sorted(FITTED.glob("*.json")), ids=lambda path: path.stem)
def test_fitted_devices_load(path: Path) -> None:
    """Parameters within their bounds; a device that switches at 1 uA and forgets within a second."""
    model = load_model("silver")
    values = read_parameters(model, path)
    drive = Drive.of([0.0, 0.05, 0.05, 0.1, 1.1, 1.11], [0.6, 0.6, 0.0, 0.0, 0.0, 0.05], 1e-6)
    made = simulate(model, drive, values)
    on, off = made.current[1] / made.voltage[1], made.current[-1] / made.voltage[-1]
    assert on > 1e-6
    assert off < 3.0 * values["G_off"] * 1.5


def test_an_export_keeps_the_spreads_of_the_fit(tmp_path: Path) -> None:
    """`kmc compact export --parameters` writes values and spreads of the file, `--set` over them; a spread
    that is none is refused, and nothing is written."""
    path, out = FITTED / "ogb_20nm.json", tmp_path / "out"
    told = json.loads(path.read_text())
    given = ["--parameters", str(path), "--set", "V_th=0.4 V"]
    assert app.main(["compact", "export", "silver", *given, "--out", str(out)]) == 0
    written = json.loads((out / "parameters.json").read_text())
    assert written["spread"] == told["spread"] != {k: dict(v) for k, v in load_model("silver").spread.items()}
    values = {name: entry["value"] for name, entry in written["parameters"].items()}
    kept = {name: entry["value"] for name, entry in told["parameters"].items()}
    assert values == kept | {"V_th": 0.4}
    for wrong in (
        {"device": 3},
        {"devices": {}},
        {"device": {"kv": 0.1}},
        {"device": {"k_v": None}},
        [],
        0,
        {"device": {"k_v": -0.1}},
        {"device": {"k_v": 10**400}},
    ):
        bad = tmp_path / "bad.json"
        bad.write_text(json.dumps({**told, "spread": wrong}))
        with pytest.raises(UserError):
            model_files.starting_at(load_model("silver"), bad)
        assert app.main(["compact", "export", "silver", "--parameters", str(bad), "--out", str(tmp_path / "none")]) == 2
        assert not (tmp_path / "none").exists()
    for wrong in ([], "", [["k_v", 1.0]], {}):
        bad.write_text(json.dumps({**told, "parameters": wrong}))
        with pytest.raises(UserError, match="not the parameters"):
            model_files.starting_at(load_model("silver"), bad)


def test_a_file_of_parameters_is_read_with_its_units(tmp_path: Path) -> None:
    """40 ms are 0.04 s, and what is no time is refused; what the file lacks is named in the origin."""
    told, path = json.loads((FITTED / "ogb_20nm.json").read_text()), tmp_path / "mine.json"
    other = {"tau_v": {"value": 40, "unit": "ms"}, "k_v": {"value": 5.04, "unit": "1/ms"}}
    entries = told["parameters"] | other
    path.write_text(json.dumps({**told, "parameters": entries}))
    assert model_files.read_parameters(load_model("silver"), path) == pytest.approx(
        {name: entry["value"] for name, entry in entries.items()} | {"tau_v": 0.04, "k_v": 5040.0}
    )
    assert "not in it" not in model_files.starting_at(load_model("silver"), path).origin
    path.write_text(json.dumps({**told, "parameters": entries | {"tau_v": {"value": 40, "unit": "mV"}}}))
    with pytest.raises(UserError, match="tau_v"):
        model_files.read_parameters(load_model("silver"), path)
    del entries["V_th"], entries["closed_0"]
    path.write_text(json.dumps({**told, "parameters": entries}))
    origin = model_files.starting_at(load_model("silver"), path).origin
    assert origin.endswith("; not in it, and the model's own: V_th, closed_0")


TRACES = Path(__file__).resolve().parents[3] / "runs" / "compact_ogb_20nm" / "held_out"


def test_the_fitted_device_predicts_a_train_that_it_never_saw() -> None:
    """Six pulses, by each of which the median of ten simulated devices climbs: to a quarter, also in the
    second half, and better than one device predicts the others. The model's own values do not, nor does the
    fit to devices of earlier cards."""
    model = load_model("silver")
    fits = {path.stem: read_parameters(model, path) for path in FITTED.glob("*.json")}
    errors, scatter, late = {}, {}, {}
    for name, values in (fits | {"own": model.values()}).items():
        for one in fit_data.typical(fit_data.read_all([TRACES])):
            found = one.predicted(simulate(model, one.drive, values)) - one.log_g
            off = np.abs(10.0 ** found[one.used] - 1.0)
            errors[name, one.name], scatter[one.name] = float(np.median(off)), one.scatter
            late[name, one.name] = float(np.median(off[off.size // 2 :]))
    assert max(errors["ogb_20nm", "train"], late["ogb_20nm", "train"]) < 0.25 < scatter["train"]
    for name in ("own", "ogb_20nm_even_weights"):
        assert min(errors[name, "train"], late[name, "train"]) > 0.5
