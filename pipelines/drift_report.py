"""The drift step: reads the prediction log, judges it, logs and mails the report, and says whether to retrain.

    python -m pipelines.drift_report --log predictions --reference workspace/prepared/reference_profile.parquet
    python -m pipelines.drift_report --log s3://bucket/predictions --reference_from 2026-11-01 \\
        --reference_to 2026-11-15 --every 3600 --mail_to ops@example.org --smtp smtp://mail:25
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import mlflow
import pandas as pd

from pipelines.drift.decision import Decision, decide
from pipelines.drift.html import write_evidently
from pipelines.drift.mail import Delivery, MailboxFolder, Notifier, SmtpServer, Spooled
from pipelines.drift.message import compose, plot
from pipelines.drift.performance import Performance, measure, read_labels
from pipelines.drift.record import evaluated_mae, last_decision, last_training, record, versions_in
from pipelines.drift.report import DriftReport, compare
from pipelines.drift.settings import DriftSettings
from pipelines.drift.spans import of_newest_model
from pipelines.settings import explained
from pipelines.step_record import record_step

__all__ = ["DriftResult", "DriftSettings", "main", "run"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DriftResult:
    """What one pass found and did."""

    report: DriftReport
    decision: Decision
    run_id: str
    performance: Performance | None = None
    delivery: Delivery | None = None
    evidently: dict[str, float] = field(default_factory=dict)


def run(settings: DriftSettings) -> DriftResult:
    """One pass: compare, decide, log an MLflow run, mail.

    Raises
    ------
    camera_counting.errors.PredictionLogError
        Where the log cannot be read.
    MailError
        Where neither the server nor the folder takes the mail; the report is logged by then.
    """
    now = datetime.now(UTC)
    reference, current = _spans(settings, now)
    report = compare(reference, current, false_alarms=settings.false_alarms, cameras=settings.cameras)
    performance = _performance(settings, current)
    with mlflow.start_run(run_name="drift-report", nested=mlflow.active_run() is not None) as active:
        # Addresses of people, and of a server that may hold a name, stay out of the record.
        files = {"reference": settings.reference, "labels": settings.labels}
        record_step("drift", settings, files=files, secret=("mail_to", "mail_from", "smtp"))
        decision = decide(
            report,
            settings.retrain,
            now=now,
            last_training=last_training(settings.name),
            last_decision=last_decision(settings.name, active.info.experiment_id),
            performance=performance,
        )
        with tempfile.TemporaryDirectory(prefix="drift-") as folder:
            page = Path(folder) / "drift-report.html"
            evidently = write_evidently(report, reference, current, page, Path(folder) / "evidently.json")
            picture = plot(report, reference, current)
            record(settings, report, decision, performance, Path(folder), versions_in(current))
            result = DriftResult(report, decision, active.info.run_id, performance, None, evidently)
            delivery = _mail(settings, result, picture, page if page.exists() else None)
        if delivery is not None:
            mlflow.set_tag("drift.mail", delivery.problem or delivery.where)
    return DriftResult(report, decision, result.run_id, performance, delivery, evidently)


def _spans(settings: DriftSettings, now: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    from camera_counting.prediction_log import read_predictions

    end = settings.current_to or now
    start = settings.current_from or end - timedelta(hours=settings.window_hours)
    current = read_predictions(settings.log, since=start, until=end, cameras=settings.cameras)
    if settings.reference is not None:
        reference = pd.read_parquet(settings.reference)
    else:
        until = settings.reference_to or start
        reference = read_predictions(
            settings.log, since=settings.reference_from, until=until, cameras=settings.cameras
        )
    return _of_model(reference, settings.model_name), _of_model(current, settings.model_name)


def _of_model(frame: pd.DataFrame, name: str | None) -> pd.DataFrame:
    """Only what one model predicted; clips of a camera apart from its single pictures.

    A clip's counts are of another size than a picture's, and a mixture of both in other parts is no drift. A
    reference made of pictures rather than of predictions has neither column.
    """
    if name is not None and "model_name" in frame:
        frame = frame[frame["model_name"] == name]
    if "kind" in frame and (clips := frame["kind"] == "video").any():
        frame = frame.assign(
            camera_id=frame["camera_id"].astype(str).where(~clips, frame["camera_id"] + " (clips)")
        )
    return frame


def _performance(settings: DriftSettings, current: pd.DataFrame) -> Performance | None:
    if settings.labels is None:
        return None
    labels = read_labels(settings.labels)
    expected = settings.expected_mae
    if expected is None:
        expected = evaluated_mae(settings.name, [str(column) for column in labels if column != "id"])
    return measure(of_newest_model(current), labels, expected=expected, margin=settings.mae_margin)


def _mail(
    settings: DriftSettings, result: DriftResult, picture: bytes | None, page: Path | None
) -> Delivery | None:
    quiet = settings.mail_when == "drift" and result.report.verdict != "drift" and not result.decision.retrain
    if not settings.mail_to or quiet:
        return None
    mail = compose(
        result.report,
        result.decision,
        model=settings.name,
        sender=settings.mail_from,
        recipients=settings.mail_to,
        performance=result.performance,
        plot_png=picture,
        attachment=page,
        run_url=f"run {result.run_id}",
    )
    delivery = _notifier(settings).deliver(mail)
    if delivery.problem:
        _log.error("drift mail: %s", delivery.problem)
    return delivery


def _notifier(settings: DriftSettings) -> Notifier:
    box = settings.mailbox
    if settings.smtp is None:
        return MailboxFolder(box)
    # Folders of their own: whatever lies in a spool is sent, and the mailbox may hold years of delivered mails.
    spool, refused = (MailboxFolder(box.with_name(f"{box.name}.{what}")) for what in ("spool", "refused"))
    return Spooled(SmtpServer(settings.smtp, os.environ.get("DRIFT_SMTP_PASSWORD")), spool, refused)


def _echo(result: DriftResult) -> None:
    click.echo(f"{result.report.verdict}; {result.decision.sentence}")
    for column in result.report.drifted:
        click.echo(
            f"  {column.camera} {column.column}: {column.severity:.1f} times its limit {column.reason}".rstrip()
        )
    click.echo(f"run {result.run_id}")
    if result.delivery:
        click.echo(f"mail: {result.delivery.problem or result.delivery.where}", err=bool(result.delivery.problem))


def _forever(settings: DriftSettings, seconds: float) -> None:
    """One pass after the other; a pass that fails is told of, and the next one comes all the same."""
    due = time.monotonic()
    while True:
        try:
            _echo(run(settings))
        except Exception:  # noqa: BLE001 the schedule outlives a log that is away for an hour
            _log.exception("the drift pass failed; the next one starts in %g seconds", seconds)
        due = max(due + seconds, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


@explained
def main() -> None:
    """Exit code 0 whatever was found; 1 where the report could not be made, or its mail could not be sent."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = DriftSettings.from_command_line()
    if settings.every is not None:
        _forever(settings, settings.every)
    result = run(settings)
    _echo(result)
    if result.delivery and result.delivery.problem:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
