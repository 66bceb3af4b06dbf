"""Every block of code in the README either runs here, after a demo, or is one of the commands tested elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and whether the README says that it is tested."""

    language: str
    text: str
    tested: bool


def blocks(root: Path) -> list[Block]:
    text = (root / "README.md").read_text()
    found = re.finditer(r"(<!-- tested after the demo -->\n)?```(\w+)\n(.*?)```", text, re.DOTALL)
    return [Block(match[2], match[3], match[1] is not None) for match in found]


def of_language(root: Path, language: str) -> list[str]:
    return [block.text for block in blocks(root) if block.language == language]


def test_whatever_can_run_is_tested(root: Path) -> None:
    runnable = [block for block in blocks(root) if block.language in ("bash", "python")]
    assert len(runnable) >= 3
    assert all(block.tested for block in runnable)


def test_every_make_command_exists(root: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):.*##", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|    )make ([\w-]+)", (root / "README.md").read_text()))
    assert named
    assert named <= targets


def test_every_step_of_the_readme_is_an_entry_point(root: Path) -> None:
    import yaml

    known = set(yaml.safe_load((root / "MLproject").read_text())["entry_points"])
    named = set(re.findall(r"mlflow run \. -e (\w+)", (root / "README.md").read_text()))
    assert named | {"main"} == known
