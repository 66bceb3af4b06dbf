"""The prediction log's Parquet files: written once, read with whatever columns they have."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from camera_counting.errors import PredictionLogError
from camera_counting.prediction_log.place import local_root, spool_folder
from camera_counting.prediction_log.record import CAMERA_KEY, COLUMNS, NO_CAMERA, camera_folder
from camera_counting.prediction_log.spool import spooled_rows

__all__ = ["read_rows", "write_rows"]

_logger = logging.getLogger(__name__)

# `camera_id` and the date stand in the path, where every reader of Hive partitions finds them. Not every id fits
# into a folder's name, so that the row holds it, too: as `camera`, for no column may be named like a folder.
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("camera", pa.string()),
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("model_digest", pa.string()),
        ("kind", pa.string()),
        ("counts", pa.map_(pa.string(), pa.int32())),
        ("total", pa.int32()),
        ("confidence_mean", pa.float64()),
        ("confidence_min", pa.float64()),
        ("confidence_p10", pa.float64()),
        ("brightness", pa.float64()),
        ("contrast", pa.float64()),
        ("sharpness", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("latency_ms", pa.float64()),
        ("place", pa.string()),
        ("direction", pa.string()),
        ("class_name", pa.string()),
        ("track", pa.int64()),
        ("lasted", pa.float64()),
        ("number", pa.int64()),
    ]
)
_TEXTS = {"counts", "kind", "place", "direction", "class_name"}
_DATE = "date="
# what a row that is none raises on its way into a table
_UNFIT = (pa.ArrowException, ArithmeticError, AttributeError, KeyError, TypeError, ValueError)


def write_rows(uri: str, rows: Iterable[dict[str, Any]], name: str) -> int:
    """Write spooled rows into their partitions, each as `part-<name>.parquet`; the same name overwrites.

    Returns
    -------
    int
        How many of the rows are none, and were left out.

    Raises
    ------
    PredictionLogError
        Where the log cannot be written.
    """
    good, unfit = _fitting(rows)
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in good:
        day = row["time"].date().isoformat()
        parts.setdefault(f"{_DATE}{day}/{camera_folder(row['camera'])}", []).append(row)
    # whole, before the first byte is written: a store keeps what a stream that breaks off has sent
    files = {partition: _parquet(content) for partition, content in parts.items()}
    try:
        store, root = _store(uri)
        for partition, content in files.items():
            if isinstance(store, fs.LocalFileSystem):
                _publish(Path(root, partition), f"part-{name}", content)
            else:
                with store.open_output_stream(f"{root}/{partition}/part-{name}.parquet") as stream:
                    stream.write(content)
    except (OSError, pa.ArrowException) as error:
        raise PredictionLogError(f"cannot write the prediction log {uri}: {error}") from error
    return unfit


def read_rows(
    uri: str, since: datetime | None, until: datetime | None, cameras: list[str] | None, kinds: Sequence[str]
) -> pd.DataFrame:
    """See `camera_counting.prediction_log.read_predictions`."""
    frames: list[pd.DataFrame | None] = []
    # The spool first: a row that is packed in between is then found in Parquet, and at worst seen twice.
    if waiting := _waiting(uri):
        frames.append(_frame(pa.Table.from_pylist(waiting, schema=_SCHEMA)))
    wanted = None if cameras is None else {camera_folder(camera): camera for camera in cameras}
    try:
        store, root = _store(uri)
        selector = fs.FileSelector(root, recursive=True, allow_not_found=True)
        for info in store.get_file_info(selector):
            place = _place(info.path)
            if info.type != fs.FileType.File or place is None or not _wanted(place, since, until, wanted):
                continue
            folder = place[1]
            frames.append(_read(store, info.path, (wanted or {}).get(folder) or _camera(folder)))
    except PredictionLogError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise PredictionLogError(f"cannot read the prediction log {uri}: {error}") from error
    table = _joined([frame for frame in frames if frame is not None], since, until, cameras, kinds)
    return _with_counts(table)


def _waiting(uri: str) -> list[dict[str, Any]]:
    """The spool's rows; a file or a line that cannot be read is told and left out."""
    good: list[dict[str, Any]] = []
    for path in sorted(spool_folder(uri).glob("*.jsonl")):
        try:
            rows, broken = spooled_rows(path)
        except OSError as error:
            _logger.warning("the prediction log's spool file %s is left out: %s", path, error)
            continue
        fitting, unfit = _fitting(rows)
        if broken + unfit:
            _logger.warning("%d line(s) of the spool file %s are no rows and left out", broken + unfit, path)
        good += fitting
    return good


def _parquet(rows: list[dict[str, Any]]) -> pa.Buffer:
    stream = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), stream, compression="zstd")
    return stream.getvalue()


