"""The registry store that decides: each write is held against the policy and told to the audit in its transaction.

Whatever reaches the registry of an MLflow server ends here, so no route, old or new, goes round it. Stage and
alias are two names for one thing: whichever is asked for, both follow, with the standing that the client side
reads. Reading is MLflow's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlflow.entities.model_registry import (
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
)
from mlflow.entities.model_registry.model_version_stages import (
    DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS,
    get_canonical_stage,
)
from mlflow.entities.webhook import Webhook
from mlflow.prompt.registry_utils import handle_resource_already_exist_error, has_prompt_tag
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel
from mlflow.utils.validation import _validate_model_name, _validate_model_version
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME

from model_governance.governed import records
from model_governance.governed.deciding import Deciding, Open
from model_governance.governed.moving import Moving
from model_governance.governed.protected import is_evidence_tag
from model_governance.governed.questions import Action
from model_governance.stages import ARCHIVED, PRODUCTION, STAGING
from model_governance.standing import CHALLENGER, CHAMPION, SERVING

__all__ = ["GovernedStore"]


class GovernedStore(Moving, Deciding):
    """MLflow's registry store under ``governed+sqlite`` and ``governed+postgresql``.

    Whoever asks is `model_governance.governed.actor.current_actor`. A refusal is an `MlflowException`
    PERMISSION_DENIED whose message says everything that is missing.

    Parameters
    ----------
    store_uri : str
        SQLAlchemy's address of the registry's database behind ``governed+``.
    artifact_uri : str, optional
        Where the server keeps artefacts that clients reach through its proxy.

    Examples
    --------
    >>> from model_governance.governed.actor import Actor, acting
    >>> store = GovernedStore(f"governed+sqlite:///{getfixture('tmp_path')}/registry.db")
    >>> with acting(Actor("root", is_admin=True)):
    ...     store.grant("ann", "data_scientist")
    >>> with acting(Actor("ann")):
    ...     store.create_registered_model("street").name
    'street'
    """

    def create_registered_model(
        self,
        name: str,
        tags: Sequence[RegisteredModelTag] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Create a model, and write down who did."""
        _validate_model_name(name)

        def do(open_: Open) -> RegisteredModel:
            key = {"workspace": DEFAULT_WORKSPACE_NAME, "name": name}
            if open_.session.get(SqlRegisteredModel, key) is not None:
                # MLflow finds this out by an error, after which this transaction could not go on
                present = super(GovernedStore, self).get_registered_model(name)
                is_prompt = has_prompt_tag(list(tags or []))
                handle_resource_already_exist_error(name, has_prompt_tag(present._tags), is_prompt)
            for tag in tags or []:
                # the server's own tags, and no other: what a prompt is, is said when it is made
                if tag.key.strip().casefold().startswith("governance."):
                    open_.require("tag", subject=tag.key, value=tag.value)
            made = super(GovernedStore, self).create_registered_model(name, tags, description, deployment_job_id)
            records.remember_creator(open_.session, records.MODEL, name, open_.actor.name, open_.now)
            open_.tell(after=name)
            return made

        return self._asked("create model", name, do)

    def update_registered_model(
        self, name: str, description: str, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Change a model's description."""

        def do(open_: Open) -> RegisteredModel:
            open_.tell(after=description)
            return super(GovernedStore, self).update_registered_model(name, description, deployment_job_id)

        return self._asked("describe", name, do)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Rename a model that never served, with everything that is known of it."""

        def do(open_: Open) -> RegisteredModel:
            renamed = super(GovernedStore, self).rename_registered_model(name, new_name)
            records.rename(open_.session, name, new_name)
            open_.tell(before=name, after=new_name)
            return renamed

        return self._asked("rename", name, do, subject=new_name, value=new_name)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model on none of whose versions anybody decided."""

        def do(open_: Open) -> None:
            super(GovernedStore, self).delete_registered_model(name)
            records.forget_model(open_.session, name)
            open_.tell(before=name)

        self._asked("delete model", name, do)

    def set_registered_model_tag(self, name: str, tag: RegisteredModelTag) -> None:
        """Set a model's tag; the server's own are its own."""

        def do(open_: Open) -> None:
            super(GovernedStore, self).set_registered_model_tag(name, tag)
            open_.tell(before=open_.facts.present, after=tag.value, detail={"tag": tag.key})

        self._asked("tag", name, do, subject=tag.key, value=tag.value)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a model's tag; the server's own are its own."""

        def do(open_: Open) -> None:
            super(GovernedStore, self).delete_registered_model_tag(name, key)
            open_.tell(before=open_.facts.present, detail={"tag": key})

        self._asked("tag", name, do, subject=key)

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Sequence[ModelVersionTag] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Register a version, and write down who did; tags that tell evidence only from those who record it."""

        def do(open_: Open) -> ModelVersion:
            for tag in tags or []:
                open_.require("new tag", subject=tag.key, value=tag.value)
            made = super(GovernedStore, self).create_model_version(
                name, source, run_id, tags, run_link, description, local_model_path, model_id
            )
            row = self._row(open_.session, name, made.version)
            identity = f"{name}/{made.version}"
            records.remember_creator(open_.session, records.VERSION, identity, open_.actor.name, open_.now)
            if model_id:  # MLflow's table of versions has no place for it
                trainer = records.creator_of(open_.session, records.LOGGED_MODEL, model_id) or ""
                records.remember_creator(open_.session, records.TRAINED, identity, trainer, open_.now)
            for tag in tags or []:
                self._remember_writer(open_, row, tag.key, tag.value)
            open_.version = str(made.version)
            open_.tell(after=source[:500], detail={"tags": {tag.key: str(tag.value)[:200] for tag in tags or []}})
            return made

        return self._asked("create version", name, do)

    def update_model_version(self, name: str, version: str | int, description: str | None = None) -> ModelVersion:
        """Change a version's description; of a judged one only those who record evidence."""

        def do(open_: Open) -> ModelVersion:
            open_.tell(after=description)
            return super(GovernedStore, self).update_model_version(name, version, description)

        return self._asked("describe", name, do, version)

    def delete_model_version(self, name: str, version: str | int) -> None:
        """Delete a version that is not in use and on which nobody decided."""

        def do(open_: Open) -> None:
            super(GovernedStore, self).delete_model_version(name, version)
            records.forget_version(open_.session, name, str(open_.version))
            open_.tell(before=open_.facts.stage)

        self._asked("delete version", name, do, version)

    def set_model_version_tag(self, name: str, version: str | int, tag: ModelVersionTag) -> None:
        """Set a version's tag; what tells evidence only as those who record it, decisions never."""

        def do(open_: Open) -> None:
            super(GovernedStore, self).set_model_version_tag(name, version, tag)
            self._remember_writer(open_, self._row(open_.session, name, version), tag.key, tag.value)
            open_.tell(before=open_.facts.present, after=tag.value, detail={"tag": tag.key})

        self._asked("tag", name, do, version, subject=tag.key, value=tag.value)

    def delete_model_version_tag(self, name: str, version: str | int, key: str) -> None:
        """Delete a version's tag, as `set_model_version_tag` sets it."""

        def do(open_: Open) -> None:
            super(GovernedStore, self).delete_model_version_tag(name, version, key)
            self._remember_writer(open_, self._row(open_.session, name, version), key, None)
            open_.tell(before=open_.facts.present, detail={"tag": key})

        self._asked("tag", name, do, version, subject=key)

    def transition_model_version_stage(
        self, name: str, version: str | int, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Move a version: to Production as `promote`, to Staging as the challenger, else out of the way."""
        wanted = str(get_canonical_stage(stage))

        def do(open_: Open) -> ModelVersion:
            moved = super(GovernedStore, self).transition_model_version_stage(
                name, version, wanted, archive_existing_versions
            )
            open_.tell(before=open_.facts.stage, after=wanted)
            return moved

        open_policy = not self.rules.enforce
        if open_policy or (archive_existing_versions and wanted not in DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS):
            return self._asked(_STAGES.get(wanted, "archive"), name, do, version, value=wanted)
        number = str(_validate_model_version(version))
        if wanted == PRODUCTION:
            self.promote(name, number)
        elif wanted == STAGING:
            self.challenge(name, number)
        else:
            self.put_away(name, number, wanted)
        return self.get_model_version(name, number)

    def set_registered_model_alias(self, name: str, alias: str, version: str | int) -> None:
        """Set an alias; `champion` and `challenger` move the version's stage with them."""
        number = str(_validate_model_version(version))
        if self.rules.enforce and alias == CHAMPION:
            self.promote(name, number)
        elif self.rules.enforce and alias == CHALLENGER:
            self.challenge(name, number)
        else:

            def do(open_: Open) -> None:
                super(GovernedStore, self).set_registered_model_alias(name, alias, number)
                open_.tell(before=open_.facts.present, after=number, detail={"alias": alias})

            action: Action = "serve" if alias == SERVING else "alias"
            self._asked(action, name, do, number, subject=alias, value=number)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias; without `challenger` its version leaves Staging."""
        if self.rules.enforce and alias == CHALLENGER:
            self.withdraw_challenger(name)
            return

        def do(open_: Open) -> None:
            super(GovernedStore, self).delete_registered_model_alias(name, alias)
            open_.tell(before=open_.facts.present, detail={"alias": alias})

        self._asked("serve" if alias == SERVING else "alias", name, do, subject=alias)

    def create_webhook(self, *args: Any, **kwargs: Any) -> Webhook:
        """Create a webhook of MLflow's own; its secret is told to nobody."""

        def do(open_: Open) -> Webhook:
            made = super(GovernedStore, self).create_webhook(*args, **kwargs)
            open_.tell(after=made.url, detail={"webhook": made.webhook_id, "name": made.name})
            return made

        return self._asked("webhook", "", do)

    def update_webhook(self, webhook_id: str, *args: Any, **kwargs: Any) -> Webhook:
        """Change a webhook of MLflow's own."""

        def do(open_: Open) -> Webhook:
            changed = super(GovernedStore, self).update_webhook(webhook_id, *args, **kwargs)
            open_.tell(after=changed.url, detail={"webhook": webhook_id, "status": str(changed.status)})
            return changed

        return self._asked("webhook", "", do)

    def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook of MLflow's own."""

        def do(open_: Open) -> None:
            super(GovernedStore, self).delete_webhook(webhook_id)
            open_.tell(detail={"webhook": webhook_id, "deleted": True})

        self._asked("webhook", "", do)

    def _remember_writer(self, open_: Open, row: Any, key: str, value: str | None) -> None:
        if is_evidence_tag(key, self.rules.protected_tags):
            records.remember_writer(open_.session, row, key, value, open_.actor.name, open_.now)


_STAGES: Mapping[str, Action] = {PRODUCTION: "promote", STAGING: "challenge", ARCHIVED: "archive"}
