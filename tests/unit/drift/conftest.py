"""Prediction logs without a camera: rows that resemble their neighbours, as those of a camera do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter


def autoregressive(rng: np.random.Generator, rows: int, likeness: float) -> np.ndarray:
    """AR(1) of mean 0 and variance 1; the first 200 rows are let go, so that it starts anywhere."""
    noise = rng.normal(size=rows + 200) * np.sqrt(1 - likeness**2)
    return lfilter([1], [1, -likeness], noise)[200:]


@pytest.fixture(scope="session")
def log_of() -> Callable[..., pd.DataFrame]:
    """Rows of cameras; `shift` moves the brightness by so many standard deviations."""

    def make(
        seed: int,
        rows: int,
        *,
        cameras: tuple[str, ...] = ("gate",),
        likeness: float = 0.5,
        shift: float = 0.0,
        start: str = "2026-11-01",
    ) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        parts = []
        for camera in cameras:

            def wave() -> np.ndarray:
                return autoregressive(rng, rows, likeness)

            parts.append(
                pd.DataFrame(
                    {
                        "camera_id": camera,
                        "time": pd.date_range(start, periods=rows, freq="10s", tz="UTC"),
                        "brightness": 100 + 10 * (wave() + shift),
                        "contrast": 50 + 5 * wave(),
                        "sharpness": 200 + 30 * wave(),
                        "confidence_mean": 0.6 + 0.05 * wave(),
                        "total": rng.poisson(np.exp(1 + 0.3 * wave())),
                        "count_person": rng.poisson(2, rows),
                        "count_bus": (rng.random(rows) < 0.002).astype(int),
                        "width": 640,
                    }
                )
            )
        frame = pd.concat(parts, ignore_index=True)
        return frame.assign(id=[f"{start}-{number}" for number in range(len(frame))])

    return make
