"""What leads nowhere on either server, and must go on leading nowhere.

Where a new MLflow lets one of these through, its test fails on the plain server: then it becomes a way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.gate_scene import PROXY, Scene, ok
from tests.ways_round_the_gate.spelling import TRANSITION, raw, wish
from tests.ways_round_the_gate.way import AJAX, Walk, alias, move, tag

DEAD_ENDS: dict[str, tuple[str, Walk]] = {}


def dead_end(who: str) -> Callable[[Walk], Walk]:
    """Add a function, walked as `who`."""

    def add(walk: Walk) -> Walk:
        DEAD_ENDS[walk.__name__] = who, walk
        return walk

    return add


# --- HTTP -------------------------------------------------------------------------------------------------------


@dead_end("admin")
def another_method_in_a_header(scene: Scene, who: str) -> Any:
    version = {"name": scene.model, "version": "1"}
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        for method in ("GET", "POST", "PUT"):
            path = "/api/2.0/mlflow/model-versions/update"
            scene.server.request(who, method, path, json=version, headers={header: "DELETE"})
            path = f"{PROXY}/{scene.files('2')}/weights.bin"
            scene.server.request(who, "GET", path, headers={header: "DELETE"}, params={"_method": "DELETE"})


@dead_end("admin")
def methods_that_only_look(scene: Scene, who: str) -> Any:
    for method in ("GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPPATCH"):
        scene.server.request(who, method, TRANSITION, json=wish(scene), params=wish(scene))
        scene.server.request(who, method, f"{PROXY}/{scene.files('2')}/weights.bin", data=b"other")


@dead_end("ann")
def addresses_that_are_nearly_right(scene: Scene, who: str) -> Any:
    for path in (
        f"{TRANSITION}/", TRANSITION.replace("/transition", "//transition"), TRANSITION.replace("2.0", "3.0"),
        f"/static/%2e%2e{TRANSITION}", f"/static-files/..%2f..{TRANSITION}", f"{TRANSITION};x=y",
        f"{TRANSITION}%00", TRANSITION.upper(), f"/mlflow{TRANSITION}", f"/health{TRANSITION}",
        TRANSITION.replace("/mlflow/", "/preview/mlflow/"), TRANSITION.replace("/mlflow/", "/x/%2e%2e/mlflow/"),
    ):  # fmt: skip
        raw(scene, who, json.dumps(wish(scene)), path)


@dead_end("ann")
def bodies_that_are_no_json(scene: Scene, who: str) -> Any:
    text = json.dumps(wish(scene))
    for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x", ""):
        raw(scene, who, text, headers={"Content-Type": kind})
    scene.server.request(who, "POST", TRANSITION, data=wish(scene))
    for body in (f"[{text}]", f"{text}{text}", text[:-1], json.dumps(json.dumps(text)), "null"):
        raw(scene, who, body.encode())


@dead_end("ann")
def pieces_without_a_length(scene: Scene, who: str) -> Any:
    def pieces() -> Iterator[bytes]:
        yield json.dumps(wish(scene)).encode()

    return raw(scene, who, pieces())


# --- names and numbers ------------------------------------------------------------------------------------------


@dead_end("ann")
def names_that_are_nearly_right(scene: Scene, who: str) -> Any:
    for name in (
        f"{scene.model} ", f" {scene.model}", scene.model.upper(), f"{scene.model}/2", f"{scene.model}%00",
        "stre%65t", "\uff53treet", f"{scene.model}\u200b", f"{scene.model}\0",
    ):  # fmt: skip
        raw(scene, who, json.dumps(wish(scene, name=name)))


@dead_end("ann")
def numbers_that_are_none(scene: Scene, who: str) -> Any:
    for number in ("2.0", "2e0", "0x2", "2;3", ["2"], {"version": "2"}, True, "latest", "champion", "", "-2"):
        raw(scene, who, json.dumps(wish(scene, version=number)))


@dead_end("ann")
def stages_that_are_none(scene: Scene, who: str) -> Any:
    for stage in (" Production", "Production\u200b", "Product\u0131on", "\uff30roduction", ["Production"], "Live"):
        move(scene, who, "2", stage)  # type: ignore[arg-type]


@dead_end("ann")
def aliases_and_tags_with_what_nobody_sees(scene: Scene, who: str) -> Any:
    for name in ("champion ", " champion", "champion\u200b", "cham\u00adpion", "champion\0"):
        alias(scene, who, name, "2")
    for key in ("gates\u200b", "ga\u00adtes", "gates\0"):
        tag(scene, who, "3", key, "passed")


@dead_end("ann")
def both_spellings_of_a_field(scene: Scene, who: str) -> Any:
    own = ok(scene.post(who, "runs/create", experiment_id=scene.experiment))["run"]["info"]["run_id"]
    for first, second in ((own, scene.runs["2"]), (scene.runs["2"], own)):
        scene.post(who, "runs/delete", run_id=first, runId=second)
    scene.post(who, "runs/delete", run_uuid=scene.runs["2"])
    scene.server.request(who, "POST", "/api/2.0/mlflow/runs/delete", params={"run_id": scene.runs["2"]})


# --- other doors ------------------------------------------------------------------------------------------------


@dead_end("admin")
def graphql(scene: Scene, who: str) -> Any:
    version = f'name: "{scene.model}", version: "2", stage: "Production"'
    for query in (
        f"mutation {{ mlflowTransitionModelVersionStage(input: {{{version}}}) {{ modelVersion {{ name }} }} }}",
        f"mutation {{ a: mlflowSearchRuns(input: {{}}) {{ apiError {{ code }} }} b: transition({version}) }}",
        f"fragment F on Mutation {{ transition({version}) }} mutation {{ ...F }}",
        f'query {{ mlflowGetRun(input: {{runId: "{scene.runs["2"]}"}}) {{ run {{ delete }} }} }}',
        f"subscription {{ transition({version}) }}",
    ):
        scene.server.request(who, "POST", "/graphql", json={"query": query, "operationName": None})
        scene.server.request(who, "GET", "/graphql", params={"query": query})


@dead_end("ann")
def webhooks_of_somebody_who_is_no_admin(scene: Scene, who: str) -> Any:
    hook = {
        "name": "mine",
        "url": "https://example.org/x",
        "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}],
    }
    made = scene.post(who, "webhooks", **hook)
    assert made.status_code == 403
    assert scene.ask(who, "GET", "webhooks").status_code == 403


@dead_end("ann")
def the_gateway_as_a_way_back_to_the_server(scene: Scene, who: str) -> Any:
    for path in (TRANSITION.lstrip("/"), f"../..{TRANSITION}", f"api/2.0/endpoints/../..{TRANSITION}"):
        body = {"gateway_path": path, "json_data": wish(scene)}
        scene.server.request(who, "POST", f"{AJAX}gateway-proxy", json=body)
    scene.server.request(who, "POST", f"/gateway/proxy{TRANSITION}", json=wish(scene))
    scene.server.request(who, "POST", f"/gateway/x/mlflow/invocations/..%2f..{TRANSITION}", json=wish(scene))


@dead_end("ann")
def restoring_what_was_never_gone(scene: Scene, who: str) -> Any:
    scene.post(who, "runs/restore", run_id=scene.runs["2"])
    return scene.post(who, "experiments/restore", experiment_id=scene.experiment)


@dead_end("ann")
def a_trace_that_says_its_files_are_the_models(scene: Scene, who: str) -> Any:
    """MLflow deletes what an archived trace names; only the file that it archived itself."""
    trace = "tr-" + "a" * 32
    place = f"mlflow-artifacts:/{scene.files('2')}"
    tags = {"mlflow.artifactLocation": place, "mlflow.trace.archiveLocation": place,
            "mlflow.trace.spansLocation": "ARCHIVE_REPO"}  # fmt: skip
    told = {
        "trace_id": trace, "request_time": "2026-01-01T00:00:00Z", "state": "OK",
        "tags": {"mlflow.artifactLocation": place},
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": scene.experiment}},
    }  # fmt: skip
    scene.server.request(who, "POST", "/api/3.0/mlflow/traces", json={"trace": {"trace_info": told}})
    for key, value in tags.items():
        scene.ask(who, "PATCH", f"traces/{trace}/tags", key=key, value=value)
    wanted = {"experiment_id": scene.experiment, "request_ids": [trace], "trace_ids": [trace]}
    return scene.post(who, "traces/delete-traces", **wanted)


@dead_end("ann")
def other_registries_of_the_server(scene: Scene, who: str) -> Any:
    """MCP servers, scorers, data sets, prompts' optimisation and jobs that carry the model's name."""
    for path, body in (
        ("/api/3.0/mlflow/mcp-servers", {"name": scene.model, "server_json": {"name": scene.model}}),
        (f"/api/3.0/mlflow/mcp-servers/{scene.model}/aliases", {"alias": "champion", "version": "2"}),
        ("/api/3.0/mlflow/scorers/register", {"experiment_id": scene.experiment, "name": scene.model,
                                              "serialized_scorer": "{}"}),
        ("/api/3.0/mlflow/datasets/create", {"name": scene.model, "experiment_ids": [scene.experiment]}),
        ("/api/3.0/mlflow/prompt-optimization/jobs", {"experiment_id": scene.experiment,
                                                      "source_prompt_uri": f"prompts:/{scene.model}/2"}),
        ("/ajax-api/3.0/jobs/", {"job_name": "run-online-trace-scorer", "params": {}}),
    ):  # fmt: skip
        scene.server.request(who, "POST", path, json=body)
