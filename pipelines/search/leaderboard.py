"""The leaderboard of a choice: a table as data, Markdown and a page of its own, and the candidates in a plane."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from model_governance import Ranked
from pipelines.search.candidates import Candidate
from pipelines.search.front import Point, plot_front

__all__ = ["FIGURES", "as_markdown", "as_page", "leaderboard_table", "plot_candidates"]

# Beside the figures that the rule reads, what people ask for first.
FIGURES = (
    "count/mae", "count/nae", "count/mae_by_class", "line/error", "detection/map50", "latency/p50_ms",
    "latency/p95_ms", "size_mb",
)  # fmt: skip
_ERROR, _LATENCY = "count/mae", "latency/p50_ms"


def leaderboard_table(candidates: Sequence[Candidate], ranking: Sequence[Ranked]) -> pd.DataFrame:
    """One row per candidate, the preferred one first; those that could not be measured last, with the reason."""
    by_uri = {candidate.model_uri: candidate for candidate in candidates}
    columns = list(dict.fromkeys([*(name for each in ranking for name in each.metrics), *FIGURES]))
    rows = []
    for each in ranking:
        candidate = by_uri[each.name]
        rows.append(
            {
                "place": each.place,
                "name": candidate.label,
                "network": " ".join(candidate.params.get(name, "") for name in ("trainer", "model")).strip(),
                "input": candidate.params.get("input_shape", ""),
                "why": each.why if not candidate.trouble else f"not measured: {candidate.trouble}",
                **{name: candidate.metrics.get(name) for name in columns},
                "eligible": each.eligible,
                "model_uri": each.name,
                "evaluation_run_id": candidate.evaluation_run_id,
            }
        )
    return pd.DataFrame(rows)


def plot_candidates(candidates: Sequence[Candidate], chosen: str) -> Figure:
    """Count error against latency on the test split, the chosen one ringed."""
    points = [
        Point(each.metrics[_LATENCY], each.metrics[_ERROR], _network(each), _short(each, candidates))
        for each in candidates
        if _LATENCY in each.metrics and _ERROR in each.metrics
    ]
    [ringed] = [_short(each, candidates) for each in candidates if each.model_uri == chosen]
    return plot_front(points, error="count/mae on the test split", chosen=ringed)


def as_markdown(table: pd.DataFrame, title: str) -> str:
    """The table in GitHub's Markdown."""
    lines = [f"# {title}", "", "| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    for row in table.itertuples(index=False):
        lines.append("| " + " | ".join(_cell(value).replace("|", "\\|") for value in row) + " |")
    return "\n".join(lines) + "\n"


def as_page(table: pd.DataFrame, title: str, explanation: str, figure: Figure) -> str:
    """A page that needs nothing else: no script, no file beside it."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    encoded = base64.b64encode(picture.getvalue()).decode("ascii")
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in table.itertuples(index=False)
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{html.escape(title)}</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;max-width:110rem;color:#222}"
        ".wide{overflow-x:auto}table{border-collapse:collapse}"
        "th,td{padding:.3rem .7rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}"
        "td{font-variant-numeric:tabular-nums}tbody tr:first-child{background:#eef7ee;font-weight:600}"
        "img{max-width:100%;height:auto}</style></head><body>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(explanation)}</p>"
        f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"<p><img alt='count error against latency' src='data:image/png;base64,{encoded}'></p></body></html>"
    )


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())


def _network(candidate: Candidate) -> str:
    return f"{candidate.params.get('trainer', '')} {candidate.params.get('model', '')}".strip() or "given"


def _short(candidate: Candidate, candidates: Sequence[Candidate]) -> str:
    """Its run's name; where others are called the same, with the beginning of its id."""
    same = sum(each.label == candidate.label for each in candidates)
    return candidate.label if same == 1 else f"{candidate.label} {candidate.model_uri.rpartition('/')[2][:8]}"
