"""The mail about a drift report: verdict in the subject, summary in the body, Evidently's page zipped behind it.

No camera picture ever goes into a mail; the one plot shows distributions of numbers.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.drift.decision import Decision
from pipelines.drift.performance import Performance
from pipelines.drift.report import ColumnDrift, DriftReport, Span
from pipelines.drift.spans import Spans

__all__ = ["compose", "plot"]

_ROWS = 20
_RED, _GREY, _GREEN = "#b3261e", "#5f6368", "#1e7b34"
_MEANING = {"data": "pictures", "prediction": "counts", "confidence": "confidence"}


def compose(
    report: DriftReport,
    decision: Decision,
    *,
    model: str,
    sender: str,
    recipients: Sequence[str],
    performance: Performance | None = None,
    plot_png: bytes | None = None,
    attachment: Path | None = None,
    run_url: str = "",
) -> EmailMessage:
    """Build the mail.

    Parameters
    ----------
    model : str
        Name of the watched model, for the subject.
    plot_png : bytes, optional
        From `plot`.
    attachment : Path, optional
        The HTML report (about 4 MB); it is zipped.
    run_url : str
        Where the report lies in MLflow, as a URL or a run id.
    """
    mail = EmailMessage()
    mail["Subject"] = _subject(report, decision, model)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = make_msgid(domain="drift.invalid")
    mail.set_content(_text(report, decision, performance, run_url))
    picture = make_msgid(domain="drift.invalid")
    mail.add_alternative(
        _html(report, decision, model, performance, run_url, picture if plot_png else None), subtype="html"
    )
    if plot_png:
        body = mail.get_payload()[1]  # type: ignore[index]
        body.add_related(plot_png, "image", "png", cid=picture, filename="distributions.png")  # type: ignore[union-attr]
    if attachment is not None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(attachment, attachment.name)
        mail.add_attachment(packed.getvalue(), "application", "zip", filename=f"{attachment.stem}.zip")
    return mail


def plot(report: DriftReport, reference: pd.DataFrame, current: pd.DataFrame) -> bytes | None:
    """Distributions of the three worst columns, reference against now, as PNG; None where nothing drifted."""
    worst = [column for column in report.drifted if column.status == "tested"][:3]
    if not worst:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    both = Spans(reference, current)
    figure = Figure(figsize=(3.2 * len(worst), 2.3), dpi=110, layout="constrained")
    for index, column in enumerate(worst):
        axes = figure.add_subplot(1, len(worst), index + 1)
        pair = both.pair(column.camera, column.column)
        spans = [_of(frame, column.column) for frame in (pair.reference, pair.current) if frame is not None]
        low, high = (
            float(f(values)) for f, values in ((np.min, np.concatenate(spans)), (np.max, np.concatenate(spans)))
        )
        bins = np.linspace(low, high if high > low else low + 1, 31)
        for values, colour, label in zip(spans, ("#9aa0a6", _RED), ("reference", "now"), strict=True):
            axes.hist(values, bins, density=True, color=colour, alpha=0.6, label=label)
        axes.set_title(f"{column.camera}: {column.column}", fontsize=9)
        axes.set_yticks([])
        axes.tick_params(labelsize=7)
        axes.spines[["top", "left", "right"]].set_visible(False)
        if index == 0:
            axes.legend(fontsize=7, frameon=False)
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    return picture.getvalue()


def _of(frame: pd.DataFrame, column: str) -> np.ndarray:
    return pd.to_numeric(frame[column], errors="coerce").dropna().to_numpy(np.float64)


def _subject(report: DriftReport, decision: Decision, model: str) -> str:
    if report.verdict == "drift":
        cameras = ", ".join(report.cameras[:3]) + (
            f" and {len(report.cameras) - 3} more" if len(report.cameras) > 3 else ""
        )
        verdict = f"drift on {cameras}"
    else:
        verdict = {"no drift": "no drift", "insufficient": "too little data to judge"}[report.verdict]
    subject = f"[{model}] {verdict}" + (", retrain" if decision.retrain else "")
    # A camera's name comes from a request, and a line break in a header would be a second header.
    return " ".join(subject.split())


def _when(span: Span) -> str:
    if span.start is None or span.end is None:
        return "no rows"
    return f"{span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M} UTC, {span.rows:,} predictions"


def _headline(report: DriftReport) -> str:
    if report.verdict == "insufficient":
        return "Too little data to judge."
    if report.verdict == "no drift":
        return f"No drift in {len(report.judged)} judged columns."
    cameras = "1 camera" if len(report.cameras) == 1 else f"{len(report.cameras)} cameras"
    return f"{len(report.drifted)} of {len(report.judged)} judged columns drifted, on {cameras}."


def _unjudged(report: DriftReport) -> list[str]:
    """One line per reason, not one per column: a new camera would fill the mail."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for column in report.columns:
        if column.status == "insufficient":
            by_reason.setdefault((column.camera, column.reason), []).append(column.column)
    of_camera = Counter(column.camera for column in report.columns)
    return [
        f"{camera or 'no camera named'}: "
        + (reason if len(names) == of_camera[camera] else f"{', '.join(names)}: {reason}")
        for (camera, reason), names in by_reason.items()
    ]


