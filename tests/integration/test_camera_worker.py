"""The camera worker with several cameras: good ones, broken ones, some that come and go; real clips and sinks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from serving.camera.__main__ import main
from serving.camera.camera_run import CameraRun
from serving.camera.config import ConfigError, read_config
from serving.camera.state import StateStore
from serving.camera.status import CameraState, CameraStatus
from serving.camera.worker import Worker
from serving.errors import ServingError, StateError
from tests.rtsp_camera import RtspCamera
from tests.street import SCENE, SIZE, save_toy, street, write_config, write_street

pytestmark = pytest.mark.slow

ROUNDS = 2
Start = Callable[..., Worker]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    save_toy(folder / "model")
    write_street(folder / "street.mp4", ROUNDS)
    return folder


@pytest.fixture
def start(shared: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker with these cameras; it is stopped in the end."""
    workers = []

    def started(*cameras: dict[str, Any], **said: Any) -> Worker:
        said.setdefault("model", str(shared / "model"))
        config = write_config(tmp_path / "cameras.yaml", cameras=list(cameras), **said)
        workers.append(Worker(read_config(config), tmp_path))
        workers[-1].start()
        return workers[-1]

    yield started
    for worker in workers:
        worker.stop()


def clip(shared: Path, name: str = "street", **settings: Any) -> dict[str, Any]:
    return {"name": name, "source": str(shared / "street.mp4"), "scene": SCENE, **settings}


def status(worker: Worker, name: str) -> CameraStatus:
    return next(camera for camera in worker.status().cameras if camera.camera == name)


def wait_for(done: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)


def counted(worker: Worker, name: str = "street") -> dict[str, int]:
    return dict(status(worker, name).today.get("lines", {}).get("middle", {}))


