"""Asking, deciding, doing and telling, in one transaction; what the methods of the store are written with."""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_DOES_NOT_EXIST,
)
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.validation import _validate_model_version
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from model_governance.governed import records, roles
from model_governance.governed.actor import Actor, current_actor
from model_governance.governed.audit.chain import Entry, append
from model_governance.governed.current_policy import server_policy
from model_governance.governed.decisions import Action, Ask, Facts, decide
from model_governance.governed.files import failed_gates, measuring_runs, read_files
from model_governance.governed.knowing import Read, known
from model_governance.governed.protected import matches
from model_governance.governed.tables import AUDIT, create_tables
from model_governance.governed.transactions import Transactions
from model_governance.rules.governance import GovernanceRules, clash

__all__ = ["Deciding", "Open", "database_of"]

T = TypeVar("T")
_POLICY = "policy"
_SCHEMES = ("governed+sqlite", "governed+postgresql")
_SLOW: frozenset[Action] = frozenset(
    {"promote", "challenge", "rollback", "break glass", "approve", "reject", "changes", "reopen"}
)


class _Refused(MlflowException):
    """Carries the reasons out of the transaction, which it rolls back."""

    def __init__(self, reasons: tuple[str, ...], ask: Ask, facts: Facts) -> None:
        super().__init__("; ".join(reasons), PERMISSION_DENIED)
        self.reasons, self.ask, self.facts = reasons, ask, facts


@dataclass
class Open:
    """What is asked for, while its transaction is open.

    Attributes
    ----------
    now : int
        ms since the epoch, UTC; the same for everything that is written.
    version : str or None
        The version that the audit names; known late where it is being made.
    """

    session: Session
    actor: Actor
    ask: Ask
    facts: Facts
    rules: GovernanceRules
    now: int
    version: str | None
    told: dict[str, Any] = field(default_factory=dict)

    def tell(self, **fields: Any) -> None:
        """What the audit's entry says beside who, when and what: fields of `Entry`."""
        self.told |= fields

    def require(self, action: Action, *, subject: str, value: str | None) -> None:
        """Refuse where a part of what is asked for may not be done by whoever asks."""
        part = replace(self.ask, action=action, subject=subject, value=value)
        reasons = decide(part, replace(self.facts, present=None), self.rules)
        if reasons and self.rules.enforce:
            raise _Refused(reasons, part, self.facts)


