"""A real RTSP camera for tests: starts tests/rtsp_server.py and tells it what to do."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

__all__ = ["RtspCamera"]

_DEBIAN = "/usr/bin/python3"
_SERVER = Path(__file__).with_name("rtsp_server.py")
_NEEDED = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


@cache
def _installed() -> bool:
    try:
        return subprocess.run([_DEBIAN, "-c", _NEEDED], capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


class RtspCamera:
    """Runs until it is stopped; `tell` changes how it behaves. Skips the test where GStreamer is absent."""

    def __init__(self, *options: str) -> None:
        if not _installed():
            pytest.skip("service: GStreamer's RTSP server is not installed (gir1.2-gst-rtsp-server-1.0)")
        self._options = options
        self.port, self.certificate = "0", ""
        self.start()

    def start(self) -> None:
        """On the port that it had before."""
        self._process = subprocess.Popen(
            [_DEBIAN, str(_SERVER), "--port", self.port, *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        said = self._said()
        self.port, self.certificate = str(said["port"]), said["certificate"]

    def tell(self, command: str) -> dict[str, Any]:
        """Let it do something, see rtsp_server.py."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._said()

    def kill(self) -> None:
        """As a power cut does."""
        self._process.kill()
        self._process.communicate()

    def url(self, path: str = "/cam", user: str = "", scheme: str = "rtsp", host: str = "127.0.0.1") -> str:
        """Its address."""
        return f"{scheme}://{user}{host}:{self.port}{path}"

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the RTSP server ended"
        return json.loads(line)
