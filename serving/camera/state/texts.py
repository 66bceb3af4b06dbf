"""Records as they stand in the state's file, worked out once however often they are tried."""

from __future__ import annotations

import json
from collections.abc import Sequence

from serving.camera.records import CountRecord

__all__ = ["Texts"]

# of all cameras, about 100 MB; what is beyond is worked out again with every try
_MOST = 200_000


class Texts:
    """Pairs of id and JSON of records. Thread-safe.

    Where the disk is full for long, each camera tries to write all that waits, again and again.

    Examples
    --------
    >>> Texts().of([])
    []
    """

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def of(self, records: Sequence[CountRecord]) -> list[tuple[str, str]]:
        """Of these records.

        Raises
        ------
        ValueError
            Where a record holds a number that is none.
        """
        return [(record.id, self._kept.get(record.id) or _text(record)) for record in records]

    def keep(self, texts: Sequence[tuple[str, str]]) -> None:
        """They could not be written and will be tried again."""
        self._kept.update(texts[: max(0, _MOST - len(self._kept))])

    def drop(self) -> None:
        """The disk takes what comes: there is nothing to be tried again."""
        if self._kept:
            self._kept = {}


def _text(record: CountRecord) -> str:
    return json.dumps(record.to_dict(), separators=(",", ":"), allow_nan=False)
