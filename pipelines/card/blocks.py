"""What a model card is made of: sections of blocks, which Markdown, HTML and JSON are written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Block", "Card", "Commands", "Facts", "Items", "Section", "Table", "Text"]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str

    def plain(self) -> str:
        """As JSON."""
        return self.text


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    items: tuple[str, ...]

    def plain(self) -> list[str]:
        """As JSON."""
        return list(self.items)


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with their values."""

    facts: tuple[tuple[str, str], ...]

    def plain(self) -> dict[str, str]:
        """As JSON."""
        return dict(self.facts)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading; every row is as long as `head`."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def plain(self) -> dict[str, Any]:
        """As JSON: the rows by the first cell."""
        return {self.title or "table": [dict(zip(self.head, row, strict=True)) for row in self.rows]}


@dataclass(frozen=True, slots=True)
class Commands:
    """What to type."""

    lines: tuple[str, ...]

    def plain(self) -> list[str]:
        """As JSON."""
        return list(self.lines)


Block = Text | Items | Facts | Table | Commands


@dataclass(frozen=True, slots=True)
class Section:
    """One section; without blocks it says that nothing is recorded.

    Attributes
    ----------
    key : str
        Its name in JSON, and in the list of what is missing.
    required : bool
        Whether a card without it is incomplete.
    """

    key: str
    title: str
    blocks: tuple[Block, ...]
    required: bool = True

    @property
    def recorded(self) -> bool:
        """Whether anything is known."""
        return bool(self.blocks)

    def plain(self) -> Any:
        """As JSON; null where nothing is known."""
        parts = [block.plain() for block in self.blocks]
        return None if not parts else parts[0] if len(parts) == 1 else parts


@dataclass(frozen=True, slots=True)
class Card:
    """A model card.

    Attributes
    ----------
    title : str
        Name and version, or the model's id.
    identity : mapping
        What tells this model from every other: URIs, run, digests.
    missing : tuple of str
        What a complete card would hold: keys of sections, and ``data.licence.<origin>``, ``privacy.<camera>``,
        ``privacy.<camera>.legal_basis``.
    cameras : mapping of name to its record
        Pictures by split, and what is said of its privacy; a camera without a statement has None there.
    """

    title: str
    identity: Mapping[str, str]
    sections: tuple[Section, ...]
    missing: tuple[str, ...]
    cameras: Mapping[str, Mapping[str, Any]]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    def plain(self) -> dict[str, Any]:
        """As JSON: sections by their keys, null where nothing is recorded."""
        return {
            "format_version": 1,
            "title": self.title,
            "identity": dict(self.identity),
            "complete": self.complete,
            "missing": list(self.missing),
            **{section.key: section.plain() for section in self.sections},
            "cameras": {name: dict(record) for name, record in self.cameras.items()},
        }