def _publish(folder: Path, name: str, content: pa.Buffer) -> None:
    """Put a file into a local folder, whole or not at all, and onto the disk: its rows leave the spool next."""
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f".{name}.tmp"
    with hidden.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    hidden.replace(folder / f"{name}.parquet")
    for place in (folder, folder.parent, folder.parent.parent):  # the camera's, the day's, the log's
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(store: fs.FileSystem, path: str, camera: str) -> pd.DataFrame | None:
    try:
        with store.open_input_file(path) as stream:
            return _frame(pq.read_table(stream), camera)
    except FileNotFoundError:
        return None  # removed since it was listed
    except pa.ArrowInvalid as error:
        raise PredictionLogError(f"{path} is no whole Parquet file ({error}); move it out of the log") from error


def _frame(table: pa.Table, camera: str = "") -> pd.DataFrame:
    """A table as read or spooled; `camera` is that of its folder, for files of before rows held theirs."""
    frame: pd.DataFrame = table.to_pandas(maps_as_pydicts="strict")
    frame["camera_id"] = frame.pop("camera") if "camera" in frame.columns else camera
    return frame


def _joined(
    frames: list[pd.DataFrame],
    since: datetime | None,
    until: datetime | None,
    cameras: list[str] | None,
    kinds: Sequence[str],
) -> pd.DataFrame:
    if not frames:
        frames = [_frame(_SCHEMA.empty_table())]
    # an all-missing column says nothing of its type; concatenating it would change that of the others
    table = pd.concat(
        [frame.dropna(axis=1, how="all") if len(frame) else frame for frame in frames], ignore_index=True
    )
    for name in COLUMNS:
        if name not in table.columns:
            table[name] = None if name in _TEXTS else float("nan")
    table = table.drop_duplicates("id").copy()
    # rows of before there were kinds hold counts of pictures
    table = table[table["kind"].fillna("image").isin(list(kinds))]
    table["time"] = pd.to_datetime(table["time"], utc=True)
    if since is not None:
        table = table[table["time"] >= since]
    if until is not None:
        table = table[table["time"] < until]
    if cameras is not None:
        table = table[table["camera_id"].isin(cameras)]
    table = table.sort_values(["time", "id"], ignore_index=True)
    ordered = [*COLUMNS, *(name for name in table.columns if name not in COLUMNS)]
    return table[ordered]


def _with_counts(table: pd.DataFrame) -> pd.DataFrame:
    classes = dict.fromkeys(name for counts in table["counts"] if isinstance(counts, dict) for name in counts)
    columns = {
        f"count_{name}": [counts.get(name) if isinstance(counts, dict) else None for counts in table["counts"]]
        for name in classes
    }
    return pd.concat([table, pd.DataFrame(columns, index=table.index)], axis=1) if columns else table


def _fitting(rows: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Rows as `_SCHEMA` takes them, each id once, and how many are none: a spool file may have been damaged."""
    good: dict[str, dict[str, Any]] = {}
    unfit = 0
    for row in rows:
        try:
            good.setdefault(row["id"], _prepared(row))
        except _UNFIT:
            unfit += 1
    if _fits(list(good.values())):
        return list(good.values()), unfit
    fitting = [row for row in good.values() if _fits([row])]
    return fitting, unfit + len(good) - len(fitting)


def _prepared(row: dict[str, Any]) -> dict[str, Any]:
    counts = row.get("counts")
    return {
        **row,
        "time": datetime.fromisoformat(row["time"]).astimezone(UTC),
        "camera": row.get("camera_id") or "",
        "counts": None if counts is None else list(counts.items()),
    }


def _fits(rows: list[dict[str, Any]]) -> bool:
    try:
        pa.Table.from_pylist(rows, schema=_SCHEMA)
    except _UNFIT:
        return False
    return all(row["id"] is not None for row in rows)


def _place(path: str) -> tuple[str, str] | None:
    """Date, and folder of the camera, of a file from its path; None for a file that is no part of the log."""
    parts = path.split("/")
    if len(parts) < 3 or not parts[-1].startswith("part-") or not parts[-1].endswith(".parquet"):
        return None
    day, camera = parts[-3], parts[-2]
    if not day.startswith(_DATE) or not camera.startswith(CAMERA_KEY):
        return None
    return day.removeprefix(_DATE), camera


def _camera(folder: str) -> str:
    name = folder.removeprefix(CAMERA_KEY)
    return "" if name == NO_CAMERA else unquote(name)


def _wanted(
    place: tuple[str, str], since: datetime | None, until: datetime | None, folders: dict[str, str] | None
) -> bool:
    day, folder = place
    if folders is not None and folder not in folders:
        return False
    if since is not None and day < since.date().isoformat():
        return False
    return until is None or day <= until.date().isoformat()


def _store(uri: str) -> tuple[fs.FileSystem, str]:
    root = local_root(uri)
    if root is not None:
        return fs.LocalFileSystem(), str(root.absolute())
    parts = urlsplit(uri)
    if parts.scheme != "s3":
        raise PredictionLogError(f"expected a folder or s3://bucket/prefix for the prediction log, got {uri!r}")
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL")
    path = f"{parts.netloc}{parts.path}".rstrip("/")
    if endpoint and not parts.query:
        at = urlsplit(endpoint)
        return fs.S3FileSystem(endpoint_override=at.netloc or at.path, scheme=at.scheme or "https"), path
    store, path = fs.FileSystem.from_uri(uri)
    return store, path.rstrip("/")
