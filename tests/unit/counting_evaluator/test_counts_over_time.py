"""Courses of line counts and occupancy, against tables worked out by hand and a clip that is really counted."""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from toy_detector import build, picture

from camera_counting.detectors import open_detector
from camera_counting.model import CountingModel
from camera_counting.video import ClipWriter
from counting_evaluator.clip_count import ClipCount, count_clip
from counting_evaluator.clip_truth import TrueClip, read_clip_truth
from counting_evaluator.config import ClipTruth
from counting_evaluator.errors import EvaluationError
from counting_evaluator.lines import compare_clip, compare_lines, line_errors
from counting_evaluator.occupancy import occupancy_differences, sample_frames

Times = dict[tuple[str, str, str], tuple[float, ...]]
CAR_IN, CAR_OUT, BUS_IN = ("gate", "in", "car"), ("gate", "out", "car"), ("gate", "in", "bus")


def _lines(times: Times) -> dict[str, Any]:
    by_class: dict[str, dict[str, int]] = {}
    for (_, way, name), seconds in times.items():
        by_class.setdefault(name, {"in": 0, "out": 0})[way] += len(seconds)
    return {"gate": {"by_class": by_class}}


def _cells(counted: Times, true: Times, seconds: float = 10) -> list[Any]:
    seen = ClipCount(_lines(counted), counted, {}, 100, seconds)
    return compare_clip("a", seen, TrueClip(_lines(true), true, {}, 100, 100 / seconds))


def test_the_course_of_a_count_worked_out_by_hand() -> None:
    # Ten segments of a second. The car of 0.5 s is counted at 2.5 s: one too few in the segments 1 and 2, whose
    # weights are 1/55 and 2/55. The bus is never counted.
    true: Times = {CAR_IN: (0.5, 7.5), BUS_IN: (9.5,)}
    cells = {cell.class_name: cell for cell in _cells({CAR_IN: (2.5, 7.6)}, true) if cell.direction == "in"}
    assert cells["car"].nwrmse == pytest.approx(1 - sqrt(3 / 55) / 2)
    # Missing in the last segment of ten, with the weight 10/55.
    assert cells["bus"].nwrmse == pytest.approx(1 - sqrt(10 / 55))
    figures = line_errors(_cells({CAR_IN: (2.5, 7.6)}, true))
    assert figures["nwrmse/car"] == pytest.approx(cells["car"].nwrmse)
    assert figures["nwrmse"] == pytest.approx((2 * cells["car"].nwrmse + cells["bus"].nwrmse) / 3)
    assert figures["error"] == pytest.approx(1 / 3), "which sees the bus, and not that the car came late"


def test_geh_scales_movements_to_an_hour() -> None:
    # In 36 s, a hundredth of an hour: 11 for 9 are 1100 for 900: sqrt(2 * 200^2 / 2000); out, 1 for 1 is 0.
    true: Times = {CAR_IN: tuple(range(4)), BUS_IN: tuple(range(5)), CAR_OUT: (1,)}
    counted: Times = {CAR_IN: tuple(range(11)), CAR_OUT: (1,)}
    figures = line_errors(_cells(counted, true, seconds=36))
    assert figures["geh"] == pytest.approx(sqrt(40) / 2)
    assert figures["geh_below_5"] == 0.5
    [bus] = [cell for cell in _cells(counted, true, 36) if (cell.class_name, cell.direction) == ("bus", "in")]
    assert bus.geh == pytest.approx(sqrt(2 * 500**2 / 500))


def test_without_times_or_crossings_there_is_no_course() -> None:
    untimed = compare_clip(
        "a", ClipCount(_lines({CAR_IN: (1,)}), {}, {}, 100, 10), TrueClip(_lines({CAR_IN: (1,)}))
    )
    assert "nwrmse" not in line_errors(untimed)
    assert "geh" in line_errors(untimed)
    nobody = line_errors(_cells({CAR_IN: (1,)}, {}))
    assert "nwrmse" not in nobody
    assert nobody["error"] == 1
    of_counts_alone = line_errors(compare_lines("a", _lines({CAR_IN: (1,)}), _lines({CAR_IN: (1,)})))
    assert not {"geh", "nwrmse"} & set(of_counts_alone)


