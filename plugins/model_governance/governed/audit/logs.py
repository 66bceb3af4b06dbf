"""The log wherever it is: in the registry's database, or behind the governed server that an auditor logs in to."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy.engine import Engine

from model_governance.errors import EvidenceError
from model_governance.governed.audit.database import open_database
from model_governance.governed.audit.entry import Head
from model_governance.governed.audit.reading import Record, export, records, verify_export
from model_governance.governed.audit.verification import Verification, verify

__all__ = ["Log", "open_log"]

_NOT_GOVERNED = "is no governed server (mlflow server --app-name governed)"
_PAGE = 500
_API = "/governance/api/audit"


class Log(ABC):
    """A log that can be read."""

    @abstractmethod
    def verify(self, kept: Sequence[Head]) -> Verification:
        """Check all of it, and that it goes through these heads."""

    @abstractmethod
    def show(
        self, wanted: dict[str, str | None], since: int | None, until: int | None, limit: int
    ) -> list[Record]:
        """The newest entries that fit, newest first; `wanted` by column, times in ms since the epoch, UTC."""

    @abstractmethod
    def export(self) -> Iterator[str]:
        """All of it as lines of JSON, oldest first."""


@contextmanager
def open_log(uri: str) -> Iterator[Log]:
    """Open the log of a governed registry.

    Parameters
    ----------
    uri : str
        The registry's database, or http(s):// of the server; then MLflow's own MLFLOW_TRACKING_USERNAME and
        MLFLOW_TRACKING_PASSWORD say who asks.

    Raises
    ------
    EvidenceError
        Where nothing answers, or no log is there.
    """
    if uri.startswith(("http://", "https://")):
        yield _OfServer(uri)
        return
    engine = open_database(uri)
    try:
        yield _OfDatabase(engine)
    finally:
        engine.dispose()


class _OfDatabase(Log):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def verify(self, kept: Sequence[Head]) -> Verification:
        return verify(self._engine, kept)

    def show(
        self, wanted: dict[str, str | None], since: int | None, until: int | None, limit: int
    ) -> list[Record]:
        return records(self._engine, since=since, until=until, limit=limit, **wanted)  # type: ignore[arg-type]

    def export(self) -> Iterator[str]:
        return export(self._engine)


class _OfServer(Log):
    """Reads over HTTP; whoever asks needs the role auditor or admin there."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._where = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self._creds = get_default_host_creds(uri.rstrip("/"))

    def verify(self, kept: Sequence[Head]) -> Verification:
        """Check every entry here, and ask the server what its database says of the head.

        The server is not believed: its word adds problems, and takes none away.
        """
        said = self._asked("verify", {})
        end = Head(int(said["head"]["seq"]), str(said["head"]["hash"]))
        # entries written since then may be in the export, and must go through that head
        found = verify_export(self.export(), [*kept, end])
        problems = tuple(dict.fromkeys((*said["problems"], *found.problems)))
        return Verification(found.entries, problems, found.head)

    def show(
        self, wanted: dict[str, str | None], since: int | None, until: int | None, limit: int
    ) -> list[Record]:
        found: list[Record] = []
        below: int | None = None
        while len(found) < limit:
            asked = {key: value for key, value in {**wanted, "below": below}.items() if value is not None}
            page = [_record(each) for each in self._asked("show", {**asked, "most": _PAGE})["entries"]]
            found.extend(
                record
                for record in page
                if (until is None or record.at < until) and (since is None or record.at >= since)
            )
            # a clock that was set back puts single entries out of order, and no whole page
            if not page or (since is not None and all(record.at < since for record in page)):
                break
            below = page[-1].seq
        return found[:limit]

    def export(self) -> Iterator[str]:
        answer = self._get("export", {}, stream=True)
        if not answer.headers.get("Content-Type", "").startswith("application/x-ndjson"):
            answer.close()
            raise EvidenceError(f"{self._where} {_NOT_GOVERNED}")
        try:
            for line in answer.iter_lines():
                yield line.decode("utf-8", "replace")
        except requests.RequestException as error:
            raise EvidenceError(
                f"the server broke off in the middle of the log ({type(error).__name__})"
            ) from error
        finally:
            answer.close()

    def _asked(self, what: str, asked: dict[str, Any]) -> dict[str, Any]:
        expected = "entries"  # in both answers: how many there are, or themselves
        try:
            answer = self._get(what, asked).json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or expected not in answer:
            raise EvidenceError(f"{self._where} {_NOT_GOVERNED}")
        return answer

    def _get(self, what: str, asked: dict[str, Any], *, stream: bool = False) -> requests.Response:
        try:
            answer: requests.Response = http_request(
                self._creds, f"{_API}/{what}", "GET", params=asked, stream=stream, max_retries=1, timeout=600,
                raise_on_status=False,
            )  # fmt: skip
        except (MlflowException, requests.RequestException) as error:  # its text holds the whole address
            raise EvidenceError(f"{self._where} does not answer ({type(error).__name__})") from None
        if not answer.ok:
            raise EvidenceError(f"{self._where} answered {answer.status_code}: {_told(answer)}")
        return answer


def _told(answer: requests.Response) -> str:
    """The server's sentence, or what can be said without one."""
    try:
        return str(json.loads(answer.text)["message"])
    except (ValueError, KeyError, TypeError):
        pass
    if answer.status_code == 401:
        return "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD of an auditor"
    return f"it {_NOT_GOVERNED}" if answer.status_code == 404 else answer.reason


def _record(entry: dict[str, Any]) -> Record:
    """An entry as the server tells it, with the time in ISO 8601."""
    names = ("seq", "actor", "address", "endpoint", "action", "outcome", "model", "version", "before", "after")
    return Record(
        **{name: entry[name] for name in (*names, "comment", "evidence_digest", "hash")},
        at=round(datetime.fromisoformat(entry["at"]).timestamp() * 1000),
        detail=entry["detail"] or None,
        previous=str(entry.get("previous", "")),
    )
