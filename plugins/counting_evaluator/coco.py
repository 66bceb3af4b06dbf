"""pycocotools run on labelled pictures: COCO's matching and its tables of precision, for all sizes of objects."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from camera_counting.detections import Detections
from counting_evaluator.matches import Matches
from counting_evaluator.truth import LabelledPicture

if TYPE_CHECKING:  # MLflow loads every evaluator, also where nobody installed what this one measures with
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

__all__ = ["SIZES", "CocoRun", "run_coco"]

Floats = npt.NDArray[np.float64]

# COCO's areas of small, medium and large, in pixels of the picture. COCO takes a box of exactly 32x32 for small
# and for medium; here each box has one size.
SIZES = {
    "small": (0.0, float(np.nextafter(32.0**2, 0))),
    "medium": (32.0**2, float(np.nextafter(96.0**2, 0))),
    "large": (96.0**2, 1e10),
}
# COCO's 100 would cut off a crowd.
_MAX_DETECTIONS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class CocoRun:
    """What pycocotools made of it.

    Parameters
    ----------
    precision : float64 array of shape (10, 101, classes)
        At the IoUs 0.5, 0.55 ... 0.95 and the recalls 0, 0.01 ... 1, objects of all sizes; -1 where a class has no
        true box.
    by_size : dict of size to such an array
        Objects of this size alone.
    matches : tuple of Matches
        One per class, at an IoU of 0.5.
    """

    precision: Floats
    by_size: dict[str, Floats]
    matches: tuple[Matches, ...]


def run_coco(pictures: Sequence[LabelledPicture], found: Sequence[Detections], classes: Sequence[str]) -> CocoRun:
    """Match what was found with the truth; classes other than these are ignored on both sides."""
    ids = {name: number for number, name in enumerate(classes)}
    truth = [
        _annotation(number, ids[label], place, box)
        for number, picture in enumerate(pictures)
        for place, (label, box) in enumerate(zip(picture.labels, picture.boxes.tolist(), strict=True))
        if label in ids
    ]
    seen = [
        {**_annotation(number, ids[each.names[class_id]], place, box), "score": score}
        for number, each in enumerate(found)
        for place, (class_id, box, score) in enumerate(
            zip(each.class_ids.tolist(), each.boxes.tolist(), each.scores.tolist(), strict=True)
        )
        if each.names[class_id] in ids
    ]
    from pycocotools.cocoeval import COCOeval

    # It tells of its progress on standard output.
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCOeval(_coco(len(pictures), len(ids), truth), _coco(len(pictures), len(ids), seen), "bbox")
        coco.params.areaRng = [[0, 1e10], *map(list, SIZES.values())]
        coco.params.areaRngLbl = ["all", *SIZES]
        coco.params.maxDets = [_MAX_DETECTIONS]
        coco.evaluate()
        coco.accumulate()
    precision = coco.eval["precision"][..., 0]  # IoU, recall, class, area
    return CocoRun(
        precision[..., 0],
        {name: precision[..., number] for number, name in enumerate(SIZES, 1)},
        tuple(_matches(coco, number, pictures, name, truth, seen) for number, name in enumerate(classes)),
    )


def _coco(pictures: int, classes: int, annotations: list[dict[str, object]]) -> COCO:
    # pycocotools takes the id 0 for "not matched"
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in range(pictures)],
        "categories": [{"id": number} for number in range(classes)],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _annotation(picture: int, class_id: int, place: int, box: Sequence[float]) -> dict[str, object]:
    """One box as COCO writes it; `place` is its number on the picture, which COCO hands through."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    return {
        "image_id": picture,
        "category_id": class_id,
        "place": place,
        "bbox": [x1, y1, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def _matches(
    coco: COCOeval,
    class_id: int,
    pictures: Sequence[LabelledPicture],
    name: str,
    truth: Sequence[dict[str, object]],
    seen: Sequence[dict[str, object]],
) -> Matches:
    """What was matched for one class at IoU 0.5, taken out of pycocotools' records of each picture."""
    numbers: list[int] = []
    scores: list[float] = []
    places: list[object] = []
    partners: list[object] = []
    # The records stand class by class, in each of them area by area, in each of these picture by picture.
    begin = class_id * len(coco.params.areaRng) * len(pictures)
    for record in coco.evalImgs[begin : begin + len(pictures)]:
        if record is None:  # nothing true and nothing found
            continue
        numbers += [record["image_id"]] * len(record["dtScores"])
        scores += record["dtScores"]
        places += [seen[number - 1]["place"] for number in record["dtIds"]]
        partners += [truth[int(number) - 1]["place"] if number else -1 for number in record["dtMatches"][0]]
    partner = np.array(partners, np.int64)
    return Matches(
        picture=np.array(numbers, np.int64),
        score=np.array(scores, np.float64),
        correct=partner >= 0,
        true=np.array([picture.labels.count(name) for picture in pictures], np.int64),
        detection=np.array(places, np.int64),
        partner=partner,
    )
