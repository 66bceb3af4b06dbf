"""Bytes, files, Pillow pictures and arrays to RGB uint8 arrays of shape (H, W, 3), with limits.

A picture is refused rather than guessed at: one that is cut off would otherwise be counted with a grey half, and a
small file that unfolds to gigapixels would take the machine's memory.
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting.errors import PictureError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["FORMATS", "Picture", "decode_picture", "max_pixels", "read_picture"]

Picture = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP")
_MAX_PIXELS = 64_000_000
_BACKGROUND = 114  # what detectors take for "nothing here"


def max_pixels() -> int:
    """The most pixels a picture may have: CAMERA_COUNTING_MAX_PIXELS, else 64 million."""
    wanted = os.environ.get("CAMERA_COUNTING_MAX_PIXELS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else _MAX_PIXELS


def read_picture(source: str | Path | bytes | bytearray | memoryview | Picture | PillowImage) -> Picture:
    """Read a picture from a file, its bytes, a Pillow picture or an array.

    Parameters
    ----------
    source
        Path of a JPEG, PNG or WebP file; its bytes; a Pillow picture; or a uint8 array of shape (H, W, 3) in RGB,
        (H, W, 4) in RGBA or (H, W) in grey.

    Returns
    -------
    uint8 array of shape (H, W, 3)
        RGB, turned upright as its EXIF orientation says. An array is returned as it is, not copied.

    Raises
    ------
    PictureError
        Where it is none of these, broken, or too large.

    Examples
    --------
    >>> read_picture(np.zeros((4, 6), np.uint8)).shape
    (4, 6, 3)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return decode_picture(bytes(source))
    if isinstance(source, (str, Path)):
        try:
            data = Path(source).read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no usable path"
            raise PictureError(f"cannot read the picture {str(source)[:200]!r}: {reason}") from None
        try:
            return decode_picture(data)
        except PictureError as error:
            raise PictureError(f"{source}: {error}") from None
    from PIL import Image

    if isinstance(source, Image.Image):
        _check_size(*source.size)
        try:
            return _from_pillow(source)
        except (OSError, SyntaxError, ValueError) as error:
            raise PictureError(f"the picture is cut off or damaged ({error})") from None
    raise PictureError(
        f"expected a picture as path, bytes, Pillow picture or uint8 array; got {type(source).__name__}"
    )


def decode_picture(data: bytes) -> Picture:
    """Decode the bytes of a JPEG, PNG or WebP file; header and size are checked before anything is unpacked.

    Raises
    ------
    PictureError
        Where the bytes are of another format, cut off or damaged, hold several frames, or too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise PictureError("the picture is empty: 0 bytes")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; here they are refused, at a limit of our own
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_size(*picture.size)
        if picture.format == "JPEG" and picture.mode in {"RGB", "L"}:
            return _decode_jpeg(data)
        if getattr(picture, "n_frames", 1) > 1:
            raise PictureError(f"the picture moves: {picture.n_frames} frames; send it as a clip")  # type: ignore[attr-defined]
        return _from_pillow(picture)
    except (UnidentifiedImageError, ImportError):
        # ImportError: a library in the same process (Ultralytics, for one) may have put its own opener before
        # Pillow's, which then asks for a plugin that is not there.
        raise PictureError(
            f"expected a JPEG, PNG or WebP picture; got {len(data)} bytes of something else or a damaged header"
        ) from None
    except Image.DecompressionBombError:
        raise PictureError(f"the picture has more than the {max_pixels()} pixels that are allowed") from None
    except PictureError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, OverflowError) as error:
        # Pillow's decoders raise all of these on damaged files
        raise PictureError(f"the picture is cut off or damaged ({type(error).__name__})") from None


def _decode_jpeg(data: bytes) -> Picture:
    # OpenCV decodes in half of Pillow's time, but some versions fill what is missing with grey and say nothing.
    if not _jpeg_is_whole(data):
        raise PictureError("the JPEG picture is cut off: it has no end marker")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if decoded is None:
        raise PictureError("the JPEG picture is cut off or damaged")
    return np.asarray(decoded, np.uint8)


def _jpeg_is_whole(data: bytes) -> bool:
    """Whether the end marker stands after the start of the scan; one in an embedded thumbnail stands before it."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) != -1
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _from_pillow(picture: PillowImage) -> Picture:
    from PIL import Image, ImageOps

    picture.load()
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16") or picture.mode == "I":
        grey = np.asarray(picture).astype(np.int64)
        return _from_array(np.clip(grey >> 8, 0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        behind = Image.new("RGBA", picture.size, (_BACKGROUND, _BACKGROUND, _BACKGROUND, 255))
        picture = Image.alpha_composite(behind, picture.convert("RGBA"))
    if picture.mode == "F":
        raise PictureError("expected a picture of 8 or 16 bit per channel, got floating point")
    return np.asarray(picture.convert("RGB"), np.uint8)


def _from_array(array: npt.NDArray[Any]) -> Picture:
    if array.dtype != np.uint8 or array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] not in {3, 4}):
        raise PictureError(
            "expected an array of uint8 and shape (H, W, 3) in RGB, (H, W, 4) in RGBA or (H, W) in grey; "
            f"got {array.dtype} of shape {array.shape}"
        )
    if 0 in array.shape:
        raise PictureError(f"the picture is empty: shape {array.shape}")
    if array.ndim == 2:
        return np.repeat(array[:, :, None], 3, axis=2)
    if array.shape[2] == 4:
        alpha = array[:, :, 3:].astype(np.float32) / 255
        return np.asarray(array[:, :, :3] * alpha + _BACKGROUND * (1 - alpha), np.float32).round().astype(np.uint8)
    return np.ascontiguousarray(array)


def _check_size(width: int, height: int) -> None:
    if width * height > max_pixels():
        raise PictureError(
            f"the picture is {width} x {height}, more than the {max_pixels()} pixels that are allowed; scale it "
            "down, or raise CAMERA_COUNTING_MAX_PIXELS"
        )
