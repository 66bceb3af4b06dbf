"""Everything that a person needs to decide on a version, gathered in one value."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion, RegisteredModel

from model_governance.governed.audit import Record
from model_governance.governed.pages.evidence import Comparison, Picture, Shown, compare, pictures, read_shown
from model_governance.governed.pages.history import Reviewed, history_of, makers, reviews_of
from model_governance.governed.pages.sources import Sources

__all__ = ["Dossier", "dossier_of", "seal"]


@dataclass(frozen=True, slots=True)
class Dossier:
    """A version, what it shows, what was said and done about it.

    Attributes
    ----------
    aliases : tuple of str
        Those that stand on this version.
    champion : str or None
        Number of the version in Production.
    made : tuple of (str, str)
        What was done and by whom, as the server recorded it: run, logged, registered.
    reviews : tuple of Reviewed
        Of this version; those of an earlier version of the same number are left out.
    current : frozenset of int
        Places in `reviews` of what a decision would go by now.
    history : tuple of Record
        What the audit says of it, newest first, also under its model's earlier names.
    seal : str
        What the reviewer has before them: another one means that it changed meanwhile.
    """

    model: RegisteredModel
    version: ModelVersion
    aliases: tuple[str, ...]
    champion: str | None
    made: tuple[tuple[str, str], ...]
    shown: Shown
    comparison: Comparison
    pictures: tuple[Picture, ...]
    reviews: tuple[Reviewed, ...]
    current: frozenset[int]
    history: tuple[Record, ...]
    seal: str

    @property
    def semantic_version(self) -> str:
        return str(self.version.tags.get("semantic_version", ""))

    @property
    def is_champion(self) -> bool:
        return self.champion == str(self.version.version)


def dossier_of(sources: Sources, name: str, number: str, may_read_experiment: Callable[[str], bool]) -> Dossier:
    """Gather it.

    Parameters
    ----------
    may_read_experiment : callable
        Whether the reader may see an experiment of an id; pictures and metrics of other runs are left out.

    Raises
    ------
    MlflowException
        Where there is no such version.
    """
    registry, files = sources.registry(), sources.files
    version, model = registry.get_model_version(name, number), registry.get_registered_model(name)
    champion = registry.standing(name).champion
    mine = read_shown(files, version, may_read_experiment)
    theirs = (
        read_shown(files, registry.get_model_version(name, champion), may_read_experiment)
        if champion is not None and champion != str(version.version)
        else None
    )
    reviews = tuple(
        each for each in reviews_of(registry.engine, name, number) if each.born == version.creation_timestamp
    )
    counting = registry.counting(name, number) if reviews else frozenset()
    return Dossier(
        model=model,
        version=version,
        aliases=tuple(sorted(alias for alias, to in model.aliases.items() if str(to) == number)),
        champion=champion,
        made=makers(registry.engine, version),
        shown=mine,
        comparison=compare(mine, theirs),
        pictures=pictures(files, mine, theirs),
        reviews=reviews,
        current=frozenset(place for place, each in enumerate(reviews) if each.id in counting),
        history=tuple(history_of(registry.engine, name, number)),
        seal=seal(version),
    )


def seal(version: ModelVersion) -> str:
    """SHA-256 of what a decision rests on: the version's birth, its source, and the digests that it carries."""
    tags = version.tags
    parts = (
        version.name,
        str(version.version),
        str(version.creation_timestamp),
        str(version.source),
        *(str(tags.get(key, "")) for key in ("artifact_digest", "evidence_digest", "policy_digest", "gates")),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
