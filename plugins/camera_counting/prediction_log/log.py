"""The prediction log as its users see it: one to append to, and one call that reads."""

from __future__ import annotations

import json
import logging
import os
import string
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from camera_counting.errors import PredictionLogError
from camera_counting.prediction_log.record import COUNT_KINDS, EVENT_KINDS, Prediction
from camera_counting.prediction_log.spool import Spool

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COUNT_KINDS",
    "ENVIRONMENT",
    "EVENT_KINDS",
    "PredictionLog",
    "active_log",
    "read_predictions",
    "write_batch",
]

_logger = logging.getLogger(__name__)

ENVIRONMENT = "CAMERA_COUNTING_PREDICTION_LOG"
_OF_NAMES = set(string.ascii_letters + string.digits + "-_")

_open_logs: dict[tuple[str, int], PredictionLog] = {}
_opening = threading.Lock()


def active_log() -> PredictionLog | None:
    """The log that CAMERA_COUNTING_PREDICTION_LOG names, one per process; None where it names none."""
    uri = os.environ.get(ENVIRONMENT, "").strip()
    if not uri:
        return None
    key = (uri, os.getpid())  # a forked process has a spool of its own
    with _opening:
        if key not in _open_logs:
            _open_logs[key] = PredictionLog(uri)
        return _open_logs[key]


class PredictionLog:
    """The one writer of a prediction log. Thread-safe.

    Parameters
    ----------
    uri : str
        A folder, `file://...` or `s3://bucket/prefix`. Credentials and endpoint come from the environment, as for
        MLflow's own artefacts (AWS_ACCESS_KEY_ID, ..., MLFLOW_S3_ENDPOINT_URL).
    rows, seconds : int, float, optional
        The spool is packed into Parquet once it holds this many rows, or its first row is this old. By default
        5,000 rows and 300 seconds (CAMERA_COUNTING_PREDICTION_LOG_SECONDS).

    Attributes
    ----------
    lost : int
        Rows that could not even be spooled. A log that cannot be written never fails an answer: it is told once,
        loudly, in the server's log, and counted here.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> log = PredictionLog(folder)
    >>> log.append([Prediction.now(camera_id="gate-7", counts={"person": 2})])
    >>> len(read_predictions(folder))
    1
    >>> log.flush()
    >>> read_predictions(folder)[["camera_id", "count_person"]].values.tolist()
    [['gate-7', 2]]
    """

    def __init__(self, uri: str, *, rows: int = 5_000, seconds: float | None = None) -> None:
        self.uri = uri
        self.lost = 0
        self._rows, self._seconds = rows, seconds
        self._silent = False
        self._telling = threading.Lock()
        self._opening = threading.Lock()
        self._spool: Spool | None = None
        try:
            self._opened()
        except Exception as error:  # noqa: BLE001 - see `append`
            self._complain(error)

    def append(self, records: Iterable[Prediction]) -> None:
        """Add rows; they survive a `kill -9` from the moment this returns. Never raises where it cannot write.

        A log that was closed is opened again.
        """
        records = list(records)
        if not records:
            return
        try:
            self._opened().append(records)
        except Exception as error:  # noqa: BLE001 - whatever it is, no answer fails for want of its record
            with self._telling:
                self.lost += len(records)
            self._complain(error)
        else:
            with self._telling:
                if self._silent:
                    _logger.warning(
                        "the prediction log %s is written again; %d rows were lost", self.uri, self.lost
                    )
                    self._silent = False

    def flush(self) -> None:
        """Pack everything into Parquet now.

        Raises
        ------
        PredictionLogError
            Where it cannot be written; the rows stay in the spool.
        """
        if self._spool is not None:
            self._spool.pack()

    def close(self) -> None:
        """Pack everything, as `flush` does, and let the spool go."""
        with self._opening:
            spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()

    def _opened(self) -> Spool:
        # now, for at the process's end, when the last rows are packed, pandas can no longer be imported
        from camera_counting.prediction_log.store import write_rows

        with self._opening:
            if self._spool is None:
                seconds = _seconds() if self._seconds is None else self._seconds
                self._spool = Spool(self.uri, write_rows, rows=self._rows, seconds=seconds)
            return self._spool

    def _complain(self, error: Exception) -> None:
        with self._telling:
            if not self._silent:
                _logger.error(
                    "THE PREDICTION LOG %s CANNOT BE WRITTEN (%s): answers go on, but are not recorded; check "
                    "the folder's rights and space, or %s",
                    self.uri,
                    error,
                    ENVIRONMENT,
                )
                self._silent = True


def write_batch(uri: str, records: Iterable[Prediction], name: str) -> None:
    """Write rows into Parquet at once, past the spool, for a writer that keeps its rows until this returns.

    Files are named after the batch. The same batch, written again after a `kill -9` in the middle, overwrites them
    with the same rows, so that whoever reads the Parquet files by themselves finds each row once, too.

    Parameters
    ----------
    name : str
        Of the batch: letters, digits, `-`, `_`. Two batches never have the same.

    Raises
    ------
    PredictionLogError
        Where the log cannot be written; write the same batch again.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> event = Prediction.now(camera_id="gate-7", kind="crossing", place="entrance", direction="in")
    >>> for _ in range(2):
    ...     write_batch(folder, [event], "worker-1")
    >>> len(read_predictions(folder, kinds=EVENT_KINDS)), len(read_predictions(folder))
    (1, 0)
    """
    from camera_counting.prediction_log.store import write_rows

    if not name or not set(name) <= _OF_NAMES:
        raise ValueError(f"name of a batch: expected letters, digits, - and _, got {name[:80]!r}")
    try:
        unfit = write_rows(uri, [json.loads(record.to_json()) for record in records], f"batch-{name}")
    except OSError as error:
        raise PredictionLogError(f"cannot write the prediction log {uri}: {error}") from error
    if unfit:
        raise PredictionLogError(f"{unfit} row(s) of the batch {name} do not fit into the prediction log {uri}")


def read_predictions(
    uri: str,
    since: datetime | date | None = None,
    until: datetime | date | None = None,
    cameras: Sequence[str] | None = None,
    kinds: Sequence[str] = COUNT_KINDS,
) -> pd.DataFrame:
    """Read a prediction log, rows that are not yet in Parquet included.

    Parameters
    ----------
    uri : str
        As for `PredictionLog`.
    since, until : datetime or date, optional
        Rows with `since <= time < until`; a time without a zone is UTC, a date its midnight.
    cameras : sequence of str, optional
        Only these.
    kinds : sequence of str, optional
        Only rows of these kinds; by default those that hold counts. EVENT_KINDS gives the events of live cameras.

    Returns
    -------
    pandas.DataFrame
        In order of time, with the columns of `Prediction`, and `count_<class>` for every class that occurs
        (missing where a row's model did not count that class). Columns that a newer version wrote are kept.

    Raises
    ------
    PredictionLogError
        Where the log cannot be read; a log that does not exist yet is empty.
    """
    from camera_counting.prediction_log.store import read_rows

    if isinstance(kinds, str):
        kinds = (kinds,)
    return read_rows(uri, _moment(since), _moment(until), None if cameras is None else list(cameras), kinds)


def _moment(value: datetime | date | None) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _seconds() -> float:
    text = os.environ.get("CAMERA_COUNTING_PREDICTION_LOG_SECONDS", "")
    try:
        return float(text) if text else 300.0
    except ValueError:
        raise PredictionLogError(
            f"CAMERA_COUNTING_PREDICTION_LOG_SECONDS: expected a number of seconds, got {text[:40]!r}"
        ) from None
