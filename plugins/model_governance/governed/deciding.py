"""Asking, deciding, doing and telling, in one transaction; what the methods of the store are written with."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    INVALID_STATE,
    PERMISSION_DENIED,
    RESOURCE_DOES_NOT_EXIST,
)
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.validation import _validate_model_name, _validate_model_version
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from model_governance.errors import TamperError
from model_governance.governed import records, roles
from model_governance.governed.actor import Actor, current_actor
from model_governance.governed.audit.chain import Entry, append
from model_governance.governed.current_policy import server_policy
from model_governance.governed.decisions import Action, Ask, decide
from model_governance.governed.files import Files, failed_gates, measuring_runs, read_files, shown_files
from model_governance.governed.knowing import Known, known
from model_governance.governed.protected import matches
from model_governance.governed.questions import JUDGED
from model_governance.governed.reading import Read, measuring
from model_governance.governed.tables import create_tables
from model_governance.governed.transactions import Transactions, sessions
from model_governance.governed.waiting_line import bound_waits
from model_governance.rules.governance import GovernanceRules

__all__ = ["Deciding", "Open", "database_of", "version_number"]

T = TypeVar("T")
_logger = logging.getLogger(__name__)
_SOMEBODY = "(somebody)"  # who is asked about and never written down
_LAST_VERSION = 2**31 - 1  # of the column in MLflow's database
_SCHEMES = ("governed+sqlite", "governed+postgresql")


class _Refused(MlflowException):
    """Carries the reasons out of the transaction, which it rolls back."""

    def __init__(self, reasons: tuple[str, ...], ask: Ask, facts: Known) -> None:
        super().__init__("; ".join(reasons), PERMISSION_DENIED)
        facts.settle(refused=True)  # the transaction that they are read in ends with this
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
    facts: Known
    rules: GovernanceRules
    now: int
    version: str | None
    told: dict[str, Any] = field(default_factory=dict)

    def tell(self, **fields: Any) -> None:
        """What the audit's entry says beside who, when and what: fields of `Entry`."""
        self.told |= fields

    def refuse(self, reason: str) -> NoReturn:
        """Refuse for a reason that shows only while it is done; nothing of it stays."""
        raise _Refused((reason,), self.ask, self.facts)


