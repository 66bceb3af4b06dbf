"""The settings of the drift step."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import pandas as pd
from pydantic import AwareDatetime, Field, model_validator

from pipelines.drift.decision import RetrainRules
from pipelines.settings import StepSettings

__all__ = ["DriftSettings"]


class DriftSettings(StepSettings):
    """Which spans of which log to compare, whom to tell, and when to retrain. Times without a zone are UTC."""

    log: str = Field(description="Prediction log: a folder or s3://...")
    name: str = Field("camera-counter", description="Registered model that the log is about.")
    model_name: str | None = Field(None, description="Only predictions with this model_name; all by default.")
    cameras: list[str] | None = Field(None, description="Cameras to judge; all by default.")
    reference: Path | None = Field(
        None,
        description="Reference as Parquet: rows of the log, or the training pictures' profile (no counts).",
    )
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
        Path("mailbox"),
        description="Maildir folder for all mails; with smtp instead <mailbox>.spool for those that wait, and "
        "<mailbox>.refused for those refused for good.",
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
