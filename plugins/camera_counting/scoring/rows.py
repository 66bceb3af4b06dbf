"""The rows of a counting request, each with a picture or a clip; checked, cell by cell."""

from __future__ import annotations

import binascii
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from camera_counting.errors import RequestError
from camera_counting.scoring.cells import is_null, kind_of
from camera_counting.scoring.schema import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RequestRow", "check_columns", "read_rows", "rows_of_columns", "rows_of_table"]

_MAX_CAMERA_ID = 200
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class RequestRow:
    """One row: either `image` or `video` holds bytes, or base64 text that `content` will decode."""

    number: int
    image: Any
    video: Any
    camera_id: str | None
    time: datetime | None

    @property
    def kind(self) -> str:
        return "image" if self.image is not None else "video"

    def content(self) -> bytes:
        """The bytes of the picture or clip.

        Raises
        ------
        RequestError
            Where the cell is neither bytes nor valid base64.
        """
        return _bytes_of(self.image if self.image is not None else self.video, self.kind)


def rows_of_table(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a DataFrame as mappings, in order; its index is of no meaning."""
    columns = [str(name) for name in table.columns]
    check_columns(columns)  # before a mapping of them hides that one stands there twice
    cells = {name: list(table.iloc[:, at]) for at, name in enumerate(columns)}
    if len(table) == 1 and all(isinstance(column[0], list) for column in cells.values()):
        # MLflow makes one row of lists from `inputs` whose columns hold nothing but text
        cells = {name: column[0] for name, column in cells.items()}
    return rows_of_columns(cells)


def rows_of_columns(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows of a table that is given by its columns, once they are known to be of one length.

    Examples
    --------
    >>> rows_of_columns({"image": ["a", "b"], "camera_id": ["x", None]})
    [{'image': 'a', 'camera_id': 'x'}, {'image': 'b', 'camera_id': None}]
    """
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{str(name)[:40]} has {length}" for name, length in list(lengths.items())[:8])
        raise RequestError(f"expected columns of one length; {told}")
    names = list(columns)
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def check_columns(columns: Iterable[str]) -> None:
    """Check the names of a table's columns: a picture or a clip among them, all known, none twice.

    Raises
    ------
    RequestError
    """
    names = [str(name) for name in columns]
    if not {"image", "video"} & set(names):
        found = ", ".join(repr(name[:40]) for name in names[:8]) or "none"
        raise RequestError(
            f"expected a column 'image' (JPEG, PNG or WebP; base64 in JSON) or 'video'; found the columns {found}"
        )
    for at, name in enumerate(names):
        if name not in COLUMNS:
            # left out in silence, a misspelt camera_id would be missed only in the prediction log
            raise RequestError(f"the column {name[:40]!r} is not known; expected {', '.join(COLUMNS)}")
        if name in names[:at]:
            raise RequestError(f"the column {name!r} stands there twice")


def read_rows(cells: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> list[RequestRow | RequestError]:
    """Check the rows; one that cannot be counted comes back as the error that says why.

    Raises
    ------
    RequestError
        Where there is no row, or as `check_columns` says.
    """
    check_columns(columns)
    if not cells:
        raise RequestError("the table is empty: expected at least one row with a picture or a clip")
    rows: list[RequestRow | RequestError] = []
    for number, row in enumerate(cells):
        try:
            rows.append(_row(number, row))
        except RequestError as error:
            rows.append(RequestError(f"row {number}: {error}"))
    return rows


def _row(number: int, row: Mapping[str, Any]) -> RequestRow:
    image, video = (None if is_null(row.get(name)) else row.get(name) for name in ("image", "video"))
    if image is None and video is None:
        raise RequestError("expected a picture in 'image' or a clip in 'video', got neither")
    if image is not None and video is not None:
        raise RequestError("expected either a picture in 'image' or a clip in 'video', got both")
    return RequestRow(number, image, video, _camera(row.get("camera_id")), _time(row.get("timestamp")))


def _bytes_of(cell: Any, column: str) -> bytes:
    if isinstance(cell, (bytes, bytearray, memoryview)):
        content = bytes(cell)
    elif isinstance(cell, str):
        text = cell
        if text.startswith("data:"):
            head, comma, text = text.partition(",")
            if not comma or not head.endswith(";base64"):
                raise RequestError(f"{column}: expected base64 text after 'data:…;base64,'")
        try:
            # line breaks, as the base64 command writes them, are all that is allowed beside the alphabet
            content = binascii.a2b_base64(text.replace("\r", "").replace("\n", ""), strict_mode=True)
        except (binascii.Error, ValueError):
            raise RequestError(
                f"{column}: expected base64 text (alphabet A-Z a-z 0-9 + /, padded with =); {len(cell)} "
                "characters came that are none"
            ) from None
    else:
        raise RequestError(f"{column}: expected base64 text or bytes, got {kind_of(cell)}")
    if not content:
        raise RequestError(f"{column}: the {'picture' if column == 'image' else 'clip'} is empty: 0 bytes")
    return content


def _camera(value: Any) -> str | None:
    if is_null(value):
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        if not (isinstance(value, float) and value.is_integer()):
            raise RequestError(f"camera_id: expected text, got {kind_of(value)}")
        value = int(value)  # pandas turns a column of whole numbers with a gap into floats
    text = str(value).strip()
    if len(text) > _MAX_CAMERA_ID:
        raise RequestError(f"camera_id: expected at most {_MAX_CAMERA_ID} characters, got {len(text)}")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise RequestError("camera_id: expected text, got a control character or half a surrogate pair in it")
    return text or None


def _time(value: Any) -> datetime | None:
    if is_null(value):
        return None
    if isinstance(value, bool) or not isinstance(value, (datetime, str, int, float)):
        raise RequestError(f"timestamp: expected ISO 8601 text or seconds since 1970, got {kind_of(value)}")
    try:
        time = _moment(value)
        if _EARLIEST <= time < _LATEST:
            return time
    except OverflowError:
        pass
    except ValueError:
        raise RequestError(
            f"timestamp: expected ISO 8601 such as 2026-01-31T08:15:00+01:00, or seconds since 1970; got "
            f"{str(value)[:40]!r}"
        ) from None
    raise RequestError("timestamp: expected a time from 1970 to 2099, got one far from our time")


def _moment(value: datetime | str | float) -> datetime:
    if isinstance(value, str):
        text = value.strip()
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            value = float(text)  # CSV has no other way to write a number
    if isinstance(value, (int, float)):
        return _EARLIEST + timedelta(seconds=value)
    # without an offset, it is UTC: a server's own time zone must not change what a request means
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
