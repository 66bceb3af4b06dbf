"""What every detector must do, whatever its head, its runtime, and the layout and type of its input.

The pictures are made of rectangles at known places, so the true boxes are known without any code of ours.
"""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest

from camera_counting.detectors import HEADS, open_detector
from tests.toy_detector import build, picture

RUNTIMES = ("openvino", "onnxruntime")
PICTURE_SIZE = (640, 480)
# (class, x1, y1, x2, y2): in the middle, at each edge, and two close together
OBJECTS = [
    ("person", 64, 64, 112, 160),
    ("person", 208, 64, 256, 160),
    ("car", 304, 304, 416, 384),
    ("person", 0, 400, 48, 480),
    ("car", 592, 16, 640, 64),
]
VARIANTS = list(itertools.product(HEADS, RUNTIMES))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory):
    """Builds a toy detector once per kind."""
    made: dict[tuple[object, ...], Path] = {}

    def get(**kind: object) -> Path:
        key = tuple(sorted(kind.items()))
        if key not in made:
            made[key] = build(tmp_path_factory.mktemp("toy") / "toy.onnx", **kind)
        return made[key]

    return get


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union, worked out by hand for two boxes."""
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    common = max(across, 0) * max(down, 0)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return common / (area - common)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize(("head", "runtime"), VARIANTS)
def test_finds_every_object_where_it_is(toy, head: str, runtime: str, layout: str, dtype: str) -> None:
    detector = open_detector(toy(head=head, layout=layout, dtype=dtype), runtime=runtime)
    (seen,) = detector.detect([picture(*PICTURE_SIZE, OBJECTS)])
    assert detector.head.name == head
    assert seen.names == ("person", "car")
    assert seen.counts() == {"person": 3, "car": 2}
    assert seen.boxes.dtype == np.float32
    assert seen.scores.dtype == np.float32
    assert seen.class_ids.dtype == np.int64
    for name, *box in OBJECTS:
        best = max(overlap(found, np.array(box)) for found in seen.boxes[seen.class_ids == seen.names.index(name)])
        assert best > 0.7, (name, box, seen.boxes)


@pytest.mark.parametrize(("head", "runtime"), VARIANTS)
def test_takes_a_graph_with_free_sizes(toy, head: str, runtime: str) -> None:
    detector = open_detector(toy(head=head, dynamic=True), runtime=runtime)
    assert (detector.spec.width, detector.spec.height) == (320, 320)  # its metadata says so
    assert detector.detect([picture(*PICTURE_SIZE, OBJECTS)])[0].counts() == {"person": 3, "car": 2}


@pytest.mark.parametrize(("head", "runtime"), VARIANTS)
def test_pictures_of_one_call_may_differ_in_size_and_do_not_mix(toy, head: str, runtime: str) -> None:
    detector = open_detector(toy(head=head), runtime=runtime)
    tall = picture(200, 700, [("car", 40, 500, 140, 600)])
    wide = picture(900, 300, [("person", 600, 60, 690, 240)])
    empty = picture(320, 320, [])
    alone = [detector.detect([one])[0] for one in (tall, wide, empty)]
    together = detector.detect([tall, wide, empty, wide, tall])
    assert [sum(seen.counts().values()) for seen in together] == [1, 1, 0, 1, 1]
    for seen, expected in zip(together, [*alone, alone[1], alone[0]], strict=True):
        np.testing.assert_allclose(seen.boxes, expected.boxes)
        np.testing.assert_allclose(seen.scores, expected.scores)
    assert detector.detect([]) == []


@pytest.mark.parametrize(("head", "runtime"), VARIANTS)
def test_confidence_decides_what_is_seen(toy, head: str, runtime: str) -> None:
    detector = open_detector(toy(head=head), runtime=runtime)
    pale = picture(320, 320, [("person", 48, 48, 112, 144)])
    pale[pale[:, :, 0] == 255] = (200, 32, 32)  # saturation (200 - 32) / 255 = 0.659
    assert [seen.counts()["person"] for seen in detector.detect([pale], confidence=0.6)] == [1]
    assert [seen.counts()["person"] for seen in detector.detect([pale], confidence=0.7)] == [0]
    assert detector.detect([pale])[0].scores[0] == pytest.approx(0.659, abs=0.01)


@pytest.mark.parametrize(("head", "runtime"), VARIANTS)
def test_many_threads_get_the_answers_of_their_own_pictures(toy, head: str, runtime: str) -> None:
    detector = open_detector(toy(head=head), runtime=runtime, threads=1)
    wrong: list[object] = []

    def work(number: int) -> None:
        objects = [("person", 16 + 64 * i, 32, 48 + 64 * i, 128) for i in range(number % 4)]
        mine = picture(320, 320, objects)
        for _ in range(6):
            counts = [seen.counts()["person"] for seen in detector.detect([mine, mine])]
            if counts != [number % 4] * 2:
                wrong.append((number, counts))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_picture_that_fails_half_way_leaves_the_detector_usable(toy, runtime: str) -> None:
    detector = open_detector(toy(head="yolov8"), runtime=runtime)
    good = picture(320, 320, [("car", 40, 40, 120, 120)])
    for _ in range(5):  # more often than there are requests in the pool
        with pytest.raises(ValueError, match="expected an RGB picture"):
            detector.detect([good, np.zeros((4, 4), np.uint8), good])
        abandoned = detector.detect_each([good, good, good])
        next(abandoned)
        abandoned.close()
    assert detector.detect([good])[0].counts()["car"] == 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_call_within_the_answers_of_another_one_is_answered(toy, runtime: str) -> None:
    detector = open_detector(toy(head="yolov8"), runtime=runtime)
    good = picture(320, 320, [("car", 40, 40, 120, 120)])
    crop = picture(160, 160, [("person", 40, 40, 80, 120)])
    found: list[tuple[int, int]] = []

    def nested() -> None:
        for seen in detector.detect_each([good] * 5):
            (within,) = detector.detect([crop])
            found.append((seen.counts()["car"], within.counts()["person"]))

    # in a thread of its own: were it to wait for itself, it would wait for ever
    thread = threading.Thread(target=nested, daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert found == [(1, 1)] * 5


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_who_is_slow_to_take_the_answers_keeps_nobody_waiting(toy, runtime: str) -> None:
    detector = open_detector(toy(head="yolov8"), runtime=runtime)
    good = picture(320, 320, [("car", 40, 40, 120, 120)])
    slow = [detector.detect_each([good] * 9) for _ in range(3)]
    for call in slow:
        next(call)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(len(detector.detect([good] * 3))), daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert found == [3]
    assert [sum(seen.counts()["car"] for seen in call) for call in slow] == [8, 8, 8]


@pytest.mark.parametrize("head", HEADS)
def test_both_runtimes_agree(toy, head: str) -> None:
    path = toy(head=head)
    one, other = (
        open_detector(path, runtime=runtime).detect([picture(*PICTURE_SIZE, OBJECTS)])[0] for runtime in RUNTIMES
    )
    # equal scores leave the order open
    ranks = [np.lexsort(seen.boxes.T) for seen in (one, other)]
    np.testing.assert_allclose(one.boxes[ranks[0]], other.boxes[ranks[1]], atol=0.1)
    np.testing.assert_allclose(one.scores[ranks[0]], other.scores[ranks[1]], atol=1e-3)
    np.testing.assert_array_equal(one.class_ids[ranks[0]], other.class_ids[ranks[1]])


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(("head", "runtime"), VARIANTS)
def test_an_input_that_fits_the_frames_sees_the_same(toy, head: str, runtime: str, dynamic: bool) -> None:
    detector = open_detector(toy(head=head, dynamic=dynamic), runtime=runtime)
    objects = [("person", 64, 64, 112, 160), ("car", 304, 104, 416, 184), ("car", 560, 8, 640, 64)]
    frame = picture(640, 240, objects)  # 320 x 120 of the input: 128 rows of 320 do
    fitted = detector.for_frames(640, 240)
    assert detector.for_frames(320, 320) is detector
    (whole,), (seen,) = detector.detect([frame]), fitted.detect([frame])
    assert seen.counts() == whole.counts() == {"person": 1, "car": 2}
    assert fitted.begin(frame).result().boxes.tolist() == seen.boxes.tolist()
    for name, *box in objects:
        best = max(overlap(found, np.array(box)) for found in seen.boxes[seen.class_ids == seen.names.index(name)])
        assert best > 0.7, (name, box, seen.boxes)
    # frames of other sizes are seen, too, in their order
    other = picture(320, 320, [("person", 48, 48, 112, 144)])
    assert [sum(one.counts().values()) for one in fitted.detect([frame, other, frame])] == [3, 1, 3]
    with pytest.raises(ValueError, match="expected x1 < x2"):
        detector.for_frames(640, 240, (100, 0, 100, 240))
