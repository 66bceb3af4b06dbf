"""Six models that differ from a good one only in their bytes, or in what they learnt from: six of six are refused.

Each by the gate that is there for it, and by no other; the unharmed model passes them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

import mlflow
import pytest
from mlflow import MlflowClient

import camera_counting
from camera_counting.detectors import open_detector
from camera_counting.errors import CountingError
from counting_evaluator import EvaluationError, read_table
from counting_evaluator.turns import latency_ratio
from model_governance import collect
from pipelines import evaluate, promote, register
from pipelines.datasets.manifest import load_dataset
from pipelines.datasets.mlflow_dataset import CameraDataset
from pipelines.labelled_table import labelled_table, stored_source
from tests.own_store import own_store
from tests.planted_faults import plant, street
from tests.toy_detector import build

NAME = "street-counter"
FIRST = """
format_version: 1
quality:
  - {metric: detection/recall/person, min: 0.9, reason: nobody may go unseen}
  - {metric: detection/recall/car, min: 0.9, reason: no class may be dropped}
  - {metric: count/bias, max: 0.2, reason: nobody may be counted twice}
  - {metric: slice/light/day/count/mae, max: 0.3, reason: counts must be right by day}
  - {metric: slice/light/night/count/mae, max: 0.3, reason: and at night}
  - {metric: data/test_pictures_learnt, max: 0, reason: what was learnt by heart says nothing of tomorrow}
records:
  - {dataset: training, reason: what it learnt from must be known}
freshness:
  - {unchanged_since_evaluation: true, max_age_days: 1, reason: figures count only for these very files}
"""
SECOND = (
    FIRST
    + """
performance:
  # the lower end of the interval: what is shown, not what a busy machine made of it
  - {metric: against/champion/latency/ratio/low, max: 1.2, reason: it must keep up with as many cameras}
champion:
  - {metric: count/mae, better: lower, worse_by_at_most: 0.05, reason: a new model may not count worse}
"""
)
NIGHT, DAY = "slice/light/night/count/mae", "slice/light/day/count/mae"
WORSE = "count/mae against the champion"
REASONS = {
    "none": set(),
    "drops a class": {"detection/recall/car", DAY, NIGHT, WORSE},
    "blind at night": {"detection/recall/person", "detection/recall/car", NIGHT, WORSE},
    "counts double": {"count/bias", DAY, NIGHT, WORSE},
    "slower": {"against/champion/latency/ratio/low"},
    "tampered": {"files unchanged since evaluation"},
}


class Shop:
    """One store with a sound champion, in which candidates are evaluated and registered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = street(folder / "data")
        # Heavy beside what a fault adds to it: twice the boxes to decode are ten percent of a toy alone.
        self.sound = plant(
            "slower", build(folder / "toy.onnx", size=(256, 256)), folder / "sound.onnx", strength=64
        )
        self.policies = {}
        for name, text in (("first", FIRST), ("second", SECOND)):
            self.policies[name] = folder / f"{name}.yaml"
            self.policies[name].write_text(text)
        champion = self.log(self.sound)
        self.evaluate(champion, against=("baseline",))
        registered = self.register(champion, "first")
        assert registered.passed, [row.sentence() for row in registered.verdict.failures]
        promote.run(
            promote.PromoteSettings(name=NAME, version=registered.version, approver="Ann", comment="looked at it")
        )

    def log(self, detector: Path, *, learnt: str = "train") -> str:
        """As a training leaves a model: its run names the data."""
        dataset = load_dataset(self.data)
        with mlflow.start_run(run_name=detector.stem):
            mlflow.log_input(CameraDataset(dataset, stored_source(dataset), learnt), context="training")
            return str(camera_counting.log_model(detector, confidence=0.5).model_uri)

    def evaluate(self, uri: str, against: tuple[str, ...] = ("champion",)) -> evaluate.EvaluateResult:
        settings = evaluate.EvaluateSettings(
            model_uri=uri, data=self.data, name=NAME, against=against, worst=0, robustness=False, behaviour=False
        )
        return evaluate.run(settings)

    def register(self, uri: str, policy: str = "second") -> register.RegisterResult:
        return register.run(register.RegisterSettings(model_uri=uri, name=NAME, policy=self.policies[policy]))

    def planted(self, fault: str) -> Path:
        """The sound detector with this fault; the slower one by thirty percent or so on this machine, surely."""
        path = self.folder / f"{fault.replace(' ', '_')}.onnx"
        if fault == "tampered":
            return plant("none", self.sound, path)
        if fault != "slower":
            return plant(fault, self.sound, path)
        pictures = read_table(labelled_table(load_dataset(self.data), "test"))
        for channels in (32, 48, 72, 96, 128, 192, 256):
            slower = open_detector(plant("slower", self.sound, path, strength=channels))
            if latency_ratio(slower, open_detector(self.sound), pictures).low >= 1.35:
                return path
        raise AssertionError("expected some amount of work to make the detector 30 % slower")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    with own_store(folder):
        yield Shop(folder)


@pytest.mark.parametrize("fault", REASONS)
def test_each_is_refused_for_what_is_wrong_with_it(shop: Shop, fault: str) -> None:
    uri = shop.log(shop.planted(fault))
    result = shop.evaluate(uri)
    if fault == "tampered":
        tamper(uri)
        with pytest.raises(CountingError):
            camera_counting.load_model(uri)

    registered = shop.register(uri)

    assert {row.gate for row in registered.verdict.failures} == REASONS[fault]
    version = MlflowClient().get_model_version(NAME, registered.version)
    assert version.tags["gates"] == ("failed" if REASONS[fault] else "passed")
    assert version.current_stage == ("None" if REASONS[fault] else "Staging")
    if fault == "slower":
        assert result.metrics["against/champion/latency/ratio"] > 1.2
        assert result.metrics["against/champion/count/mae/difference"] == 0
    if fault == "none":
        assert result.metrics["against/champion/count/mae/p"] == 1


def tamper(uri: str) -> None:
    """Exchange some bytes of the detector where it is stored, as whoever can write the artifact store could."""
    logged = MlflowClient().get_logged_model(uri.removeprefix("models:/"))
    place = Path(unquote(urlparse(logged.artifact_location).path))
    [detector] = place.rglob("detector.onnx")
    content = bytearray(detector.read_bytes())
    content[len(content) // 2] ^= 0xFF
    detector.write_bytes(content)


def test_a_model_that_learnt_from_the_test_pictures_is_not_even_measured(shop: Shop) -> None:
    uri = shop.log(plant("none", shop.sound, shop.folder / "learnt.onnx"), learnt="test")
    with pytest.raises(EvaluationError, match=r"learnt from 24 of the 24 test pictures.*street-test"):
        shop.evaluate(uri)
    assert collect(uri).evaluation_run_id is None, "and nothing of it is evidence"

    registered = shop.register(uri)

    assert not registered.passed
    assert "data/test_pictures_learnt" in {row.gate for row in registered.verdict.failures}


def test_a_model_of_unknown_learning_is_measured_but_does_not_pass(shop: Shop) -> None:
    with mlflow.start_run():
        detector = plant("none", shop.sound, shop.folder / "unknown.onnx")
        uri = str(camera_counting.log_model(detector, confidence=0.45).model_uri)
    metrics = shop.evaluate(uri).metrics
    assert "data/test_pictures_learnt" not in metrics
    registered = shop.register(uri)
    assert {row.gate for row in registered.verdict.failures} == {"data/test_pictures_learnt", "data training"}
