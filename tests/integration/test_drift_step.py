"""The drift step on a real prediction log: what it reads, records, mails and decides."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from pydantic import ValidationError

from camera_counting.prediction_log import Prediction, PredictionLog
from pipelines.drift.mail import MailboxFolder
from pipelines.drift_report import DriftSettings, run
from run_lineage import read_record

START = datetime(2026, 11, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 20, tzinfo=UTC)


def predictions(
    start: datetime, rows: int, *, dark: bool, cameras: tuple[str, ...] = ("gate", "yard")
) -> list[Prediction]:
    """Counted pictures of two cameras; `dark` is the gate at night: darker, and the model sees less."""
    rng = np.random.default_rng(int(start.timestamp()) % 1000 + dark)
    found = []
    for camera in cameras:
        night = dark and camera == "gate"
        for number in range(rows):
            people = int(rng.poisson(1.5 if night else 4))
            found.append(
                Prediction.now(
                    time=start + timedelta(seconds=10 * number),
                    camera_id=camera,
                    counts={"person": people, "bus": 0},
                    confidence_mean=float(rng.normal(0.45 if night else 0.7, 0.05)) if people else None,
                    brightness=float(rng.normal(40 if night else 120, 10)),
                    contrast=float(rng.normal(50, 5)),
                    sharpness=float(rng.normal(200, 20)),
                    width=640,
                    height=360,
                )
            )
    return found


class Inbox:
    """Handler of a real SMTP server: keeps what it takes."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(envelope.original_content or b"")
        return "250 taken"


@pytest.fixture
def unused_smtp() -> Iterator[Controller]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(Inbox(), hostname="127.0.0.1", port=port)
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture
def log(tmp_path: Path) -> str:
    uri = str(tmp_path / "predictions")
    writer = PredictionLog(uri)
    writer.append(predictions(START, 600, dark=False))
    writer.append(predictions(NOON, 200, dark=True))
    writer.append(predictions(NOON + timedelta(days=1), 200, dark=False))
    writer.close()
    return uri


def settings(log: str, tmp_path: Path, **changes: object) -> DriftSettings:
    return DriftSettings.model_validate(
        {
            "log": log,
            "reference_from": "2026-11-01",
            "reference_to": "2026-11-10",
            "current_from": "2026-11-20",
            "current_to": "2026-11-21",
            "mail_to": ["ops@example.org"],
            "mailbox": tmp_path / "mailbox",
            **changes,
        }
    )


@pytest.mark.slow
def test_a_dark_gate_is_found_recorded_mailed_and_answered(log: str, tmp_path: Path, tracking: str) -> None:
    result = run(settings(log, tmp_path))
    assert result.report.cameras == ("gate",)
    assert {c.column for c in result.report.drifted} == {"brightness", "confidence_mean", "total", "count_person"}
    assert result.decision.retrain
    assert "counts and confidence drifted together on gate" in result.decision.sentence

    told = read_record(result.run_id)
    assert (told.step, told.settings["reference_to"][:10]) == ("drift", "2026-11-10")
    assert not {"mail_to", "mail_from", "smtp"} & told.settings.keys(), "people's addresses are not for everybody"
    record = mlflow.get_run(result.run_id)
    assert record.data.tags["drift.verdict"] == "drift"
    assert record.data.tags["retrain.decision"] == "retrain"
    assert record.data.metrics["drift/drifted_columns"] == 4
    score = record.data.metrics["drift/score/gate/brightness"]
    assert score == pytest.approx(8, rel=0.15)  # 80 darker, where the standard deviation is 10
    assert score > record.data.metrics["drift/threshold/gate/brightness"]
    artifacts = {f.path for f in mlflow.MlflowClient().list_artifacts(result.run_id, "drift")}
    assert artifacts == {f"drift/{name}" for name in ("drift-report.html", "drift-report.json", "evidently.json")}
    content = json.loads(mlflow.artifacts.load_text(f"runs:/{result.run_id}/drift/drift-report.json"))
    assert content["decision"]["retrain"] is True
    assert content["rules"]["drifted_share"] == 0.2

    ((_, mail),) = MailboxFolder(tmp_path / "mailbox").mails()
    assert mail["Subject"] == "[camera-counter] drift on gate, retrain"
    assert [a.get_filename() for a in mail.iter_attachments()] == ["drift-report.zip"]
    for value in record.data.params.values():
        assert "example.org" not in value

    again = run(settings(log, tmp_path))
    assert not again.decision.retrain
    assert "the last decision to train was 0.0 hours ago" in again.decision.sentence


