"""Whether a camera's pictures show something that lives: a frozen or covered camera is no empty scene."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.errors import SourceError

__all__ = ["Health", "PictureHealth"]

Health = Literal["ok", "frozen", "black"]

_EVERY = 0.5  # seconds from one look to the next: nothing here changes faster
_CELLS = (32, 18)  # the means of so many cells have lost the sensor's noise, and keep what is there to see
_MARGIN = 2  # rows of cells at the top and at the bottom, where cameras write name and time
_STRUCTURE = 3.0  # grey levels between the brightest and the darkest cell of something that can be seen


class PictureHealth:
    """Judges the pictures of one camera, one after the other.

    *frozen*: not one sampled pixel (those of every fourth row) changed for `frozen_after` seconds. A
    sensor's noise changes every picture, but an encoder leaves it out where nothing moves, until its next
    keyframe: an empty scene of x264 with keyframes 25 s apart was measured to stand still for up to 21 s. So the
    time must exceed the longest distance of keyframes, which is below 50 s on all common cameras. Where the
    camera's own clock goes on in the picture, the stream lives, and it is not called frozen.

    *black*: for `black_after` seconds there was nothing to see: the means of 32 x 14 cells are within 3 grey
    levels of each other, whatever their brightness (a covered lens, the grey or blue picture of a recorder without
    its camera). Cells are large enough that noise cancels out, so an empty street at night, with its lamps, kerbs
    and slopes of light, is ok, and the noise of a covered lens is not taken for a scene. The rows in which cameras
    write their name and time are not looked at.

    Parameters
    ----------
    frozen_after, black_after : float
        Seconds.

    Examples
    --------
    >>> health = PictureHealth(frozen_after=10.0)
    >>> picture = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    >>> [health.update(picture, seconds) for seconds in (0.0, 5.0, 10.0)]
    ['ok', 'ok', 'frozen']
    """

    def __init__(self, *, frozen_after: float = 60.0, black_after: float = 5.0) -> None:
        if not frozen_after > 0 or not black_after >= 0:
            raise SourceError(
                f"expected frozen_after > 0 and black_after >= 0 seconds, got {frozen_after} and {black_after}"
            )
        self._frozen_after, self._black_after = frozen_after, black_after
        self._sample: npt.NDArray[np.uint8] | None = None
        self._looked = self._changed = 0.0
        self._blank_since: float | None = None
        self._health: Health = "ok"

    def update(self, image: npt.NDArray[np.uint8], seconds: float) -> Health:
        """Look at a picture.

        Parameters
        ----------
        image : uint8 array of shape (H, W, 3)
            RGB; the size may change.
        seconds : float
            Its time, later than that of the picture before; as a `Frame` tells it.

        Returns
        -------
        "ok", "frozen" or "black"
        """
        if self._sample is not None and 0 <= seconds - self._looked < _EVERY:
            return self._health
        backwards = seconds < self._looked
        self._looked = seconds
        sample = image[::4]
        if self._sample is None or backwards or not np.array_equal(sample, self._sample):
            self._sample, self._changed = sample.copy(), seconds
        if not _is_blank(image):
            self._blank_since = None
        elif self._blank_since is None or backwards:
            self._blank_since = seconds
        if self._blank_since is not None and seconds - self._blank_since >= self._black_after:
            self._health = "black"
        elif seconds - self._changed >= self._frozen_after:
            self._health = "frozen"
        else:
            self._health = "ok"
        return self._health


def _is_blank(image: npt.NDArray[np.uint8]) -> bool:
    cells = cv2.resize(image, _CELLS, interpolation=cv2.INTER_AREA)[_MARGIN:-_MARGIN].astype(np.float32)
    levels = cells.mean(2)
    return bool(levels.max() - levels.min() <= _STRUCTURE)
