"""The field benchmark on small meshes: its rows, its answers, and that the peer gets what it is due."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest

from kmc.benchmarks import field_solver as bench
from kmc.core.blas_threads import VARIABLES

needs_peer = pytest.mark.skipif(find_spec("pyamg") is None, reason="pyamg has no wheels for this Python")
KEYS = [
    "shape",
    "contrast",
    "cold_s",
    "warm_s",
    "error_G",
    "peer",
    "peer_cold_s",
    "peer_warm_s",
    "ratio_cold",
    "ratio_warm",
]


@needs_peer
def test_rows_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each shape and contrast with exactly the promised columns; each step is told."""
    monkeypatch.setattr(bench, "SHAPES", ((12, 10, 16), (10, 12, 18)))
    told: list[str] = []
    rows = bench.run(told.append)
    assert [list(row) for row in rows] == [KEYS] * 4
    assert [(row["shape"], row["contrast"]) for row in rows] == [
        ([12, 10, 16], 1e6),
        ([12, 10, 16], 1e9),
        ([10, 12, 18], 1e6),
        ([10, 12, 18], 1e9),
    ]
    for row in rows:
        assert 0.0 < row["error_G"] < 1e-3
        assert row["ratio_cold"] == pytest.approx(row["peer_cold_s"] / row["cold_s"])
        assert row["ratio_warm"] == pytest.approx(row["peer_warm_s"] / row["warm_s"])
        assert min(row[key] for key in KEYS if key.endswith("_s")) > 0.0
    assert len(told) == 3 * len(rows)


def test_measured_on_one_thread_and_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the measuring process libraries see one thread; afterwards the variables are what they were."""
    monkeypatch.setenv(VARIABLES[0], "7")
    monkeypatch.delenv(VARIABLES[1], raising=False)
    spawn = multiprocessing.get_context("spawn")
    with bench.one_each(), ProcessPoolExecutor(1, mp_context=spawn) as pool:
        assert [pool.submit(os.getenv, name).result() for name in VARIABLES] == ["1"] * len(VARIABLES)
    assert (os.environ[VARIABLES[0]], os.environ.get(VARIABLES[1])) == ("7", None)


def test_the_acceptance_shapes_are_measured() -> None:
    """The shapes and contrasts that the figures are promised for."""
    assert bench.SHAPES == ((40, 40, 60), (64, 64, 100))
    assert bench.CONTRASTS == (1e6, 1e9)


def test_closing_the_gap_closes_the_circuit() -> None:
    """One cell away from closed: with it the conductance is that of a wire, path length over contrast."""
    cells, gap = bench.nearly_closed((12, 12, 20), 1e6)
    opened, closed = cells.copy(), cells
    closed[gap] = 1e6
    one, other = bench.exact([opened, closed])
    assert other > 100 * one
    assert (cells == 1e6).sum() - 2 * 144 > 18  # steps sideways
    assert 0.9 < other / (1e6 / ((cells == 1e6).sum() - 2 * 144)) < 1.1


@pytest.mark.parametrize("most", [10**9, pytest.param(0, marks=needs_peer)])
def test_exact_answers_agree_with_a_dense_solve(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """By factors and by the peer's hierarchy, for the first state and for one that differs in a cell."""
    monkeypatch.setattr(bench, "DIRECT", most)
    cells, gap = bench.nearly_closed((6, 7, 12), 1e6)
    closed = cells.copy()
    closed[gap] = 1e6
    for found, state in zip(bench.exact([cells, closed]), (cells, closed), strict=True):
        a, b = bench.matrix(state)
        assert found == pytest.approx(bench.conductance(state, np.linalg.solve(a.toarray(), b)), rel=1e-9)


@needs_peer
def test_the_peer_stops_as_soon_as_it_is_as_good() -> None:
    """The iterate that it ends at meets the error, and is no better than it need be."""
    cells, _ = bench.nearly_closed((14, 14, 20), 1e6)
    (right,), start = bench.exact([cells]), bench.electrodes(cells.shape)[1][1:-1].ravel()
    peer = bench.Peer(cells)
    errors = []
    for error in (1e-2, 1e-5):
        _, values = peer.solve(cells, start, right, error)
        errors.append(abs(bench.conductance(cells, values) / right - 1.0))
        assert errors[-1] <= error
    assert errors[1] < 1e-5 < errors[0]


def test_a_change_is_all_that_a_new_solver_would_know() -> None:
    """After a measured change the faces are those of the changed cells, and the conductance is right."""
    cells, gap = bench.nearly_closed((12, 12, 16), 1e9)
    ours = bench.Ours(cells)
    assert ours.change(gap, 1e9) > 0.0
    closed = cells.copy()
    closed[gap] = 1e9
    for kept, new in zip(ours.faces, bench.face_conductances(closed), strict=True):
        assert kept.tobytes() == new.tobytes()
    assert ours.conductance() == pytest.approx(bench.exact([closed])[0], rel=1e-3)
