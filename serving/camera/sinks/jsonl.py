"""Records as lines of JSON, appended to a file."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC
from pathlib import Path

from serving.camera.records import CountRecord
from serving.camera.sinks.base import Sink
from serving.errors import SinkError

__all__ = ["JsonLinesSink", "append_lines"]

_BLOCK = 1 << 16
_BEGINNING = b'{"id": '
_AFTER_ID = b', "camera": '
_LOOKED_AT = 1_000  # lines at the end in which a record is looked for; a batch is shorter


class JsonLinesSink(Sink):
    """A file with one record a line, each there once.

    The file is opened for each batch, so that it may be moved away at any time. A batch counts as taken when the
    disk has it. A line that a dying process cut off is removed; records that stand in the last thousand lines
    already, because their batch came before, are not written again.

    Parameters
    ----------
    path : Path
        Appended to; made, with its folder, where it is absent.
    daily : bool
        Whether each day (UTC, of the records' times) gets a file of its own: events.jsonl becomes
        events-2026-03-01.jsonl.
    """

    linger = 0.2

    def __init__(self, name: str, path: Path, *, daily: bool = False) -> None:
        super().__init__(name)
        self.path, self._daily = Path(path), daily

    def deliver(self, records: Sequence[CountRecord], batch: str) -> None:
        """Append what is not there yet; see `Sink.deliver`."""
        files: dict[Path, list[CountRecord]] = {}
        for record in records:
            files.setdefault(self._file(record), []).append(record)
        for path, content in files.items():
            try:
                append_lines(path, [json.dumps(record.to_dict(), ensure_ascii=False) for record in content])
            except OSError as error:
                raise SinkError(
                    f"cannot append to {path}: {error.strerror or error}; check its rights and the disk's room"
                ) from error

    def _file(self, record: CountRecord) -> Path:
        if not self._daily:
            return self.path
        day = record.time.astimezone(UTC).date().isoformat()
        return self.path.with_name(f"{self.path.stem}-{day}{self.path.suffix}")


def append_lines(path: Path, records: Sequence[str]) -> int:
    """Append records, given as JSON that begins with id and camera, that are not in the file's last lines yet.

    Returns
    -------
    int
        How many were new. The disk has them.

    Raises
    ------
    OSError
        Where they cannot be written; none of them is then in the file.
    """
    new = not path.exists()
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file:
        end = _whole_end(file)
        there = _last_ids(file, end, max(_LOOKED_AT, len(records)))
        lines = [record.encode("utf-8", "replace") + b"\n" for record in records]
        lines = [line for line in lines if _id(line) not in there]
        content = b"".join(lines)
        size = file.seek(0, os.SEEK_END)
        if end != size:
            if _read(file, end, min(size, end + len(_BEGINNING))) == _BEGINNING[: size - end]:
                file.truncate(end)
            else:
                content, end = b"\n" + content, size  # not ours to cut
        try:
            while content:
                content = content[file.write(content) :]
            os.fsync(
                file.fileno()
            )  # also where nothing was new: who wrote it may have died before the disk had it
        except OSError:
            with suppress(OSError):  # else it is cut off when the batch comes again
                file.truncate(end)
            raise
    if new:
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return len(lines)


def _whole_end(file: io.FileIO) -> int:
    """Where the last whole line ends, in bytes."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _BLOCK)
        cut = _read(file, start, end).rfind(b"\n")
        if cut >= 0:
            return start + cut + 1
        end = start
    return 0


def _last_ids(file: io.FileIO, end: int, lines: int) -> set[bytes]:
    """Ids of the last lines, at most as many as asked for."""
    start, found = end, 0
    blocks: list[bytes] = []
    while start and found <= lines:
        before = max(0, start - _BLOCK)
        blocks.append(_read(file, before, start))
        found += blocks[-1].count(b"\n")
        start = before
    tail = b"".join(reversed(blocks))
    return {_id(line) for line in tail.split(b"\n")[-lines - 1 :]}


def _id(line: bytes) -> bytes:
    """What a line begins with, up to its id: it is told by that, without reading all of it."""
    return line.partition(_AFTER_ID)[0]


def _read(file: io.FileIO, start: int, end: int) -> bytes:
    file.seek(start)
    content = b""
    while len(content) < end - start:
        more = file.read(end - start - len(content))
        if not more:
            break
        content += more
    return content
