"""MLflow's own webhooks for what moves with a decision: aliases and tags that nobody asked MLflow's routes for.

MLflow calls its webhooks in the handlers of its routes, for the one alias or tag that was asked for. Here a
decision moves several at once, by whichever way it was asked for: the same events are delivered for each of them,
after the transaction was committed. As MLflow's own they are tried for a while and then given up, and one is lost
where the server is killed in between: what must not be lost is told by `model_governance.governed.notify`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.webhooks.delivery import deliver_webhook

from model_governance.governed.actor import current_actor
from model_governance.governed.deciding import Deciding, Open
from model_governance.governed.moves import current_aliases
from model_governance.governed.questions import Action
from model_governance.standing import CHALLENGER, CHAMPION

__all__ = ["MARKS", "Announcing"]

T = TypeVar("T")
MARKS = "governance marks"
"""Under which a session knows the tags of versions that a move writes, by version and key."""
_MOVING: frozenset[Action] = frozenset(
    {
        "promote",
        "challenge",
        "withdraw",
        "archive",
        "rollback",
        "adopt",
        "break glass",
        "changes",
        "reject",
        "reopen",
    }
)
_ROUTES: Mapping[tuple[str, str], str] = {
    ("_set_registered_model_alias", "promote"): CHAMPION,
    ("_set_registered_model_alias", "challenge"): CHALLENGER,
    ("_delete_registered_model_alias", "withdraw"): CHALLENGER,
}
"""Of which alias MLflow's handler tells by itself, by its name and what the store makes of it."""


class Announcing(Deciding):
    """The part of the store that lets MLflow's webhooks know, where it is the server's: as MLflow's own does."""

    def _asked(
        self, action: Action, name: str, do: Callable[[Open], T], version: str | int | None = None, **said: Any
    ) -> T:
        if action not in _MOVING or not current_actor().endpoint:
            return super()._asked(action, name, do, version, **said)
        moved: list[tuple[WebhookEvent, Any]] = []

        def do_and_look(open_: Open) -> T:
            before, prompt = current_aliases(open_.session, name), open_.facts.prompt
            done = do(open_)
            open_.session.flush()
            after = current_aliases(open_.session, name)
            told = _ROUTES.get((open_.actor.endpoint, action))
            if told is not None:  # by MLflow's own handler, which is about to do so
                before[told] = after[told] = ""
            marks = open_.session.info.get(MARKS, {})
            moved.extend([*_of_aliases(name, before, after, prompt), *_of_marks(name, marks, prompt)])
            return done

        done = super()._asked(action, name, do_and_look, version, **said)
        for event, payload in moved:
            deliver_webhook(event=event, payload=payload, store=self)
        return done


def _of_aliases(
    name: str, before: Mapping[str, str], after: Mapping[str, str], prompt: bool
) -> Iterator[tuple[WebhookEvent, Any]]:
    entity = WebhookEntity.PROMPT_ALIAS if prompt else WebhookEntity.MODEL_VERSION_ALIAS
    for alias in sorted({*before, *after}):
        if alias not in after:
            yield WebhookEvent(entity, WebhookAction.DELETED), {"name": name, "alias": alias}
        elif before.get(alias) != after[alias]:
            said = {"name": name, "alias": alias, "version": after[alias]}
            yield WebhookEvent(entity, WebhookAction.CREATED), said


def _of_marks(
    name: str, marks: Mapping[str, Mapping[str, str]], prompt: bool
) -> Iterator[tuple[WebhookEvent, Any]]:
    entity = WebhookEntity.PROMPT_VERSION_TAG if prompt else WebhookEntity.MODEL_VERSION_TAG
    for version, tags in marks.items():
        for key, value in tags.items():
            said = {"name": name, "version": version, "key": key, "value": value}
            yield WebhookEvent(entity, WebhookAction.SET), said
