"""Tags and aliases that decide what serves, or on which a decision rests."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase

from model_governance.standing import CHALLENGER, CHAMPION, PREVIOUS, SERVING

__all__ = [
    "DECISION_TAGS",
    "EVIDENCE_TAGS",
    "MOVED_ALIASES",
    "is_evidence_tag",
    "is_written_by_few",
    "matches",
    "resembles",
]

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


def is_written_by_few(key: str, further: Iterable[str] = ()) -> bool:
    """Whether a version's tag is written by the server alone, or by those who record evidence.

    Examples
    --------
    >>> is_written_by_few("approved_by"), is_written_by_few("gates"), is_written_by_few("colour")
    (True, True, False)
    """
    return is_evidence_tag(key, further) or any(resembles(key, each) for each in (*DECISION_TAGS, "governance.*"))


def matches(name: str, pattern: str) -> bool:
    """Whether a name is meant by a shell pattern, capitals and all."""
    return fnmatchcase(name, pattern)


def resembles(name: str, pattern: str) -> bool:
    """Whether people could take a name for one that a pattern means.

    In any case, with blanks around it, in wide or unseen letters, or with Greek and Cyrillic ones among the Latin
    (the confusables of Unicode Technical Standard 39 that are small letters of one stroke's difference).

    Examples
    --------
    >>> resembles(" Gates", "gates"), resembles("g\u0430tes", "gates"), resembles("gate", "gates")
    (True, True, False)
    """
    return fnmatchcase(_as_it_looks(name), _as_it_looks(pattern))


def _as_it_looks(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_LOOK_ALIKE)
    return "".join(each for each in plain if unicodedata.category(each) not in _UNSEEN).strip()


_UNSEEN = frozenset({"Mn", "Me", "Cf", "Cc"})
_LOOK_ALIKE = str.maketrans(
    "\u0430\u0441\u0501\u0435\u0261\u04bb\u0456\u0458\u04cf\u043e\u0440\u051b\u0455\u0443\u0475\u051d\u0445"
    "\u03b1\u03b9\u03ba\u03bd\u03bf\u03c1\u03c5\u03c7\u0131\u217c",
    "acdeghijlopqsyvwxaikvopuxil",
)
