"""The bill of materials: valid CycloneDX 1.6, the same each time, vouched for on the version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from mlflow import MlflowClient
from plain_policy import POLICY
from test_gates import evidence

from model_governance import GovernanceError, Policy, PolicyError, TamperError, promote, register
from model_governance.bundle import MATERIALS_FILE, MATERIALS_TAG, read_bundle
from model_governance.materials import bill_of_materials
from model_governance.policy import load_policy
from model_governance.requirements import Pin

HASHES = (f"sha256:{'ab' * 32}", f"sha512:{'cd' * 64}")
PINS = (Pin(name="numpy", version="2.1.0", hashes=HASHES), Pin(name="scipy", version=None))


def test_it_is_valid_and_says_what_is_pinned_and_what_is_not() -> None:
    text = bill_of_materials(evidence(requirements=PINS), "counter")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    content: dict[str, Any] = json.loads(text)
    assert (content["bomFormat"], content["specVersion"]) == ("CycloneDX", "1.6")
    numpy, scipy = content["components"]
    assert (numpy["purl"], numpy["version"]) == ("pkg:pypi/numpy@2.1.0", "2.1.0")
    assert [(each["alg"], each["content"]) for each in numpy["externalReferences"][0]["hashes"]] == [
        ("SHA-256", "ab" * 32),
        ("SHA-512", "cd" * 64),
    ]
    assert "purl" not in scipy
    model = content["metadata"]["component"]
    assert (model["type"], model["name"]) == ("machine-learning-model", "counter")
    assert {each["name"]: each["hashes"][0]["content"] for each in model["components"]} == {
        "MLmodel": "a" * 64,
        "data/detector.onnx": "b" * 64,
    }
    told = {each["name"]: each["value"] for each in model["properties"]}
    assert told["model-governance:requirements"] == "2 packages, 1 of them unpinned, 1 with hashes"


def test_the_same_model_gives_the_same_text() -> None:
    shown = evidence(requirements=PINS)
    text = bill_of_materials(shown, "counter")
    assert bill_of_materials(shown, "counter") == text
    assert "timestamp" not in text
    assert bill_of_materials(evidence(requirements=PINS[:1]), "counter") != text
    assert "no requirements.txt" in bill_of_materials(evidence(), "counter")


def test_it_is_vouched_for_on_the_version(make_model: Callable[..., str], policy: Policy) -> None:
    done = register(make_model(), "m", policy)
    version = MlflowClient().get_model_version("m", done.version)
    kept = f"runs:/{done.evidence.run_id}/{version.tags['evidence']}/{MATERIALS_FILE}"
    text = mlflow.artifacts.load_text(kept)
    assert hashlib.sha256(text.encode()).hexdigest() == version.tags[MATERIALS_TAG]
    assert read_bundle(version).materials == text
    MlflowClient().log_text(
        done.evidence.run_id, text.replace("1.6", "1.5"), f"{version.tags['evidence']}/{MATERIALS_FILE}"
    )
    with pytest.raises(TamperError, match="the bill of materials of version 1"):
        promote("m", 1, "Ann", "fine")


def test_a_version_without_one_can_still_be_promoted(make_model: Callable[..., str], policy: Policy) -> None:
    """As those are that were registered before there were any."""
    done = register(make_model(), "m", policy)
    client = MlflowClient()
    version = client.get_model_version("m", done.version)
    artifacts = Path(mlflow.get_run(done.evidence.run_id).info.artifact_uri.removeprefix("file://"))
    (artifacts / version.tags["evidence"] / MATERIALS_FILE).unlink()
    with pytest.raises(GovernanceError, match="the bill of materials"):
        promote("m", 1, "Ann", "fine")
    client.delete_model_version_tag("m", done.version, MATERIALS_TAG)
    assert promote("m", 1, "Ann", "fine").champion == "1"


def test_a_lock_beside_the_policy_gives_the_hashes(make_model: Callable[..., str], tmp_path: Path) -> None:
    import yaml

    path = tmp_path / "rules" / "policy.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump({**POLICY, "materials": {"lock": "lock.txt"}}))
    uri = make_model()
    with pytest.raises(PolicyError, match=r"lock\.txt cannot be read"):
        register(uri, "m", load_policy(path))
    assert MlflowClient().search_model_versions("name='m'") == [], "nothing is half registered"
    # The model's own requirements name what made it.
    pinned = [
        pin for pin in register(uri, "m", Policy.model_validate(POLICY)).evidence.requirements or () if pin.version
    ]
    assert pinned
    path.with_name("lock.txt").write_text(f"{pinned[0].name}=={pinned[0].version} --hash=sha256:{'ab' * 32}\n")
    found = register(uri, "m", load_policy(path)).evidence.requirements
    assert next(pin.hashes for pin in found or () if pin.name == pinned[0].name) == (f"sha256:{'ab' * 32}",)
