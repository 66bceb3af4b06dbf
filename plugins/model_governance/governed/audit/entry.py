"""An entry of the audit log, its columns, and the hash that binds it to the one before."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from model_governance.governed.actor import Actor
from model_governance.governed.tables import AUDIT

__all__ = ["COLUMNS", "GENESIS", "Entry", "Head", "columns_of", "hash_of"]

GENESIS = hashlib.sha256(b"model-governance audit 1").hexdigest()
"""What the first entry follows. The number is the format's: other fields would be another number."""

COLUMNS = tuple(column for column in AUDIT.c if column.name != "hash")
"""What the hash covers, in this order: ``seq`` first, ``previous`` last."""

_LONGEST_TEXT = 10_000
_encode = json.JSONEncoder(separators=(",", ":")).encode  # made once: a million entries are hashed in a check
_LONGEST = {column.name: getattr(column.type, "length", None) or _LONGEST_TEXT for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Entry:
    """What somebody did, or was refused.

    Attributes
    ----------
    actor : Actor
        Who asked, from where, through which handler.
    action : str
        What was asked, in the words of the log: ``promote``, ``approve``, ``set alias``, ...
    outcome : {"done", "refused"}
        Whether it happened.
    model, version : str or None
        What it was about.
    before, after : str or None
        The state before and after, such as a stage or an alias; after a refusal what was asked for.
    comment : str or None
        The reason that a person gave, or the reason for the refusal.
    evidence_digest : str or None
        SHA-256 in hex of the evidence that it rested on.
    detail : mapping or None
        Whatever else belongs to it; must be JSON.
    at : int or None
        ms since the epoch, UTC; now where None.
    """

    actor: Actor
    action: str
    outcome: Literal["done", "refused"] = "done"
    model: str | None = None
    version: str | None = None
    before: str | None = None
    after: str | None = None
    comment: str | None = None
    evidence_digest: str | None = None
    detail: Mapping[str, Any] | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log: number and hash of its last entry; 0 and `GENESIS` before the first."""

    seq: int = 0
    hash: str = GENESIS


def columns_of(entry: Entry, head: Head) -> dict[str, Any]:
    """The columns of an entry that follows `head`, in the order of `COLUMNS`.

    What does not fit is shortened, and what a database cannot keep as text is replaced, so that a refusal is
    recorded whatever was sent.
    """
    values: dict[str, Any] = {
        "seq": head.seq + 1,
        "at": round(time.time() * 1000) if entry.at is None else int(entry.at),
        "actor": entry.actor.name,
        "address": entry.actor.address,
        "endpoint": entry.actor.endpoint,
        "action": entry.action,
        "outcome": entry.outcome,
        "model": entry.model,
        "version": entry.version,
        "before": entry.before,
        "after": entry.after,
        "comment": entry.comment,
        "evidence_digest": entry.evidence_digest,
        "detail": None if entry.detail is None else _json(entry.detail),
        "previous": head.hash,
    }
    return {
        name: value if value is None or name in ("seq", "at") else _fitting(str(value), _LONGEST[name])
        for name, value in values.items()
    }


def hash_of(values: tuple[Any, ...]) -> str:
    """SHA-256, in hex, of the values of `COLUMNS` as a JSON array.

    An array says of each value where it ends, and tells an absent one from an empty one.

    Raises
    ------
    TypeError
        For a value that JSON does not know: no entry holds one.

    Examples
    --------
    >>> hash_of((1, "ann", None)) == hashlib.sha256(b'[1,"ann",null]').hexdigest()
    True
    """
    return hashlib.sha256(_encode(values).encode()).hexdigest()


def _json(detail: Mapping[str, Any]) -> str:
    written = json.dumps(dict(detail), sort_keys=True, separators=(",", ":"), allow_nan=False)
    if len(written) <= _LONGEST_TEXT:
        return written
    # half: what is quoted once more grows by its backslashes
    return json.dumps({"shortened": written[: _LONGEST_TEXT // 2 - 20]})


def _fitting(value: str, longest: int) -> str:
    """Text that both databases keep as it is: no NUL, no half of a surrogate pair, not too long.

    Examples
    --------
    >>> _fitting("a" * 9, 5)
    'aaaa…'
    """
    value = value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value if len(value) <= longest else f"{value[: longest - 1]}…"
