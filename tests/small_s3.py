"""A small object store that speaks enough of S3's REST interface for pyarrow and boto3, on this machine alone.

It keeps objects in memory: PUT, GET with ranges, HEAD, DELETE, multipart uploads and ListObjectsV2. Signatures are
not checked. Source: the Amazon S3 API reference.

    with small_s3() as store:
        store.endpoint, store.objects  # {"bucket/key": b"..."}
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Store:
    """The objects by bucket/key, and how to reach them."""

    endpoint: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    failing: bool = False


@contextmanager
def small_s3() -> Iterator[Store]:
    """Serve on a free port until the block ends."""
    store = Store()

    class Handler(_Handler):
        state = store

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Store
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _parts(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return unquote(parts.path).strip("/"), parse_qs(parts.query, keep_blank_values=True)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" in self.headers.get("Content-Encoding", "") or "STREAMING" in self.headers.get(
            "x-amz-content-sha256", ""
        ):
            return _unchunked(data)
        return data

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _fail(self, status: int, code: str) -> None:
        self._send(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def do_PUT(self) -> None:
        key, query = self._parts()
        body = self._body()
        if self.state.failing:
            return self._fail(403, "AccessDenied")
        tag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        if "uploadId" in query:
            self.state.uploads[query["uploadId"][0]][int(query["partNumber"][0])] = body
        elif "/" in key:
            self.state.objects[key] = body
        return self._send(200, ETag=tag)

    def do_POST(self) -> None:
        key, query = self._parts()
        self._body()
        if self.state.failing:
            return self._fail(403, "AccessDenied")
        if "uploads" in query:
            upload = uuid.uuid4().hex
            self.state.uploads[upload] = {}
            answer = (
                f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            )
        elif "uploadId" in query:
            pieces = self.state.uploads.pop(query["uploadId"][0])
            self.state.objects[key] = b"".join(pieces[number] for number in sorted(pieces))
            answer = f"<CompleteMultipartUploadResult><Key>{escape(key)}</Key></CompleteMultipartUploadResult>"
        else:
            return self._fail(501, "NotImplemented")
        return self._send(200, answer.encode(), Content_Type="application/xml")

    def do_DELETE(self) -> None:
        key, _ = self._parts()
        self.state.objects.pop(key, None)
        self._send(204)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        key, query = self._parts()
        if "/" not in key:
            return self._list(key, query) if self.command == "GET" else self._send(200)
        content = self.state.objects.get(key)
        if content is None:
            return self._fail(404, "NoSuchKey")
        status, headers = 200, {"Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "ETag": '"x"'}
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
            headers["Content_Range"] = f"bytes {start}-{end}/{len(content)}"
            status, content = 206, content[start : end + 1]
        return self._send(status, content, **headers)

    def _list(self, bucket: str, query: dict[str, list[str]]) -> None:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys: list[str] = []
        folders: dict[str, None] = {}
        for name in sorted(self.state.objects):
            key = name.removeprefix(f"{bucket}/")
            if not name.startswith(f"{bucket}/") or not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders[prefix + rest.split(delimiter)[0] + delimiter] = None
            else:
                keys.append(key)
        answer = f"<ListBucketResult><Name>{bucket}</Name><KeyCount>{len(keys)}</KeyCount>"
        answer += "<IsTruncated>false</IsTruncated>"
        for key in keys:
            size = len(self.state.objects[f"{bucket}/{key}"])
            answer += f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size>"
            answer += "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        answer += "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders)
        self._send(200, (answer + "</ListBucketResult>").encode(), Content_Type="application/xml")


def _unchunked(data: bytes) -> bytes:
    """The content of aws-chunked encoding: sizes in hexadecimal, each before its chunk."""
    content = b""
    while data:
        head, _, data = data.partition(b"\r\n")
        size = int(head.split(b";")[0] or b"0", 16)
        if size == 0:
            break
        content, data = content + data[:size], data[size + 2 :]
    return content
