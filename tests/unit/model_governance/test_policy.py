"""Policy files: what is read, what is refused and with which words, and the schema that is shipped."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model_governance import Policy, PolicyError, load_policy
from model_governance.policy import policy_schema

SCHEMA = jsonschema.Draft202012Validator(policy_schema())
QUALITY = "quality: [{metric: mae, max: 2, reason: because}]\n"


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "policy.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format_version: 1\n" + QUALITY + "qualty: []\n", "qualty is a key that no gate reads"),
        (
            "format_version: 1\nquality: [{metric: a, maximum: 2, max: 1, reason: because}]\n",
            "quality.0.maximum is a key that no gate reads",
        ),
        ("format_version: 1\nquality: [{metric: a, reason: because}]\n", "needs a min, a max, or both"),
        ("format_version: 1\nquality: [{metric: a, min: 3, max: 2, reason: because}]\n", "min 3 is above max 2"),
        ("format_version: 1\nquality: [{metric: a, max: .nan, reason: because}]\n", "quality.0.max"),
        ("format_version: 1\nquality: [{metric: a, max: 1}]\n", "quality.0.reason: Field required"),
        ("format_version: 1\nrecords: [{reason: because}]\n", "expected one of the keys tag, param or dataset"),
        ("format_version: 1\nrecords: [{tag: a, equal: b, reason: because}]\n", "records.0.tag.equal is a key"),
        ("format_version: 2\n" + QUALITY, "format_version"),
        (QUALITY, "format_version: Field required"),
        ("format_version: 1\n", "without a single gate"),
        ("- 1\n", "holds list; expected a mapping"),
        ("a: [\n", "is not YAML"),
        # YAML would keep the second alone, and the gates of the first would be gone unseen.
        ("format_version: 1\n" + QUALITY + QUALITY, "the key quality stands there twice"),
        (
            "format_version: 1\nquality: [{metric: a, max: 1, max: 9, reason: because}]\n",
            "the key max stands there",
        ),
        ("format_version: 1\ndry_run: true\n" + QUALITY, "dry_run is a key that no gate reads"),
    ],
)
def test_what_is_refused(written: Any, text: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(written(text))
    assert message in str(caught.value)
    assert "policy.yaml" in str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"nowhere\.yaml"):
        load_policy(tmp_path / "nowhere.yaml")


def test_the_digest_is_of_what_the_policy_says_not_of_its_layout(written: Any) -> None:
    first = load_policy(written("format_version: 1\n" + QUALITY)).digest
    assert load_policy(written("# a comment\n" + QUALITY + "format_version: 1\n")).digest == first
    assert load_policy(written("format_version: 1\n" + QUALITY.replace("2", "3"))).digest != first


def test_a_policy_cannot_be_changed_after_it_was_read(written: Any) -> None:
    policy = load_policy(written("format_version: 1\n" + QUALITY))
    with pytest.raises(Exception, match="frozen"):
        policy.quality = ()  # type: ignore[misc]


def test_the_shipped_schema_is_that_of_the_code() -> None:
    shipped = json.loads(files("model_governance").joinpath("schemas/policy.schema.json").read_text())
    assert shipped == policy_schema(), "write it anew: model-governance schema > .../schemas/policy.schema.json"


def _properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        for key, value in schema.get("properties", {}).items():
            yield f"{path}.{key}", value
        for key, value in schema.items():
            yield from _properties(value, f"{path}.{key}")


def test_every_key_is_explained() -> None:
    keys = list(_properties(policy_schema()))
    assert len(keys) > 20
    assert [path for path, value in keys if not value.get("description")] == []


def test_the_counting_policy_is_valid_for_code_and_schema(root: Path) -> None:
    path = root / "pipelines" / "policy.yaml"
    assert isinstance(load_policy(path), Policy)
    content = yaml.safe_load(path.read_text())
    jsonschema.validate(content, policy_schema())
    broken = copy.deepcopy(content)
    broken["quality"][0]["maxx"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, policy_schema())


NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
REASON = st.just("because")


def rule(**keys: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({**keys, "reason": REASON})


BETTER = st.sampled_from(["higher", "lower"])
MARGIN = st.floats(0, 1e6)
PAIRED = st.fixed_dictionaries(
    {"key": NAMES, "value": NAMES},
    optional={"group": NAMES, "of": st.sampled_from(["value", "absolute", "square"])},
)
SECTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "quality": rule(metric=NAMES, min=NUMBERS),
    "slices": rule(
        metric=NAMES.map(lambda name: f"slice/{name}/*/mae"), max=NUMBERS, min_samples=st.integers(1, 99)
    ),
    "performance": rule(metric=NAMES, max=NUMBERS),
    "champion": rule(metric=NAMES, better=BETTER, worse_by_at_most=MARGIN, paired=PAIRED),
    "business": rule(
        cost=NAMES,
        max=NUMBERS,
        terms=st.lists(st.builds(dict, metric=NAMES, weight=NUMBERS), min_size=1, max_size=1),
    ),
    "security": rule(advisories=NAMES, max_age_days=st.floats(1, 99)),
    "records": st.one_of(rule(tag=NAMES), rule(param=NAMES, equals=NAMES), rule(dataset=NAMES)),
    "compliance": st.one_of(rule(tag=NAMES), rule(document=NAMES, headings=st.lists(NAMES, max_size=2))),
    "risk": rule(
        risk_class=st.just("limited"), mitigations=st.just([{"name": "blur", "what": "people are blurred"}])
    ),
    "acceptance": rule(artifact=NAMES, people=st.integers(1, 3)),
    "freshness": rule(max_age_days=st.floats(1, 99)),
}
POLICIES = st.fixed_dictionaries(
    {"format_version": st.just(1), "quality": st.lists(SECTIONS["quality"], min_size=1, max_size=2)},
    optional={
        name: st.lists(each, min_size=1, max_size=1) for name, each in SECTIONS.items() if name != "quality"
    },
)


@settings(deadline=None, max_examples=60)
@given(content=POLICIES)
def test_a_policy_says_the_same_after_it_was_written_and_read(content: dict[str, Any]) -> None:
    policy = Policy.model_validate(yaml.safe_load(yaml.safe_dump(content)))
    SCHEMA.validate(content)
    again = Policy.model_validate_json(policy.model_dump_json())
    assert (again, again.digest) == (policy, policy.digest)
    assert len(policy.rules()) == sum(len(content[name]) for name in SECTIONS if name in content)


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(inner)


@settings(deadline=None, max_examples=60)
@given(content=POLICIES, key=NAMES.map(lambda name: f"x{name}"), choose=st.data())
def test_a_key_that_nobody_reads_is_an_error_wherever_it_stands(
    content: dict[str, Any], key: str, choose: st.DataObject
) -> None:
    content = copy.deepcopy(content)
    choose.draw(st.sampled_from(list(_mappings(content))))[key] = 1
    with pytest.raises(ValidationError, match=key):
        Policy.model_validate(content)
    assert not SCHEMA.is_valid(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slices: [{metric: slice/a/b/mae, max: 1, reason: because}]", "needs one part that is `*`"),
        ("slices: [{metric: slice/*/*/mae, max: 1, reason: because}]", "needs one part that is `*`"),
        ("slices: [{metric: slice/a/b*/mae, max: 1, reason: because}]", "needs one part that is `*`"),
        ("slices: [{metric: slice/a/*, max: 1, reason: because}]", "a figure behind it"),
        ("slices: [{metric: slice/a/*/mae, reason: because}]", "needs a min, a max, or worse_by_at_most"),
        ("slices: [{metric: slice/a/*/mae, worse_by_at_most: 1, reason: because}]", "go together"),
        ("business: [{cost: c, terms: [{metric: a, weight: 1}], reason: because}]", "needs a max"),
        ("business: [{cost: c, terms: [], max: 1, reason: because}]", "business.0.terms"),
        (
            "business: [{cost: c, terms: [{metric: a, weight: 1}, {metric: a, weight: 2}], max: 1, "
            "reason: because}]",
            "names a metric twice",
        ),
        ("security: [{max_age_days: 3, reason: because}]", "expected one of the keys allowed_files or advisories"),
        ("compliance: [{reason: because}]", "expected one of the keys tag, param, dataset or document"),
        ("records: [{document: card.md, reason: because}]", "expected one of the keys tag, param or dataset"),
        ("risk: [{risk_class: minimal, reason: because}]", "without a single gate"),
        ("selection: {metric: a, better: lower, reason: because}", "without a single gate"),
        (
            "champion: [{metric: a, better: lower, worse_by_at_most: 0, paired: {key: k}, reason: because}]",
            "champion.0.paired.value: Field required",
        ),
        (
            "champion: [{metric: a, better: lower, worse_by_at_most: 0, reason: because, "
            "paired: {key: k, value: v, confidence: 1.5}}]",
            "champion.0.paired.confidence",
        ),
    ],
)
def test_what_the_newer_sections_refuse(written: Any, text: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(written(f"format_version: 1\n{text}\n"))
    assert message in str(caught.value)
