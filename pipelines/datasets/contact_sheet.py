"""Sample pictures with their boxes on one sheet: what a person looks at before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.datasets.manifest import Sample
from pipelines.datasets.upright import upright_picture

__all__ = ["contact_sheet"]

_COLOURS = ((230, 60, 60), (60, 200, 90), (70, 120, 240), (240, 190, 40), (200, 80, 220), (60, 210, 220))


def contact_sheet(
    samples: Sequence[Sample], classes: Sequence[str], columns: int = 4, rows: int = 4, width: int = 320
) -> npt.NDArray[np.uint8]:
    """Pictures (H, W, 3) RGB, evenly picked, with boxes, class names, camera and time.

    Raises
    ------
    ValueError
        Without any sample.
    """
    if not samples:
        raise ValueError("expected at least one picture for a contact sheet, got none")
    picked = [
        samples[i] for i in np.linspace(0, len(samples) - 1, min(len(samples), columns * rows)).round().astype(int)
    ]
    height = round(width * picked[0].height / picked[0].width)
    count = -(-len(picked) // columns)
    sheet = np.full((count * (height + 18), columns * width, 3), 24, np.uint8)
    for place, sample in enumerate(picked):
        x, y = place % columns * width, place // columns * (height + 18)
        sheet[y : y + height, x : x + width] = _drawn(sample, classes, width, height)
        time = f"{sample.time:%Y-%m-%d %H:%M}" if sample.time else ""
        tags = " ".join(str(sample.tags[key]) for key in ("light", "weather") if key in sample.tags)
        caption = f"{sample.camera or ''} {time} {tags}".strip()
        cv2.putText(
            sheet, caption, (x + 4, y + height + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (230,) * 3, 1, cv2.LINE_AA
        )
    return sheet


def _drawn(sample: Sample, classes: Sequence[str], width: int, height: int) -> npt.NDArray[np.uint8]:
    picture = Image.fromarray(upright_picture(sample.path))
    image = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR)).copy()
    scale = np.array([width / sample.width, height / sample.height] * 2)
    for box, label in zip(sample.boxes, sample.labels, strict=True):
        x1, y1, x2, y2 = (int(v) for v in (box * scale).round())
        colour = _COLOURS[list(classes).index(label) % len(_COLOURS)]
        cv2.rectangle(image, (x1, y1), (x2, y2), colour, 1, cv2.LINE_AA)
        cv2.putText(image, label, (x1, max(9, y1 - 3)), cv2.FONT_HERSHEY_SIMPLEX, 0.33, colour, 1, cv2.LINE_AA)
    return image
