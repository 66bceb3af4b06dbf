"""Which version of a registered model is its champion now: one question, asked in one way."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from model_governance.standing import CHAMPION

__all__ = ["CHAMPION", "current_champion"]

# No such model, or no such alias of it.
_ABSENT = (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_PARAMETER_VALUE))


def current_champion(name: str) -> ModelVersion | None:
    """The version with the alias ``champion``; None where none has been approved yet.

    Raises
    ------
    MlflowException
        Where the registry does not answer: that is no sign that there is no champion.
    """
    try:
        return MlflowClient().get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        return None