class Deciding(SqlAlchemyStore):
    """The part of the store that decides, and that keeps creators."""

    def __init__(self, store_uri: str, artifact_uri: str | None = None) -> None:
        if MLFLOW_ENABLE_WORKSPACES.get():
            raise MlflowException(
                "the governed registry knows no workspaces; start the server without them", INVALID_PARAMETER_VALUE
            )
        self.server_policy = server_policy()
        super().__init__(database_of(store_uri))
        bound_waits(self.engine)
        _create_tables(self.engine)
        self.artifact_destination = artifact_uri
        self.transactions = Transactions(sessions(self.engine))
        self.ManagedSessionMaker = self.transactions

    @property
    def rules(self) -> GovernanceRules:
        """What the server enforces."""
        return self.server_policy.rules

    def record_creator(self, kind: str, identity: str) -> None:
        """Write down that whoever asks made a run, a logged model, ...; the first who did stays."""
        actor = current_actor()
        if not actor.authenticated:
            return
        with self.ManagedSessionMaker(read_only=False) as session:
            records.remember_creator(session, kind, identity, actor.name, get_current_time_millis())

    def measuring(self, runs: Collection[str]) -> frozenset[str]:
        """Those of these runs whose figures count, by who made them."""
        with self.ManagedSessionMaker() as session:
            return measuring(session, runs, self.rules)

    def missing(
        self,
        name: str,
        version: str | int,
        action: Action = "promote",
        comment: str = "-",
        *,
        whoever_asks: bool = False,
    ) -> tuple[str, ...]:
        """Why whoever asks could not do something to a version now; empty where they could. Changes nothing.

        Parameters
        ----------
        whoever_asks : bool
            Tell everybody the same: what stands in the way of somebody who may do such things, has no part in
            the version and has said nothing of it.
        """
        number = str(_validate_model_version(version))
        actor = Actor(_SOMEBODY) if whoever_asks else current_actor()
        everything = self._deciders(action) if whoever_asks else None
        read = self._read(action, name, number, actor, shown_files, everything)
        with self.ManagedSessionMaker() as session:
            held = roles.roles_of(session, self.rules, actor) if everything is None else everything
            ask = Ask(action, actor.name, held, name, number, comment=comment, approves=not whoever_asks)
            facts = known(session, ask, self.rules, read, self.server_policy.digest, get_current_time_millis())
            return decide(ask, facts, self.rules)

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
        parts: Iterable[tuple[Action, str, str]] = (),
    ) -> T:
        """Decide in a transaction, do it there where it may be done, and tell the audit either way.

        Parameters
        ----------
        parts : iterable of (action, subject, value)
            What belongs to it and has to be allowed as well, such as the tags that a version is made with.

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
            read = self._read(action, name, number, actor)
        try:
            with self.transactions.writing() as session:
                now = get_current_time_millis()
                held = roles.roles_of(session, self.rules, actor)
                ask = Ask(action, actor.name, held, name, number, subject, value, comment)
                # whoever holds it lets the session read it once; a version says that its model is there
                held_row = self._held(session, name, number) if name and action != "create model" else None
                facts = known(session, ask, self.rules, read, self.server_policy.digest, now)
                asked = [ask, *(replace(ask, action=part, subject=of, value=to) for part, of, to in parts)]
                for each in asked if self.rules.enforce else ():
                    if reasons := decide(each, facts, self.rules):
                        # whoever is nobody here learns nothing of the version, and costs no reading of its files
                        raise _Refused(reasons if held else reasons[:1], each, facts)
                facts.settle()
                open_ = Open(session, actor, ask, facts, self.rules, now, number)
                done = do(open_)
                session.flush()
                append(session, self._entry(open_))
                del held_row
                return done
        except _Refused as refused:
            self._tell_refusal(actor, action, refused)
            raise MlflowException(refused.message, PERMISSION_DENIED) from None
        except TamperError as error:
            raise MlflowException(str(error), INVALID_STATE) from error

    def _entry(self, open_: Open) -> Entry:
        told = {"comment": open_.ask.comment or None, **open_.told}
        if not open_.rules.enforce:
            told["detail"] = {**(told.get("detail") or {}), "enforced": False}
        evidence = open_.facts.evidence_digest or None
        return Entry(
            open_.actor, told.pop("action", open_.ask.action), "done", open_.ask.model or None, open_.version,
            at=open_.now, **{"evidence_digest": evidence, **told},
        )  # fmt: skip

    def _tell_refusal(self, actor: Actor, action: str, refused: _Refused) -> None:
        ask = refused.ask
        subject = {"subject": ask.subject} if ask.subject else {}
        try:
            with self.transactions.writing() as session:
                entry = Entry(
                    actor, action, "refused", ask.model or None, ask.version,
                    before=refused.facts.stage if ask.version else None, after=ask.value,
                    comment="; ".join(refused.reasons),
                    evidence_digest=refused.facts.evidence_digest or None,
                    detail=subject | ({"reason given": ask.comment} if ask.comment else {}),
                )  # fmt: skip
                append(session, entry)
        except MlflowException as error:
            if error.error_code != "TEMPORARILY_UNAVAILABLE":
                raise
            # refused all the same; what the log could not be told, the server's own log is
            _logger.warning(
                "not in the audit log: %s was refused %r on %s: %s (%s)",
                actor.name, action, ask.model, refused.message, error.message,
            )  # fmt: skip

    def _takes_files(self, action: Action, alias: str) -> bool:
        return action in JUDGED or (
            action == "alias" and any(matches(alias, each) for each in self.rules.protected_aliases)
        )

    def _read(
        self,
        action: Action,
        name: str,
        number: str,
        actor: Actor,
        files: Callable[[str | None, str | None], Files] = read_files,
        held: frozenset[str] | None = None,
    ) -> Read:
        """Files and verdict, before the transaction: hashing takes long, and writers wait for each other.

        Nothing is read for whoever is nobody here.
        """
        with self.ManagedSessionMaker() as session:
            held = roles.roles_of(session, self.rules, actor) if held is None else held
            if not held:
                return Read()
            if not held & self._deciders(action):
                files = shown_files  # it will be refused, and whoever asks often makes nobody hash each time
            row = self._row(session, name, number)
            location, version = row.storage_location or row.source, row.to_mlflow_entity()
        destination = self.artifact_destination
        asked = self.rules.evidence.measured_by
        return Read(
            files(location, destination),
            version.tags.get("evidence_digest", ""),
            measuring_runs(version, destination) if asked else None,
            destination=destination,
            failed=failed_gates(version, destination),
        )

    def _deciders(self, action: Action) -> frozenset[str]:
        """Roles without which such a question is refused, whatever the files are."""
        moves = self.rules.moves
        roles: Mapping[Action, Iterable[str]] = {
            "promote": moves.production,
            "alias": moves.production,
            "challenge": moves.staging,
            "rollback": moves.rollback,
            "adopt": moves.rollback,
            "serve": (*moves.production, "rollout"),
            "break glass": ("break_glass",),
        }
        return frozenset(roles.get(action, self.rules.approvals.roles))

    def _held(self, session: Session, name: str, number: str | None) -> Any:
        return self._get_registered_model(session, name) if number is None else self._row(session, name, number)

    def _row(self, session: Session, name: str, version: str | int) -> records.VersionRow:
        _validate_model_name(name)
        key = {"workspace": DEFAULT_WORKSPACE_NAME, "name": name, "version": version_number(version)}
        row: records.VersionRow = session.get(SqlModelVersion, key)
        if row is None or row.current_stage == STAGE_DELETED_INTERNAL:
            raise MlflowException(
                f"Model Version (name={name}, version={version}) not found", RESOURCE_DOES_NOT_EXIST
            )
        return row


def version_number(version: str | int) -> int:
    """A version's number as MLflow reads it.

    Raises
    ------
    MlflowException
        INVALID_PARAMETER_VALUE where it is none, or none that a database holds.
    """
    number: int = _validate_model_version(version)
    if abs(number) > _LAST_VERSION:
        raise MlflowException(
            f"version is {number}; expected a number from 1 to {_LAST_VERSION}", INVALID_PARAMETER_VALUE
        )
    return number


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
