"""Which pictures INT8 is calibrated on, and that they reach the graph as the detector lays them out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_detector import build, picture

from camera_counting.detectors import InputSpec, open_detector
from camera_counting.detectors.onnxruntime_runtime import OnnxRuntimeRuntime
from pipelines.datasets.manifest import Manifest, PictureEntry, PreparedDataset
from pipelines.optimisation.calibration import choose_calibration, graph_input


def dataset(cameras: list[str | None]) -> PreparedDataset:
    entries = tuple(
        PictureEntry(file=f"{number}.png", sha256=f"{number:064x}", width=8, height=8, camera=camera)
        for number, camera in enumerate(cameras)
    )
    return PreparedDataset(Path(), Manifest(name="x", classes=("car",), source="x", splits={"train": entries}))


@given(
    cameras=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=40),
    pictures=st.integers(1, 50),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_each_camera_gives_as_many_as_the_others_while_it_has_some(
    cameras: list[str | None], pictures: int, seed: int
) -> None:
    chosen = choose_calibration(dataset(cameras), pictures, seed).entries
    assert len(chosen) == len({entry.sha256 for entry in chosen}) == min(pictures, len(cameras))
    have, took = Counter(cameras), Counter(entry.camera for entry in chosen)
    most = max(took.values())
    for camera, number in have.items():
        assert took[camera] in (number, most, most - 1), "unless it has no more"
        assert took[camera] >= min(number, most - 1)


def test_the_choice_is_the_seeds_and_not_the_orders() -> None:
    pictures = dataset(["a"] * 9 + ["b"] * 30)
    backwards = PreparedDataset(
        Path(), pictures.manifest.model_copy(update={"splits": {"train": pictures.manifest.splits["train"][::-1]}})
    )
    first = choose_calibration(pictures, 12, 1)
    assert first.digest == choose_calibration(backwards, 12, 1).digest
    assert first.digest != choose_calibration(pictures, 12, 2).digest


@pytest.mark.parametrize(
    ("head", "layout", "dtype"),
    [
        ("yolov8", "NCHW", "float32"),
        ("yolov8", "NHWC", "float16"),
        ("yolov8", "NCHW", "uint8"),
        ("yolox", "NCHW", "float32"),
    ],
)
def test_the_graph_is_shown_what_the_runtime_shows_it(tmp_path: Path, head: str, layout: str, dtype: str) -> None:
    path = build(tmp_path / "toy.onnx", head=head, layout=layout, dtype=dtype, size=(128, 96))
    detector = open_detector(path, runtime="onnxruntime")
    runtime = detector.runtime
    assert isinstance(runtime, OnnxRuntimeRuntime)
    image = picture(200, 100, [("person", 20, 20, 60, 80), ("car", 100, 30, 160, 70)])
    image[::7, ::5] = (10, 90, 200)
    shown = []

    def note(canvas: np.ndarray) -> None:
        detector._writer(image)(canvas)
        shown.append(runtime._tensor(canvas))

    list(runtime.run([note], lambda _, output: output))
    given_ = graph_input(image, detector.spec)
    assert (given_.dtype, given_.shape) == (shown[0].dtype, shown[0].shape)
    np.testing.assert_allclose(given_.astype(np.float64), shown[0].astype(np.float64), atol=1e-6)


def test_a_part_of_the_input_stays_grey() -> None:
    spec = InputSpec(width=64, height=64, scale=1.0, color="BGR", anchor="top-left")
    given_ = graph_input(np.full((32, 64, 3), (1, 2, 3), np.uint8), spec)
    assert given_[0, :, 0, 0].tolist() == [3, 2, 1]
    assert given_[0, :, 40, 0].tolist() == [114, 114, 114]
