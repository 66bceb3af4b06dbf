"""Pictures that are nearly the same: a leak when one is trained on and the other is tested.

A fixed camera's pictures all share their background, so a perceptual hash alone takes them all for one picture.
Here the hash only finds candidates; a pair counts when no spot of the two pictures differs, that is when nothing
in them has moved. What is then left to differ is compression, size, and a little light.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pipelines.datasets.records import Finding, Record

__all__ = ["across_splits", "near_duplicates"]

_HASH_SIDE = 16  # 256 bits
_HASH_DISTANCE = 24  # bits that recompression, resizing and a change of light may flip
_GRID = (64, 48)
_SPOT = 14.0  # grey levels by which the brightest-changed spot of a thumbnail may differ


def near_duplicates(
    records: Sequence[Record], on_picture: Callable[[], None] | None = None
) -> list[tuple[int, int]]:
    """Pairs of indices (i < j) of pictures that look the same.

    The hash is the DCT one of `imagehash.phash` with 256 bits; candidates within 24 bits are compared as grey
    thumbnails of 64x48 with their means taken out.
    """
    if len(records) < 2:
        return []
    bits = np.empty((len(records), _HASH_SIDE**2 // 8), np.uint8)
    thumbnails = np.empty((len(records), _GRID[1], _GRID[0]), np.uint8)  # 3 KB a picture
    for index, record in enumerate(records):
        with Image.open(record.path) as picture:
            # JPEG can be decoded at a fraction of its size; a hash needs no more.
            picture.draft("L", (160, 120))
            grey = ImageOps.exif_transpose(picture).convert("L")
        bits[index] = np.packbits(imagehash.phash(grey, hash_size=_HASH_SIDE).hash.ravel())
        small = cv2.resize(np.asarray(grey), _GRID, interpolation=cv2.INTER_AREA)
        thumbnails[index] = cv2.GaussianBlur(small, (3, 3), 0)
        if on_picture is not None:
            on_picture()
    words = bits.view(np.uint64)
    pairs = []
    for i in range(len(records) - 1):
        distance = np.bitwise_count(words[i + 1 :] ^ words[i]).sum(axis=1)
        for j in np.flatnonzero(distance <= _HASH_DISTANCE) + i + 1:
            if _same(thumbnails[i], thumbnails[j]):
                pairs.append((i, int(j)))
    return pairs


def _same(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> bool:
    difference = a.astype(np.float32) - b
    return bool(np.abs(difference - difference.mean()).max() < _SPOT)


def across_splits(records: Sequence[Record], pairs: Sequence[tuple[int, int]]) -> list[Finding]:
    """A finding for each pair whose two pictures lie in different splits; it names the one to leave out.

    That is the one in the training: a test picture that disappears changes what is measured.
    """
    order = {"train": 0, "val": 1, "test": 2}
    findings = []
    for i, j in pairs:
        a, b = records[i], records[j]
        if a.split == b.split:
            continue
        first, second = sorted((a, b), key=lambda r: order.get(r.split or "", 3))
        detail = f"expected pictures of {first.split} and {second.split} to differ; it looks like {second.name}"
        findings.append(Finding(first.name, "near_duplicate", detail))
    return findings
