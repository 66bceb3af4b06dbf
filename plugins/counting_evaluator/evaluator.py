"""The plugin: `mlflow.models.evaluate(..., model_type="camera-counting", evaluators="camera-counting")`."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.models.evaluation import EvaluationArtifact, EvaluationResult, ModelEvaluator
from mlflow.models.evaluation.artifacts import ImageEvaluationArtifact, JsonEvaluationArtifact
from PIL import Image

from counting_evaluator.clip_count import count_clip
from counting_evaluator.config import EvaluatorConfig
from counting_evaluator.errors import EvaluationError
from counting_evaluator.evaluation import Evaluation, evaluate_pictures
from counting_evaluator.figures import draw_figures
from counting_evaluator.hardship import Hardship, measure_hardship
from counting_evaluator.lines import LineCount
from counting_evaluator.truth import read_table
from counting_evaluator.whole_table import log_whole_table

__all__ = ["MODEL_TYPE", "CountingEvaluator", "loggable"]

MODEL_TYPE = "camera-counting"

# At the top of the run's artefacts, since MLflow's UI and `EvaluationResult.tables` look for tables there.
_TABLE = "evaluation_table.json"
_LINES = "line_counts.json"
_RENAMED = "slice_names.json"
_PLOTS = "evaluation"
_HARDSHIP = "robustness"
_WORST = "worst_pictures"
_PHOTOGRAPHS = (_WORST, "conditions")


class CountingEvaluator(ModelEvaluator):
    """Measures how well a `camera_counting` model detects and counts; judges nothing.

    The data is a table with one row per picture: ``image`` (path), ``boxes`` (N times x1, y1, x2, y2 in pixels),
    ``labels`` (N class names). ``time`` says when it was taken, ``clip`` what it is a frame of; every other text
    column (camera_id, light, weather) is a slice. `EvaluatorConfig` says what ``evaluator_config`` may hold, clips
    with true crossings among it. Every picture is detected once.
    """

    @classmethod
    def can_evaluate(
        cls, *, model_type: str, evaluator_config: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> bool:
        """Only the model type ``camera-counting``: with ``evaluators=None`` MLflow asks every evaluator."""
        return model_type == MODEL_TYPE

    def evaluate(
        self,
        *,
        model_type: str,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any] | None = None,
        model: Any = None,
        extra_metrics: Any = None,
        custom_artifacts: Any = None,
        predictions: Any = None,
        model_id: str | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Evaluate, log to the run, and return metrics and artefacts.

        Raises
        ------
        EvaluationError
            Where model, data or configuration cannot be evaluated.
        """
        if extra_metrics or custom_artifacts or predictions is not None:
            raise EvaluationError(
                "extra_metrics, custom_artifacts and predictions mean nothing here: leave them out"
            )
        config = EvaluatorConfig.read(evaluator_config)
        counting = _counting_model(model)
        table = dataset.features_data
        if not isinstance(table, pd.DataFrame) or dataset.has_targets:
            raise EvaluationError(
                "expected a pandas table with the columns image, boxes and labels, without targets; "
                f"got {type(table).__name__}"
            )
        evaluation = evaluate_pictures(
            counting,
            read_table(table),
            config,
            names=counting.names,
            confidence=counting.confidence if config.confidence is None else config.confidence,
            count_clip=lambda clip: count_clip(counting, clip, config.confidence),
        )
        hardship = measure_hardship(counting, evaluation, config)
        metrics = loggable(evaluation.metrics | hardship.metrics)
        size = _size_bytes(model)
        if size is not None:
            metrics["size_mb"] = size / 1e6
        if model_id is None:
            # With a model id MLflow itself logs them, tied to the model and the data.
            now = int(time.time() * 1000)
            MlflowClient().log_batch(run_id, [Metric(name, value, now, 0) for name, value in metrics.items()])
        return EvaluationResult(metrics, _log_artifacts(run_id, evaluation, config, hardship), run_id)  # type: ignore[no-untyped-call]


def loggable(metrics: Mapping[str, float]) -> dict[str, float]:
    """The same figures by names that MLflow takes: a class may be called anything, a metric may not.

    Raises
    ------
    EvaluationError
        Where two figures would then have one name.

    Examples
    --------
    >>> loggable({"count/mae/person (child)": 0.5})
    {'count/mae/person _child_': 0.5}
    """
    named: dict[str, float] = {}
    for name, value in metrics.items():
        plain = re.sub(r"[^\w.\-: /]", "_", name)
        if plain in named:
            raise EvaluationError(
                f"two figures would both be called {plain}: give one of the classes another name"
            )
        named[plain] = value
    return named


def _counting_model(model: Any) -> Any:
    """The `CountingModel` inside the pyfunc model."""
    from camera_counting.model import CountingModel

    if model is None:
        raise EvaluationError("expected a model to evaluate, got none: give its URI as `model`")
    try:
        raw = model.get_raw_model()
    except (AttributeError, NotImplementedError) as error:
        raise EvaluationError(
            "expected a model of the camera_counting flavour, got one that does not say what it holds"
        ) from error
    if not isinstance(raw, CountingModel):
        raise EvaluationError(f"expected a model of the camera_counting flavour, got {type(raw).__name__}")
    return raw


def _size_bytes(model: Any) -> int | None:
    size = getattr(getattr(model, "metadata", None), "model_size_bytes", None)
    return None if size is None else int(size)


def _log_artifacts(
    run_id: str, evaluation: Evaluation, config: EvaluatorConfig, hardship: Hardship
) -> dict[str, EvaluationArtifact]:
    client = MlflowClient()
    root = client.get_run(run_id).info.artifact_uri
    artifacts: dict[str, EvaluationArtifact] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in (draw_figures(evaluation, config) | hardship.figures).items():
            # Photographs as JPEG: as PNG they would weigh several megabytes.
            path = Path(folder) / f"{name}.{'jpg' if name in _PHOTOGRAPHS else 'png'}"
            figure.savefig(path, dpi=110)
            place = _HARDSHIP if name in hardship.figures else _PLOTS
            client.log_artifact(run_id, str(path), place)
            uri = f"{root}/{place}/{path.name}"
            artifacts[name] = ImageEvaluationArtifact(uri, _read(path))  # type: ignore[no-untyped-call]
    tables = {_TABLE: evaluation.table} | {f"{name}.json": table for name, table in hardship.tables.items()}
    if evaluation.lines:
        tables[_LINES] = pd.DataFrame([_cell(each) for each in evaluation.lines])
    if len(evaluation.renamed):
        tables[_RENAMED] = evaluation.renamed
    for file, table in tables.items():
        content = log_whole_table(run_id, table, file)
        name = file.removesuffix(".json")
        artifacts[name] = JsonEvaluationArtifact(f"{root}/{file}", content)  # type: ignore[no-untyped-call]
    return artifacts


def _read(path: Path) -> Image.Image:
    """The picture, whole: its file is gone when somebody looks at it."""
    with Image.open(path) as image:
        image.load()
        return image


def _cell(cell: LineCount) -> dict[str, Any]:
    return {
        "clip": cell.clip,
        "line": cell.line,
        "direction": cell.direction,
        "class_name": cell.class_name,
        "counted": cell.counted,
        "true": cell.true,
        "error": cell.error,
        "nwrmse": cell.nwrmse,
        "geh": cell.geh,
        "seconds": cell.seconds,
    }
