"""A governed server with nothing to set up: passwords told once, secrets for their owner alone, a closed door."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
import requests

from model_governance.governed.audit.heads import kept_heads, read_public_key
from model_governance.governed.one_machine import PEOPLE, PROGRAMS, OneMachine

pytestmark = pytest.mark.slow


def machine_in(folder: Path) -> OneMachine:
    database, heads = f"sqlite:///{folder / 'mlflow.db'}", str(folder / "heads")
    return OneMachine(folder / "server", database, folder / "mlartifacts", heads=heads)


def prepared(folder: Path) -> dict[str, str]:
    told: dict[str, str] = {}
    machine_in(folder).prepare(lambda name, password, role: told.__setitem__(name, password))
    return told


def allowed(url: str, name: str, password: str) -> bool:
    answer = requests.get(f"{url}/api/2.0/mlflow/registered-models/search", auth=(name, password), timeout=30)
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module writes the address of its settings into the environment, where basic-auth reads it."""
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", os.environ.get("MLFLOW_AUTH_CONFIG_PATH", ""))


def test_passwords_are_told_once_and_open_the_door(tmp_path: Path, quiet: None) -> None:
    told = prepared(tmp_path)
    assert set(told) == set(PEOPLE)
    assert prepared(tmp_path) == {}, "the second start makes nobody anew"
    machine = machine_in(tmp_path)
    written = b"".join(path.read_bytes() for path in (tmp_path / "server").iterdir())
    assert not [name for name, password in told.items() if password.encode() in written], "people's are nowhere"
    key = tmp_path / "server" / "heads.pem"
    signs = key.read_bytes()
    for path in (key, *(tmp_path / "server").glob("*.password")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "server").stat().st_mode) == 0o700
    with machine.running(tmp_path / "server.log") as url:
        assert requests.get(f"{url}/api/2.0/mlflow/experiments/search", timeout=30).status_code == 401
        assert not allowed(url, "reviewer", "not the password")
        assert all(allowed(url, name, password) for name, password in told.items())
        assert all(allowed(url, name, machine.password(name)) for name in PROGRAMS)
        about = requests.get(f"{url}/governance/api/about", auth=("reviewer", told["reviewer"]), timeout=30).json()
        assert about["governed"] is True
        until = time.monotonic() + 60
        while not list((tmp_path / "heads").glob("*.head.json")) and time.monotonic() < until:
            time.sleep(0.2)
    assert key.read_bytes() == signs, "made once"
    assert kept_heads(str(tmp_path / "heads"), [read_public_key(key.with_name("heads.pem.pub"))])
    log = (tmp_path / "server.log").read_text()
    assert not [password for password in told.values() if password in log]


def test_a_lost_file_of_a_program_is_a_new_password(tmp_path: Path, quiet: None) -> None:
    prepared(tmp_path)
    machine = machine_in(tmp_path)
    before = machine.password("service")
    (tmp_path / "server" / "service.password").unlink()
    prepared(tmp_path)
    after = machine.password("service")
    assert after != before
    with machine.running(tmp_path / "server.log") as url:
        assert allowed(url, "service", after)
        assert not allowed(url, "service", before)
