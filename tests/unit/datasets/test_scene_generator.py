"""The generator: the same bytes for the same seed, and boxes that fit what is drawn."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipelines.datasets.generator import PRESETS, Conditions, Density, generate_clip
from pipelines.datasets.generator.clips import plan_clip
from pipelines.datasets.generator.people import person_look, sketch_person
from pipelines.datasets.generator.pictures import generate_picture, generate_pictures
from pipelines.datasets.generator.rendering import Renderer, Shown
from pipelines.datasets.generator.sites import site, site_lines, site_zones
from pipelines.datasets.generator.vehicles import sketch_vehicle, vehicle_look

SCRIPT = """
import cv2, hashlib, sys
cv2.setNumThreads(int(sys.argv[1]))
from pipelines.datasets.generator import Conditions, PRESETS
from pipelines.datasets.generator.pictures import generate_picture
for weather in ("clear", "rain"):
    shot = generate_picture(1, 320, 240, seed=4, conditions=Conditions(weather=weather), density=PRESETS["street"])
    print(hashlib.sha256(shot.image.tobytes()).hexdigest(), shot.boxes.tolist())
"""


@pytest.mark.slow
def test_same_bytes_whatever_the_threads_and_the_process(root: Path) -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, threads], cwd=root, capture_output=True, text=True, check=True
        ).stdout
        for threads in ("1", "4")
    }
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == 2


def test_a_picture_does_not_depend_on_how_many_there_are() -> None:
    few = list(generate_pictures(3, cameras=range(3), width=96, height=72, seed=1, days=1))
    more = list(generate_pictures(4, cameras=range(3), width=96, height=72, seed=1, days=1))
    for one, two in zip(few, more, strict=False):
        assert np.array_equal(one.image, two.image)
        assert one.time == two.time


def test_another_seed_gives_another_picture() -> None:
    shots = [
        generate_picture(0, 96, 72, seed=seed, conditions=Conditions(), density=Density()).image for seed in (1, 2)
    ]
    assert not np.array_equal(*shots)


@pytest.mark.parametrize("kind", ["person", "car", "truck", "bus"])
@pytest.mark.parametrize("heading", [0.0, 0.7, 1.6, 3.0, -2.0])
def test_a_box_fits_what_is_drawn(kind: str, heading: float) -> None:
    """The pixels that change when something is put into an empty picture, its shadow apart, fill its box."""
    place = site(0)
    renderer = Renderer(place, 320, 240, Conditions(noise=0), seed=3)
    x, z = place.line_at, place.lanes[0].z
    rng = np.random.default_rng(8)
    if kind == "person":
        sketch = sketch_person(person_look(rng), renderer.canvas_view, x, z, heading, 1.0, 1.0, renderer.sun)
    else:
        sketch = sketch_vehicle(vehicle_look(rng, kind), renderer.canvas_view, x, z, heading, renderer.sun)
    assert sketch is not None
    sketch.shadows.clear()
    sketch.contacts.clear()
    empty, nobody = renderer.render([], np.random.default_rng(0))
    picture, (seen,) = renderer.render([Shown(1, sketch, x, z)], np.random.default_rng(0))
    assert nobody == []
    changed = np.abs(picture.astype(int) - empty.astype(int)).max(axis=-1) > 12
    ys, xs = np.nonzero(changed)
    drawn = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    assert np.abs(drawn - np.array(seen.box)).max() <= 2.5, (drawn, seen.box)
    assert seen.visible == 1.0


def test_what_stands_in_front_hides_what_is_behind() -> None:
    place = site(0)
    renderer = Renderer(place, 320, 240, Conditions(), seed=3)
    rng = np.random.default_rng(2)
    x, near, far = place.line_at, place.lanes[0].z, place.far_kerb + 1.2
    behind = sketch_person(person_look(rng), renderer.canvas_view, x * far / near, far, 0, 0, 1, renderer.sun)
    before = sketch_vehicle(vehicle_look(rng, "truck"), renderer.canvas_view, x, near, 0, renderer.sun)
    assert behind is not None
    assert before is not None
    things = [Shown(1, behind, x * far / near, far), Shown(2, before, x, near)]
    _, seen = renderer.render(things, rng)
    assert [s.track for s in seen] == [1, 2]
    assert seen[0].visible < 0.3
    assert seen[1].visible == 1.0


def test_nearer_is_larger_and_lower() -> None:
    place = site(0)
    renderer = Renderer(place, 320, 240, Conditions(), seed=3)
    look = person_look(np.random.default_rng(1))
    boxes = []
    for z in (8.0, 11.0, 14.0):
        sketch = sketch_person(look, renderer.canvas_view, 0.0, z, 0.0, 0.0, 1.0, renderer.sun)
        assert sketch is not None
        boxes.append(sketch.box())
    heights = [y2 - y1 for _, y1, _, y2 in boxes]
    bottoms = [y2 for *_, y2 in boxes]
    assert heights == sorted(heights, reverse=True)
    assert bottoms == sorted(bottoms, reverse=True)


@pytest.mark.parametrize(
    ("conditions", "brighter", "sharper"),
    [
        (Conditions(light="night"), False, None),
        (Conditions(light="dusk"), False, None),
        (Conditions(blur=3), None, False),
        (Conditions(weather="fog"), None, False),
        (Conditions(noise=30), None, True),
    ],
)
def test_knobs_do_what_they_say(conditions: Conditions, brighter: bool | None, sharper: bool | None) -> None:
    def features(shown: Conditions) -> tuple[float, float]:
        shot = generate_picture(0, 320, 240, seed=6, conditions=shown, density=PRESETS["easy"])
        grey = cv2.cvtColor(shot.image, cv2.COLOR_RGB2GRAY)
        return float(grey.mean()), float(cv2.Laplacian(grey, cv2.CV_64F).var())

    (plain_light, plain_edges), (light, edges) = features(Conditions()), features(conditions)
    if brighter is not None:
        assert (light > plain_light) == brighter
    if sharper is not None:
        assert (edges > plain_edges) == sharper


def test_a_moved_camera_keeps_its_lines_and_moves_its_picture() -> None:
    still = plan_clip(0, seconds=2, width=160, height=120, seed=3)
    moved = plan_clip(0, seconds=2, width=160, height=120, seed=3, conditions=Conditions(moved_yaw=6))
    assert still.lines == moved.lines
    (first, _), (second, _) = next(still.draw()), next(moved.draw())
    assert np.abs(first.astype(int) - second.astype(int)).mean() > 10


def test_crowding_means_more_people() -> None:
    def people(preset: str) -> int:
        plans = [plan_clip(c, seconds=4, width=160, height=120, seed=3, density=PRESETS[preset]) for c in range(3)]
        return sum(actor.kind == "person" for plan in plans for actor in plan.actors)

    assert people("easy") < people("street") < people("crowded")


def test_a_clip_and_its_files_agree(tmp_path: Path) -> None:
    clip = generate_clip(tmp_path, "gate", 0, seconds=3, width=160, height=120, seed=2, density=PRESETS["street"])
    with av.open(str(clip.video)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 160, 120)
        assert float(stream.average_rate) == 10.0
    truth = json.loads(clip.truth_file.read_text())
    assert frames == truth["frames"] == 30
    for name, line in truth["lines"].items():
        events = [event for event in truth["events"] if event["line"] == name]
        assert line["in"] == sum(event["direction"] == "in" for event in events)
        assert line["out"] == sum(event["direction"] == "out" for event in events)
        assert line["in"] == sum(count["in"] for count in line["by_class"].values())
    rows = np.loadtxt(clip.mot, delimiter=",")
    assert rows[:, 0].min() >= 1
    assert rows[:, 0].max() <= 30
    assert (rows[:, 2] >= 0).all()
    assert (rows[:, 2] + rows[:, 4] <= 160.01).all()
    assert (rows[:, 3] + rows[:, 5] <= 120.01).all()
    # A track has one class for life, and one box a frame.
    pairs = {(row[1], row[7]) for row in rows}
    assert len(pairs) == len({track for track, _ in pairs})
    assert len({(row[0], row[1]) for row in rows}) == len(rows)


def test_a_clip_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    digests = set()
    for name in "abcd":
        made = generate_clip(tmp_path / name, "clip", 1, seconds=4, width=96, height=72, seed=5)
        digests.add(
            tuple(
                hashlib.sha256(path.read_bytes()).hexdigest()
                for path in (made.video, made.mot, made.scene, made.truth_file)
            )
        )
    assert len(digests) == 1


def test_an_odd_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even width and height"):
        generate_clip(tmp_path, "odd", 0, width=161, height=120)


@pytest.mark.parametrize("town", [0, 1, 2])
def test_every_cameras_lines_and_zones_make_a_scene(town: int) -> None:
    """They lie in the picture, wherever the camera hangs, and a person can be on both sides of each line."""
    for camera in range(30):
        for width, height in ((320, 240), (640, 360)):
            plan_lines = site_lines(site(camera, town), width, height, ("person", "car"))
            plan_zones = site_zones(site(camera, town), width, height, ("person", "car"))
            assert {line.name for line in plan_lines} == {"road", "pavement"}
            for line in plan_lines:
                (x1, y1), (x2, y2) = line.start, line.end
                assert min(x1, y1, x2, y2) >= 0
                assert max(x1, y1, x2, y2) <= 1
                assert np.hypot((x2 - x1) * width, (y2 - y1) * height) > 0.08 * height
            for zone in plan_zones:
                points = np.array(zone.polygon)
                assert len(points) >= 3
                assert points.min() >= 0
                assert points.max() <= 1
