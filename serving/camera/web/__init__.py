"""The worker's page, its JSON interface and its metrics, over HTTP and behind a token.

`create_app` makes it, `serve` runs it in a thread.
"""

from serving.camera.web.app import create_app
from serving.camera.web.server import Running, serve
from serving.camera.web.settings import WebSettings
from serving.camera.web.token import read_token
from serving.camera.web.worker import View, WorkerLike

__all__ = ["Running", "View", "WebSettings", "WorkerLike", "create_app", "read_token", "serve"]
