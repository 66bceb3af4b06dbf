"""A model card as Markdown that stands on its own, in MLflow's artefact viewer as on a code host."""

from __future__ import annotations

import re

from pipelines.card.blocks import Block, Card, Commands, Facts, Items, Table, Text

__all__ = ["escaped", "to_markdown"]


def to_markdown(card: Card) -> str:
    """Text of the card; what is in it cannot break it, nor run as HTML."""
    state = "complete" if card.complete else f"incomplete: {', '.join(card.missing)}"
    parts = [
        f"# {escaped(card.title)}",
        f"Model card, {escaped(state)}.",
        _block(Facts(tuple(card.identity.items()))),
    ]
    for section in card.sections:
        parts.append(f"## {section.title}")
        parts += [_block(block) for block in section.blocks] or ["Not recorded."]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Text():
            return _line(block.text)
        case Items():
            return "\n".join(f"- {_line(item)}" for item in block.items)
        case Facts():
            return "\n".join(f"- {_line(name)}: {escaped(value)}" for name, value in block.facts)
        case Commands():
            lines = (" ".join(line.split()).replace("```", "'''") for line in block.lines)
            return "\n".join(["```sh", *lines, "```"])
        case Table():
            title = [f"### {escaped(block.title)}", ""] if block.title else []
            head = [_row(block.head), "|" + " --- |" * len(block.head)]
            return "\n".join([*title, *head, *(_row(row) for row in block.rows)])


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"


def escaped(text: str) -> str:
    """One line that is text and nothing else: no picture, link, tag, emphasis, mention, nor a table's next cell.

    Examples
    --------
    >>> print(escaped("![x](http://a.b/p.png) | <b>\\n@all"))
    !\\[x\\](http&#58;//a.b/p.png) \\| \\<b\\> &#64;all
    """
    flat = re.sub(r"([\\`*_\[\]<>#|~$])", r"\\\1", " ".join(text.split()))
    # Code hosts make links of bare addresses, and tell people who are named, without any brackets.
    flat = re.sub(r"&(?=#?\w+;)", "&amp;", flat).replace("@", "&#64;").replace("://", "&#58;//")
    return re.sub(r"\b(www)\.", r"\1&#46;", flat, flags=re.IGNORECASE)


def _line(text: str) -> str:
    """The same at the beginning of a line, where a dash, say, would begin a list."""
    return re.sub(r"^(\d+)(?=[.)])", r"\1\\", re.sub(r"^(?=[-+=])", r"\\", escaped(text)))
