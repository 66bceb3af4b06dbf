"""Files on their way to an object store, so that no version is registered of a folder that still changes.

The gate looks whether a place is a version's when an upload begins, and again when its last byte has come. To an
object store MLflow then still sends the file on, which may take minutes; a folder that was registered and approved
meanwhile would get another file. On the server's own disk a file appears by a rename, and nothing is kept of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from sqlalchemy import delete, insert, or_, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from model_governance.governed.audit.chain import lock
from model_governance.governed.tables import UPLOADS

__all__ = ["Uploads", "being_written"]

_LONGEST_MS = 3_600_000
"""How long an upload counts whose worker was killed."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """Writes down what is being written.

    Attributes
    ----------
    engine : Engine
        Of the registry's database.
    destination : str
        The server's ``--artifacts-destination``.
    """

    engine: Engine
    destination: str

    def begin(self, place: str, who: str) -> int | None:
        """An upload begins; what `end` is told. None where nothing needs to be kept.

        It waits for a registration that is being decided, so that the one sees the other.
        """
        if urlsplit(self.destination).scheme in ("", "file"):
            return None
        now = _now()
        with Session(self.engine) as session, session.begin():
            lock(session)
            session.execute(delete(UPLOADS).where(UPLOADS.c.began < now - _LONGEST_MS))
            made = session.connection().execute(insert(UPLOADS).values(place=place, who=who, began=now))
            return int(cast(tuple[int], made.inserted_primary_key)[0])

    def end(self, number: int | None) -> None:
        """An upload ended, well or not."""
        if number is not None:
            with self.engine.begin() as connection:
                connection.execute(delete(UPLOADS).where(UPLOADS.c.id == number))

    @contextmanager
    def during(self, place: str, who: str) -> Iterator[None]:
        """An upload, as long as the block lasts."""
        number = self.begin(place, who)
        try:
            yield
        finally:
            self.end(number)


def being_written(session: Session, folder: str) -> str | None:
    """Why a folder still changes; None where nobody writes to it."""
    folder = folder.rstrip("/")
    below = or_(UPLOADS.c.place == folder, UPLOADS.c.place.startswith(f"{folder}/", autoescape=True))
    query = select(UPLOADS.c.who, UPLOADS.c.place).where(below, UPLOADS.c.began >= _now() - _LONGEST_MS).limit(1)
    found = session.execute(query).one_or_none()
    if found is None:
        return None
    return f"{found.who} is still writing {found.place.rpartition('/')[2]} there; register it when that has ended"


def _now() -> int:
    return round(time.time() * 1000)
