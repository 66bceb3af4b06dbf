"""A real HTTP server that webhooks are sent to, and that can refuse, hang and go away."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Receiver"]


class Receiver:
    """A server that answers as it is told, and keeps what it accepted."""

    def __init__(self, port: int = 0) -> None:
        self.status, self.headers, self.hang = 204, dict[str, str](), 0.0
        self.largest = 10**9
        self.refused: set[int] = set()
        self.refusal = 422
        self.seen: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(receiver.hang)
                status = 413 if len(body) > receiver.largest else receiver.status
                if receiver.refused & {told["track"] for told in json.loads(body)["records"]}:
                    status = receiver.refusal
                receiver.seen.append({key.lower(): value for key, value in self.headers.items()})
                receiver.bodies.append(body if 200 <= status < 300 else b"")
                self.send_response(status)
                for key, value in receiver.headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hooks/t0ken?key=s3cret"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def taken(self) -> list[dict[str, Any]]:
        return [told for body in self.bodies if body for told in json.loads(body)["records"]]
