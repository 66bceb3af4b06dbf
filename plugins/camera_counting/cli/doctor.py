"""`camera-counting doctor`: what this machine can run, in one table."""

from __future__ import annotations

import os
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path

import click

__all__ = ["doctor"]

_PACKAGES = (
    "mlflow-camera-counting",
    "mlflow-skinny",
    "numpy",
    "opencv-python-headless",
    "av",
    "pyarrow",
    "pandas",
)
_RUNTIMES = ("openvino", "onnxruntime")  # also where one is not installed
_ENVIRONMENT = (
    "MLFLOW_TRACKING_URI",
    "CAMERA_COUNTING_PREDICTION_LOG",
    "CAMERA_COUNTING_RUNTIME",
    "CAMERA_COUNTING_THREADS",
    "CAMERA_COUNTING_MAX_PIXELS",
    "CAMERA_COUNTING_MAX_ROWS",
    "CAMERA_COUNTING_MAX_CLIP_MB",
    "CAMERA_COUNTING_MAX_CLIP_SECONDS",
)


@click.command()
def doctor() -> None:
    """Show versions, runtimes, codecs and settings, and whether this machine can count at all.

    Exit code 0 where it can, 1 where something that counting needs is missing.
    """
    from camera_counting.detectors import available_cores, installed_runtimes

    problems: list[str] = []
    _line("python", f"{platform.python_version()} on {platform.platform()}")
    _line("cores", f"{available_cores()} of {os.cpu_count()} may be used")
    for name in _PACKAGES:
        _line(name, _version(name))
    runtimes = installed_runtimes()
    for name in _RUNTIMES:
        _line(name, _version(name) if name in runtimes else "not installed")
    if not runtimes:
        problems.append("no detector runtime is installed: pip install openvino")
    _line("clips", _codecs(problems))
    _log_folder(problems)
    for name in _ENVIRONMENT:
        if name in os.environ:
            _line(name, re.sub(r"//[^/@]*@", "//…@", os.environ[name]))  # a URI may hold a password
    for problem in problems:
        click.secho(f"problem: {problem}", fg="red", err=True)
    if problems:
        raise SystemExit(1)
    click.echo("this machine can count")


def _line(name: str, text: str) -> None:
    click.echo(f"{name:<34} {text}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed as a package"


def _codecs(problems: list[str]) -> str:
    try:
        from av.codec import codecs_available
    except ImportError as error:
        problems.append(f"clips cannot be read: {error}")
        return "none"
    wanted = ("h264", "hevc", "mpeg4", "mjpeg", "vp9", "av1")
    return "reads " + ", ".join(name for name in wanted if name in codecs_available)


def _log_folder(problems: list[str]) -> None:
    from camera_counting.prediction_log import ENVIRONMENT
    from camera_counting.prediction_log.place import spool_folder

    uri = os.environ.get(ENVIRONMENT)
    if not uri:
        _line("prediction log", f"off (set {ENVIRONMENT} to a folder or s3://bucket/prefix)")
        return
    folder = spool_folder(uri)
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        problems.append(f"the prediction log's spool {folder} cannot be written")
        return
    waiting = sum(file.stat().st_size for file in Path(folder).glob("*.jsonl")) if folder.is_dir() else 0
    free = shutil.disk_usage(there).free
    _line("prediction log", f"{uri} ({waiting / 1e6:.1f} MB wait to be packed, {free / 1e9:.1f} GB free)")
