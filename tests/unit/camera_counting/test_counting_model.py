"""`CountingModel` with a small real detector: what it counts in pictures, and when it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from camera_counting.detectors import open_detector
from camera_counting.errors import RequestError, SceneError, SourceError
from camera_counting.model import CountingModel
from camera_counting.scene import Scene
from tests.toy_detector import build, picture


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CountingModel:
    return CountingModel(open_detector(build(tmp_path_factory.mktemp("toy") / "toy.onnx")))


def test_what_the_picture_cuts_off_is_in_a_zone_that_reaches_its_border(model: CountingModel) -> None:
    # the person's box ends with the picture, so its feet are clipped to y = 480
    cut = picture(640, 480, [("person", 80, 320, 160, 480), ("car", 320, 80, 440, 160)])
    scene = Scene.from_dict(
        {
            "zones": [
                {"name": "all", "polygon": [[0, 0], [640, 0], [640, 480], [0, 480]]},
                {"name": "right", "polygon": [[200, 0], [640, 0], [640, 480], [200, 480]]},
            ]
        }
    )
    (count,) = model.count(cut, scene=scene)
    assert count.detections.boxes[:, 3].max() == 480
    assert count.zones == {"all": {"person": 1, "car": 1}, "right": {"person": 0, "car": 1}}


def test_a_confidence_that_is_none_is_refused_by_all(model: CountingModel) -> None:
    grey = picture(320, 320, [])
    for call in (model.detect, lambda images, confidence: model.count(images, confidence=confidence)):
        with pytest.raises(RequestError, match=r"confidence: expected a number from 0 to 1, got 25"):
            call(grey, 25)


def test_a_stream_refuses_what_makes_no_sense_before_its_first_event(model: CountingModel, tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(picture(320, 320, [])).save(tmp_path / f"{i}.png")
    lorries = Scene.from_dict({"lines": [{"name": "L", "from": [0, 0.5], "to": [1, 0.5], "classes": ["lorry"]}]})
    with pytest.raises(SceneError, match="lorry"):
        model.stream(tmp_path, lorries)
    with pytest.raises(RequestError, match="got 25"):
        model.stream(tmp_path, confidence=25)
    with pytest.raises(SourceError):
        model.stream(tmp_path / "none.mp4")
