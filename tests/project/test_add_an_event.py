"""What docs/how-to/add-an-event.md says is done, in a copy of the program: the event is there and obeys the laws."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kmc.kinetics.electron_transfer import MECHANISMS, transfer_rate

TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "how-to" / "add-an-event.md"
# Rates in a window of the copy, in plain Python: detailed balance of oxidation, and what the new mechanism adds.
LAW = """
import sys
import numpy as np
from detailed_balance import imbalance, sample
from small_device import window

w = window(1)
w.state.run["voltage_device"], w.model["bridged_transfer_barrier"] = 0.3, float(sys.argv[1])
from kmc.kinetics import advance
advance.refresh_all(*w)
events = sample(w, 12)["oxidation"]
assert len(events) >= 6
print(max(abs(imbalance(w, event)) for event in events), sum(w.state.rates[e.entity, 6] for e in events))
"""


def blocks(language: str) -> list[str]:
    """The code of the page in a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program in which the page has been followed."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("kmc", "materials"):
        shutil.copytree(TOP / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "_materials"))
    (key, mechanism), (value,) = blocks("python"), blocks("yaml")
    schema, ag = folder / "kmc/cards/card_schema.py", folder / "materials/ag.yaml"
    schema.write_text(schema.read_text().replace("_METAL = {\n", "_METAL = {\n" + key))
    ag.write_text(ag.read_text() + value)
    law = folder / "kmc/kinetics/electron_transfer.py"
    before, found, _ = law.read_text().partition("MECHANISMS = (")
    assert found
    law.write_text(before + mechanism)
    return folder


def python(copy: Path, *words: str) -> str:
    """What Python prints with the program of the copy, kernels as plain functions."""
    paths = os.pathsep.join([str(copy), str(TOP / "tests/support")])
    env = {**os.environ, "PYTHONPATH": paths, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, *words], env=env, cwd=copy, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_of_processes_lists_it(copy: Path) -> None:
    """With its barrier, there and back; the program as it is does not."""
    shown = python(copy, "-m", "kmc", "check", "ogb_20nm", "--barriers", "--json")
    assert '"Ag -> Ag+ + e- (bridged)"' in shown
    assert '"Ag+ + e- -> Ag (bridged)"' in shown
    assert "bridged" not in python(TOP, "-m", "kmc", "check", "ogb_20nm", "--barriers", "--json")


def test_its_rates_count_and_obey_detailed_balance(copy: Path) -> None:
    """To 1e-9, whatever its barrier; a low barrier makes oxidation faster than one that is never crossed."""
    found = [tuple(map(float, python(copy, "-c", LAW, barrier).split())) for barrier in ("0.05", "1000")]
    assert max(imbalance for imbalance, _ in found) < 1e-9
    assert found[0][1] > 1.01 * found[1][1]


def test_every_mechanism_is_in_the_sum() -> None:
    """The rate is that of MECHANISMS together: a row without its line in `transfer_rate`, or the reverse, fails."""
    import numpy as np

    from kmc.geometry.lattice import OPEN
    from kmc.kinetics.process_rows import _Site
    from kmc.system.parameter_tables import MODEL
    from kmc.system.rate_laws import thermal_rate

    model = np.zeros(1, MODEL).view(np.recarray)[0]
    for k, name in enumerate(model.dtype.names):
        if model.dtype[name].shape == ():
            model[name] = 0.1 + 0.01 * k
    site, total = _Site(1, OPEN), 0.0
    plain = [getattr(one.law, "py_func", one.law) for one in MECHANISMS]
    for law in plain:
        prefactor, barrier = law(model, site, 1e10, 0.2, 0.1, True)
        total += thermal_rate(prefactor, barrier, 300.0)
    whole = getattr(transfer_rate, "py_func", transfer_rate)(model, site, 1e10, (0.2, 0.1), 300.0, True)
    assert whole == pytest.approx(total, rel=1e-12)
