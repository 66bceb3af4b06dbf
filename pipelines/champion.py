"""The champion measured on the data of a model that would follow it: figures of different pictures say nothing."""

from __future__ import annotations

from pathlib import Path

import click

from counting_evaluator import EvaluationError
from model_governance import Evidence, GovernanceError, collect
from pipelines import evaluate
from pipelines.current_champion import current_champion

__all__ = ["evaluate_champion"]


def evaluate_champion(name: str, model_uri: str, data: Path) -> evaluate.EvaluateResult | None:
    """Measure the champion on the data that the new model was measured on, where it was not yet.

    Figures of different pictures are not compared, so without this no model could follow a champion on new data.
    Where the champion cannot be measured on them, it is said, and the policy's gates decide.
    """
    version = current_champion(name)
    if version is None:
        return None  # the first of its name
    champion = f"models:/{name}/{version.version}"
    try:
        mine = collect(model_uri)
        theirs = collect(champion, beside=mine)
        if theirs.artifact.digest == mine.artifact.digest or _quality_data(theirs) & _quality_data(mine):
            return None
        settings = evaluate.EvaluateSettings(model_uri=champion, data=data)
        return evaluate.run(settings, show_at_training=False)
    except (EvaluationError, GovernanceError) as error:
        click.echo(f"the champion, version {version.version}, cannot be measured on these data: {error}", err=True)
        return None


def _quality_data(evidence: Evidence) -> frozenset[str]:
    """On which data it was measured how good the model is; whether it serves is another question.

    An evaluation of an earlier release, whose tables nobody vouches for, is as good as none.
    """
    quality = [each for each in evidence.evaluations if each.kind == "quality"]
    if not quality:
        return evidence.measured_on
    return frozenset(digest for each in quality if each.bound for digest in each.data)
