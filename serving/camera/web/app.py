"""The page, its JSON interface and the metrics as one application."""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response

from serving.camera.metrics import CONTENT_TYPE, CameraMetrics
from serving.camera.web.access import COOKIE, Access, Throttle
from serving.camera.web.api import add_api
from serving.camera.web.guard import Guard
from serving.camera.web.outside import Outside
from serving.camera.web.pictures import LivePictures
from serving.camera.web.settings import WebSettings
from serving.camera.web.worker import WorkerLike

__all__ = ["create_app"]

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    "page.js": "text/javascript",
    "page.css": "text/css",
    "page.html": "text/html",
    "login.html": "text/html",
}


def create_app(
    worker: WorkerLike, token: str, settings: WebSettings | None = None, metrics: CameraMetrics | None = None
) -> FastAPI:
    """The application of one worker; see `serve` for running it.

    Parameters
    ----------
    worker : WorkerLike
    token : str
        What a request must show, see `read_token`.
    settings : WebSettings, optional
    metrics : CameraMetrics, optional
        That the worker tells its frames to; by default one that knows the worker's status alone.
    """
    settings = settings or WebSettings()
    metrics = metrics or CameraMetrics(worker.status)
    access, throttle, outside = Access(token, settings.session_hours * 3600), Throttle(), Outside(settings)
    app = FastAPI(title="camera counting", docs_url=None, redoc_url=None, openapi_url=None)
    _add_login(app, access, throttle, outside)
    _add_page(app, worker, LivePictures(worker, settings), settings, metrics)
    add_api(app, worker)
    app.add_middleware(Guard, access=access, throttle=throttle, outside=outside)
    return app


def _add_login(app: FastAPI, access: Access, throttle: Throttle, outside: Outside) -> None:
    @app.get("/login")
    def login() -> Response:
        return _static("login.html")

    @app.post("/login")
    async def enter(request: Request) -> Response:
        if not outside.is_same_site(request.headers):
            return PlainTextResponse("expected the form of this page itself\n", 403)
        given = parse_qs((await request.body()).decode("utf-8", "replace")).get("token", [""])[0].strip()
        if not access.is_token(given):
            client = outside.client(request.scope)
            if wait := throttle.wait(client):
                return _login_again("wait", 429, {"Retry-After": str(math.ceil(wait))})
            throttle.failed(client)
            return _login_again("wrong", 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            access.session(),
            max_age=int(access.session_seconds),
            httponly=True,
            samesite="strict",
            secure=outside.is_secure(request.scope),
        )
        return answer

    @app.post("/logout")
    def leave(request: Request) -> Response:
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=outside.is_secure(request.scope))
        return answer


def _add_page(
    app: FastAPI, worker: WorkerLike, pictures: LivePictures, settings: WebSettings, metrics: CameraMetrics
) -> None:
    @app.get("/healthz")
    def health() -> Response:
        # whoever asks need not log in, so it must cost nothing
        return PlainTextResponse("ok\n") if worker.is_well() else PlainTextResponse("not ok\n", 503)

    @app.get("/")
    def page() -> Response:
        return _static("page.html")

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        return _static(name) if name in {"page.js", "page.css"} else PlainTextResponse("not found\n", 404)

    @app.get("/metrics")
    def scrape() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/cameras/{name:path}/picture.jpg")
    def picture(name: str, after: str = "") -> Response:
        found = pictures.picture(name)
        if found is None:
            return PlainTextResponse("there is no picture of this camera\n", 404)
        told = {"X-Picture-Time": found.time.isoformat(), "X-Hidden": found.hidden}
        told["X-Pictures-Per-Second"] = f"{settings.pictures_per_second:g}"
        if after == found.time.isoformat():
            return Response(status_code=204, headers=told)
        return Response(found.jpeg, media_type="image/jpeg", headers=told)


def _static(name: str) -> Response:
    return FileResponse(_STATIC / name, media_type=_TYPES[name])


def _login_again(why: str, status: int, headers: dict[str, str] | None = None) -> Response:
    html = (_STATIC / "login.html").read_text(encoding="utf-8")
    # the sentence stands in the page and is shown by a class
    return Response(html.replace('class="login"', f'class="login {why}"'), status, headers, media_type="text/html")
