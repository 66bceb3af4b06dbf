"""The gate before MLflow's Flask handlers: says who asks, refuses what nobody may, writes down what happens.

Two hooks run around MLflow's own log-in: one before it (who guesses passwords waits), one after it (now somebody
is known). Decisions on the registry are the store's alone; here is what never reaches the store.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from mlflow.exceptions import MlflowException
from mlflow.utils.uri import validate_path_is_safe

from model_governance.governed.actor import Actor, acting, current_actor
from model_governance.governed.artifact_guard import ArtifactGuard, Holder, Source, place_of
from model_governance.governed.asked import body, field, named, require_one_meaning, settings, things
from model_governance.governed.endpoints import FLASK, PAGES, SIGN_UP, Kind, kind_of
from model_governance.governed.keeping_in import keeps_out, model_of
from model_governance.governed.origins import FOREIGN, is_foreign
from model_governance.governed.questions import NO_FILES
from model_governance.governed.records import LOGGED_MODEL
from model_governance.governed.refusals import (
    RefusedError,
    Registry,
    refusal_text,
    require_free,
    require_own,
    require_query,
    write_down_read,
)
from model_governance.governed.run_writes import RunWrites, named_in
from model_governance.governed.throttle import FailedLogins, login_name
from model_governance.governed.uploads import Uploads
from model_governance.governed.waiting_line import in_words
from model_governance.governed.witness import Witness

__all__ = ["FlaskGate"]


@dataclass(frozen=True, slots=True)
class FlaskGate:
    """The hooks, and what they need."""

    guard: ArtifactGuard
    writes: RunWrites
    uploads: Uploads
    witness: Witness
    registry: Registry
    logins: FailedLogins
    is_admin: Callable[[str], bool]

    def before_login(self, app: Flask) -> None:
        """Hook in before everything else."""
        app.before_request_funcs.setdefault(None, []).insert(0, self._arrive)
        app.register_error_handler(RecursionError, _too_deep)
        app.teardown_request(_leave)

    def after_login(self, app: Flask) -> None:
        """Hook in behind MLflow's log-in and permissions."""
        app.before_request(self._decide)
        app.after_request(self._conclude)

    def _arrive(self) -> ResponseReturnValue | None:
        g.governance = ExitStack()
        address = request.remote_addr or ""
        _act(Actor("", address, request.endpoint or ""))
        user = login_name(request.headers.get("Authorization"))
        if user is not None and (wait := self.logins.wait(user, address)):
            g.governance_throttled = True
            answer = make_response(f"Too many failed log-ins; try again in {wait} s.\n", 429)
            answer.headers["Retry-After"] = str(wait)
            return answer
        return None

    def _decide(self) -> ResponseReturnValue | None:
        user, endpoint = g.get("mlflow_authenticated_user"), request.endpoint or ""
        kind = kind_of(endpoint, request.method, FLASK)
        if not user:
            # what MLflow shows to everybody only reads; whoever lets nobody in by name is let in to nothing else
            return None if kind is Kind.READ else make_response("log in by name first\n", 403)
        asks_for_roles = kind in _BY_ROLE or endpoint.startswith(PAGES)
        is_admin = asks_for_roles and self.is_admin(user)
        actor = Actor(user, request.remote_addr or "", endpoint, is_admin)
        _act(actor)
        try:
            with in_words():
                self._require(kind, actor)
        except RefusedError as refused:
            g.governance_refused = refused
            return jsonify(error_code="PERMISSION_DENIED", message=str(refused)), 403
        except MlflowException as error:
            return jsonify(error_code=error.error_code, message=error.message), error.get_http_status_code()
        return None

    def _require(self, kind: Kind, actor: Actor) -> None:
        """Refuse what nobody may ask, and write down what is about to happen."""
        if actor.endpoint.startswith(PAGES) or not request.endpoint:
            return
        if kind not in (Kind.READ, Kind.FILE_READ) and is_foreign(
            request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), request.host
        ):
            raise RefusedError(FOREIGN)
        if kind in _SAID_ONCE:
            require_one_meaning()
        if kind is Kind.FILE_READ:
            self._write_down_read(actor)
        elif kind is Kind.ACCOUNTS:
            self._require_let_in(actor)
            self.witness.done(actor, refusal_text(actor.endpoint), settings(), model=model_of(_permission()))
            if actor.endpoint == "update_user_password":
                for user in named() - {actor.name} if actor.is_admin else ():
                    self.registry.password_set(user)  # first: killed in between, it is known who may be behind it
        elif not self.registry.enforced():
            return
        elif kind is Kind.REFUSED:
            raise RefusedError(
                f"{actor.endpoint} is closed on a governed server: it would act with the server's own rights, or "
                "nobody has classified it yet"
            )
        elif kind is Kind.ARTEFACTS:
            self._require_free_place(actor)
        elif kind is Kind.RECORD:
            require_own(self.writes, actor, things())
        elif kind is Kind.LINEAGE:
            require_own(self.writes, actor, things())
            self._require_no_offspring(actor)
        elif kind is Kind.SOURCE:
            self._require_guardable(actor)
        elif actor.endpoint == "serve_create_promptlab_run":
            self._require_free_experiment()
        elif actor.endpoint == "_graphql":
            require_query(field("query"))

    def _require_let_in(self, actor: Actor) -> None:
        if not self.registry.enforced() or "admin" in self.registry.roles():
            return
        asked = _permission()
        reason = keeps_out(self.guard.engine, self.writes.rules(), actor.endpoint, asked, actor.name)
        if reason:
            model = model_of(asked)
            raise RefusedError(reason, Holder(model, "") if model else None)

    def _require_free_place(self, actor: Actor) -> None:
        endpoint = request.endpoint
        if endpoint == "_create_presigned_upload_url":
            raise RefusedError(
                "addresses for writing past the server are not given on a governed server: they would still write "
                "after the version was reviewed; upload through the server"
            )
        deleting = endpoint == "_delete_artifact_mlflow_artifacts"
        for place in self._written():
            require_own(self.writes, actor, named_in(place))
            if not deleting:
                g.governance.enter_context(self.uploads.during(place, actor.name))
            if holder := self.guard.holder(place):
                require_free(holder, self.registry, deleting)
            elif deleting and not self.guard.belongs(place):
                raise RefusedError(
                    "on a governed server only files below one run or one logged model are deleted; name the "
                    "folder of one"
                )
            if not deleting:
                self.writes.remember(actor, named_in(place))

    def _written(self) -> list[str]:
        """Every place that the request writes to, or deletes."""
        endpoint = request.endpoint
        if endpoint == "serve_upload_artifact":
            run_id, path = request.args.get("run_uuid", ""), _as_mlflow_reads(request.args.get("path", ""))
            # MLflow writes to the run's default folder, whatever folder the run says
            run = self.guard.tracking().get_run(run_id)
            default = posixpath.join(str(run.info.experiment_id), run_id, "artifacts", path)
            return [self.guard.run_place(run_id, path), self.guard.place(default)]
        folder = _as_mlflow_reads(str((request.view_args or {}).get("artifact_path", "")))
        if endpoint not in _MULTIPART:
            return [self.guard.place(folder)]  # and the body is left unread: it is the file
        # the folder stands in the address, the file in the body; S3 takes its name letter by letter
        return [f"{self.guard.place(folder)}/{posixpath.basename(field('path'))}"]

    def _require_free_experiment(self) -> None:
        """Refuse where the server itself would write the files of a new run among those of a version."""
        experiment = _number(body().get("experiment_id"))  # MLflow takes it as it comes, a 1.0 too
        if experiment is None:
            return  # MLflow says what is wrong with it
        folder = self.guard.tracking().get_experiment(str(experiment)).artifact_location
        if holder := self.guard.holder(place_of(posixpath.join(folder, "run"), self.guard.destination)):
            require_free(holder, self.registry, False)

    def _require_no_offspring(self, actor: Actor) -> None:
        endpoint, what = request.endpoint, ""
        if endpoint == "_delete_logged_model":
            what = f"logged model {(request.view_args or {}).get('model_id')}"
            holder = self.guard.of_model(str((request.view_args or {}).get("model_id")))
        elif endpoint == "_delete_run":
            run_id = field("run_id", "runId")
            what, holder = f"run {run_id}", self.guard.of_run(run_id)
        else:
            experiment = _number(field("experiment_id", "experimentId"))
            what = f"experiment {experiment}"
            holder = None if experiment is None else self.guard.of_experiment(experiment)
            if experiment is not None and not holder:
                self._require_none_measured(actor, experiment)
        if holder:
            raise RefusedError(f"{what} is where {holder} comes from; delete that version first", holder)

    def _require_none_measured(self, actor: Actor, experiment: int) -> None:
        """Refuse to delete together with an experiment what nobody but its maker deletes alone."""
        if reason := self.writes.loss(actor, self.guard.in_experiment(experiment)):
            raise RefusedError(f"experiment {experiment} is not deleted: {reason}")

    def _require_guardable(self, actor: Actor) -> None:
        source = Source(field("source"), field("run_id", "runId"), field("model_id", "modelId"))
        if source.uri in NO_FILES:
            return  # a prompt, which MLflow holds to this very word
        if reason := self.guard.unguardable(source):
            raise RefusedError(reason)
        self._require_own_source(actor, source)

    def _require_own_source(self, actor: Actor, source: Source) -> None:
        """Refuse to register what somebody else measured: from then on its maker could not write there either."""
        inside = named_in(source.uri)
        if urlsplit(source.uri).scheme == "models" and not inside:
            return  # a copy of a registered version, which is kept already
        own = {*inside, *things(), *([(LOGGED_MODEL, source.model_id)] if source.model_id else [])}
        # an experiment's files may have been laid among those of another one's run
        around = [named_in(self.guard.folder(kind, identity)) for kind, identity in own]
        require_own(self.writes, actor, [*own, *chain.from_iterable(around)])

    def _write_down_read(self, actor: Actor) -> None:
        path = _as_mlflow_reads(request.args.get("path") or request.args.get("artifact_file_path") or "")
        arguments = request.view_args or {}
        if request.endpoint == "serve_model_version_artifact":
            name, version = request.args.get("name", ""), request.args.get("version", "")
            self.witness.read(actor, f"{name}/{version}: {path}")
            return
        if "model_id" in arguments:
            place = self.guard.model_place(arguments["model_id"], path)
        elif "artifact_path" in arguments:
            place = self.guard.place(_as_mlflow_reads(arguments["artifact_path"]))
        elif run_id := field("run_id", "runId") or request.args.get("run_uuid", ""):
            place = self.guard.run_place(run_id, path or _as_mlflow_reads(field("path")))
        elif model_id := field("model_id", "modelId"):
            place = self.guard.model_place(model_id, _as_mlflow_reads(field("path")))
        else:
            return  # MLflow says what is missing
        write_down_read(self.guard, self.witness, actor, place)

    def _conclude(self, answer: Response) -> Response:
        actor, status = current_actor(), answer.status_code
        kind = kind_of(request.endpoint or "", request.method, FLASK)
        if g.get("governance_throttled"):
            if not g.get("governance_told"):
                g.governance_told = True
                self._tell(actor, "too many failed log-ins")
        elif status == 401:
            if (user := login_name(request.headers.get("Authorization"))) is not None:
                self.logins.failed(user, actor.address)
                self._tell(actor, "failed log-in", {"tried": user})
            elif kind is not Kind.READ:
                self._tell(actor, "not logged in")
        elif refused := g.get("governance_refused"):
            self._tell(actor, str(refused), holder=refused.holder)
        elif (
            status == 403 and not answer.is_json and kind is not Kind.READ and not actor.endpoint.startswith(PAGES)
        ):
            # MLflow's own permissions and its checks of origin and host; the store's refusals are JSON
            self._tell(actor, answer.get_data(as_text=True)[:200])
        elif actor.authenticated:
            if request.headers.get("Authorization"):
                self.logins.succeeded(actor.name, actor.address)
            if status < 400:
                self._after(kind, answer)
            elif kind is Kind.ACCOUNTS:  # it was written down before it was tried
                self._tell(actor, f"not done: {answer.get_data(as_text=True)[:200]}")
        return answer

    def _tell(
        self, actor: Actor, reason: str, detail: Mapping[str, Any] | None = None, holder: Holder | None = None
    ) -> None:
        model, version = (holder.model, holder.version) if holder else (field("name"), field("version"))
        self.witness.refused(
            actor,
            refusal_text(actor.endpoint or request.method),
            reason,
            model=model or None,
            version=version or None,
            detail={"method": request.method, "path": request.path[:500], **(detail or {})},
        )

    def _after(self, kind: Kind, answer: Response) -> None:
        """What follows from something that was done."""
        if kind is Kind.CREATOR:
            made = answer.get_json(silent=True) or {}
            if run_id := made.get("run", {}).get("info", {}).get("run_id"):
                self.registry.record_creator("run", run_id)
            if model_id := made.get("model", {}).get("info", {}).get("model_id"):
                self.registry.record_creator("logged_model", model_id)
        elif kind is Kind.ACCOUNTS:
            endpoint, own = request.endpoint, current_actor().name
            for user in named():
                if endpoint in ("create_user", SIGN_UP):
                    self.registry.hand_over(user, False)
                elif endpoint == "delete_user" or (endpoint == "update_user_password" and user != own):
                    self.registry.hand_over(user, True)


