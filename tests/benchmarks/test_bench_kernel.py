"""The kernel's benchmark: its rows, and the peer's model beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kmc.benchmarks import event_kernel

PEERS = Path(event_kernel.__file__).with_name("peers")


@pytest.fixture
def quick_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel of known speed in place of ours: 4 million events a second at the gas's own rate."""
    module = ModuleType("kmc.benchmarks.lattice_gas")
    module.bonded = lambda sites: sites
    module.lattice_gas = lambda sites, rates, events, seed: (events / 4e6, events, events / sites / 0.54)
    monkeypatch.setitem(sys.modules, "kmc.benchmarks.lattice_gas", module)


def test_rows_with_recorded_peer(quick_kernel: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a peer: six rows, speeds and check of our kernel, recorded speeds that say they are."""
    monkeypatch.delenv(event_kernel.PEER_VARIABLE, raising=False)
    rows = event_kernel.run()
    assert [(row["sites"], row["rates"]) for row in rows] == [
        (sites, rates) for sites in (10_000, 100_000, 1_000_000) for rates in ("exclusion", "field")
    ]
    assert [row["peer_events_per_s"] for row in rows[::2]] == [2.22e6, 1.72e6, 0.95e6]
    for row in rows:
        assert row["events_per_s"] == pytest.approx(4e6)
        assert row["events_per_site_time"] == pytest.approx(0.54)
        assert row["ratio"] == pytest.approx(4e6 / row["peer_events_per_s"])
        assert row["peer_measured_now"] is False


def test_peer_that_does_not_serve_is_said(
    quick_kernel: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An interpreter without kmcos leaves the recorded speeds, and the reason is told."""
    monkeypatch.setenv(event_kernel.PEER_VARIABLE, sys.executable)
    rows = event_kernel.run()
    assert not any(row["peer_measured_now"] for row in rows)
    assert "does not serve: ModuleNotFoundError: No module named 'kmcos'" in caplog.text


_FAKE_PEER = """#!/bin/sh
case "$*" in
  -c*) echo 3.11 /somewhere 1.1.0 ;;
  *kmcos_build.py*) mkdir latgas3d_local_smart; : > latgas3d_local_smart/kmc_model.fake.so
                    echo built >> "$FAKE_LOG" ;;
  *kmcos_bench.py*) for speed in 100 300 200; do echo "kmcos $2 rep=0 ev/s=$speed  rate/site=0.5400"; done ;;
esac
"""


def test_peer_is_built_once_and_measured(quick_kernel: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that serves is compiled once into the cache, and each size's median is its speed."""
    fake = tmp_path / "python"
    fake.write_text(_FAKE_PEER)
    fake.chmod(0o755)
    log = tmp_path / "log"
    monkeypatch.setenv(event_kernel.PEER_VARIABLE, str(fake))
    monkeypatch.setenv("KMC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_LOG", str(log))
    for _ in range(2):
        rows = event_kernel.run()
        assert {(row["peer_events_per_s"], row["peer_measured_now"]) for row in rows} == {(200.0, True)}
    assert log.read_text() == "built\n"
    assert len(list((tmp_path / "cache" / "peers").iterdir())) == 1


def test_peer_model_is_the_shared_one(shared: Path | None) -> None:
    """The peer's model is kept to the letter below its header (compared where the original is there)."""
    for name in ("kmcos_build.py", "kmcos_bench.py"):
        header, _, text = (PEERS / name).read_text().partition("\n\n")
        assert all(line.startswith("#") for line in header.splitlines())
        assert "kmcos" in text
        if shared is not None:
            assert text == (shared / "peers" / name).read_text()


@pytest.mark.parametrize("sites", [10_000, 100_000])
def test_lattice_gas_has_the_physics(sites: int) -> None:
    """Our gas has exactly the sites asked for: events / (time x sites) = 0.540 within 0.01."""
    _, check = event_kernel.measure(sites, "exclusion", 500_000, repeats=1)
    assert check == pytest.approx(event_kernel.EVENTS_PER_SITE_TIME, abs=0.01)


if os.environ.get(event_kernel.PEER_VARIABLE):  # the peer needs gfortran and an environment of its own

    @pytest.mark.slow
    def test_peer_has_the_physics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The peer's gas has the same rate."""
        monkeypatch.setenv("KMC_CACHE", str(tmp_path))
        python = os.environ[event_kernel.PEER_VARIABLE]
        model = event_kernel.build_peer(python)
        speed, check = event_kernel.measure_peer(python, model, event_kernel.SIZES[0])
        assert speed > 0
        assert check == pytest.approx(event_kernel.EVENTS_PER_SITE_TIME, abs=0.01)
