"""One transaction around everything that belongs together, whichever methods open sessions in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy.orm import Session

from model_governance.governed.audit.chain import lock

__all__ = ["Transactions"]

SessionMaker = Callable[..., AbstractContextManager[Session]]


class Transactions:
    """Stands where MLflow's session maker stood: inside a transaction it gives that one's session.

    Parameters
    ----------
    make : callable
        MLflow's own `ManagedSessionMaker`, which commits where its block ends and rolls back where it raises.
    """

    def __init__(self, make: SessionMaker) -> None:
        self._make = make
        self._open = threading.local()  # the store's methods are synchronous: a transaction never changes threads

    @contextmanager
    def __call__(self, read_only: bool = True) -> Iterator[Session]:
        """The session of the transaction that is open in this thread, or one of its own."""
        session: Session | None = getattr(self._open, "session", None)
        if session is None:
            with self._make(read_only=read_only) as own:
                yield own
        else:
            yield session
            session.flush()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that waits for whoever writes, before it reads anything.

        Inside another one it is that one.
        """
        if getattr(self._open, "session", None) is not None:
            yield self._open.session
            return
        with self._make(read_only=False) as session:
            lock(session)
            self._open.session = session
            try:
                yield session
            finally:
                self._open.session = None
