"""What the demo asks a served model: whether it answers as the library does, and a fortnight of two cameras."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from camera_counting.model import CountingModel
from camera_counting.prediction_log import read_predictions
from pipelines.demo.cameras import WINDOWS, Shot, shots
from pipelines.demo.steps import Step, progress
from pipelines.served_model import ServingError, ask

__all__ = ["compare_answers", "send_windows"]

_BATCH = 24


def compare_answers(step: Step, url: str, model: CountingModel, pictures: Sequence[bytes]) -> None:
    """The server must say what `count()` says, and say no to what is no picture."""
    answers = ask(url, ["image"], [[_base64(picture)] for picture in pictures])
    ours = [count.counts for count in model.count(list(pictures))]
    served = [answer["counts"] for answer in answers]
    step.require(served == ours, f"the server counted {served}, count() {ours}")
    no_picture = _base64(b"This is no picture. " * 20)
    try:
        ask(url, ["image"], [[_base64(pictures[0])], [no_picture]])
    except ServingError as refusal:
        text = str(refusal)
        step.require(
            refusal.status is not None and 400 <= refusal.status < 500 and "row 1" in text,
            f"expected the server to refuse row 1, which is no picture, with a 4xx; it says {text}",
        )
        step.require(no_picture[:40] not in text, f"the server's refusal holds what was sent: {text}")
    else:
        step.require(False, "the server counted what is no picture")


def send_windows(url: str, prediction_log: Path, console: Console) -> int:
    """An ordinary fortnight and the days after it, as two cameras would send them; how many pictures those are.

    What the log holds of them is not sent again: an earlier demo did, or was broken off while it did.
    """
    expected = sum(window.pictures for window in WINDOWS.values())
    first, last = WINDOWS["reference"].start, WINDOWS["shifted"].end
    logged = read_predictions(str(prediction_log), since=first, until=last)
    sent = set(zip(logged["camera_id"], logged["time"], strict=True))
    if len(sent) == expected:
        return expected
    rows: list[list[Any]] = []
    with progress(console) as bar:
        for shot in bar.track(shots(), total=expected, description="counting requests"):
            if (shot.camera, shot.time) not in sent:
                rows.append(shot.row())
            if len(rows) == _BATCH:
                ask(url, list(Shot.COLUMNS), rows)
                rows.clear()
        if rows:
            ask(url, list(Shot.COLUMNS), rows)
    return expected


def _base64(data: bytes) -> str:
    """Text for a JSON request."""
    return base64.b64encode(data).decode()
