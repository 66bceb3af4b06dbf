"""The gate before MLflow's FastAPI routes, which Flask never sees: uploads and downloads of files, jobs, gateway.

Two layers lie around MLflow's own middleware: the outer one sees who guesses passwords, the inner one sees who was
let in. Requests that Flask answers pass through both untouched.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
from cachetools import LRUCache
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from mlflow.exceptions import MlflowException
from mlflow.server.handlers import STATIC_PREFIX_ENV_VAR
from mlflow.utils.uri import validate_path_is_safe
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_governance.governed.actor import Actor, acting
from model_governance.governed.endpoints import FASTAPI, Kind, kind_of
from model_governance.governed.flask_gate import FlaskGate
from model_governance.governed.origins import FOREIGN, is_foreign
from model_governance.governed.refusals import (
    RefusedError,
    refusal_text,
    require_free,
    require_own,
    write_down_read,
)
from model_governance.governed.run_writes import named_in
from model_governance.governed.throttle import login_name
from model_governance.governed.waiting_line import in_words

__all__ = ["fastapi_endpoints", "guard_fastapi"]

_ENDPOINT = "model_governance.endpoint"
_LONGEST_KEPT = 500  # characters; whoever sends long addresses fills no memory
_UPLOAD, _DOWNLOAD = "upload_artifact", "download_artifact"


def guard_fastapi(app: FastAPI, gate: FlaskGate) -> None:
    """Lay both layers around an application that MLflow has finished."""
    routes = _native(app)
    app.user_middleware.append(Middleware(_Inner, gate=gate))
    app.user_middleware.insert(0, Middleware(_Outer, gate=gate, routes=routes))


def fastapi_endpoints(app: FastAPI) -> list[str]:
    """Names of the handlers of all routes that are not Flask's."""
    return [_name(route) for route in _native(app)]


def _native(app: FastAPI) -> list[Any]:
    return [route for route in iter_route_contexts(app.routes) if not isinstance(_original(route), Mount)]


def _original(route: Any) -> Any:
    return getattr(route, "original_route", route)


def _name(route: Any) -> str:
    return str(getattr(getattr(route, "endpoint", None), "__name__", ""))


def _method(scope: Scope) -> str:
    return str(scope.get("method", "WEBSOCKET"))  # which is none of those that only read


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


