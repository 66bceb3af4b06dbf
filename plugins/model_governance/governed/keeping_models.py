"""Registered models: made, described, tagged, renamed and deleted by the rules."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from mlflow.entities.model_registry import (
    RegisteredModel,
    RegisteredModelTag,
)
from mlflow.entities.model_registry.model_version_stages import (
    STAGE_DELETED_INTERNAL,
)
from mlflow.exceptions import MlflowException
from mlflow.prompt.registry_utils import handle_resource_already_exist_error, has_prompt_tag
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_ALREADY_EXISTS
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel
from mlflow.utils.validation import _validate_model_name, _validate_model_renaming
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import bindparam, event, func, select
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.orm import Session

from model_governance.governed import records
from model_governance.governed.deciding import Deciding, Open, version_number

__all__ = ["KeepingModels"]


class _Taken(MlflowException):
    """There is a model of this name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a registered model {name!r} already", RESOURCE_ALREADY_EXISTS)


class KeepingModels(Deciding):
    """The part of the store that keeps models; of their versions the store itself does."""

    def get_registered_model(self, name: str) -> RegisteredModel:
        """A model with its newest version of each stage.

        The server asks for it at nearly every call, to see who may do what. MLflow reads all versions for it, and
        their tags one by one; this reads what it answers.
        """
        with self.ManagedSessionMaker() as session:
            return self._told(session, self._get_registered_model(session, name))

    def create_registered_model(
        self,
        name: str,
        tags: Sequence[RegisteredModelTag] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Create a model, and write down who did."""
        _validate_model_name(name)
        self._require_visible(name)

        def do(open_: Open) -> RegisteredModel:
            try:
                made = super(KeepingModels, self).create_registered_model(
                    name, tags, description, deployment_job_id
                )
            except PendingRollbackError:  # MLflow looks for what is there when this can read nothing more
                raise _Taken(name) from None
            records.remember_creator(open_.session, records.MODEL, name, open_.actor.name, open_.now)
            open_.tell(after=name)
            return made

        # the server's own tags, and no other: what a prompt is, is said when it is made
        own = [each for each in tags or [] if each.key.strip().casefold().startswith("governance.")]
        try:
            return self._asked("create model", name, do, parts=[("tag", each.key, each.value) for each in own])
        except _Taken:
            present = self.get_registered_model(name)
            handle_resource_already_exist_error(
                name, has_prompt_tag(present._tags), has_prompt_tag(list(tags or []))
            )
            raise

    def update_registered_model(
        self, name: str, description: str, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Change a model's description."""

        def do(open_: Open) -> RegisteredModel:
            open_.tell(after=description)
            return super(KeepingModels, self).update_registered_model(name, description, deployment_job_id)

        return self._asked("describe", name, do)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Rename a model that never served, with everything that is known of it."""
        _validate_model_renaming(new_name)
        self._require_visible(new_name)

        def do(open_: Open) -> RegisteredModel:
            renamed = super(KeepingModels, self).rename_registered_model(name, new_name)
            records.rename(open_.session, name, new_name)
            open_.tell(before=name, after=new_name)
            return renamed

        return self._asked("rename", name, do, subject=new_name, value=new_name)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model on none of whose versions anybody decided."""

        def do(open_: Open) -> None:
            super(KeepingModels, self).delete_registered_model(name)
            records.forget_model(open_.session, name)
            open_.tell(before=name)

        self._asked("delete model", name, do)

    def set_registered_model_tag(self, name: str, tag: RegisteredModelTag) -> None:
        """Set a model's tag; the server's own are its own."""

        def do(open_: Open) -> None:
            super(KeepingModels, self).set_registered_model_tag(name, tag)
            open_.tell(before=open_.facts.present, after=tag.value, detail={"tag": tag.key})

        self._asked("tag", name, do, subject=tag.key, value=tag.value)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a model's tag; the server's own are its own."""

        def do(open_: Open) -> None:
            super(KeepingModels, self).delete_registered_model_tag(name, key)
            open_.tell(before=open_.facts.present, detail={"tag": key})

        self._asked("tag", name, do, subject=key)

    def _require_visible(self, name: str) -> None:
        """Refuse a name that looks like another's, so that nobody decides on one model and means the other.

        One that is there already is read and deleted as ever.
        """
        if self.rules.enforce and (name != name.strip() or any(map(_is_unseen, name))):
            raise MlflowException(
                "expected a model's name without blanks at its ends and without characters that nobody sees, got "
                f"{name!r}; leave them out",
                INVALID_PARAMETER_VALUE,
            )

    def _get_sql_model_version(self, session: Session, name: str, version: str | int, eager: bool = False) -> Any:
        """A version's row, as MLflow reads it; what no database holds is a sentence and no failure of it."""
        return super()._get_sql_model_version(session, name, version_number(version), eager)

    def _told(self, session: Session, model: Any) -> RegisteredModel:
        """MLflow's entity of a model's row."""
        newest = {"workspace": DEFAULT_WORKSPACE_NAME, "of": model.name}
        rows = session.execute(_NEWEST, newest).all()
        versions = [
            session.get_one(SqlModelVersion, (DEFAULT_WORKSPACE_NAME, model.name, row.version)) for row in rows
        ]
        told: RegisteredModel = model.to_mlflow_entity(preloaded_latest_versions=versions)
        return told


def _is_unseen(character: str) -> bool:
    """Whether it controls or formats what stands around it, or stands for nothing.

    Examples
    --------
    >>> [_is_unseen(each) for each in ("\\n", "\\u202e", "\\ud800", " ", "é")]
    [True, True, True, False, False]
    """
    return unicodedata.category(character).startswith("C")


@event.listens_for(SqlRegisteredModel, "init")
def _is_empty(_: object, __: object, values: dict[str, Any]) -> None:
    """Say of a model that is being made that it has no versions and no aliases: MLflow would ask for both."""
    values.setdefault("model_versions", [])
    values.setdefault("registered_model_aliases", [])


_VERSIONS: Any = SqlModelVersion
_NEWEST = (
    select(func.max(_VERSIONS.version).label("version"))
    .where(
        _VERSIONS.workspace == bindparam("workspace"),
        _VERSIONS.name == bindparam("of"),
        _VERSIONS.current_stage != STAGE_DELETED_INTERNAL,
    )
    .group_by(_VERSIONS.current_stage)
    .order_by(func.min(_VERSIONS.version))
)
