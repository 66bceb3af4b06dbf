"""The demo's counting requests: a demo that was broken off is taken up where it stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from camera_counting.prediction_log import Prediction, PredictionLog, read_predictions
from pipelines.demo import questions
from pipelines.demo.cameras import WINDOWS, Shot
from pipelines.served_model import ServingError


class Server(ThreadingHTTPServer):
    """Answers counting requests, logs them as the served model does, and fails once it has answered `patience`."""

    def __init__(self, log: Path, patience: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.log, self.patience = PredictionLog(str(log)), patience

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/invocations"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        table = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["dataframe_split"]
        self.server.patience -= 1
        for number, cells in enumerate(table["data"]):
            if self.server.patience < 0 and number == 5:
                self.answer(500, {})  # broken off in the middle of a batch
                return
            _, camera, time = cells
            self.server.log.append([Prediction.now(camera_id=camera, time=datetime.fromisoformat(time))])
        self.answer(200, {"predictions": [{} for _ in table["data"]]})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the test's output."""


def drawn() -> Iterator[Shot]:
    """As many shots as the demo sends, at times of its windows, without a picture."""
    for window in WINDOWS.values():
        for number in range(window.pictures):
            time = window.start + timedelta(hours=2 * (number // 2), microseconds=number)
            yield Shot(b"jpeg", f"cam-{number % 2}", time)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "predictions", patience=3)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_demo_that_was_broken_off_sends_only_what_is_missing(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "shots", drawn)
    log, console = tmp_path / "predictions", Console(quiet=True)
    expected = sum(window.pictures for window in WINDOWS.values())
    with pytest.raises(ServingError):
        questions.send_windows(server.url, log, console)
    logged = read_predictions(str(log))
    assert 0 < len(logged) < expected
    server.patience = 1000
    for _ in range(2):  # the third demo has nothing to send
        assert questions.send_windows(server.url, log, console) == expected
        logged = read_predictions(str(log))
        assert len(logged) == expected
        assert not logged.duplicated(["camera_id", "time"]).any()
    assert server.patience == 1000 - -(-(expected - 3 * 24 - 5) // 24)
