"""Questions to the tracking server and the registry, each asked once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

__all__ = ["History"]

_PAGE = 200


class History:
    """What the tracking server knows, as far as one graph needs it.

    Everything that is not there (any more) is None or an empty list: a graph is drawn of what is left.
    """

    def __init__(self, client: MlflowClient | None = None) -> None:
        self.client = client or MlflowClient()
        self.run = cache(self._run)
        self.model = cache(self._model)
        self.version = cache(self._version)
        self.experiments = cache(self._experiments)

    def _run(self, run_id: str) -> Run | None:
        try:
            return self.client.get_run(run_id)
        except MlflowException:
            return None

    def _model(self, model_id: str) -> LoggedModel | None:
        try:
            return self.client.get_logged_model(model_id)
        except MlflowException:
            return None

    def _version(self, name: str, number: str) -> ModelVersion | None:
        try:
            return self.client.get_model_version(name, number)
        except MlflowException:
            return None

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version that an alias stands on."""
        try:
            return self.client.get_model_version_by_alias(name, alias)
        except MlflowException:
            return None

    def _experiments(self) -> list[str]:
        found, token = [], None
        while True:
            page = self.client.search_experiments(page_token=token)
            found += [experiment.experiment_id for experiment in page]
            token = page.token
            if not token:
                return found

    def runs(self, most: int = _PAGE, **tags: str) -> list[Run]:
        """Runs with all of these tags, newest first; a name's ``__`` stands for a dot. A value may end with %."""
        return self._search({f"tags.`{name.replace('__', '.')}`": value for name, value in tags.items()}, most)

    def trained_on(self, digest: str, most: int) -> list[Run]:
        """Trainings on a data set, newest first."""
        return self._search({"params.dataset_digest": digest, "tags.step": "train"}, most)

    def _search(self, wanted: dict[str, str], most: int) -> list[Run]:
        condition = _condition(wanted)
        if condition is None:
            return []
        return list(
            self.client.search_runs(
                self.experiments(), condition, order_by=["attributes.start_time DESC"], max_results=most
            )
        )

    def versions_of_model(self, model_id: str, run_id: str | None) -> list[ModelVersion]:
        """Registered versions that are this logged model."""
        condition = _condition({"run_id": run_id}) if run_id else None
        if condition is None:
            return []
        found = self.client.search_model_versions(condition)
        return [version for version in found if model_of(version) == model_id]

    def models_of_run(self, run: Run) -> list[LoggedModel]:
        """The models that a run logged."""
        outputs = run.outputs.model_outputs if run.outputs else []
        return [model for output in outputs if (model := self.model(output.model_id)) is not None]


def model_of(version: ModelVersion) -> str | None:
    """The id of the logged model that a version is."""
    prefix = "models:/"
    source = version.source or ""
    return source.removeprefix(prefix) if source.startswith(prefix + "m-") else None


def data_of(run: Run) -> Iterator[tuple[str, str, str, str]]:
    """The data sets of a run: (whole digest, name, what for, store)."""
    for given in run.inputs.dataset_inputs if run.inputs else []:
        try:
            source = json.loads(given.dataset.source)
        except ValueError:
            source = {}
        known = source if isinstance(source, dict) else {}
        context = next((tag.value for tag in given.tags if tag.key == "mlflow.data.context"), "")
        digest = str(known.get("digest") or given.dataset.digest)
        yield digest, given.dataset.name, context, str(known.get("uri") or "")


def _condition(wanted: dict[str, str]) -> str | None:
    """A filter that asks for all of these values; None where MLflow's filters, which know no escape, cannot."""
    parts = []
    for name, value in wanted.items():
        mark = next((mark for mark in "'\"" if mark not in value), None)
        if mark is None:
            return None
        parts.append(f"{name} {'LIKE' if value.endswith('%') else '='} {mark}{value}{mark}")
    return " and ".join(parts)
