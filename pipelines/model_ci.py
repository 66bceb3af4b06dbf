"""Continuous integration of models, data to a judged version on every change: ``python -m pipelines.model_ci``

Runs prepare, train, evaluate, model card and register by a recipe, in a store and a registry of its own that begin
empty each time, and writes a summary for the pull request. The gates are judged for real: exit code 1 where one
fails or a step stops. Where neither data nor code nor configuration changed since a run that passed, it says so
and does nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import mlflow
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from pydantic import Field

from model_governance import collect, load_policy
from pipelines import evaluate, prepare, register, train
from pipelines.ci.changes import LastRun, changed, digests_of, read_last, write_last
from pipelines.ci.recipe import Recipe, load_recipe
from pipelines.ci.summary import stopped_summary, summary_of
from pipelines.settings import StepSettings, explained
from pipelines.trainers.training_folder import write_whole

__all__ = ["ModelCiResult", "ModelCiSettings", "main", "run"]

_MARKER = ".model-ci-workspace"
_OF_ANOTHER_STORE = (
    *("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"),
    *("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"),  # `mlflow run` sets them
)
_ROOT = Path(__file__).resolve().parent.parent


class ModelCiSettings(StepSettings):
    """Where, by which recipe."""

    workspace: Path = Field(
        Path(".model-ci"), description="folder for data, store and summary; emptied by each run"
    )
    recipe: Path = Field(
        Path(__file__).parent / "ci" / "recipe.yaml", description="what to run, and what to watch"
    )
    force: bool = Field(False, description="run also where nothing changed")


@dataclass(frozen=True, slots=True)
class ModelCiResult:
    """What came of it.

    Attributes
    ----------
    passed : bool
        Whether every gate passed.
    skipped : bool
        Whether nothing had changed since a run that passed, so that nothing was run.
    changed : tuple of str
        Some of data, code, configuration.
    summary : Path
        Markdown.
    store : str
        URI of the throw-away tracking store and registry.
    """

    passed: bool
    skipped: bool
    changed: tuple[str, ...]
    summary: Path
    store: str


class _Progress:
    """Which step runs, for the sentence about one that stops."""

    step = "the recipe"

    def begin(self, step: str) -> None:
        self.step = step
        click.echo(f"model-ci: {step}", err=True)


def run(settings: ModelCiSettings) -> ModelCiResult:
    """Run the recipe, unless nothing changed.

    Raises
    ------
    ValueError
        Where the recipe cannot be used, or the workspace holds something else.
    Exception
        Whatever stopped a step; the summary tells it, too.
    """
    workspace, progress = settings.workspace.resolve(), _Progress()
    _claim(workspace)
    try:
        return _run(settings, workspace, progress)
    except Exception as error:
        text = stopped_summary(progress.step, f"{type(error).__name__}: {error}")
        write_whole(workspace / "summary.md", text)
        raise


def _run(settings: ModelCiSettings, workspace: Path, progress: _Progress) -> ModelCiResult:
    recipe = load_recipe(settings.recipe)
    progress.begin("look for changes")
    digests = digests_of(recipe, settings.recipe, _ROOT)
    summary, store = workspace / "summary.md", f"sqlite:///{workspace / 'store' / 'mlflow.db'}"
    last = read_last(workspace / "last.json")
    different = changed(digests, last)
    if last is not None and last.passed and not different and not settings.force:
        write_whole(summary, last.summary)
        return ModelCiResult(True, True, (), summary, store)
    for made in ("store", "data", "training"):
        shutil.rmtree(workspace / made, ignore_errors=True)
    with _throw_away_store(workspace / "store", store):
        text, passed, figures = _lifecycle(recipe, workspace, different, last, progress)
    write_whole(summary, text)
    write_last(workspace / "last.json", LastRun(digests=digests, passed=passed, figures=figures, summary=text))
    return ModelCiResult(passed, False, different, summary, store)


def _lifecycle(
    recipe: Recipe, workspace: Path, different: tuple[str, ...], last: LastRun | None, progress: _Progress
) -> tuple[str, bool, dict[str, float]]:
    """From data to a version; gives the summary, the verdict and the figures."""
    progress.begin("policy")
    policy = load_policy(recipe.policy)  # before the training, not after it
    with mlflow.start_run(run_name="model-ci"):
        progress.begin("prepare")
        prepared = prepare.run(recipe.prepare_settings(workspace / "data"))
        progress.begin("train")
        trained = train.run(recipe.train_settings(prepared.folder, workspace / "training"))
        progress.begin("evaluate")
        evaluate.run(evaluate.EvaluateSettings(model_uri=trained.model_uri, data=prepared.folder, worst=4))
        progress.begin("register")
        registered = register.run(
            register.RegisterSettings(
                model_uri=trained.model_uri, name=recipe.name, policy=recipe.policy, texts=recipe.texts
            )
        )
        progress.begin("summary")
        version = f"models:/{registered.name}/{registered.version}"
        evidence = collect(version, policy.versioning)
        figures = {name: measured.value for name, measured in evidence.metrics.items()}
        record = {
            "Model": evidence.model_uri,
            "Files": evidence.artifact.digest,
            "Training run": evidence.run_id,
            "Commit": evidence.git_commit or "not recorded",
            "Data": prepared.digest,
            "Policy": policy.digest,
        }
        text = summary_of(registered, figures, registered.card, record, different, last)
        mlflow.log_text(text, "summary.md")
        mlflow.set_tag("gates", "passed" if registered.passed else "failed")
    return text, registered.passed, figures


def _claim(workspace: Path) -> None:
    """Make the workspace, or see that it is one: what is in it will be deleted."""
    marker = workspace / _MARKER
    if (
        workspace.exists()
        and not marker.is_file()
        and any(path.name != "last.json" for path in workspace.iterdir())
    ):
        raise ValueError(f"{workspace} holds something else than an earlier model CI run; expected a new folder")
    workspace.mkdir(parents=True, exist_ok=True)
    marker.touch()


@contextmanager
def _throw_away_store(folder: Path, uri: str) -> Iterator[None]:
    """Tracking and registry in a folder of their own, whatever server, run or experiment the environment names."""
    uris = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    named = {key: value for key, value in os.environ.items() if key in _OF_ANOTHER_STORE}
    folder.mkdir(parents=True)
    # Its default experiment keeps its files there, and not in the working directory.
    SqlAlchemyStore(uri, (folder / "artifacts").as_uri())
    for key in named:
        del os.environ[key]
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        mlflow.set_experiment(experiment_id=SqlAlchemyStore.DEFAULT_EXPERIMENT_ID)
        yield
    finally:
        mlflow.set_tracking_uri(uris[0])
        mlflow.set_registry_uri(uris[1])
        for key in _OF_ANOTHER_STORE:
            os.environ.pop(key, None)
        os.environ.update(named)


@explained
def main() -> None:
    """Exit code 0 where every gate passed, or nothing changed since they did; else 1."""
    result = run(ModelCiSettings.from_command_line())
    if result.skipped:
        click.echo("nothing changed since the last run, which passed; --force true runs it all the same")
    else:
        click.echo(result.summary.read_text(encoding="utf-8"))
    click.echo(f"summary {result.summary}")
    if not result.passed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
