"""The rules that say whether to retrain, as tables; and labels against the evaluation."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pipelines.drift.decision import Decision, RetrainRules, decide
from pipelines.drift.performance import measure, read_labels
from pipelines.drift.report import ColumnDrift, DriftReport, Span, kind_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
COLUMNS = ("brightness", "contrast", "sharpness", "confidence_mean", "total")


def report(*drifted: tuple[str, str], cameras: tuple[str, ...] = ("a", "b"), rows: int = 500) -> DriftReport:
    columns = tuple(
        ColumnDrift(
            camera,
            name,
            kind_of(name) or "data",
            "tested",
            (camera, name) in drifted,
            1.0 if (camera, name) in drifted else 0.1,
            0.5,
            1.0,
            1.0,
            1000,
            rows,
        )
        for camera in cameras
        for name in COLUMNS
    )
    return DriftReport(Span(NOW, NOW, 1000), Span(NOW, NOW, rows), 0.05, columns)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


@pytest.mark.parametrize(
    ("found", "rules", "last", "retrain"),
    [
        (report(), {}, None, False),
        (report(("a", "brightness")), {}, None, False),  # 1 of 10 columns
        (report(("a", "brightness"), ("b", "brightness")), {}, None, True),  # 2 of 10
        (report(("a", "brightness"), ("b", "brightness")), {"drifted_share": 0.21}, None, False),
        (report(("a", "brightness")), {"drifted_cameras": 1}, None, True),
        (report(("a", "total"), ("a", "confidence_mean")), {"drifted_share": 0.9}, None, True),
        (report(("a", "total"), ("b", "confidence_mean")), {"drifted_share": 0.9}, None, False),
        (
            report(("a", "total"), ("a", "confidence_mean")),
            {"drifted_share": 0.9, "confidence": False},
            None,
            False,
        ),
        (report(("a", "total"), ("b", "total"), rows=99), {}, None, False),
        (report(("a", "total"), ("b", "total")), {}, ago(23), False),
        (report(("a", "total"), ("b", "total")), {}, ago(25), True),
        (report(), {"max_age_days": 7}, ago(24 * 7 + 1), True),
        (report(), {"max_age_days": 7}, ago(24 * 7 - 1), False),
        (report(rows=3), {"max_age_days": 7}, ago(24 * 8), True),
        (report(), {"max_age_days": 7}, None, False),
        (report(), {"max_age_days": 0.5}, ago(13), False),  # the cooldown holds back the schedule too
    ],
)
def test_rules(found: DriftReport, rules: dict[str, object], last: datetime | None, retrain: bool) -> None:
    decision = decide(found, RetrainRules.model_validate(rules), now=NOW, last_training=last)
    assert decision.retrain is retrain
    assert bool(decision.reasons) or not retrain


def test_one_drift_does_not_start_a_training_on_every_pass() -> None:
    found = report(("a", "total"), ("b", "total"))
    decision = decide(found, RetrainRules(), now=NOW, last_training=ago(900), last_decision=ago(2))
    assert not decision.retrain
    assert decision.sentence == (
        "Do not retrain yet, although 2 of 10 columns drifted (20%, 20% are enough): "
        "the last decision to train was 2.0 hours ago, 24 must pass."
    )


def test_a_quiet_day_says_so() -> None:
    assert decide(report(), RetrainRules(), now=NOW, last_training=ago(1)) == Decision(False, (), ())


@pytest.mark.parametrize("rules", [{"drifted_shares": 0.1}, {"drifted_share": 0}, {"min_rows": 0}])
def test_rules_that_make_no_sense(rules: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RetrainRules.model_validate(rules)


def predictions(errors: list[float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = [str(number) for number in range(len(errors))]
    counted = pd.DataFrame({"id": ids, "total": [5 + error for error in errors]})
    return counted, pd.DataFrame({"id": ids, "total": 5})


@pytest.mark.parametrize(
    ("errors", "expected", "degraded"),
    [
        ([0.0, 1.0] * 50, 0.5, False),  # just as evaluated
        ([2.0, -2.0] * 50, 0.5, True),
        ([0.6] * 100, 0.5, False),  # the margin is 20 %
        ([0.61] * 100, 0.5, True),
        ([0.0] * 97 + [30.0] * 3, 0.5, False),  # three wild pictures prove nothing
        ([2.0] * 100, None, False),
    ],
)
def test_labels_against_the_evaluation(errors: list[float], expected: float | None, degraded: bool) -> None:
    counted, true = predictions(errors)
    found = measure(counted, true, expected=expected, margin=0.2)
    assert (found.labels, found.matched) == (len(errors), len(errors))
    assert found.mae == pytest.approx(np.abs(errors).mean())
    assert found.bias == pytest.approx(np.mean(errors))
    assert found.degraded is degraded
    decision = decide(report(), RetrainRules(), now=NOW, performance=found)
    assert decision.retrain is degraded


@pytest.mark.parametrize(("labels", "matched"), [(29, 29), (50, 0)])
def test_too_few_labels_say_so(labels: int, matched: int) -> None:
    """Also labels of another log: none of their ids is known."""
    counted, true = predictions([9.0] * 50)
    true = true.head(labels).assign(id=lambda rows: rows["id"] if matched else "other-" + rows["id"])
    found = measure(counted, true, expected=0.1, margin=0)
    assert (found.mae, found.degraded) == (None, False)
    assert found.reason == (
        f"{matched} of {labels} labels match a prediction of the model and span that is judged; "
        "at least 30 are needed"
    )
    json.dumps(found.to_dict(), allow_nan=False)


def test_labels_of_one_class_are_held_against_counts_of_that_class() -> None:
    """Only people were labelled; the cars that the model counts as well are no error."""
    ids = [str(number) for number in range(40)]
    counted = pd.DataFrame({"id": ids, "total": 9, "count_person": 2, "count_car": 7})
    found = measure(counted, pd.DataFrame({"id": ids, "count_person": 2}), expected=0.5, margin=0.2)
    assert (found.mae, found.degraded) == (0.0, False)
    both = pd.DataFrame({"id": ids, "count_person": 2, "count_car": 5})
    assert measure(counted, both, expected=0.5, margin=0.2).bias == 2.0
    with pytest.raises(ValueError, match="count_dog, which the model does not count; it has count_person, c"):
        measure(counted, pd.DataFrame({"id": ids, "count_dog": 2}), expected=0.5, margin=0.2)


def test_labels_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,count_person,count_car\n007,1,2\n8,0,0\n")
    assert read_labels(path).to_dict("records") == [
        {"id": "007", "count_person": 1, "count_car": 2},
        {"id": "8", "count_person": 0, "count_car": 0},
    ]
    path.write_text("id,total\n1,2\n1,3\n")
    with pytest.raises(ValueError, match="labels the prediction 1 twice"):
        read_labels(path)
    path.write_text("name,total\n1,2\n")
    with pytest.raises(ValueError, match="expected id and total"):
        read_labels(path)


@pytest.mark.parametrize(
    ("cell", "came"), [("", "nothing"), ("many", "'many'"), ("-1", "-1"), ("inf", "inf"), ("nan", "nothing")]
)
def test_a_cell_that_is_no_count_is_named(tmp_path: Path, cell: str, came: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"id,total\na,2\nb,{cell}\n")
    with pytest.raises(ValueError, match=r"row 2 \(id b\): expected a count of 0 or more in total, got") as caught:
        read_labels(path)
    assert came in str(caught.value)
