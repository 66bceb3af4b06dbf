"""Where the nodes of a graph stand: in columns, from what was first on the left to what came of it on the right.

The method of Sugiyama, Tagawa and Toda (IEEE Transactions on Systems, Man, and Cybernetics, 1981): longest paths
give the columns, an edge over several columns gets a bend in each, and the order within a column follows the
medians of the neighbours (Eades and Wormald, 1994), which keeps crossings few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

from pipelines.lineage_graph.graph import Graph

__all__ = ["Layout", "lay_out"]

WIDTH, BETWEEN, GAP = 208.0, 104.0, 22.0
"""Of a node; between two columns; between two nodes of a column. All in pixels."""
_BEND = 10.0
_SWEEPS = 12


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is, in pixels from the top left corner.

    Parameters
    ----------
    boxes : mapping of node id to (x, y, width, height)
    paths : sequence of sequence of (x, y)
        One for each edge of the graph, in their order: where it begins, its bends, where it ends.
    width, height : float
        Of the whole.
    """

    boxes: Mapping[str, tuple[float, float, float, float]]
    paths: Sequence[Sequence[tuple[float, float]]]
    width: float
    height: float


def lay_out(graph: Graph, heights: Mapping[str, float]) -> Layout:
    """Place nodes of the given heights; the edges of the graph must not make a circle.

    Examples
    --------
    >>> from pipelines.lineage_graph.graph import Edge, Node
    >>> two = Graph("a", (Node("a", "data", "A"), Node("b", "run", "B")), (Edge("a", "b"),))
    >>> layout = lay_out(two, {"a": 40, "b": 40})
    >>> layout.boxes["b"][0] > layout.boxes["a"][0]
    True
    """
    column = _columns(graph)
    chains = [_chain(number, edge.source, edge.target, column) for number, edge in enumerate(graph.edges)]
    columns: list[list[str]] = [[] for _ in range(max(column.values(), default=0) + 1)]
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for node in graph.nodes:
        columns[column[node.id]].append(node.id)
    for edge, chain in zip(graph.edges, chains, strict=True):
        for offset, bend in enumerate(chain[1:-1], start=1):
            columns[column[edge.source] + offset].append(bend)
        for left, right in pairwise(chain):
            after.setdefault(left, []).append(right)
            before.setdefault(right, []).append(left)
    for _ in range(_SWEEPS):
        _sort(columns, before)
        _sort(columns[::-1], after)
    size = {**{bend: _BEND for chain in chains for bend in chain[1:-1]}, **heights}
    y = _heights(columns, before, after, size)
    boxes = {
        node.id: (column[node.id] * (WIDTH + BETWEEN), y[node.id], WIDTH, size[node.id]) for node in graph.nodes
    }
    paths = [_path(chain, boxes, column[edge.source], y) for edge, chain in zip(graph.edges, chains, strict=True)]
    width = len(columns) * (WIDTH + BETWEEN) - BETWEEN
    return Layout(boxes, paths, width, max((top + tall for _, top, _, tall in boxes.values()), default=0.0))


def _columns(graph: Graph) -> dict[str, int]:
    """The longest way to each node; then what has room moves right, next to what it leads to."""
    sources: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    targets: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        sources[edge.target].append(edge.source)
        targets[edge.source].append(edge.target)
    order: list[str] = []
    waiting = {node: len(found) for node, found in sources.items()}
    ready = [node for node, number in waiting.items() if number == 0]
    while ready:
        node = ready.pop(0)
        order.append(node)
        for target in targets[node]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    if len(order) != len(graph.nodes):
        raise ValueError("expected a graph without circles")
    column: dict[str, int] = {}
    for node in order:
        column[node] = max((column[source] + 1 for source in sources[node]), default=0)
    for node in reversed(order):
        if targets[node] and not sources[node]:
            column[node] = min(column[target] for target in targets[node]) - 1
    return column


def _chain(number: int, source: str, target: str, column: Mapping[str, int]) -> list[str]:
    between = range(column[source] + 1, column[target])
    return [source, *(f"bend {number} {place}" for place in between), target]


def _sort(columns: list[list[str]], neighbours: Mapping[str, list[str]]) -> None:
    """Order each column by the medians of its neighbours in the one that was ordered before it."""
    for fixed, moving in pairwise(columns):
        place = {node: index for index, node in enumerate(fixed)}
        wanted = {}
        for index, node in enumerate(moving):
            beside = [place[other] for other in neighbours.get(node, ()) if other in place]
            wanted[node] = median(beside) if beside else index
        moving.sort(key=lambda node: wanted[node])


def _heights(
    columns: Sequence[Sequence[str]],
    before: Mapping[str, list[str]],
    after: Mapping[str, list[str]],
    size: Mapping[str, float],
) -> dict[str, float]:
    """The upper edge of each: as near to the middle of its neighbours as the order in its column leaves room."""
    y: dict[str, float] = {}
    for nodes in columns:
        top = 0.0
        for node in nodes:
            y[node] = top
            top += size[node] + GAP
    middle = {node: y[node] + size[node] / 2 for node in y}
    for sweep in range(2 * _SWEEPS):
        for nodes in columns if sweep % 2 == 0 else reversed(columns):
            wanted = []
            for node in nodes:
                beside = [*before.get(node, ()), *after.get(node, ())]
                wanted.append(mean(middle[other] for other in beside) if beside else middle[node])
            for node, centre in zip(nodes, _spread(nodes, wanted, size), strict=True):
                middle[node] = centre
    top = min((middle[node] - size[node] / 2 for node in middle), default=0.0)
    return {node: centre - size[node] / 2 - top for node, centre in middle.items()}


def _spread(nodes: Sequence[str], wanted: Sequence[float], size: Mapping[str, float]) -> list[float]:
    """Centres as near to the wanted ones as can be, in order and apart: pools of adjacent nodes that collide."""
    offsets, total = [], 0.0
    for index, node in enumerate(nodes):
        if index:
            total += (size[nodes[index - 1]] + size[node]) / 2 + GAP
        offsets.append(total)
    pools: list[tuple[float, int]] = []  # (mean of wanted - offset, how many): isotonic regression
    for want, offset in zip(wanted, offsets, strict=True):
        value, number = want - offset, 1
        while pools and pools[-1][0] > value:
            other, many = pools.pop()
            value, number = (value * number + other * many) / (number + many), number + many
        pools.append((value, number))
    flat = [value for value, number in pools for _ in range(number)]
    return [value + offset for value, offset in zip(flat, offsets, strict=True)]


def _path(
    chain: Sequence[str],
    boxes: Mapping[str, tuple[float, float, float, float]],
    first: int,
    y: Mapping[str, float],
) -> list[tuple[float, float]]:
    x, top, width, tall = boxes[chain[0]]
    points = [(x + width, top + tall / 2)]
    for offset, bend in enumerate(chain[1:-1], start=1):
        left = (first + offset) * (WIDTH + BETWEEN)
        points += [(left, y[bend] + _BEND / 2), (left + WIDTH, y[bend] + _BEND / 2)]
    x, top, _, tall = boxes[chain[-1]]
    return [*points, (x, top + tall / 2)]
