"""The evaluation table: what is read, and what is refused with row and reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counting_evaluator.config import EvaluatorConfig
from counting_evaluator.errors import EvaluationError
from counting_evaluator.truth import read_table


def _table(**changes: Any) -> pd.DataFrame:
    row: dict[str, Any] = {"image": "a.jpg", "boxes": [[0, 0, 9, 9]], "labels": ["car"], "camera_id": "cam-1"}
    row |= changes
    return pd.DataFrame([{key: value for key, value in row.items() if value is not ...}])


def test_a_row_becomes_a_labelled_picture() -> None:
    [picture] = read_table(_table(light="night", moved=True, height=3.5, nothing=None))
    assert picture.boxes.dtype == np.float32
    assert picture.boxes.tolist() == [[0, 0, 9, 9]]
    assert picture.labels == ("car",)
    assert picture.slices == {"camera_id": "cam-1", "light": "night", "moved": "True"}


def test_an_empty_picture_is_a_picture() -> None:
    [picture] = read_table(_table(boxes=[], labels=[]))
    assert picture.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": ...}, "boxes is missing"),
        ({"labels": "car"}, "row 0 .a.jpg.: expected labels as a list"),
        ({"labels": ["car", "bus"]}, "1 boxes, 2 labels"),
        ({"boxes": [[0, 0, 9]]}, "expected boxes as N times"),
        ({"boxes": [[9, 0, 0, 9]]}, "x1 < x2"),
        ({"boxes": [[0, 0, float("nan"), 9]]}, "row 0 .a.jpg.: expected boxes of finite numbers"),
        ({"boxes": 7}, "expected boxes as N times"),
    ],
)
def test_a_wrong_row_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        read_table(_table(**changes))


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(EvaluationError, match="empty table"):
        read_table(_table().iloc[:0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"treshold": 1}, "treshold: Extra inputs"),
        ({"confidence": 2}, "confidence: Input should be less than or equal to 1"),
        ({"clips": [{"name": "a", "video": "a.mp4", "scene": "a.yaml"}]}, "clips.0.truth: Field required"),
    ],
)
def test_a_wrong_configuration_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        EvaluatorConfig.read(config)


@pytest.mark.parametrize(
    "time",
    ["2026-03-01T07:30:00+00:00", datetime(2026, 3, 1, 7, 30, tzinfo=UTC), pd.Timestamp("2026-03-01T07:30Z")],
)
def test_times_are_read_and_are_no_slice(time: Any) -> None:
    [picture] = read_table(_table(time=time))
    assert picture.time == datetime(2026, 3, 1, 7, 30, tzinfo=UTC)
    assert picture.slices == {"camera_id": "cam-1"}


@pytest.mark.parametrize("nothing", [None, "", float("nan"), pd.NaT])
def test_a_picture_may_have_no_time(nothing: Any) -> None:
    both = pd.concat([_table(time="2026-03-01T07:30:00Z"), _table(time=nothing)], ignore_index=True)
    assert [picture.time is None for picture in read_table(both)] == [False, True]


def test_other_texts_in_a_column_called_time_are_a_slice() -> None:
    [picture] = read_table(_table(time="morning"))
    assert picture.time is None
    assert picture.slices["time"] == "morning"
    assert read_table(_table(time=7.5))[0].time is None


def test_the_clip_is_no_slice() -> None:
    [picture] = read_table(_table(clip="drive"))
    assert (picture.clip, picture.slices) == ("drive", {"camera_id": "cam-1"})
    assert read_table(_table(clip=""))[0].clip is read_table(_table(clip=None))[0].clip is None
