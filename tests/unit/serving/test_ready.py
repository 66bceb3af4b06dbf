"""Waiting for a server that comes up late."""

from __future__ import annotations

import doctest
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from serving import direct
from serving.camera.sinks.webhook import WebhookSink
from serving.errors import ServingError
from serving.ready import main, wait_for
from serving.server import Server, free_port
from tests.camera_records import record
from tests.webhook_receiver import Receiver


def test_it_waits_for_a_server_that_comes_up_late() -> None:
    port = free_port()
    opened: list[float] = []

    def serve() -> None:
        time.sleep(1)
        with HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler) as server:  # answers 501: it is there
            opened.append(time.monotonic())
            server.handle_request()

    thread = threading.Thread(target=serve)
    thread.start()
    assert wait_for(f"http://127.0.0.1:{port}/health", 20)
    assert opened
    thread.join()


def test_it_gives_up_with_a_sentence() -> None:
    url = f"http://127.0.0.1:{free_port()}/health"
    result = CliRunner().invoke(main, [url, "up", "--patience", "0.1"])
    assert result.exit_code == 1
    assert result.output == f"error: nothing answers at {url} after 0.1 seconds\n"


class Proxy(ThreadingHTTPServer):
    """Says yes to whatever it is asked, and keeps what that was."""

    def __init__(self) -> None:
        asked = self.asked = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                asked.append(self.path)
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The one that the environment names for everything."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    proxy = Proxy()
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
    yield proxy
    proxy.shutdown()
    proxy.server_close()


def test_what_a_proxy_answers_is_not_taken_for_this_machine(proxy: Proxy) -> None:
    for host in ("127.0.0.1", "localhost"):
        assert not wait_for(f"http://{host}:{free_port()}/health", 0.3)
    assert proxy.asked == []
    assert wait_for("http://counting.example.org/health", 5), "another machine is asked as the environment says"
    assert proxy.asked == ["http://counting.example.org/health"]


def test_a_server_that_was_started_here_is_not_ready_because_a_proxy_says_so(proxy: Proxy, tmp_path: Path) -> None:
    server = Server(tmp_path / "no-model", "127.0.0.1", free_port(), "local")
    try:
        with pytest.raises(ServingError, match=r"did not answer|ended with"):
            server.wait(0.5)
    finally:
        server.stop()
    assert proxy.asked == []


def test_a_webhook_for_this_machine_goes_to_no_proxy(proxy: Proxy) -> None:
    own = Receiver()
    WebhookSink("hook", own.url).deliver([record(1)], "b")
    own.stop()
    assert (len(own.bodies), proxy.asked) == (1, [])
    WebhookSink("hook", "http://hooks.example.org/in").deliver([record(2)], "b")
    assert proxy.asked == ["http://hooks.example.org/in"], "to another machine as the environment says"


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(direct).failed == 0
