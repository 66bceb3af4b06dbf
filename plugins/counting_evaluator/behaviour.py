"""Behavioural tests: what must hold of counts whatever the pictures show, so that no label is needed.

Source: Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList", ACL 2020 (minimum
functionality and invariance tests); Chen et al., "Metamorphic Testing", 1998, https://arxiv.org/abs/2002.12543
(relations between the answers to related inputs).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from camera_counting.detections import Detections
from counting_evaluator.conditions.altered import Picture
from counting_evaluator.counting import count_table, true_counts
from counting_evaluator.empty_scene import empty_scenes
from counting_evaluator.passes import Detecting, read_picture
from counting_evaluator.sample import choose
from counting_evaluator.truth import LabelledPicture

__all__ = ["BehaviourConfig", "measure_behaviour"]

_GREYS = (0, 64, 114, 160, 208, 255)
_NOISES = 6


class BehaviourConfig(BaseModel):
    """On how many pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pictures: int | None = Field(
        None, ge=2, description="how many pictures, chosen by chance; None takes a twelfth, no fewer than 24"
    )
    seed: int = Field(0, ge=0, description="decides which pictures, and the noise")


def measure_behaviour(
    model: Detecting,
    pictures: Sequence[LabelledPicture],
    found: Sequence[Detections],
    classes: Sequence[str],
    *,
    confidence: float,
    config: BehaviourConfig,
) -> dict[str, float]:
    """Ask what can be answered without a label.

    Parameters
    ----------
    model : Detecting
    pictures, found : sequences of the same length
        All of them, and what the model saw on them.
    classes : sequence of str
    confidence : float
        The score that counts.
    config : BehaviourConfig

    Returns
    -------
    dict
        All are 0 where the model behaves, else the mean over pictures of the differences, added up over classes:
        ``behaviour/grey``, ``behaviour/noise`` (objects counted on pictures of one grey, and of nothing but
        noise), ``behaviour/empty_picture`` (on the pictures on which nothing is labelled),
        ``behaviour/empty_scene`` (on the empty scene of each camera, see `empty_scenes`), ``behaviour/mirrored``
        (against the same picture), ``behaviour/side_by_side`` (two pictures in one against the sum of both). What
        the pictures do not allow to ask is left out. ``behaviour/<test>/n`` are the pictures asked about;
        ``behaviour/mirrored/relative`` and ``behaviour/side_by_side/relative`` hold the differences against the
        objects counted without them, since a crowd changes by more than a single walker does.
    """

    def count(images: Iterable[Picture]) -> npt.NDArray[np.int64]:
        seen = [each for image in images for each in model.detect([image], confidence=confidence)]
        return count_table(seen, classes, confidence)

    places = choose(pictures, config.pictures, seed=config.seed)
    chosen = [pictures[place] for place in places]
    height, width = read_picture(chosen[0]).shape[:2]
    rng = np.random.default_rng(config.seed)
    counted = count_table(found, classes, confidence)
    alone = counted[places]
    pairs = list(zip(range(0, len(places) - 1, 2), range(1, len(places), 2), strict=True))
    both = np.array([alone[a] + alone[b] for a, b in pairs], np.int64).reshape(-1, len(classes))
    asked = {
        "grey": count([np.full((height, width, 3), grey, np.uint8) for grey in _GREYS]),
        "noise": count([rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(_NOISES)]),
        "empty_picture": counted[true_counts(pictures, classes).sum(axis=1) == 0],
        "empty_scene": count(empty_scenes(pictures).values()),
        # One picture after the other, so that any number of them fits into memory.
        "mirrored": count(np.ascontiguousarray(read_picture(each)[:, ::-1]) for each in chosen) - alone,
        "side_by_side": count(side_by_side(read_picture(chosen[a]), read_picture(chosen[b])) for a, b in pairs)
        - both,
    }
    metrics: dict[str, float] = {}
    for name, gaps in asked.items():
        if len(gaps):
            metrics[f"behaviour/{name}"] = float(np.abs(gaps).sum(axis=1).mean())
            metrics[f"behaviour/{name}/n"] = float(len(gaps))
    for name, expected in (("mirrored", alone), ("side_by_side", both)):
        if expected.sum():
            metrics[f"behaviour/{name}/relative"] = float(np.abs(asked[name]).sum() / expected.sum())
    return metrics


def side_by_side(first: Picture, second: Picture) -> Picture:
    """Two pictures in one, with a strip of grey between them, so that no object goes on in the other.

    Wide pictures one above the other, tall ones beside each other: a detector with an input of one size then makes
    the objects as little smaller as can be.

    Examples
    --------
    >>> side_by_side(np.zeros((90, 160, 3), np.uint8), np.zeros((80, 150, 3), np.uint8)).shape
    (180, 160, 3)
    """
    wide = first.shape[1] >= first.shape[0]
    a, b = (first, second) if wide else (first.transpose(1, 0, 2), second.transpose(1, 0, 2))
    gap = max(8, a.shape[0] // 9)
    both = np.full((a.shape[0] + gap + b.shape[0], max(a.shape[1], b.shape[1]), 3), 114, np.uint8)
    both[: a.shape[0], : a.shape[1]] = a
    both[a.shape[0] + gap :, : b.shape[1]] = b
    return both if wide else np.ascontiguousarray(both.transpose(1, 0, 2))
