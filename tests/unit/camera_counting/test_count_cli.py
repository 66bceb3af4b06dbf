"""`camera-counting count` and `draw`, as a user calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import av
import cv2
import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

import camera_counting
from camera_counting.cli import main
from camera_counting.detections import Detections
from camera_counting.detectors import Detector, installed_runtimes
from camera_counting.errors import SourceError
from camera_counting.model import CountingModel
from camera_counting.video import ClipWriter
from tests.toy_detector import build

SCHEMA = json.loads((Path(camera_counting.__file__).parent / "schemas" / "count.schema.json").read_text())
SCENE = """
camera: yard
lines:
  - {name: gate, from: [0, 60], to: [160, 60]}
zones:
  - {name: lower, polygon: [[0, 70], [160, 70], [160, 120], [0, 120]]}
"""


class Bright(Detector):
    """Detects the bright rectangle of a picture: a real detection, of a thing that is easy to draw."""

    names = ("person", "car")
    confidence = 0.25

    def detect(self, pictures, confidence=None):
        found = []
        for picture in pictures:
            bright = picture[..., 0] > 128
            rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
            boxes = [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]] if len(rows) else []
            found.append(Detections.of(boxes, [0.9] * len(boxes), [1] * len(boxes), self.names))
        return found


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.setattr(camera_counting, "load_model", lambda uri: CountingModel(Bright()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene.yaml").write_text(SCENE)

    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


def picture(i):
    image = np.zeros((120, 160, 3), np.uint8)
    if i is not None:
        image[10 + 3 * i : 30 + 3 * i, 60:90] = 255
    return image


@pytest.fixture
def clip(tmp_path):
    with ClipWriter(tmp_path / "clip.mp4", 10) as writer:
        for i in range(30):
            writer.write(picture(i), i / 10)
    return tmp_path / "clip.mp4"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    for i in range(30):
        cv2.imwrite(str(tmp_path / "pictures" / f"{i}.png"), picture(i if i < 29 else None))
    return tmp_path / "pictures"


def test_a_clip_gives_json_an_annotated_clip_and_a_table(call, clip, tmp_path):
    done = call("count", clip, "--model", "m", "--scene", "scene.yaml", "--json", "o.json", "--video", "o.mp4")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(told, SCHEMA)
    assert list(told) == ["source", "frames", "seconds", "fps", "lines", "zones", "classes"]
    assert (told["frames"], told["seconds"], told["fps"]) == (30, 3.0, 10.0)
    assert told["lines"]["gate"] == {"in": 1, "out": 0, "by_class": {"car": {"in": 1, "out": 0}}}
    assert told["zones"]["lower"]["entered"] == 1
    assert told["classes"] == {"car": 1}
    assert "gate" in done.stderr
    with av.open(str(tmp_path / "o.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 30
    # the line is drawn where the scene has it
    assert frames[0][58:63, 20].max() > 150
    assert not list(tmp_path.glob(".*.part"))


BUSY = """
camera: yard
time_zone: Europe/Berlin
lines:
  - {name: gate, from: [0, 60], to: [160, 60]}
  - {name: "exit [b]", from: [0, 90], to: [160, 90]}
zones:
  - {name: lower, polygon: [[0, 70], [160, 70], [160, 120], [0, 120]], crowding: {more_than: 0, for_seconds: 0.5}}
flows:
  - {name: through, from: gate, to: {line: "exit [b]", direction: in}}
