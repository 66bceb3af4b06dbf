"""Transitions that somebody made by hand in the MLflow UI: followed where the gates allow it, else refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient

from model_governance.admission import find_version, require_promotable, require_signature
from model_governance.errors import GovernanceError, TransitionError
from model_governance.governing import governing
from model_governance.promotion import promote, reject
from model_governance.stages import ARCHIVED, PRODUCTION, STAGING
from model_governance.standing import (
    CHAMPION,
    Move,
    Standing,
    disagreements,
    finished,
    registered_model,
    settle,
    versions_of,
)

__all__ = ["SyncResult", "sync"]


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What was done about transitions that somebody made by hand.

    Attributes
    ----------
    followed : tuple of str
        Transitions that are allowed; alias and records now follow them.
    refused : tuple of str
        Transitions that are not, with the reason.
    reverted : bool
        Whether the refused ones were taken back.
    """

    standing: Standing
    followed: tuple[str, ...]
    refused: tuple[str, ...]
    reverted: bool


def sync(name: str, approver: str, comment: str, *, revert: bool = False) -> SyncResult:
    """Let aliases follow stages that a reviewer set in the MLflow UI, where the gates allow it.

    Production becomes a promotion signed by `approver`, Staging a challenger, an archived challenger a rejection.
    MLflow does not tell who clicked, so whoever calls this signs for it. What is not allowed (failed gates,
    altered files, two versions in Production) is refused and, with `revert`, put back to the last standing.
    """
    client = MlflowClient()
    require_signature(approver, comment)
    standing = finished(client, name)
    if governing(client) is not None:  # there alias and stage move together, and what is not allowed is refused
        return SyncResult(standing, (), tuple(disagreements(client, name)), False)
    followed: list[str] = []
    refused: list[str] = []
    comment = f"{comment} (stage set by hand)"
    for number, action in _moved_by_hand(client, name, standing):
        try:
            if action == "promoted":
                standing = promote(name, number, approver, comment, move_serving=standing.serving_follows)
            elif action == "rejected":
                standing = reject(name, number, approver, comment)
            elif action == "challenger":
                standing = _challenge(client, name, number, standing, approver, comment)
            else:
                raise TransitionError(action)
        except GovernanceError as error:
            refused.append(f"version {number}: {error}")
        else:
            followed.append(f"version {number}: {action}")
    left = disagreements(client, name)
    if revert:
        standing = settle(client, name, standing)
    elif not refused:
        refused.extend(left)
    return SyncResult(standing, tuple(followed), tuple(refused), revert)


def _moved_by_hand(client: MlflowClient, name: str, standing: Standing) -> list[tuple[str, str]]:
    """Versions whose stage or alias somebody else set, with what it would mean."""
    versions = versions_of(client, name)
    alias = registered_model(client, name).aliases.get(CHAMPION)
    wanted = {n for n, v in versions.items() if v.current_stage == PRODUCTION and n != standing.champion}
    if alias is not None and str(alias) != standing.champion:
        wanted.add(str(alias))
    if len(wanted) > 1:
        several = f"versions {', '.join(sorted(wanted, key=int))} are all meant for Production; only one can be"
        return [(number, several) for number in sorted(wanted, key=int)]
    moved = [(number, "promoted") for number in wanted]
    for number, version in versions.items():
        if number in wanted:
            continue
        if version.current_stage == STAGING and number != standing.challenger:
            moved.append((number, "challenger"))
        if version.current_stage == ARCHIVED and number == standing.challenger:
            moved.append((number, "rejected"))
        if number == standing.champion and version.current_stage != PRODUCTION and not wanted:
            moved.append(
                (
                    number,
                    f"the champion left Production for {version.current_stage}; use `model-governance rollback`",
                )
            )
    return moved


def _challenge(
    client: MlflowClient, name: str, number: str, standing: Standing, by: str, comment: str
) -> Standing:
    version = find_version(client, name, number)
    now = datetime.now(UTC)
    require_promotable(version, standing, now, None)
    at = now.isoformat(timespec="seconds")
    move = Move(action="registered", version=number, by=by, comment=comment, at=at)
    return settle(client, name, standing.model_copy(update={"challenger": number, "last": move}))
