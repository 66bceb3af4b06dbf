"""A model judged by a policy, with nothing registered: what `-e validate` prints and a pull request shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient

from model_governance.errors import TransitionError
from model_governance.evidence import Evidence
from model_governance.gates import Verdict, judge
from model_governance.gathering import collect
from model_governance.governing import governing
from model_governance.policy import Policy
from model_governance.standing import Standing, read_standing

__all__ = ["Assessment", "assess", "champion_evidence"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the gates say of a model.

    Attributes
    ----------
    champion, champion_version : Evidence, str, or None
        What it was held against; None where there is no champion, or the model is the champion.
    is_champion : bool
        Whether the model is the champion itself.
    """

    evidence: Evidence
    verdict: Verdict
    champion: Evidence | None
    champion_version: str | None
    is_champion: bool = False


def assess(model_uri: str, policy: Policy, name: str | None = None, *, now: datetime | None = None) -> Assessment:
    """Judge a model; nothing is registered, tagged or moved, so a verdict here lets nothing through.

    Parameters
    ----------
    name : str, optional
        Registered model whose champion it is held against; without it, or without a champion, against none.
    now : datetime, optional
        Time of judgement, with a time zone; the present by default.

    Raises
    ------
    EvidenceError
        Where there is no such model, or no run that it came from.
    """
    evidence = collect(model_uri, policy)
    try:
        client = MlflowClient()
        standing = read_standing(client, name, by_stages=governing(client) is not None) if name else Standing()
    except TransitionError:  # nothing is registered under this name yet
        standing = Standing()
    champion = champion_evidence(standing, str(name), policy, evidence)
    verdict = judge(policy, evidence, champion, now or datetime.now(UTC))
    itself = champion is None and standing.champion is not None
    return Assessment(evidence, verdict, champion, standing.champion if champion else None, itself)


def champion_evidence(standing: Standing, name: str, policy: Policy, evidence: Evidence) -> Evidence | None:
    """What the champion shows, on the same data where it was measured on these; None where there is none."""
    if standing.champion is None:
        return None
    # What is only asked of a candidate (documents, advisories, signatures) need not be gathered again.
    compared = policy.model_copy(update={"security": (), "compliance": (), "acceptance": (), "materials": None})
    champion = collect(f"models:/{name}/{standing.champion}", compared, beside=evidence)
    # The champion, registered again, is not its own rival.
    return None if champion.artifact.digest == evidence.artifact.digest else champion
