"""The file of a search space: what it may say, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from optuna.trial import FixedTrial

from pipelines.search.space import DEFAULT_SPACE, SearchError, SearchSpace, load_space, space_schema
from pipelines.trainers import TrainingPlan
from pipelines.trainers.torchvision import TorchvisionOptions

SPACE = {
    "format_version": 1,
    "architectures": [
        {"trainer": "ultralytics", "model": "yolo11n.yaml"},
        {"trainer": "torchvision", "model": "fcos_mobilenet_v3_small_fpn"},
    ],
    "settings": {"image_size": {"low": 64, "high": 128, "step": 32}},
    "options": {
        "ultralytics": {"lr0": {"low": 0.001, "high": 0.01, "log": True}},
        "torchvision": {"lr0": {"low": 0.001, "high": 0.01, "log": True}, "zoom": {"choices": [0.0, 0.4]}},
    },
}


def test_the_schema_beside_the_module_is_the_models_own() -> None:
    shipped = json.loads(DEFAULT_SPACE.with_name("search_space.schema.json").read_text(encoding="utf-8"))
    assert shipped == space_schema()


def test_the_default_space_fits_its_schema_and_its_trainers() -> None:
    content = yaml.safe_load(DEFAULT_SPACE.read_text(encoding="utf-8"))
    jsonschema.validate(content, space_schema())
    space = load_space(DEFAULT_SPACE)
    assert {each.trainer for each in space.architectures} == {"ultralytics", "torchvision"}
    assert set(space.options["torchvision"]) <= set(TorchvisionOptions.model_fields)
    assert TrainingPlan.__dataclass_fields__.keys() >= {"image_size", "batch"}


def test_a_trial_draws_only_the_options_of_its_own_trainer() -> None:
    space = SearchSpace.model_validate(SPACE)
    fixed = {
        "architecture": "torchvision fcos_mobilenet_v3_small_fpn", "image_size": 96, "batch": 8,
        "torchvision.lr0": 0.002, "torchvision.zoom": 0.4,
    }  # fmt: skip
    trial = FixedTrial(fixed)
    proposal = space.propose(trial)
    assert trial.params == fixed
    assert proposal.settings() == {
        "trainer": "torchvision", "model": "fcos_mobilenet_v3_small_fpn", "image_size": 96, "batch": 8,
        "options": {"lr0": 0.002, "zoom": 0.4},
    }  # fmt: skip


def _without(name: str) -> dict[str, object]:
    return {key: value for key, value in SPACE.items() if key != name}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_without("architectures"), "architectures"),
        (SPACE | {"epochs": 3}, "epochs: Extra inputs"),
        (SPACE | {"architectures": [{"trainer": "abacus", "model": "x"}]}, "a trainer out of .*, got 'abacus'"),
        (SPACE | {"architectures": [SPACE["architectures"][0]] * 2}, "each architecture once"),  # type: ignore[index]
        (SPACE | {"architectures": [SPACE["architectures"][0]]}, "trainers that are searched.*torchvision"),  # type: ignore[index]
        (SPACE | {"settings": {"image_size": {"low": 128, "high": 64}}}, "low below high, got 128 and 64"),
        (SPACE | {"settings": {"image_size": {"choices": []}}}, "image_size"),
        (SPACE | {"settings": {"image_size": {"choices": [64, 64]}}}, "each value once"),
        (SPACE | {"options": {"torchvision": {"lr0": {"low": 0, "high": 1, "log": True}}}}, "begin above 0"),
        ("a sentence", "no search space"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(SearchError, match=message):
        load_space(path)


@pytest.mark.parametrize("text", [None, "a: [", "\x00", "settings: {}\nsettings: {}"])
def test_a_file_that_cannot_be_read_is_refused(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SearchError, match=r"space\.yaml"):
        load_space(path)


def test_another_layout_of_the_same_space_has_the_same_digest() -> None:
    other = json.loads(json.dumps(SPACE, sort_keys=True))
    assert SearchSpace.model_validate(other).digest == SearchSpace.model_validate(SPACE).digest
    changed = SPACE | {"settings": {"image_size": {"choices": [64]}}}
    assert SearchSpace.model_validate(changed).digest != SearchSpace.model_validate(SPACE).digest
