"""What a node says of a run, a model, a version: the few lines that a reader wants to see."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit, urlunsplit

import pandas as pd
from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion

from pipelines.lineage_graph.graph import Kind, Node
from pipelines.step_record import RERUN_TAG

__all__ = ["Pages", "approval_node", "data_node", "log_node", "model_node", "run_node", "version_node"]

# Of the hundreds of figures of a run, those that a reader looks for first.
_FIGURES = {
    "train": ("val/map50",),
    "evaluate": ("count/mae", "detection/map50", "line/error"),
    "drift": ("drift/drifted_columns", "drift/rows"),
    "reproduce": ("reproduction/outside",),
}
_DECISIONS = (
    ("approved", "approved_by", "approved_at", "approval_comment"),
    ("rejected", "rejected_by", "rejected_at", "rejection_comment"),
    ("rolled back", "rolled_back_by", "rolled_back_at", "rolled_back_reason"),
)


class Pages:
    """Addresses in the MLflow UI; none where no server is known."""

    def __init__(self, base: str | None) -> None:
        parts = urlsplit(base or "")
        # Whoever opens the page has a password of his own: the one in the address stays out of it.
        host = parts.netloc.rpartition("@")[2]
        known = parts.scheme in ("http", "https") and host
        self._base = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")) if known else None

    def run(self, run: Run) -> str | None:
        return self._at(f"experiments/{run.info.experiment_id}/runs/{quote(run.info.run_id, safe='')}")

    def model(self, model: LoggedModel) -> str | None:
        return self._at(f"experiments/{model.experiment_id}/models/{quote(model.model_id, safe='')}")

    def version(self, version: ModelVersion) -> str | None:
        return self._at(f"models/{quote(version.name, safe='')}/versions/{quote(str(version.version), safe='')}")

    def _at(self, path: str) -> str | None:
        return None if self._base is None else f"{self._base}/#/{path}"


def data_node(digest: str, names: Sequence[str], store: str) -> Node:
    """A data set; its name is that of its splits without theirs."""
    stems = {name.rpartition("-")[0] or name for name in names}
    return Node(
        f"data:{digest}",
        "data",
        f"data set {', '.join(sorted(stems))}",
        (f"digest {digest[:12]}",),
        {"digest": digest, "store": store} if store else {"digest": digest},
    )


def run_node(run: Run, pages: Pages) -> Node:
    """A run of any step."""
    tags = run.data.tags
    step = tags.get("step", "run")
    kind: Kind = "drift" if step == "drift" else "run"
    lines = [_when(run.info.start_time)]
    if RERUN_TAG in tags:
        lines.append("a repetition, no evidence")
    if run.info.lifecycle_stage == "deleted":
        lines.append("deleted")
    if run.info.status != "FINISHED":
        lines.append(run.info.status.lower())
    if step == "drift":
        lines.append(f"{tags.get('drift.verdict', '?')}, {tags.get('retrain.decision', '?')}")
    if step == "reproduce":
        lines.append(tags.get("reproduction.verdict", "no verdict"))
    lines += [
        f"{name} {run.data.metrics[name]:.3g}" for name in _FIGURES.get(step, ()) if name in run.data.metrics
    ]
    if commit := tags.get("lineage.git_commit"):
        dirty = " with changes" if tags.get("lineage.git_dirty") == "true" else ""
        lines.append(f"commit {commit[:8]}{dirty}")
    facts = {"run": run.info.run_id, "name": run.info.run_name or "", "status": run.info.status}
    for tag in ("lineage.git_commit", "lineage.seeds", "lineage.data", "retrain.reasons", "drift.cameras"):
        if tag in tags:
            facts[tag] = tags[tag]
    title = {"drift": "drift report", "train": "training", "evaluate": "evaluation"}.get(step, step)
    return Node(
        f"run:{run.info.run_id}", kind, f"{title} {run.info.run_id[:8]}", tuple(lines), facts, pages.run(run)
    )


def model_node(model: LoggedModel, pages: Pages) -> Node:
    """A logged model."""
    return Node(
        f"model:{model.model_id}",
        "model",
        f"model {model.model_id[:10]}…",
        (_when(model.creation_timestamp),),
        {"model": model.model_id, "name": str(model.name), "files": str(model.artifact_location)},
        pages.model(model),
    )


def version_node(version: ModelVersion, aliases: Sequence[str], pages: Pages) -> Node:
    """A registered version, with what the gates said."""
    tags = version.tags
    lines = (
        [f"{tags['semantic_version']}, gates {tags.get('gates', 'not asked')}"]
        if "semantic_version" in tags
        else []
    )
    if aliases:
        lines.append("alias " + ", ".join(sorted(aliases)))
    lines.append(_when(version.creation_timestamp))
    shown = (
        "semantic_version",
        "gates",
        "artifact_digest",
        "policy_digest",
        "evidence_digest",
        "git_commit",
        "review",
    )
    facts = {"version": f"{version.name}/{version.version}", "stage": str(version.current_stage)}
    facts |= {tag: tags[tag] for tag in shown if tag in tags}
    return Node(
        f"version:{version.name}/{version.version}",
        "version",
        f"{version.name} version {version.version}",
        tuple(lines),
        facts,
        pages.version(version),
    )


def approval_node(version: ModelVersion) -> Node | None:
    """What a reviewer last decided on a version; None where nobody has."""
    tags = version.tags
    made = [(tags[at], what, by, why) for what, by, at, why in _DECISIONS if by in tags and at in tags]
    if not made:
        return None
    at, what, by, why = max(made)
    return Node(
        f"approval:{version.name}/{version.version}",
        "approval",
        what,
        (f"by {tags[by]}", at[:16].replace("T", " ")),
        {"by": tags[by], "at": at, "comment": tags.get(why, "")},
    )


def log_node(uri: str, version: ModelVersion, rows: pd.DataFrame | None, problem: str, since: str) -> Node:
    """What a version wrote into a prediction log."""
    facts = {"log": uri, "of": f"{version.name}/{version.version}", "read": f"rows {since}"}
    if rows is None:
        lines: tuple[str, ...] = ("cannot be read",)
        facts["problem"] = problem
    else:
        cameras = sorted({str(camera) or "(no id)" for camera in rows["camera_id"].dropna()})
        lines = (f"{len(rows)} predictions", since, "1 camera" if len(cameras) == 1 else f"{len(cameras)} cameras")
        facts["cameras"] = ", ".join(cameras[:50])
        if len(rows):
            first, last = rows["time"].min(), rows["time"].max()
            lines += (f"{first:%Y-%m-%d} to {last:%Y-%m-%d}",)
    return Node(f"log:{version.name}/{version.version} {uri}", "log", "prediction log", lines, facts)


def _when(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "time not recorded"
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M} UTC"
