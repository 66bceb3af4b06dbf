"""The prediction log's Parquet files: written once, read with whatever columns they have."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from camera_counting.errors import PredictionLogError
from camera_counting.prediction_record import COLUMNS, camera_folder
from camera_counting.spool import local_root, spool_folder, spooled_rows

__all__ = ["read_rows", "write_rows"]

# `camera_id` and the date stand in the path, where every reader of Hive partitions finds them.
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
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
    ]
)
_CAMERA = "camera_id="
_DATE = "date="
_NO_CAMERA = "__HIVE_DEFAULT_PARTITION__"


def write_rows(uri: str, rows: Iterable[dict[str, Any]], name: str) -> None:
    """Write spooled rows into their partitions, each as `part-<name>.parquet`; the same name overwrites.

    Raises
    ------
    PredictionLogError
        Where the log cannot be written.
    """
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in _prepared(rows):
        day = row["time"].strftime("%Y-%m-%d")
        parts.setdefault(f"{_DATE}{day}/{camera_folder(row['camera_id'])}", []).append(row)
    try:
        store, root = _store(uri)
        local = isinstance(store, fs.LocalFileSystem)
        for partition, content in parts.items():
            folder = f"{root}/{partition}"
            if local:
                store.create_dir(folder, recursive=True)
            final = f"{folder}/part-{name}.parquet"
            # a reader of a local folder must never see half a file; an object appears as a whole
            path = f"{folder}/.part-{name}.tmp" if local else final
            with store.open_output_stream(path) as stream:
                pq.write_table(pa.Table.from_pylist(content, schema=_SCHEMA), stream, compression="zstd")
            if local:
                store.move(path, final)
    except (OSError, pa.ArrowException) as error:
        raise PredictionLogError(f"cannot write the prediction log {uri}: {error}") from error


def read_rows(uri: str, since: datetime | None, until: datetime | None, cameras: list[str] | None) -> pd.DataFrame:
    """See `camera_counting.prediction_log.read_predictions`."""
    # The spool first: a row that is packed in between is then found in Parquet, and at worst seen twice.
    waiting = [row for path in sorted(spool_folder(uri).glob("*.jsonl")) for row in spooled_rows(path)]
    frames = []
    if waiting:
        rows = list(_prepared(waiting))
        frame = pa.Table.from_pylist(rows, schema=_SCHEMA).to_pandas(maps_as_pydicts="strict")
        frame["camera_id"] = [row["camera_id"] for row in rows]
        frames.append(frame)
    try:
        store, root = _store(uri)
        selector = fs.FileSelector(root, recursive=True, allow_not_found=True)
        for info in store.get_file_info(selector):
            place = _place(info.path)
            if info.type != fs.FileType.File or place is None or not _wanted(place, since, until, cameras):
                continue
            frames.append(_read(store, info.path, place[1]))
    except PredictionLogError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise PredictionLogError(f"cannot read the prediction log {uri}: {error}") from error
    return _joined([frame for frame in frames if frame is not None], since, until, cameras)


def _read(store: fs.FileSystem, path: str, camera: str) -> pd.DataFrame | None:
    try:
        with store.open_input_file(path) as stream:
            frame: pd.DataFrame = pq.read_table(stream).to_pandas(maps_as_pydicts="strict")
    except FileNotFoundError:
        return None  # removed since it was listed
    except pa.ArrowInvalid as error:
        raise PredictionLogError(f"{path} is no whole Parquet file ({error}); move it out of the log") from error
    frame["camera_id"] = camera
    return frame


def _joined(
    frames: list[pd.DataFrame], since: datetime | None, until: datetime | None, cameras: list[str] | None
) -> pd.DataFrame:
    if not frames:
        empty = _SCHEMA.empty_table().to_pandas(maps_as_pydicts="strict")
        frames = [empty.assign(camera_id=pd.Series([], dtype=object))]
    # an all-missing column says nothing of its type; concatenating it would change that of the others
    table = pd.concat(
        [frame.dropna(axis=1, how="all") if len(frame) else frame for frame in frames], ignore_index=True
    )
    for name in COLUMNS:
        if name not in table.columns:
            table[name] = None if name in {"counts", "kind"} else float("nan")
    table = table.drop_duplicates("id").copy()
    table["time"] = pd.to_datetime(table["time"], utc=True)
    if since is not None:
        table = table[table["time"] >= since]
    if until is not None:
        table = table[table["time"] < until]
    if cameras is not None:
        table = table[table["camera_id"].isin(cameras)]
    table = table.sort_values(["time", "id"], ignore_index=True)
    ordered = [*COLUMNS, *(name for name in table.columns if name not in COLUMNS)]
    return _with_counts(table[ordered])


def _with_counts(table: pd.DataFrame) -> pd.DataFrame:
    classes = dict.fromkeys(name for counts in table["counts"] if isinstance(counts, dict) for name in counts)
    columns = {
        f"count_{name}": [counts.get(name) if isinstance(counts, dict) else None for counts in table["counts"]]
        for name in classes
    }
    return pd.concat([table, pd.DataFrame(columns, index=table.index)], axis=1) if columns else table


def _prepared(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    seen: set[str] = set()
    for row in rows:
        if row["id"] in seen:
            continue
        seen.add(row["id"])
        time = datetime.fromisoformat(row["time"]).astimezone(UTC)
        counts = row.get("counts")
        yield {
            **row,
            "time": time,
            "camera_id": row.get("camera_id") or "",
            "counts": None if counts is None else list(counts.items()),
        }


def _place(path: str) -> tuple[str, str] | None:
    """Date and camera of a file, from its path; None for a file that is no part of the log."""
    parts = path.split("/")
    if len(parts) < 3 or not parts[-1].startswith("part-") or not parts[-1].endswith(".parquet"):
        return None
    day, camera = parts[-3], parts[-2]
    if not day.startswith(_DATE) or not camera.startswith(_CAMERA):
        return None
    camera = camera.removeprefix(_CAMERA)
    return day.removeprefix(_DATE), "" if camera == _NO_CAMERA else unquote(camera)


def _wanted(
    place: tuple[str, str], since: datetime | None, until: datetime | None, cameras: list[str] | None
) -> bool:
    day, camera = place
    if cameras is not None and camera not in cameras:
        return False
    if since is not None and day < since.strftime("%Y-%m-%d"):
        return False
    return until is None or day <= until.strftime("%Y-%m-%d")


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
