"""The demo's log-ins with a small model: made by one, measured and registered by another, promoted by a third."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from rectangles import write_rectangles
from toy_detector import build

import camera_counting
from model_governance import TransitionError, promote
from model_governance.standing import read_standing
from pipelines import register, validate
from pipelines.demo.office import Office
from pipelines.register import RegisterSettings
from pipelines.validate import ValidateSettings
from tests.own_store import own_store

pytestmark = pytest.mark.slow

POLICY: dict[str, Any] = {
    "format_version": 1,
    "quality": [{"metric": "count/mae", "max": 0.5, "reason": "counts are what is sold"}],
    "performance": [{"metric": "serving/agrees", "min": 1, "reason": "the server counts as the model does"}],
    "freshness": [{"max_age_days": 30, "reason": "old figures tell nothing"}],
}


def test_who_measures_is_neither_who_made_it_nor_who_promotes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", "")
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump(POLICY))
    data = write_rectangles(tmp_path / "set", pictures={"train": 2, "val": 2, "test": 6}, size=(192, 128))
    detector = build(tmp_path / "toy.onnx", size=(256, 256))
    with own_store(tmp_path):
        # as the demo does: past the server, before it is there
        made = mlflow.create_experiment("demo", artifact_location=(tmp_path / "mlartifacts").as_uri())
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", made)
        with Office.opened(tmp_path, policy) as office:
            with office.as_("author"), mlflow.start_run():
                uri = str(camera_counting.log_model(detector, confidence=0.5).model_uri)
            with office.as_("validator"):
                asked = ValidateSettings(model_uri=uri, data=data, name="toy", policy=policy, pictures=2)
                assert validate.run(asked).passed
                done = register.run(RegisterSettings(model_uri=uri, name="toy", policy=policy))
                assert done.passed
                with pytest.raises(TransitionError, match="takes the role reviewer or operator"):
                    promote("toy", done.version, "V", "my own figures")
            with office.as_("author"), pytest.raises(TransitionError, match="you made or registered this version"):
                promote("toy", done.version, "A", "my own model")
            with office.as_("reviewer"):
                assert promote("toy", done.version, "R", "looked at it").champion == done.version
        # and past the server again, when it is gone
        assert read_standing(mlflow.MlflowClient(), "toy").champion == done.version
