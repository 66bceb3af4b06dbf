"""Tags and aliases that decide what serves, or on which a decision rests."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from model_governance.standing import CHALLENGER, CHAMPION, PREVIOUS, SERVING

__all__ = ["DECISION_TAGS", "EVIDENCE_TAGS", "MOVED_ALIASES", "is_evidence_tag", "matches", "resembles"]

MOVED_ALIASES = (CHAMPION, PREVIOUS, CHALLENGER, SERVING)
"""Aliases that the standing moves."""

EVIDENCE_TAGS = (
    "gates", "evidence", "evidence_digest", "artifact_digest", "interface_digest", "policy_digest", "data_digest",
    "materials_digest", "judged_against", "semantic_version", "source_run_id", "git_commit",
)  # fmt: skip
"""Tags of a version that tell what was measured, and on what."""

DECISION_TAGS = (
    "review", "approved_*", "approval_*", "rejected_*", "rejection_*", "rolled_back_*", "reopened_*",
    "reopening_*", "changes_*", "promoted_*", "replaced_version", "broke_glass_*",
)  # fmt: skip
"""Tags of a version that tell who decided what; shell patterns."""


def is_evidence_tag(key: str, further: Iterable[str] = ()) -> bool:
    """Whether only those who record evidence write a tag.

    Examples
    --------
    >>> is_evidence_tag("gates"), is_evidence_tag("colour"), is_evidence_tag("qa.lab", ["qa.*"])
    (True, False, True)
    """
    return any(resembles(key, each) for each in (*EVIDENCE_TAGS, *further))


def matches(name: str, pattern: str) -> bool:
    """Whether a name is meant by a shell pattern, capitals and all."""
    return fnmatchcase(name, pattern)


def resembles(name: str, pattern: str) -> bool:
    """Whether a name could be taken for one that a pattern means: in any case, with blanks around it.

    Examples
    --------
    >>> resembles(" Gates", "gates")
    True
    """
    return fnmatchcase(name.strip().casefold(), pattern.casefold())
