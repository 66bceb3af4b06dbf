"""What moves a version: promotion, the challenger, rollback, break-glass, and what reviewers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_CONFLICT
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.utils.validation import _validate_model_version
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy.orm import Session

from model_governance.governed.deciding import Deciding, Open
from model_governance.governed.decisions import Action, approves_by_asking, approving, decide
from model_governance.governed.moves import bring_about, current_standing, summary
from model_governance.governed.records import VersionRow, moment, remember_review, somebody_is
from model_governance.stages import PRODUCTION, STAGING
from model_governance.standing import Move, Standing

__all__ = ["VERDICTS", "Moving"]

VERDICTS: Mapping[str, Action] = {
    "approve": "approve",
    "reject": "reject",
    "changes": "changes",
    "reopen": "reopen",
}
"""What a reviewer can say."""

_LONGEST_TAG = 5000
_LONGEST_IN_STANDING = 300  # the standing is one tag of the model, and its comment may need escapes
_SAID_NO = frozenset({"rejected", "rolled back"})


class Moving(Deciding):
    """The part of the store that moves versions; each move is one transaction over stages, aliases and tags."""

    def promote(self, name: str, version: str | int, comment: str = "") -> Standing:
        """Make a version the champion: Production, aliases `champion` and, where no rollout does, `serving`.

        Where whoever asks may approve, asking is an approval; the champion before it becomes `previous`, archived.

        Raises
        ------
        MlflowException
            PERMISSION_DENIED with everything that is missing.
        """
        number, comment = str(_validate_model_version(version)), _said(comment)

        def do(open_: Open) -> Standing:
            standing = open_.facts.standing
            if standing.champion == number:
                return self._stand(open_, standing, {})
            given = approving(open_.ask, open_.facts, open_.rules)
            named = [each.reviewer for each in given]
            said = open_.rules.person(open_.actor.name) in {open_.rules.person(each) for each in named}
            if not said and approves_by_asking(open_.ask, open_.facts, open_.rules):
                self._say(open_, "approve", comment or "moved it to Production")
                named.append(open_.actor.name)
            marks = {
                "review": "approved",
                "approved_by": ", ".join(named or [open_.actor.name]),
                "approval_comment": "; ".join([*(each.comment for each in given), comment]).strip("; ") or "-",
                "approved_at": _written(open_.now),
                "replaced_version": standing.champion or "none",
                "promoted_by": open_.actor.name,
                "promoted_files": open_.facts.files or "",
            }
            open_.tell(detail={"approved by": named})
            return self._crown(open_, comment, {number: marks})

        return self._asked("promote", name, do, number, value=PRODUCTION, comment=comment)

    def challenge(self, name: str, version: str | int) -> Standing:
        """Make a version the challenger: Staging and its alias; the one before it leaves Staging."""
        number = str(_validate_model_version(version))

        def do(open_: Open) -> Standing:
            standing = open_.facts.standing
            if standing.challenger != number:
                move = _move("registered", number, open_, "")
                standing = standing.model_copy(update={"challenger": number, "last": move})
            return self._stand(open_, standing, {})

        return self._asked("challenge", name, do, number, value=STAGING)

    def withdraw_challenger(self, name: str) -> Standing:
        """Take the challenger back, whichever it is; nothing happens where there is none."""

        def do(open_: Open) -> Standing:
            standing = open_.facts.standing
            if standing.challenger is None:
                return standing
            return self._stand(open_, standing.model_copy(update={"challenger": None}), {})

        return self._asked("withdraw", name, do)

    def put_away(self, name: str, version: str | int, stage: str) -> Standing:
        """Move a version that is not the champion to Archived, or back to no stage."""
        number = str(_validate_model_version(version))

        def do(open_: Open) -> Standing:
            standing = open_.facts.standing
            open_.tell(before=open_.facts.stage, after=stage)
            if standing.challenger == number:
                standing = self._stand(open_, standing.model_copy(update={"challenger": None}), {})
                open_.tell(detail={"from": open_.facts.stage, "to": stage})
            row = self._row(open_.session, name, number)
            row.current_stage, row.last_updated_time = stage, open_.now
            return standing

        return self._asked("archive", name, do, number, value=stage)

    def rollback(self, name: str, reason: str) -> Standing:
        """Go back to the champion before this one, at once; its files must be those that were approved.

        Raises
        ------
        MlflowException
            PERMISSION_DENIED with everything that is missing; RESOURCE_CONFLICT where somebody moved a version at
            the same moment.
        """
        reason = _said(reason)
        with self.ManagedSessionMaker() as session:
            number = self._way_back(session, name)

        def do(open_: Open) -> Standing:
            if self._way_back(open_.session, name) != number:
                raise MlflowException(
                    f"somebody moved a version of {name!r} at this moment; look, and roll back again if need be",
                    RESOURCE_CONFLICT,
                )
            standing = open_.facts.standing
            left = str(standing.champion)
            former = standing.former()[: standing.former().index(str(number))]
            marks = {
                "review": "rolled back",
                "rolled_back_by": open_.actor.name,
                "rolled_back_reason": reason,
                "rolled_back_at": _written(open_.now),
            }
            self._say_of(open_, self._row(open_.session, name, left), "rolled back", reason)
            back = standing.model_copy(
                update={
                    "champion": number,
                    "previous": former[-1] if former else None,
                    "earlier": former[:-1],
                    "challenger": None if standing.challenger == number else standing.challenger,
                    "serving_follows": not somebody_is(open_.session, "rollout", self.rules),
                    "last": _move("rolled back", left, open_, reason),
                }
            )
            return self._stand(open_, back, {left: marks})

        return self._asked("rollback", name, do, number, value=PRODUCTION, comment=reason)

    def break_glass(self, name: str, version: str | int, reason: str) -> Standing:
        """Make a version the champion without approvals and evidence, as the role break_glass, with a reason."""
        number, reason = str(_validate_model_version(version)), _said(reason)

        def do(open_: Open) -> Standing:
            at = _written(open_.now)
            marks = {
                "review": "approved",
                "approved_by": open_.actor.name,
                "approval_comment": f"broke the glass: {reason}",
                "approved_at": at,
                "replaced_version": open_.facts.standing.champion or "none",
                "promoted_by": open_.actor.name,
                "promoted_files": open_.facts.files or "",
                "broke_glass_by": open_.actor.name,
                "broke_glass_at": at,
                "broke_glass_reason": reason,
            }
            # so that a broken glass tells what it went past
            lacking = decide(replace(open_.ask, action="promote"), open_.facts, open_.rules)
            open_.tell(detail={"without": list(lacking)})
            return self._crown(open_, f"broke the glass: {reason}", {number: marks})

        return self._asked("break glass", name, do, number, value=PRODUCTION, comment=reason)

    def review(self, name: str, version: str | int, verdict: str, comment: str) -> Standing:
        """Say yes, no, or what should change; or open a review again after a no.

        A yes holds for these files and this evidence; a no for these files, whatever version they become, until a
        reviewer reopens it. A no takes the version out of Staging.

        Parameters
        ----------
        verdict : {"approve", "reject", "changes", "reopen"}
        comment : str
            Why; a sentence.

        Raises
        ------
        MlflowException
            PERMISSION_DENIED with everything that is missing.
        """
        if verdict not in VERDICTS:
            raise MlflowException(
                f"expected a verdict of {', '.join(VERDICTS)}, got {verdict!r}", INVALID_PARAMETER_VALUE
            )
        number, comment = str(_validate_model_version(version)), _said(comment)

        def do(open_: Open) -> Standing:
            standing, at, who = open_.facts.standing, _written(open_.now), open_.actor.name
            self._say(open_, verdict, comment)
            if verdict == "approve":
                return standing
            if verdict == "changes":
                marks = {"changes_by": who, "changes_comment": comment, "changes_at": at}
                return self._stand(open_, standing, {number: marks})
            if verdict == "reject":
                marks = {"review": "rejected", "rejected_by": who, "rejection_comment": comment, "rejected_at": at}
                challenger = None if standing.challenger == number else standing.challenger
                move = _move("rejected", number, open_, comment)
                changed = standing.model_copy(update={"challenger": challenger, "last": move})
                return self._stand(open_, changed, {number: marks})
            marks = {"review": "pending", "reopened_by": who, "reopening_reason": comment, "reopened_at": at}
            move = _move("reopened", number, open_, comment)
            return self._stand(open_, standing.model_copy(update={"last": move}), {number: marks})

        return self._asked(VERDICTS[verdict], name, do, number, comment=comment)

    def _crown(self, open_: Open, comment: str, marks: Mapping[str, Mapping[str, str]]) -> Standing:
        standing, number = open_.facts.standing, str(open_.ask.version)
        if standing.champion == number:
            return self._stand(open_, standing, marks)
        return self._stand(
            open_,
            Standing(
                champion=number,
                previous=standing.champion,
                # Each champion once: a version that comes back is no step on its own way back.
                earlier=tuple(each for each in standing.former() if each != number),
                challenger=None if standing.challenger == number else standing.challenger,
                serving_follows=not open_.facts.rollout,
                last=_move("promoted", number, open_, comment),
            ),
            marks,
        )

    def _stand(self, open_: Open, standing: Standing, marks: Mapping[str, Mapping[str, str]]) -> Standing:
        """Bring a standing about, and tell the audit what was and what is."""
        fitting = {
            number: {key: value[:_LONGEST_TAG] for key, value in tags.items()} for number, tags in marks.items()
        }
        before, after = summary(open_.facts.standing), summary(standing)
        bring_about(open_.session, open_.ask.model, standing, fitting, open_.now)
        open_.tell(before=before, after=after)
        return standing

    def _say(self, open_: Open, verdict: str, comment: str) -> None:
        self._say_of(open_, self._row(open_.session, open_.ask.model, str(open_.ask.version)), verdict, comment)

    def _say_of(self, open_: Open, row: VersionRow, verdict: str, comment: str) -> None:
        tags = {tag.key: tag.value or "" for tag in row.model_version_tags}
        same = str(row.version) == open_.ask.version
        files = (open_.facts.files if same else tags.get("promoted_files")) or tags.get("artifact_digest", "")
        remember_review(
            open_.session, row, files=files, evidence=tags.get("evidence_digest", ""), by=open_.actor.name,
            verdict=verdict, comment=comment, at=open_.now,
        )  # fmt: skip

    def _way_back(self, session: Session, name: str) -> str | None:
        """The champion before this one that nobody has said no to."""
        standing = current_standing(session, name)
        if standing.champion is None:
            return None
        for number in reversed(standing.former()):
            key = {"workspace": DEFAULT_WORKSPACE_NAME, "name": name, "version": int(number)}
            row = session.get(SqlModelVersion, key)
            if row is None or row.current_stage == STAGE_DELETED_INTERNAL:
                continue
            if {tag.key: tag.value for tag in row.model_version_tags}.get("review") not in _SAID_NO:
                return number
        return None


def _move(action: str, version: str, open_: Open, comment: str) -> Move:
    return Move.model_validate(
        {
            "action": action,
            "version": version,
            "by": open_.actor.name,
            "comment": comment[:_LONGEST_IN_STANDING],
            "at": _written(open_.now),
        }
    )


def _said(comment: str) -> str:
    """A comment as both databases keep it."""
    return comment.replace("\0", "\ufffd").strip()


def _written(now: int) -> str:
    return moment(now).isoformat(timespec="seconds")
