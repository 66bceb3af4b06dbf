"""The body of a scoring request to rows: MLflow's four JSON formats, CSV and Parquet, all to the same rows."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from email.message import Message
from typing import Any

from camera_counting.errors import RequestError
from camera_counting.scoring.rows import check_columns, rows_of_columns

__all__ = ["FORMATS", "UnsupportedBody", "read_body"]

Body = tuple[list[dict[str, Any]], list[str], Any]

_TYPES = ("application/json", "text/csv")
FORMATS = ("dataframe_split", "dataframe_records", "inputs", "instances")
_MAX_ROWS = 1000
_MAX_UNPACKED = 2 << 30
_UNPACKED_ALWAYS = 256 << 20  # however small the body


class UnsupportedBody(RequestError):  # noqa: N818 - it is a kind of request, told apart for its status code
    """A body of a type that is not read."""


def read_body(data: bytes | str, content_type: str | None) -> Body:
    """Rows, the names of all columns, and params.

    Parameters
    ----------
    data : bytes or str
    content_type : str or None
        application/json, text/csv or application/vnd.apache.parquet (or application/parquet).

    Raises
    ------
    RequestError
        Where the body is not what its type says; the text holds nothing of it.

    Examples
    --------
    >>> read_body(b'{"inputs": {"image": ["aGk="]}, "params": {"confidence": 0.4}}', "application/json")
    ([{'image': 'aGk='}], ['image'], {'confidence': 0.4})
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    header = Message()
    header["content-type"] = content_type or ""
    charset = header.get_content_charset("utf-8")
    if kind in _TYPES and charset not in {"utf-8", "utf8"}:
        raise UnsupportedBody(f"expected the charset utf-8, got {charset[:40]!r}")
    if kind == "application/json":
        body = _json(data)
    elif kind == "text/csv":
        body = _csv(data)
    elif kind in {"application/vnd.apache.parquet", "application/parquet", "application/x-parquet"}:
        body = _parquet(data if isinstance(data, bytes) else data.encode())
    else:
        raise UnsupportedBody(
            "expected the content type application/json, text/csv or application/vnd.apache.parquet; "
            f"got {kind[:80]!r}"
        )
    _check_length(len(body[0]))
    return body


