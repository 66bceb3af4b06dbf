"""Whether a JPEG is whole: decoders fill what is missing with grey, and tell it to nobody who could act on it.

Two looks are taken. The cheap one, at every picture, walks its markers. The thorough one decodes once more with a
decoder that stops at the first error; it costs about half of a decoding, so only pictures that give a reason get
it: those of several scans, of four colours or with restart markers, those with a run of zero bytes, and those that
end in the grey of a missing part.

JPEG has no checksum. What stays unseen is damage that leaves about as many blocks as there were: some changed
bits, or a small part that was replaced by another of the same length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from camera_counting.errors import PictureError

__all__ = ["check_markers", "check_scans", "ends_in_grey"]

_HUFFMAN, _ARITHMETIC, _EOI, _SOS, _QUANTISATION, _LINES, _RESTART, _COMMENT = b"\xc4\xcc\xd9\xda\xdb\xdc\xdd\xfe"
_BETWEEN_SCANS = {_HUFFMAN, _ARITHMETIC, _EOI, _SOS, _QUANTISATION, _LINES, _RESTART, _COMMENT}
_PROGRESSIVE = 0xC2
_FRAMES = set(range(0xC0, 0xD0)) - {_HUFFMAN, 0xC8, _ARITHMETIC}
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
# FF 00 is a byte of the picture, FF D0 to FF D7 divide it, and FF FF fills
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ZEROS = bytes(32)
_MOST_SCANS = 100  # each costs a decoder a walk over the whole picture, and a few bytes are enough for one
_GREY = 128
_MORE_ROWS = 32  # of pixels: two rows of blocks, because FFmpeg lets a few missing bytes pass


def check_markers(data: bytes) -> bool:
    """Walk the markers up to the end marker; what a camera appends after it is not looked at.

    Returns
    -------
    bool
        Whether `check_scans` should look at the picture, too.

    Raises
    ------
    PictureError
        Where there is no end marker, where something stands in the picture that belongs to another one, where its
        data was overwritten with zeros, or where it has absurdly many scans.
    """
    doubtful, sequential, scans = False, False, 0
    # the first symbol, whose code is all zeros, of each Huffman table; by default those of the standard's Annex K
    first = {0x00: 0, 0x01: 0, 0x10: 1, 0x11: 0}
    for marker, start, end, stop in _segments(data):
        if marker in _FRAMES:
            sequential = marker in {0xC0, 0xC1}
            doubtful |= not sequential or data[start + 5 : start + 6] not in {b"\1", b"\3"}
        elif marker == _RESTART:
            doubtful |= any(data[start:end])
        elif marker == _HUFFMAN:
            while start + 17 < end:
                first[data[start]] = data[start + 17]
                start += 17 + sum(data[start + 1 : start + 17])
        elif marker == _SOS:
            scans += 1
            if scans > _MOST_SCANS:
                raise PictureError(f"the JPEG picture has more than {_MOST_SCANS} scans, as no camera writes it")
            if data.find(_ZEROS, end, stop) >= 0:
                doubtful = True
                tables = {0x10 | byte & 15 for byte in data[start + 2 : end : 2][: data[start]]}
                # where the code of zeros is not "the rest of this block is flat", no picture has so many of them
                if sequential and any(first.get(table) for table in tables):
                    raise PictureError("the JPEG picture is damaged: a part of it was overwritten with zeros")
    return doubtful or scans > 1


def check_scans(data: bytes) -> None:
    """Decode the picture, small and without keeping it, and stop at the first error.

    Raises
    ------
    PictureError
        Where its data ends early or cannot be decoded.
    """
    # what is said about the picture (EXIF, colour profiles, comments) may be odd without harm
    parts, length, height = [b"\xff\xd8"], 2, 0
    for marker, start, end, stop in _segments(data):
        if 0xE0 <= marker <= 0xEF or marker == _COMMENT:
            continue
        rows, columns = (int.from_bytes(data[start + at : start + at + 2], "big") for at in (1, 3))
        if marker in _FRAMES and marker != _PROGRESSIVE and columns >= 256 and rows + _MORE_ROWS < 1 << 16:
            height = length + 5
        parts.append(bytes((0xFF, marker)) + data[start - 2 : max(end, stop)])
        length += len(parts[-1])
    bare = b"".join([*parts, b"\xff\xd9"])
    if not _decodes(bare):
        raise PictureError("the JPEG picture is damaged: a part of its data is missing or cannot be decoded")
    if height and _ZEROS in bare:
        # zeros may be a flat part of the picture; but then its data does not do for one with more rows
        taller = (int.from_bytes(bare[height : height + 2], "big") + _MORE_ROWS).to_bytes(2, "big")
        if _decodes(bare[:height] + taller + bare[height + 2 :], unknown=False):
            raise PictureError("the JPEG picture is damaged: it has more data than its size needs")


def _decodes(jpeg: bytes, unknown: bool = True) -> bool:
    """Whether FFmpeg decodes it without error; `unknown` where it is of a kind that FFmpeg does not know."""
    import av

    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "explode", "lowres": "3"}  # an eighth of the size: its pixels are not wanted
    decoder.thread_count = 1
    try:
        return bool([*decoder.decode(av.Packet(jpeg)), *decoder.decode(None)])
    except av.error.InvalidDataError:
        return False
    except av.error.FFmpegError:
        return unknown


def ends_in_grey(picture: npt.NDArray[np.uint8]) -> bool:
    """Whether a corner of the picture (H, W, 3) has the grey that decoders put where data is missing.

    The last part to be decoded lies in the lower right corner, or in another one where the picture was turned.
    """
    corners = picture[:: max(picture.shape[0] - 1, 1), :: max(picture.shape[1] - 1, 1)].astype(np.int16)
    return bool((np.abs(corners - _GREY) <= 2).all(axis=-1).any())


def _segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Marker, start and end of what it says, and the end of the picture data that follows (0 where none does)."""
    at, scanned = 2, False
    while (found := _MARKER.match(data, at)) is not None:
        marker = found[1][0]
        if scanned and marker not in _BETWEEN_SCANS:
            raise PictureError(
                f"the JPEG picture is damaged: the marker FF{marker:02X} stands in the middle of its data, as "
                "where it was cut off and another picture follows"
            )
        if marker == _EOI and scanned:
            return
        start = found.end() + 2
        end = found.end() + int.from_bytes(data[found.end() : start], "big")
        if end < start or end > len(data):
            break
        if marker == _SOS:
            after = _END_OF_SCAN.search(data, end)
            if after is None:
                break
            scanned = True
            yield marker, start, end, after.start()
            at = after.start()
        else:
            yield marker, start, end, 0
            at = end
    raise PictureError("the JPEG picture is cut off: it has no end marker")
