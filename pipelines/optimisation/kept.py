"""A candidate that is kept: a logged model in a run of its own that says what it was made of, and how."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import mlflow
from mlflow import MlflowClient
from mlflow.data.dataset import Dataset
from mlflow.entities import DatasetInput, InputTag

import camera_counting
from model_governance.evidence import INHERITED_TAG
from model_governance.versioning import PARENT_DIGEST_TAG, PARENT_TAG
from pipelines.leaks import LEARNING
from pipelines.optimisation.candidates import Candidate
from pipelines.optimisation.parent import Parent
from pipelines.optimisation.recipes import THRESHOLDS
from pipelines.optimisation.report import figures_of
from pipelines.optimisation.verdict import Figures
from pipelines.run_params import log_params
from pipelines.settings import StepSettings
from pipelines.step_record import record_step

__all__ = ["Kept", "Record", "inherited_inputs", "log_candidate", "parent_tags"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a candidate is: evaluate ``model_uri`` next."""

    name: str
    run_id: str
    model_uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class Record:
    """What every run of an optimisation says of itself.

    Parameters
    ----------
    tags : dict
    params : dict
    data : list of (dataset, context)
        What was looked at.
    settings : StepSettings
        All that the step was told.
    digest : str
        Of the data set.
    parent : str
        The model that is optimised.
    """

    tags: dict[str, str]
    params: dict[str, object]
    data: list[tuple[Dataset, str]]
    settings: StepSettings
    digest: str
    parent: str

    def log(self) -> None:
        """To the active run."""
        mlflow.set_tags(self.tags)
        record_step("optimize", self.settings, data=(self.digest,), parent=self.parent)
        log_params(self.params)
        for dataset, context in self.data:
            mlflow.log_input(dataset, context=context)


def log_candidate(
    candidate: Candidate, parent: Parent, reference: Figures, figures: Figures, record: Record
) -> Kept:
    """Log a candidate as a model, in a run below the active one.

    The model comes last: a run that was killed before holds none. What the model has learnt from stands among the
    run's inputs, for the candidate has learnt from it, too.

    Parameters
    ----------
    reference, figures : Figures
        Before and after.
    """
    recipe, manifest, spec = candidate.recipe, parent.artifact.manifest, candidate.detector.spec
    change = "re-thresholded" if recipe == THRESHOLDS else "re-exported"
    with mlflow.start_run(run_name=f"{recipe.name} of {parent.model_id}", nested=True) as active:
        run_id = str(active.info.run_id)
        # first, for MLflow keeps one context of a data set, and to learn from it is more than to look at it
        if learnt := inherited_inputs(parent.run_id, LEARNING):
            MlflowClient().log_inputs(run_id, learnt)
        record.log()
        mlflow.set_tags({"change": change, "optimisation": recipe.name})
        log_params({"confidence": figures.confidence, "input_shape": f"{spec.height}x{spec.width}"})
        mlflow.log_metrics(figures_of(reference, "before") | figures_of(figures, "after"))
        info = camera_counting.log_model(
            candidate.path,
            name="model",
            classes=manifest.classes,
            confidence=figures.confidence,
            iou=manifest.iou,
            head=manifest.head,
            size=(spec.width, spec.height),
        )
    digest = info.flavors["camera_counting"]["digest"]
    return Kept(recipe.name, run_id, str(info.model_uri), str(digest))


def parent_tags(parent: Parent) -> dict[str, str]:
    """Tags that name the model that something was made of."""
    return {
        PARENT_TAG: parent.model_id,
        PARENT_DIGEST_TAG: parent.digest,
        "optimised_from_run": parent.run_id,
    }


def inherited_inputs(run_id: str, contexts: Collection[str] | None = None) -> list[DatasetInput]:
    """Inputs of the run that made a model, for the run that makes another one of it without learning anew.

    What the model has learnt from, its copies have, too, and so have theirs; each says from which run it has that.

    Parameters
    ----------
    contexts : collection of str, optional
        Of the inputs that are wanted; all by default.
    """
    inputs, inherited = mlflow.get_run(run_id).inputs, []
    for each in inputs.dataset_inputs if inputs else []:
        tags = {tag.key: tag.value for tag in each.tags}
        if contexts is None or tags.get("mlflow.data.context") in contexts:
            more = [] if INHERITED_TAG in tags else [InputTag(INHERITED_TAG, run_id)]
            inherited.append(DatasetInput(each.dataset, [*each.tags, *more]))
    return inherited
