"""A camera's timestamps on a clock that never jumps."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_counting.video.live_clock import LiveClock


def run(stamps, arrivals) -> list[float]:
    clock = LiveClock()
    return [clock.seconds(stamp, arrival) for stamp, arrival in zip(stamps, arrivals, strict=True)]


def test_timestamps_smooth_what_the_network_shakes():
    arrivals = [1000 + i / 10 + (0.08 if i % 3 == 0 else 0.0) for i in range(200)]
    seconds = run([5 + i / 10 for i in range(200)], arrivals)
    steps = [b - a for a, b in pairwise(seconds)]
    assert seconds[0] == 0
    assert min(steps) > 0.09
    assert max(steps) < 0.11


@pytest.mark.parametrize("jump", [-1e6, -3600.0, -5.0, -0.5, 5.0, 3600.0, 95443.7])
def test_a_clock_that_jumps_is_followed_from_where_it_was(jump):
    """Set back or forward, or wrapped round: 2 ** 33 / 90000 is 95443.7 seconds."""
    stamps = [100 + i / 10 + (jump if i >= 50 else 0) for i in range(100)]
    seconds = run(stamps, [7 + i / 10 for i in range(100)])
    assert seconds == pytest.approx([i / 10 for i in range(100)], abs=0.02)


def test_a_clock_that_stands_still_or_is_missing_goes_by_arrival():
    for stamps in ([5.0] * 50, [None] * 50):
        assert run(stamps, [i / 10 for i in range(50)]) == pytest.approx([i / 10 for i in range(50)], abs=0.002)


def test_a_camera_whose_clock_is_wrong_does_not_drift_away():
    """A tenth of a percent, for two hours: 7 seconds apart, were it not held together."""
    arrivals = [i * 0.5 for i in range(2 * 3600 * 2)]
    seconds = run([t * 1.001 for t in arrivals], arrivals)
    assert seconds[-1] == pytest.approx(arrivals[-1], abs=0.1)


def test_a_burst_after_a_stall_keeps_the_distances_of_its_frames():
    burst = [8.0 + i / 1000 for i in range(31)]
    arrivals = [i / 10 for i in range(50)] + burst + [8.1 + i / 10 for i in range(20)]
    seconds = run([i / 10 for i in range(101)], arrivals)
    steps = [b - a for a, b in pairwise(seconds)]
    assert min(steps) > 0.09
    assert max(steps) < 0.11


def test_time_goes_on_over_a_reconnect():
    clock = LiveClock()
    before = [clock.seconds(50 + i / 10, 9 + i / 10) for i in range(20)]
    clock.reconnected()
    after = [clock.seconds(0 + i / 10, 40 + i / 10) for i in range(20)]
    assert before[-1] == pytest.approx(1.9)
    assert after[0] == pytest.approx(31.0)
    assert after[-1] == pytest.approx(32.9, abs=0.01)


STEPS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(-1e9, 1e9), st.floats(0, 0.2).map(lambda s: ("step", s))),
        st.floats(0, 20),
        st.booleans(),
    ),
    max_size=80,
)


@given(STEPS)
def test_seconds_always_rise_and_stay_near_the_time_that_passed(steps):
    begun = arrival = 12345.0
    clock, stamp, last = LiveClock(), 0.0, -1.0
    for number, (told, wait, lost) in enumerate(steps):
        arrival += wait if number else 0
        if isinstance(told, tuple):
            stamp += told[1]
        elif told is not None:
            stamp = told
        if lost:
            clock.reconnected()
        seconds = clock.seconds(None if told is None else stamp, arrival)
        assert seconds > last
        # never more than ten seconds from the time that passed, and a millisecond for each frame
        assert abs(seconds - (arrival - begun)) <= 10.3 + number * 1e-3
        last = seconds
