"""Refusals that never reach the store, of either gate before MLflow's handlers, and what is written of them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from graphql.language import FieldNode

from model_governance.governed.actor import Actor
from model_governance.governed.artifact_guard import ArtifactGuard, Holder
from model_governance.governed.endpoints import GRAPHQL_MUTATIONS
from model_governance.governed.run_writes import RunWrites
from model_governance.governed.witness import Witness

__all__ = [
    "RefusedError",
    "Registry",
    "refusal_text",
    "require_free",
    "require_own",
    "require_query",
    "write_down_read",
]


class RefusedError(Exception):
    """Somebody may not do this; the text is what they read."""

    def __init__(self, reason: str, holder: Holder | None = None) -> None:
        super().__init__(reason)
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Registry:
    """What the gate asks of the governed store.

    Attributes
    ----------
    enforced : callable
        Whether the policy refuses anything; where not, everything is still written down.
    roles : callable
        The roles of whoever asks.
    record_creator : callable
        Writes down who made a run or a logged model: kind and identifier.
    password_set : callable
        Told of a log-in whose password somebody else is about to set.
    hand_over : callable
        Takes every role from a log-in, because it may be another person's from now on; True where those of the
        policy's file shall not count either.
    """

    enforced: Callable[[], bool]
    roles: Callable[[], frozenset[str]]
    record_creator: Callable[[str, str], None]
    password_set: Callable[[str], None]
    hand_over: Callable[[str, bool], None]


def require_own(writes: RunWrites, actor: Actor, things: Iterable[tuple[str, str]]) -> None:
    """Refuse to write into what somebody else measured.

    Raises
    ------
    RefusedError
    """
    if reason := writes.trouble(actor, things):
        raise RefusedError(reason)


def require_free(holder: Holder, registry: Registry, deleting: bool) -> None:
    """Refuse to touch what belongs to a version; who records evidence may write evidence anew.

    Raises
    ------
    RefusedError
    """
    if holder.part == "evidence":
        if not deleting and "validator" in registry.roles():
            return  # its digest stands on the version: other evidence would not count
        raise RefusedError(f"the evidence of {holder} lies there, and is kept as it was recorded", holder)
    raise RefusedError(
        f"the files of {holder} lie there, and are kept as they were registered; log a new model and register it",
        holder,
    )


def write_down_read(guard: ArtifactGuard, witness: Witness, actor: Actor, place: str) -> None:
    """Write down that somebody takes a file, where it is one of a registered version."""
    if holder := guard.holder(place):
        witness.read(actor, f"{holder.model}/{holder.version}: {posixpath.basename(place)}")


def refusal_text(endpoint: str) -> str:
    """A handler's name in the words of the log.

    Examples
    --------
    >>> refusal_text("_delete_artifact_mlflow_artifacts")
    'delete artifact mlflow artifacts'
    """
    return endpoint.strip("_").replace("_", " ")


def require_query(query: str) -> None:
    """Refuse GraphQL that changes something.

    Raises
    ------
    RefusedError
    """
    try:
        document = parse(query)
    except GraphQLError:
        return  # MLflow says where it is wrong
    for definition in document.definitions:
        if (
            isinstance(definition, OperationDefinitionNode)
            and definition.operation is not OperationType.QUERY
            and any(
                not isinstance(each, FieldNode) or each.name.value not in GRAPHQL_MUTATIONS
                for each in definition.selection_set.selections
            )
        ):
            raise RefusedError("GraphQL changes nothing on a governed server; use MLflow's REST API")
