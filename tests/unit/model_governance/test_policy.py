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

from model_governance import Policy, PolicyError, load_policy
from model_governance.policy import policy_schema

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
