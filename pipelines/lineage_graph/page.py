"""The graph as one HTML file that needs nothing else: an SVG, and below it every digest and id in a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pipelines.lineage_graph.graph import Graph, Node
from pipelines.lineage_graph.layout import Layout, lay_out

__all__ = ["page"]

_LINE, _PADDING = 16.0, 10.0
# What fits into a box of this width: bold letters are wider.
_TITLE_LETTERS, _LETTERS = 26, 31
# A picture wider than this is shown small as well, as a whole.
_SCREEN = 1400.0
_AROUND = 6

_STYLE = """
:root{--ink:#111827;--faint:#6b7280;--paper:#ffffff;--line:#9ca3af;--rule:#e5e7eb;--link:#1d4ed8}
body{font:14px/1.45 system-ui,sans-serif;margin:24px;color:var(--ink);background:var(--paper)}
h1{font-size:20px;margin:0 0 4px}p{margin:0 0 12px;color:var(--faint)}a{color:var(--link)}
.scroll{overflow:auto;border:1px solid var(--rule);border-radius:8px;padding:16px}
svg{display:block}svg.whole{width:100%;height:auto;max-height:70vh;margin-bottom:4px}
svg text{font:12px system-ui,sans-serif;fill:#111827}svg text.title{font-weight:600}
svg text.label{fill:var(--faint);font-size:11px;text-anchor:middle}
svg text.label{paint-order:stroke;stroke:var(--paper);stroke-width:4px}
path.edge{fill:none;stroke:var(--line);stroke-width:1.5}marker path{fill:var(--line)}
rect{stroke-width:1.2}.start rect{stroke-width:3.5}a:focus rect{stroke-width:3.5}
.data rect{fill:#dbeafe;stroke:#3b82f6}.run rect{fill:#f3f4f6;stroke:#6b7280}
.model rect{fill:#ede9fe;stroke:#8b5cf6}
.version rect{fill:#dcfce7;stroke:#16a34a}.approval rect{fill:#fef9c3;stroke:#ca8a04}
.serving rect{fill:#ccfbf1;stroke:#0d9488}.log rect{fill:#ffe4e6;stroke:#e11d48}
.drift rect{fill:#ffedd5;stroke:#ea580c}
.more rect{fill:#ffffff;stroke:#9ca3af;stroke-dasharray:4 3}
table{border-collapse:collapse;margin-top:20px;width:100%}
td,th{border-bottom:1px solid var(--rule);padding:6px 10px;text-align:left;vertical-align:top}
td{overflow-wrap:anywhere}tr:target{background:#fef9c3}dl{margin:0}
dt{color:var(--faint);float:left;clear:left;margin-right:6px}dd{margin:0}
@media (prefers-color-scheme:dark){
:root{--ink:#e5e7eb;--faint:#9ca3af;--paper:#111827;--line:#6b7280;--rule:#374151;--link:#93c5fd}
tr:target{background:#422006}}
"""


def page(graph: Graph, title: str, made: str) -> str:
    """The page. No script, nothing fetched; whatever names and comments hold is text.

    Parameters
    ----------
    title : str
    made : str
        When and of what it was made; stands below the title.
    """
    layout = lay_out(graph, {node.id: _height(node) for node in graph.nodes})
    numbers = {node.id: number for number, node in enumerate(graph.nodes)}
    cut = "<p>There is more than was drawn: raise --nodes, or start nearer to it.</p>" if graph.cut else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(made)}</p>{cut}"
        f'{_overview(layout)}<div class="scroll">{_svg(graph, layout, numbers)}</div>'
        f"{_table(graph, numbers)}</body></html>\n"
    )


def _overview(layout: Layout) -> str:
    """The same picture at the page's width, where the real one has to be scrolled."""
    if layout.width <= _SCREEN:
        return ""
    return (
        f'<svg class="whole" viewBox="{_view(layout)}" aria-hidden="true"><use href="#picture"/></svg>'
        "<p>The whole; below it at its size, to be scrolled.</p>"
    )


def _view(layout: Layout) -> str:
    width, height = layout.width + 2 * _AROUND, layout.height + 2 * _AROUND
    return f"{-_AROUND} {-_AROUND} {width:.0f} {height:.0f}"


def _svg(graph: Graph, layout: Layout, numbers: dict[str, int]) -> str:
    *_, width, height = _view(layout).split()
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" '
        f'aria-label="lineage graph" viewBox="{_view(layout)}"><defs>'
        '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker></defs><g id="picture">'
    ]
    parts += [f'<path class="edge" marker-end="url(#tip)" d="{_curve(points)}"/>' for points in layout.paths]
    parts += [_box(node, layout, numbers[node.id], start=node.id == graph.start) for node in graph.nodes]
    for edge, points in zip(graph.edges, layout.paths, strict=True):
        if edge.label:
            # In the gap before its target, where edges that begin together are apart.
            (x1, y1), (x2, y2) = points[-2:]
            x, y = (x1 + x2) / 2, (y1 + y2) / 2 - 4
            parts.append(f'<text class="label" x="{x:.1f}" y="{y:.1f}">{escape(edge.label)}</text>')
    return "".join(parts) + "</g></svg>"


def _curve(points: Sequence[tuple[float, float]]) -> str:
    (x, y), *rest = points
    text = f"M{x:.1f} {y:.1f}"
    for to_x, to_y in rest:
        half = (x + to_x) / 2
        text += f"C{half:.1f} {y:.1f} {half:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        x, y = to_x, to_y
    return text


def _box(node: Node, layout: Layout, number: int, *, start: bool) -> str:
    x, y, width, height = layout.boxes[node.id]
    lines = []
    for place, line in enumerate((node.title, *node.lines)):
        style, most = (' class="title"', _TITLE_LETTERS) if place == 0 else ("", _LETTERS)
        top = y + _PADDING + 11 + place * _LINE
        lines.append(f'<text{style} x="{x + _PADDING}" y="{top:.1f}">{escape(_short(line, most))}</text>')
    whole = "\n".join((node.title, *node.lines))
    outside = ' target="_blank" rel="noopener noreferrer"' if node.url else ""
    return (
        f'<a href="{escape(node.url or f"#node-{number}")}"{outside}>'
        f'<g class="{node.kind}{" start" if start else ""}"><title>{escape(whole)}</title>'
        f'<rect x="{x}" y="{y:.1f}" width="{width}" height="{height}" rx="7"/>{"".join(lines)}</g></a>'
    )


def _table(graph: Graph, numbers: dict[str, int]) -> str:
    rows = []
    for node in graph.nodes:
        facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in node.facts.items())
        title = escape(node.title)
        if node.url:
            title = f'<a href="{escape(node.url)}" target="_blank" rel="noopener noreferrer">{title}</a>'
        lines = "<br>".join(map(escape, node.lines))
        rows.append(
            f'<tr id="node-{numbers[node.id]}"><td>{node.kind}</td><td>{title}<br>{lines}</td>'
            f"<td><dl>{facts}</dl></td></tr>"
        )
    return f"<table><tr><th>kind</th><th>what</th><th>detail</th></tr>{''.join(rows)}</table>"


def _height(node: Node) -> float:
    return 2 * _PADDING + _LINE * (1 + len(node.lines)) - 2


def _short(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
