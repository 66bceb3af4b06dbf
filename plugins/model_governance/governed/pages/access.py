"""Who may open what: a model's pages whoever may read the model, the audit auditors and admins alone."""

from __future__ import annotations

import time

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from model_governance.governed.actor import current_actor
from model_governance.governed.pages.sources import Sources
from model_governance.governed.role_uses import used_today

__all__ = ["may_audit", "require_audit", "require_readable", "roles_here"]

_AUDITING = frozenset({"auditor", "admin"})


def roles_here(sources: Sources) -> frozenset[str]:
    """Everything that whoever asks is on this server."""
    return sources.registry().roles_of(current_actor())


def may_audit(sources: Sources) -> bool:
    """Whether whoever asks may read the whole audit and the access review."""
    return bool(roles_here(sources) & _AUDITING)


def require_audit(sources: Sources) -> None:
    """Let auditors and admins pass, and remember the day: reading leaves nothing in the audit.

    Raises
    ------
    MlflowException
        PERMISSION_DENIED for everybody else.
    """
    roles = roles_here(sources)
    if "auditor" in roles:
        used_today(sources.registry().engine, current_actor().name, "auditor", time.time())
    if not roles & _AUDITING:
        raise MlflowException(
            "this takes the role auditor or admin; a version's own history stands on its page", PERMISSION_DENIED
        )


def require_readable(sources: Sources, name: str) -> None:
    """Let those pass who may read a registered model.

    Raises
    ------
    MlflowException
        PERMISSION_DENIED for everybody else, whether or not there is such a model.
    """
    if not sources.accounts.readable_models(current_actor().name)(name):
        raise MlflowException(f"you may not read the registered model {name!r}", PERMISSION_DENIED)
