"""No version is registered of a folder into which somebody still writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from model_governance.governed.asgi_gate import _Inner
from model_governance.governed.tables import UPLOADS
from model_governance.governed.uploads import Uploads, being_written
from tests.governed_registry import Registry, governed_registry

BUCKET = "s3://models/mlflow"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with governed_registry(folder, f"sqlite:///{folder / 'registry.db'}") as opened:
        yield opened


@pytest.fixture
def uploads(registry: Registry) -> Uploads:
    return Uploads(registry.store.engine, BUCKET)


def kept(registry: Registry) -> int:
    with registry.store.engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(UPLOADS)) or 0)


def test_a_folder_is_registered_when_nobody_writes_there_any_more(registry: Registry, uploads: Uploads) -> None:
    name = registry.model(0)
    folder = f"{BUCKET}/1/models/m-{32 * 'a'}/artifacts"
    upload = uploads.begin(f"{folder}/weights.bin", "mallory")
    beside = uploads.begin(f"{folder}-of-others/weights.bin", "mallory")
    with registry.by("ann"):
        with pytest.raises(MlflowException, match=r"mallory is still writing weights\.bin there"):
            registry.store.create_model_version(name, folder)
        assert registry.store.search_model_versions(f"name='{name}'") == []
        uploads.end(upload)
        assert registry.store.create_model_version(name, folder).version == 1
    uploads.end(beside)
    assert kept(registry) == 0


def test_an_upload_whose_worker_was_killed_counts_for_an_hour(registry: Registry, uploads: Uploads) -> None:
    folder = f"{BUCKET}/1/models/m-{32 * 'b'}/artifacts"
    uploads.begin(f"{folder}/weights.bin", "ann")
    with Session(registry.store.engine) as session, session.begin():
        assert being_written(session, folder)
        session.execute(update(UPLOADS).values(began=UPLOADS.c.began - 3_600_001))
        assert being_written(session, folder) is None
    uploads.end(uploads.begin(f"{BUCKET}/else", "ann"))
    assert kept(registry) == 0, "what is too old is not kept"


def test_of_files_on_the_servers_own_disk_nothing_is_kept(registry: Registry, tmp_path: Path) -> None:
    here = Uploads(registry.store.engine, str(tmp_path))
    assert here.begin(str(tmp_path / "x"), "ann") is None
    here.end(None)
    assert kept(registry) == 0


@pytest.mark.parametrize("fails", [False, True])
def test_an_upload_is_known_until_mlflow_has_sent_the_file_on(
    registry: Registry, uploads: Uploads, fails: bool
) -> None:
    """The first bytes and the last may have come long before the object store has them."""
    place = f"1/{32 * 'c'}/artifacts/w.bin"
    seen = []

    async def mlflow(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        with Session(registry.store.engine) as session:
            seen.append(being_written(session, f"{BUCKET}/1/{32 * 'c'}/artifacts"))
        if fails:
            raise ConnectionError("the object store is away")

    gate: Any = SimpleNamespace(
        uploads=uploads,
        guard=SimpleNamespace(place=lambda path: f"{BUCKET}/{path}", holder=lambda _: None),
        writes=SimpleNamespace(trouble=lambda *_: None, remember=lambda *_: None),
        registry=SimpleNamespace(enforced=lambda: True),
    )
    scope = {
        "type": "http", "method": "PUT", "headers": [], "state": {"username": "ann"},
        "path": f"/api/2.0/mlflow-artifacts/artifacts/{place}", "model_governance.endpoint": "upload_artifact",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def send(_: Any) -> None: ...

    async def upload() -> None:
        await _Inner(mlflow, gate)(scope, receive, send)

    if fails:
        with pytest.raises(ConnectionError):
            asyncio.run(upload())
    else:
        asyncio.run(upload())
    assert seen == ["ann is still writing w.bin there; register it when that has ended"]
    assert kept(registry) == 0
