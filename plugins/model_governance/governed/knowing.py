"""Everything that a decision needs to know, read in the transaction that it is made in, and no more than that."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy.orm import Session

from model_governance.governed.questions import (
    JUDGED,
    MOVING,
    Ask,
    Facts,
)
from model_governance.governed.reading import Read, Reading
from model_governance.rules.governance import GovernanceRules

__all__ = ["Known", "known"]


class Known(Facts):
    """Facts that are read when somebody first looks at them, each once, until `settle` ends that.

    What a decision does not look at costs nothing, and nothing that it looks at is a default that nobody read.

    Attributes
    ----------
    evidence_digest : str
        For the audit, once settled: of the evidence that the decision rests on; empty where it rests on none.
    """

    __slots__ = ("_reading", "_settled", "evidence_digest")

    evidence_digest: str

    def __init__(self, reading: Reading) -> None:
        object.__setattr__(self, "_reading", reading)  # which keeps the rows in the session until all is done
        object.__setattr__(self, "_settled", False)

    def __getattr__(self, name: str) -> Any:
        """Read a fact: this is only asked for what stands in no slot yet."""
        if name not in _FACTS:
            raise AttributeError(name)
        if self._settled:
            raise RuntimeError(f"the fact {name!r} was not read before the registry changed")
        value = getattr(self._reading, name)
        object.__setattr__(self, name, value)
        return value

    def settle(self, refused: bool = False) -> None:
        """Read what is done with and told of it, and then nothing more: from now on the tables change."""
        if self._settled:
            return
        reading = self._reading
        action = reading.ask.action
        wanted: tuple[str, ...] = ("stage", "present")
        if not refused:
            wanted += (*_OF_PLACES, *(_OF_JUDGED if action in JUDGED else ())) if action in MOVING else ()
        for name in wanted:
            getattr(self, name)
        judged = self.evidence.evidence_digest if reading.judging else ""
        object.__setattr__(self, "evidence_digest", judged)
        object.__setattr__(self, "_settled", True)


_FACTS = frozenset(each.name for each in fields(Facts))
_OF_PLACES = ("standing",)
_OF_JUDGED = tuple(sorted(_FACTS - {"decided", "served", "uses", "registrar", "prompt"}))
"""What moving a version goes by, beside deciding on it."""


def known(
    session: Session, ask: Ask, rules: GovernanceRules, read: Read, policy_digest: str | None, now: int
) -> Known:
    """The facts for one question.

    Parameters
    ----------
    now : int
        ms since the epoch, UTC.
    """
    return Known(Reading(session, ask, rules, read, policy_digest, now))
