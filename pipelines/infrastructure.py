"""Whether a model really serves: `mlflow models serve` is started on it, asked, watched, and ended.

A model is blessed twice: by its figures, and by starting and answering in the server that will run it (the
infrastructure validation of TFX: Baylor et al., TFX: A TensorFlow-based production-scale ML platform, KDD 2017).
"""

from __future__ import annotations

import base64
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import camera_counting
from pipelines.served_model import ServedModel, ServingError, ask, serve

__all__ = ["Infrastructure", "measure_serving"]

_WARM_UP = 2
_NO_PICTURE = b"This is no picture. " * 20


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """What came of serving a model.

    Attributes
    ----------
    metrics : dict
        ``serving/answered`` (share of the pictures that were answered), ``serving/agrees`` (1 where every answer
        is what `count()` says and what is no picture is refused, else 0), and where it answered
        ``serving/cold_start_seconds`` (from the start of the command to the first answer), ``serving/memory_mb``
        (most of all its processes, seen between requests) and ``serving/latency_p95_ms`` (of single pictures).
    problems : tuple of str
        What was wrong, for a person; empty where nothing was.
    """

    metrics: dict[str, float]
    problems: tuple[str, ...]


def measure_serving(
    model_uri: str,
    pictures: Sequence[Path],
    *,
    env_manager: Literal["local", "uv"] = "local",
    patience: float = 240.0,
) -> Infrastructure:
    """Serve a model and ask it every picture; a model that does not serve is a result, not an error.

    Parameters
    ----------
    pictures : sequence of Path
        At least one; asked one by one, as a camera would.
    patience : float
        Seconds until it must answer its first request.

    Raises
    ------
    ValueError
        Where there is no picture.
    """
    if not pictures:
        raise ValueError("expected at least one picture to ask the served model about, got none")
    contents = [path.read_bytes() for path in pictures]
    expected = [count.counts for count in camera_counting.load_model(model_uri).count(contents)]
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        try:
            with serve(
                model_uri, log=Path(folder) / "serving.log", env_manager=env_manager, patience=patience
            ) as served:
                return _asked(served, contents, expected)
        except ServingError as error:
            return Infrastructure({"serving/answered": 0.0, "serving/agrees": 0.0}, (str(error),))


def _asked(served: ServedModel, contents: Sequence[bytes], expected: Sequence[dict[str, int]]) -> Infrastructure:
    ask(served.url, ["image"], [[_text(contents[0])]])
    cold_start = time.monotonic() - served.started
    memory, seconds, problems, answered = served.memory_mb(), [], [], 0
    for _ in range(_WARM_UP):
        ask(served.url, ["image"], [[_text(contents[0])]])
    for number, (content, counts) in enumerate(zip(contents, expected, strict=True)):
        begun = time.perf_counter()
        try:
            (answer,) = ask(served.url, ["image"], [[_text(content)]])
        except ServingError as error:
            problems.append(f"picture {number} got no answer: {error}")
            continue
        seconds.append(time.perf_counter() - begun)
        answered += 1
        if answer.get("counts") != counts:
            problems.append(f"picture {number}: the server counted {answer.get('counts')}, count() {counts}")
        memory = max(memory, served.memory_mb())
    problems += _refuses(served.url)
    metrics = {
        "serving/answered": answered / len(contents),
        "serving/agrees": float(not problems),
        "serving/cold_start_seconds": cold_start,
        "serving/memory_mb": memory,
    }
    if seconds:
        metrics["serving/latency_p95_ms"] = float(np.quantile(seconds, 0.95) * 1000)
    return Infrastructure(metrics, tuple(problems))


def _refuses(url: str) -> list[str]:
    """What is no picture must be refused by name of its row, and must not come back in the answer."""
    sent = _text(_NO_PICTURE)
    try:
        ask(url, ["image"], [[sent]])
    except ServingError as refusal:
        if refusal.status is None or not 400 <= refusal.status < 500:
            return [f"what is no picture was not refused with a 4xx: {refusal}"]
        return [] if sent[:40] not in str(refusal) else ["the refusal of what is no picture holds what was sent"]
    return ["the server counted what is no picture"]


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
