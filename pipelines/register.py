"""The step that judges a model by the policy and registers it: ``python -m pipelines.register ...``.

A version gets its model card: once before the gates where the policy asks for it, and once with what they said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
from pydantic import Field

from model_governance import Verdict, load_policy, register
from model_governance.git_tag import tag_commit
from pipelines import model_card
from pipelines.settings import StepSettings, explained

__all__ = ["RegisterResult", "RegisterSettings", "main", "run"]


class RegisterSettings(StepSettings):
    """What to register, under which name, by which policy."""

    model_uri: str = Field(description="models:/m-... or runs:/<run>/<path> of an evaluated model.")
    name: str = Field("camera-counter", description="Name of the registered model.")
    policy: Path = Field(Path(__file__).with_name("policy.yaml"), description="Policy file.")
    texts: Path = Field(model_card.TEXTS, description="What people say on the model card.")
    card: bool = Field(True, description="Write the version's model card.")
    git_tag: bool = Field(
        False, description="set the git tag model/<name>/<semantic version> where the gates passed"
    )


@dataclass(frozen=True, slots=True)
class RegisterResult:
    """The version and what the gates said; a version that failed them has no stage and no alias.

    Attributes
    ----------
    card : ModelCardResult or None
        The version's card; None where nobody wanted one.
    """

    name: str
    version: str
    semantic_version: str
    verdict: Verdict
    created: bool
    card: model_card.ModelCardResult | None = None

    @property
    def passed(self) -> bool:
        return self.verdict.passed


def run(settings: RegisterSettings) -> RegisterResult:
    """Judge and register; the result says whether it passed.

    Raises
    ------
    model_governance.GovernanceError
        Where the policy cannot be read, there is nothing to judge, or the git tag cannot be set; the version is
        registered then, and `model-governance tag` sets it once the reason is gone.
    """
    policy = load_policy(settings.policy)
    if settings.card and model_card.is_asked_for(policy):
        model_card.run(model_card.ModelCardSettings(model_uri=settings.model_uri, texts=settings.texts))
    done = register(settings.model_uri, settings.name, policy)
    card = None
    if settings.card:
        version = f"models:/{done.name}/{done.version}"
        card = model_card.run(model_card.ModelCardSettings(model_uri=version, texts=settings.texts))
    if settings.git_tag and done.passed:
        tag_commit(done.name, done.version)
    return RegisterResult(done.name, done.version, done.semantic_version, done.verdict, done.created, card)


@explained
def main() -> None:
    """Exit code 1, with the failed rows, for a version that did not pass."""
    result = run(RegisterSettings.from_command_line())
    for row in result.verdict.rows:
        click.echo(row.sentence(), err=not row.passed)
    click.echo(
        f"{result.name} version {result.version} ({result.semantic_version}): "
        f"gates {'passed' if result.passed else 'failed'}"
    )
    if not result.passed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
