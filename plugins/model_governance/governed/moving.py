"""What moves a version: promotion, the challenger, rollback, break-glass, and what reviewers say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_CONFLICT
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.validation import _validate_model_version
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy.orm import Session

from model_governance.errors import TamperError
from model_governance.governed.actor import current_actor
from model_governance.governed.announcing import MARKS, Announcing
from model_governance.governed.deciding import Open
from model_governance.governed.decisions import Action, Ask, approves_by_asking, approving, decide
from model_governance.governed.files import Files, shown_files
from model_governance.governed.knowing import known
from model_governance.governed.moves import bring_about, contradiction, current_standing, serving_now, summary
from model_governance.governed.needs import counting
from model_governance.governed.notify.channels import printable
from model_governance.governed.reading import Read, is_prompt
from model_governance.governed.records import VersionRow, moment, remember_review, somebody_is
from model_governance.stages import PRODUCTION, STAGING
from model_governance.standing import Move, Standing

__all__ = ["VERDICTS", "Moving", "fitting", "move_of"]

VERDICTS: Mapping[str, Action] = {
    "approve": "approve",
    "reject": "reject",
    "changes": "changes",
    "reopen": "reopen",
}
"""What a reviewer can say."""

_logger = logging.getLogger(__name__)
_LONGEST_TAG = 5000
_LONGEST_IN_STANDING = 300  # the standing is one tag of the model, and its comment may need escapes
_SETTLING: frozenset[Action] = frozenset({"adopt", "break glass"})
"""What says by itself which version is in Production."""
_SAID_NO = frozenset({"rejected", "rolled back"})


class Moving(Announcing):
    """The part of the store that moves versions; each move is one transaction over stages, aliases and tags."""

    def standing(self, name: str) -> Standing:
        """Who is what, as decisions see it; nothing of one of MLflow's prompts.

        Raises
        ------
        MlflowException
            Where the record of it cannot be read, and the policy holds.
        """
        with self.ManagedSessionMaker() as session:
            model = session.get(SqlRegisteredModel, (DEFAULT_WORKSPACE_NAME, name))
            if model is not None and is_prompt(model):
                return Standing()
            try:
                return current_standing(session, name)
            except TamperError as error:
                if self.rules.enforce:
                    raise MlflowException(str(error)) from error
                return Standing()

    def counting(self, name: str, version: str | int) -> frozenset[int]:
        """Numbers of the reviews of a version by which a decision would go now; changes nothing."""
        number, actor = str(_validate_model_version(version)), current_actor()
        read = self._read("promote", name, number, actor, shown_files)
        with self.ManagedSessionMaker() as session:
            if read == Read():  # of files that whoever is nobody here makes nobody read, what was judged is shown
                tags = {tag.key: tag.value for tag in self._row(session, name, number).model_version_tags}
                read = Read(Files(tags.get("artifact_digest")), tags.get("evidence_digest", ""))
            ask = Ask("promote", actor.name, frozenset(), name, number)
            facts = known(session, ask, self.rules, read, self.server_policy.digest, get_current_time_millis())
            return frozenset(each.id for each in counting(ask, facts, self.rules))

    def promote(self, name: str, version: str | int, comment: str = "") -> Standing:
        """Make a version the champion: Production, aliases `champion` and, where no rollout does, `serving`.

        Where whoever asks may approve, asking is an approval; the champion before it becomes `previous`, archived.

        Raises
        ------
        MlflowException
            PERMISSION_DENIED with everything that is missing.
        """
        number, comment = str(_validate_model_version(version)), fitting(comment)
        return self._asked("promote", name, self._promoted, number, value=PRODUCTION, comment=comment)

    def challenge(self, name: str, version: str | int) -> Standing:
        """Make a version the challenger: Staging and its alias; the one before it leaves Staging."""
        number = str(_validate_model_version(version))
        return self._asked("challenge", name, self._challenged, number, value=STAGING)

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
        return self._asked("archive", name, self._put_away, number, value=stage)

    def rollback(self, name: str, reason: str) -> Standing:
        """Go back to the champion before this one, at once; its files must be those that were approved.

        Raises
        ------
        MlflowException
            PERMISSION_DENIED with everything that is missing; RESOURCE_CONFLICT where somebody moved a version at
            the same moment.
        """
        reason = fitting(reason)
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
                    "last": move_of("rolled back", left, open_, reason),
                }
            )
            return self._stand(open_, back, {left: marks})

        return self._asked("rollback", name, do, number, value=PRODUCTION, comment=reason)

    def break_glass(self, name: str, version: str | int, reason: str) -> Standing:
        """Make a version the champion without approvals and evidence, as the role break_glass, with a reason."""
        number, reason = str(_validate_model_version(version)), fitting(reason)

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

        standing = self._asked("break glass", name, do, number, value=PRODUCTION, comment=reason)
        # whoever reads the server's log is told, also where no channel is configured
        _logger.critical(
            "GLASS BROKEN: %s moved %s version %s to Production past the rules: %s",
            *(printable(each, 1000) for each in (current_actor().name, name, number, reason)),
        )
        return standing

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
        number, comment = str(_validate_model_version(version)), fitting(comment)

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
                move = move_of("rejected", number, open_, comment)
                changed = standing.model_copy(update={"challenger": challenger, "last": move})
                return self._stand(open_, changed, {number: marks})
            marks = {"review": "pending", "reopened_by": who, "reopening_reason": comment, "reopened_at": at}
            move = move_of("reopened", number, open_, comment)
            return self._stand(open_, standing.model_copy(update={"last": move}), {number: marks})

        return self._asked(VERDICTS[verdict], name, do, number, comment=comment)

    def _promoted(self, open_: Open) -> Standing:
        number, comment = str(open_.ask.version), open_.ask.comment
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

    def _challenged(self, open_: Open) -> Standing:
        number = str(open_.ask.version)
        standing = open_.facts.standing
        if standing.challenger != number:
            move = move_of("registered", number, open_, "")
            standing = standing.model_copy(update={"challenger": number, "last": move})
        return self._stand(open_, standing, {})

    def _put_away(self, open_: Open) -> Standing:
        name, number, stage = open_.ask.model, str(open_.ask.version), str(open_.ask.value)
        standing = open_.facts.standing
        open_.tell(before=open_.facts.stage, after=stage)
        if standing.challenger == number:
            standing = self._stand(open_, standing.model_copy(update={"challenger": None}), {})
            open_.tell(detail={"from": open_.facts.stage, "to": stage})
        row = self._row(open_.session, name, number)
        row.current_stage, row.last_updated_time = stage, open_.now
        return standing

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
                last=move_of("promoted", number, open_, comment),
            ),
            marks,
        )

    def _stand(self, open_: Open, standing: Standing, marks: Mapping[str, Mapping[str, str]]) -> Standing:
        """Bring a standing about, and tell the audit what was and what is."""
        shortened = {
            number: {key: value[:_LONGEST_TAG] for key, value in tags.items()} for number, tags in marks.items()
        }
        session, name = open_.session, open_.ask.model
        if (
            open_.rules.enforce
            and open_.ask.action not in _SETTLING
            and (reason := contradiction(session, name)[0])
        ):
            open_.refuse(reason)
        # as it is today: whoever moved the alias at the last promotion may not be who moves it now
        follows = not somebody_is(session, "rollout", open_.rules)
        standing = standing.model_copy(update={"serving_follows": follows})
        moved = standing.champion != open_.facts.standing.champion or open_.ask.action == "adopt"
        before = summary(open_.facts.standing, serving_now(session, name))
        bring_about(session, name, standing, shortened, open_.now, serving=follows and moved)
        session.info[MARKS] = shortened
        open_.tell(before=before, after=summary(standing, serving_now(session, name)))
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


def move_of(action: str, version: str, open_: Open, comment: str) -> Move:
    """What the standing tells of a move: who, which version, when and why."""
    return Move.model_validate(
        {
            "action": action,
            "version": version,
            "by": open_.actor.name,
            "comment": comment[:_LONGEST_IN_STANDING],
            "at": _written(open_.now),
        }
    )


def fitting(comment: str) -> str:
    """A comment as both databases keep it."""
    return comment.replace("\0", "\ufffd").strip()


def _written(now: int) -> str:
    return moment(now).isoformat(timespec="seconds")
