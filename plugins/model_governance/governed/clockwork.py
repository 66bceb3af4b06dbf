"""What the server does by the clock, beside its requests: keeps heads of the audit, forgets old records of reads.

Each worker has one thread for it, and one worker at a time has the turn.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import delete, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from model_governance.governed.audit.keeping import HeadKeeper, head_keeper
from model_governance.governed.beside import beside
from model_governance.governed.tables import READS, ROLE_USES
from model_governance.governed.turns import Turn
from model_governance.rules.governance import GovernanceRules

__all__ = ["Clockwork", "forget_reads", "start_clockwork"]

_logger = logging.getLogger(__name__)
_LOOKS_EVERY_S, _LOOKS_SELDOM_S = 5.0, 60.0
_FORGETS_EVERY_S = 3600.0
_LEASE_S = 60.0
_AT_ONCE = 2_000  # rows per transaction, so that nobody who writes waits long
_DAY_MS = 24 * 3600 * 1000


@dataclass
class Clockwork:
    """One worker's part.

    Attributes
    ----------
    rules : callable
        What the server goes by.
    keeper : HeadKeeper or None
        None where no heads are to be kept.
    """

    engine: Engine
    rules: Callable[[], GovernanceRules]
    keeper: HeadKeeper | None = None
    worker: str = field(default_factory=lambda: f"{os.getpid()}-{secrets.token_hex(8)}")
    _forgot: float | None = field(default=None, init=False)
    _asked: float | None = field(default=None, init=False)
    _mine: bool = field(default=False, init=False)

    def tick(self) -> bool:
        """Do what is due; False where it is another worker's turn."""
        now = time.monotonic()
        if self._asked is None or now - self._asked >= _LEASE_S / 2:  # seldom: it writes
            self._asked = now
            self._mine = False
            self._mine = Turn(self.engine, "clockwork", self.worker, _LEASE_S).take(time.time())
        if not self._mine:
            return False
        if self.keeper is not None:
            self.keeper.keep_or_tell()
        if self._forgot is None or time.monotonic() - self._forgot >= _FORGETS_EVERY_S:
            forget_reads(self.engine, self.rules().reads.keep_days, time.time())
            self._forgot = time.monotonic()
        return True

    def run(self, over: threading.Event) -> None:
        """Tick until then, through every outage."""
        while not over.wait(_LOOKS_SELDOM_S if self.keeper is None else _LOOKS_EVERY_S):
            try:
                self.tick()
            except SQLAlchemyError as error:
                _logger.warning("what is done by the clock waits for the database: %s", type(error).__name__)
            except Exception:
                _logger.exception("what is done by the clock could not be done")


def forget_reads(engine: Engine, keep_days: float, now: float) -> int:
    """Remove records of reads older than so many days, some at a time; gives how many. The audit stays whole.

    Parameters
    ----------
    now : float
        Seconds since the epoch.
    """
    before = round(now * 1000 - keep_days * _DAY_MS)
    gone, after, found_old = 0, -1, True
    while found_old:
        # in order of their numbers they are in order of time, so that nothing is read but what goes; a few that a
        # wrong clock wrote go when they come first
        oldest = select(READS.c.id, READS.c.at).where(READS.c.id > after).order_by(READS.c.id).limit(_AT_ONCE)
        with beside(engine) as connection:
            rows = connection.execute(oldest).all()
            found_old = any(row.at < before for row in rows)
            if found_old:
                first, after = rows[0].id, rows[-1].id
                these = (READS.c.id >= first) & (READS.c.id <= after) & (READS.c.at < before)
                gone += connection.execute(delete(READS).where(these)).rowcount
    with beside(engine) as connection:
        connection.execute(delete(ROLE_USES).where(ROLE_USES.c.day < before // _DAY_MS))
    return gone


def start_clockwork(
    engine: Engine, rules: Callable[[], GovernanceRules], stop: threading.Event | None = None
) -> threading.Thread:
    """Tick beside the server until `stop`, in a thread that ends with the process.

    Raises
    ------
    PolicyError
        Where the environment asks for heads that cannot be kept.
    """
    clockwork = Clockwork(engine, rules, head_keeper(engine))
    thread = threading.Thread(
        target=clockwork.run, args=(stop or threading.Event(),), name="governance-clockwork", daemon=True
    )
    thread.start()
    return thread
