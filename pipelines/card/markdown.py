"""A model card as Markdown that stands on its own, in MLflow's artefact viewer as on a code host."""

from __future__ import annotations

import re

from pipelines.card.blocks import Block, Card, Commands, Facts, Items, Table, Text

__all__ = ["to_markdown"]


def to_markdown(card: Card) -> str:
    """Text of the card; what is in it cannot break it, nor run as HTML."""
    state = "complete" if card.complete else f"incomplete: {', '.join(card.missing)}"
    parts = [f"# {_flat(card.title)}", f"Model card, {_flat(state)}.", _block(Facts(tuple(card.identity.items())))]
    for section in card.sections:
        parts.append(f"## {section.title}")
        parts += [_block(block) for block in section.blocks] or ["Not recorded."]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Text():
            return _flat(block.text)
        case Items():
            return "\n".join(f"- {_flat(item)}" for item in block.items)
        case Facts():
            return "\n".join(f"- {_flat(name)}: {_flat(value)}" for name, value in block.facts)
        case Commands():
            return "\n".join(["```sh", *(line.replace("```", "'''") for line in block.lines), "```"])
        case Table():
            title = [f"### {_flat(block.title)}", ""] if block.title else []
            head = ["| " + " | ".join(_cell(cell) for cell in block.head) + " |", "|" + " --- |" * len(block.head)]
            rows = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in block.rows]
            return "\n".join([*title, *head, *rows])


def _flat(text: str) -> str:
    """One line that is text and nothing else: no tag, no link, no emphasis."""
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", " ".join(text.split()))


def _cell(text: str) -> str:
    return _flat(text).replace("|", "\\|")
