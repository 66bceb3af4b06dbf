"""A registry that governs itself: the client side asks its server, which decides, instead of writing step by step.

There the log-in signs, and not a name that the client gives.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol
from urllib.parse import quote

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, ErrorCode
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response

from model_governance.errors import TransitionError

__all__ = ["MOST_RUNS", "Governing", "governing", "review_page"]

MOST_RUNS = 500
"""How many runs a server is asked about at once."""
_API = "/governance/api"


class Governing(Protocol):
    """What decides and moves in place of the client; a refusal is an `MlflowException` with everything missing."""

    def promote(self, name: str, version: str, comment: str) -> Any:
        """Make a version the champion."""

    def rollback(self, name: str, reason: str) -> Any:
        """Go back to the champion before this one."""

    def review(self, name: str, version: str, verdict: str, comment: str) -> Any:
        """Say yes, no, or that a review is open again."""

    def measuring(self, runs: Collection[str]) -> frozenset[str]:
        """Those of these runs whose figures count, by who made them."""


def governing(client: MlflowClient) -> Governing | None:
    """Whoever decides over the registry of this client; None where nobody does.

    Raises
    ------
    MlflowException
        Where the server does not answer.
    """
    uri = str(client._registry_uri)
    if uri.startswith("governed+"):  # its database, opened here
        return _Answering(client._get_registry_client().store)
    if not uri.startswith(("http://", "https://")):
        return None
    return _Answering(_Server(uri)) if _governs(uri) else None


def review_page(name: str, digest: str) -> str:
    """Where a governed server shows the version with files of this digest, relative to MLflow's own page.

    Examples
    --------
    >>> review_page("street lights", "6b45")
    'governance/version?name=street%20lights&files=6b45'
    """
    return f"governance/version?name={quote(name, safe='')}&files={digest}"


@dataclass(frozen=True, slots=True)
class _Server:
    """A governed MLflow server, asked over HTTP with the log-in of MLflow's own client."""

    uri: str

    def promote(self, name: str, version: str, comment: str) -> None:
        self._post("promote", name=name, version=version, comment=comment)

    def rollback(self, name: str, reason: str) -> None:
        self._post("rollback", name=name, reason=reason)

    def review(self, name: str, version: str, verdict: str, comment: str) -> None:
        self._post("review", name=name, version=version, verdict=verdict, comment=comment)

    def measuring(self, runs: Collection[str]) -> frozenset[str]:
        found: set[str] = set()
        asked = sorted(runs)
        for first in range(0, len(asked), MOST_RUNS):
            found |= set(self._post("measuring", runs=asked[first : first + MOST_RUNS]).json()["runs"])
        return frozenset(found)

    def _post(self, what: str, **body: Any) -> Any:
        endpoint = f"{_API}/{what}"
        # never a second time by itself: of two rollbacks the second goes further back
        answer = http_request(
            get_default_host_creds(self.uri), endpoint, "POST", json=body, max_retries=0, raise_on_status=False
        )
        return verify_rest_response(answer, endpoint)


@dataclass(frozen=True, slots=True)
class _Answering:
    """Tells a refusal as this package tells one."""

    asked: Governing

    def promote(self, name: str, version: str, comment: str) -> None:
        self._ask("promote", name, version, comment)

    def rollback(self, name: str, reason: str) -> None:
        self._ask("rollback", name, reason)

    def review(self, name: str, version: str, verdict: str, comment: str) -> None:
        self._ask("review", name, version, verdict, comment)

    def measuring(self, runs: Collection[str]) -> frozenset[str]:
        return frozenset(self.asked.measuring(runs))

    def _ask(self, what: str, *arguments: str) -> None:
        try:
            getattr(self.asked, what)(*arguments)
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(PERMISSION_DENIED):
                raise TransitionError(f"{arguments[0]!r} cannot be moved so: {error.message}") from error
            raise


def _governs(uri: str) -> bool:
    return uri in _known_to_govern() or _says_so(uri)


@cache
def _known_to_govern() -> set[str]:
    """Servers that said so; one that did not is asked again, as it may be another one by then."""
    return set()


def _says_so(uri: str) -> bool:
    answer = http_request(
        get_default_host_creds(uri), f"{_API}/about", "GET", raise_on_status=False, allow_redirects=False
    )
    if answer.status_code != 200:
        return False
    try:
        said = json.loads(answer.text)
    except ValueError:
        return False  # some page for any address
    if not isinstance(said, dict) or said.get("governed") is not True:
        return False
    _known_to_govern().add(uri)
    return True
