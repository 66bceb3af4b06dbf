"""Scenes: what is read, what is refused, and with which words."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from camera_counting.errors import SceneError
from camera_counting.scene import Anchor, Scene, scene_schema

LINE = {"name": "gate", "from": [10, 20], "to": [100, 20]}
SQUARE = {"name": "yard", "polygon": [[0, 0], [100, 0], [100, 100], [0, 100]]}
EXIT = {"name": "exit", "from": [10, 80], "to": [100, 80]}
FLOW = {"name": "through", "from": "gate", "to": "exit"}


def with_flow(**keys):
    return {"lines": [LINE, EXIT], "flows": [{**FLOW, **keys}]}


REFUSED = {
    "nothing": (None, "expected the keys camera, lines, zones; got nothing"),
    "a list": ([1], "got list"),
    "no line and no zone": ({"camera": "x"}, "at least one line or zone"),
    "zero length": ({"lines": [{**LINE, "to": [10, 20]}]}, r"lines\[0\]: expected two different ends"),
    "two corners": (
        {"zones": [{"name": "z", "polygon": [[0, 0], [1, 5]]}]},
        r"zones\[0\]: .*at least 3 corners, got 2",
    ),
    "self-crossing": (
        {"zones": [{"name": "z", "polygon": [[0, 0], [10, 10], [10, 0], [0, 10]]}]},
        r"zones\[0\]: .*edges 1 and 3 cross",
    ),
    "folded back": (
        {"zones": [{"name": "z", "polygon": [[0, 0], [10, 0], [5, 0], [5, 5]]}]},
        "edges 1 and 2 cross or touch",
    ),
    "no area": (
        {"zones": [{"name": "z", "polygon": [[0, 0], [5, 5], [10, 10]]}]},
        "expected a polygon with an area",
    ),
    "closed": ({"zones": [{**SQUARE, "polygon": [*SQUARE["polygon"], [0, 0]]}]}, "closes by itself"),
    "same name twice": (
        {"lines": [LINE], "zones": [{**SQUARE, "name": "gate"}]},
        r"zones\[0\].name: .*lines\[0\]",
    ),
    "NaN": (
        {"lines": [{**LINE, "to": [float("nan"), 2]}]},
        r"lines\[0\].to\[0\]: expected a finite number, got nan",
    ),
    "infinite": ({"lines": [{**LINE, "to": [float("inf"), 2]}]}, r"lines\[0\].to\[0\]: expected a finite number"),
    "unknown key": ({"lines": [{**LINE, "colour": "red"}]}, r"lines\[0\].colour: unknown key"),
    "missing key": (
        {"lines": [{"name": "gate", "from": [1, 2]}]},
        r"lines\[0\].to: expected this key, found none",
    ),
    "no classes": ({"lines": [{**LINE, "classes": []}]}, r"lines\[0\].classes"),
    "empty name": ({"lines": [{**LINE, "name": ""}]}, r"lines\[0\].name"),
    "unknown anchor": ({"lines": [{**LINE, "anchor": "feet"}]}, r"lines\[0\].anchor"),
    "unknown units": ({"units": "metres", "lines": [LINE]}, "units"),
    "negative": ({"lines": [{**LINE, "from": [-1, 5]}]}, r"lines\[0\].from: expected a point inside the picture"),
    "beyond 1": ({"units": "relative", "lines": [LINE]}, r"lines\[0\].from: .*0..1 \(units: relative\)"),
    "beyond size": ({"size": [90, 90], "lines": [LINE]}, r"lines\[0\].to: .*90x90"),
    "just beyond 1, without units": (
        {"lines": [{**LINE, "from": [0, 0.5], "to": [1.02, 0.5]}]},
        r"lines\[0\].to: expected relative coordinates within 0..1, got \(1.02, 0.5\); .*`units: pixels`",
    ),
    "too many corners": (
        {"zones": [{"name": "z", "polygon": [[i, i * i] for i in range(201)]}]},
        r"zones\[0\].polygon: expected at most 200, got more",
    ),
    "too many lines": ({"lines": [{**LINE, "name": f"{i}"} for i in range(101)]}, "lines: expected at most 100"),
    "a number beyond all numbers": ({"lines": [{**LINE, "to": [10**5000, 2]}]}, r"lines\[0\].to\[0\]: "),
    "three numbers": ({"lines": [{**LINE, "to": [1, 2, 3]}]}, r"lines\[0\].to"),
    "unknown line in a flow": (
        with_flow(to="exti"),
        r"flows\[0\].to: there is no line 'exti'; the scene has 'gate', 'exit'",
    ),
    "a flow from a zone": (
        {"zones": [SQUARE], "flows": [{**FLOW, "from": "yard"}]},
        r"flows\[0\].from: there is no line 'yard'; the scene has no line",
    ),
    "a flow that leads nowhere": (with_flow(to="gate"), r"flows\[0\]: expected a flow from one line to another"),
    "a flow there and back, in one direction": (
        with_flow(**{"from": {"line": "gate", "direction": "in"}, "to": {"line": "gate", "direction": "in"}}),
        r"flows\[0\]: .*got gate in to gate in",
    ),
    "a flow with a line's name": (
        with_flow(name="exit"),
        r"flows\[0\].name: .*lines\[1\] is called 'exit' already",
    ),
    "two flows of one name": (
        {"lines": [LINE, EXIT], "flows": [FLOW, {**FLOW, "from": "exit", "to": "gate"}]},
        r"flows\[1\].name: .*flows\[0\] is called 'through' already",
    ),
    "a flow in no time": (with_flow(within_seconds=0), r"flows\[0\].within_seconds: .*greater than 0"),
    "a direction that is none": (
        with_flow(to={"line": "exit", "direction": "up"}),
        r"flows\[0\].to.direction: .*'in' or 'out', got 'up'",
    ),
    "a number for a line": (with_flow(to=7), r"flows\[0\].to: expected a line's name, or .*; got 7"),
    "unknown time zone": (
        {"time_zone": "Europe/Berln", "lines": [LINE]},
        r"time_zone: expected a time zone's IANA name, .* no 'Europe/Berln' \(Europe/Berlin\?\)",
    ),
    "a crowd of less than nobody": (
        {"zones": [{**SQUARE, "crowding": {"more_than": -1}}]},
        r"zones\[0\].crowding.more_than: .*greater than or equal to 0, got -1",
    ),
    "a crowd for NaN seconds": (
        {"zones": [{**SQUARE, "crowding": {"more_than": 3, "for_seconds": float("nan")}}]},
        r"zones\[0\].crowding.for_seconds: expected a finite number, got nan",
    ),
    "a crowd at a line": (
        {"lines": [{**LINE, "crowding": {"more_than": 3}}]},
        r"lines\[0\].crowding: unknown key",
    ),
    "NaN in a polygon": (
        {"zones": [{**SQUARE, "polygon": [[0, 0], [float("nan"), 0], [9, 9]]}]},
        r"zones\[0\].polygon\[1\]\[0\]: expected a finite number, got nan",
    ),
    "text for a point": ({"lines": [{**LINE, "to": "there"}]}, r"lines\[0\].to: expected a list"),
}


@pytest.mark.parametrize(("value", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused_with_key_and_reason(value, reason):
    with pytest.raises(SceneError, match=f"^cam.yaml: .*{reason}"):
        Scene.from_dict(value, source="cam.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("lines:\n- {name: a, from: [1, 2", "no valid YAML: line 2"),
        ("lines: []\nlines: []", "line 2, column 1: the key 'lines' stands twice"),
        ("lines: !!python/object:os.system []", "no valid YAML"),
    ],
)
def test_broken_yaml_is_told_with_its_line(tmp_path, text, reason):
    path = tmp_path / "cam.yaml"
    path.write_text(text)
    with pytest.raises(SceneError, match=reason) as caught:
        Scene.load(path)
    assert str(path) in str(caught.value)


def test_broken_json_missing_and_binary_files_are_told(tmp_path):
    with pytest.raises(SceneError, match="line 1, column 2"):
        Scene.from_json("{")
    with pytest.raises(SceneError, match="found none; check the path"):
        Scene.load(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SceneError, match="UTF-8"):
        Scene.load(tmp_path / "b.yaml")


def test_a_file_in_yaml_and_json_gives_the_same_scene(tmp_path):
    value = {
        "camera": "c1",
        "time_zone": "Europe/Berlin",
        "lines": [{**LINE, "classes": ["car"], "anchor": "center"}, EXIT],
        "zones": [{**SQUARE, "crowding": {"more_than": 10, "for_seconds": 30}}],
        "flows": [{**FLOW, "to": {"line": "exit", "direction": "out"}, "within_seconds": 300}],
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(value))
    scene = Scene.load(tmp_path / "a.yaml")
    assert scene == Scene.from_json(json.dumps(value))
    assert scene.lines[0].anchor is Anchor.CENTER
    assert scene.zones[0].anchor is Anchor.BOTTOM
    assert scene.flows[0].origin.direction is None
    assert Scene.from_dict(scene.to_dict()) == scene
    # what is no place is the same in every size
    fitted = scene.for_size(640, 480)
    assert (fitted.flows, fitted.time_zone) == (scene.flows, "Europe/Berlin")
    assert fitted.zones[0].crowding == scene.zones[0].crowding


@pytest.mark.parametrize(
    ("value", "size", "start"),
    [
        ({"lines": [LINE]}, (640, 480), (10, 20)),
        ({"size": [320, 240], "lines": [LINE]}, (640, 480), (20, 40)),
        ({"lines": [{"name": "a", "from": [0.5, 0.25], "to": [1, 1]}]}, (640, 480), (320, 120)),
        ({"units": "pixels", "lines": [{"name": "a", "from": [0, 1], "to": [1, 1]}]}, (640, 480), (0, 1)),
        ({"units": "relative", "lines": [{"name": "a", "from": [0, 0.5], "to": [1, 1]}]}, (200, 100), (0, 50)),
    ],
)
def test_units(value, size, start):
    fitted = Scene.from_dict(value).for_size(*size)
    assert fitted.lines[0].start == pytest.approx(start)
    assert fitted.in_pixels
    # fitting twice to the same size changes nothing
    assert fitted.for_size(*size) == fitted


def test_a_line_may_run_to_the_far_border_but_not_beyond():
    scene = Scene.from_dict({"lines": [{"name": "a", "from": [150, 215], "to": [640, 215]}]})
    assert scene.for_size(640, 352).lines[0].end == (640, 215)
    with pytest.raises(SceneError, match=r"lines\[0\].from: \(150, 215\) lies outside the picture of 320x176"):
        scene.for_size(320, 176)


def test_unknown_classes_are_refused_by_name():
    scene = Scene.from_dict({"lines": [{**LINE, "classes": ["car", "lorry"]}]})
    with pytest.raises(SceneError, match=r"lines\[0\].classes\[1\]: the model does not know the class 'lorry'"):
        scene.check_classes(["person", "car"])
    assert scene.check_classes(["car", "lorry"]) is scene


def test_what_does_not_fit_names_the_scenes_file(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_text(yaml.safe_dump({"lines": [{**LINE, "classes": ["lorry"]}]}))
    scene = Scene.load(path)
    with pytest.raises(
        SceneError, match=r"gate.yaml: lines\[0\].to: \(100, 20\) lies outside the picture of 64x48"
    ):
        scene.for_size(64, 48)
    with pytest.raises(SceneError, match=r"gate.yaml: lines\[0\].classes\[0\]: .*'lorry'"):
        scene.for_size(640, 480).check_classes(["car"])
    # the file is no part of what a scene is
    again = Scene.from_dict(scene.to_dict())
    assert again == scene
    assert len({again, scene}) == 1
    with pytest.raises(SceneError, match=r"^scene of camera .camera.: lines"):
        again.check_classes(["car"])


def test_a_number_of_thousands_of_digits_is_told():
    digits = "9" * 5000
    for text in (f'{{"size": [{digits}, 3]}}', f"size: [0x{digits}, 3]"):
        for read in (Scene.from_text, Scene.from_json):
            with pytest.raises(SceneError):
                read(text)


def test_the_shipped_schema_is_that_of_the_model():
    import camera_counting

    path = Path(camera_counting.__file__).parent / "schemas" / "scene.schema.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(scene_schema()))


def test_the_schema_takes_good_scenes_and_refuses_bad_ones():
    schema = scene_schema()
    jsonschema.validate({"camera": "c", "lines": [LINE], "zones": [SQUARE]}, schema)
    jsonschema.validate(with_flow(to={"line": "exit", "direction": "in"}), schema)
    for key in (
        "no line and no zone",
        "unknown key",
        "missing key",
        "three numbers",
        "unknown anchor",
        "too many corners",
        "too many lines",
        "a direction that is none",
        "a number for a line",
        "a crowd of less than nobody",
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(REFUSED[key][0], schema)


points = st.tuples(st.floats(0, 640), st.floats(0, 480))


@given(st.lists(points, min_size=2, max_size=7))
def test_whatever_is_drawn_is_a_scene_or_a_scene_error(corners):
    try:
        scene = Scene.from_dict(
            {"size": [640, 480], "zones": [{"name": "z", "polygon": [list(p) for p in corners]}]}
        )
    except SceneError:
        return
    assert scene.for_size(1280, 960).zones[0].area == pytest.approx(4 * scene.zones[0].area)


@given(st.text(max_size=60))
def test_any_text_is_a_scene_or_a_scene_error(text):
    for read in (Scene.from_text, Scene.from_json):
        with pytest.raises(SceneError):
            read(text)
