"""The crowding alarm: when it begins, when it ends, and that it does not flap."""

from __future__ import annotations

import json
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_counting.counting.crowding import CrowdGauge
from camera_counting.scene import Crowding


def changes(numbers, *, fps=1.0, gauge=None, start=0, **limits):
    gauge = gauge or CrowdGauge(Crowding(**limits))
    told = [gauge.update(start + i / fps, number) for i, number in enumerate(numbers)]
    return [change for change in told if change is not None], gauge


def test_it_begins_once_the_number_was_held_and_tells_how_many_and_how_long():
    # more than 10 from the 5th second on, for 60 s; the number grows meanwhile
    told, gauge = changes([10] * 5 + [11] * 40 + [14] * 20 + [10] * 100, more_than=10, for_seconds=30)
    assert [(c.crowded, c.seconds, c.number) for c in told] == [(True, 35.0, 11), (False, 95.0, 14)]
    assert told[1].lasted == 60
    count = gauge.count().to_dict()
    assert (count["crowded"], count["times"], count["seconds"]) == (False, 1, 60.0)
    # 11 from second 35 to 45, 14 to 65, 10 to 95: the number of each frame holds until the next
    mean = (11 * 10 + 14 * 20 + 10 * 30) / 60
    assert count["latest"] == [{"from": 35.0, "to": 95.0, "seconds": 60.0, "most": 14, "mean": mean}]


def test_the_moment_lies_between_two_frames():
    told, _ = changes([0, *[3] * 9, *[0] * 9], fps=0.4, more_than=2, for_seconds=6)
    # a frame every 2.5 s: more than 2 from 2.5 s on; none from 25 s on
    assert [(c.crowded, c.seconds) for c in told] == [(True, 8.5), (False, 31.0)]
    assert told[1].lasted == 22.5


def test_a_number_that_wavers_around_the_limit_makes_no_alarm_and_ends_none():
    wavering = [10, 11] * 100
    assert changes(wavering, more_than=10, for_seconds=3)[0] == []
    told, gauge = changes([11] * 10 + wavering, more_than=10, for_seconds=3)
    assert [c.crowded for c in told] == [True]
    assert gauge.count().crowded
    assert gauge.count().to_dict()["latest"][0]["to"] is None


def test_it_may_take_another_time_to_clear():
    told, _ = changes([5] * 20 + [0] * 20, more_than=2, for_seconds=10, clear_seconds=0)
    assert [(c.crowded, c.seconds) for c in told] == [(True, 10), (False, 20)]
    told, _ = changes([0, 5, 5, 0], more_than=2, for_seconds=0)
    assert [(c.crowded, c.seconds) for c in told] == [(True, 1), (False, 3)]


def test_what_nobody_saw_was_not_held():
    gauge = CrowdGauge(Crowding(more_than=2, for_seconds=10))
    assert gauge.update(0, 5) is gauge.update(5, 5) is None
    assert gauge.update(3605, 5) is None  # an hour without a frame
    assert gauge.update(3610, 5) is None
    assert gauge.update(3615, 5).seconds == 3615
    # a clock that jumps back: held anew from there on, and no negative time
    assert gauge.update(100, 1) is gauge.update(109, 1) is None
    cleared = gauge.update(110, 1)
    assert (cleared.crowded, cleared.seconds, cleared.lasted) == (False, 110, 10)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=80),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 79),
)
def test_it_turns_with_the_first_run_that_is_long_enough(numbers, hold, clear, cut):
    # the runs of frames on one side of the limit, as a person would mark them
    crowded, expected, at = False, [], 0
    for over, run in groupby(numbers, lambda number: number > 2):
        length = len(list(run))
        held = clear if crowded else hold
        if over != crowded and length - 1 >= held:
            crowded = over
            expected.append((crowded, at + held))
        at += length
    limits = {"more_than": 2, "for_seconds": hold, "clear_seconds": clear}
    told, gauge = changes(numbers, **limits)
    assert [(c.crowded, c.seconds) for c in told] == expected
    count = gauge.count()
    assert count.crowded == crowded
    # on and off seconds, added up
    ends = [seconds for _, seconds in expected] + [len(numbers) - 1] * crowded
    assert count.seconds == pytest.approx(sum(ends[1::2]) - sum(ends[0::2]))
    # through JSON and back in the middle, nothing is different
    first, gauge = changes(numbers[:cut], **limits)
    other = CrowdGauge(Crowding(**limits))
    other.restore(json.loads(json.dumps(gauge.snapshot())))
    then, other = changes(numbers[cut:], gauge=other, start=cut)
    assert first + then == told
    assert other.count() == count


def test_memory_is_bounded():
    _, gauge = changes([5, 0] * 500, more_than=2, for_seconds=0)
    assert gauge.count().times == 500
    assert len(gauge.count().latest) == 50
    assert gauge.count().latest[-1].ended == 999
