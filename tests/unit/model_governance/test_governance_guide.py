"""What docs/GOVERNANCE.md says is so: its policy, its commands, its pictures."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from model_governance import Policy
from model_governance.cli import main
from model_governance.governed.notify.settings import Notify
from model_governance.rules.governance import GovernanceRules


@pytest.fixture(scope="module")
def guide(root: Path) -> str:
    return (root / "docs" / "GOVERNANCE.md").read_text(encoding="utf-8")


def test_its_policy_can_be_used(guide: str) -> None:
    blocks = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)]
    (notify,) = (each for each in blocks if "channels" in each)
    assert Notify.model_validate(notify).channels[0].tells("role_granted")
    rules_alone, whole = (each for each in blocks if "channels" not in each)
    rules = GovernanceRules.model_validate(rules_alone["governance"])
    assert rules.approvals.count == 2
    assert rules.person("ann-laptop") == rules.person("ann")
    policy = Policy.model_validate(whole)
    assert policy.governance is not None
    assert policy.governance.evidence.measured_by == ("validator",)


def test_its_programs_name_what_is_there(guide: str) -> None:
    programs = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert len(programs) == 2
    for program in programs:
        tree = ast.parse(program)
        imports = [each for each in tree.body if isinstance(each, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), "guide", "exec"), {})  # noqa: S102 - the guide's own imports


def test_its_messages_are_those_of_the_server(guide: str, root: Path) -> None:
    """Whoever looks up what they read finds it."""
    sources = [*(root / "plugins/model_governance").rglob("*.py")]
    said = " ".join(re.sub(r'"\s*f?"', "", path.read_text(encoding="utf-8")) for path in sources)
    table = guide.split("## When something is refused")[1].split("\n## ")[0]
    messages = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    assert len(messages) >= 14
    for message in messages:
        if message.startswith(("count/mae", "Invalid Host")):
            continue  # a figure of somebody's own, and MLflow's own words
        parts = re.split(r"\.\.\.|\d+|; ann has none|\breviewer\b|\bvalidator\b|\bcannot approve\b", message)
        for part in parts:
            assert part.strip(" ()").rstrip(",") in said, f"nobody says {part!r} of {message!r}"


def test_its_commands_are_there_with_their_options(
    guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for key in ("signing.pem", "signing.pub.pem"):
        Path(key).touch()
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
