"""YAML as this package reads it: plain data alone, each key once, and no more of it than the text is long."""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["read_yaml"]


# A few hundred bytes of aliases of aliases stand for more values than there is memory; people repeat a handful.
_MOST_REPEATED = 100_000
# Deeper than anybody writes by hand, and shallow enough for whatever walks it or writes it down afterwards.
_DEEPEST = 100
# Sixteen times a 64-bit one; of longer ones Python writes some down only after minutes, and others never.
_LONGEST_NUMBER = 320


class _Plain(yaml.SafeLoader):
    """Of a key that stands twice YAML keeps the last alone, and what the first said would be gone unseen."""

    def __init__(self, stream: str | bytes) -> None:
        super().__init__(stream)
        self._depth = self._values = self._repeated = 0
        self._sizes: dict[yaml.Node, int] = {}  # of what has an anchor: how many values it is, written out

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A value and what is in it, with what its aliases repeat counted before anything is made of them."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._values
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _error(event, f"it is nested too deeply: at most {_DEEPEST} levels are read")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            self._repeat(event, node)
        else:
            self._values += 1
            if node is not None and getattr(event, "anchor", None) is not None:
                self._sizes[node] = self._values - before
        return node

    def _repeat(self, event: yaml.Event, node: yaml.Node | None) -> None:
        size = None if node is None else self._sizes.get(node)
        if size is None:
            raise _error(event, "an alias stands in what it repeats, which never ends; write it out")
        self._values += size
        self._repeated += size
        if self._repeated > _MOST_REPEATED:
            raise _error(event, f"its aliases repeat more than {_MOST_REPEATED:,} values; write them out")

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The mapping as it is written, before anything is merged into it."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):  # which is refused later: it can be no key
                continue
            if key.value in seen:
                raise _error(key, f"the key {key.value} stands there twice; put what they hold into one")
            seen.add(key.value)
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number, of a length with which Python can do something."""
        if len(node.value) > _LONGEST_NUMBER:
            raise _error(node, f"a number of {len(node.value):,} characters; at most {_LONGEST_NUMBER} are read")
        return super().construct_yaml_int(node)


_Plain.add_constructor("tag:yaml.org,2002:int", _Plain.construct_yaml_int)


def _error(place: Any, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, place.start_mark)


def read_yaml(text: str | bytes) -> Any:
    """Plain data from YAML.

    Raises
    ------
    yaml.YAMLError
        Where it is none, holds anything but plain data, has a key twice, is nested too deeply, or repeats more by
        its aliases than it can be meant to; names the line.

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
        return yaml.load(text, _Plain)  # noqa: S506 - a SafeLoader
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except (ValueError, OverflowError) as error:  # a date or a number of which Python makes nothing
        raise yaml.YAMLError(str(error)) from error
    except (LookupError, AttributeError) as error:  # such as !!bool perhaps, or !!int with nothing behind it
        raise yaml.YAMLError("a value is not of the kind that its tag (!!...) says") from error
