"""Keeping signed heads by the clock: the server's own worker checks what was written since, signs, and keeps it.

A place that cannot be reached, or a log that is not what was signed before, is told on the server's log and tried
again; no request waits for it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Engine

from model_governance.errors import EvidenceError, GovernanceError, PolicyError, TamperError
from model_governance.governed.audit.chain import read_head
from model_governance.governed.audit.entry import COLUMNS, Head, hash_of
from model_governance.governed.audit.heads import keep_head, newest_head, public_key_of, sign_head
from model_governance.governed.audit.verification import connected
from model_governance.governed.tables import AUDIT

__all__ = ["HEADS_EVERY", "HEADS_KEY", "HEADS_PLACE", "HeadKeeper", "head_keeper"]

_logger = logging.getLogger(__name__)

HEADS_PLACE = "MODEL_GOVERNANCE_HEADS"
"""Environment variable with a folder or ``s3://bucket/prefix``; without it the server keeps no heads."""
HEADS_KEY = "MODEL_GOVERNANCE_HEADS_KEY"
"""Environment variable with the path of the Ed25519 private key in PEM."""
HEADS_EVERY = "MODEL_GOVERNANCE_HEADS_EVERY"
"""Environment variable with minutes, or minutes and entries such as ``10,100``: whichever comes first."""

_AT_ONCE = 5_000
_PAUSE_S, _PAUSE_AFTER_TAMPERING_S = 60.0, 600.0


@dataclass
class HeadKeeper:
    """Signs the head of the log and keeps it, where enough was written or enough time passed since the last.

    Attributes
    ----------
    engine : Engine
        Of the registry's database.
    where : str
        A folder or ``s3://bucket/prefix``.
    key : Path
        Ed25519 private key in PEM.
    every_s : float
        Seconds after which a head is kept of whatever was written since the last.
    every_entries : int
        Entries after which one is kept at once.
    """

    engine: Engine
    where: str
    key: Path
    every_s: float = 600.0
    every_entries: int = 100
    clock: Callable[[], float] = time.monotonic
    _last: Head | None = field(default=None, init=False)
    _kept_at: float = field(default=float("-inf"), init=False)
    _not_before: float = field(default=float("-inf"), init=False)

    def keep_where_due(self) -> str | None:
        """Keep a head where it is time; gives where it lies, None where nothing was to be kept.

        Raises
        ------
        EvidenceError
            Where the place cannot be reached.
        TamperError
            Where the log does not go on from the last head that was kept.
        """
        with connected(self.engine) as connection:
            head = read_head(connection)
        last = self._last
        if last is None:  # first in this process: what was kept before it
            last = self._last = newest_head(self.where, public_key_of(self.key)) or Head()
        written = head.seq - last.seq  # less than none where the log was cut
        in_time = self.clock() - self._kept_at < self.every_s and 0 <= written < self.every_entries
        if head == last or in_time:
            return None
        self._require_goes_on(last, head)
        kept = keep_head(sign_head(head, self.key), self.where)
        self._last, self._kept_at = head, self.clock()
        return kept

    def keep_or_tell(self) -> None:
        """Keep a head where it is time; what goes wrong is told on the server's log, and tried again later."""
        if self.clock() < self._not_before:
            return
        try:
            if kept := self.keep_where_due():
                _logger.info("the audit log's head is kept in %s", kept)
        except TamperError as error:
            self._not_before = self.clock() + _PAUSE_AFTER_TAMPERING_S
            _logger.critical("%s", error)
        except GovernanceError as error:
            self._not_before = self.clock() + _PAUSE_S
            _logger.warning("the audit log's head waits: %s", error)

    def _require_goes_on(self, last: Head, head: Head) -> None:
        """Every entry since the last head that was kept is as its hash says, and follows the one before it."""
        before, after = last.hash, last.seq
        with connected(self.engine) as connection:
            if last.seq:
                there = connection.scalar(select(AUDIT.c.hash).where(AUDIT.c.seq == last.seq))
                if there != last.hash:
                    raise TamperError(
                        f"entry {last.seq} of the audit log is not the one whose head is kept in {self.where}: "
                        "the log was written anew or cut; no head is signed any more. Run `model-governance audit "
                        "verify` with the heads that are kept"
                    )
            while after < head.seq:
                query = select(*COLUMNS, AUDIT.c.hash).where(AUDIT.c.seq > after, AUDIT.c.seq <= head.seq)
                found = connection.execute(query.order_by(AUDIT.c.seq).limit(_AT_ONCE)).all()
                for *values, digest in found:
                    if values[0] != after + 1 or values[-1] != before or _hash(values) != digest:
                        raise TamperError(
                            f"entry {after + 1} of the audit log was changed or removed after it was written; no "
                            "head is signed any more. Run `model-governance audit verify`"
                        )
                    before, after = digest, values[0]
                if not found:
                    break
        if (after, before) != (head.seq, head.hash):
            raise TamperError(
                f"the audit log ends at entry {after}, and its head says {head.seq}; no head is signed any more. "
                "Run `model-governance audit verify`"
            )


def head_keeper(engine: Engine, environment: Mapping[str, str] = os.environ) -> HeadKeeper | None:
    """What the environment asks for; None where it asks for nothing.

    Raises
    ------
    PolicyError
        Where it asks for something that cannot be: then the server does not start.
    """
    where = environment.get(HEADS_PLACE, "").strip()
    if not where:
        return None
    key = environment.get(HEADS_KEY, "").strip()
    if not key:
        raise PolicyError(
            f"{HEADS_PLACE} is set, but not {HEADS_KEY}: the path of a key that `model-governance audit key` makes"
        )
    minutes, _, entries = (environment.get(HEADS_EVERY, "").strip() or "10,100").partition(",")
    try:
        every_s, every_entries = float(minutes) * 60, int(entries or 100)
        if not (every_s > 0 and every_entries > 0):
            raise ValueError
    except ValueError:
        raise PolicyError(
            f"{HEADS_EVERY}: expected minutes, or minutes and entries such as 10,100, got "
            f"{environment.get(HEADS_EVERY)!r}"
        ) from None
    try:
        public_key_of(Path(key))
    except EvidenceError as error:
        raise PolicyError(f"{HEADS_KEY}: {error}") from error
    return HeadKeeper(engine, where, Path(key), every_s, every_entries)


def _hash(values: Sequence[Any]) -> str:
    try:
        return hash_of(tuple(values))
    except (TypeError, ValueError):  # bytes, or a number that JSON does not know
        return ""
