"""What a report says of odd columns, odd cameras and too little data."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.drift.decision import RetrainRules, decide
from pipelines.drift.html import write_evidently
from pipelines.drift.report import ColumnDrift, DriftReport, compare, kind_of
from pipelines.drift.spans import Spans

LogOf = Callable[..., pd.DataFrame]


def column(report: DriftReport, name: str, camera: str = "gate") -> ColumnDrift:
    return next(c for c in report.columns if (c.camera, c.column) == (camera, name))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("brightness", "data"),
        ("width", "data"),
        ("total", "prediction"),
        ("count_person", "prediction"),
        ("confidence_mean", "confidence"),
        ("latency_ms", None),
        ("id", None),
        ("counts", None),
    ],
)
def test_which_columns_are_watched(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


@pytest.fixture
def reference(log_of: LogOf) -> pd.DataFrame:
    return log_of(1, 1000)


@pytest.fixture
def current(log_of: LogOf) -> pd.DataFrame:
    return log_of(2, 400, start="2026-11-20")


@pytest.mark.parametrize(
    ("name", "change", "status", "drifted"),
    [
        ("width", 640, "rare", False),
        ("width", 320, "rare", True),
        ("count_bus", 0, "rare", False),
        ("count_bus", [0] * 396 + [1] * 4, "rare", False),  # four more buses are no drift
        ("count_bus", [0, 1] * 200, "rare", True),
        ("confidence_mean", np.nan, "missing", True),
        ("contrast", [50.0] * 20 + [np.nan] * 380, "insufficient", False),
        ("sharpness", [np.inf] * 400, "missing", True),
    ],
)
def test_odd_columns(
    reference: pd.DataFrame, current: pd.DataFrame, name: str, change: object, status: str, drifted: bool
) -> None:
    found = column(compare(reference, current.assign(**{name: change})), name)
    assert (found.status, found.drifted) == (status, drifted)


def test_a_column_that_never_had_a_value(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    report = compare(reference.assign(contrast=np.nan), current.assign(contrast=np.nan))
    assert column(report, "contrast").status == "insufficient"
    assert not report.drifted


@pytest.mark.parametrize("rows", [0, 1, 29])
def test_too_few_rows_are_not_judged(reference: pd.DataFrame, current: pd.DataFrame, rows: int) -> None:
    report = compare(reference, current.head(rows))
    assert report.verdict == "insufficient"
    assert column(report, "brightness").reason in (
        f"{rows} rows now; at least 30 are needed",
        "the current span has no such camera or column",
    )


def test_a_reference_too_short_is_not_judged(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    report = compare(reference.head(35), current)
    assert column(report, "brightness").reason.startswith("35 values in the reference are too few")


def test_new_and_silent_cameras_are_told_of_not_judged(log_of: LogOf) -> None:
    report = compare(log_of(1, 600, cameras=("a", "b")), log_of(2, 300, cameras=("b", "c")))
    assert column(report, "total", "a").reason == "the current span has no such camera or column"
    assert column(report, "total", "c").reason == "the reference has no such camera or column"
    assert column(report, "total", "b").status == "tested"


def test_only_the_camera_that_changed_is_named(log_of: LogOf) -> None:
    cameras = ("a", "b", "c")
    now = log_of(2, 400, cameras=cameras)
    now.loc[now["camera_id"] == "b", ["brightness", "total"]] *= 3
    report = compare(log_of(1, 1000, cameras=cameras), now)
    assert report.cameras == ("b",)
    assert {c.column for c in report.drifted} == {"brightness", "total"}
    assert {c.kind for c in report.drifted} == {"data", "prediction"}
    assert report.share == pytest.approx(2 / 18)  # `width` and `count_bus` hardly ever vary
    assert compare(log_of(1, 1000, cameras=cameras), now, cameras=["a", "c"]).verdict == "no drift"


def test_rows_in_any_order_are_the_same_rows(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    mixed = compare(reference.sample(frac=1, random_state=0), current.sample(frac=1, random_state=1))
    assert mixed.columns == compare(reference, current).columns


def test_what_is_no_prediction_log_is_refused(reference: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="the current has no column camera_id, time"):
        compare(reference, pd.DataFrame({"brightness": [1.0]}))


def test_a_report_is_json_without_gaps(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    content = compare(reference, current.assign(contrast=np.nan)).to_dict()
    back = json.loads(json.dumps(content, allow_nan=False))
    assert back["current"] == {"from": "2026-11-20T00:00:00+00:00", "to": "2026-11-20T01:06:30+00:00", "rows": 400}
    assert back["verdict"] == "drift"


def test_many_rows_are_thinned_evenly_and_alike_in_both_spans(log_of: LogOf) -> None:
    old, new = log_of(1, 100_000), log_of(2, 30_000, start="2026-11-20")
    pair = Spans(old.sample(frac=1, random_state=0), new).pair("gate", "brightness")
    assert pair.reference is not None
    assert pair.current is not None
    assert (len(pair.reference), len(pair.current)) == (20_000, 6_000)
    for frame in (pair.reference, pair.current):
        assert frame["time"].diff().dropna().dt.total_seconds().eq(50).all()


def test_classes_that_are_never_seen_do_not_hide_the_others_drift(log_of: LogOf) -> None:
    """Eighty classes of which one occurs: when all that varies drifts, that is not 6 columns of 88."""
    unseen = {f"count_class{number}": 0 for number in range(80)}
    old, new = log_of(1, 1000).assign(**unseen), log_of(2, 400, start="2026-11-20").assign(**unseen)
    new[["brightness", "contrast", "sharpness", "confidence_mean", "total", "count_person"]] *= 2
    report = compare(old, new)
    assert report.share == 1.0
    assert decide(report, RetrainRules(), now=datetime(2026, 11, 21, tzinfo=UTC)).retrain
    without = compare(old.drop(columns=unseen), new.drop(columns=unseen))
    assert column(report, "total").threshold == column(without, "total").threshold, (
        "no part of the budget is theirs"
    )


def test_every_camera_has_the_same_weight(log_of: LogOf) -> None:
    """A camera with few columns that vary counts as much as one with many."""
    old, new = log_of(1, 1000, cameras=("a", "b")), log_of(2, 400, cameras=("a", "b"))
    for frame in (old, new):
        frame.loc[frame["camera_id"] == "b", ["total", "count_person", "confidence_mean", "contrast"]] = 1
    new.loc[new["camera_id"] == "b", ["brightness", "sharpness"]] *= 3
    report = compare(old, new)
    assert (len(report.drifted), len(report.judged)) == (2, 8)
    assert report.share == pytest.approx((0 / 6 + 2 / 2) / 2)


@pytest.mark.slow
def test_evidently_says_the_same(log_of: LogOf, tmp_path: Path) -> None:
    """Its score is ours, and its page shows the calibrated threshold, not its own 0.1."""
    reference = log_of(1, 1000, cameras=("a", "b"))
    now = log_of(2, 300, cameras=("a",), shift=2.0)
    report = compare(reference, now)
    scores = write_evidently(report, reference, now, tmp_path / "r.html", tmp_path / "r.json")
    tested = {f"{c.camera} · {c.column}": c for c in report.columns if c.status == "tested"}
    numeric = ("brightness", "contrast", "sharpness", "confidence_mean", "total", "count_person")
    assert set(tested) == {f"a · {name}" for name in numeric}
    assert scores == pytest.approx({name: c.score for name, c in tested.items()})
    metrics = json.loads((tmp_path / "r.json").read_text())["metrics"]
    thresholds = {m["config"]["column"]: m["config"]["threshold"] for m in metrics if "column" in m["config"]}
    assert thresholds == pytest.approx({name: c.threshold for name, c in tested.items()})
    (drifted,) = (m["value"] for m in metrics if m["metric_name"].startswith("DriftedColumnsCount"))
    assert drifted == {"count": 1.0, "share": pytest.approx(1 / 6)}
    assert (tmp_path / "r.html").stat().st_size > 100_000


def test_nothing_to_show_writes_nothing(log_of: LogOf, tmp_path: Path) -> None:
    reference = log_of(1, 1000)
    report = compare(reference, reference.head(3))
    assert write_evidently(report, reference, reference.head(3), tmp_path / "r.html", tmp_path / "r.json") == {}
    assert list(tmp_path.iterdir()) == []


def test_spans_are_in_utc(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    here = current.assign(time=current["time"].dt.tz_convert("America/New_York"))
    assert compare(reference, here).current.start == datetime(2026, 11, 20, tzinfo=UTC)
