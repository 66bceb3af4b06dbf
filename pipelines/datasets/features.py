"""Numbers that describe a picture as a whole."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["picture_features"]


def picture_features(image: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Brightness (mean grey, 0 to 255), contrast (its deviation) and sharpness (variance of the Laplacian)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return {
        "brightness": float(grey.mean()),
        "contrast": float(grey.std()),
        "sharpness": float(cv2.Laplacian(grey, cv2.CV_64F).var()),
    }
