"""What is asked, and what the server knows when it is: values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from model_governance.standing import Standing

__all__ = [
    "DECIDED",
    "IS_CHALLENGER",
    "IS_PROMPT",
    "JUDGED",
    "MOVING",
    "NO_FILES",
    "Action",
    "Ask",
    "Evidence",
    "Facts",
    "Measurer",
    "Review",
]

IS_PROMPT = "mlflow.prompt.is_prompt"
"""MLflow's tag of a registered model that is a prompt."""
NO_FILES = frozenset({"dummy-source", "prompt-template"})
"""What MLflow's clients and its server say as the source of a prompt's version, which has no files."""
IS_CHALLENGER = "the challenger"
"""One of `Facts.uses`."""

Action = Literal[
    "create model", "create version", "describe", "tag", "new tag", "alias", "delete version", "delete model",
    "rename", "challenge", "withdraw", "archive", "promote", "rollback", "adopt", "serve", "break glass",
    "approve", "reject", "changes", "reopen", "grant", "withdraw role", "webhook",
    "make token", "withdraw token",
]  # fmt: skip
"""What can be asked, in the words of the audit."""
JUDGED: frozenset[Action] = frozenset(
    {"promote", "challenge", "rollback", "adopt", "serve", "break glass", "approve", "reject", "changes", "reopen"}
)
"""What rests on files, evidence and people's words, which take long to read."""
MOVING: frozenset[Action] = JUDGED | {"withdraw", "archive"}
"""What changes who is what, or says something of it."""
DECIDED = frozenset({"approved", "rejected", "rolled back"})
"""What the tag review of a version says that somebody decided on."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants.

    Attributes
    ----------
    who : str
        The log-in that the server authenticated; empty where nobody did.
    roles : frozenset of str
        Everything that this log-in is.
    subject : str
        The tag, alias, role or new name that it is about, where there is one.
    value : str or None
        What it should become; None where it should go.
    comment : str
        The reason that was given.
    approves : bool
        Whether a reviewer who asks has thereby approved; a page that tells everybody the same asks without.
    """

    action: Action
    who: str
    roles: frozenset[str]
    model: str = ""
    version: str | None = None
    subject: str = ""
    value: str | None = None
    comment: str = ""
    approves: bool = True


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said of a version.

    Attributes
    ----------
    fresh : bool
        Whether it was said of this very version, and not of another one with the same files.
    elsewhere : str
        The other model of which it was said; empty where it was said of this one.
    counted_roles : frozenset of str
        What the reviewer is today.
    granted_by : frozenset of str
        Who gave the reviewer these roles.
    id : int
        Its number in the table.
    """

    reviewer: str
    verdict: str
    comment: str
    at: datetime
    artifact_digest: str
    evidence_digest: str
    fresh: bool = True
    elsewhere: str = ""
    counted_roles: frozenset[str] = frozenset()
    granted_by: frozenset[str] = frozenset()
    id: int = 0


@dataclass(frozen=True, slots=True)
class Measurer:
    """Who made a run that measured: the log-in, None where nobody was seen, and what it is today."""

    account: str | None = None
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """The tags of a version that tell what was measured, and who wrote them.

    Attributes
    ----------
    untrusted : tuple of str
        Tags that were not written by anybody whose evidence counts.
    written_at : datetime or None
        When the verdict was written.
    measured : mapping of str to Measurer, or None
        Runs that measured it, and who made each; None where the evidence cannot be read.
    failed : tuple of str
        Sentences of the gates that failed, as far as the verdict can be read.
    """

    gates: str | None = None
    artifact_digest: str = ""
    evidence_digest: str = ""
    policy_digest: str | None = None
    judged_against: str | None = None
    untrusted: tuple[str, ...] = ()
    written_at: datetime | None = None
    measured: Mapping[str, Measurer] | None = None
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server knows at the moment of asking.

    Attributes
    ----------
    authors : frozenset of str
        Log-ins that registered, logged or trained the version, apart from those that only record evidence.
    files : str or None
        Digest of the version's files now; None where they cannot be read (`files_trouble` says why).
    policy_digest : str or None
        Of today's policy, where the server has one with gates.
    reviews : tuple of Review
        What was said of these files, oldest first.
    decided, served : bool
        Whether somebody decided on the version (of a model: any of its versions), and whether it ever served.
    registrar : str or None
        Who registered the version or the model.
    uses : tuple of str
        What the version is now: ``the champion``, ``the challenger``, ``on the alias blue``, ...
    approved_files : str
        Digest of its files when it was promoted; empty where it never was.
    present : str or None
        What the tag or alias that is asked for holds now.
    granted_by : frozenset of str
        Who gave whoever asks the roles with which they approve.
    prompt : bool
        Whether the model is one of MLflow's prompts, and the version that is asked about has no files.
    location : str
        Where the version's files lie, as it was registered.
    guarded : bool
        Whether that is below the server's own artefacts, where the server looks after them.
    rollout : bool
        Whether anybody has the role rollout, which then alone moves the alias serving.
    """

    now: datetime
    standing: Standing = field(default_factory=Standing)
    stage: str = "None"
    review: str | None = None
    authors: frozenset[str] = frozenset()
    evidence: Evidence = field(default_factory=Evidence)
    files: str | None = None
    files_trouble: str = ""
    policy_digest: str | None = None
    reviews: tuple[Review, ...] = ()
    decided: bool = False
    served: bool = False
    uses: tuple[str, ...] = ()
    approved_files: str = ""
    registrar: str | None = None
    rollout: bool = False
    prompt: bool = False
    location: str = ""
    guarded: bool = True
    granted_by: frozenset[str] = frozenset()
    present: str | None = None
