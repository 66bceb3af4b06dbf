"""The graph as a Mermaid flowchart, which GitHub, GitLab and most wikis draw."""

from __future__ import annotations

import re

from pipelines.lineage_graph.graph import Graph

__all__ = ["markdown", "mermaid"]

_SHAPES = {"data": ("[(", ")]"), "approval": ("{{", "}}"), "serving": ("([", "])"), "more": (">", "]")}
_COLOURS = {
    "data": "#dbeafe,stroke:#3b82f6", "run": "#f3f4f6,stroke:#6b7280", "model": "#ede9fe,stroke:#8b5cf6",
    "version": "#dcfce7,stroke:#16a34a", "approval": "#fef9c3,stroke:#ca8a04", "serving": "#ccfbf1,stroke:#0d9488",
    "log": "#ffe4e6,stroke:#e11d48", "drift": "#ffedd5,stroke:#ea580c", "more": "#ffffff,stroke:#9ca3af",
}  # fmt: skip


def mermaid(graph: Graph) -> str:
    """The flowchart's source. Whatever names hold, it stays text.

    Examples
    --------
    >>> from pipelines.lineage_graph.graph import Node
    >>> print(mermaid(Graph("a", (Node("a", "data", 'a "set"'),), ())).splitlines()[1])
      n0[("a #34;set#34;")]:::data
    """
    numbers = {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        opening, closing = _SHAPES.get(node.kind, ("[", "]"))
        text = "<br/>".join(_escaped(line) for line in (node.title, *node.lines))
        lines.append(f'  {numbers[node.id]}{opening}"{text}"{closing}:::{node.kind}')
    for edge in graph.edges:
        label = f'|"{_escaped(edge.label)}"|' if edge.label else ""
        lines.append(f"  {numbers[edge.source]} -->{label} {numbers[edge.target]}")
    kinds = dict.fromkeys(node.kind for node in graph.nodes)
    lines += [f"  classDef {kind} fill:{_COLOURS[kind]},color:#111827" for kind in kinds]
    if graph.start in numbers:
        lines.append(f"  style {numbers[graph.start]} stroke-width:4px")
    return "\n".join(lines) + "\n"


def markdown(graph: Graph, title: str) -> str:
    """A page with the flowchart, and whole digests and ids below it."""
    lines = [f"# {_plain(title)}", "", "```mermaid", mermaid(graph).rstrip(), "```", ""]
    if graph.cut:
        lines += ["There is more than was drawn: raise --nodes, or start nearer to it.", ""]
    lines += ["| what | detail |", "|---|---|"]
    for node in graph.nodes:
        facts = "<br>".join(f"{_plain(name)}: {_plain(value)}" for name, value in node.facts.items())
        lines.append(f"| {_plain(node.title)} | {facts} |")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Everything but plain letters, digits and harmless signs as a character code."""
    return "".join(
        letter if re.fullmatch(r"[\w ,.:/%+=@-]", letter) else f"#{ord(letter)};" for letter in _one_line(text)
    )


def _plain(text: str) -> str:
    """Text in a Markdown table: no cell, tag, link or code can begin in it."""
    return "".join(f"&#{ord(letter)};" if letter in "|<>&`*_[]()\\#!~$" else letter for letter in _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())
