"""Truths of clips: what is read, and what contradicts itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from counting_evaluator.clip_truth import TrueClip, read_clip_truth
from counting_evaluator.config import ClipTruth
from counting_evaluator.errors import EvaluationError
from pipelines.datasets.generator.clips import plan_clip, truth_dict

GOOD: dict[str, Any] = {
    "lines": {"gate": {"in": 2, "out": 1, "by_class": {"car": {"in": 2, "out": 0}, "bus": {"in": 0, "out": 1}}}},
    "events": [
        {"line": "gate", "class": "car", "direction": "in", "seconds": 2.5},
        {"line": "gate", "class": "bus", "direction": "out", "seconds": 0.5},
        {"line": "gate", "class": "car", "direction": "in", "seconds": 1.5},
    ],
    "zones": {"room": {"occupancy": [0, 1, 1, 2]}},
    "frames": 4,
    "fps": 2,
}


def _read(folder: Path, content: Any) -> TrueClip:
    file = folder / "truth.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_clip_truth(ClipTruth(name="a", video=folder / "a", scene=folder / "s", truth=file))


def test_a_whole_truth_is_read(tmp_path: Path) -> None:
    truth = _read(tmp_path, GOOD)
    assert truth.lines == GOOD["lines"]
    assert truth.times == {("gate", "in", "car"): (1.5, 2.5), ("gate", "out", "bus"): (0.5,)}
    assert truth.occupancy == {"room": (0, 1, 1, 2)}
    assert (truth.frames, truth.fps) == (4, 2)


def test_counts_alone_are_a_truth(tmp_path: Path) -> None:
    truth = _read(tmp_path, {"lines": {"gate": {"by_class": {"car": {"in": 2}}}}})
    assert (truth.times, truth.occupancy, truth.frames) == (None, {}, None)


def test_what_the_generator_writes_is_read(tmp_path: Path) -> None:
    truth = _read(tmp_path, truth_dict(plan_clip(0, seconds=6, width=160, height=90, seed=5)))
    assert truth.times is not None
    assert truth.occupancy
    crossings = sum(
        n for line in truth.lines.values() for ways in line["by_class"].values() for n in ways.values()
    )
    assert sum(len(seconds) for seconds in truth.times.values()) == crossings > 0
    assert {len(inside) for inside in truth.occupancy.values()} == {truth.frames} == {60}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lines": ...}, "expected JSON with the key 'lines'"),
        ({"lines": [1]}, "expected an object of lines"),
        ({"lines": {"gate": {"in": 3}}}, "line gate: expected its counts with the key 'by_class'"),
        ({"lines": {"gate": {"by_class": {"car": {"in": 1.5}}}}}, "whole numbers in and out of class car"),
        ({"lines": {"gate": {"by_class": {"car": {"in": -1}}}}}, "whole numbers in and out of class car"),
        ({"lines": {"gate": {"in": 3, "by_class": {"car": {"in": 2}}}}}, "says 3 in, its classes add up to 2"),
        (
            {"events": GOOD["events"][1:]},
            "events tell of 1 crossings of line gate, in, by class car, its lines of 2",
        ),
        ({"events": [*GOOD["events"], GOOD["events"][0]]}, "events tell of 3 crossings .* its lines of 2"),
        ({"events": [{"line": "gate"}]}, "expected events with line, direction, class and seconds"),
        (
            {"zones": {"room": {"occupancy": [0, 1, 1]}}},
            "zone room: expected its occupancy in each of 4 frames, got 3",
        ),
        ({"zones": {"room": {"occupancy": [0, 1, 1, -2]}}}, "zone room: expected a list of how many"),
        ({"zones": {"room": {"occupancy": "many"}}}, "zone room: expected a list of how many"),
        ({"zones": ["room"]}, "expected an object of zones"),
        ({"fps": ...}, "zone room: .*'frames' and 'fps' are needed"),
        ({"fps": 0}, "expected fps above 0, got 0"),
        ({"frames": "four"}, "expected frames above 0, got 'four'"),
    ],
)
def test_what_contradicts_itself_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = {key: value for key, value in (GOOD | change).items() if value is not ...}
    with pytest.raises(EvaluationError, match=rf"^clip a: .*truth\.json.*{message}|clip a: {message}"):
        _read(tmp_path, content)


@pytest.mark.parametrize("content", ["no JSON", "[]", "null", '"lines"'])
def test_other_files_are_no_truth(tmp_path: Path, content: str) -> None:
    with pytest.raises(EvaluationError, match="clip a: expected JSON with the key 'lines'"):
        _read(tmp_path, content)
