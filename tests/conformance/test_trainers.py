"""What every trainer must do, whatever library it stands on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from rectangles import CLASSES, write_rectangles

from camera_counting.detectors import open_detector
from pipelines.datasets.manifest import PreparedDataset, load_dataset
from pipelines.trainers import (
    TRAINERS,
    Epoch,
    Trained,
    TrainingError,
    TrainingListener,
    TrainingPlan,
    make_trainer,
)
from pipelines.trainers.agreement import require_agreement
from pipelines.trainers.checked_export import agreement_of, input_shape

pytestmark = pytest.mark.slow

# The smallest network of each trainer, and options that let it learn rectangles within seconds.
SMALL = {
    "ultralytics": (
        str(Path(__file__).parents[1] / "tiny_yolo.yaml"),
        {"lr0": 0.01, "mosaic": 0.0, "plots": False},
    ),
    "torchvision": (
        "fcos_mobilenet_v3_small_fpn",
        {"lr0": 0.003, "zoom": 0.0, "shift": 0.0, "colour": 0.1, "plots": False},
    ),
}


class _Heard(TrainingListener):
    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.batches: list[tuple[int, int, int]] = []

    def on_epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch.number)

    def on_batch(self, epoch: int, done: int, total: int) -> None:
        self.batches.append((epoch, done, total))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    sizes = {"train": 32, "val": 6, "test": 2}
    return load_dataset(write_rectangles(tmp_path_factory.mktemp("data") / "set", pictures=sizes))


@pytest.fixture(scope="module", params=list(TRAINERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _plan(name: str, dataset: PreparedDataset, **changes: object) -> TrainingPlan:
    model, options = SMALL[name]
    values: dict[str, object] = {
        "data": dataset.folder, "digest": dataset.digest, "classes": dataset.classes, "model": model, "epochs": 4,
        "image_size": 96, "batch": 4, "device": "cpu", "options": options,
    }  # fmt: skip
    return TrainingPlan(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(
    name: str, dataset: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Trained, _Heard]:
    folder, heard = tmp_path_factory.mktemp("training"), _Heard()
    return folder, make_trainer(name).train(_plan(name, dataset), folder, heard), heard


def test_every_trainer_has_a_small_network_here() -> None:
    assert set(SMALL) == set(TRAINERS)


def test_progress_is_told(trained: tuple[Path, Trained, _Heard]) -> None:
    _, result, heard = trained
    assert heard.epochs == [1, 2, 3, 4] == [epoch.number for epoch in result.epochs]
    assert heard.batches[0] == (1, 1, 8)
    assert heard.batches[-1] == (4, 8, 8)


def test_epochs_have_the_figures_that_people_compare(trained: tuple[Path, Trained, _Heard]) -> None:
    _, result, _ = trained
    wanted = {"val/map50", "val/map50_95", "val/precision", "val/recall", "lr", "seconds"}
    for epoch in result.epochs:
        assert wanted <= set(epoch.metrics)
        assert any(each.startswith("train/") for each in epoch.metrics)
    assert [epoch.last for epoch in result.epochs] == [False, False, False, True]
    figures = [epoch.metrics["val/map50_95"] for epoch in result.epochs]
    assert len(set(figures)) == 4, "epochs that do not differ have no best one"
    assert result.best.number == 1 + figures.index(max(figures))
    assert result.checkpoint.is_file()


def test_a_finished_training_returns_at_once(
    name: str, dataset: PreparedDataset, trained: tuple[Path, Trained, _Heard]
) -> None:
    folder, result, _ = trained
    heard = _Heard()
    again = make_trainer(name).train(_plan(name, dataset), folder, heard)
    assert again.epochs == result.epochs
    assert heard.epochs == [1, 2, 3, 4]
    assert heard.batches == [], "nothing is trained again"


def test_another_plan_is_refused(
    name: str, dataset: PreparedDataset, trained: tuple[Path, Trained, _Heard]
) -> None:
    with pytest.raises(TrainingError, match="seed was 0, is 7"):
        make_trainer(name).train(_plan(name, dataset, seed=7), trained[0], _Heard())


def test_export_and_original_agree(
    name: str, dataset: PreparedDataset, trained: tuple[Path, Trained, _Heard], tmp_path: Path
) -> None:
    _, result, _ = trained
    trainer = make_trainer(name)
    shape = input_shape([(sample.width, sample.height) for sample in dataset.samples("train")], 96)
    exported = trainer.export(result.checkpoint, tmp_path, shape)
    assert exported == tmp_path / "model.onnx"
    detector = open_detector(exported, classes=CLASSES, iou=trainer.suppression)
    agreement = agreement_of(trainer, result, detector, [s.path for s in dataset.samples("val")], shape)
    assert agreement.boxes > 0, "two blind detectors agree on nothing"
    require_agreement(agreement)
    picture = cv2.imread(str(dataset.samples("test")[0].path), cv2.IMREAD_COLOR_RGB)
    [seen] = trainer.detect(result.checkpoint, [np.asarray(picture, np.uint8)], shape, 0.05)
    assert seen.names == CLASSES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "no-such-network.yaml"}, "no-such-network"),
        ({"weights": Path("absent.pt")}, "absent.pt, there is none; nothing is downloaded"),
        ({"options": {"epochs": 3}}, "epochs"),
        ({"options": {"no_such_option": 3}}, "no_such_option"),
    ],
)
def test_a_plan_that_cannot_be_trained_is_refused(
    name: str, dataset: PreparedDataset, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        make_trainer(name).train(_plan(name, dataset, **changes), tmp_path, _Heard())
