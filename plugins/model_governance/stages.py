"""MLflow's stages, still the way a reviewer moves a version in the UI, without their deprecation warning."""

from __future__ import annotations

import warnings

from mlflow import MlflowClient

__all__ = ["ARCHIVED", "NONE", "PRODUCTION", "STAGING", "move_to_stage"]

NONE, STAGING, PRODUCTION, ARCHIVED = "None", "Staging", "Production", "Archived"


def move_to_stage(client: MlflowClient, name: str, version: str, stage: str) -> None:
    """Move one version; a version that it displaces from Production is archived in the same transaction."""
    with warnings.catch_warnings():
        # Only this one: stages are deprecated in favour of aliases, and here the two are kept in step.
        warnings.filterwarnings("ignore", r".*transition_model_version_stage.*", FutureWarning)
        client.transition_model_version_stage(name, version, stage, archive_existing_versions=stage == PRODUCTION)
