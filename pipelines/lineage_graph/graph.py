"""The graph as a value: nodes with a few lines of text, and edges from what was first to what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Edge", "Graph", "Kind", "Node", "without_circles"]

Kind = Literal["data", "run", "model", "version", "approval", "serving", "log", "drift", "more"]


@dataclass(frozen=True, slots=True)
class Node:
    """One thing that happened or that there is.

    Parameters
    ----------
    id : str
        Unlike any other's.
    kind : str
        What it is; decides its colour.
    title : str
        One line.
    lines : tuple of str
        What else a reader wants to see at once.
    facts : mapping of str to str
        Whole digests, ids and comments, for the table below the picture.
    url : str or None
        Its page in the MLflow UI.
    """

    id: str
    kind: Kind
    title: str
    lines: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """From what was there before to what came of it."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges; edges lead between nodes of the graph, and in no circle.

    Parameters
    ----------
    start : str
        Id of the node that was asked for.
    cut : bool
        Whether there is more than was drawn.
    """

    start: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    cut: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "format_version": 1,
            "start": self.start,
            "cut": self.cut,
            "nodes": [
                {
                    "id": n.id,
                    "kind": n.kind,
                    "title": n.title,
                    "lines": list(n.lines),
                    "facts": n.facts,
                    "url": n.url,
                }
                for n in self.nodes
            ],
            "edges": [{"source": e.source, "target": e.target, "label": e.label} for e in self.edges],
        }


def without_circles(edges: Sequence[Edge]) -> list[Edge]:
    """The edges, but for those that close a circle: whoever can write tags could draw one."""
    kept: list[Edge] = []
    after: dict[str, set[str]] = {}
    for edge in edges:
        if edge.source != edge.target and not _reaches(after, edge.target, edge.source):
            kept.append(edge)
            after.setdefault(edge.source, set()).add(edge.target)
    return kept


def _reaches(after: dict[str, set[str]], start: str, goal: str) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        if here == goal:
            return True
        for there in after.get(here, ()):
            if there not in seen:
                seen.add(there)
                waiting.append(there)
    return False
