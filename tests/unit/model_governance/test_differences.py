"""What differs between two evidences, and which way is better."""

from __future__ import annotations

import pytest

from model_governance.change_log import differences
from model_governance.evidence import Evidence, Measured
from model_governance.policy import Policy

POLICY = Policy.model_validate(
    {
        "format_version": 1,
        "quality": [{"metric": "count/mae", "max": 2, "reason": "counts"}],
        "slices": [{"metric": "slice/camera_id/*/count/mae", "max": 2, "reason": "counts"}],
    }
)


def evidence(**metrics: float) -> Evidence:
    measured = {name.replace("__", "/"): Measured(value=value, timestamp=1) for name, value in metrics.items()}
    return Evidence.model_construct(metrics=measured, params={}, datasets=(), tags={}, git_commit=None)


@pytest.mark.parametrize(
    ("metric", "verdict"),
    [
        ("count__mae", "better"),
        ("slice__camera_id__gate-1__count__mae", "better"),  # what the policy says of every slice
        ("slice__camera_id__gate-1__n", "changed"),
        ("slice__site__gate-1__count__mae", "changed"),
        ("slice__camera_id__gate-1__count__mae__more", "changed"),
    ],
)
def test_less_is_better_where_the_policy_says_so(metric: str, verdict: str) -> None:
    (change,) = differences(evidence(**{metric: 1.5}), evidence(**{metric: 1.0}), POLICY).metrics
    assert change.verdict == verdict
