"""Count live cameras, clips played as cameras, and clips, many in one process.

    python -m serving.camera --config cameras.yaml

SIGHUP reads the file again: cameras are added, removed and changed while the others go on. SIGTERM ends it: the
frames at hand are counted, the state is written, and what waits is brought to the sinks. Whatever ends it, also
`kill -9`, the next start goes on where it was.

Exit codes: 0 it was asked to end; 2 the configuration makes no sense; 3 there is no model at the URI; 4 the page's
port is taken; 5 the state is used by another worker, or cannot be used; 6 a sink cannot be opened.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import click

from serving.camera.config import WorkerConfig, config_schema, read_config
from serving.errors import ServingError, SinkError, StateError

__all__ = ["main"]

_log = logging.getLogger("serving.camera")

# A registry that is down is told within seconds, where MLflow's own patience is many minutes.
_MLFLOW = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@click.command(help=__doc__)
@click.option("--config", "path", default="cameras.yaml", show_default=True, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only say whether the file makes sense.")
@click.option("--schema", is_flag=True, help="Only print the JSON schema of the file.")
@click.option("--wait", is_flag=True, help="Where there is no file yet, wait for it instead of ending.")
def main(path: Path, check: bool, schema: bool, wait: bool) -> None:
    # what libraries have to say of their own is no news, unless it is a warning
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    for name in ("serving", "camera_counting"):
        logging.getLogger(name).setLevel(logging.INFO)
    if schema:
        click.echo(json.dumps(config_schema(), indent=2))
        return
    ended, again = threading.Event(), threading.Event()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: ended.set())
    signal.signal(signal.SIGHUP, lambda *_: again.set())
    if wait and not path.exists():
        _log.info("%s is not there yet; it is waited for", path)
        while not (path.exists() or ended.wait(1.0)):
            pass
        if ended.is_set():
            return
    try:
        config = read_config(path)
    except ServingError as error:
        _end(2, error)
    if check:
        number = len([camera for camera in config.cameras if camera.enabled])
        click.echo(f"{path} makes sense: {number} of {len(config.cameras)} camera(s) would be counted")
        return
    for variable, value in _MLFLOW.items():
        os.environ.setdefault(variable, value)
    _run(config, path, ended, again)


def _run(config: WorkerConfig, path: Path, ended: threading.Event, again: threading.Event) -> None:
    from serving.camera.following import ModelMissingError
    from serving.camera.page import open_page
    from serving.camera.worker import Worker

    try:
        worker = Worker(config, path.resolve().parent)
    except StateError as error:
        _end(5, error)
    except SinkError as error:
        _end(6, error)
    page = None
    try:
        try:
            page = open_page(worker, config.web, worker.metrics) if config.web is not None else None
        except ServingError as error:
            _end(4, error)
        try:
            worker.start()
        except ModelMissingError as error:
            _end(3, error)
        if not config.cameras:
            _log.info("%s names no camera: add one and send SIGHUP", path)
        while not ended.wait(0.5):
            if again.is_set():
                again.clear()
                try:
                    config = read_config(path)
                except ServingError as error:
                    _log.error("the configuration is not taken, the one before stays: %s", error)
                    continue
                try:
                    worker.reload(config)
                except ServingError as error:
                    _log.error("the configuration is not taken as a whole: %s; send SIGHUP again", error)
        _log.info("asked to end: writing the state and what waits")
    finally:
        began = time.monotonic()
        if page is not None:
            page.stop()
        worker.stop()
        _log.info("ended after %.1f s", time.monotonic() - began)


def _end(code: int, error: Exception) -> None:
    click.echo(f"error: {error}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
