"""In CI a skipped test fails the run; on a user's machine it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = {
    "one": "import pytest\n\ndef test_one():\n    pytest.skip('no display')\n",
    "module": "import pytest\n\npytest.importorskip('no_such_module_at_all')\n",
    "none": "import pytest\n\n@pytest.mark.xfail\ndef test_two():\n    assert False\n",
}


@pytest.mark.parametrize(
    ("kind", "ci", "code"), [("one", "true", 1), ("one", "", 0), ("module", "true", 1), ("none", "true", 0)]
)
def test_skips_fail_in_ci(kind: str, ci: str, code: int, tmp_path: Path, repository: Path) -> None:
    """A skipped test, a skipped module, and an expected failure, which is no skip."""
    shutil.copy(repository / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_kind.py").write_text(_TESTS[kind])
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "CI": ci}, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("count as failures here" in done.stdout) == (code == 1)
    if kind == "one" and code:
        assert "test_kind.py::test_one: Skipped: no display" in done.stdout
