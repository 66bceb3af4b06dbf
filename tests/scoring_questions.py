"""What tests of the scoring server say to it: pictures, a clip, and a question whose answer must echo nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.request_formats import png, text
from tests.toy_detector import picture

OBJECTS = [("person", 40, 60, 90, 160), ("person", 200, 60, 250, 160), ("car", 300, 300, 420, 380)]

# Noise makes every stretch of the payload unlike anything that an error message would say by itself.
NOISE = picture(640, 480, OBJECTS)
NOISE[400:] = np.random.default_rng(5).integers(90, 140, NOISE[400:].shape, np.uint8)
PNG = png(NOISE)
EMPTY = png(picture(320, 240, []))
JPEG = cv2.imencode(".jpg", picture(640, 480, OBJECTS)[..., ::-1])[1].tobytes()
IMAGE = {"image": [text(PNG)]}


def ask(client: Any, body: Any, **headers: str) -> Any:
    """Post, and hold the answer to what every answer must hold: nothing of the payload in an error."""
    content = body if isinstance(body, (bytes, str)) else json.dumps(body)
    answer = client.post("/invocations", content=content, headers={"content-type": "application/json", **headers})
    if answer.status_code != 200:
        assert_no_echo(content if isinstance(content, str) else content.decode("latin-1"), answer.text)
        assert "stack_trace" not in answer.json()
        assert len(answer.json()["message"]) <= 1000
    return answer


def assert_no_echo(payload: str, answer: str) -> None:
    for piece in strings_in(payload):
        for at in range(0, max(len(piece) - 24, 1), 12):
            stretch = piece[at : at + 24]
            assert len(stretch) < 24 or stretch not in answer, f"the answer holds {stretch!r}"


def strings_in(payload: str) -> list[str]:
    """The long words of a payload: pictures."""
    return [word for word in payload.replace('"', " ").replace(",", " ").split() if len(word) > 100]


def clip(path: Path, frames: int = 30, rate: int = 10) -> bytes:
    """A red thing walks downwards through the middle of a picture of 320x240."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(frames):
            top = 10 + 5 * number % 200
            image = picture(320, 240, [("person", 140, top, 180, min(top + 60, 240))])
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path.read_bytes()
