"""Networks of torchvision: what they answer as one array, against what the library itself makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rectangles import CLASSES, write_rectangles

from camera_counting.detectors import open_detector
from pipelines.datasets.manifest import load_dataset
from pipelines.trainers import Epoch, TrainingError, TrainingListener, TrainingPlan, make_trainer
from pipelines.trainers.torchvision_networks import NETWORKS, build_network, candidates
from pipelines.trainers.torchvision_pictures import TrainingPictures, Variation

pytestmark = pytest.mark.slow

SHAPE = (64, 96)
SMALLEST = "fcos_mobilenet_v3_small_fpn"
OPTIONS = {"lr0": 0.003, "plots": False}


@pytest.mark.parametrize("name", ["ssdlite320_mobilenet_v3_large", SMALLEST])
def test_candidates_are_the_boxes_that_the_library_decodes(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = build_network(name, 1, SHAPE).eval()
        for parameter in network.head.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        picture = torch.rand(3, *SHAPE)
    # The library's own answer with everything let through: with one class there is no second one to drop.
    network.score_thresh, network.nms_thresh = 0.0, 1.0
    network.detections_per_img = network.topk_candidates = 10_000
    with torch.no_grad():
        [theirs] = network([picture])
        boxes, scores = (each[0].numpy() for each in candidates(network, picture[None]))
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, SHAPE[1])  # the library clips; the flavour does so when it serves
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, SHAPE[0])
    assert len(theirs["boxes"]) == len(boxes) > 100
    order = np.argsort(-scores[:, 0], kind="stable")
    np.testing.assert_allclose(np.sort(scores[:, 0])[::-1], theirs["scores"].numpy(), atol=1e-5)
    for place in range(0, len(boxes), 7):
        near = boxes[order][np.abs(scores[order, 0] - float(theirs["scores"][place])) < 1e-5]
        assert np.abs(near - theirs["boxes"][place].numpy()).max(axis=1).min() < 1e-2


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(TrainingError, match=r"ssdlite320.*got 'yolo11n.yaml'"):
        build_network("yolo11n.yaml", 2, SHAPE)


def test_every_network_takes_pictures_of_the_size_they_come_in() -> None:
    for name in NETWORKS:
        network = build_network(name, 2, SHAPE)
        images, _ = network.transform([torch.zeros(3, *SHAPE)], None)
        assert tuple(images.tensors.shape[-2:]) == SHAPE, name


def test_boxes_follow_the_picture_when_it_is_varied(tmp_path: Path) -> None:
    dataset = load_dataset(write_rectangles(tmp_path / "set", pictures={"train": 6, "val": 1, "test": 1}))
    pictures = TrainingPictures(
        dataset.samples("train"), CLASSES, SHAPE, 1, Variation(flip=0.5, zoom=0.2, shift=0.05, colour=0.0), seed=3
    )
    checked = 0
    for epoch in (1, 2):
        pictures.epoch = epoch
        for number in range(len(pictures)):
            picture, target = pictures[number]
            again, _ = pictures[number]
            assert torch.equal(picture, again), "seed, epoch and number decide"
            for box, label in zip(target["boxes"], target["labels"], strict=True):
                x, y = (int(value) for value in (box[:2] + box[2:]) / 2)
                red, blue = float(picture[0, y, x]), float(picture[2, y, x])
                assert (red > blue) == (label == 1), "a person is red, a car blue"
                checked += 1
    assert checked > 12


class _Killed(TrainingListener):
    def __init__(self, epoch: int) -> None:
        self.at = epoch

    def on_batch(self, epoch: int, done: int, total: int) -> None:
        if (epoch, done) == (self.at, 2):
            raise KeyboardInterrupt


def _plan(folder: Path, **changes: object) -> TrainingPlan:
    dataset = load_dataset(folder)
    values: dict[str, object] = {
        "data": folder, "digest": dataset.digest, "classes": CLASSES, "model": SMALLEST, "epochs": 3,
        "image_size": 96, "batch": 4, "device": "cpu", "options": OPTIONS,
    }  # fmt: skip
    return TrainingPlan(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rectangles(tmp_path_factory.mktemp("data") / "set", pictures={"train": 9, "val": 2, "test": 1})


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_trainer("torchvision").train(
        _plan(data), tmp_path_factory.mktemp("whole"), TrainingListener()
    ).checkpoint  # fmt: skip


def _last(folder: Path) -> dict[str, torch.Tensor]:
    [path] = folder.glob("last-*.pt")
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["model"]
    return state


def test_a_training_that_was_broken_off_ends_with_the_same_weights(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    trainer = make_trainer("torchvision")
    with pytest.raises(KeyboardInterrupt):
        trainer.train(_plan(data), tmp_path, _Killed(epoch=2))
    trained = trainer.train(_plan(data), tmp_path, TrainingListener())
    assert [epoch.number for epoch in trained.epochs] == [1, 2, 3]
    mine, theirs = _last(tmp_path), _last(whole.parent)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_frames_of_another_shape_are_seen_alike(whole: Path, tmp_path: Path) -> None:
    exported = make_trainer("torchvision").export(whole, tmp_path, SHAPE)
    detector = open_detector(exported, confidence=0.01)
    assert detector.names == CLASSES, "the file names its classes"
    frame = np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8)
    [plain], [fitted] = detector.detect([frame]), detector.for_frames(160, 90).detect([frame])
    assert len(plain) > 0
    np.testing.assert_array_equal(plain.boxes, fitted.boxes)


def test_weights_of_another_set_of_classes_are_a_beginning(data: Path, whole: Path, tmp_path: Path) -> None:
    heard: list[Epoch] = []

    class Hear(TrainingListener):
        def on_epoch(self, epoch: Epoch) -> None:
            heard.append(epoch)

    # With a learning rate of nearly nothing the first epoch shows what was taken over.
    still = OPTIONS | {"lr0": 1e-12}
    trainer = make_trainer("torchvision")
    trainer.train(_plan(data, weights=whole, epochs=1, options=still), tmp_path / "a", Hear())
    trainer.train(_plan(data, epochs=1, options=still), tmp_path / "b", Hear())
    begun, random = heard
    assert begun.metrics["train/cls_loss"] < 0.9 * random.metrics["train/cls_loss"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no tensors at all", "cannot be read as one"), (None, "weights of the same model")],
)
def test_weights_that_do_not_fit_are_refused(
    content: bytes | None, message: str, data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    if content is None:
        torch.save({"some.weight": torch.zeros(3)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        make_trainer("torchvision").train(_plan(data, weights=path), tmp_path / "t", TrainingListener())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 1}, "batch of at least 2"),
        ({"device": "0"}, "torch sees none here"),
        ({"options": {"flip": 3}}, "flip"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(
    changes: dict[str, object], message: str, data: Path, tmp_path: Path
) -> None:
    if changes.get("device") == "0" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TrainingError, match=message):
        make_trainer("torchvision").train(_plan(data, **changes), tmp_path, TrainingListener())
