"""A model card as one HTML file that needs nothing beside it, asks no network, and runs no script."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, StrictUndefined

from pipelines.card.blocks import Card

__all__ = ["to_html"]


def to_html(card: Card) -> str:
    """The whole page; whatever stands in the record is shown as text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_name("card.html.j2").read_text(encoding="utf-8"))
    return template.render(card=card)