def test_frames_that_are_missing_are_told() -> None:
    seen = ClipCount(_lines({}), {}, {}, 90, 9)
    with pytest.raises(EvaluationError, match="clip a: its truth covers 100 frames, 90 were counted"):
        compare_clip("a", seen, TrueClip(_lines({}), {}, {}, 100, 10))


def test_another_clock_is_told() -> None:
    """A folder of pictures is read at one per second, whatever its truth says."""
    times: Times = {CAR_IN: (1.5,)}
    true = TrueClip(_lines(times), times, {}, 100, 10)
    with pytest.raises(EvaluationError, match=r"clip a: lasts 10\.00 s by its truth .* 100\.00 s as it is read"):
        compare_clip("a", ClipCount(_lines(times), times, {}, 100, 100.0), true)
    late = TrueClip(_lines(times), {CAR_IN: (11.5,)})
    with pytest.raises(EvaluationError, match=r"a crossing at 11\.50 s, but it ends at 10\.00 s"):
        compare_clip("a", ClipCount(_lines(times), times, {}, 100, 10.0), late)


@pytest.mark.parametrize(
    ("frames", "fps", "expected"),
    [(10, 10, []), (11, 10, [10]), (25, 10, [10, 20]), (8, 2.5, [2, 5]), (3, 0.5, [1, 2])],
)
def test_samples_are_a_second_apart(frames: int, fps: float, expected: list[int]) -> None:
    assert sample_frames(frames, fps).tolist() == expected


def test_zones_must_be_those_of_the_truth() -> None:
    true = TrueClip({}, None, {"room": (0, 0), "hall": (0, 0)}, 2, 1)
    with pytest.raises(
        EvaluationError, match="clip a: its truth tells of the zones hall, room, its scene of room"
    ):
        occupancy_differences("a", ClipCount({}, {}, {"room": (0, 0)}, 2, 2), true)


def test_a_clip_is_counted_with_its_times_and_its_zone(tmp_path: Path) -> None:
    """A car drives to the right, over a line at 1.05 s, into a zone at about 1.5 s and out of it at 2.5 s."""
    frames, video = 40, tmp_path / "drive.mp4"
    inside = []
    with ClipWriter(video, 10) as writer:
        for number in range(frames):
            middle = 50 + 6 * number
            inside.append(int(140 <= middle <= 200))
            writer.write(picture(320, 256, [("car", middle - 25, 100, middle + 25, 140)]), number / 10)
    scene = {
        "camera": "cam-1",
        "lines": [{"name": "gate", "from": [113, 240], "to": [113, 20]}],
        "zones": [{"name": "room", "polygon": [[140, 60], [200, 60], [200, 200], [140, 200]]}],
    }
    (tmp_path / "scene.yaml").write_text(json.dumps(scene))
    truth = {
        "lines": {"gate": {"in": 1, "out": 0, "by_class": {"car": {"in": 1, "out": 0}}}},
        "events": [{"line": "gate", "class": "car", "direction": "in", "seconds": 1.05}],
        "zones": {"room": {"occupancy": inside}},
        "frames": frames,
        "fps": 10,
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    clip = ClipTruth(name="drive", video=video, scene=tmp_path / "scene.yaml", truth=tmp_path / "truth.json")
    model = CountingModel(open_detector(build(tmp_path / "toy.onnx", size=(320, 256))))
    counted, true = count_clip(model, clip, 0.5), read_clip_truth(clip)

    assert counted.frames == frames
    assert len(counted.occupancy["room"]) == frames
    [[seconds]] = counted.times.values()
    assert seconds == pytest.approx(1.05, abs=0.1)
    assert line_errors(compare_clip("drive", counted, true, ["car"]))["nwrmse"] == pytest.approx(1, abs=0.2)
    assert occupancy_differences("drive", counted, true) == {"room": [0, 0, 0]}
    assert true.occupancy is not None
    assert [true.occupancy["room"][frame] for frame in (10, 20, 30)] == [0, 1, 0], "at the seconds 1, 2 and 3"
    never = ClipCount(counted.lines, counted.times, {"room": (0,) * frames}, frames, 4.0)
    assert occupancy_differences("drive", never, true) == {"room": [0, -1, 0]}
