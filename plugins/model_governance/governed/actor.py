"""Who is asking: set once by whoever authenticated the request, read by the store that decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["NOBODY", "Actor", "acting", "current_actor"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who asks for a change.

    Attributes
    ----------
    name : str
        The log-in that the server authenticated; empty where nobody did.
    address : str
        Where the request came from, as the server saw it.
    endpoint : str
        Which of MLflow's handlers was asked, such as ``_transition_stage``; for the audit alone.
    is_admin : bool
        MLflow's own mark. It excuses from nothing.

    Examples
    --------
    >>> with acting(Actor("ann")):
    ...     current_actor().name
    'ann'
    >>> current_actor().authenticated
    False
    """

    name: str
    address: str = ""
    endpoint: str = ""
    is_admin: bool = False

    @property
    def authenticated(self) -> bool:
        """Whether the server knows who this is."""
        return bool(self.name)


NOBODY = Actor("")
"""Whoever opened the store past the server: may read, and changes nothing that is governed."""

_ACTING: ContextVar[Actor] = ContextVar("model_governance_actor", default=NOBODY)


def current_actor() -> Actor:
    """Who asks in this context; `NOBODY` where no request was authenticated."""
    return _ACTING.get()


@contextmanager
def acting(actor: Actor) -> Iterator[Actor]:
    """Let everything inside the ``with`` block be asked by this actor."""
    token = _ACTING.set(actor)
    try:
        yield actor
    finally:
        _ACTING.reset(token)
