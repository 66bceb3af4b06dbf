"""What can go wrong in governing a model.

    GovernanceError
    ├── PolicyError        a policy file that cannot be read, or that holds a key nobody knows
    ├── EvidenceError      a model that shows nothing: no run, no files, or no such model
    ├── GateError          a version that did not pass its gates; carries the verdict
    ├── TamperError        files or evidence that are not those that were measured or approved
    ├── TransitionError    a move that is not allowed: no approver, nothing to roll back to
    └── VersioningError    a number or a git tag that cannot be given: a claim that does not hold

Every message says what was expected, what came, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_governance.gates import Verdict

__all__ = [
    "EvidenceError",
    "GateError",
    "GovernanceError",
    "PolicyError",
    "TamperError",
    "TransitionError",
    "VersioningError",
]


class GovernanceError(Exception):
    """The root: whoever calls this package can catch everything with it."""


class PolicyError(GovernanceError, ValueError):
    """A policy that cannot be read; names the file, the key and the reason."""


class EvidenceError(GovernanceError, LookupError):
    """A model that has no run, no files, or does not exist: there is nothing to judge."""


class GateError(GovernanceError):
    """A version that did not pass its gates.

    Attributes
    ----------
    verdict : Verdict
        One row per gate; the failed ones are in the message as well.
    """

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.verdict = verdict


class TamperError(GovernanceError):
    """A model whose files, or whose evidence, are not those that were measured or approved."""


class TransitionError(GovernanceError):
    """A move of a version that is not allowed; says what is missing."""


class VersioningError(GovernanceError, ValueError):
    """A semantic version or a git tag that cannot be given; names the claim that does not hold."""