def _numbers(column: ColumnDrift) -> tuple[str, str, str, str]:
    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.3g}"

    return (
        shown(column.reference_mean),
        shown(column.current_mean),
        shown(column.score),
        shown(column.threshold),
    )


def _text(report: DriftReport, decision: Decision, performance: Performance | None, run_url: str) -> str:
    lines = [_headline(report), "", decision.sentence, ""]
    if performance:
        lines += [f"Labels: {performance.reason}.", ""]
    lines += [f"Reference: {_when(report.reference)}", f"Now:       {_when(report.current)}", ""]
    if report.drifted:
        lines.append(f"{'camera':<16} {'column':<18} {'reference':>10} {'now':>10} {'score':>8} {'limit':>8}")
        for column in report.drifted[:_ROWS]:
            before, now, score, limit = _numbers(column)
            lines.append(f"{column.camera:<16} {column.column:<18} {before:>10} {now:>10} {score:>8} {limit:>8}")
        if len(report.drifted) > _ROWS:
            lines.append(f"and {len(report.drifted) - _ROWS} more in the report")
        lines.append("")
    if unjudged := _unjudged(report):
        lines += ["Not judged:", *(f"- {line}" for line in unjudged[:_ROWS]), ""]
    lines += [_footnote(report), f"Report in MLflow: {run_url}" if run_url else ""]
    return "\n".join(lines) + "\n"


def _footnote(report: DriftReport) -> str:
    return (
        "Score: distance of the two spans in standard deviations of the reference. Limit: what chance alone "
        "reaches, learnt from windows of the reference; in all there is a "
        f"{report.false_alarms:.0%} chance of any false alarm in this mail."
    )


def _html(
    report: DriftReport,
    decision: Decision,
    model: str,
    performance: Performance | None,
    run_url: str,
    picture: str | None,
) -> str:
    colour = {"drift": _RED, "no drift": _GREEN, "insufficient": _GREY}[report.verdict]
    parts = [
        '<div style="font:14px/1.5 Segoe UI,Helvetica,Arial,sans-serif;color:#202124;max-width:760px">',
        f'<p style="margin:0;color:{_GREY}">{escape(model)}</p>',
        f'<h2 style="margin:0 0 8px;font-size:20px;color:{colour}">{escape(_headline(report))}</h2>',
        f'<p style="margin:0 0 12px;padding:8px 12px;background:#f1f3f4;border-left:4px solid '
        f'{_RED if decision.retrain else _GREY}">{escape(decision.sentence)}</p>',
    ]
    if performance:
        parts.append(f"<p>Labels: {escape(performance.reason)}.</p>")
    if report.drifted:
        parts += _table(report.drifted)
    if picture:
        parts.append(
            f'<p><img src="cid:{picture[1:-1]}" alt="Distributions of the worst columns" width="720"></p>'
        )
    if unjudged := _unjudged(report):
        parts.append("<p><b>Not judged</b></p><ul>")
        parts += [f"<li>{escape(line)}</li>" for line in unjudged[:_ROWS]]
        parts.append("</ul>")
    parts += [
        f'<p style="color:{_GREY};font-size:12px">Reference: {escape(_when(report.reference))}<br>'
        f"Now: {escape(_when(report.current))}<br>{escape(_footnote(report))}",
        f"<br>Report in MLflow: {escape(run_url)}" if run_url else "",
        "</p></div>",
    ]
    return "\n".join(parts)


def _table(drifted: Sequence[ColumnDrift]) -> list[str]:
    cell = 'style="padding:4px 10px;border-bottom:1px solid #dadce0;text-align:{}"'
    left, right = cell.format("left"), cell.format("right")
    heads = ("camera", "column", "what", "reference", "now", "score", "limit", "score / limit")
    rows = ['<table style="border-collapse:collapse;font-size:13px">', "<tr>"]
    rows += [f"<th {left if index < 3 else right}>{head}</th>" for index, head in enumerate(heads)]
    rows.append("</tr>")
    longest = max(column.severity for column in drifted)
    for column in drifted[:_ROWS]:
        before, now, score, limit = _numbers(column)
        width = max(2, round(90 * column.severity / longest)) if longest else 2
        bar = f'<div style="background:{_RED};height:10px;width:{width}px"></div>'
        texts = (column.camera, column.column, _MEANING[column.kind])
        rows.append(
            "<tr>"
            + "".join(f"<td {left}>{escape(text)}</td>" for text in texts)
            + "".join(f"<td {right}>{escape(text)}</td>" for text in (before, now, score, limit))
            + f"<td {left}>{bar}</td></tr>"
        )
    rows.append("</table>")
    if len(drifted) > _ROWS:
        rows.append(f"<p>and {len(drifted) - _ROWS} more in the report</p>")
    return rows
