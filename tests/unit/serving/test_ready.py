"""Waiting for a server that comes up late."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from click.testing import CliRunner

from serving.ready import main, wait_for
from serving.server import free_port


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
