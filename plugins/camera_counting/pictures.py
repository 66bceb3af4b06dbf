"""Bytes, files, Pillow pictures and arrays to RGB uint8 arrays of shape (H, W, 3), with limits.

A picture is refused rather than guessed at: one that is cut off would otherwise be counted with a grey half, and a
small file that unfolds to gigapixels would take the machine's memory.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from camera_counting import jpeg
from camera_counting.errors import PictureError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["FORMATS", "SUFFIXES", "Picture", "decode_picture", "max_pixels", "picture_format", "read_picture"]

Picture = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"})
_SIGNATURES = (
    ("JPEG", rb"\xff\xd8\xff"),
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("WEBP", rb"RIFF....WEBP"),
    ("BMP", rb"BM"),
    ("TIFF", rb"II[*+]\0|MM\0[*+]"),
    ("HEIC or AVIF", rb"....ftyp(heic|heix|mif1|avif)"),
)
_MAX_PIXELS = 64_000_000
_BACKGROUND = 114  # what detectors take for "nothing here"


def max_pixels() -> int:
    """The most pixels a picture, or a frame of a clip, may have: CAMERA_COUNTING_MAX_PIXELS, else 64 million.

    Raises
    ------
    PictureError
        Where the variable holds no number.
    """
    wanted = os.environ.get("CAMERA_COUNTING_MAX_PIXELS", "").strip()
    if not wanted:
        return _MAX_PIXELS
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", wanted, re.ASCII):
        raise PictureError(
            f"CAMERA_COUNTING_MAX_PIXELS: expected a whole number above 0, as {_MAX_PIXELS}; got {wanted[:40]!r}"
        )
    return int(wanted)


def picture_format(head: bytes) -> str | None:
    """What kind of still picture begins with these bytes (16 are enough), read here or not; None for all else.

    Examples
    --------
    >>> picture_format(b"II*\\0" + bytes(12))
    'TIFF'
    """
    return next((name for name, start in _SIGNATURES if re.match(start, head, re.DOTALL)), None)


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
        return _from_pillow(source)
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
    if not data:
        raise PictureError("the picture is empty: 0 bytes")
    picture = _open(data)
    if picture is None:
        raise PictureError(
            f"expected a JPEG, PNG or WebP picture; got {len(data)} bytes of something else or a damaged header"
        )
    _check_size(*picture.size)
    if picture.format == "JPEG":
        return _decode_jpeg(data, picture)
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        raise PictureError(f"the picture moves: {frames} frames; send it as a clip (mp4)")
    return _from_pillow(picture)


def _open(data: bytes) -> PillowImage | None:
    """The header, read by Pillow's reader of this very format; None where it cannot be read.

    `PIL.Image.open` is passed by: it has a limit of its own on pixels, it takes the photographs of many telephones
    (MPO: a JPEG with previews behind it) for moving pictures, and other libraries in the process alter it.
    """
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    readers: dict[str, Callable[[io.BytesIO], PillowImage]] = {
        "JPEG": JpegImageFile,
        "PNG": PngImageFile,
        "WEBP": WebPImageFile,
    }
    reader = readers.get(picture_format(data[:16]) or "")
    try:
        return None if reader is None else reader(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - Pillow's readers raise whatever a damaged header leads them to
        return None


def _decode_jpeg(data: bytes, picture: PillowImage) -> Picture:
    doubtful = jpeg.check_markers(data)
    if doubtful:
        jpeg.check_scans(data)
    if picture.mode not in {"RGB", "L"}:
        return _from_pillow(picture)
    # OpenCV decodes in less time than Pillow, and to the same pixels
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise PictureError("the JPEG picture is cut off or damaged")
    rgb = np.asarray(decoded, np.uint8)
    if not doubtful and jpeg.ends_in_grey(rgb):
        jpeg.check_scans(data)
    return rgb


def _from_pillow(picture: PillowImage) -> Picture:
    try:
        return _converted(picture)
    except (MemoryError, PictureError):
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise whatever damaged data leads them to
        raise PictureError(f"the picture is cut off or damaged ({type(error).__name__})") from None


def _converted(picture: PillowImage) -> Picture:
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
