"""Flows: who crosses one line and then another one, counted once a journey."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import camera_counting
from camera_counting.counting import count_detections
from camera_counting.counting.flows import FlowGauge
from camera_counting.detections import Detections
from camera_counting.scene import Flow, Line, Scene

COUNT_SCHEMA = json.loads((Path(camera_counting.__file__).parent / "schemas" / "count.schema.json").read_text())

LINES = [
    Line(name="A", start=(0, 0), end=(9, 0), classes=("car", "bus")),
    Line(name="B", start=(0, 9), end=(9, 9), classes=("car", "person")),
    Line(name="C", start=(0, 5), end=(9, 5)),
]


def gauge(origin="A", destination="B", **keys):
    return FlowGauge(Flow.model_validate({"name": "f", "from": origin, "to": destination, **keys}), LINES)


def journeys(crossings, flow=None, track=1):
    """How long the journeys took that crossings (line, direction, seconds) make, as they are told."""
    flow = flow or gauge()
    return [took for crossing in crossings if (took := flow.crossed(track, *crossing)) is not None]


@pytest.mark.parametrize(
    ("crossings", "took"),
    [
        ([("A", "in", 1), ("B", "in", 4)], [3]),
        ([("B", "in", 1), ("A", "in", 4)], []),
        ([("B", "in", 1), ("A", "in", 2), ("B", "out", 4)], [2]),
        # there and back at the first line: the journey begins when it was crossed last
        ([("A", "in", 1), ("A", "out", 2), ("A", "in", 3), ("B", "in", 4)], [1]),
        # there and back at the second one is no second journey
        ([("A", "in", 1), ("B", "in", 4), ("B", "out", 5), ("B", "in", 6)], [3]),
        ([("A", "in", 1), ("B", "in", 4), ("A", "in", 5), ("B", "in", 9)], [3, 4]),
        # other lines do not matter
        ([("A", "in", 1), ("C", "in", 2), ("B", "in", 4)], [3]),
        # told late: the first line was crossed before the second one, whichever was told first
        ([("B", "in", 4), ("A", "in", 1)], [3]),
        ([("A", "in", 1), ("B", "in", 4), ("A", "out", 3)], [3]),
        ([("A", "in", 4), ("B", "in", 4)], []),
    ],
)
def test_what_is_a_journey(crossings, took):
    assert journeys(crossings) == took


def test_directions_and_limits_of_time():
    into = gauge({"line": "A", "direction": "in"}, {"line": "B", "direction": "out"})
    assert journeys([("A", "out", 1), ("B", "out", 2)], into) == []
    assert journeys([("A", "in", 3), ("B", "in", 4), ("B", "out", 6)], into) == [3]
    round_trip = gauge({"line": "A", "direction": "in"}, {"line": "A", "direction": "out"})
    assert journeys([("A", "in", 1), ("A", "out", 5), ("A", "out", 6), ("A", "in", 7)], round_trip) == [4]
    quick = gauge(within_seconds=5)
    assert journeys([("A", "in", 1), ("B", "in", 6.5), ("A", "in", 10), ("B", "in", 15)], quick) == [5]


def test_only_what_counts_at_both_lines_counts():
    assert gauge().classes == {"car"}
    assert gauge("C", "B").classes == {"car", "person"}
    lines = [Line(name=name, start=(0, 0), end=(9, i)) for i, name in enumerate("AB")]
    assert FlowGauge(Flow.model_validate({"name": "f", "from": "A", "to": "B"}), lines).classes is None


def test_tracks_are_kept_apart_and_forgotten_when_they_end():
    flow = gauge()
    assert flow.crossed(1, "A", "in", 1.0) is None
    assert flow.crossed(2, "B", "in", 2.0) is None
    assert flow.crossed(1, "B", "in", 3.0) == 2.0
    flow.crossed(3, "A", "in", 1.0)
    for track in (1, 2, 3):
        flow.end(track)
    assert flow.crossed(3, "B", "in", 9.0) is None
    assert len(flow._ways) == 1


def test_sums_are_by_class_and_can_be_moved():
    flow = gauge()
    for name, seconds in [("car", 2.0), ("bus", 4.0), ("bus", 6.0)]:
        flow.note(name, seconds)
    flow.take_back("bus", 6.0)
    flow.note("car", 6.0)
    told = flow.count().to_dict()
    assert told["by_class"] == {"bus": 1, "car": 2}
    assert (told["from"], told["to"], told["total"]) == ("A", "B", 3)
    assert told["travel_seconds"] == {"mean": 4.0, "p50": 4.0, "p95": 5.8, "max": 6.0}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 60)), max_size=40), st.integers(0, 40))
def test_every_journey_is_counted_once(crossings, cut):
    crossings = sorted({seconds: line for line, seconds in crossings}.items())
    # the longest stretches of the string of crossings that read A..AB: independent of how they are followed
    text = "".join(line for _, line in crossings)
    expected = [crossings[i + 1][0] - crossings[i][0] for i in range(len(text) - 1) if text[i : i + 2] == "AB"]
    flow = gauge()
    told = [took for seconds, line in crossings if (took := flow.crossed(1, line, "in", seconds)) is not None]
    assert told == expected
    # through JSON and back in the middle
    flow, other, told = gauge(), gauge(), []
    for seconds, line in crossings[:cut]:
        told.append(flow.crossed(1, line, "in", seconds))
    other.restore(json.loads(json.dumps(flow.snapshot())))
    for seconds, line in crossings[cut:]:
        told.append(other.crossed(1, line, "in", seconds))
    assert [took for took in told if took is not None] == expected


def test_one_that_lingers_on_a_line_needs_no_more_memory():
    flow = gauge()
    for i in range(10_000):
        flow.crossed(1, "A", "in" if i % 2 else "out", i)
    assert len(flow._ways[1].crossings) <= 32
    assert flow.crossed(1, "B", "in", 10_000.5) == 1.5


SCENE = {
    "size": [640, 360],
    "lines": [
        {"name": "west", "from": [200, 0], "to": [200, 360]},
        {"name": "east", "from": [440, 360], "to": [440, 0]},
    ],
    "flows": [
        {"name": "eastwards", "from": "west", "to": "east"},
        {"name": "westwards", "from": "east", "to": "west", "within_seconds": 1},
    ],
}


def drive(xs, classes=None, scene=SCENE):
    """Count one vehicle that is at these places along the road in frames of 0.1 s."""
    names = ("car", "truck")
    classes = classes or [0] * len(xs)
    seen = [
        (i / 10, Detections.of([[x - 40, 150, x + 40, 200]], [0.9], [kind], names))
        for i, (x, kind) in enumerate(zip(xs, classes, strict=True))
    ]
    return count_detections(seen, names, Scene.from_dict(scene), (640, 360))


def test_a_journey_is_told_with_its_travel_time():
    # 120 pixels a second: over the lines at 1 s and at 3 s; in over the one, out over the other
    count = drive([80 + 12 * i for i in range(40)])
    crossings = [event for event in count.events if event.kind == "crossing"]
    flows = [event for event in count.events if event.kind == "flow"]
    assert [event.name for event in crossings] == ["west", "east"]
    assert [(event.name, event.direction, event.class_name) for event in flows] == [("eastwards", "", "car")]
    assert flows[0].lasted == pytest.approx(2.0, abs=0.05)
    assert (flows[0].seconds, flows[0].track) == (crossings[1].seconds, crossings[0].track)
    told = count.to_dict()
    assert told["matrix"] == {"west": {"east": 1}, "east": {"west": 0}}
    assert told["flows"]["eastwards"]["by_class"] == {"car": 1}
    assert told["flows"]["westwards"] == {
        "from": "east", "to": "west", "total": 0, "by_class": {},
        "travel_seconds": {"mean": None, "p50": None, "p95": None, "max": None},
    }  # fmt: skip
    jsonschema.validate(told, COUNT_SCHEMA)
    # back again takes longer than a second
    there_and_back = [80 + 12 * i for i in range(40)] + [548 - 12 * i for i in range(40)]
    assert drive(there_and_back).counts.matrix == {"west": {"east": 1}, "east": {"west": 0}}


def test_the_class_of_a_journey_is_the_one_that_is_decided_in_the_end():
    xs = [40 + 8 * i for i in range(70)]  # over the second line in frame 50
    count = drive(xs, [0] * 52 + [1] * 18)
    assert count.counts.classes == {"car": 1}
    seen_as_truck = drive(xs, [0] * 30 + [1] * 40)
    assert seen_as_truck.counts.flows["eastwards"].by_class == {"truck": 1}
    late = drive([*xs, *[592] * 80], [0] * 60 + [1] * 90)
    assert late.counts.flows["eastwards"].by_class == {"truck": 1}
    assert [event.class_name for event in late.events if event.kind == "flow"] == ["truck"]
    # a truck does not count at the second line
    east = {**SCENE["lines"][1], "classes": ["car"]}
    cars = drive([*xs, *[592] * 80], [0] * 60 + [1] * 90, {**SCENE, "lines": [SCENE["lines"][0], east]})
    assert cars.counts.flows["eastwards"].total == 0
    assert [event for event in cars.events if event.kind == "flow"] == []
