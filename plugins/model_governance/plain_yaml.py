"""YAML as this package reads it: plain data alone, and each key once."""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["read_yaml"]


class _EachKeyOnce(yaml.SafeLoader):
    """Of a key that stands twice YAML keeps the last alone, and what the first said would be gone unseen."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The mapping as it is written, before anything is merged into it."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key {key.value} stands there twice; put what they hold into one",
                    key.start_mark,
                )
            seen.add(str(key.value))
        return node


def read_yaml(text: str | bytes) -> Any:
    """Plain data from YAML.

    Raises
    ------
    yaml.YAMLError
        Where it is none, holds anything but plain data, has a key twice, or is nested too deeply; names the line.

    Examples
    --------
    >>> read_yaml("min: 0.5")
    {'min': 0.5}
    >>> read_yaml("{min: 0.5, min: 0}")
    Traceback (most recent call last):
    ...
    yaml.constructor.ConstructorError: the key min stands there twice; put what they hold into one
      in "<unicode string>", line 1, column 12:
        {min: 0.5, min: 0}
                   ^
    """
    try:
        return yaml.load(text, _EachKeyOnce)  # noqa: S506 - a SafeLoader
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except (ValueError, OverflowError) as error:  # a date or a number of which Python makes nothing
        raise yaml.YAMLError(str(error)) from error
