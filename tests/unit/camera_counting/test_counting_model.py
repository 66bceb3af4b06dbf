"""`CountingModel` with a small real detector: what it counts in pictures, and when it refuses."""

from __future__ import annotations

import pytest

from camera_counting.detectors import open_detector
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
