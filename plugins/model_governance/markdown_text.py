"""Texts of people and programs in Markdown: they come out as the text that they are, and as nothing else.

What is escaped makes a picture, a link, HTML, a table's cell, emphasis, code, mathematics, a heading or a mention
in CommonMark, in GitHub's dialect of it, or in the one of MLflow's pages (showdown); the last two make links of
bare addresses.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["as_code", "as_text"]

_ALWAYS = re.compile(r"([\\`*~|$\[\]])|(?<![^\W_])(_)|(_)(?![^\W_])")
_ADDRESS = re.compile(r":(?=//|[\w+-]+:)|(?<=\bwww)\.", re.IGNORECASE)
_ENTITY = re.compile(r"&(?=#?\w+;)")
# What would begin a heading, a quotation, a list, a rule, or underline the line above.
_BEGINS_BLOCK = re.compile(r"^(?:[#>]|[-+](?=[\s+-]|$)|=+(?=\s*$))")
_ENDS_HEADING = re.compile(r"(?<=\s)(#+)$")
_BEGINS_LIST = re.compile(r"^(\d+)([.)])(?=\s|$)")
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def as_text(text: str, most: int | None = None) -> str:
    r"""A text as Markdown of one line that shows it, in a paragraph, a list, a heading or a cell of a table.

    Parameters
    ----------
    most : int, optional
        Characters of the text that are shown at most; one that is cut ends in `…`.

    Examples
    --------
    >>> print(as_text("![seen](https://example.org/p.png)"))
    !\[seen\](https\://example.org/p.png)
    >>> print(as_text("latency_ms: 5 <b>*fast*</b>"))
    latency_ms: 5 &lt;b>\*fast\*&lt;/b>
    """
    flat = _ALWAYS.sub(
        lambda found: f"\\{found[0]}", _ADDRESS.sub(lambda found: f"\0{found[0]}", _flat(text, most))
    )
    flat = _ENTITY.sub("&amp;", flat).replace("<", "&lt;").replace("@", "&#64;").replace("\0", "\\")
    flat = _ENDS_HEADING.sub(r"\\\1", flat)
    return _BEGINS_LIST.sub(r"\1\\\2", _BEGINS_BLOCK.sub(lambda found: f"\\{found[0]}", flat))


def as_code(text: str, most: int | None = None) -> str:
    """A text to stand between two backticks, where all but a backtick (and a table's bar) is shown as it is."""
    return _flat(text, most).replace("`", "'").replace("|", "¦")


def _flat(text: str, most: int | None) -> str:
    """One line without what a reader cannot see: control characters, and those that turn the writing around."""
    seen = ("�" if each in _TURNS or unicodedata.category(each) in ("Cc", "Cs") else each for each in _line(text))
    flat = "".join(seen)
    return flat if most is None or len(flat) <= most else flat[: most - 1] + "…"


def _line(text: str) -> str:
    return " ".join(text.split())
