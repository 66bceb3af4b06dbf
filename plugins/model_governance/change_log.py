"""What changed from one version to the next, worked out from the evidence that each was registered with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from model_governance.admission import find_version
from model_governance.bundle import read_bundle
from model_governance.errors import GovernanceError
from model_governance.evidence import Evidence
from model_governance.markdown_text import as_text
from model_governance.policy import Policy
from model_governance.standing import Standing, read_standing, registered_model, versions_of
from model_governance.versioning import CHANGE_TAG, number_of, predecessor_of

__all__ = ["Differences", "MetricChange", "ReleaseNotes", "change_log", "differences", "release_notes"]

_MOST_PARAMS = 20


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One figure of both versions.

    Attributes
    ----------
    before, after : float
        In the metric's own unit.
    same_data : bool
        Whether both were measured on data of the same digest; where not, their difference says little.
    better : str or None
        ``higher`` or ``lower``, where the policy tells which; None where it does not read the metric.
    """

    metric: str
    before: float
    after: float
    same_data: bool
    better: str | None

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, ``the same``, or ``changed`` where nobody says which way is up."""
        if self.after == self.before:
            return "the same"
        if self.better is None:
            return "changed"
        return "better" if (self.after > self.before) == (self.better == "higher") else "worse"

    def sentence(self) -> str:
        """Such as ``count/mae: 0.52 → 0.48 (-0.04, better)``."""
        aside = "" if self.same_data else "; measured on other data, so hardly comparable"
        return (
            f"{self.metric}: {self.before:.4g} → {self.after:.4g} "
            f"({self.after - self.before:+.3g}, {self.verdict}{aside})"
        )


@dataclass(frozen=True, slots=True)
class Differences:
    """What one evidence shows beside another.

    Attributes
    ----------
    metrics : tuple of MetricChange
        Figures that both have, those that the policy reads first.
    data, params, code : tuple of str
        One sentence for each difference.
    """

    metrics: tuple[MetricChange, ...] = ()
    data: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseNotes:
    """One version against the one that it follows.

    Attributes
    ----------
    version, follows : str
        MLflow's number of the version, and the semantic version that it is a step from; None for the first.
    change, reason : str
        Which kind of step, and why, as `versioning` found.
    created : datetime
        UTC.
    metrics : tuple of MetricChange
        Figures that both have, those that the policy reads first.
    data, params, code : tuple of str
        One sentence for each difference.
    missing : tuple of str
        What could not be compared, and why.
    standing : str
        What became of the version: gates, review, and whether it is champion.
    """

    name: str
    version: str
    semantic_version: str
    follows: str | None
    change: str
    reason: str
    created: datetime
    metrics: tuple[MetricChange, ...]
    data: tuple[str, ...]
    params: tuple[str, ...]
    code: tuple[str, ...]
    missing: tuple[str, ...]
    standing: str

    def to_markdown(self, *, most_metrics: int = 12) -> str:
        """A section of a change log; of the metrics, those that the policy reads and that changed."""
        told = [each for each in self.metrics if each.better is not None and each.verdict != "the same"]
        # Text alone: a parameter, a tag or a reviewer's comment may hold anything.
        lines = [f"## {as_text(self.semantic_version)} – {self.created:%Y-%m-%d} (version {self.version})", ""]
        lines += [as_text(f"{_sentence(self.reason or self.change or 'registered')} {self.standing}"), ""]
        lines += [f"- {as_text(each.sentence())}" for each in told[:most_metrics]]
        if len(told) > most_metrics:
            lines.append(f"- {len(told) - most_metrics} more figures changed")
        lines += [f"- {as_text(text)}" for text in (*self.data, *self.params, *self.code, *self.missing)]
        return "\n".join(lines).rstrip() + "\n"


def release_notes(name: str, version: str) -> ReleaseNotes:
    """What changed with one version.

    Raises
    ------
    TransitionError
        Where there is no such model or version.
    """
    client = MlflowClient()
    return _notes(find_version(client, name, version), versions_of(client, name), read_standing(client, name))


def change_log(name: str) -> str:
    """The change log of a registered model as Markdown, the highest version first.

    Raises
    ------
    TransitionError
        Where there is no such model.
    """
    client = MlflowClient()
    registered_model(client, name)
    versions, standing = versions_of(client, name), read_standing(client, name)
    numbered = [version for version in versions.values() if number_of(version) is not None]
    numbered.sort(key=lambda version: number_of(version) or (0, 0, 0), reverse=True)
    parts = [f"# Change log of {as_text(name)}\n"]
    parts += [_notes(version, versions, standing).to_markdown() for version in numbered]
    if others := [number for number, version in versions.items() if number_of(version) is None]:
        parts.append(f"Without a semantic version, registered by other means: {', '.join(others)}.\n")
    return "\n".join(parts)


def differences(theirs: Evidence, mine: Evidence, policy: Policy | None) -> Differences:
    """What `mine` shows that `theirs` did not; the policy, where one is given, tells which way is better."""
    return Differences(
        _metrics(theirs, mine, policy), _data(theirs, mine), _params(theirs, mine), _code(theirs, mine)
    )


def _notes(version: ModelVersion, versions: Mapping[str, ModelVersion], standing: Standing) -> ReleaseNotes:
    before = predecessor_of(version, versions.values())
    missing: list[str] = []
    mine, policy = _evidence(version, missing)
    theirs, _ = _evidence(before, missing) if before is not None else (None, None)
    found = differences(theirs, mine, policy) if mine and theirs else Differences()
    tags = version.tags
    return ReleaseNotes(
        name=version.name,
        version=str(version.version),
        semantic_version=tags.get("semantic_version", "without a semantic version"),
        follows=before.tags.get("semantic_version") if before is not None else None,
        change=tags.get(CHANGE_TAG, ""),
        reason=tags.get("version_reason", ""),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        metrics=found.metrics,
        data=found.data,
        params=found.params,
        code=found.code,
        missing=tuple(missing),
        standing=_standing(version, standing),
    )


def _evidence(version: ModelVersion, missing: list[str]) -> tuple[Evidence | None, Policy | None]:
    try:
        bundle = read_bundle(version)
    except GovernanceError as error:
        missing.append(f"Not compared: {error}")
        return None, None
    return bundle.evidence, bundle.policy


def _metrics(theirs: Evidence, mine: Evidence, policy: Policy | None) -> tuple[MetricChange, ...]:
    said = _directions(policy) if policy else {}
    shared = mine.metrics.keys() & theirs.metrics.keys()
    better = {name: way for name in shared if (way := _direction_of(name, said)) is not None}
    changes = []
    for name in sorted(shared, key=lambda name: (name not in better, name)):
        before, after = theirs.metrics[name], mine.metrics[name]
        same = before.dataset_digest == after.dataset_digest
        changes.append(MetricChange(name, before.value, after.value, same, better.get(name)))
    return tuple(changes)


def _directions(policy: Policy) -> dict[str, str]:
    """Which way of a metric is the better one, by what the policy asks of it."""
    found: dict[str, str] = {}
    for _, rule in policy.rules():
        metric = getattr(rule, "metric", None)
        if metric is None:
            continue
        said = getattr(rule, "better", None)
        least, most = getattr(rule, "min", None), getattr(rule, "max", None)
        if said is None and (least is None) != (most is None):
            said = "higher" if most is None else "lower"
        if said is not None:
            found[metric] = said
    return found


def _direction_of(name: str, said: Mapping[str, str]) -> str | None:
    """What the policy says of a metric, or of every slice of its kind (one part ``*``)."""
    if name in said:
        return said[name]
    parts = name.split("/")
    for pattern, way in said.items():
        wanted = pattern.split("/")
        fits = len(wanted) == len(parts) and all(
            want in ("*", part) for want, part in zip(wanted, parts, strict=True)
        )
        if "*" in wanted and fits:
            return way
    return None


def _data(theirs: Evidence, mine: Evidence) -> tuple[str, ...]:
    before, after = _by_context(theirs), _by_context(mine)
    return tuple(
        f"Data for {context}: {before.get(context, 'none')} → {after.get(context, 'none')}"
        for context in sorted(before.keys() | after.keys())
        if before.get(context) != after.get(context)
    )


def _by_context(evidence: Evidence) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for data in evidence.datasets:
        if data.context is not None:
            found.setdefault(data.context, []).append(f"{data.name} {data.digest}")
    return {context: ", ".join(sorted(names)) for context, names in found.items()}


def _params(theirs: Evidence, mine: Evidence) -> tuple[str, ...]:
    # One that was made of another model says what was done to it, and not again how that one was trained.
    left_out = frozenset() if CHANGE_TAG not in mine.tags else theirs.params.keys() - mine.params.keys()
    names = sorted((theirs.params.keys() | mine.params.keys()) - left_out)
    changed = [
        f"{name} {_short(theirs.params.get(name, 'unset'))} → {_short(mine.params.get(name, 'unset'))}"
        for name in names
        if theirs.params.get(name) != mine.params.get(name)
    ]
    if not changed:
        return ()
    more = f" and {len(changed) - _MOST_PARAMS} more" if len(changed) > _MOST_PARAMS else ""
    return (f"Parameters: {', '.join(changed[:_MOST_PARAMS])}{more}",)


def _code(theirs: Evidence, mine: Evidence) -> tuple[str, ...]:
    if theirs.git_commit == mine.git_commit:
        return ()
    before, after = (each.git_commit or "not recorded" for each in (theirs, mine))
    return (f"Code: commit {before} → {after}",)


def _standing(version: ModelVersion, standing: Standing) -> str:
    number, tags = str(version.version), version.tags
    parts = [f"Gates {tags.get('gates', 'never judged')}"]
    review = tags.get("review", "pending")
    by = next((tags[key] for key in ("approved_by", "rejected_by", "rolled_back_by") if tags.get(key)), "")
    parts.append(f"review {review}{f' by {by}' if by and review != 'pending' else ''}")
    if number == standing.champion:
        parts.append("champion today")
    return "; ".join(parts) + "."


def _short(value: str) -> str:
    flat = " ".join(value.split())
    return flat if len(flat) <= 80 else flat[:79] + "…"


def _sentence(text: str) -> str:
    flat = " ".join(text.split())
    return flat[:1].upper() + flat[1:] + ("" if flat.endswith(".") else ".")
