"""Which version of a registered model is its champion now: one question, asked in one way."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_DOES_NOT_EXIST,
    ErrorCode,
)

from model_governance.standing import CHAMPION

__all__ = ["CHAMPION", "current_champion"]

# No such model, or no such alias of it.
_ABSENT = (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_PARAMETER_VALUE))


def current_champion(name: str) -> ModelVersion | None:
    """The version with the alias ``champion``; None where none has been approved yet.

    Raises
    ------
    MlflowException
        Where the registry does not answer, or not to this log-in: that is no sign that there is no champion.
    """
    client = MlflowClient()
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        # A server with log-ins says no to whoever asks for a model that is not there.
        if error.error_code == ErrorCode.Name(PERMISSION_DENIED) and not _is_seen(client, name):
            return None
        raise


def _is_seen(client: MlflowClient, name: str) -> bool:
    return bool(client.search_registered_models(f"name = '{name}'"))