@dataclass(frozen=True, slots=True)
class _Outer:
    """Before the log-in: finds the route, lets guessers wait, and writes down who was turned away."""

    app: ASGIApp
    gate: FlaskGate
    routes: Iterable[Any]
    # Going through all routes costs half a millisecond, and clients ask the same few addresses
    _found: LRUCache[tuple[str, ...], str | None] = field(default_factory=lambda: LRUCache(1000), init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoint(scope) if scope["type"] in ("http", "websocket") else None
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        scope[_ENDPOINT] = endpoint
        stranger = Actor("", _address(scope), endpoint)
        user = _user(scope)
        with acting(stranger):
            if user is not None and (wait := self.gate.logins.wait(user, stranger.address)):
                answer = PlainTextResponse(
                    f"Too many failed log-ins; try again in {wait} s.\n", 429, {"Retry-After": str(wait)}
                )
                await answer(scope, receive, send)
                await self._tell(stranger, "too many failed log-ins", scope)
                return
            status = 0

            async def watch(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    if status == 401 and user is not None:  # before the answer: whoever guesses next is counted
                        await anyio.to_thread.run_sync(self.gate.logins.failed, user, stranger.address)
                await send(message)

            await self.app(scope, receive, watch)
            if status == 401:
                if user is not None:
                    await self._tell(stranger, "failed log-in", scope, tried=user)
                elif kind_of(endpoint, _method(scope), FASTAPI) is not Kind.READ:
                    await self._tell(stranger, "not logged in", scope)
            elif status == 403 and not scope.get("state", {}).get("governance_told"):
                name = scope.get("state", {}).get("username", "")
                await self._tell(Actor(name, stranger.address, endpoint), "Permission denied", scope)

    def _endpoint(self, scope: Scope) -> str | None:
        """The handler of the route; None for what Flask answers."""
        asked = (scope["type"], _method(scope), str(scope.get("root_path", "")), scope["path"])
        if asked not in self._found:
            found = next((_name(route) for route in self.routes if route.matches(scope)[0] is Match.FULL), None)
            if sum(map(len, asked)) > _LONGEST_KEPT:
                return found
            self._found[asked] = found
        return self._found[asked]

    async def _tell(self, actor: Actor, reason: str, scope: Scope, **detail: str) -> None:
        await _tell(self.gate, actor, reason, scope, detail)


@dataclass(frozen=True, slots=True)
class _Inner:
    """Behind the log-in: somebody is known, and their files are looked after."""

    app: ASGIApp
    gate: FlaskGate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = scope.get(_ENDPOINT)
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        actor = Actor(str(state.get("username", "")), _address(scope), endpoint)
        with acting(actor):
            try:
                await self._pass(actor, scope, receive, send)
            except RefusedError as refused:
                state["governance_told"] = True
                await _tell(self.gate, actor, str(refused), scope, {}, refused)
                body = {"error_code": "PERMISSION_DENIED", "message": str(refused)}
                await JSONResponse(body, 403)(scope, receive, send)
            except MlflowException as error:  # the gate's own: MLflow answers its routes' errors itself
                body = {"error_code": error.error_code, "message": error.message}
                await JSONResponse(body, error.get_http_status_code())(scope, receive, send)

    async def _pass(self, actor: Actor, scope: Scope, receive: Receive, send: Send) -> None:
        gate, kind = self.gate, kind_of(actor.endpoint, _method(scope), FASTAPI)
        if kind is not Kind.READ and not actor.authenticated:
            raise RefusedError("log in by name first")
        headers = Headers(scope=scope)
        if kind not in (Kind.READ, Kind.FILE_READ) and is_foreign(
            headers.get("origin"), headers.get("sec-fetch-site"), headers.get("host", "")
        ):
            raise RefusedError(FOREIGN)
        if kind is Kind.FILE_READ:
            if (place := self._place(scope)) is not None:
                await anyio.to_thread.run_sync(write_down_read, gate.guard, gate.witness, actor, place)
        elif kind is Kind.REFUSED and gate.registry.enforced():
            raise RefusedError(
                f"{actor.endpoint} is closed on a governed server: it would act with the server's own rights, or "
                "nobody has classified it yet"
            )
        elif kind is Kind.ARTEFACTS and gate.registry.enforced():
            place = self._place(scope)
            if place is not None:
                await self._write(actor, place, scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _write(self, actor: Actor, place: str, scope: Scope, receive: Receive, send: Send) -> None:
        uploads = self.gate.uploads
        upload = await anyio.to_thread.run_sync(uploads.begin, place, actor.name)
        try:
            await self._require_free(place)
            await anyio.to_thread.run_sync(self._write_down_writing, actor, place)
            await self.app(scope, self._looking_again(place, receive), send)
        finally:
            with anyio.CancelScope(shield=True):  # also where the client is gone
                await anyio.to_thread.run_sync(uploads.end, upload)

    def _write_down_writing(self, actor: Actor, place: str) -> None:
        things = named_in(place)
        with in_words():
            require_own(self.gate.writes, actor, things)
            self.gate.writes.remember(actor, things)

    def _place(self, scope: Scope) -> str | None:
        """Where the file is that the path names; None where MLflow will refuse the path itself."""
        path = scope["path"].split("/mlflow-artifacts/artifacts/", 1)[-1]
        try:
            return self.gate.guard.place(validate_path_is_safe(path))
        except MlflowException:
            return None

    async def _require_free(self, place: str) -> None:
        if holder := await anyio.to_thread.run_sync(self.gate.guard.holder, place):
            await anyio.to_thread.run_sync(require_free, holder, self.gate.registry, False)

    def _looking_again(self, place: str, receive: Receive) -> Receive:
        """Look again when the last bytes have come: a slow upload may outlast the registration of its folder."""

        async def receive_and_look() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                await self._require_free(place)
            return message

        return receive_and_look


async def _tell(
    gate: FlaskGate,
    actor: Actor,
    reason: str,
    scope: Scope,
    detail: dict[str, str],
    refused: RefusedError | None = None,
) -> None:
    holder = refused.holder if refused else None

    def write() -> None:
        gate.witness.refused(
            actor,
            refusal_text(actor.endpoint),
            reason,
            model=holder.model if holder else None,
            version=holder.version if holder else None,
            detail={"method": scope.get("method", ""), "path": scope["path"][:500], **detail},
        )

    await anyio.to_thread.run_sync(write)


def _user(scope: Scope) -> str | None:
    """Who tries to log in; on gateway routes, as MLflow reads it, another header may carry the log-in."""
    headers = Headers(scope=scope)
    path = scope["path"].removeprefix(os.environ.get(STATIC_PREFIX_ENV_VAR, "").rstrip("/"))
    at_gateway = path.startswith("/gateway/")
    return login_name((at_gateway and headers.get("X-MLflow-Authorization")) or headers.get("Authorization"))
