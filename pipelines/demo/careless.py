"""A candidate that the gates must refuse: the trained detector, told to count only what it is sure of."""

from __future__ import annotations

import mlflow
from mlflow import MlflowClient

import camera_counting
from model_governance.source import locate
from pipelines.optimisation.kept import inherited_inputs, parent_tags
from pipelines.optimisation.parent import opened_parent
from pipelines.run_params import log_params

__all__ = ["log_careless"]

_CONFIDENCE = 0.8
_KNOWN = "demo.careless.2"


def log_careless(model_uri: str) -> str:
    """Log the detector of a model once more, with a confidence at which it misses most; gives its URI.

    Nothing else is wrong with it: it was trained on the same data, by the same code, and its files may serve. So
    whoever let it through would look at papers and not at counts. A demo that is run again finds it.
    """
    source, client = locate(model_uri), MlflowClient()
    run = client.get_run(source.run_id)
    found = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"tags.`{_KNOWN}` = '{source.run_id}'"
    )
    if found:
        return str(found[0].model_uri)
    with (
        opened_parent(model_uri) as parent,
        mlflow.start_run(run_name="careless candidate", nested=mlflow.active_run() is not None) as active,
    ):
        if inputs := inherited_inputs(source.run_id):
            client.log_inputs(active.info.run_id, inputs)
        log_params({"confidence": _CONFIDENCE})
        mlflow.set_tags({"change": "re-thresholded", **parent_tags(parent)})
        manifest = parent.artifact.manifest
        info = camera_counting.log_model(
            parent.artifact.detector,
            name="model",
            classes=manifest.classes,
            confidence=_CONFIDENCE,
            iou=manifest.iou,
            head=manifest.head,
        )
    client.set_logged_model_tags(info.model_id, {_KNOWN: source.run_id})
    return str(info.model_uri)
