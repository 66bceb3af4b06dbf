"""Numbers that describe a picture as a whole, for the prediction log and the reference profile alike."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["picture_features"]

_LONGER_SIDE = 640


def picture_features(picture: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Brightness, contrast and sharpness of an RGB picture (H, W, 3).

    They are taken from its grey values, scaled down to at most 640 pixels on the longer side: it costs about a
    millisecond, and cameras of different resolution can be compared.

    Returns
    -------
    dict of str to float
        `brightness`: mean grey value, 0 to 255. `contrast`: standard deviation of the grey values. `sharpness`:
        variance of the Laplacian, which blur and dirt on the lens lower (Pertuz et al., Analysis of focus measure
        operators for shape-from-focus, 2013).

    Examples
    --------
    >>> picture_features(np.full((50, 50, 3), 100, np.uint8))
    {'brightness': 100.0, 'contrast': 0.0, 'sharpness': 0.0}
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    factor = _LONGER_SIDE / max(grey.shape)
    if factor < 1:
        size = (max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    mean, deviation = cv2.meanStdDev(grey)
    _, edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return {
        "brightness": float(mean[0, 0]),
        "contrast": float(deviation[0, 0]),
        "sharpness": float(edges[0, 0] ** 2),
    }
