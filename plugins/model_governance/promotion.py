"""Promotion: a named person's yes or no, and the way back. Stage and alias always move together.

On a governed server it is the server that decides and moves; see `model_governance.governing`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from mlflow import MlflowClient

from model_governance.admission import (
    find_version,
    refusal,
    require_promotable,
    require_same_files,
    require_signature,
)
from model_governance.bundle import read_bundle
from model_governance.duplicates import doubled
from model_governance.errors import GovernanceError, TransitionError
from model_governance.governing import governing
from model_governance.policy import Policy
from model_governance.standing import (
    Move,
    Standing,
    disagreements,
    finished,
    read_standing,
    settle,
    versions_of,
)

__all__ = ["check", "promote", "reject", "reopen", "rollback"]


def promote(
    name: str,
    version: str | int,
    approver: str,
    comment: str,
    *,
    move_serving: bool = True,
    policy: Policy | None = None,
    now: datetime | None = None,
) -> Standing:
    """Make a version the champion: Production, aliases `champion` and `serving`; the one before it is archived.

    Parameters
    ----------
    approver, comment : str
        Who says yes, and why; both are kept on the version.
        On a governed server the log-in signs, and whoever may approve approves by this.
    move_serving : bool
        False where a rollout decides when servers follow; a governed server knows that by itself.
    policy : Policy, optional
        Today's policy; a version that was judged by another one is then refused.
    now : datetime, optional
        Time of the promotion, with a time zone; the present by default.

    Raises
    ------
    TransitionError
        Where nobody signs, or the version was rejected, or judged by another policy or against another champion
        than today's.
    GateError
        Where the version did not pass its gates, or its figures have grown too old since.
    TamperError
        Where its files or its evidence are not those that were judged.
    """
    client, now = MlflowClient(), now or datetime.now(UTC)
    by, why = require_signature(approver, comment)
    standing = finished(client, name)
    candidate = find_version(client, name, version)
    number, server = str(candidate.version), governing(client)
    if number == standing.champion:
        return settle(client, name, standing) if server is None else standing
    require_promotable(candidate, standing, now, policy)
    if server is not None:
        server.promote(name, number, why)
        return read_standing(client, name)
    move = Move(action="promoted", version=number, by=by, comment=why, at=_written(now))
    marks = {
        number: {
            "review": "approved",
            "approved_by": by,
            "approval_comment": why,
            "approved_at": move.at,
            "replaced_version": standing.champion or "none",
        }
    }
    return settle(
        client,
        name,
        Standing(
            champion=number,
            previous=standing.champion,
            # Each champion once: a version that comes back is no step on its own way back.
            earlier=tuple(each for each in standing.former() if each != number),
            challenger=None if standing.challenger == number else standing.challenger,
            serving_follows=move_serving,
            last=move,
            marks=marks,
        ),
    )


def reject(name: str, version: str | int, reviewer: str, comment: str) -> Standing:
    """Say no to a version: it loses its alias, is archived, and comes back only where a reviewer reopens it.

    Raises
    ------
    TransitionError
        Where nobody signs, or the version is in Production.
    """
    client = MlflowClient()
    by, why = require_signature(reviewer, comment)
    standing = finished(client, name)
    number = str(find_version(client, name, version).version)
    if number in (standing.champion, standing.previous):
        raise TransitionError(
            f"version {number} of {name!r} is or was in Production; use `model-governance rollback` to leave it"
        )
    if (server := governing(client)) is not None:
        server.review(name, number, "reject", why)
        return read_standing(client, name)
    move = Move(action="rejected", version=number, by=by, comment=why, at=_now())
    marks = {number: {"review": "rejected", "rejected_by": by, "rejection_comment": why, "rejected_at": move.at}}
    challenger = None if standing.challenger == number else standing.challenger
    return settle(
        client,
        name,
        standing.model_copy(update={"challenger": challenger, "last": move, "marks": marks}),
    )


def reopen(name: str, version: str | int, reviewer: str, reason: str) -> Standing:
    """Take back what was decided on a version that is not in use: its review is open again.

    It moves nowhere. Registering its model again judges it by what it shows now, and a person decides anew.

    Raises
    ------
    TransitionError
        Where nobody signs, the version is in use, or nothing was decided on it.
    """
    client = MlflowClient()
    by, why = require_signature(reviewer, reason)
    standing = finished(client, name)
    found = find_version(client, name, version)
    number = str(found.version)
    if number in (standing.champion, standing.previous):
        raise TransitionError(
            f"version {number} of {name!r} is or was in Production; use `model-governance rollback` to leave it"
        )
    if (server := governing(client)) is not None:
        server.review(name, number, "reopen", why)
        return read_standing(client, name)
    if found.tags.get("review", "pending") == "pending":
        raise TransitionError(f"nobody has decided on version {number} of {name!r} yet; its review is open")
    move = Move(action="reopened", version=number, by=by, comment=why, at=_now())
    marks = {number: {"review": "pending", "reopened_by": by, "reopening_reason": why, "reopened_at": move.at}}
    return settle(client, name, standing.model_copy(update={"last": move, "marks": marks}))


def rollback(name: str, operator: str, reason: str) -> Standing:
    """Go back to the champion before this one, at once and without new evidence; its files must be unchanged.

    The version that is left is archived and keeps the reason; it is not `previous`, so that a second rollback goes
    further back and never forward again.

    Raises
    ------
    TransitionError
        Where nobody signs, or there is nothing to go back to.
    TamperError
        Where the files of the version to go back to have changed.
    """
    client = MlflowClient()
    by, why = require_signature(operator, reason)
    if (server := governing(client)) is not None:
        server.rollback(name, why)
        return read_standing(client, name)
    standing = finished(client, name)
    versions = versions_of(client, name)
    former = [each for each in standing.former() if each in versions and refusal(versions[each]) is None]
    if not former or standing.champion is None:
        raise TransitionError(f"{name!r} has no previous version to go back to; promote another one instead")
    target = versions[former.pop()]
    require_same_files(target, str(target.tags.get("artifact_digest")))
    number = str(target.version)
    move = Move(action="rolled back", version=standing.champion, by=by, comment=why, at=_now())
    marks = {
        standing.champion: {
            "review": "rolled back",
            "rolled_back_by": by,
            "rolled_back_reason": why,
            "rolled_back_at": move.at,
        },
    }
    return settle(
        client,
        name,
        standing.model_copy(
            update={
                "champion": number,
                "previous": former[-1] if former else None,
                "earlier": tuple(former[:-1]),
                "last": move,
                "marks": marks,
            }
        ),
    )


def check(name: str) -> list[str]:
    """What is wrong with a model, one sentence each: stage against alias, files against digests, doubles."""
    client = MlflowClient()
    found = [*disagreements(client, name), *doubled(versions_of(client, name))]
    standing = read_standing(client, name)
    for number in (standing.champion, standing.previous, standing.challenger):
        if number is not None:
            try:
                version = find_version(client, name, number)
                require_same_files(version, str(version.tags.get("artifact_digest")))
                read_bundle(version)
            except GovernanceError as error:
                found.append(str(error))
    return found


def _now() -> str:
    return _written(datetime.now(UTC))


def _written(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
