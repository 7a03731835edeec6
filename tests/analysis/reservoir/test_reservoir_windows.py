"""Several windows of a reservoir's device on one limiter."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kmc.cli import app
from kmc.core.errors import UserError
from kmc_analysis.reservoir import kinetic_states, matching_study, node_devices, pipeline
from kmc_analysis.reservoir import plan as settings
from kmc_analysis.reservoir.node_devices import Population

ENCODING = settings.Encoding()


def plan(windows: int, **more: object) -> settings.Plan:
    """A small plan, whose devices have that many windows."""
    part = {"windows": windows, "device_spread": 0.0, "cycle_spread": 0.0, **more}
    return settings.Plan().changed(data={"samples": 8, "test": 4}, feeding={"nodes": 3}, devices=part)


def read(one: settings.Plan, bits: str) -> float:
    """The conductance in S of the first device, read after that pattern."""
    pattern = np.array([bit == "1" for bit in bits])[None, None]
    return float(Population.of(one, 1).conductances(pattern, np.ones(1), np.zeros(1, int), ENCODING)[0, 0])


def test_the_leak_is_the_whole_contacts() -> None:
    """However many windows share it; what tunnels through an open gap is each window's own."""
    one, several = (Population.of(plan(windows), 1) for windows in (1, 8))
    names = one.model.names
    gap = one.vectors[0, 0, names.index("G_v")] * np.exp(-one.vectors[0, 0, names.index("D")])
    assert read(plan(8), "0000") == pytest.approx(read(plan(1), "0000") + 7.0 * gap, rel=1e-6)
    assert read(plan(8), "1111") > 2.0 * read(plan(8), "0000")
    place = names.index("G_off")
    assert several.vectors[0, :, place] == pytest.approx(one.vectors[0, 0, place] / 8.0)
    ohms = [Population.of(plan(windows, model="vteam", parameters={}), 1) for windows in (1, 8)]
    place = ohms[0].model.names.index("Roff")
    assert ohms[1].vectors[0, :, place] == pytest.approx(8.0 * ohms[0].vectors[0, 0, place])


def test_windows_differ_as_devices_do() -> None:
    """Each has numbers of its own, in a device and in a cycle of it; a device of one window is as before."""
    several = Population.of(plan(4, device_spread=1.0, cycle_spread=1.0), 1)
    assert several.vectors.shape == (3, 4, len(several.model.names))
    assert several.starts.shape == (3, 4, 2)
    k_v = several.model.names.index("k_v")
    assert np.unique(several.vectors[:, :, k_v]).size == 12
    assert np.unique(several.cycles(5)[:, :, k_v]).size == 20


def test_states_do_not_depend_on_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte."""
    one, found = plan(3, device_spread=1.0, cycle_spread=1.0), []
    for cores in (1, 4):
        monkeypatch.setattr(node_devices, "cores", lambda cores=cores: cores)
        found.append(pipeline.states(one, 1)[2].tobytes())
    assert found[0] == found[1]


def test_a_study_has_the_windows_of_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are said once, for both sources of states."""
    one = plan(4)
    data, wiring, _ = pipeline.states(one, 1)
    assert "  windows: 4" in kinetic_states.study_text(one, kinetic_states.seen(one, data, wiring, 2), 1).splitlines()
    (tmp_path / "plan.yaml").write_text("kinetic: {settings: {windows: 4}}\n")
    assert app.main(["reservoir", str(tmp_path / "plan.yaml")]) == 2
    assert "devices.windows" in capsys.readouterr().err


@pytest.mark.parametrize("windows", [0, 33, 1.5, "many"])
def test_windows_are_one_or_more(tmp_path: Path, windows: object) -> None:
    """Refused with the line."""
    (tmp_path / "plan.yaml").write_text(f"devices: {{windows: {windows}}}\n")
    with pytest.raises(UserError, match="windows") as caught:
        settings.load(tmp_path / "plan.yaml")
    assert caught.value.where.endswith("plan.yaml:1")


def test_a_study_of_other_windows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, with both numbers."""
    pulse = {"pulses": {"amplitude": 1.0, "width": 5e-3, "compliance": 1e-6}}
    run = {"stack": {"name": "ogb_20nm"}, "settings": {"windows": 4}, "protocol": [pulse]}
    monkeypatch.setattr(matching_study, "read_attribute", lambda path, name: json.dumps(run))
    state = (("protocol", "task"), np.ones((1, 1), int))
    study = xr.Dataset(
        {"state": state, "task": (("protocol", "task"), [["a"]])}, {"protocol": ["b1"]}, {"folder": str(tmp_path)}
    )
    matching_study._check_pulses(plan(4), study, "ogb_20nm")
    with pytest.raises(UserError, match=r"devices\.windows = 4, and the plan 8"):
        matching_study._check_pulses(plan(8), study, "ogb_20nm")
