"""What several files of tests ask: a scoring application with the toy detector behind it, and live cameras."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camera_counting.video import LiveSource
from tests.request_formats import scoring_client
from tests.rtsp_camera import RtspCamera
from tests.watched_camera import TIMEOUT


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """The client of the application, and the folder of the model that it serves."""
    folder = tmp_path_factory.mktemp("served")
    with scoring_client(folder) as client:
        yield client, folder / "model"


@pytest.fixture(scope="module")
def client(served: tuple[Any, Path]) -> Any:
    return served[0]


@pytest.fixture(scope="module")
def model_folder(served: tuple[Any, Path]) -> Path:
    return served[1]


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspCamera]:
    """One that works, for tests that leave it as it is."""
    server = RtspCamera()
    yield server
    server.kill()


@pytest.fixture
def own() -> Iterator[Callable[..., RtspCamera]]:
    """Starts cameras of this test alone."""
    servers: list[RtspCamera] = []

    def start(*options: str) -> RtspCamera:
        servers.append(RtspCamera(*options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def watch() -> Iterator[Callable[..., LiveSource]]:
    """Opens sources, and sees that they leave no thread and no socket."""
    opened: list[LiveSource] = []
    before = {thread.ident for thread in threading.enumerate()}

    def start(url: str, **settings: Any) -> LiveSource:
        opened.append(LiveSource(url, **{"timeout": TIMEOUT, "backoff": (0.1, 0.4), **settings}))
        return opened[-1]

    yield start
    for source in opened:
        begun = time.monotonic()
        source.close()
        assert time.monotonic() - begun < 2
        assert source.state == "closed"
    names = [thread.name for thread in threading.enumerate() if thread.ident not in before]
    assert [name for name in names if name.startswith("camera-counting") and "resolve" not in name] == []
