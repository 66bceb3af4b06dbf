"""Name and reason of a person who says yes or no."""

from __future__ import annotations

from model_governance.errors import TransitionError

__all__ = ["require_signature"]

_LONGEST_NAME, _LONGEST_COMMENT = 200, 1000


def require_signature(by: str, comment: str) -> tuple[str, str]:
    """Name and reason without blanks around them; a `TransitionError` where one is missing or too long."""
    by, comment = by.strip(), comment.strip()
    if not by or not comment:
        missing = " and ".join(what for what, value in (("a name", by), ("a comment", comment)) if not value)
        raise TransitionError(f"{missing} is missing: a version moves only with a person's name and their reason")
    if len(by) > _LONGEST_NAME or len(comment) > _LONGEST_COMMENT:
        raise TransitionError(
            f"the name has {len(by)} and the comment {len(comment)} characters; "
            f"at most {_LONGEST_NAME} and {_LONGEST_COMMENT} fit"
        )
    return by, comment
