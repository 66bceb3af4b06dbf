"""The gates, as tables: what the policy asks, what the model shows, what comes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

import pytest

from model_governance import Evidence, Policy, Signature, judge, rules
from model_governance.advisories import Audit
from model_governance.artifact import Artifact, ArtifactFile
from model_governance.documents import Document
from model_governance.evidence import Dataset, Measured
from model_governance.gates import Case, check
from model_governance.policy import Rule

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FILES = (
    ArtifactFile(path="MLmodel", size=100, sha256="a" * 64, pickle=False),
    ArtifactFile(path="data/detector.onnx", size=3_000_000, sha256="b" * 64, pickle=False),
)


def evidence(
    metrics: dict[str, float] | None = None,
    *,
    days_old: float = 1,
    data: str | None = "d1",
    files: tuple[ArtifactFile, ...] = FILES,
    **changes: Any,
) -> Evidence:
    time = int((NOW - timedelta(days=days_old)).timestamp() * 1000)
    artifact = Artifact(files=files)
    fields: dict[str, Any] = {
        "model_uri": "models:/m-1",
        "run_id": "r1",
        "artifact": artifact,
        "evaluated_digest": artifact.digest,
        "metrics": {
            name: Measured(value=value, timestamp=time, dataset_digest=data)
            for name, value in (metrics or {}).items()
        },
        "params": {},
        "tags": {},
        "datasets": (),
        "git_commit": None,
        "interface": {},
    }
    return Evidence(**{**fields, **changes})


def policy(section: str, **rule: Any) -> Policy:
    return Policy.model_validate({"format_version": 1, section: [{**rule, "reason": "because"}]})


@pytest.mark.parametrize(
    ("bounds", "value", "passed"),
    [
        ({"min": 0.5}, 0.5, True),
        ({"min": 0.5}, 0.4999, False),
        ({"max": 2.0}, 2.0, True),
        ({"max": 2.0}, 2.0001, False),
        ({"min": -1, "max": 1}, 0.0, True),
        ({"min": -1, "max": 1}, -1.5, False),
        ({"min": 0.5}, nan, False),
        ({"max": 2.0}, nan, False),
        ({"min": 0.5}, inf, False),
        ({"max": 2.0}, -inf, False),
        ({"min": 0.5}, None, False),
        ({"max": 2.0}, None, False),
    ],
)
def test_a_threshold(bounds: dict[str, float], value: float | None, passed: bool) -> None:
    shown = evidence({} if value is None else {"mae": value})
    verdict = judge(policy("quality", metric="mae", **bounds), shown, None, NOW)
    assert verdict.passed is passed


def test_a_missing_metric_says_so() -> None:
    verdict = judge(policy("quality", metric="count/mae", max=2), evidence({"count/rmse": 1}), None, NOW)
    (row,) = verdict.failures
    assert row.sentence() == "count/mae failed: expected at most 2, got not measured (because)"


@pytest.mark.parametrize(
    ("better", "margin", "mine", "champions", "passed"),
    [
        ("higher", 0.05, 0.75, 0.8, True),
        ("higher", 0.05, 0.74, 0.8, False),
        ("higher", 0, 0.8, 0.8, True),
        ("lower", 0.5, 2.5, 2.0, True),
        ("lower", 0.5, 2.51, 2.0, False),
        ("lower", 0, 1.0, 2.0, True),
        ("lower", 0, nan, 2.0, False),
        ("lower", 0, 1.0, nan, False),
        ("lower", 0, None, 2.0, False),
        ("lower", 0, 1.0, None, False),
    ],
)
def test_against_the_champion(
    better: str, margin: float, mine: float | None, champions: float | None, passed: bool
) -> None:
    rule = policy("champion", metric="m", better=better, worse_by_at_most=margin)
    shown = evidence({} if mine is None else {"m": mine})
    champion = evidence({} if champions is None else {"m": champions})
    assert judge(rule, shown, champion, NOW).passed is passed


@pytest.mark.parametrize(
    ("same_data", "mine", "champions", "passed"),
    [
        (True, "d1", "d1", True),
        (True, "d1", "d2", False),
        (True, None, None, False),
        (True, "d1", None, False),
        (False, "d1", "d2", True),
    ],
)
def test_figures_of_different_data_are_not_compared(
    same_data: bool, mine: str | None, champions: str | None, passed: bool
) -> None:
    rule = policy("champion", metric="m", better="higher", worse_by_at_most=0, same_data=same_data)
    verdict = judge(rule, evidence({"m": 1}, data=mine), evidence({"m": 1}, data=champions), NOW)
    assert verdict.passed is passed


def test_without_a_champion_nothing_is_worse_than_it_but_the_metric_must_be_there() -> None:
    rule = policy("champion", metric="m", better="higher", worse_by_at_most=0)
    assert judge(rule, evidence({"m": 0.1}), None, NOW).passed
    assert not judge(rule, evidence({}), None, NOW).passed


PICKLE = ArtifactFile(path="data/model.onnx", size=1, sha256="c" * 64, pickle=True)


@pytest.mark.parametrize(
    ("rule", "files", "failed"),
    [
        ({"allowed_files": ["MLmodel", "*.onnx"], "max_size_mb": 3.0001}, FILES, []),
        ({"allowed_files": ["MLmodel", "*.onnx"], "max_size_mb": 3}, FILES, ["size"]),
        ({"allowed_files": ["MLmodel"], "max_size_mb": 9}, FILES, ["file types"]),
        ({"allowed_files": ["*"], "max_size_mb": 9}, (*FILES, PICKLE), ["no pickle"]),
        ({"allowed_files": ["*"], "max_size_mb": 9, "forbid_pickle": False}, (*FILES, PICKLE), []),
    ],
)
def test_the_artefact(rule: dict[str, Any], files: tuple[ArtifactFile, ...], failed: list[str]) -> None:
    verdict = judge(policy("security", **rule), evidence(files=files), None, NOW)
    assert [row.gate for row in verdict.failures] == failed


@pytest.mark.parametrize(
    ("rule", "changes", "passed"),
    [
        ({"tag": "commit"}, {"tags": {"commit": "abc"}}, True),
        ({"tag": "commit"}, {"tags": {"commit": ""}}, False),
        ({"tag": "commit"}, {"params": {"commit": "abc"}}, False),
        ({"tag": "dirty", "equals": "false"}, {"tags": {"dirty": "true"}}, False),
        ({"tag": "dirty", "equals": "false"}, {"tags": {"dirty": "false"}}, True),
        ({"param": "seed"}, {"params": {"seed": "0"}}, True),
        ({"param": "seed"}, {}, False),
        ({"param": "seed", "equals": "1"}, {"params": {"seed": "0"}}, False),
        ({"dataset": "training"}, {"datasets": (Dataset(name="s", digest="1", context="training"),)}, True),
        ({"dataset": "training"}, {"datasets": (Dataset(name="s", digest="1", context="test"),)}, False),
        ({"dataset": "*"}, {"datasets": (Dataset(name="s", digest="1"),)}, True),
        ({"dataset": "*"}, {}, False),
    ],
)
def test_records(rule: dict[str, Any], changes: dict[str, Any], passed: bool) -> None:
    assert judge(policy("records", **rule), evidence(**changes), None, NOW).passed is passed


@pytest.mark.parametrize(
    ("days", "evaluated", "failed"),
    [
        (29.9, "same", []),
        (30.1, "same", ["age of metrics"]),
        (1, "other", ["files unchanged since evaluation"]),
        (1, None, ["files unchanged since evaluation"]),
    ],
)
def test_freshness(days: float, evaluated: str | None, failed: list[str]) -> None:
    rules = Policy.model_validate(
        {
            "format_version": 1,
            "quality": [{"metric": "m", "min": 0, "reason": "because"}],
            "freshness": [{"max_age_days": 30, "reason": "because"}],
        }
    )
    shown = evidence({"m": 1}, days_old=days)
    if evaluated != "same":
        shown = shown.model_copy(update={"evaluated_digest": evaluated})
    assert [row.gate for row in judge(rules, shown, None, NOW).failures] == failed


def test_only_the_metrics_that_a_rule_reads_can_be_too_old() -> None:
    rules = Policy.model_validate(
        {
            "format_version": 1,
            "quality": [{"metric": "m", "min": 0, "reason": "because"}],
            "freshness": [{"max_age_days": 30, "reason": "because"}],
        }
    )
    old = evidence({"loss": 1}, days_old=90).metrics
    shown = evidence({"m": 1})
    assert judge(rules, shown.model_copy(update={"metrics": {**shown.metrics, **old}}), None, NOW).passed


def test_a_verdict_names_what_it_was_passed_on() -> None:
    rules, shown = policy("quality", metric="m", min=0), evidence({"m": 1})
    verdict = judge(rules, shown, None, NOW)
    assert (verdict.policy_digest, verdict.evidence_digest) == (rules.digest, shown.digest)


def test_a_kind_of_rule_without_a_gate_stops_everything() -> None:
    class Novelty(Rule):
        level: int

    with pytest.raises(NotImplementedError, match="no gate reads Novelty"):
        list(check(Novelty(level=1, reason="because"), Case(evidence(), None, NOW, frozenset())))


class Watched:
    """Stands in for a rule and remembers which of its keys were read."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.read = rule, {"reason"}

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self.rule, name)


