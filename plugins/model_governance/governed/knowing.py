"""Everything that a decision needs to know, read in the transaction that it is made in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import select
from sqlalchemy.orm import Session

from model_governance.errors import TamperError
from model_governance.governed.files import Files
from model_governance.governed.moves import current_standing
from model_governance.governed.protected import MOVED_ALIASES, matches
from model_governance.governed.questions import IS_CHALLENGER, IS_PROMPT, Action, Ask, Evidence, Facts, Measurer
from model_governance.governed.records import (
    MODEL,
    RUN,
    VERSION,
    VersionRow,
    authors_of,
    creator_of,
    moment,
    reviews_of,
    somebody_is,
    untrusted_tags,
)
from model_governance.governed.roles import by_account, granted
from model_governance.governed.tables import REVIEWS
from model_governance.rules.governance import GovernanceRules
from model_governance.standing import SERVING, Standing

__all__ = ["Read", "known"]

_EVIDENCE = ("gates", "artifact_digest", "evidence_digest", "policy_digest", "judged_against")
_DECIDED = frozenset({"approved", "rejected", "rolled back"})
_JUDGED: frozenset[Action] = frozenset(
    {"promote", "challenge", "rollback", "break glass", "approve", "reject", "changes", "reopen"}
)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read before the transaction began, because it takes long: the files and the verdict."""

    files: Files = field(default_factory=Files)
    evidence_digest: str = ""
    measured_in: tuple[str, ...] | None = None
    failed: tuple[str, ...] = ()


def known(
    session: Session, ask: Ask, rules: GovernanceRules, read: Read, policy_digest: str | None, now: int
) -> Facts:
    """The facts for one question.

    Parameters
    ----------
    now : int
        ms since the epoch, UTC.
    """
    time = moment(now)
    key = (DEFAULT_WORKSPACE_NAME, ask.model)
    model = session.get(SqlRegisteredModel, key) if ask.model else None
    if model is None:
        return Facts(time)
    standing = _standing(session, ask.model, rules)
    if ask.version is None:
        return _of_model(session, ask, rules, model, standing, time)
    version: VersionRow = session.get(
        SqlModelVersion, {"workspace": key[0], "name": key[1], "version": int(ask.version)}
    )
    if version is None or version.current_stage == STAGE_DELETED_INTERNAL:
        return Facts(time, standing)
    tags = {tag.key: tag.value or "" for tag in version.model_version_tags}
    aliases = {alias.alias: str(alias.version) for alias in model.registered_model_aliases}
    facts = Facts(
        time,
        standing,
        stage=version.current_stage,
        review=tags.get("review"),
        evidence=Evidence(gates=tags.get("gates")),
        decided=_decided(session, version, tags),
        served=_served(standing, version, tags),
        uses=_uses(standing, aliases, str(version.version), rules),
        registrar=creator_of(session, VERSION, f"{ask.model}/{ask.version}"),
        present=_present(ask, tags, aliases),
    )
    if ask.action == "serve":
        return replace(facts, rollout=somebody_is(session, "rollout", rules))
    guarded = ask.action == "alias" and any(matches(ask.subject, each) for each in rules.protected_aliases)
    if not guarded and ask.action not in _JUDGED:
        return facts
    return _judged(session, ask, facts, version, tags, rules, read, policy_digest)


def _standing(session: Session, name: str, rules: GovernanceRules) -> Standing:
    try:
        return current_standing(session, name)
    except TamperError:
        if rules.enforce:
            raise
        return Standing()  # where everything passes, anybody may write that tag