def test_a_day_like_the_others_is_quiet(log: str, tmp_path: Path, tracking: str) -> None:
    quiet = settings(log, tmp_path, current_from="2026-11-21", current_to="2026-11-22", mail_when="drift")
    result = run(quiet)
    assert result.report.verdict == "no drift"
    assert not result.decision.retrain
    assert result.delivery is None


def test_the_reference_can_be_a_profile_of_the_training_pictures(log: str, tmp_path: Path, tracking: str) -> None:
    rng = np.random.default_rng(0)
    rows = 400
    profile = pd.DataFrame(
        {
            "camera_id": "gate",
            "time": pd.date_range("2026-10-01", periods=rows, freq="30s", tz="UTC"),
            "brightness": rng.normal(120, 10, rows),
            "contrast": rng.normal(50, 5, rows),
            "sharpness": rng.normal(200, 20, rows),
            "total": rng.poisson(4, rows),
            "count_person": rng.poisson(4, rows),
        }
    )
    profile.to_parquet(tmp_path / "profile.parquet")
    result = run(
        settings(log, tmp_path, reference=tmp_path / "profile.parquet", reference_from=None, reference_to=None)
    )
    assert {c.column for c in result.report.drifted} == {"brightness"}
    unjudged = {(c.camera, c.column): c.reason for c in result.report.columns if c.status == "insufficient"}
    assert unjudged["yard", "brightness"] == "the reference has no such camera or column"
    for column in ("total", "count_person"):
        assert unjudged["gate", column].startswith("the reference holds labels, not what a model counted")


def test_an_empty_log_is_too_little_data_not_a_quiet_day(tmp_path: Path, tracking: str) -> None:
    result = run(settings(str(tmp_path / "nowhere"), tmp_path))
    assert result.report.verdict == "insufficient"
    assert not result.decision.retrain
    ((_, mail),) = MailboxFolder(tmp_path / "mailbox").mails()
    assert mail["Subject"] == "[camera-counter] too little data to judge"


def test_labels_are_held_against_the_champion_s_evaluation(log: str, tmp_path: Path, tracking: str) -> None:
    from camera_counting.prediction_log import read_predictions

    day = read_predictions(log, since=NOON + timedelta(days=1))
    day.assign(total=day["total"] + 3)[["id", "total"]].to_csv(tmp_path / "labels.csv", index=False)
    client = mlflow.MlflowClient()
    with mlflow.start_run() as source:
        mlflow.log_metric("count/mae", 1.0)
    client.create_registered_model("camera-counter")
    client.create_model_version("camera-counter", "unused", source.info.run_id)
    client.set_registered_model_alias("camera-counter", "champion", "1")
    result = run(
        settings(
            log,
            tmp_path,
            current_from="2026-11-21",
            current_to="2026-11-22",
            labels=tmp_path / "labels.csv",
            retrain={"cooldown_hours": 0},
        )
    )
    assert result.performance is not None
    assert (result.performance.mae, result.performance.bias, result.performance.expected) == (3.0, -3.0, 1.0)
    assert result.decision.retrain
    assert mlflow.get_run(result.run_id).data.metrics["performance/count_mae"] == 3.0


def test_a_mail_server_that_is_down_loses_no_mail(log: str, tmp_path: Path, tracking: str) -> None:
    result = run(
        settings(log, tmp_path, current_from="2026-11-21", current_to="2026-11-22", smtp="smtp://127.0.0.1:9")
    )
    assert result.delivery is not None
    assert "did not take the mail" in result.delivery.problem
    assert len(MailboxFolder(tmp_path / "mailbox.spool").mails()) == 1
    assert "did not take the mail" in mlflow.get_run(result.run_id).data.tags["drift.mail"]


