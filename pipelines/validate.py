"""The validation step: a model is evaluated, served, asked, and judged by the policy; nothing is registered.

``python -m pipelines.validate --model_uri models:/m-... --data workspace/data``. What it measures is recorded as
evidence, so that a registration afterwards judges the very same figures.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import mlflow
from pydantic import Field

from model_governance import Assessment, Evidence, Policy, assess, collect, evaluation_of, load_policy
from model_governance.source import locate
from pipelines import evaluate, model_card
from pipelines.champion import evaluate_champion
from pipelines.datasets.manifest import PreparedDataset, load_dataset
from pipelines.infrastructure import Infrastructure, measure_serving
from pipelines.labelled_table import labelled_dataset
from pipelines.run_params import log_params
from pipelines.settings import StepSettings, explained
from pipelines.step_record import record_step

__all__ = [
    "INFRASTRUCTURE",
    "ValidateResult",
    "ValidateSettings",
    "main",
    "measure_infrastructure",
    "reads_serving",
    "run",
]

INFRASTRUCTURE = "infrastructure"
"""The kind of evaluation that says whether and how fast a model serves."""


class ValidateSettings(StepSettings):
    """Which model, on which data, by which policy."""

    model_uri: str = Field(description="models:/m-..., models:/<name>/<version>, models:/<name>@<alias>")
    data: Path = Field(description="folder of a prepared data set; its test split and its clips are used")
    name: str = Field("camera-counter", description="registered model whose champion it is held against")
    policy: Path = Field(Path(__file__).with_name("policy.yaml"), description="policy file")
    texts: Path = Field(model_card.TEXTS, description="what people say on the model card")
    pictures: int = Field(24, ge=1, le=1000, description="test pictures that the served model is asked about")
    env_manager: Literal["local", "uv"] = Field(
        "local", description="local serves with the packages of this environment, uv builds the model's own"
    )
    patience: float = Field(240.0, gt=0, description="seconds until the server must answer")
    fresh: bool = Field(
        False, description="evaluate again even where a fresh evaluation on these data is recorded"
    )


@dataclass(frozen=True, slots=True)
class ValidateResult:
    """What the gates say, and what was wrong with serving.

    Attributes
    ----------
    evaluated_anew : bool
        False where a fresh evaluation on these data was there.
    infrastructure : Infrastructure
        Measured now, always.
    """

    assessment: Assessment
    infrastructure: Infrastructure
    infrastructure_run_id: str
    evaluated_anew: bool

    @property
    def passed(self) -> bool:
        return self.assessment.verdict.passed


def run(settings: ValidateSettings) -> ValidateResult:
    """Evaluate where no fresh evaluation is there, serve, ask, record, judge. Registers nothing.

    Raises
    ------
    EvaluationError, model_governance.GovernanceError
        Where the model or the data cannot be evaluated, or the policy cannot be read.
    """
    policy = load_policy(settings.policy)  # before minutes of measuring, not after them
    dataset, source = load_dataset(settings.data), locate(settings.model_uri)
    anew = settings.fresh or not _is_fresh(collect(settings.model_uri), dataset, policy)
    # A run of its own, so that one that `mlflow run` began is not taken for the evaluation's.
    nested = mlflow.active_run() is not None
    with mlflow.start_run(
        run_name="validate",
        nested=nested,
        parent_run_id=None if nested else source.run_id,
        log_system_metrics=False,
    ):
        mlflow.set_tag("model_uri", source.uri)
        if anew:
            evaluate.run(evaluate.EvaluateSettings(model_uri=settings.model_uri, data=settings.data))
        infrastructure, run_id = measure_infrastructure(
            settings.model_uri,
            dataset,
            pictures=settings.pictures,
            env_manager=settings.env_manager,
            patience=settings.patience,
            settings=settings,
        )
        if policy.compares:
            evaluate_champion(settings.name, settings.model_uri, settings.data)
        if model_card.is_asked_for(policy):
            model_card.run(model_card.ModelCardSettings(model_uri=settings.model_uri, texts=settings.texts))
        assessment = assess(settings.model_uri, policy, settings.name)
        mlflow.set_tag("gates", "passed" if assessment.verdict.passed else "failed")
    return ValidateResult(assessment, infrastructure, run_id, anew)


def measure_infrastructure(
    model_uri: str,
    dataset: PreparedDataset,
    *,
    pictures: int = 24,
    env_manager: Literal["local", "uv"] = "local",
    patience: float = 240.0,
    settings: ValidateSettings | None = None,
) -> tuple[Infrastructure, str]:
    """Serve a model, ask it the first test pictures, and record what came of it in a run of its own.

    A model that does not serve is recorded too, with `serving/answered` 0: an older, better record is not its
    evidence any more.

    Parameters
    ----------
    settings : ValidateSettings, optional
        What the run's record holds; for another step that only measures, those that would measure the same.

    Raises
    ------
    model_governance.GovernanceError
        Where there is no such model, or its files changed meanwhile.
    """
    source = locate(model_uri)
    table = labelled_dataset(dataset, "test")
    chosen = [sample.path for sample in dataset.samples("test")][:pictures]
    nested = mlflow.active_run() is not None
    with mlflow.start_run(
        run_name="validate infrastructure",
        nested=nested,
        parent_run_id=None if nested else source.run_id,
        log_system_metrics=False,
    ) as active:
        mlflow.set_tags({"step": "validate", "model_uri": source.uri})
        told = settings or ValidateSettings(
            model_uri=model_uri, data=dataset.folder, pictures=pictures, env_manager=env_manager, patience=patience
        )
        # An alias may stand on another version tomorrow: the record names the model itself.
        record_step("validate", told.model_copy(update={"model_uri": source.uri}), data=(dataset.digest,))
        log_params({"pictures": len(chosen), "env_manager": env_manager})
        mlflow.log_input(table, context="test")
        with evaluation_of(model_uri, kind=INFRASTRUCTURE):
            found = measure_serving(source.uri, chosen, env_manager=env_manager, patience=patience)
            mlflow.log_metrics(
                found.metrics,
                dataset=table,
                model_id=source.logged.model_id if source.logged else None,
                timestamp=int(time.time() * 1000),
            )
        if found.problems:
            mlflow.log_text("\n".join(found.problems) + "\n", "problems.txt")
        run_id: str = active.info.run_id
    return found, run_id


def reads_serving(policy: Policy) -> bool:
    """Whether any rule reads what serving the model showed."""
    read = [
        *(rule.metric for rule in (*policy.quality, *policy.performance)),
        *(rule.metric for rule in policy.slices),
        *(rule.metric for rule in policy.champion),
        *(term.metric for rule in policy.business for term in rule.terms),
    ]
    return any(metric.startswith("serving/") for metric in read)


def _is_fresh(evidence: Evidence, dataset: PreparedDataset, policy: Policy) -> bool:
    """Whether these very files were measured on these very data, as lately as the policy asks."""
    quality = next((each for each in evidence.evaluations if each.kind == "quality"), None)
    if quality is None or quality.digest != evidence.artifact.digest:
        return False
    if labelled_dataset(dataset, "test").digest not in quality.data:
        return False
    days = min((rule.max_age_days for rule in policy.freshness), default=float("inf"))
    return (time.time() - quality.began / 1000) / 86400 <= days


@explained
def main() -> None:
    """Exit code 1, with the failed rows, for a model that would not pass."""
    result = run(ValidateSettings.from_command_line())
    for problem in result.infrastructure.problems:
        click.echo(f"serving: {problem}", err=True)
    for name, value in sorted(result.infrastructure.metrics.items()):
        click.echo(f"{name:32} {value:.4g}")
    verdict = result.assessment.verdict
    for row in verdict.rows:
        click.echo(f"{row.section}: {row.sentence()}", err=not row.passed)
    rival = result.assessment.champion_version
    alone = "of the champion itself" if result.assessment.is_champion else "without a champion"
    click.echo(
        f"gates {'passed' if result.passed else 'failed'}: {len(verdict.rows) - len(verdict.failures)} of "
        f"{len(verdict.rows)}, {f'against champion version {rival}' if rival else alone}; "
        "nothing was registered"
    )
    if not result.passed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
