"""Which pictures these are, by their bytes."""

from __future__ import annotations

from collections.abc import Sequence

from counting_evaluator.errors import EvaluationError
from counting_evaluator.passes import read_picture
from counting_evaluator.sample import picture_digest
from counting_evaluator.truth import LabelledPicture

__all__ = ["picture_digests"]


def picture_digests(pictures: Sequence[LabelledPicture]) -> tuple[str, ...]:
    """SHA-256 of each picture's file.

    Raises
    ------
    EvaluationError
        Where a file cannot be read, or where the same picture stands there twice: it would count double, and
        whoever compares two models picture by picture could not tell the two rows apart.
    """
    known: dict[str, LabelledPicture] = {}
    for picture in pictures:
        digest = picture_digest(picture.path)
        if digest in known:
            read_picture(picture)  # files that are all empty are no pictures in the first place
            raise EvaluationError(
                f"{picture.path} is the same picture as {known[digest].path}: one that stands there twice counts "
                "double, and comparisons find pictures by their bytes; leave one of the rows out"
            )
        known[digest] = picture
    return tuple(known)
