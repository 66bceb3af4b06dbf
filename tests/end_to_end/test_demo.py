"""The demo, the whole of it, with every process below it cut off from anything but this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import av
import pytest
from finished_demo import Demo, run_demo

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]


def test_every_step_is_right(demo: Demo) -> None:
    assert demo.exit_code == 0, demo.output[-6000:]
    assert "✓ all right" in demo.output
    for step in (
        "prepare data",
        "train",
        "evaluate",
        "register",
        "promote",
        "count a clip",
        "serve",
        "shifted window",
    ):
        assert step in demo.output


def test_nothing_was_sent_anywhere(demo: Demo) -> None:
    """Also attempts that a library made and swallowed would stand in the log."""
    assert demo.exit_code == 0
    assert not demo.network_log.exists(), demo.network_log.read_text()[:3000]


def test_the_counted_clip_is_the_true_count_and_can_be_watched(demo: Demo) -> None:
    counted = json.loads((demo.workspace / "counted.json").read_text())
    clip = Path(counted["source"])
    truth = json.loads(clip.with_suffix(".truth.json").read_text())
    assert sum(line["in"] + line["out"] for line in truth["lines"].values()) >= 4, (
        "an empty clip would prove nothing"
    )
    assert {n: (line["in"], line["out"]) for n, line in counted["lines"].items()} == {
        n: (line["in"], line["out"]) for n, line in truth["lines"].items()
    }
    with av.open(str(demo.workspace / "counted.mp4")) as annotated:
        stream = annotated.streams.video[0]
        assert stream.codec_context.name == "h264", "browsers play it"
        assert sum(1 for _ in annotated.decode(stream)) == truth["frames"]


def test_the_registry_tells_who_promoted_what(demo: Demo) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{demo.workspace / 'mlflow.db'}")
    version = client.get_model_version_by_alias("camera-counter", "serving")
    assert version.current_stage == "Production"
    assert client.get_model_version_by_alias("camera-counter", "champion").version == version.version
    assert version.tags["approved_by"] == "Demo Reviewer"
    assert version.tags["gates"] == "passed"
    assert re.fullmatch(r"\d+\.\d+\.\d+", version.tags["semantic_version"])
    assert 0 < len(version.description) < 5000
    assert "count/mae" in version.description


def test_the_shifted_window_was_mailed_with_its_report(demo: Demo) -> None:
    import mailbox

    subjects = {message["subject"]: message for message in mailbox.Maildir(demo.workspace / "mailbox")}
    drifted = [message for subject, message in subjects.items() if "no drift" not in subject.lower()]
    assert len(drifted) == 1
    parts = list(drifted[0].walk())
    assert any(part.get_content_type() == "application/zip" for part in parts)
    assert any(part.get_content_type() == "text/plain" for part in parts)


def test_a_second_demo_reuses_what_is_there(demo: Demo, root: Path, tmp_path: Path) -> None:
    assert demo.exit_code == 0
    again = run_demo(root, demo.workspace, tmp_path / "network.log")
    assert again.exit_code == 0, again.output[-4000:]
    assert again.output.count("found again") >= 2, "the data and the training"
    first, second = (float(re.findall(r"all\s*│\s*(\d+)", run.output)[-1]) for run in (demo, again))
    assert second < first / 2


def test_the_second_notebook_analyses_a_clip_with_the_promoted_model(
    demo: Demo, root: Path, tmp_path: Path
) -> None:
    from test_notebooks import pictures, run, texts

    done = run(
        root,
        "02_count_and_analyse",
        {
            "MLFLOW_TRACKING_URI": f"sqlite:///{demo.workspace / 'mlflow.db'}",
            "NOTEBOOK_WORKSPACE": str(tmp_path),
        },
    )
    assert "crossing" in texts(done)
    assert pictures(done) == 2
