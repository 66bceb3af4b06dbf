"""The state's file: opened by one process at a time, checked, and put aside where it is damaged."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from serving.camera.state import outbox, tallies
from serving.errors import StateError

__all__ = ["FORMAT", "StateFile", "in_a_sentence", "open_state"]

_logger = logging.getLogger(__name__)

FORMAT = 1
_APPLICATION = 0x43434D31  # "CCM1": tells this file from somebody else's database
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_TABLES = (
    "CREATE TABLE begun (epoch TEXT NOT NULL)",
    """CREATE TABLE checkpoints (
        camera TEXT PRIMARY KEY, snapshot TEXT NOT NULL, sequence INTEGER NOT NULL, position REAL,
        frame INTEGER NOT NULL, time TEXT NOT NULL
    ) WITHOUT ROWID""",
    *outbox.TABLES,
    *tallies.TABLES,
)


@dataclass(frozen=True, slots=True)
class StateFile:
    """An open state.

    Parameters
    ----------
    write, read : sqlite3.Connection
        One to write with and one that reads beside it; neither is safe without a lock of its own.
    epoch : UUID
        Made when the file was begun.
    trouble : str
        What was wrong with the file that lay there before; empty where nothing was.
    """

    write: sqlite3.Connection
    read: sqlite3.Connection
    epoch: uuid.UUID
    trouble: str
    lock: TextIOWrapper

    def close(self) -> None:
        """Let go of the file and of its lock."""
        for connection in (self.read, self.write):
            # what was committed is in the log beside the file; the next process finds it there
            with suppress(sqlite3.Error):
                connection.close()
        self.lock.close()


def open_state(folder: Path) -> StateFile:
    """Open the state in a folder, or begin one there.

    Raises
    ------
    StateError
        Where another process holds it, it cannot be written, or a newer version of this program wrote it.
    """
    lock = _locked(folder)
    try:
        path = folder / "state.db"
        try:
            return StateFile(*_opened(path), "", lock)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise StateError(f"cannot open the state {path}: {in_a_sentence(error)}") from error
            trouble = _put_aside(path, error)
            _logger.error("%s", trouble)
        try:
            return StateFile(*_opened(path), trouble, lock)
        except sqlite3.Error as error:
            raise StateError(f"cannot begin the state {path}: {in_a_sentence(error)}") from error
    except BaseException:
        lock.close()
        raise


def in_a_sentence(error: sqlite3.Error) -> str:
    """What SQLite means, and what to do about it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _FULL:
        return (
            f"{error}; the disk is full or failing: make room, and it goes on by itself (nothing that was "
            "committed is lost)"
        )
    if code == sqlite3.SQLITE_READONLY:
        return f"{error}; let this user write the folder and its files"
    if code == sqlite3.SQLITE_BUSY:
        return f"{error}; another program has the file open, close it"
    if code in _DAMAGED:
        return f"{error}; the file was damaged while it was in use: start the worker again, which puts it aside"
    return str(error)


def _locked(folder: Path) -> TextIOWrapper:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        rights = folder.stat().st_mode
        lock = os.fdopen(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")
        # its rights are those of the files that SQLite puts beside it
        os.close(os.open(folder / "state.db", os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StateError(
            f"expected a folder that can be written for the worker's state, got {folder}: {error.strerror}"
        ) from error
    if rights & 0o022:
        _logger.warning("others may write the folder %s, and so the counts in it: take that right away", folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        owner = lock.read(20).strip()
        lock.close()
        raise StateError(
            f"the state in {folder} is in use by another worker{f' (process {owner})' if owner else ''}: stop "
            "that one, or give this one a state folder of its own"
        ) from error
    with suppress(OSError):  # only told to whoever comes second; a full disk must not stop a start
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
    return lock


def _opened(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection, uuid.UUID]:
    write = _connected(path)
    try:
        version = write.execute("PRAGMA user_version").fetchone()[0]
        application = write.execute("PRAGMA application_id").fetchone()[0]
        tables = write.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application != _APPLICATION:
            raise StateError(f"expected a camera worker's state in {path}, got another program's database")
        if version > FORMAT:
            raise StateError(
                f"the state {path} has the format {version}, this version reads {FORMAT}: run the newer version, "
                "or give this one a state folder of its own"
            )
        if tables:
            found = write.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise _corrupt(found)
        write.execute("PRAGMA journal_mode=WAL")
        write.execute("PRAGMA synchronous=FULL")
        write.execute("PRAGMA journal_size_limit=67108864")
        if not tables:
            _begin(write)
        epoch = write.execute("SELECT epoch FROM begun").fetchone()
        if epoch is None:
            raise _corrupt("it has no epoch")
        read = _connected(path)
        read.execute("PRAGMA query_only=1")
    except BaseException:
        write.close()
        raise
    return write, read, uuid.UUID(epoch[0])


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)


def _begin(write: sqlite3.Connection) -> None:
    write.execute("BEGIN IMMEDIATE")
    for table in _TABLES:
        write.execute(table)
    write.execute("INSERT INTO begun VALUES (?)", (str(uuid.uuid4()),))
    write.execute(f"PRAGMA application_id={_APPLICATION}")
    write.execute(f"PRAGMA user_version={FORMAT}")
    write.execute("COMMIT")


def _corrupt(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text.replace("\n", " "))
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _put_aside(path: Path, error: sqlite3.Error) -> str:
    """Move a damaged file, with what belongs to it, out of the way; what happened in a sentence."""
    kept = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
    try:
        for ending in ("", "-wal", "-shm"):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(kept.with_name(kept.name + ending))
    except OSError as trouble:
        raise StateError(
            f"the state {path} is damaged ({error}) and cannot be put aside: {trouble.strerror}"
        ) from trouble
    return (
        f"the state {path} was damaged ({error}); it is kept as {kept.name}, and a new one is begun: the day's "
        "counts start at zero, and what had not been delivered stays in the file that was kept"
    )
