"""The JSON interface: status, cameras added and removed, counts per interval."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from camera_counting.counting.intervals import INTERVALS
from camera_counting.errors import CountingError
from serving.camera.web.worker import WorkerLike
from serving.errors import ServingError

__all__ = ["add_api", "status_dict"]


def add_api(app: FastAPI, worker: WorkerLike) -> None:
    """Give an application the routes under /api."""

    @app.get("/api/status")
    def status() -> Response:
        return JSONResponse(status_dict(worker))

    @app.get("/api/cameras")
    def cameras() -> Response:
        return JSONResponse(status_dict(worker)["cameras"])

    @app.post("/api/cameras")
    async def add(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _error(415, "expected a body of the type application/json")
        try:
            settings = json.loads(await request.body())
        except (ValueError, RecursionError):
            return _error(400, "expected the settings of a camera as a JSON object; this is no JSON")
        if not isinstance(settings, dict):
            return _error(
                400, f"expected the settings of a camera as a JSON object, got {type(settings).__name__}"
            )
        try:
            await run_in_threadpool(worker.add_camera, settings)
        except (ValueError, CountingError, ServingError) as error:
            return _error(400, _reason(error))
        return JSONResponse({"added": settings.get("name")}, 201)

    @app.delete("/api/cameras/{name:path}")
    def remove(name: str) -> Response:
        try:
            worker.remove_camera(name)
        except KeyError:
            return _unknown()
        return Response(status_code=204)

    @app.get("/api/cameras/{name:path}/counts")
    def counts(name: str, interval: str = "15min") -> Response:
        if interval not in INTERVALS:
            return _error(400, f"interval: expected one of {', '.join(INTERVALS)}")
        try:
            rows = worker.intervals(name, interval)
        except KeyError:
            return _unknown()
        except (ValueError, CountingError, ServingError) as error:
            return _error(400, _reason(error))
        return JSONResponse([_plain(dict(row)) for row in rows])


def status_dict(worker: WorkerLike) -> dict[str, Any]:
    """The worker's status, ready for JSON; passwords in addresses are left out."""
    told: dict[str, Any] = _plain(asdict(worker.status()))
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return _redacted(value)
    if isinstance(value, float) and value not in (float("inf"), float("-inf")) and value == value:
        return round(value, 4)
    return None if isinstance(value, float) else value


def _reason(error: Exception) -> str:
    """An error in a sentence; the values that were sent are not part of it."""
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return _redacted("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found))
    return _redacted(str(error))


def _redacted(text: str) -> str:
    """Without users and passwords in addresses."""
    return re.sub(r"(?<=://)[^/\s]*@", "***@", text)


def _unknown() -> Response:
    return _error(404, "there is no camera of this name")


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)