def test_a_broken_camera_and_a_camera_that_is_away_disturb_no_other(start: Start, shared: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listened at: nothing answers there
        port = nobody.getsockname()[1]
        worker = start(
            clip(shared),
            clip(shared, "played", clip={"pace": "real-time"}),
            {"name": "missing", "source": "nowhere.mp4", "scene": SCENE},
            clip(shared, "wrong", classes=["zebra"]),
            {"name": "away", "source": f"rtsp://viewer:hunter2@127.0.0.1:{port}/1", "scene": SCENE},
            {"name": "off", "source": "nowhere.mp4", "enabled": False},
        )
        wait_for(lambda: status(worker, "street").state == "ended")
        assert counted(worker) == {"in": ROUNDS, "out": ROUNDS}
        assert status(worker, "street").frames == ROUNDS * 60
        wait_for(lambda: status(worker, "missing").state == "failed")
        assert "expected a video file, found none" in status(worker, "missing").error
        wait_for(lambda: status(worker, "wrong").state == "failed")
        assert "the model does not know 'zebra'" in status(worker, "wrong").error
        wait_for(lambda: status(worker, "away").error)
        assert status(worker, "away").state in {"waiting", "connecting"}
        assert "hunter2" not in status(worker, "away").error
        # what is played as a camera is counted while it is played
        wait_for(lambda: status(worker, "played").state == "live")
        wait_for(lambda: worker.view("played"))
        view = worker.view("played")
        assert view is not None
        assert view.image.shape == (SIZE, SIZE, 3)
        assert view.scene is not None
        assert set(view.counts.lines) == {"middle"}
        with pytest.raises(KeyError):
            worker.view("off")
        told = worker.metrics.text().decode()
        assert 'camera="street"' in told


def crossings_told(worker: Worker) -> float:
    """The crossings that Prometheus is told of."""
    families = text_string_to_metric_families(worker.metrics.text().decode())
    return sum(s.value for f in families for s in f.samples if s.name == "camera_counting_line_crossings_total")


def test_the_counters_of_prometheus_go_on_after_a_restart(start: Start, shared: Path) -> None:
    before = start(clip(shared))
    wait_for(lambda: status(before, "street").state == "ended")
    assert crossings_told(before) == 2 * ROUNDS
    before.stop()
    after = start(clip(shared))
    wait_for(lambda: status(after, "street").state == "ended")
    assert crossings_told(after) == 2 * ROUNDS


def test_cameras_come_and_go_and_keep_their_counts(start: Start, shared: Path, tmp_path: Path) -> None:
    worker = start(sinks=[{"kind": "json-lines", "file": "events.jsonl"}])
    assert worker.status().cameras == ()
    worker.add_camera(clip(shared))
    with pytest.raises(ConfigError, match="'street' is counted already"):
        worker.add_camera(clip(shared))
    with pytest.raises(ConfigError, match="camera: sauce: unknown key"):
        worker.add_camera({"name": "x", "sauce": "y"})
    with pytest.raises(ConfigError, match=r"expected no \$\{NAME\} here"):
        worker.add_camera({"name": "x", "source": "http://elsewhere/${HOME}"})
    wait_for(lambda: status(worker, "street").state == "ended")
    worker.remove_camera("street")
    assert worker.status().cameras == ()
    with pytest.raises(KeyError):
        worker.remove_camera("street")
    # it is over, and is not counted a second time
    worker.add_camera(clip(shared))
    wait_for(lambda: status(worker, "street").state == "ended")
    assert counted(worker) == {"in": ROUNDS, "out": ROUNDS}
    assert status(worker, "street").frames == 0
    assert crossings_told(worker) == 2 * ROUNDS
    # the file is read again: one camera more, one less, one with other settings
    worker.reload(
        read_config(
            write_config(
                tmp_path / "cameras.yaml",
                model=worker.config.model,
                cameras=[clip(shared, "second"), clip(shared, "third")],
                sinks=[{"kind": "json-lines", "file": "events.jsonl"}],
            )
        )
    )
    assert [camera.camera for camera in worker.status().cameras] == ["second", "third"]
    wait_for(lambda: all(camera.state == "ended" for camera in worker.status().cameras))
    worker.stop()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    crossings = [(line["camera"], line["direction"]) for line in lines if line["kind"] == "crossing"]
    assert sorted(crossings) == sorted(
        [(name, way) for name in ("street", "second", "third") for way in ("in", "out") for _ in range(ROUNDS)]
    )


def test_what_cannot_be_written_is_counted_and_written_later(
    start: Start, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [True]
    commit = StateStore.commit

    def refuse(self: StateStore, *told: Any) -> None:
        if full[0]:
            raise StateError("cannot write the state: the disk is full; make room")
        commit(self, *told)

    monkeypatch.setattr(StateStore, "commit", refuse)
    worker = start(clip(shared), sinks=[{"kind": "json-lines", "file": "events.jsonl"}])
    wait_for(lambda: status(worker, "street").frames >= 100)
    assert worker.status().durable is False
    assert "the disk is full" in worker.status().state_error
    assert not (tmp_path / "events.jsonl").exists()
    # also where it is over before there is room again
    wait_for(lambda: status(worker, "street").frames == ROUNDS * 60)
    time.sleep(0.5)
    full[0] = False
    wait_for(lambda: worker.status().durable and status(worker, "street").state == "ended")
    assert counted(worker) == {"in": ROUNDS, "out": ROUNDS}
    worker.stop()
    told = (tmp_path / "events.jsonl").read_text()
    assert told.count('"crossing"') == 2 * ROUNDS


def test_a_state_that_had_to_be_begun_anew_is_told(start: Start, shared: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.db").write_bytes(b"no database" * 100)
    trouble = start(clip(shared)).status().state_trouble
    assert "was damaged" in trouble
    assert "a new one is begun: the day's counts start at zero" in trouble


def test_a_worker_that_looks_after_nobody_is_not_well(
    start: Start, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    watch = CameraRun.watch

    def hang(run: CameraRun) -> tuple[CameraState, str]:
        hangs.wait(20)
        return watch(run)

    monkeypatch.setattr("serving.camera.worker._ILL", 2.5)
    worker = start(clip(shared))
    wait_for(lambda: status(worker, "street").frames > 10)
    time.sleep(3.0)
    assert worker.is_well()
    monkeypatch.setattr(CameraRun, "watch", hang)
    wait_for(lambda: not worker.is_well())
    hangs.set()
    wait_for(worker.is_well)


def test_a_clip_that_is_repeated_is_counted_each_time(start: Start, shared: Path, tmp_path: Path) -> None:
    worker = start(clip(shared, clip={"repeat": True}), sinks=[{"kind": "json-lines", "file": "events.jsonl"}])
    wait_for(lambda: status(worker, "street").frames > 3 * ROUNDS * 60)
    worker.remove_camera("street")
    held = worker._store.load("street")
    assert held is not None
    worker.stop()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    crossings = [line["time"] for line in lines if line["kind"] == "crossing"]
    over = held.snapshot["round"]
    assert over >= 3
    assert 0 <= len(crossings) - over * 2 * ROUNDS <= 2 * ROUNDS
    assert crossings == sorted(crossings)


def test_a_camera_that_loses_power_comes_back_with_its_tracks_of_time(start: Start, shared: Path) -> None:
    camera = RtspCamera("--fps", "10", "--size", "320x240")
    try:
        worker = start(
            {"name": "rtsp", "source": camera.url(), "scene": SCENE, "timeout": 2.0, "transport": "tcp"},
            clip(shared, "played", clip={"pace": "real-time", "repeat": True}),
        )
        wait_for(lambda: status(worker, "rtsp").state == "live" and status(worker, "rtsp").detected > 3)
        before = status(worker, "rtsp")
        assert before.delay_ms > 0
        assert before.decode_ms > 0
        view = worker.view("rtsp")
        assert view is not None
        assert view.image.shape == (240, 320, 3)
        camera.kill()
        wait_for(lambda: status(worker, "rtsp").state in {"waiting", "connecting"})
        assert status(worker, "rtsp").error
        played = status(worker, "played").frames
        wait_for(lambda: status(worker, "played").frames > played + 5)
        camera.start()
        wait_for(
            lambda: status(worker, "rtsp").state == "live" and status(worker, "rtsp").frames > before.frames + 10
        )
        assert status(worker, "rtsp").reconnects >= 1
        assert status(worker, "rtsp").error == ""
        # removed while it is live, and added again: its clock goes on
        frame = worker._store.load("rtsp")
        worker.remove_camera("rtsp")
        worker.add_camera({"name": "rtsp", "source": camera.url(), "scene": SCENE, "transport": "tcp"})
        wait_for(lambda: status(worker, "rtsp").detected > 3)
        later = worker._store.load("rtsp")
        assert frame is not None
        assert later is not None
        assert later.frame > frame.frame
        assert later.snapshot["seconds"] > frame.snapshot["seconds"]
    finally:
        camera.kill()


class Command:
    """`python -m serving.camera` as a child process."""

    def __init__(self, *arguments: str, folder: Path) -> None:
        self.log = folder / f"log-{time.time_ns()}"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving.camera", *arguments],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdout=out,
                stderr=out,
                cwd=folder,
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)


def test_the_command_counts_reloads_answers_and_ends(shared: Path, tmp_path: Path) -> None:
    said: dict[str, Any] = {
        "model": str(shared / "model"),
        "web": {"port": 0},
        "sinks": [{"kind": "json-lines", "file": "events.jsonl"}],
    }
    config = tmp_path / "cameras.yaml"
    command = Command("--config", str(config), "--wait", folder=tmp_path)
    try:
        command.wait_for("is waited for")
        write_config(config, cameras=[clip(shared, "first")], **said)
        command.wait_for("the cameras are shown at ")
        # a second one on the same state ends at once and says why
        second = Command("--config", str(config), folder=tmp_path)
        assert second.process.wait(60) == 5
        assert "another" in second.text
        url = command.text.split("the cameras are shown at ")[1].split(";")[0]
        assert requests.get(f"{url}/metrics", timeout=5).status_code in {401, 403}
        token = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
        assert "camera_counting" in requests.get(f"{url}/metrics", headers=token, timeout=5).text
        write_config(config, cameras=[clip(shared, "first"), clip(shared, "second")], **said)
        os.kill(command.process.pid, signal.SIGHUP)
        command.wait_for("second: counted from now on")
        # what makes no sense is told, and changes nothing
        write_config(config, cameras=[{"name": "x"}], **said)
        os.kill(command.process.pid, signal.SIGHUP)
        command.wait_for("the configuration is not taken, the one before stays")

        def crossings() -> int:
            path = tmp_path / "events.jsonl"
            return path.read_text().count('"crossing"') if path.exists() else 0

        wait_for(lambda: crossings() == 2 * 2 * ROUNDS)
    finally:
        command.process.terminate()
        assert command.process.wait(30) == 0
    assert "ended after" in command.text


@pytest.fixture
def signals() -> Iterator[None]:
    """What the command does with signals ends with the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        ({"cameras": []}, 2, "model: expected this key"),
        ({"model": "nowhere"}, 3, "model: expected a model that counts at"),
        ({"model": "nowhere", "web": {"port": "TAKEN"}}, 4, "is taken by another process"),
        ({"model": "nowhere", "state": "IN USE"}, 5, "another"),
        ({"model": "nowhere", "sinks": [{"kind": "sql", "url": "nothing"}]}, 6, "url: expected one such as"),
    ],
)
def test_the_command_says_why_it_cannot_begin(
    said: dict[str, Any], code: int, reason: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, closing(StateStore(tmp_path / "IN USE")):
        if said.get("web"):
            said = {**said, "web": {"port": taken.getsockname()[1]}}
        config = write_config(tmp_path / "cameras.yaml", **said)
        done = CliRunner().invoke(main, ["--config", str(config)])
    assert done.exit_code == code, done.output
    assert "error: " in done.output
    assert reason in done.output
    assert "Traceback" not in done.output


@pytest.mark.usefixtures("signals")
def test_a_file_can_be_checked_before_it_is_used(shared: Path, tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "cameras.yaml", model="m", cameras=[clip(shared), clip(shared, "b", enabled=False)]
    )
    done = CliRunner().invoke(main, ["--config", str(config), "--check"])
    assert (done.exit_code, done.output) == (0, f"{config} makes sense: 1 of 2 camera(s) would be counted\n")
    assert json.loads(CliRunner().invoke(main, ["--schema"]).output)["title"] == "cameras.yaml"


def test_live_frames_that_are_too_old_are_left_out(start: Start, shared: Path) -> None:
    worker = start(clip(shared, clip={"pace": "real-time", "repeat": True}), staleness=0.000001)
    wait_for(lambda: status(worker, "street").stale > 3)
    assert status(worker, "street").detected == 0


def test_frames_may_change_their_size(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, image in enumerate(street(60)):
        if index > 20:
            image = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
        cv2.imwrite(str(folder / f"{index:03d}.png"), image[..., ::-1])
    worker = start({"name": "street", "source": str(folder), "scene": SCENE, "economy": "exact"})
    wait_for(lambda: status(worker, "street").state in {"ended", "failed"})
    assert status(worker, "street").error == ""
    view = worker.view("street")
    assert status(worker, "street").frames == 60
    assert view is None or view.image.shape == (SIZE, SIZE, 3)


def test_pictures_are_kept_where_somebody_asks_for_them_and_nowhere_else(
    start: Start, shared: Path, tmp_path: Path
) -> None:
    worker = start(clip(shared))
    wait_for(lambda: status(worker, "street").state == "ended")
    worker.stop()
    assert not list(tmp_path.rglob("*.jpg"))
    worker = start(
        clip(shared, "again", clip={"start": "2026-05-01T08:00:00+00:00"}),
        pictures={"folder": "pictures", "every": 2, "keep": 3},
    )
    wait_for(lambda: status(worker, "again").state == "ended")
    kept = sorted((tmp_path / "pictures" / "again").iterdir())
    # of twelve seconds one every two, the last three of them
    assert [path.name for path in kept] == [f"2026-05-01T08-00-{second:02d}.jpg" for second in (6, 8, 10)]
    assert (tmp_path / "pictures" / "again").stat().st_mode & 0o077 == 0
    # six seconds are a round: somebody stands at (60..90, 20..68) in the first frame of it, and cannot be made out
    image = cv2.imread(str(kept[0]))[..., ::-1].astype(int)
    sharp = next(street(1)).astype(int)
    edge = np.abs(image[30:60, 62:66] - sharp[30:60, 62:66]).max()
    assert edge > 30, edge


def test_settings_that_make_no_sense_are_a_serving_error() -> None:
    assert issubclass(ConfigError, ServingError)
    assert issubclass(ConfigError, ValueError)