def _json(data: bytes | str) -> Body:
    try:
        content = json.loads(data, object_pairs_hook=_object)
    except RequestError:
        raise
    except json.JSONDecodeError as error:
        raise RequestError(
            f"the body is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except UnicodeDecodeError:
        raise RequestError("the body is no JSON: it is not in UTF-8") from None
    except RecursionError:
        raise RequestError("the body is no JSON that can be read: it is nested too deeply") from None
    except ValueError:
        raise RequestError("the body is no JSON that can be read: a number has thousands of digits") from None
    if not isinstance(content, dict):
        raise RequestError(
            f"expected a JSON object with one of {', '.join(FORMATS)}; got a {type(content).__name__}"
        )
    found = [name for name in FORMATS if name in content]
    if len(found) != 1:
        keys = ", ".join(repr(str(key)[:40]) for key in list(content)[:8]) or "none"
        raise RequestError(f"expected exactly one of {', '.join(FORMATS)}; got the keys {keys}")
    if unknown := set(content) - {found[0], "params"}:
        raise RequestError(f"expected {found[0]} and params; {sorted(unknown)[0][:40]!r} is not known")
    rows, columns = (
        _split(content[found[0]]) if found[0] == "dataframe_split" else _rows(content[found[0]], found[0])
    )
    return rows, columns, content.get("params")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        # JSON's readers differ on which of them counts
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RequestError(f"the key {twice[:40]!r} stands there twice in one object")
    return content


def _split(value: Any) -> tuple[list[dict[str, Any]], list[str]]:
    if not isinstance(value, dict) or set(value) - {"columns", "data", "index"} or "data" not in value:
        raise RequestError("dataframe_split: expected an object with columns and data")
    columns, data = value.get("columns"), value["data"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise RequestError("dataframe_split: columns: expected a list of names, such as ['image']")
    if len(set(columns)) != len(columns):
        raise RequestError("dataframe_split: columns: a name stands there twice")
    if not isinstance(data, list):
        raise RequestError("dataframe_split: data: expected a list of rows")
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            came = f"{len(row)} values" if isinstance(row, list) else "something else"
            raise RequestError(
                f"row {number}: expected a list of {len(columns)} values, as there are columns; got {came}"
            )
    return [dict(zip(columns, row, strict=True)) for row in data], columns


def _rows(value: Any, name: str) -> tuple[list[dict[str, Any]], list[str]]:
    if isinstance(value, dict) and name != "dataframe_records":
        if any(not isinstance(cells, list) for cells in value.values()):
            if any(isinstance(cells, list) for cells in value.values()):
                raise RequestError(f"{name}: expected either a list in every column, or one value in each")
            value = {column: [cell] for column, cell in value.items()}
        return rows_of_columns(value), list(value)
    if not isinstance(value, list):
        raise RequestError(f"{name}: expected a list of objects, one per row, such as [{{'image': '...'}}]")
    for number, row in enumerate(value):
        if not isinstance(row, dict):
            raise RequestError(f"row {number}: expected an object such as {{'image': '...'}}")
    if not value:
        return [], ["image"]  # no row tells a column; what is missing is the rows
    return value, list(dict.fromkeys(column for row in value for column in row))


def _csv(data: bytes | str) -> Body:
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
    except UnicodeDecodeError:
        raise RequestError("the body is no CSV in UTF-8") from None
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = []
        for row in reader:
            if None in row:
                raise RequestError(f"the CSV's line {reader.line_num} has more cells than the header")
            rows.append({key: value or None for key, value in row.items()})
        columns = list(reader.fieldnames or [])
    except csv.Error:
        raise RequestError(f"the body is no CSV: line {reader.line_num} cannot be read") from None
    # a first column without a name is the index that pandas writes
    return rows, columns[1:] if columns[:1] == [""] else columns, None


def _parquet(data: bytes) -> Body:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(data))
        _check_length(file.metadata.num_rows)
        # an index that pandas has put beside the columns is of no meaning here
        names = [name for name in file.schema_arrow.names if not re.fullmatch(r"__index_level_\d+__", name)]
        check_columns(names)
        return list(_parquet_rows(file, names, len(data))), names, None
    except RequestError:
        raise
    except Exception:  # noqa: BLE001 - what a hostile file makes Arrow raise, and its cells Python, has no common root
        raise RequestError("the body is no Parquet file that can be read") from None


def _parquet_rows(file: Any, names: list[str], size: int) -> Iterator[dict[str, Any]]:
    """Rows one by one: a value that a page holds once may stand in every row, so what came out is what counts."""
    import pyarrow as pa

    for name in names:
        kind = file.schema_arrow.field(name).type
        if pa.types.is_nested(kind):  # a few bytes may stand for a list of any length
            raise RequestError(
                f"the column {name!r}: expected text, bytes, numbers or times; got {str(kind)[:40]}"
            )
    room = min(_MAX_UNPACKED, max(_UNPACKED_ALWAYS, 2 * size))
    # its own word first, before a page is unpacked
    told = sum(file.metadata.row_group(at).total_byte_size for at in range(file.metadata.num_row_groups))
    if told > room:
        raise _too_much(size)
    for batch in file.iter_batches(batch_size=1, columns=names):
        for row in batch.to_pylist():
            room -= sum(len(cell) for cell in row.values() if isinstance(cell, (bytes, str)))
            if room < 0:
                raise _too_much(size)
            yield row


def _too_much(size: int) -> RequestError:
    return RequestError(
        f"the Parquet table has {size} bytes and unpacks to far more; send pictures and clips as they are, or the "
        "table in parts"
    )


def _check_length(rows: int) -> None:
    wanted = os.environ.get("CAMERA_COUNTING_MAX_ROWS", "")
    limit = int(wanted) if wanted.isdigit() and int(wanted) > 0 else _MAX_ROWS
    if rows > limit:
        raise RequestError(f"expected at most {limit} rows, got {rows}; send them in several requests")
