"""What all tests share: a reproducible profile for hypothesis, no display, no skip that passes unseen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("MPLBACKEND", "Agg")
for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # as `kmc.core.blas_threads`, before anything is imported

settings.register_profile(
    "kmc",
    derandomize=True,
    deadline=None,
    max_examples=50,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("kmc")

REPOSITORY = Path(__file__).resolve().parent.parent
_skipped: dict[str, str] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests begin first: one that begins last would leave the other processes idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top folder of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path | None:
    """The folder of the design documents beside the checkout, or None: a user's clone has none."""
    folder = REPOSITORY.parent / "shared"
    return folder if (folder / "DESIGN.md").is_file() else None


def _note(report: pytest.CollectReport | pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped[report.nodeid] = reason


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note the modules that were skipped whole."""
    _note(report)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the tests that were skipped."""
    _note(report)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI (CI=true) a test that was skipped has not passed: the run fails."""
    if os.environ.get("CI") == "true" and _skipped and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests whose skipping makes a CI run fail."""
    if os.environ.get("CI") == "true" and _skipped:
        terminalreporter.section("skipped tests count as failures here (CI=true)", red=True)
        for name, reason in _skipped.items():
            terminalreporter.line(f"{name}: {reason}")
