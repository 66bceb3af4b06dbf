"""Records as they stand in the state's file, worked out once however often they are tried."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from itertools import islice

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
        self._lock = threading.Lock()
        # with the record itself: one that was never written may leave its id to another one
        self._kept: dict[str, tuple[CountRecord, str]] = {}

    def of(self, records: Sequence[CountRecord]) -> list[tuple[str, str]]:
        """Of these records.

        Raises
        ------
        ValueError
            Where a record holds a number that is none.
        """
        return [(record.id, self._text(record)) for record in records]

    def keep(self, records: Sequence[CountRecord], texts: Sequence[tuple[str, str]]) -> None:
        """They could not be written and will be tried again."""
        with self._lock:
            for record, (name, text) in zip(records, texts, strict=True):
                self._kept[name] = record, text
            for name in list(islice(self._kept, max(0, len(self._kept) - _MOST))):
                del self._kept[name]

    def drop(self, records: Sequence[CountRecord]) -> None:
        """They are written."""
        if self._kept:
            with self._lock:
                for record in records:
                    self._kept.pop(record.id, None)

    def _text(self, record: CountRecord) -> str:
        kept = self._kept.get(record.id)
        if kept is not None and kept[0] is record:
            return kept[1]
        return json.dumps(record.to_dict(), separators=(",", ":"), allow_nan=False)
