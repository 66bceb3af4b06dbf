"""The step that writes a model's card: ``python -m pipelines.model_card --model_uri models:/m-...``

Of a logged model the card lies at its run under ``model_card/`` (``model_card/<model id>/`` where the run made
more than one model), which is what a policy's gates read. Of a registered version it lies beside that, under
``model_card/<name>-<semantic version>/``, together with the model's change log; the version's description and
tags lead to it. The card that was judged is never written over by the later one.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from pydantic import Field

from model_governance import Policy
from model_governance.change_log import change_log
from model_governance.description import LIMIT
from model_governance.policy import TagRule
from pipelines.card.blocks import Card
from pipelines.card.html import to_html
from pipelines.card.markdown import to_markdown
from pipelines.card.record import ModelRecord, read_record
from pipelines.card.sections import write_card
from pipelines.card.texts import load_texts
from pipelines.settings import StepSettings, explained
from pipelines.trainers.training_folder import write_whole

__all__ = [
    "CARD_FOLDER",
    "CARD_TAG",
    "TEXTS",
    "ModelCardResult",
    "ModelCardSettings",
    "is_asked_for",
    "main",
    "run",
]

TEXTS = Path(__file__).with_name("model_card.yaml")
"""Purpose, limits and privacy, as people wrote them."""

CARD_FOLDER = "model_card"
CARD_TAG = "model_card"
"""Tag of the logged model and of the version: where the card lies; ``.complete`` and ``.missing`` beside it."""

_LINK = "- Model card: artifacts of run "


class ModelCardSettings(StepSettings):
    """Of which model, and with which texts."""

    model_uri: str = Field(description="models:/m-..., models:/<name>/<version>, models:/<name>@<alias>")
    name: str | None = Field(
        None, description="registered model under which a version of a logged model is looked for"
    )
    texts: Path = Field(TEXTS, description="purpose, limits and privacy, as people wrote them")
    out: Path | None = Field(None, description="folder to write the card into as well")
    log: bool = Field(True, description="keep it with the model's run; false only writes it to --out")


@dataclass(frozen=True, slots=True)
class ModelCardResult:
    """The card, and where it lies in the artefacts of its run; `place` is None where it was not logged."""

    card: Card
    run_id: str
    place: str | None


def run(settings: ModelCardSettings) -> ModelCardResult:
    """Write the card of a model from its record.

    Raises
    ------
    model_governance.GovernanceError
        Where there is no such model.
    ValueError
        Where the texts cannot be used, or the card would go nowhere.
    """
    if not settings.log and settings.out is None:
        raise ValueError("the card would go nowhere: give --out, or leave --log true")
    texts = load_texts(settings.texts)
    record = read_record(settings.model_uri, settings.name)
    card = write_card(record, texts)
    files = _files(card, record.version)
    if settings.out is not None:
        _write(settings.out, files)
    place = _log(record, card, files) if settings.log else None
    return ModelCardResult(card, record.evidence.run_id, place)


def is_asked_for(policy: Policy) -> bool:
    """Whether a gate reads the tags that a card leaves."""
    return any(isinstance(rule, TagRule) and rule.tag.startswith(CARD_TAG) for _, rule in policy.rules())


def _files(card: Card, version: ModelVersion | None) -> dict[str, str]:
    files = {
        "model_card.md": to_markdown(card),
        "model_card.html": to_html(card),
        "model_card.json": json.dumps(card.plain(), indent=1, ensure_ascii=False) + "\n",
    }
    if version is not None:
        files["CHANGELOG.md"] = change_log(version.name)
    return files


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_whole(folder / name, text)


def _log(record: ModelRecord, card: Card, files: dict[str, str]) -> str:
    client, run_id = MlflowClient(), record.evidence.run_id
    place = _place(record)
    with tempfile.TemporaryDirectory(prefix="model-card-") as folder:
        _write(Path(folder), files)
        client.log_artifacts(run_id, folder, place)
    # The tags last: what leads to a card leads to a whole one.
    tags = {
        CARD_TAG: place,
        f"{CARD_TAG}.complete": str(card.complete).lower(),
        f"{CARD_TAG}.missing": ", ".join(card.missing)[:4000] or "nothing",
    }
    version = record.version
    if version is not None:
        tags[f"{CARD_TAG}.digest"] = hashlib.sha256(files["model_card.json"].encode()).hexdigest()
        for key, value in tags.items():
            client.set_model_version_tag(version.name, version.version, key, value)
        _describe(client, version, f"{_LINK}`{run_id}` under `{place}`")
    elif record.model_id is not None:
        client.set_logged_model_tags(record.model_id, tags)
    else:
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
    return place


def _place(record: ModelRecord) -> str:
    if record.version is not None:
        semantic = record.version.tags.get("semantic_version") or f"version-{record.version.version}"
        return f"{CARD_FOLDER}/{record.version.name}-{semantic}"
    made = {output.model_id for output in record.run.outputs.model_outputs} if record.run.outputs else set()
    return f"{CARD_FOLDER}/{record.model_id}" if len(made) > 1 and record.model_id else CARD_FOLDER


def _describe(client: MlflowClient, version: ModelVersion, link: str) -> None:
    """Let the description lead to the card; where there is no room left for it, the version's tag does."""
    lines = [line for line in (version.description or "").splitlines() if not line.startswith(_LINK)]
    text = "\n".join([*lines, *([] if not lines or lines[-1].startswith("- ") else [""]), link])
    if len(text) < LIMIT and text != version.description:
        client.update_model_version(version.name, version.version, text)


@explained
def main() -> None:
    """Exit code 0 also for an incomplete card: whether that is enough is the policy's to say."""
    settings = ModelCardSettings.from_command_line()
    result = run(settings)
    if result.place is not None:
        click.echo(f"{result.card.title}: card at run {result.run_id} under {result.place}")
    if settings.out is not None:
        click.echo(f"{result.card.title}: card in {settings.out}")
    if not result.card.complete:
        click.echo(f"not recorded: {', '.join(result.card.missing)}", err=True)


if __name__ == "__main__":
    main()
