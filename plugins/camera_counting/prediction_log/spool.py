"""The spool: rows on their way into the prediction log, in files that outlive the process that wrote them.

Each process appends to a file of its own and holds its lock. A file whose lock can be had belongs to nobody alive,
so whoever finds it packs it. Packing writes Parquet files that are named after the spool file, so that packing the
same file again, after a `kill -9` in the middle, overwrites them with the same rows. A damaged file stops none of
the others: its good rows are packed, and it stays as `*.bad` for a person to look at.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import json
import logging
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

from camera_counting.errors import PredictionLogError
from camera_counting.prediction_log.place import spool_folder
from camera_counting.prediction_log.record import Prediction

__all__ = ["Spool", "spooled_rows"]

# (log, rows, name of the part) -> how many of the rows are none
Write = Callable[[str, list[dict[str, Any]], str], int]

_logger = logging.getLogger(__name__)

# More than this waits only where the log itself cannot be written, or nobody packs it.
_MAX_BYTES = 256 << 20
_RETRY_SECONDS = 60.0


class Spool:
    """One process's way into a prediction log. Thread-safe.

    Parameters
    ----------
    uri : str
        The log.
    write : callable
        What packs rows into it; raises PredictionLogError where the log cannot be written.
    rows, seconds : int, float
        See `PredictionLog`.

    Raises
    ------
    OSError
        Where the spool's folder cannot be written.
    """

    def __init__(self, uri: str, write: Write, *, rows: int, seconds: float) -> None:
        self._write = write
        self._uri, self._rows, self._seconds = uri, rows, seconds
        self._folder = spool_folder(uri)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._packing = threading.Lock()
        self._wake = threading.Event()
        self._current: _SpoolFile | None = None
        self._closed = False
        self._complained = False
        self._told: set[Path] = set()
        me = weakref.ref(self)
        self._thread = threading.Thread(target=_work, args=(me, self._wake), name="prediction-log", daemon=True)
        self._thread.start()
        atexit.register(_close_at_exit, me)

    def append(self, records: Sequence[Prediction]) -> None:
        """Write rows to the file.

        Raises
        ------
        OSError
            Where they cannot be written, or the spool is full.
        """
        lines = "".join(record.to_json() + "\n" for record in records).encode()
        with self._lock:
            if self._current is None:
                self._check_room()
                self._current = _SpoolFile.create(self._folder)
            self._current.write(lines, len(records))
            full = self._current.rows >= self._rows
        if full:
            self._wake.set()

    def pack(self, own: bool = True) -> None:
        """Pack this process's rows, and those of dead processes, into the log; without `own` those alone.

        Raises
        ------
        PredictionLogError
            Where the log cannot be written; the rows stay in the spool.
        """
        with self._packing:
            if own:
                with self._lock:
                    current, self._current = self._current, None
                if current is not None:
                    current.release()
            for path in sorted(self._folder.glob("*.jsonl")):
                try:
                    trouble = _pack_orphan(path, self._uri, self._write)
                except PredictionLogError:
                    raise  # the log itself: the other files would fare no better
                except Exception as error:  # noqa: BLE001 - one file must not keep the others waiting
                    trouble = f"cannot be packed and stays where it is: {error}"
                if trouble and path not in self._told:
                    self._told.add(path)
                    _logger.error("the prediction log's spool file %s %s", path, trouble)

    def close(self) -> None:
        """Pack and end the thread."""
        self._closed = True
        self._wake.set()
        self.pack()

    def wait_seconds(self) -> float:
        """How long until there is something to do."""
        current = self._current
        if current is None:
            return self._seconds
        return max(0.0, current.born + self._seconds - time.monotonic())

    def work(self) -> float:
        """Pack where it is time; how long to sleep then."""
        if self._closed:
            return 0.0
        current = self._current
        due = current is not None and (current.rows >= self._rows or self.wait_seconds() <= 0)
        if due or self._has_others():
            try:
                self.pack(own=due)
                self._complained = False
            except Exception as error:  # noqa: BLE001 - a thread that ended would pack nothing ever again
                if not self._complained:
                    _logger.error(
                        "the prediction log %s cannot be written: %s; rows wait in the spool", self._uri, error
                    )
                    self._complained = True
                return _RETRY_SECONDS
        return max(0.05, min(self.wait_seconds(), self._seconds))

    @property
    def closed(self) -> bool:
        return self._closed

    def _has_others(self) -> bool:
        current = self._current
        mine = None if current is None else current.path
        return any(path != mine for path in self._folder.glob("*.jsonl"))

    def _check_room(self) -> None:
        waiting = 0
        for path in self._folder.glob("*.jsonl"):
            with contextlib.suppress(FileNotFoundError):  # another process has packed it since it was listed
                waiting += path.stat().st_size
        if waiting > _MAX_BYTES:
            raise OSError(errno.ENOSPC, f"{waiting >> 20} MiB wait in the spool {self._folder} already")


class _SpoolFile:
    """The file that this process appends to, with its lock."""

    def __init__(self, path: Path, handle: FileIO) -> None:
        self.path, self._handle = path, handle
        self.rows, self.born = 0, time.monotonic()

    @classmethod
    def create(cls, folder: Path) -> _SpoolFile:
        # locked before it has its name, so that nobody takes it for a dead process's
        hidden = folder / f".{uuid.uuid4().hex}"
        handle = FileIO(hidden, "xb")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            path = folder / f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex}.jsonl"
            hidden.rename(path)
        except OSError:
            handle.close()
            raise
        return cls(path, handle)

    def write(self, lines: bytes, rows: int) -> None:
        before = os.fstat(self._handle.fileno()).st_size
        if before > _MAX_BYTES:
            raise OSError(errno.ENOSPC, f"{before >> 20} MiB wait in {self.path} already")
        try:
            written = self._handle.write(lines)
            if written != len(lines):
                raise OSError(errno.ENOSPC, "the disk is full")
        except OSError:
            with contextlib.suppress(OSError):
                self._handle.truncate(before)
                self._handle.seek(before)  # half a row would swallow the next one
            raise
        self.rows += rows

    def release(self) -> None:
        self._handle.close()


def spooled_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Rows of a spool file, and how many lines are none; the line that a dying process cut off is left out.

    Raises
    ------
    OSError
        Where the file cannot be read; one that is gone has no rows.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], 0  # packed in the meantime
    rows, broken = [], 0
    for line in content.split(b"\n")[:-1]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            broken += 1
    return rows, broken


def _pack_orphan(path: Path, uri: str, write: Write) -> str | None:
    """Pack a file unless its process lives; what is wrong with it, where something is."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None  # its process lives
        if not path.exists():
            return None  # another process packed it while this one waited
        rows, broken = spooled_rows(path)
        broken += write(uri, rows, path.stem) if rows else 0
        if not broken:
            path.unlink(missing_ok=True)
            return None
        kept = path.with_name(path.name + ".bad")
        path.rename(kept)
        return f"holds {broken} line(s) that are no rows; the others are packed, and it is kept as {kept.name}"
    finally:
        os.close(descriptor)


def _work(spool: weakref.ref[Spool], wake: threading.Event) -> None:
    sleep = 0.05  # what a dead process left is packed soon after the start
    while True:
        wake.wait(sleep)
        wake.clear()
        alive = spool()
        if alive is None or alive.closed:
            return
        sleep = alive.work()
        del alive


def _close_at_exit(spool: weakref.ref[Spool]) -> None:
    alive = spool()
    if alive is None or alive.closed:
        return
    try:
        alive.close()
    except (PredictionLogError, OSError) as error:
        _logger.error("the prediction log could not be packed at exit: %s; the next process does it", error)
