"""The step that takes a reviewer's yes: ``python -m pipelines.promote --version 3 --approver NAME ...``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
from pydantic import Field

from model_governance import Standing, load_policy, promote
from pipelines.settings import StepSettings, explained

__all__ = ["PromoteResult", "PromoteSettings", "main", "run"]


class PromoteSettings(StepSettings):
    """Which version, and who says yes."""

    name: str = Field("camera-counter", description="Name of the registered model.")
    version: str = Field(description="Number of the version.")
    approver: str = Field(description="The person who says yes.")
    comment: str = Field(description="Why.")
    policy: Path | None = Field(None, description="Today's policy file; refuses a version judged by another.")
    move_serving: bool = Field(True, description="False where a rollout decides when servers follow.")


@dataclass(frozen=True, slots=True)
class PromoteResult:
    """The standing after the promotion."""

    name: str
    version: str
    standing: Standing


def run(settings: PromoteSettings) -> PromoteResult:
    """Make the version the champion.

    Raises
    ------
    model_governance.GovernanceError
        Where it did not pass its gates, its evidence has expired, it was altered, or nobody signs.
    """
    standing = promote(
        settings.name,
        settings.version,
        settings.approver,
        settings.comment,
        move_serving=settings.move_serving,
        policy=load_policy(settings.policy) if settings.policy else None,
    )
    return PromoteResult(settings.name, settings.version, standing)


@explained
def main() -> None:
    """Exit code 1, with the reason, where the version may not be promoted."""
    result = run(PromoteSettings.from_command_line())
    click.echo(f"{result.name}: champion is version {result.standing.champion}")


if __name__ == "__main__":
    main()
