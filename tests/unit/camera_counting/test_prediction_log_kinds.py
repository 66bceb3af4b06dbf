"""Events of live cameras and samples of their frames stand in the prediction log beside counts, and harm none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from camera_counting.detections import Detections
from camera_counting.errors import PredictionLogError
from camera_counting.prediction_log import (
    EVENT_KINDS,
    Prediction,
    PredictionLog,
    frame_sample,
    read_predictions,
    write_batch,
)
from tests.small_s3 import small_s3

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(number: int, **values: object) -> Prediction:
    told = {
        "camera_id": "gate",
        "kind": "crossing",
        "place": "entrance",
        "direction": "in",
        "class_name": "person",
    }
    return Prediction(id=f"e{number}", time=NOON + timedelta(hours=number), track=number, **{**told, **values})


def test_readers_of_counts_see_no_events(tmp_path: Path) -> None:
    log = PredictionLog(str(tmp_path))
    log.append([Prediction.now(time=NOON, camera_id="gate", counts={"person": 2}), event(1)])
    before = read_predictions(str(tmp_path))
    write_batch(str(tmp_path), [event(2), event(3, kind="entered", place="yard")], "worker-1-2")
    log.flush()
    after = read_predictions(str(tmp_path))
    pd.testing.assert_frame_equal(before, after, check_dtype=False)
    assert after[["kind", "total", "count_person"]].values.tolist() == [["image", 2, 2]]
    events = read_predictions(str(tmp_path), kinds=EVENT_KINDS)
    columns = ["id", "kind", "place", "direction", "class_name", "track", "total"]
    assert events[columns].values.tolist() == [
        ["e1", "crossing", "entrance", "in", "person", 1, 0],
        ["e2", "crossing", "entrance", "in", "person", 2, 0],
        ["e3", "entered", "yard", "in", "person", 3, 0],
    ]
    assert read_predictions(str(tmp_path), kinds="entered")["id"].tolist() == ["e3"]
    assert len(read_predictions(str(tmp_path), kinds=["image", "crossing"])) == 3


def test_a_log_from_before_there_were_events(tmp_path: Path) -> None:
    write_batch(
        str(tmp_path), [Prediction(id="a", time=NOON, camera_id="gate", counts={"person": 1}, total=1)], "b"
    )
    (file,) = tmp_path.rglob("*.parquet")
    old = pq.ParquetFile(file).read().drop_columns(["kind", "place", "direction", "class_name", "track"])
    pq.write_table(old, file)
    write_batch(str(tmp_path), [event(1)], "c")
    (row,) = read_predictions(str(tmp_path)).to_dict("records")
    assert (row["id"], row["total"], row["camera_id"]) == ("a", 1, "gate")
    assert read_predictions(str(tmp_path), kinds=EVENT_KINDS)["id"].tolist() == ["e1"]


def test_a_batch_that_is_written_again_overwrites_itself(tmp_path: Path) -> None:
    events = [event(1), event(2), event(20), event(3, camera_id="yard")]  # two days, two cameras
    write_batch(str(tmp_path), events[:1], "epoch-1-4")  # as a process leaves it that dies in between
    for _ in range(2):
        write_batch(str(tmp_path), events, "epoch-1-4")
    files = sorted(tmp_path.rglob("*.parquet"))
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        "date=2026-03-01/camera_id=gate/part-batch-epoch-1-4.parquet",
        "date=2026-03-01/camera_id=yard/part-batch-epoch-1-4.parquet",
        "date=2026-03-02/camera_id=gate/part-batch-epoch-1-4.parquet",
    ]
    ids = [name for file in files for name in pq.ParquetFile(file).read()["id"].to_pylist()]
    assert sorted(ids) == ["e1", "e2", "e20", "e3"]


def test_a_batch_in_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with small_s3() as store:
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", store.endpoint)
        store.objects["log"] = b""
        for _ in range(2):
            write_batch("s3://bucket/log", [event(1)], "epoch-1-1")
        assert [key for key in store.objects if key.endswith(".parquet")] == [
            "bucket/log/date=2026-03-01/camera_id=gate/part-batch-epoch-1-1.parquet"
        ]
        assert read_predictions("s3://bucket/log", kinds=EVENT_KINDS)["id"].tolist() == ["e1"]


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b"])
def test_the_name_of_a_batch(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name of a batch: expected letters, digits"):
        write_batch(str(tmp_path), [event(1)], name)
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    with pytest.raises(PredictionLogError, match="cannot write the prediction log"):
        write_batch(str(tmp_path / "log"), [event(1)], "b")


def test_a_frame_of_a_live_camera_is_a_count(tmp_path: Path) -> None:
    seen = Detections.of([[0, 0, 9, 9]] * 3, [0.9, 0.5, 0.7], [0, 0, 1], ["person", "car"])
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = 200  # half black, half grey: mean 100, deviation 100
    row = frame_sample("gate", picture, seen, time=NOON, model_name="counter", model_version="4", latency_ms=12.5)
    log = PredictionLog(str(tmp_path))
    log.append([row, frame_sample("gate", picture, seen.at_least(0.95), time=NOON + timedelta(minutes=1))])
    log.close()
    first, second = read_predictions(str(tmp_path)).to_dict("records")
    assert (first["kind"], first["total"], first["count_person"], first["count_car"]) == ("frame", 3, 2, 1)
    assert (first["brightness"], first["contrast"], first["width"], first["height"]) == (100.0, 100.0, 60, 40)
    assert (first["model_version"], first["latency_ms"], first["camera_id"]) == ("4", 12.5, "gate")
    assert first["confidence_mean"] == pytest.approx(0.7)
    assert first["confidence_min"] == pytest.approx(0.5)
    assert first["confidence_p10"] == pytest.approx(0.54)
    assert (second["total"], second["count_person"]) == (0, 0)
    assert np.isnan(second["confidence_mean"])
