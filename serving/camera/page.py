"""The worker's page: its token, its metrics and its server, put together."""

from __future__ import annotations

import logging

from serving.camera.config import PageSettings
from serving.camera.metrics import CameraMetrics
from serving.camera.web import Running, create_app, read_token, serve
from serving.camera.web.worker import WorkerLike

__all__ = ["open_page"]

_log = logging.getLogger("serving.camera")


def open_page(worker: WorkerLike, settings: PageSettings, metrics: CameraMetrics) -> Running:
    """Answer for a worker until it is stopped.

    Raises
    ------
    ServingError
        Where the port is taken, or the token file cannot be used.
    """
    app = create_app(worker, read_token(settings.token_file), settings, metrics)
    page = serve(app, settings.host, settings.port)
    _log.info("the cameras are shown at %s; the token stands in %s", page.url, settings.token_file)
    return page
