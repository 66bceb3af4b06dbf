"""Lines in MOT format, and counting on published detections as a user calls it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import camera_counting
from camera_counting.cli import main
from camera_counting.errors import SourceError
from camera_counting.mot import MotLineError, parse_mot_line, read_mot_detections

SCHEMA = json.loads((Path(camera_counting.__file__).parent / "schemas" / "count.schema.json").read_text())
SCENE = "camera: yard\nunits: pixels\nlines:\n  - {name: gate, from: [0, 240], to: [640, 240]}\n"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "det.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def walk(first: int, last: int, top: int, step: int, tail: str = "0.9,-1,-1,-1", left: int = 300) -> list[str]:
    """Somebody of 40 x 80 pixels who goes down by `step` a frame."""
    return [f"{f},-1,{left},{top + step * (f - first)},40,80,{tail}" for f in range(first, last + 1)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1,2,3", "at least 6 values, got 3"),
        ("frame,id,x,y,w,h", "numbers with commas between, got 'frame' as value 1"),
        ("1 -1 3 4 5 6", "got '1 -1 3 4 5 6' as value 1"),
        ("1,1,inf,2,3,4", "finite numbers"),
        ("0,-1,1,2,3,4", "a whole number from 1, got 0"),
        ("1.5,-1,1,2,3,4", "a whole number from 1, got 1.5"),
        ("1,-1,1,2,3,4,1,2.5", "as value 8, got 2.5"),
    ],
)
def test_a_line_that_is_not_mots_says_what_was_expected(line: str, expected: str) -> None:
    with pytest.raises(MotLineError, match="expected.*" + expected.replace("(", r"\(")):
        parse_mot_line(line)


@given(
    st.integers(1, 10**6),
    st.tuples(*[st.floats(-1e4, 1e4).map(lambda v: round(v, 3))] * 4),
    st.floats(0, 1).map(lambda v: round(v, 4)),
    st.one_of(st.just(-1), st.integers(1, 13)),
)
def test_what_is_written_is_read(frame: int, box: tuple[float, ...], score: float, kind: int) -> None:
    line = parse_mot_line(f"{frame}, -1, {', '.join(map(str, box))}, {score}, {kind}, -1")
    assert (line.frame, line.box, line.confidence, line.kind) == (frame, box, score, kind)


@given(st.text(max_size=60))
def test_any_text_is_a_line_or_a_sentence(text: str) -> None:
    with suppress(MotLineError):
        parse_mot_line(text)


def test_frames_count_from_one_and_empty_ones_are_there(tmp_path: Path) -> None:
    held = read_mot_detections(written(tmp_path, "4,-1,10,20,30,40,0.5", "2,-1,1,2,3,4,0.7"), 10.0)
    seen = list(held)
    assert [round(seconds, 9) for seconds, _ in seen] == [0.0, 0.1, 0.2, 0.3]
    assert [len(found) for _, found in seen] == [0, 1, 0, 1]
    assert seen[3][1].boxes.tolist() == [[10, 20, 40, 60]]
    assert held.names == ("object",)


def test_numbers_are_mot16s_unless_labels_name_them(tmp_path: Path) -> None:
    path = written(tmp_path, "1,-1,1,2,3,4,1,1", "1,-1,1,2,3,4,1,3", "1,-1,1,2,3,4,-1,3")
    (_, seen), *_ = read_mot_detections(path, 10)
    assert [seen.names[i] for i in seen.class_ids] == ["person", "car", "car"]
    assert seen.scores.tolist() == [1, 1, 1]
    (_, named), *_ = read_mot_detections(path, 10, ["bus", "tram", "ship"])
    assert [named.names[i] for i in named.class_ids] == ["bus", "ship", "ship"]


@pytest.mark.parametrize(
    ("line", "labels", "expected"),
    [
        ("1,-1,1,2,0,4,1", None, "width and a height above 0 as values 5 and 6, got 0 and 4"),
        ("1,-1,1,2,3,4,87", None, "confidence from 0 to 1 as value 7, or -1 where there is none, got 87"),
        ("1700000000,-1,1,2,3,4,1", None, "is it a time"),
        ("1,-1,1,2,3,4,1,9", None, r"class number of 1 \(person\).*got 9"),
        ("1,-1,1,2,3,4,1,3", ["car", "bus"], "class number from 1 to 2 for the labels car, bus.*got 3"),
        ("1,-1,1,2,3,4,1,-1", ["car", "bus"], "got none; give one label"),
    ],
)
def test_a_wrong_detection_is_told_with_its_line(tmp_path, line, labels, expected) -> None:
    path = written(tmp_path, "" if labels or "9" in line else "1,-1,1,2,3,4,1", "", line)
    with pytest.raises(SourceError, match=r"det\.txt, line 3: expected .*" + expected):
        read_mot_detections(path, 10, labels)


def test_classes_are_in_all_lines_or_in_none(tmp_path: Path) -> None:
    path = written(tmp_path, "1,-1,1,2,3,4,1,1", "2,-1,1,2,3,4,1,-1")
    with pytest.raises(SourceError, match="line 2: expected a class number as value 8 in all lines or in none"):
        read_mot_detections(path, 10)


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("scene.yaml").write_text(SCENE)

    def run(*arguments):
        return CliRunner().invoke(main, ["count", *map(str, arguments)])

    return run


def test_published_detections_are_counted_without_video_and_model(call, tmp_path) -> None:
    """One goes down over the line and one up; a third one only comes near."""
    up = [f"{f},-1,500,{400 - 12 * f},40,80,0.8,-1,-1,-1" for f in range(1, 31)]
    written(tmp_path, *walk(1, 30, 20, 12), *up, *walk(1, 30, 20, 1, left=100))
    done = call(
        "--detections", "det.txt", "--size", "640x480", "--fps", 25, "--scene", "scene.yaml", "--json", "out.json"
    )
    assert done.exit_code == 0, done.output
    told = json.loads(Path("out.json").read_text())
    jsonschema.validate(told, SCHEMA)
    gate = told["lines"]["gate"]
    assert (gate["in"], gate["out"]) == (1, 1)
    assert (told["frames"], told["seconds"], told["fps"]) == (30, 1.2, 25)
    assert told["classes"] == {"object": 3}
    assert "det.txt: 30 frames, 1.2 s, 25 frames per second" in done.output


def test_labels_name_classes_and_the_line_counts_its_own(call, tmp_path) -> None:
    written(tmp_path, *walk(1, 30, 20, 12, "0.9,2"), *walk(1, 30, 20, 12, "0.9,1", left=100))
    Path("scene.yaml").write_text(SCENE.replace("240]}", "240], classes: [van]}"))
    done = call(
        "--detections", "det.txt", "--size", "640x480", "--fps", 25, "--scene", "scene.yaml",
        "--labels", "man, van", "--json", "-", "--quiet",
    )  # fmt: skip
    assert json.loads(done.stdout)["lines"]["gate"]["by_class"] == {"van": {"in": 1, "out": 0}}


WHOLE = ["--detections", "det.txt", "--size", "640x480", "--fps", 25, "--scene", "scene.yaml"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["clip.mp4", *WHOLE], "clip.mp4 is a clip or pictures, and --detections det.txt holds what was detected"),
        ([*WHOLE, "--model", "m"], "--model detects, and --detections"),
        ([*WHOLE, "--video", "o.mp4"], "--video needs a clip, and --detections"),
        (WHOLE[:2], "--detections needs --size WIDTHxHEIGHT and --fps RATE"),
        (WHOLE[:4], "--detections needs --fps RATE"),
        (WHOLE[:6], "--detections needs --scene FILE"),
        (["--detections", "det.txt", "--size", "640", *WHOLE[4:]], "--size 640: expected WIDTHxHEIGHT"),
        (["--detections", "det.txt", "--size", "0x480", *WHOLE[4:]], "--size 0x480: expected WIDTHxHEIGHT"),
        ([*WHOLE, "--labels", "a,,b"], "--labels a,,b: expected names"),
        ([*WHOLE, "--labels", "a,a"], "--labels a,a: expected names"),
        ([*WHOLE, "--classes", "bus"], "--classes: expected some of object, which det.txt has, got bus"),
        (["clip.mp4", "--model", "m", "--size", "640x480"], "--size says something of published detections"),
        (["clip.mp4", "--model", "m", "--labels", "a"], "--labels says something of published detections"),
        ([], "expected a clip, a picture or a folder to count on, or --detections FILE"),
        (["clip.mp4"], "--model URI is missing"),
        ([*WHOLE, "--json", "det.txt"], "this would replace what the command reads"),
        (["--detections", "gone.txt", *WHOLE[2:]], "gone.txt: No such file"),
    ],
)
def test_options_that_do_not_go_together_are_refused(call, tmp_path, arguments, expected) -> None:
    written(tmp_path, *walk(1, 3, 20, 12))
    done = call(*arguments)
    assert done.exit_code == 2
    assert expected in " ".join(done.output.split())


def test_other_bytes_and_an_empty_file_are_told(call, tmp_path) -> None:
    Path("det.txt").write_bytes(b"\xff\xfe\x00")
    assert "expected a text file of detections in MOT format" in " ".join(call(*WHOLE).output.split())
    Path("det.txt").write_text("\n")
    assert "expected at least one detection" in " ".join(call(*WHOLE).output.split())
