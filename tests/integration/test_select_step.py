"""The choice step on a real MLflow: three detectors that differ in what they see, one policy."""

from __future__ import annotations

import hashlib
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from rectangles import write_rectangles
from toy_detector import build

import camera_counting
from pipelines.datasets.manifest import load_dataset
from pipelines.evaluate import EvaluateSettings
from pipelines.evaluate import run as evaluate
from pipelines.search.space import SearchError
from pipelines.select import SelectSettings, run
from pipelines.settings import StepSettings
from run_lineage import read_record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = {"train": 2, "val": 2, "test": 6}
    return write_rectangles(tmp_path_factory.mktemp("data") / "set", pictures=pictures, size=(192, 128))


@pytest.fixture
def models(tracking: str, tmp_path: Path) -> dict[str, str]:
    """One that sees all, and one that asks for more than any box scores, so that it counts nothing."""
    detector = build(tmp_path / "toy.onnx", size=(256, 256))
    uris = {}
    for name, confidence in (("seeing", 0.5), ("blind", 0.99)):
        with mlflow.start_run(run_name=name):
            uris[name] = str(camera_counting.log_model(detector, confidence=confidence).model_uri)
    return uris


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    rule = {"metric": "count/mae", "better": "lower", "tie_within": 0.01, "reason": "what is sold"}
    quality = [{"metric": "count/mae", "max": 9, "reason": "of use at all"}]
    path.write_text(yaml.safe_dump({"format_version": 1, "quality": quality, "selection": rule}))
    return path


def test_the_policys_rule_picks_and_the_board_tells_why(
    data: Path, models: dict[str, str], policy: Path, tmp_path: Path
) -> None:
    known = evaluate(EvaluateSettings(model_uri=models["blind"], data=data, clips=False))
    result = run(SelectSettings(data=data, models=(models["blind"], models["seeing"]), policy=policy))

    assert result.model_uri == models["seeing"]
    assert result.table["name"].tolist() == ["seeing", "blind"]
    assert result.table["count/mae"].tolist()[0] == 0
    assert result.table["count/mae"].tolist()[1] > 1
    assert result.table["evaluation_run_id"].tolist()[1] == known.run_id, "what was measured is not measured again"
    record = read_record(result.run_id)
    assert (record.step, record.data) == ("select", (load_dataset(data).digest,))
    assert SelectSettings.model_validate(record.settings).models == (models["blind"], models["seeing"])
    assert record.files["policy"] == hashlib.sha256(policy.read_bytes()).hexdigest()
    chosen = mlflow.get_run(result.run_id)
    assert chosen.data.tags["selected_model"] == models["seeing"]
    client = MlflowClient()
    files = {each.path for each in client.list_artifacts(result.run_id)}
    assert {"leaderboard.json", "leaderboard.html", "leaderboard.md", "leaderboard.png", "policy.yaml"} <= files
    page = Path(client.download_artifacts(result.run_id, "leaderboard.html", str(tmp_path))).read_text()
    assert page.index("seeing") < page.index("blind")
    assert "<script" not in page
    assert "src='http" not in page

    anew = run(SelectSettings(data=data, models=tuple(models.values()), policy=policy, anew=True))
    assert known.run_id not in anew.table["evaluation_run_id"].tolist()


def test_an_experiments_models_compete_and_others_are_left_out(
    data: Path, models: dict[str, str], policy: Path
) -> None:
    with mlflow.start_run(run_name="of another kind"):
        mlflow.pyfunc.log_model(name="other", python_model=lambda model_input: model_input, input_example=["x"])
    result = run(SelectSettings(data=data, experiment="Default", policy=policy, clips=False))
    assert sorted(result.table["model_uri"]) == sorted(models.values())


def test_what_cannot_be_measured_is_told_and_not_chosen(
    data: Path, models: dict[str, str], policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = MlflowClient().get_logged_model(models["blind"].removeprefix("models:/"))
    [file] = Path(model.artifact_location.removeprefix("file://")).rglob("*.onnx")
    file.write_bytes(b"altered")
    result = run(SelectSettings(data=data, models=tuple(models.values()), policy=policy, clips=False))
    assert result.model_uri == models["seeing"]
    last = result.table.iloc[-1]
    assert last["model_uri"] == models["blind"]
    assert not last["eligible"]
    assert "not measured" in last["why"]
    assert models["blind"] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ("models:/m-absent",)}, "no model at 'models:/m-absent'"),
        ({"parent": "absent"}, "expected a run of this tracking server"),
        ({"experiment": "absent"}, "expected an experiment of this tracking server, got 'absent'"),
    ],
)
def test_candidates_that_are_not_there_are_named(
    settings: dict[str, object], message: str, data: Path, policy: Path, tracking: str
) -> None:
    with pytest.raises(SearchError, match=message):
        run(SelectSettings.model_validate({"data": data, "policy": policy, **settings}))
    assert mlflow.search_runs(output_format="list") == [], "no run that chose nothing is left behind"


def test_a_parent_without_models_is_told(data: Path, policy: Path, tracking: str) -> None:
    with mlflow.start_run() as parent:
        pass
    with pytest.raises(SearchError, match="expected finished runs with models below"):
        run(SelectSettings(data=data, parent=parent.info.run_id, policy=policy))


@pytest.mark.parametrize("given", [{}, {"parent": "a", "experiment": "b"}])
def test_exactly_one_source_of_candidates_is_given(given: dict[str, str], data: Path) -> None:
    with pytest.raises(ValueError, match="expected one of models, parent and experiment"):
        SelectSettings.model_validate({"data": data, **given})


def test_candidates_come_from_the_command_line_separated_by_commas(data: Path) -> None:
    assert issubclass(SelectSettings, StepSettings)
    settings = SelectSettings.from_command_line(["--data", str(data), "--models", "models:/m-1,models:/m-2"])
    assert settings.models == ("models:/m-1", "models:/m-2")
