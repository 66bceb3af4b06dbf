"""The mail: what a person reads first, in a mail program without pictures and in one with."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines.drift.decision import Decision
from pipelines.drift.message import compose, plot
from pipelines.drift.report import compare

LogOf = Callable[..., pd.DataFrame]
YES = Decision(True, ("2 of 8 columns drifted",), ())
NO = Decision(False, (), ())


@pytest.fixture(scope="module")
def spans(log_of: LogOf) -> tuple[pd.DataFrame, pd.DataFrame]:
    return log_of(1, 1000, cameras=("gate", "<b>yard</b>")), log_of(
        2, 300, cameras=("gate", "<b>yard</b>"), shift=3.0
    )


def reread(mail: EmailMessage) -> EmailMessage:
    """As it arrives: through bytes and back."""
    return message_from_bytes(mail.as_bytes(), policy=default)  # type: ignore[return-value]


def test_a_mail_about_drift(spans: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    report = compare(*spans)
    page = tmp_path / "drift-report.html"
    page.write_text("<html>" + "x" * 4_000_000 + "</html>")
    mail = reread(
        compose(
            report,
            YES,
            model="counter",
            sender="drift@localhost",
            recipients=["a@example.org", "b@example.org"],
            plot_png=plot(report, *spans),
            attachment=page,
            run_url="run 42",
        )
    )
    assert mail["Subject"] == "[counter] drift on <b>yard</b>, gate, retrain"
    assert mail["To"] == "a@example.org, b@example.org"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    text, page_text = plain.get_content(), html.get_content()
    for part in ("2 of 12 judged columns drifted, on 2 cameras.", "Retrain: 2 of 8 columns drifted.", "run 42"):
        assert part in text
        assert part in page_text
    assert "brightness" in text
    assert "&lt;b&gt;yard&lt;/b&gt;" in page_text
    assert "<b>yard" not in page_text
    (attached,) = list(mail.iter_attachments())
    assert attached.get_filename() == "drift-report.zip"
    with zipfile.ZipFile(io.BytesIO(attached.get_content())) as archive:
        assert archive.read("drift-report.html") == page.read_bytes()
    images = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert len(images) == 1
    assert f"cid:{images[0]['Content-ID'][1:-1]}" in page_text
    assert len(mail.as_bytes()) < 300_000


def test_the_plot_can_be_looked_at(spans: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    picture = plot(compare(*spans), *spans)
    assert picture is not None
    with Image.open(io.BytesIO(picture)) as image:
        assert image.width > 500
        assert np.asarray(image.convert("L")).std() > 5


@pytest.mark.parametrize(
    ("rows", "subject"), [(300, "no drift"), (5, "too little data to judge"), (0, "too little data to judge")]
)
def test_a_quiet_mail(log_of: LogOf, rows: int, subject: str) -> None:
    report = compare(log_of(1, 1000), log_of(4, 300).head(rows))
    mail = reread(compose(report, NO, model="counter", sender="d@localhost", recipients=["a@example.org"]))
    assert mail["Subject"] == f"[counter] {subject}"
    assert datetime.now(UTC) - mail["Date"].datetime < timedelta(minutes=1)
    body = mail.get_body(("plain",))
    assert body is not None
    assert "Do not retrain: no rule asks for it." in body.get_content()
    assert list(mail.iter_attachments()) == []
    assert plot(report, log_of(1, 1000), log_of(4, 300)) is None


def test_a_camera_s_name_cannot_add_a_header(log_of: LogOf) -> None:
    name = "gate\r\nBcc: everybody@example.org"
    report = compare(log_of(1, 1000, cameras=(name,)), log_of(2, 300, cameras=(name,), shift=3.0))
    mail = reread(compose(report, YES, model="counter", sender="d@localhost", recipients=["a@example.org"]))
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[counter] drift on gate Bcc: everybody@example.org, retrain"


def test_a_mail_stays_short_with_a_hundred_cameras(log_of: LogOf) -> None:
    cameras = tuple(f"camera {number:03}" for number in range(100))
    now = log_of(2, 60, cameras=cameras, shift=9.0)
    report = compare(log_of(1, 400, cameras=cameras), now)
    mail = compose(report, YES, model="counter", sender="d@localhost", recipients=["a@example.org"])
    assert mail["Subject"] == "[counter] drift on camera 000, camera 001, camera 002 and 97 more, retrain"
    body = mail.get_body(("plain",))
    assert body is not None
    assert "and 80 more in the report" in body.get_content()
