"""Where each fact that a decision may look at is read, in the transaction that it is made in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from model_governance.errors import TamperError
from model_governance.governed.files import Files, is_guarded
from model_governance.governed.moves import current_standing
from model_governance.governed.protected import MOVED_ALIASES, matches
from model_governance.governed.questions import (
    DECIDED,
    IS_CHALLENGER,
    IS_PROMPT,
    JUDGED,
    NO_FILES,
    Ask,
    Evidence,
    Measurer,
    Review,
)
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
from model_governance.governed.roles import by_account, givers, granted
from model_governance.governed.tables import REVIEWS
from model_governance.rules.governance import GovernanceRules
from model_governance.standing import SERVING, Standing

__all__ = ["Read", "Reading", "is_prompt", "measuring"]

_EVIDENCE = ("gates", "artifact_digest", "evidence_digest", "policy_digest", "judged_against")

# Built once: every call that the gate lets through pays for these.
_SAID = select(REVIEWS.c.id).where(REVIEWS.c.model == bindparam("of")).limit(1)
_SAID_OF = (
    select(REVIEWS.c.id)
    .where(
        REVIEWS.c.model == bindparam("of"),
        REVIEWS.c.version == bindparam("number"),
        REVIEWS.c.born == bindparam("since"),
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read before the transaction began, because it takes long: the files and the verdict."""

    files: Files = field(default_factory=Files)
    evidence_digest: str = ""
    measured_in: tuple[str, ...] | None = None
    destination: str | None = None
    failed: tuple[str, ...] = ()


