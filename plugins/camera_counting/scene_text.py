"""The text of a scene file: YAML or JSON read strictly, and what is wrong with it in words."""

from __future__ import annotations

import json
from typing import Any

import yaml
from pydantic import ValidationError

from camera_counting.errors import SceneError

__all__ = ["read_json", "read_yaml", "reasons"]


def read_yaml(text: str, source: str) -> object:
    """What a YAML (or JSON) text says; `source` is named in errors.

    Raises
    ------
    SceneError
        Where it is no YAML, with line and column; where a key stands twice.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        reason = error.problem or error.context or "cannot be parsed"
        raise SceneError(f"{source}: no valid YAML: {where}{reason}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SceneError(f"{source}: no valid YAML: {error}") from error


def read_json(text: str, source: str) -> object:
    """What a JSON text says; `source` is named in errors.

    Raises
    ------
    SceneError
        Where it is no JSON, or beyond what can be read.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SceneError(f"{source}: no valid JSON: {where}: {error.msg}") from error
    except RecursionError as error:
        raise SceneError(f"{source}: no valid JSON: nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise SceneError(f"{source}: no valid JSON: {error}") from error


def reasons(error: ValidationError) -> list[str]:
    """One sentence for everything that is wrong, each beginning with its key as it stands in the file."""
    lines = []
    for item in error.errors(include_url=False):
        key = ""
        for part in item["loc"]:
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key; check its spelling against schemas/scene.schema.json"
        elif item["type"] == "missing":
            message = "expected this key, found none"
        elif item["type"] == "tuple_type":
            message = f"expected a list, got {_shown(item['input'])}"
        elif item["type"] == "too_long":
            message = f"expected at most {item['ctx']['max_length']}, got more"
        elif item["type"] not in {"value_error"}:
            message = f"{message}, got {_shown(item['input'])}"
        lines.append(f"{key}: {message}" if key else message)
    return lines


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except ValueError:  # Python writes no number of thousands of digits
        return "a number that is too long to show"


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key may stand only once: of two `lines:` the parser would silently drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)
