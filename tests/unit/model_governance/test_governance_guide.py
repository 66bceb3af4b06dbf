"""What docs/GOVERNANCE.md says is so: its policy, its commands, its pictures."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from model_governance.cli import main
from model_governance.rules.governance import GovernanceRules


@pytest.fixture(scope="module")
def guide(root: Path) -> str:
    return (root / "docs" / "GOVERNANCE.md").read_text(encoding="utf-8")


def test_its_policy_can_be_used(guide: str) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    rules = GovernanceRules.model_validate(yaml.safe_load(block)["governance"])
    assert rules.approvals.count == 2
    assert rules.person("ann-laptop") == rules.person("ann")


def test_its_commands_are_there_with_their_options(guide: str) -> None:
    lines = [
        line.strip().partition("#")[0] for line in guide.splitlines() if line.startswith("    model-governance ")
    ]
    assert len(lines) >= 8
    for line in lines:
        command: click.Command = main
        words = shlex.split(line)[1:]
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        command.make_context(line, words)  # raises where an option or an argument is none of its own


def test_its_pictures_are_there_and_small(guide: str, root: Path) -> None:
    docs = root / "docs"
    shown = re.findall(r"!\[[^]]+\]\((pictures/[\w-]+\.png)\)", guide)
    kept = sorted(path.relative_to(docs).as_posix() for path in (docs / "pictures").glob("gov*.png"))
    assert sorted(shown) == kept
    assert max((docs / path).stat().st_size for path in shown) < 120_000


def test_every_role_is_explained(guide: str) -> None:
    from model_governance.governed.roles import ALL_ROLES

    rows = re.findall(r"^\| ([a-z ]+) \|", guide, re.MULTILINE)
    assert {role.replace("_", " ") for role in ALL_ROLES} <= set(rows)
