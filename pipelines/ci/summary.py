"""The evidence summary that stands on a pull request: verdict, gates, figures beside the last run's, record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from model_governance import Verdict
from model_governance.markdown_text import as_text
from pipelines.ci.changes import LastRun
from pipelines.model_card import ModelCardResult
from pipelines.register import RegisterResult

__all__ = ["MARKER", "stopped_summary", "summary_of"]

MARKER = "<!-- model-ci -->"
"""First line of every summary: by it the workflow finds the comment that it wrote before."""

_OF_THE_TRAINING = ("train/", "val/", "system/", "lr", "seconds")
_MOST_ROWS = 60
_MOST_CHARACTERS = 60_000  # a comment on a pull request holds 65,536


def summary_of(
    registered: RegisterResult,
    figures: Mapping[str, float],
    card: ModelCardResult | None,
    record: Mapping[str, str],
    changed: Sequence[str],
    last: LastRun | None,
) -> str:
    """Markdown of a run that came to a verdict.

    Parameters
    ----------
    figures : mapping
        Every metric of the evidence.
    record : mapping
        Names and digests that tell which model this was.
    """
    verdict = registered.verdict
    failed, total = len(verdict.failures), len(verdict.rows)
    state = f"passed all {total} gates" if verdict.passed else f"**failed {failed} of {total} gates**"
    lines = [
        MARKER,
        f"## Model CI: {as_text(registered.name, 160)} {as_text(registered.semantic_version, 40)} {state}",
        "",
        f"Changed since the last run: {', '.join(changed) or 'nothing'}.",
        "",
        *_table(("", "gate", "expected", "got", "why"), _gates(verdict)),
        "",
        "### Figures",
        "",
        *_table(("metric", "now", "last run"), _figures(figures, verdict, last)),
        "",
        "### Record",
        "",
        *(f"- {name}: {_code(value)}" for name, value in record.items()),
        f"- Model card: {_card(card)}",
    ]
    return _limited("\n".join(lines) + "\n")


def _card(card: ModelCardResult | None) -> str:
    if card is None:
        return "not written"
    missing = as_text(", ".join(card.card.missing), 1000)
    return f"not recorded: {missing}" if missing else "complete"


def stopped_summary(step: str, reason: str) -> str:
    """Markdown of a run that came to no verdict."""
    return _limited(f"{MARKER}\n## Model CI: **stopped in {as_text(step, 160)}**\n\n{as_text(reason, 2000)}\n")


def _gates(verdict: Verdict) -> list[tuple[str, ...]]:
    rows = sorted(verdict.rows, key=lambda row: row.passed)
    return [
        ("passed" if row.passed else "**failed**", row.gate, row.expected, row.got, row.reason) for row in rows
    ]


def _figures(figures: Mapping[str, float], verdict: Verdict, last: LastRun | None) -> list[tuple[str, ...]]:
    """Those that a gate reads come first, the details of parts of the data last."""
    gated = {row.gate for row in verdict.rows}
    measured = [name for name in figures if not name.startswith(_OF_THE_TRAINING)]
    names = sorted(measured, key=lambda name: (name not in gated, name.count("/") > 1, name))
    before = last.figures if last else {}
    return [(name, f"{figures[name]:.4g}", f"{before[name]:.4g}" if name in before else "–") for name in names]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(as_text(cell, 160) for cell in row) + " |" for row in rows[:_MOST_ROWS]]
    if len(rows) > _MOST_ROWS:
        lines += ["", f"({len(rows) - _MOST_ROWS} more in the run)"]
    return lines


def _code(text: str) -> str:
    """Text between backticks, which nothing in it can end."""
    flat = " ".join(text.split())[:160].replace("`", "'")
    return f"`{flat or 'not recorded'}`"


def _limited(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 2] + "…\n"