def test_a_mail_server_that_is_new_gets_no_mail_of_the_archive(
    log: str, tmp_path: Path, tracking: str, unused_smtp: Controller
) -> None:
    quiet = {"current_from": "2026-11-21", "current_to": "2026-11-22"}
    run(settings(log, tmp_path, **quiet))
    result = run(settings(log, tmp_path, **quiet, smtp=f"smtp://127.0.0.1:{unused_smtp.port}"))
    assert result.delivery is not None
    assert result.delivery.problem == ""
    assert len(unused_smtp.handler.mails) == 1
    assert len(MailboxFolder(tmp_path / "mailbox").mails()) == 1


def test_another_version_s_counts_are_no_drift(tmp_path: Path, tracking: str) -> None:
    """Version 2 finds twice as many people; the street is what it was."""

    def counted(start: datetime, rows: int, version: str, factor: int, light: float = 120) -> list[Prediction]:
        rng = np.random.default_rng(rows + factor)
        return [
            Prediction.now(
                time=start + timedelta(seconds=10 * number),
                camera_id="gate",
                model_name="camera-counter",
                model_version=version,
                model_digest=version * 64,
                counts={"person": factor * int(rng.poisson(4))},
                confidence_mean=float(rng.normal(0.4 * factor, 0.05)),
                brightness=float(rng.normal(light, 10)),
            )
            for number in range(rows)
        ]

    uri = str(tmp_path / "predictions")
    writer = PredictionLog(uri)
    writer.append(counted(START, 600, "1", 1))
    writer.append(counted(NOON, 200, "1", 1))
    writer.append(counted(NOON + timedelta(hours=1), 200, "2", 2))
    writer.append(counted(NOON + timedelta(days=2), 200, "2", 2, light=40))
    writer.close()
    promoted = run(settings(uri, tmp_path))
    assert promoted.report.verdict == "no drift"
    assert not promoted.decision.retrain
    status = {c.column: (c.status, c.current_rows, c.reason) for c in promoted.report.columns}
    assert status["brightness"][:2] == ("tested", 400), "pictures do not depend on who counts"
    assert "the reference was counted by camera-counter version 1" in status["total"][2]
    assert "the newest rows by camera-counter version 2" in status["confidence_mean"][2]

    later = run(
        settings(
            uri,
            tmp_path,
            reference_from=NOON.isoformat(),
            reference_to=(NOON + timedelta(days=1)).isoformat(),
            current_from="2026-11-22",
            current_to="2026-11-23",
        )
    )
    assert {c.column for c in later.report.drifted} == {"brightness"}
    assert {c.column: c.reference_rows for c in later.report.judged}["total"] == 200, "version 2 alone"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference_from": None, "reference_to": None}, "give a reference"),
        ({"reference": "a.parquet"}, "give a reference"),
        ({"reference_to": "2026-10-01"}, "ends .* before it starts"),
        ({"retrain": {"drifted_shares": 1}}, "drifted_shares"),
        ({"mail_when": "never"}, "mail_when"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings("log", tmp_path, **changes)


def test_the_command_line(tmp_path: Path) -> None:
    words = (
        "--log x --reference_from 2026-11-01T00:00:00+01:00 --retrain.drifted_share 0.3 "
        "--mail_to a@example.org --mail_to b@example.org --every 3600"
    )
    got = DriftSettings.from_command_line(words.split())
    assert got.reference_from == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert got.retrain.drifted_share == 0.3
    assert got.mail_to == ["a@example.org", "b@example.org"]


@pytest.mark.slow
def test_the_schedule_outlives_a_pass_that_fails(tmp_path: Path, tracking: str, root: Path) -> None:
    """A log that cannot be read (a file where a folder should be) is told of, and the next pass comes."""
    (tmp_path / "broken.parquet").write_text("not parquet")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pipelines.drift_report",
            "--log",
            str(tmp_path / "log"),
            "--every",
            "0.2",
            "--reference",
            str(tmp_path / "broken.parquet"),
        ],
        cwd=root,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stderr is not None
        failures, deadline = 0, time.monotonic() + 90
        for line in process.stderr:
            failures += "the drift pass failed" in line
            if failures == 2 or time.monotonic() > deadline:
                break
        assert failures == 2
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
