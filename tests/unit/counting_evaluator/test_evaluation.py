"""Evaluations of a real detector that finds coloured rectangles, sound and with planted faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy_detector import build, picture

from camera_counting.detections import Detections
from camera_counting.detectors import open_detector
from counting_evaluator.clip_count import ClipCount
from counting_evaluator.config import ClipTruth, EvaluatorConfig
from counting_evaluator.errors import EvaluationError
from counting_evaluator.evaluation import Evaluation, evaluate_pictures
from counting_evaluator.figures import draw_figures
from counting_evaluator.passes import Detecting
from counting_evaluator.truth import LabelledPicture

OBJECTS = [
    [("person", 20, 30, 60, 110), ("car", 120, 100, 220, 160)],
    [("person", 40, 40, 80, 120), ("person", 160, 20, 200, 100), ("car", 90, 150, 190, 220)],
    [("car", 30, 30, 130, 90)],
    [],
]


class _Faulty:
    """A detector that alters what a sound one saw."""

    def __init__(self, sound: Detecting, fault: str) -> None:
        self.sound, self.fault, self.calls = sound, fault, 0

    def detect(self, images: Sequence[Any], confidence: float | None = None) -> list[Detections]:
        self.calls += len(images)
        return [self._alter(each) for each in self.sound.detect(images, confidence)]

    def _alter(self, seen: Detections) -> Detections:
        if self.fault == "drops cars":
            return seen.of_classes(["person"])
        if self.fault == "takes one class for the other":
            return Detections(seen.boxes, seen.scores, 1 - seen.class_ids, seen.names)
        if self.fault == "counts double":
            shifted = seen.boxes + np.float32(6)
            boxes = np.concatenate([seen.boxes, shifted])
            scores = np.concatenate([seen.scores, seen.scores * np.float32(0.9)])
            return Detections(boxes, scores, np.concatenate([seen.class_ids] * 2), seen.names)
        return seen


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detecting:
    return open_detector(build(tmp_path_factory.mktemp("toy") / "toy.onnx", size=(256, 256)))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledPicture]:
    folder = tmp_path_factory.mktemp("pictures")
    labelled = []
    for number, objects in enumerate(OBJECTS):
        path = folder / f"{number}.png"
        Image.fromarray(picture(256, 240, objects)).save(path)
        boxes = np.array([box for _, *box in objects], np.float32).reshape(-1, 4)
        slices = {"camera_id": f"cam-{number % 2}", "light": "day"}
        labelled.append(LabelledPicture(path, boxes, tuple(name for name, *_ in objects), slices))
    return labelled


ROAD = ClipCount({"road": {"by_class": {"car": {"in": 3, "out": 0}}}})


def _evaluate(
    model: Detecting, pictures: Sequence[LabelledPicture], *, count: ClipCount = ROAD, **config: Any
) -> Evaluation:
    return evaluate_pictures(
        model,
        pictures,
        EvaluatorConfig.read(config),
        names=("person", "car"),
        confidence=0.5,
        count_clip=lambda clip: count,
    )


def test_a_sound_detector_makes_no_error(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(detector, pictures).metrics
    # COCO's mean of 101 precisions reaches 1 only up to rounding
    for name in ("map50", "precision", "recall", "f1", "ap50/person", "ap50/car"):
        assert metrics[f"detection/{name}"] == pytest.approx(1)
    assert metrics["count/mae"] == metrics["count/bias"] == metrics["count/nae"] == 0
    assert metrics["count/exact"] == 1
    assert metrics["pictures"] == 4
    assert metrics["objects"] == 6
    assert 0 < metrics["latency/p50_ms"] <= metrics["latency/p95_ms"]
    assert metrics["throughput/pictures_per_second"] > 0


def test_a_dropped_class_shows(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(_Faulty(detector, "drops cars"), pictures).metrics
    assert metrics["detection/ap50/car"] == 0
    assert metrics["detection/recall/car"] == 0
    assert metrics["detection/map50"] == pytest.approx(0.5)
    # three of six objects: one each on three of four pictures
    assert metrics["detection/recall"] == pytest.approx(0.5)
    assert metrics["count/mae"] == pytest.approx(3 / 4)
    assert metrics["count/bias"] == pytest.approx(-3 / 4)
    assert metrics["count/mae/person"] == 0


def test_double_counting_shows(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(_Faulty(detector, "counts double"), pictures).metrics
    assert metrics["detection/precision"] == pytest.approx(0.5)
    assert metrics["detection/recall"] == pytest.approx(1)
    assert metrics["count/bias"] == pytest.approx(6 / 4)
    assert metrics["count/nae"] == pytest.approx(1)


def test_a_confusion_of_classes_shows_though_the_totals_are_right(
    detector: Detecting, pictures: list[LabelledPicture]
) -> None:
    sound = _evaluate(detector, pictures).metrics
    assert (sound["count/mae_by_class"], sound["count/nae_by_class"]) == (0, 0)
    metrics = _evaluate(_Faulty(detector, "takes one class for the other"), pictures).metrics
    assert metrics["count/mae"] == 0, "as many objects as there are"
    # Person and car change places: 1-1 is right all the same, 2-1 is two off, 0-1 is two off, 0-0 nothing.
    assert metrics["count/mae_by_class"] == pytest.approx((0 + 2 + 2 + 0) / 4)
    assert metrics["count/nae_by_class"] == pytest.approx((0 / 2 + 2 / 3 + 2 / 1) / 3)


def test_every_picture_is_detected_once(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    counting = _Faulty(detector, "none")
    _evaluate(counting, pictures)
    assert counting.calls == len(pictures) + 1  # and once on grey, to warm up


def test_slices_have_their_numbers(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(_Faulty(detector, "drops cars"), pictures).metrics
    # cam-0 has pictures 0 and 2 (one car each missed), cam-1 pictures 1 and 3 (one car missed)
    assert metrics["slice/camera_id/cam-0/n"] == 2
    assert metrics["slice/camera_id/cam-0/count/mae"] == 1
    assert metrics["slice/camera_id/cam-1/count/mae"] == 0.5
    assert metrics["slice/camera_id/cam-0/detection/recall"] == pytest.approx(1 / 3)
    assert metrics["slice/light/day/n"] == 4, "a policy may ask for a slice that all pictures are in"


def test_clips_are_compared(detector: Detecting, pictures: list[LabelledPicture], tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text('{"lines": {"road": {"in": 4, "out": 0, "by_class": {"car": {"in": 4, "out": 0}}}}}')
    clip = ClipTruth(name="a", video=tmp_path / "a.mp4", scene=tmp_path / "a.yaml", truth=truth)
    metrics = _evaluate(detector, pictures, clips=[clip]).metrics
    assert metrics["line/error"] == pytest.approx(0.25)
    assert metrics["line/counted"] == 3
    assert metrics["line/true"] == 4


def test_a_clip_without_truth_is_named(
    detector: Detecting, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    clip = ClipTruth(name="a", video=tmp_path / "a", scene=tmp_path / "b", truth=tmp_path / "truth.json")
    with pytest.raises(EvaluationError, match=r"clip a: expected JSON with the key 'lines' in .*truth\.json"):
        _evaluate(detector, pictures, clips=[clip])


def test_unknown_labels_are_named(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    strange = LabelledPicture(pictures[0].path, pictures[0].boxes, ("person", "tram"))
    with pytest.raises(EvaluationError, match="labels name tram, the model knows person, car"):
        _evaluate(detector, [strange])
    # naming the classes that both know leaves the others out, on both sides
    assert _evaluate(detector, [strange], classes=["person"]).metrics["detection/recall"] == 1


def test_a_missing_or_wrong_picture_is_named(detector: Detecting, tmp_path: Path) -> None:
    missing = LabelledPicture(tmp_path / "gone.png", np.array([[0, 0, 9, 9]], np.float32), ("car",))
    with pytest.raises(EvaluationError, match=r"gone\.png, it cannot be read"):
        _evaluate(detector, [missing])
    Image.fromarray(picture(64, 48, [])).save(tmp_path / "small.png")
    outside = LabelledPicture(tmp_path / "small.png", np.array([[0, 0, 200, 9]], np.float32), ("car",))
    with pytest.raises(EvaluationError, match="outside the picture of 64x48"):
        _evaluate(detector, [outside])


def test_the_table_says_what_happened_on_each_picture(
    detector: Detecting, pictures: list[LabelledPicture]
) -> None:
    table = _evaluate(_Faulty(detector, "drops cars"), pictures).table
    assert table["error"].tolist() == [1, 1, 1, 0]
    assert set(table[table.image == "1.png"].iloc[0][["true", "counted", "true_car", "counted_car"]]) == {
        3,
        2,
        1,
        0,
    }


def test_grids_and_curves_agree_with_the_counts(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    sound = _evaluate(detector, pictures).metrics
    assert [sound[f"count/game{level}"] for level in (1, 2, 3)] == [0, 0, 0]
    assert sound["detection/pr_auc"] == pytest.approx(1)
    swapped = _evaluate(_Faulty(detector, "takes one class for the other"), pictures).metrics
    assert swapped["count/game3"] == 0, "somebody is where somebody is"
    dropped = _evaluate(_Faulty(detector, "drops cars"), pictures).metrics
    assert dropped["count/game3"] == dropped["count/mae"] == 0.75
    assert dropped["detection/pr_auc"] == pytest.approx(0.5)


def test_pictures_are_sliced_by_what_is_on_them(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(_Faulty(detector, "drops cars"), pictures).metrics
    assert (metrics["slice/density/few/n"], metrics["slice/density/empty/n"]) == (3, 1)
    assert metrics["slice/density/few/count/bias"] == -1
    assert metrics["slice/density/empty/count/mae"] == 0
    # Persons are 40x80, all cars 100x60, 100x70 and 100x60: medium every one of them, below 96x96.
    assert metrics["slice/size/medium/n"] == 6
    assert metrics["slice/size/medium/detection/recall"] == pytest.approx(0.5)
    assert not any(name.startswith(("slice/size/small", "slice/size/large")) for name in metrics)
    only = _evaluate(detector, pictures, slices=["light"]).metrics
    assert {name.split("/")[1] for name in only if name.startswith("slice/")} == {"light"}


def test_the_confidence_that_counts_best_is_told(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(_Faulty(detector, "counts double"), pictures).metrics
    # The doubles score 0.9 times 0.95: what counts best lies between the two, what is used stays what it is.
    assert 0.855 < metrics["best_confidence"] <= 0.95
    assert metrics["confidence"] == 0.5
    assert metrics["count/bias"] == 1.5


def test_intervals_stand_around_their_figures(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = _evaluate(_Faulty(detector, "drops cars"), pictures).metrics
    for name in ("count/mae", "count/nae", "count/bias", "detection/map50", "detection/recall"):
        assert metrics[f"ci95/{name}/low"] <= metrics[name] <= metrics[f"ci95/{name}/high"], name
    assert metrics["ci95/count/mae/low"] < metrics["ci95/count/mae/high"]
    without = _evaluate(detector, pictures, resamples=0).metrics
    assert not any(name.startswith("ci95/") for name in without)


def test_occupancy_is_the_mean_over_samples(
    detector: Detecting, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text(
        '{"lines": {}, "zones": {"room": {"occupancy": [0, 1, 2, 3, 3, 3]}}, "frames": 6, "fps": 1, "events": []}'
    )
    clip = ClipTruth(name="a", video=tmp_path / "a.mp4", scene=tmp_path / "a.yaml", truth=truth)
    count = ClipCount({}, {}, {"room": (5, 1, 1, 3, 5, 3)}, 6, 6.0)
    metrics = _evaluate(detector, pictures, count=count, clips=[clip]).metrics
    # At the seconds 1 to 5; what is known in the very first frame is not asked for.
    assert metrics["occupancy/mae"] == pytest.approx((0 + 1 + 0 + 2 + 0) / 5)
    assert metrics["occupancy/samples"] == 5
    assert not any(name.startswith("line/") for name in metrics), "without a line there is no error of lines"


def test_two_clips_of_one_name_are_refused(
    detector: Detecting, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text('{"lines": {}}')
    clip = ClipTruth(name="a", video=tmp_path / "a.mp4", scene=tmp_path / "a.yaml", truth=truth)
    with pytest.raises(EvaluationError, match="clips of different names, a stands there more than once"):
        _evaluate(detector, pictures, clips=[clip, clip])


def test_what_cannot_be_evaluated_is_told_before_anything_is_detected(
    detector: Detecting, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    counting = _Faulty(detector, "none")
    clip = ClipTruth(name="a", video=tmp_path / "a", scene=tmp_path / "b", truth=tmp_path / "truth.json")
    for config in ({"clips": [clip]}, {"slices": ["weather"]}):
        with pytest.raises(EvaluationError):
            _evaluate(counting, pictures, **config)
    for wrong in (pictures[0], LabelledPicture(tmp_path / "gone.png", pictures[0].boxes, pictures[0].labels)):
        with pytest.raises(EvaluationError):
            _evaluate(counting, [*pictures, wrong])
    assert counting.calls == 0


def test_the_table_holds_the_digest_of_each_picture(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    timed = [
        LabelledPicture(
            each.path, each.boxes, each.labels, each.slices, datetime(2026, 3, 1, 7 + number, tzinfo=UTC)
        )
        for number, each in enumerate(pictures)
    ]
    table = _evaluate(detector, timed).table.set_index("image")
    for picture_of in timed:
        row = table.loc[picture_of.path.name]
        assert row["digest"] == sha256(picture_of.path.read_bytes()).hexdigest()
        assert datetime.fromisoformat(row["time"]) == picture_of.time
    assert "time" not in _evaluate(detector, pictures).table
    named = [LabelledPicture(each.path, each.boxes, each.labels, {"digest": "mine"}) for each in pictures]
    assert set(_evaluate(detector, named).table["digest"]) == set(table["digest"]), "what a table calls so is none"


def test_nothing_but_empty_pictures_are_evaluated_too(
    detector: Detecting, pictures: list[LabelledPicture]
) -> None:
    evaluation = _evaluate(detector, pictures[3:], classes=["person", "car"])
    metrics = evaluation.metrics
    assert (metrics["count/mae"], metrics["count/game3"], metrics["objects"]) == (0, 0, 0)
    absent = ("detection/map50", "detection/pr_auc", "count/nae", "best_confidence", "ci95/count/mae/low")
    assert not set(absent) & set(metrics)
    assert set(draw_figures(evaluation, EvaluatorConfig())) == {
        "counted_against_true", "precision_recall", "confusion_matrix", "count_error_over_confidence",
    }  # fmt: skip
    with pytest.raises(EvaluationError, match="all pictures are empty: name the annotated classes"):
        _evaluate(detector, pictures[3:])


@pytest.mark.parametrize("column", ["true", "counted", "error", "latency_ms", "true_car", "counted_by"])
def test_a_column_that_would_stand_in_place_of_a_count_is_refused(
    detector: Detecting, pictures: list[LabelledPicture], column: str
) -> None:
    named = [replace(each, slices={**each.slices, column: "7"}) for each in pictures]
    with pytest.raises(EvaluationError, match=f"the column {column} of the data .* give it another name"):
        _evaluate(detector, named)


def test_two_cameras_whose_names_differ_in_what_a_metric_cannot_say(
    detector: Detecting, pictures: list[LabelledPicture]
) -> None:
    cameras = ("hall/1", "hall_1")
    named = [replace(each, slices={"camera_id": cameras[number % 2]}) for number, each in enumerate(pictures)]
    done = _evaluate(detector, named)
    assert done.metrics["slice/camera_id/hall_1/n"] == 2
    told = done.renamed.to_dict("records")
    assert [(row["column"], row["value"], row["n"]) for row in told] == [("camera_id", "hall/1", 2)]
    assert done.metrics[f"{told[0]['metrics']}/n"] == 2
    assert set(done.table["camera_id"]) == set(cameras), "the record says what they are really called"