class Reading:
    """Where each fact comes from; its names are those of `Facts`.

    A model that is not there has the facts that `Facts` has by default, and so has a version that is not.
    """

    def __init__(
        self, session: Session, ask: Ask, rules: GovernanceRules, read: Read, digest: str | None, now: int
    ) -> None:
        self.session, self.ask, self.rules, self.read = session, ask, rules, read
        self._policy_digest = digest
        self.now = moment(now)

    @cached_property
    def _row(self) -> VersionRow | None:
        if self.ask.version is None:
            return None
        key = {"workspace": DEFAULT_WORKSPACE_NAME, "name": self.ask.model, "version": int(self.ask.version)}
        row = self.session.get(SqlModelVersion, key)
        return None if row is None or row.current_stage == STAGE_DELETED_INTERNAL else row

    @cached_property
    def _model(self) -> Any:
        """The model; not asked for where its version is not there."""
        if not self.ask.model or (self.ask.version is not None and self._row is None):
            return None
        return self.session.get(SqlRegisteredModel, (DEFAULT_WORKSPACE_NAME, self.ask.model))

    @cached_property
    def _tags(self) -> dict[str, str]:
        """Of the version, or of the model where the question is about no version."""
        if self.ask.version is None:
            tags = self._model.registered_model_tags if self._model is not None else ()
        else:
            tags = self._row.model_version_tags if self._row is not None else ()
        return {tag.key: tag.value or "" for tag in tags}

    @cached_property
    def _aliases(self) -> dict[str, str]:
        aliases = self._model.registered_model_aliases if self._model is not None else ()
        return {alias.alias: str(alias.version) for alias in aliases}

    @cached_property
    def judging(self) -> bool:
        """Whether people, evidence and files count: they take more reading."""
        return (
            self._row is not None
            and not self.prompt
            and (
                self.ask.action in JUDGED
                or (
                    self.ask.action == "alias"
                    and any(matches(self.ask.subject, each) for each in self.rules.protected_aliases)
                )
            )
        )

    @cached_property
    def standing(self) -> Standing:
        if (self.ask.version is None and self._model is None) or self.prompt:
            return Standing()
        try:
            return current_standing(self.session, self.ask.model)
        except TamperError:
            if self.rules.enforce and self.ask.action not in ("adopt", "break glass"):
                raise
            return Standing()  # where everything passes, anybody may write that tag

    @property
    def stage(self) -> str:
        return "None" if self._row is None else str(self._row.current_stage)

    @property
    def review(self) -> str | None:
        return self._tags.get("review") if self._row is not None and not self.prompt else None

    @property
    def authors(self) -> frozenset[str]:
        if not self.judging:
            return frozenset()
        run = self._tags.get("source_run_id")
        return authors_of(self.session, self._row, [run] if run else [], self.rules)

    @property
    def evidence(self) -> Evidence:
        if self._row is None or self.prompt:
            return Evidence()
        tags, read = self._tags, self.read
        if not self.judging:
            return Evidence(gates=tags.get("gates"))
        untrusted, written_at = untrusted_tags(
            self.session, self._row, tags, [key for key in _EVIDENCE if key in tags], self.rules
        )
        same = read.evidence_digest == tags.get("evidence_digest", "")  # or somebody judged it anew meanwhile
        return Evidence(
            gates=tags.get("gates"),
            artifact_digest=tags.get("artifact_digest", ""),
            evidence_digest=tags.get("evidence_digest", ""),
            policy_digest=tags.get("policy_digest"),
            judged_against=tags.get("judged_against"),
            untrusted=untrusted,
            written_at=written_at,
            measured=_measurers(self.session, read.measured_in, self.rules) if same else None,
            failed=read.failed if same else (),
        )

    @property
    def files(self) -> str | None:
        return self.read.files.digest if self.judging else None

    @property
    def files_trouble(self) -> str:
        return self.read.files.trouble if self.judging else ""

    @property
    def policy_digest(self) -> str | None:
        return self._policy_digest if self.judging else None

    @property
    def reviews(self) -> tuple[Review, ...]:
        if not self.judging:
            return ()
        digests = (self.read.files.digest or "", self._tags.get("artifact_digest", ""))
        return reviews_of(self.session, self._row, digests, self.rules)

    @property
    def decided(self) -> bool:
        if self.prompt:
            return False
        if self.ask.version is None:
            if self._model is None:
                return False
            return self.session.scalar(_SAID, {"of": self.ask.model}) is not None
        if self._row is None:
            return False
        if self._tags.get("review") in DECIDED:
            return True
        of = {"of": self._row.name, "number": str(self._row.version), "since": self._row.creation_time or 0}
        return self.session.scalar(_SAID_OF, of) is not None

    @property
    def served(self) -> bool:
        if self.prompt:
            return False
        if self.ask.version is None:
            return bool(self.standing.champion or self.standing.former())
        if self._row is None:
            return False
        ever = {self.standing.champion, *self.standing.former()}
        told = "promoted_files" in self._tags or "replaced_version" in self._tags
        return str(self._row.version) in ever or told

    @property
    def uses(self) -> tuple[str, ...]:
        if self.prompt:
            return ()
        if self.ask.version is None:
            return tuple(f"on the alias {alias}" for alias in self._aliases if alias in MOVED_ALIASES)
        if self._row is None:
            return ()
        return _uses(self.standing, self._aliases, str(self._row.version), self.rules)

    @property
    def approved_files(self) -> str:
        if not self.judging:
            return ""
        return self._tags.get("promoted_files") or self._tags.get("artifact_digest", "")

    @property
    def registrar(self) -> str | None:
        if self.ask.version is None:
            return None if self._model is None else creator_of(self.session, MODEL, self.ask.model)
        if self._row is None:
            return None
        return creator_of(self.session, VERSION, f"{self.ask.model}/{self.ask.version}")

    @property
    def rollout(self) -> bool:
        return somebody_is(self.session, "rollout", self.rules)

    @cached_property
    def prompt(self) -> bool:
        """A prompt has no files: nothing of it is judged or stands anywhere, and its aliases are its owners'."""
        if self.ask.version is not None and (self._row is None or self._row.source not in NO_FILES):
            return False
        return self._model is not None and is_prompt(self._model)

    @property
    def location(self) -> str:
        if self._row is None or not self.judging:
            return ""
        return self._row.storage_location or self._row.source or ""

    @property
    def guarded(self) -> bool:
        return not self.location or is_guarded(self.location, self.read.destination)

    @property
    def granted_by(self) -> frozenset[str]:
        if not self.judging:
            return frozenset()
        grants = granted(self.session, self.rules, self.ask.who)
        return givers(grants, self.ask.who, self.rules.approvals.roles)

    @property
    def present(self) -> str | None:
        if self.ask.action == "tag":
            return self._tags.get(self.ask.subject)
        return self._aliases.get(self.ask.subject) if self.ask.action in ("alias", "serve") else None


def is_prompt(model: Any) -> bool:
    """Whether a row of MLflow's registered models is a prompt; MLflow lets nobody say so later."""
    return any(tag.key == IS_PROMPT and (tag.value or "").lower() == "true" for tag in model.registered_model_tags)


def measuring(session: Session, runs: Iterable[str], rules: GovernanceRules) -> frozenset[str]:
    """Those of these runs whose figures count, by who made them; all where the policy takes anybody's."""
    wanted = set(rules.evidence.measured_by)
    if not wanted:
        return frozenset(runs)
    measurers = _measurers(session, tuple(runs), rules) or {}
    return frozenset(run for run, by in measurers.items() if by.roles & wanted)


def _measurers(
    session: Session, runs: tuple[str, ...] | None, rules: GovernanceRules
) -> dict[str, Measurer] | None:
    if runs is None:
        return None
    roles = by_account(granted(session, rules))
    made = {run: creator_of(session, RUN, run) for run in runs}
    return {run: Measurer(who, roles.get(who or "", frozenset())) for run, who in made.items()}


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
