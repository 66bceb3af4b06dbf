"""From which camera, when, and in what light: what formats of labels do not say.

Two places are looked at, in this order:

- a sidecar ``cameras.csv`` in the source's root, with a header: ``file`` (the picture's path below the root, or
  its bare name), ``camera``, ``time`` (ISO 8601; without a zone it is UTC), and any further columns as tags;
- the file's name: ``<camera>_<YYYYMMDD>T<HHMMSS>[Z][_anything]``, as in ``gate-7_20260302T074500Z_0012.jpg``.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipelines.datasets.errors import UnreadableSourceError
from pipelines.datasets.records import Tag

__all__ = ["SIDECAR", "Origin", "Provenance"]

SIDECAR = "cameras.csv"
_NAME = re.compile(r"^(?P<camera>.+?)_(?P<day>\d{8})T(?P<clock>\d{6})Z?(?:_.*)?$")


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of one picture; nothing has to be."""

    camera: str | None = None
    time: datetime | None = None
    tags: dict[str, Tag] = field(default_factory=dict)


class Provenance:
    """Answers for the pictures of one source.

    Parameters
    ----------
    root : Path
        The source's folder.

    Raises
    ------
    UnreadableSourceError
        Where the sidecar has no column ``file`` or a time that cannot be read.

    Examples
    --------
    >>> Provenance(Path("nowhere")).of("images/gate-7_20260302T074500Z_0012.jpg").time.isoformat()
    '2026-03-02T07:45:00+00:00'
    """

    def __init__(self, root: Path) -> None:
        self._rows: dict[str, Origin] = {}
        sidecar = root / SIDECAR
        if sidecar.is_file():
            with sidecar.open(encoding="utf-8", newline="") as stream:
                rows = csv.DictReader(stream)
                if "file" not in (rows.fieldnames or ()):
                    raise UnreadableSourceError(f"expected a column 'file' in {sidecar}, got {rows.fieldnames}")
                for number, row in enumerate(rows, start=2):
                    self._rows[row["file"]] = _origin(row, f"{sidecar}, line {number}")

    def of(self, name: str) -> Origin:
        """What is known of a picture, by its path below the root."""
        short = name.rsplit("/", 1)[-1]
        row = self._rows.get(name) or self._rows.get(short)
        if row is not None:
            return row
        match = _NAME.match(short.rsplit(".", 1)[0])
        if match is None:
            return Origin()
        try:
            time = datetime.strptime(match["day"] + match["clock"], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:  # eight and six digits that are no date: a name like any other
            return Origin()
        return Origin(match["camera"], time)


def _origin(row: dict[str, str], where: str) -> Origin:
    time = None
    if row.get("time"):
        try:
            time = datetime.fromisoformat(row["time"])
        except ValueError as error:
            raise UnreadableSourceError(f"expected an ISO 8601 time in {where}, got {row['time']!r}") from error
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    tags: dict[str, Tag] = {k: v for k, v in row.items() if k not in ("file", "camera", "time") and k and v}
    return Origin(row.get("camera") or None, time, tags)
