"""Records that a sink refuses for good, set aside so that they hold up no other."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from serving.camera.records import CountRecord
from serving.camera.sinks.base import Sink
from serving.camera.sinks.jsonl import append_lines
from serving.camera.state.outbox import Batch
from serving.errors import SinkError

__all__ = ["Refusals"]

_logger = logging.getLogger(__name__)

# Bytes, about 100,000 records: so many are no exceptions any more, and somebody should look.
_LARGEST = 50 << 20
# Records of a refused batch that are tried one by one: does the sink take any at all?
_TRIED = 4


class Refusals:
    """A file with the records that one sink refused, each there once, with the reason.

    Parameters
    ----------
    sink : Sink
    folder : Path
        Where the file lies, as refused-<sink>.jsonl.
    largest : int
        Bytes; a file that is larger takes no more, and the sink waits until somebody moves it away.

    Attributes
    ----------
    number : int
        How many were set aside; those of earlier runs count as long as they are in the file.
    """

    def __init__(self, sink: Sink, folder: Path, largest: int = _LARGEST) -> None:
        self.path = folder / f"refused-{sink.name}.jsonl"
        self._sink, self._largest = sink, largest
        try:
            with self.path.open("rb") as file:
                self.number = sum(1 for _ in file)
        except OSError:
            self.number = 0

    def sift(self, batch: Batch, later: CountRecord | None, error: SinkError) -> None:
        """Bring those of a refused batch that are taken, and set the others aside.

        That the records are at fault, and not the address or the receiver, is shown by one that is taken: of the
        same batch, or the next one that waits, which then comes twice under its id.

        Parameters
        ----------
        batch : Batch
            Whose delivery was refused as a whole.
        later : CountRecord or None
            One that waits behind it.
        error : SinkError
            How it was refused.

        Raises
        ------
        SinkError
            `error` where nothing is taken; else where the sink fails in another way, or the file cannot be
            written.
        """
        records = batch.records
        few = range(0, len(records), -(-len(records) // _TRIED)) if len(records) > 1 else ()
        taken = {i for i in few if not self._refused([records[i]], f"{batch.name}.{i}")}
        if not taken and (later is None or self._refused([later], f"{batch.name}.later")):
            raise error
        rest = [i for i in range(len(records)) if i not in taken]
        refused = self._apart(batch, rest, None if taken else error)
        if refused:
            self._set_aside([(records[i], refused[i]) for i in sorted(refused)])

    def _apart(self, batch: Batch, indices: Sequence[int], known: SinkError | None = None) -> dict[int, SinkError]:
        """Bring records in ever smaller parts; gives those that are refused alone. `known`: how the whole was."""
        if not indices:
            return {}
        name = f"{batch.name}.{indices[0]}-{indices[-1]}"
        error = known or self._refused([batch.records[i] for i in indices], name)
        if error is None:
            return {}
        if len(indices) == 1:
            return {indices[0]: error}
        half = len(indices) // 2
        return {**self._apart(batch, indices[:half]), **self._apart(batch, indices[half:])}

    def _refused(self, records: Sequence[CountRecord], name: str) -> SinkError | None:
        """How records are refused for good; None where they are taken."""
        try:
            self._sink.deliver(records, name)
        except SinkError as error:
            if error.refused:
                return error
            raise
        return None

    def _set_aside(self, refused: Sequence[tuple[CountRecord, SinkError]]) -> None:
        now = datetime.now(UTC).isoformat()
        lines = [
            json.dumps({**record.to_dict(), "refused": str(error), "refused_at": now}, ensure_ascii=False)
            for record, error in refused
        ]
        try:
            if self.path.exists() and self.path.stat().st_size > self._largest:
                raise SinkError(
                    f"{self.path} holds all the refused records that it may: see why they are refused, and move "
                    "the file away",
                    permanent=True,
                )
            self.number += append_lines(self.path, lines)
        except OSError as error:
            raise SinkError(
                f"cannot set refused records aside in {self.path}: {error.strerror or error}; check its rights "
                "and the disk's room"
            ) from error
        _logger.error(
            "the sink %s refuses %d record(s) and takes others: they are set aside in %s; %s",
            self._sink.name,
            len(refused),
            self.path,
            refused[-1][1],
        )
