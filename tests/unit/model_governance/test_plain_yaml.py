"""YAML is read one way wherever this package meets it: each key once, and truth is no number."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from model_governance import EvidenceError, Policy, PolicyError, load_policy
from model_governance.artifact import read_artifact
from model_governance.documents import read_document
from model_governance.plain_yaml import read_yaml
from model_governance.requirements import read_pins

TWICE = "the key {} stands there twice"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", TWICE.format("a")),
        ("a: {b: 1, b: 1}\n", TWICE.format("b")),
        ("- {b: 1, b: 1}\n", TWICE.format("b")),
        ("a: &x {b: 1}\nc: {<<: *x, b: 2, b: 3}\n", TWICE.format("b")),
        ("a: [\n", "expected"),
        ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("a: 2026-13-45\n", "month must be in"),
        ("[" * 5000, "nested too deeply"),
        ("[" * 101 + "]" * 101, "at most 100 levels"),
        ("a: &a [*a]\n", "which never ends"),
        ("a: 0x" + "f" * 10_000, "a number of 10,002 characters"),
        ("a: 1" + ":1" * 100_000, "a number of 200,001 characters"),
        ("a: !!bool perhaps\n", "not of the kind that its tag"),
        ("a: !!int ''\n", "not of the kind that its tag"),
    ],
)
def test_what_is_no_plain_yaml(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError, match=said):
        read_yaml(text)


def test_what_is_merged_may_be_overridden() -> None:
    assert read_yaml("a: &x {b: 1, d: 4}\nc: {<<: *x, b: 2}\n")["c"] == {"b": 2, "d": 4}


@pytest.mark.parametrize("repeat", ["{{<<: [{}]}}", "[{}]", "{{? [{}] : 1}}"])
@pytest.mark.parametrize("levels", [6, 40])
def test_a_few_aliases_that_stand_for_millions_of_values_are_refused_at_once(
    tmp_path: Path, repeat: str, levels: int
) -> None:
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} " + repeat.format(", ".join([f"*a{n - 1}"] * 9)) for n in range(1, levels + 1)]
    (tmp_path / "MLmodel").write_text("\n".join(lines) + "\n")
    began = time.process_time()
    with pytest.raises(EvidenceError, match=r"aliases repeat more than 100,000 values; write them out"):
        read_artifact(str(tmp_path))
    assert time.process_time() - began < 2


def test_what_is_repeated_a_handful_of_times_is_read() -> None:
    assert read_yaml("a: &a [1, 2]\nb: [*a, *a]\nc: {<<: {d: *a}}\n") == {
        "a": [1, 2],
        "b": [[1, 2], [1, 2]],
        "c": {"d": [1, 2]},
    }


def test_a_doubled_key_is_refused_wherever_yaml_is_read(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("signature: {inputs: a}\nsignature: {inputs: b}\n")
    with pytest.raises(EvidenceError, match=f"MLmodel file at .* is not YAML: {TWICE.format('signature')}"):
        read_artifact(str(tmp_path))
    with pytest.raises(EvidenceError, match=TWICE.format("dependencies")):
        read_pins({"conda.yaml": b"dependencies: [a==1]\ndependencies: []\n"}, {})
    document = read_document("card.yaml", b"why: safety\nwhy: TODO\n")
    assert TWICE.format("why") in document.problem
    (tmp_path / "policy.yaml").write_text("format_version: 1\nquality: []\nquality: []\n")
    with pytest.raises(PolicyError, match=TWICE.format("quality")):
        load_policy(tmp_path / "policy.yaml")


def rule(text: str) -> str:
    return "{" + text + ", reason: because}"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"quality: [{rule('metric: mae, max: yes')}]", "quality.0.max"),
        (f"quality: [{rule('metric: mae, min: true')}]", "quality.0.min"),
        (f"performance: [{rule('metric: a, max: off')}]", "performance.0.max"),
        (f"champion: [{rule('metric: a, better: lower, worse_by_at_most: no')}]", "champion.0.worse_by_at_most"),
        (
            f"champion: [{rule('metric: a, better: lower, worse_by_at_most: 1, paired: {key: k, seed: no}')}]",
            "champion.0.paired.seed",
        ),
        (f"slices: [{rule('metric: s/*/a, max: 1, min_samples: true')}]", "slices.0.min_samples"),
        (f"business: [{rule('cost: c, max: 1, terms: [{metric: a, weight: yes}]')}]", "business.0.terms.0.weight"),
        (f"security: [{rule('allowed_files: [a], max_size_mb: true')}]", "max_size_mb"),
        (f"freshness: [{rule('max_age_days: true')}]", "freshness.0.max_age_days"),
        (f"acceptance: [{rule('artifact: a, people: yes')}]", "acceptance.0.people"),
        (f"records: [{rule('tag: a, equals: yes')}]", "records.0.tag.equals"),
        (f"optimisation: {rule('metric: a, worse_by_at_most: yes')}", "optimisation.worse_by_at_most"),
    ],
)
def test_truth_is_no_number_and_no_text(tmp_path: Path, text: str, key: str) -> None:
    """`max: yes` was read as 1.0, and a model with an error of one per picture passed."""
    path = tmp_path / "policy.yaml"
    path.write_text(f"format_version: 1\n{text}\n")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert f"{key}: expected anything but true or false, got" in str(caught.value)
    assert "write the number, or the text in quotes" in str(caught.value)


def test_truth_is_no_version_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f"format_version: yes\nquality: [{rule('metric: mae, max: 1')}]\n")
    with pytest.raises(PolicyError, match="format_version: expected anything but true or false"):
        load_policy(path)


@pytest.mark.parametrize("value", ["0", "1", "'false'", "'no'", "0.0"])
def test_a_switch_is_set_by_truth_alone(tmp_path: Path, value: str) -> None:
    path = tmp_path / "policy.yaml"
    text = f"format_version: 1\nsecurity: [{rule('allowed_files: [a], max_size_mb: 9, forbid_pickle: SWITCH')}]\n"
    path.write_text(text.replace("SWITCH", value))
    with pytest.raises(PolicyError, match="forbid_pickle: expected true or false, got"):
        load_policy(path)
    path.write_text(text.replace("SWITCH", "off"))
    policy = load_policy(path)
    assert policy.security[0].model_dump()["forbid_pickle"] is False
    assert Policy.model_validate_json(policy.model_dump_json()).digest == policy.digest
