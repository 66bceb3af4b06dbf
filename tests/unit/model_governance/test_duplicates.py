"""Two registrations of the same files at once, of two processes, and one of them killed: one version stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from plain_policy import POLICY

from model_governance import Policy, check, promote, register
from model_governance.duplicates import doubled

MakeModel = Callable[..., str]

OTHER = """
import json, os, signal, sys, time
from pathlib import Path
import mlflow
from mlflow import MlflowClient
from model_governance import Policy, VersioningError, register, registration

uri, folder, end, policy = sys.argv[1], Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
write = registration.write_bundle

def wait(*arguments):
    # It has seen that no version holds these files, and goes on when the other process has made one.
    (folder / "ready").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return write(*arguments)

registration.write_bundle = wait
if end == "killed":
    MlflowClient.delete_model_version = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
try:
    done = register(uri, "m", Policy.model_validate(policy))
    print("registered", done.version, done.created)
except VersioningError as error:
    print(error)
"""


@contextmanager
def another_registration(uri: str, folder: Path, end: str) -> Iterator[subprocess.Popen[str]]:
    """Of the same store, in a process of its own; held where it has decided to make a version."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, uri, str(folder), end, json.dumps(POLICY)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    ) as process:
        try:
            while not (folder / "ready").exists():
                assert process.poll() is None, "the other process ended too early"
                time.sleep(0.02)
            yield process
        finally:
            process.kill()


def versions() -> list[str]:
    return sorted(str(each.version) for each in MlflowClient().search_model_versions("name='m'"))


def test_the_second_of_two_at_once_finds_the_version_of_the_first(
    make_model: MakeModel, policy: Policy, tmp_path: Path
) -> None:
    uri = make_model()
    with another_registration(uri, tmp_path, "alive") as other:
        assert register(uri, "m", policy).created
        (tmp_path / "go").touch()
        told, _ = other.communicate(timeout=120)
    assert told.strip() == "registered 1 False"
    assert versions() == ["1"]
    assert str(MlflowClient().get_model_version_by_alias("m", "challenger").version) == "1"
    assert check("m") == []


def test_what_a_killed_registration_left_behind_is_taken_away(
    make_model: MakeModel, policy: Policy, tmp_path: Path
) -> None:
    uri = make_model()
    with another_registration(uri, tmp_path, "killed") as other:
        register(uri, "m", policy)
        (tmp_path / "go").touch()
        assert other.wait(timeout=120) == -signal.SIGKILL
    assert versions() == ["1", "2"]
    assert "versions 1, 2 hold the same files; register their model again to be left with one" in check("m")
    again = register(uri, "m", policy)
    assert (again.version, again.created, again.semantic_version) == ("1", False, "1.0.0")
    assert versions() == ["1"]
    assert check("m") == []


def test_a_number_that_another_model_took_at_the_same_moment_is_given_back(
    make_model: MakeModel, policy: Policy, tmp_path: Path
) -> None:
    register(make_model(1), "m", policy)
    slow, quick = make_model(2), make_model(3)
    with another_registration(slow, tmp_path, "killed") as other:
        assert register(quick, "m", policy).semantic_version == "1.1.0"
        (tmp_path / "go").touch()
        assert other.wait(timeout=120) == -signal.SIGKILL
    numbers = [MlflowClient().get_model_version("m", n).tags["semantic_version"] for n in versions()]
    assert numbers == ["1.0.0", "1.1.0", "1.1.0"]
    assert check("m") == [
        "versions 2, 3 have the same semantic version; register the model of the newer one again"
    ]
    assert register(slow, "m", policy).semantic_version == "1.2.0"
    assert versions() == ["1", "2", "4"]
    assert check("m") == []


def test_what_somebody_decided_on_is_never_taken_away(make_model: MakeModel, policy: Policy) -> None:
    uri = make_model()
    client = MlflowClient()
    first = client.get_model_version("m", register(uri, "m", policy).version)
    twin = client.create_model_version("m", first.source, run_id=first.run_id, tags=first.tags)
    promote("m", twin.version, "Ann", "the twin will do")
    again = register(uri, "m", policy)
    assert (again.version, versions()) == ("2", ["1", "2"]), "the other one is the challenger still"
    assert doubled({n: client.get_model_version("m", n) for n in versions()})[0].startswith("versions 1, 2 hold")


@pytest.mark.parametrize("tags", [{}, {"artifact_digest": ""}])
def test_versions_that_others_made_are_no_doubles(
    make_model: MakeModel, policy: Policy, tags: dict[str, str]
) -> None:
    uri = make_model()
    version = MlflowClient().get_model_version("m", register(uri, "m", policy).version)
    for _ in range(2):
        MlflowClient().create_model_version("m", version.source, run_id=version.run_id, tags=tags)
    register(uri, "m", policy)
    assert (versions(), check("m")) == (["1", "2", "3"], [])
