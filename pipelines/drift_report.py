"""The drift step: reads the prediction log, judges it, logs and mails the report, and says whether to retrain.

    python -m pipelines.drift_report --log predictions --reference workspace/prepared/reference_profile.parquet
    python -m pipelines.drift_report --log s3://bucket/predictions --reference_from 2026-11-01 \\
        --reference_to 2026-11-15 --every 3600 --mail_to ops@example.org --smtp smtp://mail:25
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import click
import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import AwareDatetime, Field, model_validator

from pipelines.drift.decision import Decision, RetrainRules, decide
from pipelines.drift.html import write_evidently
from pipelines.drift.mail import Delivery, MailboxFolder, Notifier, SmtpServer, Spooled
from pipelines.drift.message import compose, plot
from pipelines.drift.performance import Performance, measure, read_labels
from pipelines.drift.report import DriftReport, compare
from pipelines.settings import StepSettings, explained

__all__ = ["DriftResult", "DriftSettings", "main", "run"]

_log = logging.getLogger(__name__)


class DriftSettings(StepSettings):
    """Which spans of which log to compare, whom to tell, and when to retrain. Times without a zone are UTC."""

    log: str = Field(description="Prediction log: a folder or s3://...")
    name: str = Field("camera-counter", description="Registered model that the log is about.")
    model_name: str | None = Field(None, description="Only predictions with this model_name; all by default.")
    cameras: list[str] | None = Field(None, description="Cameras to judge; all by default.")
    reference: Path | None = Field(None, description="Reference as Parquet, such as a reference_profile.parquet.")
    reference_from: AwareDatetime | None = Field(None, description="Start of the reference in the log.")
    reference_to: AwareDatetime | None = Field(None, description="End of the reference in the log.")
    current_from: AwareDatetime | None = Field(None, description="Start of the span to judge.")
    current_to: AwareDatetime | None = Field(None, description="End of the span to judge; now by default.")
    window_hours: float = Field(24.0, gt=0, description="Length of the span to judge, where it has no start.")
    false_alarms: float = Field(
        0.05, gt=0, lt=0.5, description="Chance of any false alarm in one report, over all cameras and columns."
    )
    labels: Path | None = Field(None, description="True counts (CSV or Parquet): id with total or count_<class>.")
    expected_mae: float | None = Field(
        None,
        ge=0,
        description="Count error per picture to hold labels against; the champion's count/mae by default.",
    )
    mae_margin: float = Field(0.2, ge=0, description="How much worse is fine, as a share of the expected error.")
    retrain: RetrainRules = Field(default=RetrainRules(), description="When to retrain.")
    mail_to: list[str] = Field(default=[], description="Recipients; without any, no mail is made.")
    mail_from: str = Field("drift@localhost", description="Sender.")
    mail_when: str = Field(
        "always", pattern="^(always|drift)$", description="always, or only on drift or retraining."
    )
    smtp: str | None = Field(
        None, description="smtp://[user@]host[:port] or smtps://...; password in DRIFT_SMTP_PASSWORD."
    )
    mailbox: Path = Field(
        Path("mailbox"), description="Maildir folder: without smtp for all mails, else as spool."
    )
    every: float | None = Field(None, gt=0, description="Run again and again, so many seconds apart.")

    @model_validator(mode="before")
    @classmethod
    def _utc(cls, values: dict[str, object]) -> dict[str, object]:
        for key in ("reference_from", "reference_to", "current_from", "current_to"):
            if isinstance(value := values.get(key), str):
                stamp = pd.Timestamp(value)
                values = {**values, key: (stamp.tz_localize("UTC") if stamp.tz is None else stamp).to_pydatetime()}
        return values

    @model_validator(mode="after")
    def _one_reference(self) -> Self:
        if (self.reference is None) == (self.reference_from is None):
            raise ValueError(
                "give a reference: either a Parquet file, or reference_from (and reference_to) in the log"
            )
        for start, end, what in (
            (self.reference_from, self.reference_to, "reference"),
            (self.current_from, self.current_to, "current span"),
        ):
            if start is not None and end is not None and start >= end:
                raise ValueError(f"the {what} ends ({end.isoformat()}) before it starts ({start.isoformat()})")
        return self


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
        decision = decide(
            report,
            settings.retrain,
            now=now,
            last_training=_last_training(settings.name),
            last_decision=_last_decision(settings.name, active.info.experiment_id),
            performance=performance,
        )
        with tempfile.TemporaryDirectory(prefix="drift-") as folder:
            page = Path(folder) / "drift-report.html"
            evidently = write_evidently(report, reference, current, page, Path(folder) / "evidently.json")
            picture = plot(report, reference, current)
            _record(settings, report, decision, performance, Path(folder))
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
    expected = settings.expected_mae if settings.expected_mae is not None else _evaluated_mae(settings.name)
    return measure(current, read_labels(settings.labels), expected=expected, margin=settings.mae_margin)


def _evaluated_mae(name: str) -> float | None:
    try:
        champion = MlflowClient().get_model_version_by_alias(name, "champion")
        return MlflowClient().get_run(champion.run_id).data.metrics.get("count/mae") if champion.run_id else None
    except MlflowException:
        _log.info("%s has no champion with a count/mae; labels have nothing to be held against", name)
        return None


def _last_training(name: str) -> datetime | None:
    versions = MlflowClient().search_model_versions(
        f"name='{name}'", order_by=["creation_timestamp DESC"], max_results=1
    )
    return datetime.fromtimestamp(versions[0].creation_timestamp / 1000, UTC) if versions else None


def _last_decision(name: str, experiment: str) -> datetime | None:
    runs = MlflowClient().search_runs(
        [experiment],
        f"tags.`drift.model` = '{name}' and tags.`retrain.decision` = 'retrain'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return datetime.fromtimestamp(runs[0].info.start_time / 1000, UTC) if runs else None


def _record(
    settings: DriftSettings,
    report: DriftReport,
    decision: Decision,
    performance: Performance | None,
    folder: Path,
) -> None:
    """Everything that the pass found, in its MLflow run: artefacts, metrics over time, tags to search by."""
    content = {
        **report.to_dict(),
        "decision": decision.to_dict(),
        "rules": settings.retrain.model_dump(),
        "performance": performance.to_dict() if performance else None,
    }
    (folder / "drift-report.json").write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
    mlflow.log_artifacts(str(folder), "drift")
    # The password is not among the settings; recipients are addresses of people and stay out of the record.
    mlflow.log_params(settings.model_dump(mode="json", exclude={"mail_to", "mail_from", "smtp", "retrain"}))
    mlflow.set_tags(
        {
            "step": "drift",
            "drift.model": settings.name,
            "drift.verdict": report.verdict,
            "drift.cameras": ", ".join(report.cameras)[:5000],
            "retrain.decision": "retrain" if decision.retrain else "keep",
            "retrain.reasons": decision.sentence[:5000],
        }
    )
    mlflow.log_metrics(dict(_metrics(report, performance)))


def _metrics(report: DriftReport, performance: Performance | None) -> Iterator[tuple[str, float]]:
    yield "drift/share", report.share
    yield "drift/drifted_columns", len(report.drifted)
    yield "drift/judged_columns", len(report.judged)
    yield "drift/drifted_cameras", len(report.cameras)
    yield "drift/rows", report.current.rows
    for column in report.judged:
        # MLflow takes letters, digits and _-. :/ in a metric's name; a camera's id may hold anything.
        camera = "".join(letter if letter.isalnum() or letter in "_-. :" else "_" for letter in column.camera)
        if column.score is not None and column.threshold is not None:
            yield f"drift/score/{camera}/{column.column}", column.score
            yield f"drift/threshold/{camera}/{column.column}", column.threshold
    if performance:
        yield "performance/count_mae", performance.mae
        yield "performance/count_bias", performance.bias
        yield "performance/labels", performance.labels


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
    folder = MailboxFolder(settings.mailbox)
    if settings.smtp is None:
        return folder
    return Spooled(SmtpServer(settings.smtp, os.environ.get("DRIFT_SMTP_PASSWORD")), folder)


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
