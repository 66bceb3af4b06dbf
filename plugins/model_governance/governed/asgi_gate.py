"""The gate before MLflow's FastAPI routes, which Flask never sees: uploads and downloads of files, jobs, gateway.

Two layers lie around MLflow's own middleware: the outer one sees who guesses passwords, the inner one sees who was
let in. Requests that Flask answers pass through both untouched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from mlflow.exceptions import MlflowException
from mlflow.utils.uri import validate_path_is_safe
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_governance.governed.actor import Actor, acting
from model_governance.governed.endpoints import FASTAPI, Kind, kind_of
from model_governance.governed.flask_gate import (
    FlaskGate,
    RefusedError,
    refusal_text,
    require_free,
    write_down_read,
)
from model_governance.governed.throttle import login_name

__all__ = ["fastapi_endpoints", "guard_fastapi"]

_ENDPOINT = "model_governance.endpoint"
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoint(scope) if scope["type"] in ("http", "websocket") else None
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        scope[_ENDPOINT] = endpoint
        stranger = Actor("", _address(scope), endpoint)
        user = _user(Headers(scope=scope))
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
                await send(message)

            await self.app(scope, receive, watch)
            if status == 401:
                if user is not None:
                    self.gate.logins.failed(user, stranger.address)
                    await self._tell(stranger, "failed log-in", scope, tried=user)
                elif kind_of(endpoint, _method(scope), FASTAPI) is not Kind.READ:
                    await self._tell(stranger, "not logged in", scope)
            elif status == 403 and not scope.get("state", {}).get("governance_told"):
                name = scope.get("state", {}).get("username", "")
                await self._tell(Actor(name, stranger.address, endpoint), "Permission denied", scope)

    def _endpoint(self, scope: Scope) -> str | None:
        """The handler of the route; None for what Flask answers."""
        return next((_name(route) for route in self.routes if route.matches(scope)[0] is Match.FULL), None)

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

    async def _pass(self, actor: Actor, scope: Scope, receive: Receive, send: Send) -> None:
        gate, kind = self.gate, kind_of(actor.endpoint, _method(scope), FASTAPI)
        if kind is not Kind.READ and not actor.authenticated:
            raise RefusedError("log in by name first")
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
                await self._require_free(place)
                receive = self._looking_again(place, receive)
        await self.app(scope, receive, send)

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


def _user(headers: Headers) -> str | None:
    """Who tries to log in; on gateway routes another header may carry the log-in."""
    return login_name(headers.get("X-MLflow-Authorization") or headers.get("Authorization"))
