"""From one start to everything it came from, and to everything that came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion

from pipelines.lineage_graph.errors import LineageGraphError
from pipelines.lineage_graph.graph import Edge, Graph, Node, without_circles
from pipelines.lineage_graph.history import History, data_of, model_of
from pipelines.lineage_graph.logs import PredictionLogs, is_judged, versions_named
from pipelines.lineage_graph.nodes import (
    Pages,
    approval_node,
    data_node,
    model_node,
    run_node,
    version_node,
)
from pipelines.step_record import RERUN_TAG, TRIGGER_TAG

__all__ = ["Limits", "Walk"]

_SPLITS = {"training": "train", "validation": "val"}
_EXPECTED = "expected name/3, name@alias, a run's id, or m-... of a logged model"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is drawn.

    Parameters
    ----------
    nodes : int
        Of the whole graph.
    newest : int
        Evaluations of one model, drift reports of one version, and the like; the newest.
    log_days : float
        How far back a prediction log is read.
    """

    nodes: int = 120
    newest: int = 5
    log_days: float = 30.0


class Walk:
    """One walk through the history; collects nodes and edges on its way.

    Parameters
    ----------
    history : History
    pages : Pages
    limits : Limits
    logs : sequence of str
        Prediction logs to look into besides those that drift reports name.
    """

    def __init__(self, history: History, pages: Pages, limits: Limits, logs: Sequence[str] = ()) -> None:
        self.history, self.pages, self.limits, self.logs = history, pages, limits, tuple(logs)
        self._nodes: dict[str, Node] = {}
        self._edges: dict[tuple[str, str], list[str]] = {}
        self._cut = False
        self._read = PredictionLogs(datetime.now(UTC) - timedelta(days=limits.log_days))
        self._waiting: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._done: set[tuple[str, str]] = set()

    def graph(self, start: str) -> Graph:
        """The graph around ``name/3``, ``name@alias``, a run's id, or ``m-...``.

        Raises
        ------
        LineageGraphError
            Where there is no such thing.
        """
        first = self._find(start)
        self._above(first)
        self._walk()
        self._below(first)
        self._walk()
        edges = [
            Edge(*ends, ", ".join(dict.fromkeys(filter(None, labels)))) for ends, labels in self._edges.items()
        ]
        kept = [edge for edge in edges if edge.source in self._nodes and edge.target in self._nodes]
        return Graph(_id(first), tuple(self._nodes.values()), tuple(without_circles(kept)), self._cut)

    def _find(self, start: str) -> Run | LoggedModel | ModelVersion:
        found: Run | LoggedModel | ModelVersion | None = None
        start = start.removeprefix("models:/")
        if match := re.fullmatch(r"([^@]+)@([^/@]+)", start):
            found = self.history.by_alias(match[1], match[2])
        elif match := re.fullmatch(r"(.+)/(\d+)", start):
            found = self.history.version(match[1], match[2])
        elif start.startswith("m-"):
            found = self.history.model(start)
        elif re.fullmatch(r"[0-9a-zA-Z]{16,64}", start):
            found = self.history.run(start)
        if found is None:
            raise LineageGraphError(f"{start!r} is not on this tracking server: {_EXPECTED}")
        return found

    # -- collecting ------------------------------------------------------------------------------------------

    def _node(self, node: Node) -> bool:
        """Whether the node is (now) in the graph."""
        if node.id in self._nodes:
            return True
        if len(self._nodes) >= self.limits.nodes:
            self._cut = True
            return False
        self._nodes[node.id] = node
        return True

    def _edge(self, source: str, target: str, label: str = "") -> None:
        self._edges.setdefault((source, target), []).append(label)

    def _walk(self) -> None:
        """Breadth first, so that a graph that is cut holds what is near."""
        while self._waiting:
            step, arguments = self._waiting.pop(0)
            step(*arguments)

    def _above(self, thing: Run | LoggedModel | ModelVersion) -> None:
        self._visit(
            "above",
            thing,
            {Run: self._above_run, LoggedModel: self._above_model, ModelVersion: self._above_version},
        )

    def _below(self, thing: Run | LoggedModel | ModelVersion) -> None:
        self._visit(
            "below",
            thing,
            {Run: self._below_run, LoggedModel: self._below_model, ModelVersion: self._below_version},
        )

    def _visit(
        self, way: str, thing: Run | LoggedModel | ModelVersion, steps: dict[type, Callable[..., None]]
    ) -> None:
        if self._node(self._node_of(thing)) and (way, _id(thing)) not in self._done:
            self._done.add((way, _id(thing)))
            self._waiting.append((steps[type(thing)], (thing,)))

    def _node_of(self, thing: Run | LoggedModel | ModelVersion) -> Node:
        if isinstance(thing, Run):
            return run_node(thing, self.pages)
        if isinstance(thing, LoggedModel):
            return model_node(thing, self.pages)
        return version_node(thing, list(thing.aliases or []), self.pages)

    def _some(self, runs: list[Run], beside: str, what: str, label: str = "") -> list[Run]:
        """The newest of many; that there are more stands in a node of its own."""
        few = runs[: self.limits.newest]
        if len(runs) > len(few):
            more = Node(f"more:{what}:{beside}", "more", f"{len(runs) - len(few)} earlier {what}")
            if self._node(more):
                self._edge(beside, more.id, label)
        return few

    # -- what it came from -----------------------------------------------------------------------------------

    def _above_version(self, version: ModelVersion) -> None:
        model = self.history.model(model_id) if (model_id := model_of(version)) else None
        if model is not None:
            self._above(model)
            self._edge(_id(model), _id(version), "registered as")
            self._evaluations(model)
        elif version.run_id and (run := self.history.run(version.run_id)) is not None:
            self._above(run)
            self._edge(_id(run), _id(version), "registered as")

    def _above_model(self, model: LoggedModel) -> None:
        run = self.history.run(model.source_run_id) if model.source_run_id else None
        if run is not None:
            self._above(run)
            self._edge(_id(run), _id(model), "logged")

    def _above_run(self, run: Run) -> None:
        tags = run.data.tags
        self._data(run)
        if tags.get("step") == "evaluate" and (model := self._model(tags.get("model_uri", ""))) is not None:
            self._above(model)
            self._edge(_id(model), _id(run), "measured by")
        if (model := self._model(tags.get("optimised_from", ""))) is not None:
            self._above(model)
            self._edge(_id(model), _id(run), "optimised")
        parent = tags.get("lineage.parent_version", "")
        if (match := re.fullmatch(r"(.+)/(\d+)", parent)) and (older := self.history.version(*match.groups())):
            self._above(older)
            self._edge(_id(older), _id(run), "champion then")
        for tag, label in ((TRIGGER_TAG, "asked for it"), ("reproduces", "made again")):
            if tag in tags and (earlier := self.history.run(tags[tag])) is not None:
                self._above(earlier)
                self._edge(_id(earlier), _id(run), label)
        if tags.get("step") == "drift":
            for version in filter(None, (self.history.version(*each) for each in versions_named(run))):
                self._above(version)
                self._log_to(version, run)

    def _model(self, uri: str) -> LoggedModel | None:
        match = re.search(r"m-[0-9a-f]{32}", uri)
        return self.history.model(match[0]) if match else None

    def _data(self, run: Run) -> None:
        sets: dict[str, list[tuple[str, str, str]]] = {}
        for digest, name, context, store in data_of(run):
            sets.setdefault(digest, []).append((name, context, store))
        for digest, parts in self._whole(sets).items():
            node = data_node(digest, [name for name, _, _ in parts], parts[0][2])
            if run.data.tags.get("step") == "prepare":
                # It makes the data that it names.
                if self._node(node):
                    self._edge(_id(run), node.id, "prepared")
                continue
            if not self._node(node):
                continue
            self._edge(
                node.id, _id(run), ", ".join(dict.fromkeys(_SPLITS.get(use, use) for _, use, _ in parts if use))
            )
            made_by = self.history.runs(step="prepare", dataset_digest=digest, reused="false")
            # The first that made it: whoever made the same again later did not make what was used here.
            for made in [each for each in made_by if RERUN_TAG not in each.data.tags][-1:]:
                self._above(made)
                self._edge(_id(made), node.id, "prepared")

    @staticmethod
    def _whole(sets: dict[str, list[tuple[str, str, str]]]) -> dict[str, list[tuple[str, str, str]]]:
        """MLflow's short digest of a set whose whole one is there as well is the same set."""
        return {
            digest: parts
            for digest, parts in sets.items()
            if not any(other != digest and other.startswith(digest) for other in sets)
        }

    # -- what came of it -------------------------------------------------------------------------------------

    def _below_run(self, run: Run) -> None:
        tags = run.data.tags
        for model in self.history.models_of_run(run):
            self._below(model)
            self._edge(_id(run), _id(model), "logged")
        if tags.get("step") == "prepare" and (digest := tags.get("dataset_digest")):
            for training in self._some(self.history.trained_on(digest, 200), f"data:{digest}", "trainings"):
                self._data(training)
                self._below(training)
        if tags.get("step") == "drift":
            self._runs_below(
                self.history.runs(step="train", **{TRIGGER_TAG.replace(".", "__"): run.info.run_id}),
                run,
                "asked for it",
            )
        if (rerun := self.history.run(tags.get("reproduction.rerun", ""))) is not None:
            self._runs_below([rerun], run, "ran")
        again = self.history.runs(reproduces=run.info.run_id)
        self._runs_below(self._some(again, _id(run), "reproductions"), run, "made again")

    def _runs_below(self, runs: list[Run], above: Run | LoggedModel | ModelVersion, label: str) -> None:
        for run in runs:
            self._below(run)
            self._edge(_id(above), _id(run), label)

    def _below_model(self, model: LoggedModel) -> None:
        self._evaluations(model)
        for version in self.history.versions_of_model(model.model_id, model.source_run_id):
            # Once more by its number: a search gives no aliases.
            self._below(self.history.version(version.name, str(version.version)) or version)
            self._edge(_id(model), _id(version), "registered as")
        self._runs_below(self.history.runs(optimised_from=f"{model.model_id}%"), model, "optimised")

    def _evaluations(self, model: LoggedModel) -> None:
        runs = self.history.runs(model_uri=f"models:/{model.model_id}")
        measured = [
            run for run in runs if run.info.run_id != model.source_run_id and run.data.tags.get("step") != "main"
        ]
        for run in self._some(measured, _id(model), "evaluations", "measured by"):
            if self._node(run_node(run, self.pages)):
                self._edge(_id(model), _id(run), "measured by")
                self._data(run)

    def _below_version(self, version: ModelVersion) -> None:
        last = _id(version)
        if (decision := approval_node(version)) is not None and self._node(decision):
            self._edge(last, decision.id, "reviewed")
            last = decision.id
        if "serving" in (version.aliases or []):
            serving = Node(f"serving:{version.name}", "serving", "serving", (f"alias serving of {version.name}",))
            if self._node(serving):
                self._edge(last, serving.id, "rolled out")
                last = serving.id
        self._reports(version, last)
        followers = self.history.runs(step="train", lineage__parent_version=f"{version.name}/{version.version}")
        self._runs_below(self._some(followers, _id(version), "trainings"), version, "champion then")

    def _reports(self, version: ModelVersion, last: str) -> None:
        """Prediction logs that hold rows of the version, and the drift reports over them."""
        reports = [
            run for run in self.history.runs(step="drift", drift__model=version.name) if is_judged(version, run)
        ]
        by_log: dict[str, list[Run]] = {uri: [] for uri in self.logs}
        for run in reports:
            by_log.setdefault(run.data.params.get("log", ""), []).append(run)
        for uri, runs in by_log.items():
            node = self._read.node(uri, version) if uri else None
            named = [run for run in runs if run.data.tags.get("drift.versions")]
            if node is None and not named:
                continue  # a log without a row of this version, and no report that names it
            above = last
            if node is not None and self._node(node):
                self._edge(last, node.id, "predicts into")
                above = node.id
            for run in self._some(runs, above, "drift reports", "judged by"):
                self._below(run)
                self._edge(above, _id(run), "judged by")

    def _log_to(self, version: ModelVersion, report: Run) -> None:
        uri = report.data.params.get("log", "")
        node = self._read.node(uri, version) if uri else None
        if node is not None and self._node(node):
            self._edge(_id(version), node.id, "predicts into")
            self._edge(node.id, _id(report), "judged by")
        else:
            self._edge(_id(version), _id(report), "judged by")


def _id(thing: Run | LoggedModel | ModelVersion) -> str:
    if isinstance(thing, Run):
        return f"run:{thing.info.run_id}"
    if isinstance(thing, LoggedModel):
        return f"model:{thing.model_id}"
    return f"version:{thing.name}/{thing.version}"