class Deciding(SqlAlchemyStore):
    """The part of the store that decides, and that keeps roles and creators."""

    def __init__(self, store_uri: str, artifact_uri: str | None = None) -> None:
        if MLFLOW_ENABLE_WORKSPACES.get():
            raise MlflowException(
                "the governed registry knows no workspaces; start the server without them", INVALID_PARAMETER_VALUE
            )
        self.server_policy = server_policy()
        super().__init__(database_of(store_uri))
        _create_tables(self.engine)
        self.artifact_destination = artifact_uri
        self.transactions = Transactions(self.ManagedSessionMaker)
        self.ManagedSessionMaker = self.transactions
        self._tell_policy()

    @property
    def rules(self) -> GovernanceRules:
        """What the server enforces."""
        return self.server_policy.rules

    def roles_of(self, actor: Actor) -> frozenset[str]:
        """Everything that somebody is on this server."""
        with self.ManagedSessionMaker() as session:
            return roles.roles_of(session, self.rules, actor)

    def grants(self, user: str | None = None) -> tuple[roles.Grant, ...]:
        """Who has which role, by whom and since when; by log-in and role."""
        with self.ManagedSessionMaker() as session:
            return roles.granted(session, self.rules, user)

    def grant(self, user: str, role: str) -> None:
        """Give somebody a role; an admin does, and never to themselves."""
        self._change_role(user, role, give=True)

    def withdraw(self, user: str, role: str) -> None:
        """Take a role from somebody; an admin does."""
        self._change_role(user, role, give=False)

    def record_creator(self, kind: str, identity: str) -> None:
        """Write down that whoever asks made a run, a logged model, ...; the first who did stays."""
        actor = current_actor()
        if not actor.authenticated:
            return
        with self.ManagedSessionMaker(read_only=False) as session:
            records.remember_creator(session, kind, identity, actor.name, get_current_time_millis())

    def audit_refusal(
        self,
        action: str,
        reasons: tuple[str, ...],
        *,
        model: str | None = None,
        version: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write that whoever asks was refused before the store was asked."""
        with self.transactions.writing() as session:
            entry = Entry(
                current_actor(), action, "refused", model, version, comment="; ".join(reasons), detail=detail
            )
            append(session, entry)

    def missing(
        self, name: str, version: str | int, action: Action = "promote", comment: str = "-"
    ) -> tuple[str, ...]:
        """Why whoever asks could not do something to a version now; empty where they could. Changes nothing."""
        number = str(_validate_model_version(version))
        actor = current_actor()
        read = self._read(name, number, actor)
        with self.ManagedSessionMaker() as session:
            held = roles.roles_of(session, self.rules, actor)
            ask = Ask(action, actor.name, held, name, number, comment=comment)
            facts = known(session, ask, self.rules, read, self.server_policy.digest, get_current_time_millis())
            return decide(ask, facts, self.rules)

    def _tell_policy(self) -> None:
        """Let the audit tell from when on which rules held."""
        text = self.rules.model_dump_json()
        rules = hashlib.sha256(text.encode()).hexdigest()
        last = select(AUDIT.c.after).where(AUDIT.c.action == _POLICY).order_by(AUDIT.c.seq.desc()).limit(1)
        with self.ManagedSessionMaker() as session:
            if session.scalar(last) == rules:
                return
        with self.transactions.writing() as session:
            before = session.scalar(last)
            if before != rules:  # another worker may have told it meanwhile
                detail = {"rules": self.rules.model_dump(mode="json"), "gates": self.server_policy.digest}
                append(session, Entry(Actor("(server)"), _POLICY, before=before, after=rules, detail=detail))

    def _asked(
        self,
        action: Action,
        name: str,
        do: Callable[[Open], T],
        version: str | int | None = None,
        *,
        subject: str = "",
        value: str | None = None,
        comment: str = "",
    ) -> T:
        """Decide in a transaction, do it there where it may be done, and tell the audit either way.

        Raises
        ------
        MlflowException
            PERMISSION_DENIED with every reason; whatever MLflow itself raises, where the version does not exist.
        """
        number = None if version is None else str(_validate_model_version(version))
        actor = current_actor()
        read = Read()
        takes_files = self.rules.enforce and self._takes_files(action, subject)
        if number is not None and takes_files:
            read = self._read(name, number, actor)
        try:
            with self.transactions.writing() as session:
                now = get_current_time_millis()
                held = roles.roles_of(session, self.rules, actor)
                ask = Ask(action, actor.name, held, name, number, subject, value, comment)
                # held here as long as the transaction, so that the session reads neither of them again
                model = self._get_registered_model(session, name) if name and action != "create model" else None
                row = self._row(session, name, number) if number is not None else None
                facts = known(session, ask, self.rules, read, self.server_policy.digest, now)
                reasons = decide(ask, facts, self.rules) if self.rules.enforce else ()
                # whoever is nobody here learns nothing of the version, and costs no reading of its files
                reasons = reasons if held else reasons[:1]
                if reasons:
                    raise _Refused(reasons, ask, facts)
                open_ = Open(session, actor, ask, facts, self.rules, now, number)
                done = do(open_)
                session.flush()
                append(session, self._entry(open_))
                del model, row
                return done
        except _Refused as refused:
            self._tell_refusal(actor, action, refused)
            raise MlflowException(refused.message, PERMISSION_DENIED) from None

    def _entry(self, open_: Open) -> Entry:
        told = {"comment": open_.ask.comment or None, **open_.told}
        if not open_.rules.enforce:
            told["detail"] = {**(told.get("detail") or {}), "enforced": False}
        evidence = open_.facts.evidence.evidence_digest or None
        return Entry(
            open_.actor, told.pop("action", open_.ask.action), "done", open_.ask.model or None, open_.version,
            at=open_.now, **{"evidence_digest": evidence, **told},
        )  # fmt: skip

    def _tell_refusal(self, actor: Actor, action: str, refused: _Refused) -> None:
        ask = refused.ask
        subject = {"subject": ask.subject} if ask.subject else {}
        with self.transactions.writing() as session:
            entry = Entry(
                actor, action, "refused", ask.model or None, ask.version,
                before=refused.facts.stage if ask.version else None, after=ask.value,
                comment="; ".join(refused.reasons),
                evidence_digest=refused.facts.evidence.evidence_digest or None,
                detail=subject | ({"reason given": ask.comment} if ask.comment else {}),
            )  # fmt: skip
            append(session, entry)

    def _takes_files(self, action: Action, alias: str) -> bool:
        return action in _SLOW or (
            action == "alias" and any(matches(alias, each) for each in self.rules.protected_aliases)
        )

    def _read(self, name: str, number: str, actor: Actor) -> Read:
        """Files and verdict, before the transaction: hashing takes long, and writers wait for each other.

        Nothing is read for whoever is nobody here.
        """
        with self.ManagedSessionMaker() as session:
            if not roles.roles_of(session, self.rules, actor):
                return Read()
            row = self._row(session, name, number)
            location, version = row.storage_location or row.source, row.to_mlflow_entity()
        destination = self.artifact_destination
        asked = self.rules.evidence.measured_by
        return Read(
            read_files(location, destination),
            version.tags.get("evidence_digest", ""),
            measuring_runs(version, destination) if asked else None,
            failed_gates(version, destination),
        )

    def _row(self, session: Session, name: str, version: str | int) -> records.VersionRow:
        key = {"workspace": DEFAULT_WORKSPACE_NAME, "name": name, "version": int(version)}
        row: records.VersionRow = session.get(SqlModelVersion, key)
        if row is None or row.current_stage == STAGE_DELETED_INTERNAL:
            raise MlflowException(
                f"Model Version (name={name}, version={version}) not found", RESOURCE_DOES_NOT_EXIST
            )
        return row

    def _change_role(self, user: str, role: str, *, give: bool) -> None:
        if not user.strip() or len(user) > 255:
            raise MlflowException(f"expected a log-in, got {user[:300]!r}", INVALID_PARAMETER_VALUE)
        try:
            known_role = roles.known_role(role)
        except ValueError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error

        def do(open_: Open) -> None:
            present = frozenset(each.role for each in roles.granted(open_.session, self.rules, user))
            if give:
                if why := clash({*present, role}):
                    raise _Refused((why,), open_.ask, open_.facts)
                roles.grant(open_.session, user, known_role, open_.actor.name, open_.now)
            elif not roles.withdraw(open_.session, user, known_role) and role in present:
                raise _Refused(
                    (f"the policy's file gives {user} the role {role}; take it from there",),
                    open_.ask,
                    open_.facts,
                )
            after = frozenset(each.role for each in roles.granted(open_.session, self.rules, user))
            open_.tell(
                before=", ".join(sorted(present)) or None,
                after=", ".join(sorted(after)) or None,
                detail={"user": user, "role": role},
            )

        self._asked("grant" if give else "withdraw role", "", do, subject=user, value=role if give else None)


def _create_tables(engine: Engine) -> None:
    """Create what is not there, while other workers of the server may be doing the same."""
    for tries_left in reversed(range(5)):
        try:
            create_tables(engine)
        except DBAPIError:  # another worker was first
            if not tries_left:
                raise
            time.sleep(0.2)
        else:
            return


def database_of(store_uri: str) -> str:
    """SQLAlchemy's address of the database behind a governed store's.

    Examples
    --------
    >>> database_of("governed+sqlite:////srv/registry.db")
    'sqlite:////srv/registry.db'
    """
    scheme, separator, rest = store_uri.partition("://")
    if not separator or not scheme.startswith(_SCHEMES):
        raise MlflowException(
            f"expected a store at {' or '.join(f'{each}://...' for each in _SCHEMES)}, got the scheme "
            f"{urlsplit(store_uri).scheme or store_uri[:20]!r}",
            INVALID_PARAMETER_VALUE,
        )
    scheme = scheme.removeprefix("governed+")
    if scheme == "postgresql" and importlib.util.find_spec("psycopg2") is None:
        scheme = "postgresql+psycopg"
    return f"{scheme}://{rest}"
