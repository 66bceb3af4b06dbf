"""A model card as Markdown that stands on its own, in MLflow's artefact viewer as on a code host."""

from __future__ import annotations

from model_governance.markdown_text import as_text
from pipelines.card.blocks import Block, Card, Commands, Facts, Items, Table, Text

__all__ = ["to_markdown"]


def to_markdown(card: Card) -> str:
    """Text of the card; what is in it cannot break it, nor run as HTML."""
    state = "complete" if card.complete else f"incomplete: {', '.join(card.missing)}"
    parts = [
        f"# {as_text(card.title)}",
        f"Model card, {as_text(state)}.",
        _block(Facts(tuple(card.identity.items()))),
    ]
    for section in card.sections:
        parts.append(f"## {section.title}")
        parts += [_block(block) for block in section.blocks] or ["Not recorded."]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Text():
            return as_text(block.text)
        case Items():
            return "\n".join(f"- {as_text(item)}" for item in block.items)
        case Facts():
            return "\n".join(f"- {as_text(name)}: {as_text(value)}" for name, value in block.facts)
        case Commands():
            lines = (" ".join(line.split()).replace("```", "'''") for line in block.lines)
            return "\n".join(["```sh", *lines, "```"])
        case Table():
            title = [f"### {as_text(block.title)}", ""] if block.title else []
            head = [_row(block.head), "|" + " --- |" * len(block.head)]
            return "\n".join([*title, *head, *(_row(row) for row in block.rows)])


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(as_text(cell) for cell in cells) + " |"
