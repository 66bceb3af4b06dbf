"""The camera worker while the alias moves: real registry, real models, counts and tracks kept."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

import camera_counting
from camera_counting.video import Frame
from model_governance.artifact import artifact_digest
from serving.camera.config import CameraSettings, read_config
from serving.camera.following import Loaded, ModelInUse, ModelMissingError
from serving.camera.lasting_count import LastingCount
from serving.camera.state import StateStore
from serving.camera.worker import Worker
from tests.street import SCENE, save_toy, street, write_config, write_street

pytestmark = pytest.mark.slow

NAME = "camera-counter"


class Registry:
    """Versions of one model, whose files lie in a folder that the test can change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = MlflowClient()
        self.client.create_registered_model(NAME)

    def add(self, classes: tuple[str, ...] = ("person", "car"), confidence: float = 0.3) -> str:
        files = self.folder / f"store-{len(classes)}-{confidence}"
        save_toy(files, classes=classes, confidence=confidence)
        tags = {"artifact_digest": artifact_digest(str(files))}
        return str(self.client.create_model_version(NAME, str(files), tags=tags).version)

    def files(self, version: str) -> Path:
        return Path(self.client.get_model_version(NAME, version).source)

    def alter(self, version: str) -> None:
        """Somebody changes a file of it in the artifact store."""
        with (self.files(version) / "MLmodel").open("a") as file:
            file.write("# altered\n")

    def serve(self, version: str) -> None:
        self.client.set_registered_model_alias(NAME, "serving", version)


@pytest.fixture
def registry(tracking: str, tmp_path: Path) -> Registry:
    return Registry(tmp_path)


@pytest.fixture
def worker(registry: Registry, tmp_path: Path) -> Iterator[Worker]:
    write_street(tmp_path / "street.mp4", 1)
    config = write_config(
        tmp_path / "worker" / "cameras.yaml",
        model=f"models:/{NAME}@serving",
        follow_interval=0.1,
        cameras=[
            {
                "name": "street",
                "source": str(tmp_path / "street.mp4"),
                "scene": {**SCENE, "lines": [{**SCENE["lines"][0], "classes": ["person", "car"]}]},
                "clip": {"pace": "real-time", "repeat": True},
            }
        ],
    )
    worker = Worker(read_config(config))
    yield worker
    worker.stop()


def wait_for(done: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)


def test_versions_take_over_between_two_frames(worker: Worker, registry: Registry) -> None:
    worker.start()
    wait_for(lambda: worker.status().model_error)
    assert "no version of camera-counter has the alias serving; promote one" in worker.status().model_error
    (street,) = worker.status().cameras
    assert (street.state, street.error) == ("connecting", "there is no model to count with yet")

    first = registry.add()
    registry.serve(first)
    wait_for(lambda: worker.status().version == first)
    wait_for(lambda: worker.status().cameras[0].detected > 10)
    # an altered file, and a version that does not know what is counted: the old one goes on, and it is told why
    forged = registry.add(confidence=0.31)
    registry.alter(forged)
    registry.serve(forged)
    wait_for(lambda: "is refused, version 1 goes on counting" in worker.status().model_error)
    assert "which were approved; the artifact store has" in worker.status().model_error
    registry.serve(registry.add(classes=("person", "truck"), confidence=0.32))
    wait_for(lambda: "it does not know car, which the camera street counts" in worker.status().model_error)
    assert worker.status().version == first
    frames = worker.status().cameras[0].detected
    wait_for(lambda: worker.status().cameras[0].detected > frames + 3)

    # another version, with its classes in another order and one more
    other = registry.add(classes=("truck", "car", "person"), confidence=0.33)
    registry.serve(other)
    wait_for(lambda: worker.status().version == other and not worker.status().model_error)

    def crossed() -> dict[str, int]:
        return worker.status().cameras[0].today["lines"]["middle"]

    before = crossed()
    wait_for(lambda: all(crossed()[way] > before[way] for way in ("in", "out")), seconds=20)
    rows = [row for row in worker.intervals("street", "day") if row["kind"] == "line"]
    assert {(row["class"], way) for row in rows for way in ("in", "out") if row[way]} == {
        ("person", "in"),
        ("car", "out"),
    }


def test_tracks_are_kept_when_a_version_takes_over(tmp_path: Path) -> None:
    """Frame by frame: the alias moves in the middle of the street, and it is counted as if it had not."""
    old = Loaded(camera_counting.load_model(save_toy(tmp_path / "old")), "1", 0)
    other = save_toy(tmp_path / "new", classes=("truck", "car", "person"))
    new = Loaded(camera_counting.load_model(other), "2", 1)
    store = StateStore(tmp_path / "state")
    settings = CameraSettings.model_validate({"name": "street", "source": "rtsp://h/1", "scene": SCENE})
    count = LastingCount(settings, store)
    happened, ids, now = [], [], datetime(2026, 5, 1, tzinfo=UTC)
    for index, image in enumerate(street(60)):
        loaded = old if index < 25 else new
        (found,) = loaded.model.detector.detect([image])
        tracks, records = count.step(found, Frame(index, index / 10, image), now, loaded)
        happened += records
        classes = [tracks.names[class_id] for class_id in tracks.class_ids.tolist()]
        ids.append(dict(zip(classes, tracks.ids.tolist(), strict=True)))
    assert ids[24] == ids[25] == ids[50]
    assert set(ids[50]) == {"person", "car"}
    crossings = [(r.direction, r.class_name, r.model_version) for r in happened if r.kind == "crossing"]
    # the person crosses in the 21st frame, the car in the 35th
    assert sorted(crossings) == [("in", "person", "1"), ("out", "car", "2")]
    store.close()


def test_a_restart_needs_neither_registry_nor_store(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.serve(registry.add())
    uri, home = f"models:/{NAME}@serving", tmp_path / "models"
    first = ModelInUse(uri, home)
    first.look()
    assert first.version == "1"
    shutil.rmtree(registry.files("1"))
    # the registry knows the same version: what was kept is taken
    again = ModelInUse(uri, home)
    again.look()
    assert (again.version, again.error) == ("1", "")
    # the registry is away
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_registry_uri("http://127.0.0.1:9")
    alone = ModelInUse(uri, home)
    alone.look()
    assert alone.version == "1"
    assert "the registry does not answer, version 1 goes on counting" in alone.error
    # what was kept was changed meanwhile
    with next(home.glob("*/**/MLmodel")).open("a") as file:
        file.write("# altered\n")
    altered = ModelInUse(uri, home)
    altered.look()
    assert altered.current is None
    assert "nothing can be counted yet" in altered.error


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"model: expected a model that counts at .*nowhere"):
        ModelInUse(str(tmp_path / "nowhere"), tmp_path / "models").start()
