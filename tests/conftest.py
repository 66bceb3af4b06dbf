"""What all tests share: no telemetry, a tracking store of one's own, and the real inputs where they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.empty_store import empty_store

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="1",
    YOLO_OFFLINE="true",
    YOLO_AUTOINSTALL="false",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
)
# Side by side, one thread each is faster than two that wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real clips and detectors (CAMERA_COUNTING_REAL, or ../shared/real beside the checkout)."""
    folder = Path(os.environ.get("CAMERA_COUNTING_REAL", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"no real inputs here: {folder.name} is absent (set CAMERA_COUNTING_REAL)")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Debian's Chromium; the tests that look at a page need it."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("service: chromium is not installed")
    return path


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An MLflow tracking store and registry of this test alone; gives its URI."""
    import mlflow

    uri = empty_store(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    yield uri
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """On CI a skip for want of a server or a browser is a failure: `.ci/run` should have installed it."""
    report = yield
    required = os.environ.get("CAMERA_COUNTING_REQUIRE_SERVICES") == "1"
    if required and report.skipped and isinstance(report.longrepr, tuple) and "service:" in report.longrepr[2]:
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may skip: {report.longrepr[2]}"
    return report