_SAID_ONCE = frozenset(
    {Kind.ACCOUNTS, Kind.FILE_READ, Kind.RECORD, Kind.LINEAGE, Kind.SOURCE, Kind.REGISTRY, Kind.CREATOR}
)
_BY_ROLE = frozenset({Kind.REGISTRY, Kind.SOURCE, Kind.ACCOUNTS, Kind.ARTEFACTS})
_MULTIPART = frozenset(f"_{step}_multipart_upload_artifact" for step in ("create", "complete", "abort"))


def _too_deep(_: Exception) -> ResponseReturnValue:
    """The answer to a body that holds brackets in brackets in brackets: MLflow would end in an error 500."""
    message = "the request is nested too deeply to be read; send what MLflow's API describes"
    return jsonify(error_code="INVALID_PARAMETER_VALUE", message=message), 400


def _act(actor: Actor) -> None:
    g.governance.close()
    g.governance.enter_context(acting(actor))


def _leave(_: BaseException | None) -> None:
    if "governance" in g:
        g.governance.close()


def _as_mlflow_reads(path: str) -> str:
    """A path as MLflow takes it: decoded again and again, and without the tabs and blanks that vanish meanwhile.

    Raises
    ------
    MlflowException
        Where MLflow would refuse it.

    Examples
    --------
    >>> _as_mlflow_reads("1/ab/arti%2509facts/model")
    '1/ab/artifacts/model'
    """
    return str(validate_path_is_safe(path)) if path else path


def _permission() -> list[tuple[str, str]]:
    """What a change of permissions is about, wherever it stands: MLflow reads the body of one method, the query of
    another."""
    return [
        (name, str(source[name]))
        for source in (body(), request.args)
        for name in ("username", "resource_type", "resource_id", "resource_pattern", "permission")
        if name in source
    ]


def _number(value: Any) -> int | None:
    """An experiment's number as MLflow reads it, which takes ``+1`` for one; None where it is none."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None