def _judged(
    session: Session,
    ask: Ask,
    facts: Facts,
    version: VersionRow,
    tags: dict[str, str],
    rules: GovernanceRules,
    read: Read,
    policy_digest: str | None,
) -> Facts:
    """What takes more reading: people, evidence and files."""
    untrusted, written_at = untrusted_tags(
        session, version, tags, [key for key in _EVIDENCE if key in tags], rules
    )
    run = tags.get("source_run_id")
    same = read.evidence_digest == tags.get("evidence_digest", "")  # or somebody judged it anew meanwhile
    return replace(
        facts,
        authors=authors_of(session, version, [run] if run else [], rules),
        evidence=Evidence(
            gates=tags.get("gates"),
            artifact_digest=tags.get("artifact_digest", ""),
            evidence_digest=tags.get("evidence_digest", ""),
            policy_digest=tags.get("policy_digest"),
            judged_against=tags.get("judged_against"),
            untrusted=untrusted,
            written_at=written_at,
            measured=_measurers(session, read.measured_in, rules) if same else None,
            failed=read.failed if same else (),
        ),
        files=read.files.digest,
        files_trouble=read.files.trouble,
        policy_digest=policy_digest,
        location=version.storage_location or version.source or "",
        reviews=reviews_of(session, version, (read.files.digest or "", tags.get("artifact_digest", "")), rules),
        approved_files=tags.get("promoted_files") or tags.get("artifact_digest", ""),
        granted_by=frozenset(
            each.granted_by for each in granted(session, rules, ask.who) if each.role in rules.approvals.roles
        ),
        rollout=somebody_is(session, "rollout", rules),
    )


def _measurers(
    session: Session, runs: tuple[str, ...] | None, rules: GovernanceRules
) -> dict[str, Measurer] | None:
    if runs is None:
        return None
    roles = by_account(granted(session, rules))
    made = {run: creator_of(session, RUN, run) for run in runs}
    return {run: Measurer(who, roles.get(who or "", frozenset())) for run, who in made.items()}


def _of_model(
    session: Session, ask: Ask, rules: GovernanceRules, model: Any, standing: Standing, time: datetime
) -> Facts:
    tags = {tag.key: tag.value or "" for tag in model.registered_model_tags}
    aliases = {alias.alias: str(alias.version) for alias in model.registered_model_aliases}
    said = session.scalar(select(REVIEWS.c.id).where(REVIEWS.c.model == ask.model).limit(1))
    return Facts(
        time,
        standing,
        decided=said is not None,
        served=bool(standing.champion or standing.former()),
        uses=tuple(f"on the alias {alias}" for alias in aliases if alias in MOVED_ALIASES),
        registrar=creator_of(session, MODEL, ask.model),
        prompt=tags.get(IS_PROMPT, "").lower() == "true",
        rollout=somebody_is(session, "rollout", rules),
        present=_present(ask, tags, aliases),
    )


def _present(ask: Ask, tags: dict[str, str], aliases: dict[str, str]) -> str | None:
    return (tags if ask.action == "tag" else aliases).get(ask.subject)


def _decided(session: Session, version: VersionRow, tags: dict[str, str]) -> bool:
    if tags.get("review") in _DECIDED:
        return True
    said = select(REVIEWS.c.id).where(
        REVIEWS.c.model == version.name,
        REVIEWS.c.version == str(version.version),
        REVIEWS.c.born == (version.creation_time or 0),
    )
    return session.scalar(said.limit(1)) is not None


def _served(standing: Standing, version: VersionRow, tags: dict[str, str]) -> bool:
    ever = {standing.champion, *standing.former()}
    return str(version.version) in ever or "promoted_files" in tags or "replaced_version" in tags


def _uses(standing: Standing, aliases: dict[str, str], number: str, rules: GovernanceRules) -> tuple[str, ...]:
    uses = []
    if number == standing.champion:
        uses.append("the champion")
    if number in standing.former():
        uses.append("a champion before it, the way back")
    if number == standing.challenger:
        uses.append(IS_CHALLENGER)
    for alias, at in aliases.items():
        guarded = alias == SERVING or any(matches(alias, each) for each in rules.protected_aliases)
        if at == number and guarded:
            uses.append(f"on the alias {alias}")
    return tuple(uses)
