"""A camera over HTTP for tests, with the manners of real ones."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import threading
import time
from pathlib import Path

import cv2
import numpy as np

__all__ = ["HttpCamera", "picture"]

RATE = 20.0


def picture(index: int) -> bytes:
    """A JPEG of 160 x 120 whose red bar moves to the right."""
    image = np.full((120, 160, 3), 60, np.uint8)
    image[20:100, 5 * (index % 30) : 5 * (index % 30) + 8] = (20, 20, 230)
    return cv2.imencode(".jpg", image)[1].tobytes()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    server: HttpCamera

    def log_message(self, *_):
        return

    def do_GET(self):
        camera = self.server
        camera.asked.append(self.path)
        camera.logins.append(self.headers.get("Authorization", ""))
        answer = getattr(self, f"get_{self.path.strip('/').split('?')[0].split('.')[0]}", None)
        try:
            if answer is None:
                self.head(404, "text/plain")
            else:
                answer()
        except OSError:
            return

    def head(self, status, kind, **more):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def parts(self, *, length=True, boundary="frame", said="frame"):
        self.head(200, f"multipart/x-mixed-replace; boundary={said}")
        index = 0
        while not self.server.stopped.is_set():
            if self.server.silent:
                time.sleep(0.05)
                continue
            data = picture(index)
            if self.server.broken:
                data = data[: len(data) // 2]
            size = f"Content-Length: {len(data)}\r\n" if length else ""
            self.wfile.write(f"--{boundary}\r\nContent-Type: image/jpeg\r\n{size}\r\n".encode() + data + b"\r\n")
            index += 1
            time.sleep(1 / RATE)

    def get_video(self):
        self.parts()

    def get_nolength(self):
        self.parts(length=False)

    def get_dashes(self):
        # some cameras name the boundary with its dashes
        self.parts(said="--frame")

    def get_still(self):
        data = b"\xff\xd8 broken" if self.server.broken else picture(len(self.server.asked))
        self.head(200, "image/jpeg", Content_Length=len(data))
        self.wfile.write(data)

    def get_page(self):
        self.head(200, "text/html; charset=utf-8")
        self.wfile.write(b"<html>Log in</html>")

    def get_playlist(self):
        self.head(200, "application/vnd.apple.mpegurl")
        self.wfile.write(b"#EXTM3U\nfile:///etc/passwd\n")

    def get_disguised(self):
        # a playlist that calls itself a video
        self.head(200, "video/mp4")
        self.wfile.write(
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n" * 20
        )

    def get_moved(self):
        self.head(302, "text/plain", Location="/video")

    def get_circle(self):
        self.head(302, "text/plain", Location="/circle")

    def get_away(self):
        self.head(302, "text/plain", Location="http://u:secret@169.254.169.254/latest")

    def get_file(self):
        self.head(302, "text/plain", Location="file:///etc/passwd")

    def get_busy(self):
        self.head(503, "text/plain")

    def get_endless(self):
        self.head(200, "image/jpeg")
        while not self.server.stopped.is_set():
            self.wfile.write(bytes(1 << 20))

    def get_basic(self):
        if self.headers.get("Authorization") == "Basic YWRAbWluOnA6dy94":  # ad@min:p:w/x
            self.parts()
        else:
            self.head(401, "text/plain", WWW_Authenticate='Basic realm="camera"')

    def get_digest(self):
        if self.answers_the_challenge():
            self.parts()
        else:
            challenge = 'Digest realm="camera", nonce="abc123", qop="auth", algorithm=MD5'
            self.head(401, "text/plain", WWW_Authenticate=challenge)

    def answers_the_challenge(self):
        """RFC 2617, worked out anew."""
        login = self.headers.get("Authorization", "")
        if not login.startswith("Digest "):
            return False
        said = {}
        for part in login[7:].split(", "):
            name, _, value = part.partition("=")
            said[name] = value.strip('"')
        one, two = _md5("ad@min:camera:p:w/x"), _md5(f"GET:{said['uri']}")
        right = _md5(f"{one}:abc123:{said['nc']}:{said['cnonce']}:auth:{two}")
        return said["response"] == right and said["uri"] == self.path


class HttpCamera(http.server.ThreadingHTTPServer):
    """Serves until it is closed; `silent` and `broken` change what it sends."""

    daemon_threads = True

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.silent = self.broken = False
        self.stopped = threading.Event()
        self.asked: list[str] = []
        self.logins: list[str] = []
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request, client_address):
        return

    def url(self, path: str, user: str = "") -> str:
        """Its address."""
        return f"{self.scheme}://{user}127.0.0.1:{self.server_port}{path}"

    def close(self) -> None:
        """End all streams."""
        self.stopped.set()
        self.shutdown()
        self.server_close()
