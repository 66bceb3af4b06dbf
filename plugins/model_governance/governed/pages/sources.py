"""What the pages read and ask, as protocols: the governed store, MLflow's accounts, the files of runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlflow.entities import FileInfo, Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from sqlalchemy.engine import Engine

from model_governance.governed.actor import Actor
from model_governance.governed.roles import Grant
from model_governance.governed.tokens import Token
from model_governance.rules.governance import GovernanceRules
from model_governance.standing import Standing

__all__ = ["Account", "Accounts", "Registry", "RunFiles", "Sources"]


class Registry(Protocol):
    """What the pages need of the governed store. Every change is asked for as the current actor."""

    engine: Engine
    rules: GovernanceRules

    def roles_of(self, actor: Actor) -> frozenset[str]: ...

    def grants(self) -> tuple[Grant, ...]: ...

    def missing(self, name: str, version: str, *, whoever_asks: bool = False) -> tuple[str, ...]:
        """Why the current actor, or whoever it is, may not promote it now, one sentence each."""

    def counting(self, name: str, version: str) -> frozenset[int]:
        """Numbers of the reviews by which a decision on the version would go now."""

    def measuring(self, runs: Collection[str]) -> frozenset[str]:
        """Those of these runs whose figures count, by who made them."""

    def standing(self, name: str) -> Standing:
        """Which version of a model is what."""

    def get_registered_model(self, name: str) -> RegisteredModel: ...

    def get_model_version(self, name: str, version: str) -> ModelVersion: ...

    def review(self, name: str, version: str, verdict: str, comment: str) -> Any: ...

    def promote(self, name: str, version: str, comment: str) -> Any: ...

    def break_glass(self, name: str, version: str, reason: str) -> Any: ...

    def adopt(self, name: str, version: str, reason: str) -> Any: ...

    def rollback(self, name: str, reason: str) -> Any: ...

    def grant(self, user: str, role: str) -> Any: ...

    def withdraw(self, user: str, role: str) -> Any: ...

    def tokens(self, user: str | None = None) -> tuple[Token, ...]: ...

    def make_token(
        self, user: str, purpose: str, days: int, *, is_person: Callable[[str], bool]
    ) -> tuple[Token, str]: ...

    def withdraw_token(self, identity: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Account:
    """One log-in of the server.

    Attributes
    ----------
    permissions : tuple of str
        What MLflow itself lets it do, such as ``EDIT on registered_model street``.
    """

    name: str
    is_admin: bool = False
    permissions: tuple[str, ...] = ()


class Accounts(Protocol):
    """MLflow's users and what they may read."""

    def everybody(self) -> Sequence[Account]: ...

    def readable_models(self, user: str) -> Callable[[str], bool]:
        """Whether this user may read a registered model of a name."""

    def readable_experiments(self, user: str) -> Callable[[str], bool]:
        """Whether this user may read an experiment of an id."""


class RunFiles(Protocol):
    """Runs and their artefacts, read where the server keeps them. Absent ones raise an `MlflowException`."""

    def run(self, run_id: str) -> Run: ...

    def listing(self, run_id: str, folder: str | None) -> Sequence[FileInfo]:
        """Files and folders directly under a folder, with paths relative to the run's artefacts."""

    def local(self, run_id: str, path: str) -> AbstractContextManager[Path]:
        """A copy of a file or folder, as long as the ``with`` block lasts."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What one server's pages stand on; the store is asked for anew each time, as MLflow opens it late."""

    registry: Callable[[], Registry]
    accounts: Accounts
    files: RunFiles
