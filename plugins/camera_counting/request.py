"""A counting request: rows with a picture or a clip, and how they are to be counted; checked, cell by cell."""

from __future__ import annotations

import binascii
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from camera_counting.errors import RequestError, SceneError
from camera_counting.request_schema import COLUMNS, PARAMS

if TYPE_CHECKING:
    import pandas as pd

    from camera_counting.model import CountingModel
    from camera_counting.scene import Scene

__all__ = [
    "RequestParams",
    "RequestRow",
    "check_columns",
    "read_params",
    "read_rows",
    "rows_of_columns",
    "rows_of_table",
    "without_payload",
]

_MAX_CAMERA_ID = 200
_MAX_MESSAGE = 1000
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class RequestRow:
    """One row: either `image` or `video` holds bytes, or base64 text that `bytes_of` will decode."""

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


@dataclass(frozen=True)
class RequestParams:
    """How the rows are to be counted."""

    confidence: float | None = None
    classes: tuple[str, ...] | None = None
    scene: Scene | None = None
    skip: bool = False


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


def read_params(params: Mapping[str, Any] | None, model: CountingModel) -> RequestParams:
    """Check the params against the model.

    Raises
    ------
    RequestError
        Where one is unknown, of a wrong type or makes no sense to this model.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> read_params({}, SimpleNamespace()).skip
    False
    """
    if params is None:
        return RequestParams()
    if not isinstance(params, Mapping):
        raise RequestError(f"params: expected an object, got {_kind(params)}")
    for name in params:
        if name not in PARAMS:
            raise RequestError(f"params: {str(name)[:40]!r} is not known; expected {', '.join(PARAMS)}")
    given = {name: value for name, value in params.items() if not _is_null(value)}
    confidence = given.get("confidence")
    if confidence is not None:
        confidence = model.check_confidence(confidence)
    classes = model.check_classes(_class_list(given["classes"])) if "classes" in given else None
    scene = _scene(given["scene"]) if "scene" in given else None
    if scene is not None:
        try:
            scene.check_classes(model.names)
        except SceneError as error:
            raise RequestError(f"params: {error}") from None
    on_error = given.get("on_error", "fail")
    if on_error not in ("fail", "skip"):
        told = repr(on_error[:40]) if isinstance(on_error, str) else _kind(on_error)
        raise RequestError(f"params: on_error: expected 'fail' or 'skip', got {told}")
    return RequestParams(confidence, classes, scene, on_error == "skip")


def without_payload(text: str) -> str:
    """The text of an error without anything that could be part of a picture, and not longer than a person reads.

    Examples
    --------
    >>> without_payload("row 0: got " + "QUJD" * 50)
    'row 0: got QUJDQU…'
    """
    return re.sub(r"[A-Za-z0-9+/=_-]{25,}", _shortened, text)[:_MAX_MESSAGE]


def _shortened(found: re.Match[str]) -> str:
    # the name of a setting, which an error tells to change, is in capitals and has what base64 has not
    return found[0] if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", found[0]) else found[0][:6] + "…"


def _row(number: int, row: Mapping[str, Any]) -> RequestRow:
    image, video = (None if _is_null(row.get(name)) else row.get(name) for name in ("image", "video"))
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
        raise RequestError(f"{column}: expected base64 text or bytes, got {_kind(cell)}")
    if not content:
        raise RequestError(f"{column}: the {'picture' if column == 'image' else 'clip'} is empty: 0 bytes")
    return content


def _camera(value: Any) -> str | None:
    if _is_null(value):
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        if not (isinstance(value, float) and value.is_integer()):
            raise RequestError(f"camera_id: expected text, got {_kind(value)}")
        value = int(value)  # pandas turns a column of whole numbers with a gap into floats
    text = str(value).strip()
    if len(text) > _MAX_CAMERA_ID:
        raise RequestError(f"camera_id: expected at most {_MAX_CAMERA_ID} characters, got {len(text)}")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise RequestError("camera_id: expected text, got a control character or half a surrogate pair in it")
    return text or None


def _time(value: Any) -> datetime | None:
    if _is_null(value):
        return None
    if isinstance(value, bool) or not isinstance(value, (datetime, str, int, float)):
        raise RequestError(f"timestamp: expected ISO 8601 text or seconds since 1970, got {_kind(value)}")
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


def _class_list(value: Any) -> list[str]:
    if isinstance(value, str):
        text = value.strip()
        if not text.startswith("["):
            return [part.strip() for part in text.split(",") if part.strip()]
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise RequestError(
                "params: classes: expected names separated by commas, or a JSON list of names"
            ) from None
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise RequestError(
            f"params: classes: expected names separated by commas, or a list of names; got {_kind(value)}"
        )
    return list(value)


def _scene(value: Any) -> Scene:
    from camera_counting.scene import Scene

    try:
        if isinstance(value, str):
            return Scene.from_json(value, source="params: scene")
        return Scene.from_dict(value, source="params: scene")
    except SceneError as error:
        raise RequestError(str(error)) from None
    except (ValueError, OverflowError, RecursionError):
        # numbers of thousands of digits, or of more than a float can hold; braces in braces in braces
        raise RequestError("params: scene: no scene that can be read") from None


def _is_null(value: Any) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ in {"NAType", "NaTType"}  # pandas' own, without importing it


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), type(value).__name__)