"""


def test_flows_crowds_and_intervals_are_in_json_and_table(call, clip, tmp_path):
    (tmp_path / "busy.yaml").write_text(BUSY)
    options = ("--model", "m", "--scene", "busy.yaml", "--json", "o.json", "--video", "o.mp4")
    # the clock is put forward from 2 to 3 after the first crossing, which is at 1 s: 30 + 3 * 10 = 60
    done = call("count", clip, *options, "--interval", "hour", "--start", "2026-03-29T01:59:58.500")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(told, SCHEMA)
    assert told["matrix"] == {"gate": {"exit [b] in": 1}}
    # the lower edge lies on the lines in pictures 10 and 20
    assert told["flows"]["through"]["travel_seconds"]["mean"] == pytest.approx(1.0, abs=0.05)
    zone = told["zones"]["lower"]
    # below y = 70 after picture 13, and until the end
    assert (zone["entered"], zone["left"], zone["occupancy"], zone["peak"]) == (1, 0, 1, 1)
    assert zone["dwell_seconds"]["max"] == pytest.approx(2.9 - 40 / 30, abs=0.05)
    assert zone["crowding"]["crowded"] is True
    # from picture 15 on beyond the border by the margin, and that for half a second
    assert zone["crowding"]["latest"][0]["from"] == pytest.approx(1.5 + 0.5)
    assert told["intervals"]["time_zone"] == "Europe/Berlin"
    rows = [(row["start"], row["kind"], row["name"], row["in"]) for row in told["intervals"]["rows"]]
    assert rows == [
        ("2026-03-29T01:00:00+01:00", "line", "gate", 1),
        ("2026-03-29T01:00:00+01:00", "zone", "lower", 1),
        ("2026-03-29T03:00:00+02:00", "line", "exit [b]", 1),
        ("2026-03-29T03:00:00+02:00", "flow", "through", 1),
    ]
    for words in ("exit [b]", "through", "crowded zone", "inside at the end", "2026-03-29 03:00:00+02:00"):
        assert words in done.stderr


def test_intervals_go_by_the_offset_where_the_scene_has_no_time_zone(call, clip, tmp_path):
    options = ("--model", "m", "--scene", "scene.yaml", "--json", "o.json")
    done = call("count", clip, *options, "--interval", "day", "--start", "2026-03-29T23:59:58-03:30")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "o.json").read_text())["intervals"]
    assert [(row["start"], row["kind"]) for row in told["rows"]] == [
        ("2026-03-29T00:00:00-03:30", "line"), ("2026-03-29T00:00:00-03:30", "zone")
    ]  # fmt: skip
    assert told["time_zone"] == "UTC-03:30"


def test_json_to_the_standard_output_is_json_alone(call, clip):
    done = call("count", clip, "--model", "m", "--json", "-")
    assert json.loads(done.stdout)["lines"] == {}


def test_a_folder_gives_a_count_per_picture(call, folder, tmp_path):
    (folder / "7.png").write_bytes(b"broken")
    done = call("count", folder, "--model", "m", "--scene", "scene.yaml", "--json", "o.json")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(told, SCHEMA)
    assert [p["file"] for p in told["pictures"]] == [f"{i}.png" for i in range(30) if i != 7]
    assert [p["total"] for p in told["pictures"]] == [1] * 28 + [0]
    # the lower edge lies below y = 70 from picture 14 on: 30 + 3 * 14 = 72
    assert [p["zones"]["lower"]["car"] for p in told["pictures"]] == [0] * 13 + [1] * 15 + [0]
    assert any("7.png" in warning for warning in told["warnings"])
    assert any("lines were not counted" in warning for warning in told["warnings"])


def test_a_folder_with_a_rate_is_a_clip(call, folder, tmp_path):
    done = call("count", folder, "--model", "m", "--scene", "scene.yaml", "--json", "o.json", "--fps", "10")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "o.json").read_text())["lines"]["gate"]["in"] == 1


def test_a_single_picture(call, folder, tmp_path):
    done = call("count", folder / "3.png", "--model", "m", "--json", "o.json")
    assert done.exit_code == 0, done.output
    assert [p["counts"] for p in json.loads((tmp_path / "o.json").read_text())["pictures"]] == [
        {"person": 0, "car": 1}
    ]


def test_a_truncated_clip_is_counted_with_a_warning(call, clip, tmp_path):
    clip.write_bytes(clip.read_bytes()[:-900])
    done = call("count", clip, "--model", "m", "--json", "o.json")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(told, SCHEMA)
    assert told["frames"] < 30
    assert told["warnings"]
    assert "warning" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nothing.mp4"], "found none; check the path"),
        (["clip.mp4", "--scene", "none.yaml"], "expected a scene file, found none"),
        (["clip.mp4", "--json", "no/such/o.json"], "does not exist; create it first"),
        (["clip.mp4", "--video", "no/such/o.mp4"], "does not exist; create it first"),
        (["clip.mp4", "--classes", "lorry"], "does not know 'lorry'"),
        (["clip.mp4", "--confidence", "7"], "0<=x<=1"),
        (["pictures", "--video", "o.mp4"], "--video needs a clip"),
        (["clip.mp4", "--video", "-"], "expected the name of a file that ends in .mp4"),
        (["clip.mp4", "--video", "o.avi"], "expected the name of a file that ends in .mp4"),
        (["clip.mp4", "--fps", "5"], "--fps is the rate of a folder of pictures; clip.mp4 is none"),
        (["pictures/3.png", "--fps", "5"], "--fps is the rate of a folder of pictures"),
        (["ftp://user:secret@cam/1"], "ftp://***@cam/1: expected a camera's address"),
        (["a" * 300], "cannot be read: File name too long"),
        (["clip.mp4", "--json", "a" * 300 + ".json"], "File name too long"),
        (["clip.mp4", "--video", "clip.mp4"], "clip.mp4: this would replace what the command reads"),
        (["clip.mp4", "--json", "clip.mp4"], "clip.mp4: this would replace what the command reads"),
        (["clip.mp4", "--video", "link.mp4"], "link.mp4: this would replace what the command reads"),
        (["clip.mp4", "--scene", "scene.yaml", "--json", "./scene.yaml"], "this would replace what the command"),
        (["clip.mp4", "--video", "o.mp4", "--json", "o.mp4"], "this would replace what the command"),
        (["clip.mp4", "--interval", "5min", "--start", "2026-03-29T00:30+01:00"], "'5min' is not one of '1min',"),
        (["clip.mp4", "--interval", "day"], "--interval needs --start: when the clip began"),
        (["clip.mp4", "--start", "2026-03-29T00:30+01:00"], "give --interval, too"),
        (
            ["clip.mp4", "--interval", "day", "--start", "noon"],
            "--start noon: expected a time, as 2026-03-29T00:30",
        ),
        (
            ["clip.mp4", "--interval", "day", "--start", "2026-03-29T00:30"],
            "state its offset, as 2026-03-29T00:30+01",
        ),
        (
            ["clip.mp4", "--scene", "busy.yaml", "--interval", "day", "--start", "2026-03-29T02:30"],
            "the clock of Europe/Berlin shows 2026-03-29T02:30 never",
        ),
        (["pictures", "--interval", "day", "--start", "2026-03-29T00:30+01:00"], "--interval needs a clip"),
        (
            ["clip.mp4", "--interval", "day", "--start", "0001-01-01T00:00+14:00"],
            "--start 0001-01-01T00:00+14:00: expected a time",
        ),
        (["rtsp://h/1", "--seconds", "nan"], "'--seconds': expected a number above 0, up to 31622400, got nan"),
        (["rtsp://h/1", "--seconds", "inf"], "up to 31622400, got inf"),
        (["rtsp://h/1", "--seconds", "0"], "expected a number above 0"),
        (["pictures", "--fps", "inf"], "'--fps': expected a number above 0, up to 1000, got inf"),
        (["pictures", "--json", "pictures/3.png"], "this would replace what the command reads"),
    ],
)
def test_what_a_user_can_put_right_is_told_in_a_sentence(call, clip, folder, arguments, reason, tmp_path):
    (tmp_path / "link.mp4").symlink_to("clip.mp4")
    (tmp_path / "busy.yaml").write_text(BUSY)
    before = clip.read_bytes(), (tmp_path / "scene.yaml").read_bytes(), (folder / "3.png").read_bytes()
    done = call("count", *arguments, "--model", "m")
    assert done.exit_code == 2
    assert reason in done.output
    assert "secret" not in done.output
    assert (clip.read_bytes(), (tmp_path / "scene.yaml").read_bytes(), (folder / "3.png").read_bytes()) == before
    assert "Traceback" not in done.output
    assert not list(tmp_path.glob("o.*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system")
def test_counts_are_shown_where_they_cannot_be_written(call, clip):
    """A disk that is full in the end must not take with it what was counted for hours."""
    done = call("count", clip, "--model", "m", "--scene", "scene.yaml", "--json", "/dev/full")
    assert done.exit_code == 1
    assert "/dev/full: cannot be written: No space left on device" in done.output
    assert "objects seen: 1 " in done.stderr


def test_a_clip_that_cannot_be_written_any_more_takes_no_count_with_it(call, clip, tmp_path, monkeypatch):
    real, written = ClipWriter._mux, []

    def full(self, frame):  # after ten frames, as FFmpeg tells it
        written.append(frame)
        if len(written) > 10:
            self.discard()
            raise SourceError(f"{self.path}: the clip cannot be written: No space left on device")
        real(self, frame)

    monkeypatch.setattr(ClipWriter, "_mux", full)
    options = ("--model", "m", "--scene", "scene.yaml", "--video", "o.mp4", "--json", "o.json")
    done = call("count", clip, *options)
    assert done.exit_code == 1
    assert done.output.count("the clip cannot be written: No space left") == 2  # when it happened, and in the end
    assert "annotated clip" not in done.output
    assert json.loads((tmp_path / "o.json").read_text())["frames"] == 30
    assert not list(tmp_path.glob("o.mp4*")) + list(tmp_path.glob(".o.mp4*"))
    # but where there is no room for the first frame, nothing is begun
    done = call("count", clip, *options[:-1], "other.json")
    assert done.exit_code == 2
    assert not (tmp_path / "other.json").exists()


def test_an_old_result_stays_where_counting_fails(call, clip, tmp_path):
    (tmp_path / "o.json").write_text("old")
    (tmp_path / "o.mp4").write_text("old")
    (tmp_path / "lorry.yaml").write_text("lines: [{name: a, from: [0, 60], to: [160, 60], classes: [lorry]}]")
    done = call("count", clip, "--model", "m", "--scene", "lorry.yaml", "--json", "o.json", "--video", "o.mp4")
    assert done.exit_code == 2
    assert "lorry" in done.output
    assert (tmp_path / "o.json").read_text() == (tmp_path / "o.mp4").read_text() == "old"


@pytest.mark.parametrize("name", ["scene.png", "shown.jpg"])
def test_draw_makes_a_picture_of_the_scene(call, clip, tmp_path, name):
    done = call("draw", "scene.yaml", clip, *([] if name == "scene.png" else ["--out", name]))
    assert done.exit_code == 0, done.output
    drawn = cv2.imread(str(tmp_path / name))
    assert drawn.shape == (120, 160, 3)
    assert drawn[58:63, 20].max() > 150
    assert "1 line(s), 1 zone(s) on 160x120" in done.output


def test_draw_does_not_replace_what_it_draws_on(call, folder, tmp_path):
    frame = tmp_path / "scene.png"
    frame.write_bytes((folder / "3.png").read_bytes())
    done = call("draw", "scene.yaml", "scene.png")
    assert done.exit_code == 2
    assert "scene.png: this would replace what the command reads; give the output another name" in done.output
    assert frame.read_bytes() == (folder / "3.png").read_bytes()
    assert call("draw", "scene.yaml", "scene.png", "--out", "drawn.png").exit_code == 0


def test_links_are_written_through_and_pipes_stay_pipes(call, clip, tmp_path):
    (tmp_path / "kept.json").write_text("old")
    (tmp_path / "link.json").symlink_to("kept.json")
    assert call("count", clip, "--model", "m", "--json", "link.json").exit_code == 0
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "kept.json").read_text())["frames"] == 30
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as threads:
        read = threads.submit((tmp_path / "pipe").read_bytes)
        assert call("count", clip, "--model", "m", "--json", "pipe").exit_code == 0
        assert json.loads(read.result(timeout=20))["frames"] == 30
    assert (tmp_path / "pipe").is_fifo()


def test_names_in_square_brackets_are_shown_as_they_are(call, clip, folder, tmp_path):
    (tmp_path / "odd.yaml").write_text(
        'lines: [{name: "gate [north]", from: [0, 60], to: [160, 60]},\n'
        '        {name: "x [/out]", from: [0, 9], to: [9, 9]}]\n'
        'zones: [{name: "[b]low[/]", polygon: [[0, 70], [160, 70], [160, 120], [0, 120]]}]'
    )
    done = call("count", clip, "--model", "m", "--scene", "odd.yaml", "--json", "o.json")
    assert done.exit_code == 0, done.output
    for name in ("gate [north]", "x [/out]", "[b]low[/]"):
        assert name in done.stderr
    assert list(json.loads((tmp_path / "o.json").read_text())["lines"]) == ["gate [north]", "x [/out]"]
    (folder / "4.png").rename(folder / "a [bold]b.png")
    assert "a [bold]b.png" in call("count", folder, "--model", "m").stderr


def test_a_name_that_is_not_utf8_is_counted(call, folder, tmp_path):
    odd = Path(os.fsdecode(bytes(folder / "3") + b"\xff.png"))
    (folder / "3.png").rename(odd)
    assert call("count", odd, "--model", "m", "--json", "o.json").exit_code == 0
    (told,) = json.loads((tmp_path / "o.json").read_text())["pictures"]
    assert told["file"] == odd.name


def test_warnings_are_told_also_where_nothing_else_is(call, clip):
    clip.write_bytes(clip.read_bytes()[:-900])
    done = call("count", clip, "--model", "m", "--quiet")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr.startswith("warning: ")
    assert len(done.stderr.splitlines()) == 1


def test_no_library_that_counting_loads_reports_anything(tmp_path: Path, root: Path):
    model = build(tmp_path / "toy.onnx")
    code = (
        "import sys, camera_counting.cli; from camera_counting.detectors import open_detector; "
        "[open_detector(sys.argv[1], runtime=name) for name in ('openvino', 'onnxruntime')]"
    )
    log, home = tmp_path / "network.log", tmp_path / "home"
    home.mkdir()
    silenced_by = ("CI", "PYTEST_CURRENT_TEST", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    environment = {name: value for name, value in os.environ.items() if name not in silenced_by}
    environment |= {
        "PYTHONPATH": str(root / "tests" / "end_to_end" / "closed_network"),
        "CLOSED_NETWORK_LOG": str(log),
        "HOME": str(home),
    }
    subprocess.run([sys.executable, "-c", code, str(model)], env=environment, check=True, timeout=120)
    assert not log.exists(), log.read_text()
    assert not (home / "intel").exists(), "OpenVINO's reporting leaves an identity there"


def test_no_telemetry_is_sent_unless_the_user_says_so():
    code = (
        "import os, camera_counting.cli, mlflow; from mlflow.telemetry.utils import is_telemetry_disabled; "
        "print(is_telemetry_disabled(), os.environ['DO_NOT_TRACK'])"
    )
    # without what turns it off by itself, CI and pytest
    bare = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", code], env=bare, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "True 1"
    code = "import os, camera_counting.cli; print(os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    bare["MLFLOW_DISABLE_TELEMETRY"] = "false"
    done = subprocess.run(
        [sys.executable, "-c", code], env=bare, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "false"


def test_doctor_tells_what_this_machine_can_run(call):
    done = call("doctor")
    assert done.exit_code == 0, done.output
    assert "this machine can count" in done.output
    rows = dict(line.split(maxsplit=1) for line in done.output.splitlines() if not line.startswith("this"))
    for runtime in installed_runtimes():
        assert rows[runtime] == metadata.version(runtime)


def test_draw_refuses_what_it_cannot_write_or_read(call, clip, folder):
    assert "ends in .png or .jpg" in call("draw", "scene.yaml", clip, "--out", "x.gif").output
    assert "found none" in call("draw", "scene.yaml", "none.mp4").output
    assert call("draw", "none.yaml", clip).exit_code == 2


def test_the_help_imports_no_model_runtime():
    code = (
        "import sys; from camera_counting.cli import count, draw; "
        "print({'openvino', 'mlflow', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "set()"
