"""One row of the prediction log."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

__all__ = ["CAMERA_KEY", "COLUMNS", "COUNT_KINDS", "EVENT_KINDS", "NO_CAMERA", "Prediction", "camera_folder"]

COUNT_KINDS = ("image", "video", "frame")
"""Kinds of rows that hold counts: of a picture, of a clip, of one frame of a live camera."""
EVENT_KINDS = ("crossing", "entered", "left", "flow", "crowded", "cleared")
"""Kinds of rows that hold one event of a live camera."""

CAMERA_KEY = "camera_id="
NO_CAMERA = "__HIVE_DEFAULT_PARTITION__"
_LONGEST_FOLDER = 200


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is kept of one counted picture or clip, or of one event of a live camera; never the picture itself.

    Attributes
    ----------
    id : str
        Unique; a row is told by it wherever it stands.
    time : datetime
        When the picture was taken, where the request said so, else when it was counted. UTC.
    camera_id : str
        Empty where the request named none.
    model_name, model_version, model_digest : str
        As registered, empty where it was not; SHA-256 of the artefact.
    kind : str
        One of `COUNT_KINDS` or `EVENT_KINDS`.
    counts : dict of str to int, or None
        Objects per class, zeros included; None for an event.
    total : int
    confidence_mean, confidence_min, confidence_p10 : float or None
        Over the detections; None where there were none.
    brightness, contrast, sharpness : float or None
        See `camera_counting.picture_features`.
    width, height : int or None
    latency_ms : float or None
        Decoding and counting.
    place, direction, class_name, track : str, str, str, int; or None
        Of an event: the line, zone or flow; in or out; what it was; its track. None for counts.
    lasted, number : float, int; or None
        Of an event: seconds of a stay, a travel or a crowd; how many were inside. None where the kind has none.
    """

    id: str
    time: datetime
    camera_id: str = ""
    model_name: str = ""
    model_version: str = ""
    model_digest: str = ""
    kind: str = "image"
    counts: dict[str, int] | None = None
    total: int = 0
    confidence_mean: float | None = None
    confidence_min: float | None = None
    confidence_p10: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    sharpness: float | None = None
    width: int | None = None
    height: int | None = None
    latency_ms: float | None = None
    place: str | None = None
    direction: str | None = None
    class_name: str | None = None
    track: int | None = None
    lasted: float | None = None
    number: int | None = None

    @classmethod
    def now(cls, **values: Any) -> Prediction:
        """A row of this moment with an id of its own; `total` is the sum of `counts` where it is not given.

        Examples
        --------
        >>> Prediction.now(counts={"person": 2, "car": 1}).total
        3
        """
        values.setdefault("id", uuid.uuid4().hex)
        values.setdefault("time", datetime.now(UTC))
        values.setdefault("total", sum((values.get("counts") or {}).values()))
        return cls(**values)

    def to_json(self) -> str:
        """One line for the spool."""
        row = asdict(self)
        row["time"] = self.time.astimezone(UTC).isoformat()
        text = json.dumps(row, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
        # half a surrogate pair is no text, and no file would take it
        return text.encode("utf-8", "replace").decode()


COLUMNS = tuple(field.name for field in fields(Prediction))


def camera_folder(camera_id: str) -> str:
    """The partition's folder of a camera; any text becomes one safe name, as Hive partitions are written.

    It says where to look and is not the camera's name: of an id that no folder could bear, it holds the beginning
    and a digest. The id itself stands in every row.

    Examples
    --------
    >>> camera_folder("../etc/passwd"), camera_folder("")
    ('camera_id=..%2Fetc%2Fpasswd', 'camera_id=__HIVE_DEFAULT_PARTITION__')
    """
    if not camera_id:
        return CAMERA_KEY + NO_CAMERA
    if camera_id == NO_CAMERA:
        return CAMERA_KEY + camera_id.replace("_", "%5F")
    name = quote(camera_id, safe="", errors="replace")
    if len(name) > _LONGEST_FOLDER:
        digest = sha256(camera_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        name = quote(f"{camera_id[:12]}~{digest}", safe="", errors="replace")
    return CAMERA_KEY + name
