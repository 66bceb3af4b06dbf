"""Flows: who crosses one line and then another one, counted once a journey."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_counting.counting.flows import FlowGauge
from camera_counting.scene import Flow, Line

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
