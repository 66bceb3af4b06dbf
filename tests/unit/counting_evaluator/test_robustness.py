"""Robustness and behaviour of real detectors: sound ones, and ones with a fault that these tests are there for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_detector import build, picture

from camera_counting.detections import Detections
from camera_counting.detectors import open_detector
from counting_evaluator.behaviour import BehaviourConfig, measure_behaviour, side_by_side
from counting_evaluator.conditions import CONDITIONS
from counting_evaluator.config import EvaluatorConfig
from counting_evaluator.empty_scene import empty_scenes
from counting_evaluator.errors import EvaluationError
from counting_evaluator.paired_bootstrap import paired_difference
from counting_evaluator.passes import Detecting, detect_all, read_picture
from counting_evaluator.robustness import Robustness, RobustnessConfig, measure_robustness
from counting_evaluator.robustness_plots import draw_sheet, plot_robustness
from counting_evaluator.sample import choose
from counting_evaluator.truth import LabelledPicture

CLASSES = ("person", "car")


class Faulty:
    """A detector of which one answer is altered; counts how often it is asked."""

    def __init__(self, sound: Detecting, alter: Callable[[np.ndarray, Detections], Detections]) -> None:
        self.sound, self.alter, self.asked = sound, alter, 0

    def detect(self, images: Sequence[np.ndarray], confidence: float | None = None) -> list[Detections]:
        self.asked += len(images)
        seen = self.sound.detect(images, confidence)
        return [self.alter(image, each) for image, each in zip(images, seen, strict=True)]


def sound_one(image: np.ndarray, seen: Detections) -> Detections:
    return seen


def left_half_only(image: np.ndarray, seen: Detections) -> Detections:
    return _some(seen, seen.boxes[:, 0] < image.shape[1] / 2)


def _some(seen: Detections, mask: np.ndarray) -> Detections:
    return Detections(seen.boxes[mask], seen.scores[mask], seen.class_ids[mask], seen.names)


def always_one_more(image: np.ndarray, seen: Detections) -> Detections:
    box = np.array([[1, 1, 9, 9]], np.float32)
    return Detections(
        np.concatenate([seen.boxes, box]),
        np.concatenate([seen.scores, np.float32([0.9])]),
        np.concatenate([seen.class_ids, np.array([0], seen.class_ids.dtype)]),
        seen.names,
    )


def nobody_in_the_dark(image: np.ndarray, seen: Detections) -> Detections:
    return _some(seen, np.full(len(seen), image.mean() > 70))


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detecting:
    return open_detector(build(tmp_path_factory.mktemp("toy") / "toy.onnx", size=(320, 320)))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledPicture]:
    """Two cameras, six pictures of each, with a car and a person that are somewhere else on each; one is empty."""
    folder = tmp_path_factory.mktemp("pictures")
    labelled = []
    for number in range(12):
        turn = number // 2
        person = ("person", 10 + 45 * turn, 20, 34 + 45 * turn, 70)
        objects = [person, ("car", 250 - 45 * turn, 150, 300 - 45 * turn, 180)] if number else []
        image = picture(320, 240, objects, background=114 + 40 * (number % 2))
        image[5, number] = 120  # so that no two are the same file
        path = folder / f"{number}.png"
        Image.fromarray(image).save(path)
        boxes = np.array([box for _, *box in objects], np.float32).reshape(-1, 4)
        names = tuple(name for name, *_ in objects)
        labelled.append(LabelledPicture(path, boxes, names, {"camera_id": f"cam-{number % 2}"}))
    return labelled


def robustness(model: Detecting, shown: list[LabelledPicture], **config: object) -> Robustness:
    found = detect_all(model, shown, 0.05).found
    return measure_robustness(
        model, shown, found, CLASSES, confidence=0.5, floor=0.05, config=RobustnessConfig(**config)
    )


def behaviour(model: Detecting, pictures: list[LabelledPicture]) -> dict[str, float]:
    found = detect_all(model, pictures, 0.05).found
    return measure_behaviour(model, pictures, found, CLASSES, confidence=0.5, config=BehaviourConfig())


def test_the_night_is_where_the_blind_one_is_found_out(
    detector: Detecting, pictures: list[LabelledPicture]
) -> None:
    blind = Faulty(detector, nobody_in_the_dark)
    metrics = robustness(blind, pictures, conditions=("night", "moved_camera")).metrics
    assert metrics["robustness/clear/count/mae"] == 0
    # 22 objects on 12 pictures, all unseen; a perfect model is taken to miss one of them
    assert metrics["robustness/night/count/mae"] == pytest.approx(22 / 12)
    assert metrics["robustness/night/count/mae_ratio"] == pytest.approx(22)
    assert metrics["robustness/night/count/wape"] == 1
    assert metrics["robustness/night/count/mae_added"] == pytest.approx(22 / 12)
    assert metrics["robustness/night/count/mae_added/low"] > 1
    assert metrics["robustness/night/count/bias"] == pytest.approx(-22 / 12)
    assert metrics["robustness/night/detection/map50"] == metrics["robustness/night/detection/recall"] == 0
    assert metrics["robustness/night/detection/map50_ratio"] == 0
    assert metrics["robustness/worst/count/mae_ratio"] == 22
    moved = metrics["robustness/moved_camera/count/mae_ratio"]
    assert metrics["robustness/mean/count/mae_ratio"] == pytest.approx((22 + moved) / 2)


def test_frames_of_one_clip_are_one_witness(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    """Four clips of three frames: an interval as of four pictures, and of a single clip none."""
    blind = Faulty(detector, nobody_in_the_dark)
    name = "robustness/night/count/mae_added"
    plain, four, one = (
        robustness(blind, [replace(each, clip=clip(number)) for number, each in enumerate(pictures)],
                   conditions=("night",)).metrics
        for clip in (lambda number: None, lambda number: f"clip {number // 3}", lambda number: "the only one")
    )  # fmt: skip
    assert plain[name] == four[name] == one[name] == pytest.approx(22 / 12)
    width = four[f"{name}/high"] - four[f"{name}/low"]
    errors = np.array([[0, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2]]).mean(axis=1)
    apart = paired_difference(errors, np.zeros(4))
    assert width == pytest.approx(apart.high - apart.low, rel=0.1)
    assert f"{name}/low" not in one


def test_clear_is_not_detected_again_and_each_condition_once(
    detector: Detecting, pictures: list[LabelledPicture]
) -> None:
    counted = Faulty(detector, sound_one)
    found = detect_all(counted, pictures, 0.05).found
    counted.asked = 0
    config = RobustnessConfig(pictures=5)
    result = measure_robustness(counted, pictures, found, CLASSES, confidence=0.5, floor=0.05, config=config)
    assert counted.asked == 5 * len(CONDITIONS)
    assert result.metrics["robustness/pictures"] == 5
    assert result.table["condition"].tolist() == ["clear", *CONDITIONS]
    assert result.table["severity"].str.len().min() > 5


def test_the_same_twice_and_in_any_order(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    names = ("noise", "rain", "lens_dirt")
    first = robustness(detector, pictures, conditions=names, pictures=6).metrics
    again = robustness(detector, pictures[::-1], conditions=names[::-1], pictures=6).metrics
    assert again == pytest.approx(first)


def test_objects_that_left_the_picture_are_not_missed(
    detector: Detecting, pictures: list[LabelledPicture]
) -> None:
    corner = np.array([[0, 0, 12, 12]], np.float32)
    at_the_edge = [
        replace(each, boxes=np.concatenate([each.boxes, corner]), labels=(*each.labels, "car"))
        for each in pictures
    ]
    table = robustness(detector, at_the_edge, conditions=("moved_camera", "blur")).table.set_index("condition")
    assert table["objects"].to_dict() == {"clear": 34, "moved_camera": 22, "blur": 34}


def test_people_can_look_at_it(detector: Detecting, pictures: list[LabelledPicture], tmp_path: Path) -> None:
    result = robustness(detector, pictures, pictures=4)
    assert [each.condition for each in result.sheet] == ["clear", *CONDITIONS]
    plot_robustness(result.table).savefig(tmp_path / "plot.png")
    draw_sheet(result.sheet, 0.5).savefig(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert len(sheet.convert("RGB").getcolors(1 << 24)) > 1000
    assert robustness(detector, pictures, pictures=4, sheet=False, conditions=("jpeg",)).sheet == ()


def test_pictures_without_any_object_can_be_measured(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    empty = [replace(each, boxes=each.boxes[:0], labels=()) for each in pictures[:1]]
    metrics = robustness(detector, empty, conditions=("fog", "occlusion")).metrics
    assert metrics["robustness/fog/count/mae"] == 0
    assert "robustness/fog/detection/map50" not in metrics
    assert "robustness/fog/count/wape" not in metrics


def test_an_unknown_condition_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"expected some of night, rain.*got hail"):
        EvaluatorConfig.read({"robustness": {"conditions": ["hail"]}})


def test_a_sound_detector_behaves(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = behaviour(detector, pictures)
    assert {name: value for name, value in metrics.items() if not name.endswith("/n")} == {
        f"behaviour/{name}": 0.0
        for name in (
            "grey",
            "noise",
            "empty_picture",
            "empty_scene",
            "mirrored",
            "mirrored/relative",
            "side_by_side",
            "side_by_side/relative",
        )
    }
    assert metrics["behaviour/empty_picture/n"] == 1
    assert metrics["behaviour/empty_scene/n"] == 2
    assert (metrics["behaviour/mirrored/n"], metrics["behaviour/side_by_side/n"]) == (12, 6)


def test_who_counts_what_is_not_there_is_found_out(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = behaviour(Faulty(detector, always_one_more), pictures)
    for name in ("grey", "noise", "empty_picture", "empty_scene", "side_by_side"):
        # two pictures in one show the one that is not there once instead of twice
        assert metrics[f"behaviour/{name}"] == 1, name
    assert metrics["behaviour/mirrored"] == 0, "it is there in the mirror, too"


def test_who_sees_only_one_side_is_found_out(detector: Detecting, pictures: list[LabelledPicture]) -> None:
    metrics = behaviour(Faulty(detector, left_half_only), pictures)
    assert metrics["behaviour/mirrored"] > 0.5
    assert metrics["behaviour/empty_scene"] == 0


def test_the_empty_scene_is_the_street_without_anybody(pictures: list[LabelledPicture]) -> None:
    scenes = empty_scenes(pictures)
    assert set(scenes) == {"cam-0", "cam-1"}
    for camera, grey in (("cam-0", 114), ("cam-1", 154)):
        assert scenes[camera].shape == (240, 320, 3)
        assert (scenes[camera] == grey).all()


def test_a_camera_that_is_never_free_has_no_empty_scene(pictures: list[LabelledPicture]) -> None:
    parked = np.array([[10, 200, 60, 230]], np.float32)
    always = [
        replace(each, boxes=np.concatenate([each.boxes, parked]), labels=(*each.labels, "car"))
        for each in pictures
    ]
    assert empty_scenes(always) == {}
    assert empty_scenes(pictures[:8]) == {}, "four pictures of a camera are too few"
    nameless = [replace(each, slices={}) for each in pictures]
    assert empty_scenes(nameless) == {}


def test_side_by_side_keeps_both_whole(pictures: list[LabelledPicture]) -> None:
    first, second = read_picture(pictures[2]), read_picture(pictures[3])[:, :300]
    both = side_by_side(first, second)
    assert np.array_equal(both[:240], first)
    assert np.array_equal(both[-240:, :300], second)
    tall = side_by_side(first.transpose(1, 0, 2), second.transpose(1, 0, 2))
    assert np.array_equal(tall, both.transpose(1, 0, 2))


def test_the_sample_does_not_depend_on_names_and_order(pictures: list[LabelledPicture], tmp_path: Path) -> None:
    chosen = {pictures[place].path.name for place in choose(pictures, 5, seed=1)}
    assert len(chosen) == 5
    turned = pictures[::-1]
    assert {turned[place].path.name for place in choose(turned, 5, seed=1)} == chosen
    assert {pictures[place].path.name for place in choose(pictures, 5, seed=2)} != chosen
    assert sorted(choose(pictures, None, seed=0)) == list(range(12)), "no fewer than 24, as far as there are"
    with pytest.raises(EvaluationError, match="cannot be read"):
        choose([replace(each, path=tmp_path / "gone.png") for each in pictures], 5, seed=0)
