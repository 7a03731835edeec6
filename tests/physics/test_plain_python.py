"""Compiled kernels and the same functions as plain Python: the same events, floats to 1e-12."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import plain_python
import pytest
from small_stacks import STACKS


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Results of plain Python and of compiled code."""
    out = tmp_path_factory.mktemp("plain") / "plain.npz"
    here = Path(plain_python.__file__).resolve()
    paths = os.pathsep.join([str(here.parent), str(here.parents[2])])
    subprocess.run(
        [sys.executable, str(here), str(out)],
        check=True,
        timeout=300,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": paths},
    )
    with np.load(out, allow_pickle=False) as plain:
        return dict(plain), plain_python.everything()


@pytest.mark.parametrize("case", [*STACKS, "potentials", "gap", "bridge"])
def test_compiled_equals_plain(both: tuple[dict[str, np.ndarray], dict[str, np.ndarray]], case: str) -> None:
    """Every array of a case: whole numbers equal, floats to 1e-12."""
    plain, compiled = both
    keys = [key for key in compiled if key.startswith(f"{case}: ")]
    assert keys
    assert set(plain) == set(compiled)
    for key in keys:
        least = 1e-15 if "unit" in key else 0.0
        np.testing.assert_allclose(plain[key], compiled[key], rtol=1e-12, atol=least, err_msg=key)
    if case in STACKS:
        assert compiled[f"{case}: clock"][1] > 5  # of the trials most are atoms that come back at once


def test_the_cases_are_what_they_say(both: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]) -> None:
    """Tunnelling has links, the bridge a network, two stacks' tables lead to other events."""
    _, compiled = both
    assert compiled["gap: matrix"].any()
    assert len(compiled["gap: links"]) == 0
    assert len(compiled["bridge: links"]) > 20
    assert compiled["potentials: rounds"][0] > 1
    assert (compiled["ogb_20nm: sites"] != compiled["ddab_20nm: sites"]).any()
