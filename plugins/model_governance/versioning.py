"""Semantic versions by rule: what changed decides the number, and a claim is held against the record.

| step | when |
| --- | --- |
| major | the interface changed: what the policy names under `versioning.interface`, as signature and classes |
| minor | anything else that is not shown to be a patch: another training, other data, other weights |
| patch | the model's run says by its tags that it learnt nothing new, and the record bears it out |

A patch is claimed by two tags on the run (or on the logged model): ``change``, one of ``re-exported`` and
``re-thresholded``, and ``optimised_from``, the model it was made from (``m-...`` or any model URI); what must bear
it out stands in `patches`. The tag ``change=retrained`` claims a minor step. Whoever follows minor and patch
versions blindly relies on these words, so a claim that does not hold is an error, and nothing is registered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from model_governance.errors import EvidenceError, VersioningError
from model_governance.evidence import Evidence
from model_governance.gathering import collect
from model_governance.patches import (
    PARENT_DIGEST_TAG,
    RE_THRESHOLDED,
    require_nothing_learnt,
    require_same_parent,
)
from model_governance.policy import Versioning
from model_governance.standing import versions_of

__all__ = [
    "CHANGE_TAG",
    "PARENT_DIGEST_TAG",
    "PARENT_TAG",
    "Numbering",
    "number_of",
    "numbering_of",
    "predecessor_of",
]

CHANGE_TAG = "change"
PARENT_TAG = "optimised_from"
_PATCHES = ("re-exported", RE_THRESHOLDED)
_RETRAINED = "retrained"

Number = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Numbering:
    """The number of a version, and why it is that one.

    Attributes
    ----------
    semantic_version : str
        Such as 1.4.2.
    change : str
        ``first``, ``interface``, ``retrained``, ``re-exported`` or ``re-thresholded``.
    follows : str or None
        Semantic version that this one is a step from: a patch's parent, else the highest one there was.
    training_run_id : str
        The run in which the weights were learnt; for a patch, its parent's.
    reason : str
        One sentence.
    """

    semantic_version: str
    change: str
    follows: str | None
    training_run_id: str
    reason: str

    def tags(self) -> dict[str, str]:
        """As tags of the registered version."""
        tags = {
            CHANGE_TAG: self.change,
            "follows": self.follows,
            "training_run_id": self.training_run_id,
            "version_reason": self.reason,
        }
        return {key: value for key, value in tags.items() if value}


def numbering_of(
    client: MlflowClient, name: str, evidence: Evidence, versioning: Versioning | None = None
) -> Numbering:
    """The semantic version that a model gets under a name; reads alone, and needs no registered model.

    Versions without a semantic version, registered by other means, are left out. Files that have a version already
    keep its number.

    Raises
    ------
    VersioningError
        Where the model's run claims a patch or a minor step that the record does not bear out; names the claim.
    """
    versions = {number: v for v in versions_of(client, name).values() if (number := number_of(v)) is not None}
    for number, version in versions.items():
        if version.tags.get("artifact_digest") == evidence.artifact.digest:
            return _as_it_is(number, version)
    change = evidence.tags.get(CHANGE_TAG)
    if change in _PATCHES:
        return _patch(client, name, versions, evidence, change, versioning or Versioning())
    if change not in (None, _RETRAINED):
        raise VersioningError(
            f"the tag {CHANGE_TAG}={change!r} of {evidence.model_uri} says nothing that is known; expected "
            f"{', '.join(_PATCHES)} or {_RETRAINED}, or no such tag"
        )
    if not versions:
        return Numbering("1.0.0", "first", None, evidence.run_id, f"the first version of {name}")
    highest = max(versions)
    changed = _interface_changes(name, versions[highest], evidence)
    if not changed:
        major, minor, _ = highest
        reason = f"another training than that of {_text(highest)}, with the same interface"
        return Numbering(f"{major}.{minor + 1}.0", _RETRAINED, _text(highest), evidence.run_id, reason)
    if change == _RETRAINED:
        raise VersioningError(
            f"{evidence.model_uri} claims {CHANGE_TAG}={_RETRAINED}, a minor step from {_text(highest)}, but its "
            f"interface differs: {'; '.join(changed)}. Train it with the same interface, or remove the tag: it is "
            "a major version then"
        )
    reason = f"the interface differs from that of {_text(highest)}: {'; '.join(changed)}"
    return Numbering(f"{highest[0] + 1}.0.0", "interface", _text(highest), evidence.run_id, reason)


def number_of(version: ModelVersion) -> Number | None:
    """The three numbers of a registered version's semantic version; None where it has none.

    Examples
    --------
    >>> from mlflow.entities.model_registry import ModelVersionTag
    >>> number_of(ModelVersion("m", "3", 0, tags=[ModelVersionTag("semantic_version", "1.4.2")]))
    (1, 4, 2)
    """
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", version.tags.get("semantic_version", ""))
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def predecessor_of(version: ModelVersion, versions: Iterable[ModelVersion]) -> ModelVersion | None:
    """The version that a version is a step from; for one that does not say, the next lower number."""
    numbered = {number: each for each in versions if (number := number_of(each)) is not None}
    own = number_of(version)
    said = version.tags.get("follows")
    for number, each in numbered.items():
        if said is not None and _text(number) == said and each.version != version.version:
            return each
    lower = [number for number in numbered if own is not None and number < own]
    return numbered[max(lower)] if lower else None


def _patch(
    client: MlflowClient,
    name: str,
    versions: dict[Number, ModelVersion],
    evidence: Evidence,
    change: str,
    versioning: Versioning,
) -> Numbering:
    claim = f"{evidence.model_uri} claims to be {change}"
    named = evidence.tags.get(PARENT_TAG, "").strip()
    if not named:
        raise VersioningError(
            f"{claim}, but does not say from which model: set the tag {PARENT_TAG} on its run, or remove the tag "
            f"{CHANGE_TAG}"
        )
    uri = named if ":" in named else f"models:/{named}"
    try:
        parent = collect(uri, Versioning(interface=tuple(evidence.interface)))
    except EvidenceError as error:
        raise VersioningError(f"{claim} from {named!r}, which is not there: {error}") from error
    require_same_parent(claim, evidence, parent)
    digest = parent.artifact.digest
    found = [number for number, v in versions.items() if v.tags.get("artifact_digest") == digest]
    if not found:
        raise VersioningError(
            f"{claim} from {named!r}, of which no version of {name!r} holds the files: register that model first"
        )
    number = found[0]
    if changed := _differences(parent, evidence):
        raise VersioningError(
            f"{claim} from {_text(number)}, but its interface differs: {'; '.join(changed)}. Whoever takes "
            f"patches blindly would break; make it with the same interface, or remove the tag {CHANGE_TAG}"
        )
    training = versions[number].tags.get("training_run_id") or parent.run_id
    require_nothing_learnt(client, f"{claim} from {_text(number)}", evidence, parent, training, versioning)
    major, minor, _ = number
    patch = 1 + max(each[2] for each in versions if each[:2] == (major, minor))
    reason = f"{change} from {_text(number)}, learnt in the same run, with the same interface"
    return Numbering(f"{major}.{minor}.{patch}", change, _text(number), training, reason)


def _as_it_is(number: Number, version: ModelVersion) -> Numbering:
    tags = version.tags
    return Numbering(
        _text(number),
        tags.get(CHANGE_TAG, ""),
        tags.get("follows"),
        tags.get("training_run_id", ""),
        tags.get("version_reason", ""),
    )


def _interface_changes(name: str, version: ModelVersion, evidence: Evidence) -> list[str]:
    """What differs from a version's interface, as sentences; nothing where they are equal."""
    if version.tags.get("interface_digest") == evidence.interface_digest:
        return []
    # Another digest may only mean that the policy calls something else the interface today: the files decide.
    try:
        theirs = collect(f"models:/{name}/{version.version}", Versioning(interface=tuple(evidence.interface)))
    except EvidenceError:
        return [f"the files of version {version.version} cannot be read, and its recorded interface is another"]
    return _differences(theirs, evidence)


def _differences(theirs: Evidence, mine: Evidence) -> list[str]:
    return [
        f"{path} was {_short(theirs.interface.get(path))} and is {_short(value)}"
        for path, value in mine.interface.items()
        if theirs.interface.get(path) != value
    ]


def _text(number: Number) -> str:
    return ".".join(map(str, number))


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 120 else text[:119] + "…"
