"""Records with real pictures behind them, for the tests of data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.datasets.records import Record

Make = Callable[..., Record]


@pytest.fixture
def make_record(tmp_path: Path) -> Make:
    """Writes a PNG of noise (its seed is the name's) and gives a record of it."""

    def make(
        name: str,
        boxes: Sequence[Sequence[float]] = (),
        labels: Sequence[str] = (),
        *,
        size: tuple[int, int] = (64, 48),
        time: str | None = None,
        **more: Any,
    ) -> Record:
        path = tmp_path / "pictures" / f"{name.replace('/', '_')}.png"
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(abs(hash_of(name))).integers(0, 255, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(path)
        when = None if time is None else datetime.fromisoformat(time).replace(tzinfo=UTC)
        return Record(name, path, np.array(boxes, np.float64).reshape(-1, 4), tuple(labels), time=when, **more)

    return make


def hash_of(name: str) -> int:
    """A number that does not change from process to process, as `hash` does."""
    return int.from_bytes(name.encode()[-6:], "big")
