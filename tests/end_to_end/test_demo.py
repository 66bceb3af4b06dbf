"""The demo, the whole of it, with Python's sockets in every process below it closed to all but this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from finished_demo import Demo, run_demo
from sqlalchemy import create_engine, select
from test_readme import of_language

from model_governance.governed.audit import verify
from model_governance.governed.tables import AUDIT
from pipelines.datasets.manifest import load_dataset
from serving.server import free_port

pytestmark = pytest.mark.slow


def test_every_step_is_right(demo: Demo) -> None:
    assert demo.exit_code == 0, demo.output[-6000:]
    assert "✓ all right" in demo.output
    for step in (
        "prepare data",
        "train",
        "evaluate",
        "validate in a server",
        "register",
        "promote",
        "refuse a careless candidate",
        "count a clip",
        "serve",
        "shifted window",
    ):
        assert step in demo.output


def test_the_promotion_went_through_the_governed_server_with_two_log_ins(demo: Demo) -> None:
    """One registered it and was refused, another one promoted it; the chain that tells so is whole."""
    engine = create_engine(f"sqlite:///{demo.workspace / 'mlflow.db'}")
    with engine.connect() as connection:
        told = [
            (row.actor, row.action, row.outcome)
            for row in connection.execute(select(AUDIT).where(AUDIT.c.version == "1").order_by(AUDIT.c.seq))
        ]
    assert ("validator", "create version", "done") in told
    assert ("validator", "promote", "refused") in told
    assert ("reviewer", "promote", "done") in told
    assert ("validator", "promote", "done") not in told
    assert verify(engine).problems == ()


def test_no_python_code_reached_for_the_network(demo: Demo) -> None:
    """Also attempts that a library made and swallowed would stand in the log; native code is not seen by it."""
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

    store = f"sqlite:///{demo.workspace / 'mlflow.db'}"
    client = MlflowClient(store, registry_uri=store)
    version = client.get_model_version_by_alias("camera-counter", "serving")
    assert version.current_stage == "Production"
    assert client.get_model_version_by_alias("camera-counter", "champion").version == version.version
    assert version.tags["approved_by"] == "reviewer", "the log-in signs, and no name that was sent"
    assert version.tags["gates"] == "passed"
    assert re.fullmatch(r"\d+\.\d+\.\d+", version.tags["semantic_version"])
    assert 0 < len(version.description) < 5000
    assert "count/mae" in version.description


def test_the_careless_candidate_is_refused_for_what_it_misses_alone(demo: Demo) -> None:
    from mlflow import MlflowClient

    store = f"sqlite:///{demo.workspace / 'mlflow.db'}"
    client = MlflowClient(store, registry_uri=store)
    accepted, refused = sorted(
        client.search_model_versions("name = 'camera-counter'"), key=lambda v: int(v.version)
    )
    assert (accepted.tags["gates"], refused.tags["gates"]) == ("passed", "failed")
    assert refused.current_stage == "None"
    assert "detection/recall" in refused.description.split("## Gates")[0], "a reviewer reads why, above all"
    assert "not measured" not in refused.description.split("## Gates")[0], "nothing else was wrong with it"


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
    total = re.compile(r"^│ all\s*│\s*(\d+)", re.MULTILINE)
    first, second = (float(total.findall(run.output)[-1]) for run in (demo, again))
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
            "MLFLOW_REGISTRY_URI": f"sqlite:///{demo.workspace / 'mlflow.db'}",
            "NOTEBOOK_WORKSPACE": str(tmp_path),
        },
    )
    assert "crossing" in texts(done)
    assert pictures(done) == 2


@pytest.fixture
def place(root: Path, demo: Demo, tmp_path: Path) -> Path:
    """A user's folder: the README's own scene, a clip and a picture, beside a finished demo."""
    assert demo.exit_code == 0, demo.output[-3000:]
    dataset = load_dataset(demo.workspace / "data")
    shutil.copy(str(dataset.clips[0].video), tmp_path / "clip.mp4")
    shutil.copy(dataset.samples("test")[0].path, tmp_path / "street.jpg")
    (scene,) = of_language(root, "yaml")
    (tmp_path / "gate.yaml").write_text(scene)
    return tmp_path


def environment(demo: Demo) -> dict[str, str]:
    binaries = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{demo.workspace / 'mlflow.db'}",
        "MLFLOW_REGISTRY_URI": f"sqlite:///{demo.workspace / 'mlflow.db'}",
    }


@pytest.fixture
def port(demo: Demo) -> Iterator[int]:
    """The demo's version, served."""
    free = free_port()
    server = subprocess.Popen(
        [
            *("mlflow", "models", "serve", "--model-uri", "models:/camera-counter@serving"),
            *("--env-manager", "local", "--port", str(free)),
        ],
        env=environment(demo), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{free}/ping", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        yield free
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=30)


def test_the_commands_of_the_readme_run(root: Path, demo: Demo, place: Path) -> None:
    for text in of_language(root, "bash"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=place, env=environment(demo), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    for made in ("scene.png", "counts.json", "counted.mp4"):
        assert (place / made).stat().st_size > 0


def test_the_python_of_the_readme_runs(root: Path, demo: Demo, place: Path, port: int) -> None:
    printed = []
    for text in of_language(root, "python"):
        done = subprocess.run(
            [sys.executable, "-c", text.replace(":5001", f":{port}")],
            cwd=place, env=environment(demo), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert all("person" in text for text in printed), printed
