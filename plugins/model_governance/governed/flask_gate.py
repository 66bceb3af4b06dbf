"""The gate before MLflow's Flask handlers: says who asks, refuses what nobody may, writes down what happens.

Two hooks run around MLflow's own log-in: one before it (who guesses passwords waits), one after it (now somebody
is known). Decisions on the registry are the store's alone; here is what never reaches the store.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from graphql.language import FieldNode
from mlflow.exceptions import MlflowException

from model_governance.governed.actor import Actor, acting, current_actor
from model_governance.governed.artifact_guard import ArtifactGuard, Holder, Source
from model_governance.governed.endpoints import FLASK, GRAPHQL_MUTATIONS, PAGES, SIGN_UP, Kind, kind_of
from model_governance.governed.throttle import FailedLogins, login_name
from model_governance.governed.witness import Witness

__all__ = ["FlaskGate", "Registry", "refusal_text"]


class RefusedError(Exception):
    """Somebody may not do this; the text is what they read."""

    def __init__(self, reason: str, holder: Holder | None = None) -> None:
        super().__init__(reason)
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Registry:
    """What the gate asks of the governed store.

    Attributes
    ----------
    enforced : callable
        Whether the policy refuses anything; where not, everything is still written down.
    roles : callable
        The roles of whoever asks.
    record_creator : callable
        Writes down who made a run or a logged model: kind and identifier.
    withdraw_all : callable
        Takes every role from a log-in, because it may be another person's from now on.
    """

    enforced: Callable[[], bool]
    roles: Callable[[], frozenset[str]]
    record_creator: Callable[[str, str], None]
    withdraw_all: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FlaskGate:
    """The hooks, and what they need."""

    guard: ArtifactGuard
    witness: Witness
    registry: Registry
    logins: FailedLogins
    is_admin: Callable[[str], bool]

    def before_login(self, app: Flask) -> None:
        """Hook in before everything else."""
        app.before_request_funcs.setdefault(None, []).insert(0, self._arrive)
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
        if kind is Kind.FILE_READ:
            self._write_down_read(actor)
        elif kind is Kind.ACCOUNTS:
            self.witness.done(actor, refusal_text(actor.endpoint), _asked())
        elif not self.registry.enforced():
            return
        elif kind is Kind.REFUSED:
            raise RefusedError(
                f"{actor.endpoint} is closed on a governed server: it would act with the server's own rights, or "
                "nobody has classified it yet"
            )
        elif kind is Kind.ARTEFACTS:
            self._require_free_place()
        elif kind is Kind.LINEAGE:
            self._require_no_offspring()
        elif kind is Kind.SOURCE:
            self._require_guardable()
        elif actor.endpoint == "_graphql":
            _require_query()

    def _require_free_place(self) -> None:
        endpoint = request.endpoint
        if endpoint == "_create_presigned_upload_url":
            raise RefusedError(
                "addresses for writing past the server are not given on a governed server: they would still write "
                "after the version was reviewed; upload through the server"
            )
        deleting = endpoint == "_delete_artifact_mlflow_artifacts"
        for place in self._written():
            if holder := self.guard.holder(place):
                require_free(holder, self.registry, deleting)
            elif deleting and not self.guard.belongs(place):
                raise RefusedError(
                    "on a governed server only files below one run or one logged model are deleted; name the "
                    "folder of one"
                )

    def _written(self) -> list[str]:
        """Every place that the request writes to, or deletes."""
        endpoint = request.endpoint
        if endpoint == "serve_upload_artifact":
            run_id, path = request.args.get("run_uuid", ""), request.args.get("path", "")
            # MLflow writes to the run's default folder, whatever folder the run says
            run = self.guard.tracking().get_run(run_id)
            default = posixpath.join(str(run.info.experiment_id), run_id, "artifacts", path)
            return [self.guard.run_place(run_id, path), self.guard.place(default)]
        folder = str((request.view_args or {}).get("artifact_path", ""))
        if endpoint not in _MULTIPART:
            return [self.guard.place(folder)]  # and the body is left unread: it is the file
        # the folder stands in the address, the file in the body
        return [self.guard.place(posixpath.join(folder, posixpath.basename(_field("path"))))]

    def _require_no_offspring(self) -> None:
        endpoint, what = request.endpoint, ""
        if endpoint == "_delete_logged_model":
            what = f"logged model {(request.view_args or {}).get('model_id')}"
            holder = self.guard.of_model(str((request.view_args or {}).get("model_id")))
        elif endpoint == "_delete_run":
            run_id = _field("run_id", "runId")
            what, holder = f"run {run_id}", self.guard.of_run(run_id)
        else:
            experiment = _field("experiment_id", "experimentId")
            what = f"experiment {experiment}"
            holder = self.guard.of_experiment(experiment) if experiment.isdecimal() else None
        if holder:
            raise RefusedError(f"{what} is where {holder} comes from; delete that version first", holder)

    def _require_guardable(self) -> None:
        if _field("source") in _NO_FILES:
            return  # a prompt, which MLflow holds to this very word
        reason = self.guard.unguardable(
            Source(_field("source"), _field("run_id", "runId"), _field("model_id", "modelId"))
        )
        if reason:
            raise RefusedError(reason)

    def _write_down_read(self, actor: Actor) -> None:
        path = request.args.get("path") or request.args.get("artifact_file_path") or ""
        arguments = request.view_args or {}
        if request.endpoint == "serve_model_version_artifact":
            name, version = request.args.get("name", ""), request.args.get("version", "")
            self.witness.read(actor, f"{name}/{version}: {path}")
            return
        if "model_id" in arguments:
            place = self.guard.model_place(arguments["model_id"], path)
        elif "artifact_path" in arguments:
            place = self.guard.place(arguments["artifact_path"])
        elif run_id := _field("run_id", "runId") or request.args.get("run_uuid", ""):
            place = self.guard.run_place(run_id, path or _field("path"))
        elif model_id := _field("model_id", "modelId"):
            place = self.guard.model_place(model_id, _field("path"))
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
            if user := login_name(request.headers.get("Authorization")):
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
        model, version = (holder.model, holder.version) if holder else (_field("name"), _field("version"))
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
            own = current_actor().name
            for user in {source.get("username") for source in (_body(), request.args, request.form)} - {None}:
                if request.endpoint in ("create_user", SIGN_UP, "delete_user") or (
                    request.endpoint == "update_user_password" and user != own
                ):
                    # who logs in under this name from now on may be somebody else
                    self.registry.withdraw_all(str(user))


_BY_ROLE = frozenset({Kind.REGISTRY, Kind.SOURCE, Kind.ACCOUNTS, Kind.ARTEFACTS})
_MULTIPART = frozenset(f"_{step}_multipart_upload_artifact" for step in ("create", "complete", "abort"))
_NO_FILES = frozenset({"dummy-source", "prompt-template"})


def require_free(holder: Holder, registry: Registry, deleting: bool) -> None:
    """Refuse to touch what belongs to a version; who records evidence may write evidence anew.

    Raises
    ------
    RefusedError
    """
    if holder.part == "evidence":
        if not deleting and "validator" in registry.roles():
            return  # its digest stands on the version: other evidence would not count
        raise RefusedError(f"the evidence of {holder} lies there, and is kept as it was recorded", holder)
    raise RefusedError(
        f"the files of {holder} lie there, and are kept as they were registered; log a new model and register it",
        holder,
    )


def write_down_read(guard: ArtifactGuard, witness: Witness, actor: Actor, place: str) -> None:
    """Write down that somebody takes a file, where it is one of a registered version."""
    if holder := guard.holder(place):
        witness.read(actor, f"{holder.model}/{holder.version}: {posixpath.basename(place)}")


def refusal_text(endpoint: str) -> str:
    """A handler's name in the words of the log.

    Examples
    --------
    >>> refusal_text("_delete_artifact_mlflow_artifacts")
    'delete artifact mlflow artifacts'
    """
    return endpoint.strip("_").replace("_", " ")


def _act(actor: Actor) -> None:
    g.governance.close()
    g.governance.enter_context(acting(actor))


def _leave(_: BaseException | None) -> None:
    if "governance" in g:
        g.governance.close()


def _body() -> dict[str, Any]:
    """The JSON object in the body, as MLflow reads it: older clients send it encoded twice."""
    body = request.get_json(force=True, silent=True)
    if isinstance(body, str):
        with suppress(ValueError):
            body = json.loads(body)
    return body if isinstance(body, dict) else {}


def _field(*names: str) -> str:
    """A text of the body, or of the query where there is no body, under any of these names."""
    for source in (_body(), request.args):
        for name in names:
            if isinstance(value := source.get(name), (str, int)):
                return str(value)
    return ""


def _asked() -> dict[str, str]:
    """What a change of log-ins or settings asks for, without any secret in it."""
    fields = _body() or request.form.to_dict() or request.args.to_dict()
    return {"method": request.method, "path": request.path[:500]} | {
        str(key): str(value)[:300] for key, value in fields.items() if key in _TELLING
    }


_TELLING = frozenset(
    {
        "username", "is_admin", "resource_type", "resource_id", "permission", "role", "role_id", "role_name",
        "name", "workspace", "endpoint_id", "secret_id", "webhook_id", "resource_pattern",
    }
)  # fmt: skip


def _require_query() -> None:
    """Refuse GraphQL that changes something."""
    try:
        document = parse(_field("query"))
    except GraphQLError:
        return  # MLflow says where it is wrong
    for definition in document.definitions:
        if (
            isinstance(definition, OperationDefinitionNode)
            and definition.operation is not OperationType.QUERY
            and any(
                not isinstance(each, FieldNode) or each.name.value not in GRAPHQL_MUTATIONS
                for each in definition.selection_set.selections
            )
        ):
            raise RefusedError("GraphQL changes nothing on a governed server; use MLflow's REST API")
