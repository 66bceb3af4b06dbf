"""What a run is tagged with, in real checkouts made for the test."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking.context.registry import resolve_tags

from run_lineage import RunLineageContext
from run_lineage.code import checkout_tags
from run_lineage.machine import gpus, installed


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "train.py").write_text("x = 1\n")
    (tmp_path / "requirements.txt").write_text("numpy==2.0\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_a_clean_checkout(checkout: Path) -> None:
    tags = checkout_tags(checkout)
    assert tags["lineage.git_commit"] == git(checkout, "rev-parse", "HEAD")
    assert tags["lineage.git_branch"] == "trunk"
    assert tags["lineage.git_dirty"] == "false"
    content = b"numpy==2.0\n"
    assert tags["lineage.lock_digest"] == hashlib.sha256(b"requirements.txt 11\n" + content).hexdigest()


@pytest.mark.parametrize(
    ("change", "dirty"),
    [
        (lambda folder: (folder / "train.py").write_text("x = 2\n"), "true"),
        (lambda folder: (folder / "new.py").write_text("y = 1\n"), "true"),
        (lambda folder: (folder / "train.py").unlink(), "true"),
        (
            lambda folder: (folder / ".git" / "info" / "exclude").write_text("out\n") and (folder / "out").touch(),
            "false",
        ),
    ],
    ids=["changed", "new", "deleted", "ignored"],
)
def test_dirty_says_whether_the_commit_is_the_code(checkout: Path, change, dirty: str) -> None:
    change(checkout)
    assert checkout_tags(checkout)["lineage.git_dirty"] == dirty


def test_from_a_folder_below_the_root(checkout: Path) -> None:
    below = checkout / "a" / "b"
    below.mkdir(parents=True)
    assert checkout_tags(below)["lineage.lock_digest"] == checkout_tags(checkout)["lineage.lock_digest"]


def test_outside_of_a_checkout_there_is_no_code_to_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert not {key for key in checkout_tags(tmp_path) if "git" in key or "lock" in key}


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert "lineage.git_commit" not in checkout_tags(tmp_path)


def test_without_git_a_run_still_starts(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "lineage.git_commit" not in checkout_tags(checkout)


@pytest.mark.parametrize("branch", ["trunk", "(detached)"])
def test_where_git_is_too_slow_to_compare_files_the_commit_is_still_known(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, branch: str
) -> None:
    if branch == "(detached)":
        git(checkout, "checkout", "-q", "--detach")
    commit = git(checkout, "rev-parse", "HEAD")
    slow = tmp_path_factory.mktemp("bin") / "git"
    slow.write_text(f'#!/bin/sh\n[ "$1" = status ] && exec sleep 20\nexec {shutil.which("git")} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    tags = checkout_tags(checkout)
    assert (tags["lineage.git_commit"], tags["lineage.git_branch"]) == (commit, branch)
    assert "lineage.git_dirty" not in tags
    assert "lineage.lock_digest" in tags


def test_the_script_is_named_relative_to_the_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(checkout / "train.py"), raising=False)
    assert checkout_tags(checkout)["lineage.entry_point"] == "train.py"
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/home/somebody/secret/tool.py")
    assert checkout_tags(checkout)["lineage.entry_point"] == "tool.py"


def test_installed_distributions_are_those_that_metadata_knows() -> None:
    names = installed()
    for package in ("numpy", "mlflow", "pydantic", "pydantic-settings"):
        assert f"{package}=={version(package)}" in names
    assert names == sorted(set(names))


def test_installed_tells_one_environment_from_another(tmp_path: Path) -> None:
    (tmp_path / "Some_Package-1.2.0.dist-info").mkdir()
    assert installed([str(tmp_path)]) == ["some-package==1.2.0"]
    assert installed([str(tmp_path / "absent")]) == []


def test_gpus_come_from_the_drivers_own_files(tmp_path: Path) -> None:
    assert gpus(tmp_path / "absent") == "none"
    for slot in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "information").write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t 11\n")
    assert gpus(tmp_path) == "2 x NVIDIA H100 80GB HBM3"


def test_a_real_run_carries_the_tags(tracking: str) -> None:
    with mlflow.start_run() as run:
        pass
    tags = mlflow.get_run(run.info.run_id).data.tags
    assert tags["lineage.python"] == ".".join(map(str, sys.version_info[:3]))
    assert len(tags["lineage.environment_digest"]) == 64


def test_a_failing_lookup_never_fails_a_run(tracking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("run_lineage.context.checkout_tags", lambda: 1 / 0)
    with mlflow.start_run():
        pass


def test_nothing_personal_is_recorded() -> None:
    values = " ".join(RunLineageContext().tags().values())
    for personal in (str(Path.home()), __import__("socket").gethostname()):
        assert personal not in values.split()
    assert str(Path.home()) + "/" not in values


def test_fast_enough_for_every_run() -> None:
    provider = RunLineageContext()
    provider.tags()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        provider.tags()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05
    assert resolve_tags()["lineage.python"]


def test_imported_before_mlflow_it_is_registered_all_the_same() -> None:
    """The other order is how MLflow itself imports it, as every run above shows."""
    code = (
        "import warnings; warnings.simplefilter('error', UserWarning); import run_lineage; "
        "run_lineage.RunLineageContext; "
        "from mlflow.tracking.context.registry import _run_context_provider_registry as r; "
        "assert any(type(p).__name__ == 'RunLineageContext' for p in r)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
