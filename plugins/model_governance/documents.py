"""What a document says, as far as a gate can tell: headings with text below them, keys that hold something."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeAliasType

from model_governance.plain_yaml import read_yaml

__all__ = ["Document", "has_key", "read_document"]

_LARGEST = 2_000_000
_MOST_KEYS = 20_000
_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
# A heading over one of these alone is not filled in.
_BLANK = re.compile(
    r"[\s\-–—_*.:…]*(tbd|todo|n/?a|none|unknown|not recorded|fixme|xxx)?[\s\-–—_*.:…]*", re.IGNORECASE
)

# Recursive, so that pydantic reads it back as it was written.
Tree = TypeAliasType("Tree", "bool | dict[str, Tree]")


class Document(BaseModel):
    """One document.

    Attributes
    ----------
    sha256 : str
        Of its bytes.
    headings : tuple of str
        Markdown headings with something written below them, in lower case.
    filled : tree
        Keys of JSON or YAML, and whether each holds something; items of lists are keys by number.
    problem : str
        Why it cannot be read; empty where it can.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    headings: tuple[str, ...] = ()
    filled: Tree = False
    problem: str = ""


def read_document(name: str, content: bytes) -> Document:
    """Read a document by its name's ending: .json, .yaml and .yml hold keys, everything else headings."""
    digest = hashlib.sha256(content).hexdigest()
    if len(content) > _LARGEST:
        return Document(sha256=digest, problem=f"it has {len(content)} bytes, at most {_LARGEST} are read")
    try:
        text = content.decode("utf-8")
        if name.endswith((".json", ".yaml", ".yml")):
            value = json.loads(text) if name.endswith(".json") else read_yaml(text)
            return Document(sha256=digest, filled=_tree(value, [_MOST_KEYS]))
        return Document(sha256=digest, headings=tuple(dict.fromkeys(_headings(text))))
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        return Document(sha256=digest, problem=f"it cannot be read: {' '.join(str(error).split())[:200]}")


def has_key(document: Document, path: Sequence[str]) -> bool:
    """Whether a key holds something; a part `*` demands it of every key there is, and of one at least.

    Examples
    --------
    >>> shown = read_document("a.json", b'{"cameras": {"c1": {"why": "safety"}, "c2": {"why": "TODO"}}}')
    >>> [has_key(shown, path.split(".")) for path in ("cameras.c1.why", "cameras.*.why", "cameras")]
    [True, False, True]
    """
    return _holds(document.filled, tuple(path))


def _holds(tree: Tree, path: tuple[str, ...]) -> bool:
    if not path:
        return tree if isinstance(tree, bool) else any(_holds(each, ()) for each in tree.values())
    if isinstance(tree, bool):
        return False
    if path[0] == "*":
        return bool(tree) and all(_holds(each, path[1:]) for each in tree.values())
    return path[0] in tree and _holds(tree[path[0]], path[1:])


def _tree(value: Any, budget: list[int]) -> Tree:
    """The keys alone, and whether each holds something; what it holds is nobody's business here."""
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError(f"more than {_MOST_KEYS} keys")
    if isinstance(value, dict):
        return {str(key): _tree(inner, budget) for key, inner in value.items()}
    if isinstance(value, list):
        return {str(number): _tree(inner, budget) for number, inner in enumerate(value)}
    return value is not None and not _BLANK.fullmatch(str(value))


def _headings(text: str) -> Iterator[str]:
    """Headings with something below them, be it under a heading of a lower level."""
    open_headings: list[tuple[int, str]] = []
    fenced = False
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        match = None if fenced else _HEADING.match(line)
        if match:
            level = len(match[1])
            open_headings = [each for each in open_headings if each[0] < level]
            open_headings.append((level, match[2].strip().lower()))
        elif not _BLANK.fullmatch(line) and not line.strip().startswith("<!--"):
            yield from (name for _, name in open_headings if name)
            open_headings = [(level, "") for level, name in open_headings]
