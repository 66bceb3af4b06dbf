"""Which pictures are taken where all would be too many: by chance, and always the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from counting_evaluator.errors import EvaluationError
from counting_evaluator.truth import LabelledPicture

__all__ = ["choose", "picture_digest"]

_SHARE, _LEAST = 12, 24


def picture_digest(path: Path) -> str:
    """SHA-256 of a picture's file, by which pictures of two evaluations are known to be the same."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise EvaluationError(f"expected a picture in {path}, it cannot be read: {error.strerror}") from error


def choose(pictures: Sequence[LabelledPicture], number: int | None, *, seed: int) -> list[int]:
    """The places of some of the pictures, in an order of chance.

    Parameters
    ----------
    pictures : sequence of LabelledPicture
    number : int or None
        How many; None takes a twelfth and no fewer than 24, so that nine conditions cost about as much as the
        evaluation itself. All of them where there are no more.
    seed : int
        With the pictures' digests it decides which, and in which order: how they are named and listed does not
        matter, so that two evaluations of the same pictures choose the same ones.
    """
    wanted = max(_LEAST, -(-len(pictures) // _SHARE)) if number is None else number

    def rank(place: int) -> bytes:
        return hashlib.sha256(f"{seed}:{picture_digest(pictures[place].path)}".encode()).digest()

    return sorted(range(len(pictures)), key=rank)[:wanted]