def kinds() -> list[type[Rule]]:
    """Every kind of rule that a policy can hold."""
    known = [getattr(rules, name) for name in rules.__all__]
    return [each for each in known if isinstance(each, type) and issubclass(each, Rule) and each is not Rule]


# They judge no version: `select` reads the one, whoever optimises a model the other.
NO_GATES = (rules.Preference, rules.OptimisationRule)


def test_every_kind_of_rule_has_a_gate() -> None:
    without = {kind for kind in kinds() if check.dispatch(kind) is check.dispatch(Rule)}
    assert without == {each for each in kinds() if issubclass(each, NO_GATES)}


@pytest.mark.parametrize(
    "kind", [each for each in kinds() if not issubclass(each, NO_GATES)], ids=lambda kind: kind.__name__
)
def test_no_key_of_a_policy_is_read_by_nobody(kind: type[Rule]) -> None:
    values: dict[str, Any] = {
        "metric": "m",
        "min": 0.0,
        "max": 1.0,
        "better": "higher",
        "worse_by_at_most": 0.1,
        "allowed_files": ("*",),
        "max_size_mb": 1.0,
        "tag": "t",
        "param": "p",
        "dataset": "*",
        "max_age_days": 1.0,
        "reason": "because",
        "cost": "c",
        "terms": ({"metric": "m", "weight": 2.0},),
        "advisories": "advisories.json",
        "document": "card.json",
        "keys": ("cameras.{each}.why",),
        "each": "slice/light/*/n",
        "risk_class": "limited",
        "mitigations": ({"name": "blur", "what": "people are blurred"},),
        "artifact": "*",
    }
    if kind is rules.SliceRule:
        values["metric"] = "slice/light/*/m"
    rule = kind.model_validate({key: value for key, value in values.items() if key in kind.model_fields})
    watched = Watched(rule)
    figures = {"m": 0.5, "slice/light/day/m": 0.5, "slice/light/day/n": 9.0}
    tree = {"cameras": {"day": {"why": True}}}
    audit = Audit(digest="d", records=1, newest=int(NOW.timestamp() * 1000), findings=(), unknown=())
    signed = Signature(
        by="Ann",
        at=NOW,
        comment="seen",
        verdict="accepted",
        model_digest=Artifact(files=FILES).digest,
        artifact="a",
        run_id="r1",
        sha256="s",
    )
    shown = evidence(
        figures,
        documents={"run:card.json": Document(sha256="s", filled=tree)},
        requirements=(),
        audits={"advisories.json": audit},
        signatures=(signed,),
        looked_at={"r1/a": "s"},
    )
    list(check.dispatch(kind)(watched, Case(shown, shown, NOW, frozenset({"m"}))))  # type: ignore[arg-type]
    # By its place the evidence finds a document, before any gate looks at it; its areas are for the status that is
    # told of a version (`model_governance.compliance`).
    assert watched.read >= set(kind.model_fields) - {"place", "areas"}
