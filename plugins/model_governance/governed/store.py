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
)
from mlflow.entities.model_registry.model_version_stages import (
    DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS,
    get_canonical_stage,
)
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel
from mlflow.utils.validation import _validate_model_version
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME

from model_governance.governed import records
from model_governance.governed.adopting import Adopting
from model_governance.governed.deciding import Open
from model_governance.governed.files import place_of_run, true_place
from model_governance.governed.keeping_models import KeepingModels
from model_governance.governed.keeping_tokens import KeepingTokens
from model_governance.governed.keeping_webhooks import KeepingWebhooks
from model_governance.governed.protected import MOVED_ALIASES, is_evidence_tag, is_written_by_few
from model_governance.governed.questions import NO_FILES, Action
from model_governance.governed.reading import is_prompt
from model_governance.governed.telling_policy import TellingPolicy
from model_governance.governed.uploads import being_written
from model_governance.stages import ARCHIVED, PRODUCTION, STAGING
from model_governance.standing import CHALLENGER, CHAMPION, SERVING

__all__ = ["GovernedStore"]

_STAGES: Mapping[str, Action] = {PRODUCTION: "promote", STAGING: "challenge", ARCHIVED: "archive"}


class GovernedStore(Adopting, KeepingModels, KeepingWebhooks, KeepingTokens, TellingPolicy):
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
        place = place_of_run(source)
        kept, behind = self._own_tags(source, tags or [])

        def do(open_: Open) -> ModelVersion:
            made = super(GovernedStore, self).create_model_version(
                name, source, run_id, kept, run_link, description, local_model_path, model_id
            )
            identity = f"{name}/{made.version}"
            records.remember_creator(open_.session, records.VERSION, identity, open_.actor.name, open_.now)
            if model_id:  # MLflow's table of versions has no place for it
                trainer = records.creator_of(open_.session, records.LOGGED_MODEL, model_id) or ""
                records.remember_creator(open_.session, records.TRAINED, identity, trainer, open_.now)
            row: Any = self._row(open_.session, name, made.version) if kept or place is not None else None
            if place is not None:
                row.storage_location = place
            for tag in kept:
                self._remember_writer(open_, row, tag.key, tag.value)
            open_.version = str(made.version)
            lies_at = place or self.get_model_version_download_uri(name, made.version)
            if why := being_written(open_.session, true_place(lies_at, self.artifact_destination)):
                open_.refuse(why)
            told = {"tags": {tag.key: str(tag.value)[:200] for tag in kept}}
            if behind:
                told["not copied"] = {key: value[:200] for key, value in behind.items()}
            open_.tell(after=source[:500], detail=told)
            return made

        parts: list[tuple[Action, str, str]] = [("new tag", each.key, each.value) for each in kept]
        return self._asked("create version", name, do, value=source[:500], parts=parts)

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
            # as a number: MLflow compares it with those of other versions, and PostgreSQL takes no text for that
            moved = super(GovernedStore, self).transition_model_version_stage(
                name, int(version), wanted, archive_existing_versions
            )
            open_.tell(before=open_.facts.stage, after=wanted)
            return moved

        open_policy = not self.rules.enforce
        if open_policy or (archive_existing_versions and wanted not in DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS):
            return self._asked(_STAGES.get(wanted, "archive"), name, do, version, value=wanted)
        number = str(_validate_model_version(version))
        work = {PRODUCTION: self._promoted, STAGING: self._challenged}.get(wanted, self._put_away)

        def move(open_: Open) -> ModelVersion:
            work(open_)
            row = self._row(open_.session, name, number)
            open_.session.flush()
            moved: ModelVersion = self._populate_model_version_aliases(open_.session, name, row.to_mlflow_entity())
            return moved

        return self._asked(_STAGES.get(wanted, "archive"), name, move, number, value=wanted)

    def set_registered_model_alias(self, name: str, alias: str, version: str | int) -> None:
        """Set an alias; `champion` and `challenger` move the version's stage with them."""
        number = str(_validate_model_version(version))
        moving = alias in MOVED_ALIASES and not self._is_prompt(name, number)
        if self.rules.enforce and moving and alias == CHAMPION:
            self.promote(name, number)
        elif self.rules.enforce and moving and alias == CHALLENGER:
            self.challenge(name, number)
        else:

            def do(open_: Open) -> None:
                super(GovernedStore, self).set_registered_model_alias(name, alias, number)
                open_.tell(before=open_.facts.present, after=number, detail={"alias": alias})

            action: Action = "serve" if moving and alias == SERVING else "alias"
            self._asked(action, name, do, number, subject=alias, value=number)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias; without `challenger` its version leaves Staging."""
        moving = alias in MOVED_ALIASES and not self._is_prompt(name)
        if self.rules.enforce and moving and alias == CHALLENGER:
            self.withdraw_challenger(name)
            return

        def do(open_: Open) -> None:
            super(GovernedStore, self).delete_registered_model_alias(name, alias)
            open_.tell(before=open_.facts.present, detail={"alias": alias})

        self._asked("serve" if moving and alias == SERVING else "alias", name, do, subject=alias)

    def _own_tags(
        self, source: str, tags: Sequence[ModelVersionTag]
    ) -> tuple[list[ModelVersionTag], dict[str, str]]:
        """Tags that a version is made with, and those that stay behind with the version it is a copy of.

        `copy_model_version` sends all that the copied version has. What was decided on that one or recorded of it
        stays there, whoever copies: the copy is judged and reviewed under its own name.
        """
        if not tags or not self.rules.enforce or not source.startswith("models:/"):
            return list(tags), {}
        with self.ManagedSessionMaker() as session:
            copied = records.tags_of_copied(session, source)
        behind = {
            tag.key: str(tag.value)
            for tag in tags
            if copied.get(tag.key) == tag.value and is_written_by_few(tag.key, self.rules.protected_tags)
        }
        return [tag for tag in tags if tag.key not in behind], behind

    def _is_prompt(self, name: str, number: str | None = None) -> bool:
        """Whether this is a prompt, and the version one without files; what is asked for then is decided anew."""
        with self.ManagedSessionMaker() as session:
            model = session.get(SqlRegisteredModel, (DEFAULT_WORKSPACE_NAME, name))
            if model is None or not is_prompt(model):
                return False
            return number is None or self._row(session, name, number).source in NO_FILES

    def _remember_writer(self, open_: Open, row: Any, key: str, value: str | None) -> None:
        if is_evidence_tag(key, self.rules.protected_tags):
            records.remember_writer(open_.session, row, key, value, open_.actor.name, open_.now)
