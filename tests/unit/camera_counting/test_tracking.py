"""The tracker: identities through noise, gaps, crossings of ways and any frame rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_counting.detections import Detections
from camera_counting.tracking import MotionTracker, TrackerSettings
from camera_counting.tracking.association import assign, overlaps, shadows, without_duplicates
from camera_counting.tracking.completion import complete

NAMES = ("person", "bicycle", "car", "truck")


def seen(*rows):
    """Detections from (x, y, w, h, score, class name) with x, y the middle of the lower edge."""
    boxes = [[x - w / 2, y - h, x + w / 2, y] for x, y, w, h, _, _ in rows]
    return Detections.of(boxes, [r[4] for r in rows], [NAMES.index(r[5]) for r in rows], NAMES)


def follow(frames, times, **settings_):
    """Confirmed identities per frame, in the order of the detections that were given to it."""
    tracker = MotionTracker(TrackerSettings(**settings_), (640, 480))
    return [tracker.update(detections, t) for detections, t in zip(frames, times, strict=True)]


def car(x, y=200, score=0.8, name="car"):
    return (x, y, 80, 50, score, name)


def person(x, y=200, score=0.8):
    return (x, y, 30, 80, score, "person")


@pytest.mark.parametrize("fps", [2, 5, 10, 25, 60])
def test_one_walker_is_one_track_at_any_frame_rate(fps):
    # 60 pixels a second: at 2 fps twice its width from frame to frame
    times = np.arange(0, 6, 1 / fps)
    tracks = follow([seen(person(100 + 60 * t)) for t in times], times)
    assert {i for t in tracks for i in t.ids.tolist()} == {1}
    assert tracks[-1].confirmed.all()


@pytest.mark.parametrize("fps", [5, 10, 25])
def test_a_fast_car_is_one_track(fps):
    # four of its lengths a second
    times = np.arange(0, 1.7, 1 / fps)
    tracks = follow([seen(car(40 + 320 * t)) for t in times], times)
    assert {i for t in tracks for i in t.ids.tolist()} == {1}


def test_a_gap_is_bridged_by_motion():
    times = np.arange(0, 6, 0.1)
    frames = [seen() if 2.0 <= t < 3.4 else seen(person(100 + 60 * t)) for t in times]
    tracks = follow(frames, times)
    assert tracks[-1].ids.tolist() == [1]


def test_dropped_frames_are_time_not_frames():
    times = [t for i, t in enumerate(np.arange(0, 6, 0.1)) if i % 7 not in (2, 3, 5)]
    tracks = follow([seen(person(100 + 60 * t)) for t in times], times)
    assert {i for t in tracks for i in t.ids.tolist()} == {1}


def test_two_that_pass_each_other_keep_their_identities():
    times = np.arange(0, 5, 0.08)
    rng = np.random.default_rng(4)
    frames = []
    for t in times:
        jitter = rng.normal(0, 1.5, 4)
        frames.append(
            seen(
                person(100 + 80 * t + jitter[0], 200 + jitter[1]),
                person(500 - 80 * t + jitter[2], 230 + jitter[3]),
            )
        )
    tracks = follow(frames, times)
    last = dict(zip(((b[0] + b[2]) / 2 for b in tracks[-1].boxes), tracks[-1].ids.tolist(), strict=True))
    assert last[max(last)] == tracks[0].ids[0]
    assert last[min(last)] == tracks[0].ids[1]


def test_faint_detections_continue_a_track_but_never_begin_one():
    times = np.arange(0, 2, 0.1)
    faint = follow([seen(person(100 + 60 * t, score=0.2)) for t in times], times)
    assert all(len(t) == 0 for t in faint)
    fading = follow([seen(person(100 + 60 * t, score=0.8 if t < 0.55 else 0.15)) for t in times], times)
    assert fading[-1].ids.tolist() == [1]


def test_flicker_is_never_confirmed():
    rng = np.random.default_rng(2)
    times = np.arange(0, 60, 0.1)
    frames = [seen(car(300, score=float(rng.uniform(0.1, 0.3)))) if rng.random() < 0.4 else seen() for _ in times]
    assert not any(t.confirmed.any() for t in follow(frames, times))


def test_a_van_that_is_car_and_truck_is_one_track_with_the_class_of_its_life():
    times = np.arange(0, 3, 0.1)
    frames = [
        seen(car(100 + 50 * t, score=0.7), car(102 + 50 * t, score=0.6, name="truck"))
        if i % 4
        else seen(car(100 + 50 * t, score=0.6, name="truck"))
        for i, t in enumerate(times)
    ]
    tracks = follow(frames, times)
    assert {i for t in tracks for i in t.ids.tolist()} == {1}
    assert NAMES[tracks[-1].class_ids[0]] == "car"


def test_a_part_of_an_object_is_not_confirmed_but_somebody_hidden_is_once_he_appears():
    times = np.arange(0, 4, 0.1)
    whole = [car(100 + 60 * t, score=0.9) for t in times]
    part = [(80 + 60 * t, 190, 30, 35, 0.5, "car") for t in times]
    tracks = follow([seen(w, p) for w, p in zip(whole, part, strict=True)], times)
    assert [int(t.confirmed.sum()) for t in tracks[5:]] == [1] * (len(times) - 5)
    # the second one stops: the first drives on and no longer covers it
    stays = [(80 + 60 * min(t, 1), 190, 30, 35, 0.5, "car") for t in times]
    tracks = follow([seen(w, p) for w, p in zip(whole, stays, strict=True)], times)
    assert int(tracks[-1].confirmed.sum()) == 2


def test_a_track_is_not_carried_on_by_faint_sights_within_a_stronger_one():
    # a second car is seen beside the first for a second; then only a faint box within the first one, all the way
    times = np.arange(0, 8, 0.1)
    first = [car(100 + 30 * t, score=0.9) for t in times]
    beside = [(70 + 30 * t, 172, 60, 40, 0.6, "car") for t in times]
    part = [(92 + 30 * t, 178, 60, 32, 0.15, "car") for t in times]
    frames = [seen(a, b if t < 1 else p) for t, a, b, p in zip(times, first, beside, part, strict=True)]
    tracks = follow(frames, times)
    assert tracks[9].confirmed.tolist() == [True, True]
    assert {len(t) for t in tracks[25:]} == {1}
    assert len({i for t in tracks for i in t.ids.tolist()}) == 2


def test_who_is_faint_behind_somebody_for_a_moment_stays_the_same():
    times = np.arange(0, 6, 0.1)
    frames = []
    for t in times:
        x = 100 + 60 * t  # walks behind one who stands at 280: hidden, and faint, around 3 s
        hidden = abs(x - 280) < 20
        frames.append(seen(person(280, 205, 0.9), person(x, 200, 0.15 if hidden else 0.8)))
    tracks = follow(frames, times)
    assert {i for t in tracks for i in t.ids.tolist()} == {1, 2}


def test_a_rider_and_his_bicycle_are_two():
    times = np.arange(0, 3, 0.1)
    frames = [
        seen((100 + 60 * t, 190, 34, 78, 0.7, "person"), (100 + 60 * t, 200, 60, 50, 0.6, "bicycle"))
        for t in times
    ]
    tracks = follow(frames, times)
    assert sorted(NAMES[c] for c in tracks[-1].class_ids[tracks[-1].confirmed]) == ["bicycle", "person"]


def test_what_leaves_the_picture_is_not_found_again_at_its_border():
    times = np.arange(0, 6, 0.1)
    frames = []
    for t in times:
        rows = []
        if 560 + 60 * t < 650:
            rows.append(car(560 + 60 * t, 300))
        if t > 2.5:  # another one appears near where the first one left
            rows.append(car(590, 270))
        frames.append(seen(*rows))
    tracks = follow(frames, times)
    assert tracks[-1].ids.tolist() != tracks[0].ids.tolist()


@pytest.mark.parametrize(("there", "remembered"), [(3.0, 8.0), (1.0, 4.0)])
def test_lost_tracks_end_after_seconds_whatever_the_rate(there, remembered):
    # eight seconds, or four times as long as it was there at all
    for fps in (5, 25):
        times = np.arange(0, 12, 1 / fps)
        tracks = follow([seen(person(300)) if t < there else seen() for t in times], times)
        ended = [(t.seconds, t.ended) for t in tracks if t.ended]
        assert [e for _, e in ended] == [(1,)]
        assert ended[0][0] == pytest.approx(there + remembered, abs=6.5 / fps)


@pytest.mark.parametrize("gap", [3.0, 6.0])
def test_a_track_outlives_a_time_in_which_nobody_looked(gap):
    times = np.concatenate([np.arange(0, 3, 0.1), np.arange(3 + gap, 6 + gap, 0.1)])
    tracks = follow([seen(person(60 + 40 * t)) for t in times], times)
    assert tracks[-1].ids.tolist() == [1]
    assert {i for t in tracks for i in t.ended} == {2}  # who it was taken for, until it was certain


@pytest.mark.parametrize("apart", [10, 14, 20])
def test_of_a_file_nobody_is_taken_for_the_one_in_front_when_that_one_is_gone(apart):
    # the first of six goes into a shop while somebody else joins at the end: as many boxes as before, one step on
    def places(t):
        return [300 + 20 * t - apart * k for k in (range(6) if t < 2 else range(1, 7))]

    times = np.arange(0, 3, 0.1)
    tracks = follow([seen(*(person(x, score=0.5) for x in places(t))) for t in times], times)
    assert tracks[19].ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert tracks[-1].ids.tolist() == [2, 3, 4, 5, 6, 7]


_BOX = st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(1, 200), st.floats(1, 200)).map(np.array)


@given(_BOX, _BOX)
def test_the_whole_of_a_box_covers_what_is_seen_and_is_no_larger_than_it_was(measured, expected):
    whole, hidden = complete(measured, expected)
    for axis in (0, 1):
        extent, usual = measured[2 + axis], expected[2 + axis]
        if not 0.1 * usual < extent < 0.85 * usual:
            assert (whole[axis], whole[2 + axis], hidden[axis]) == (measured[axis], extent, 0)
            continue
        assert whole[2 + axis] == usual
        assert hidden[axis] == pytest.approx(1 - extent / usual)
        low, high = whole[axis] - usual / 2, whole[axis] + usual / 2
        assert low <= measured[axis] - extent / 2 + 1e-6
        assert high >= measured[axis] + extent / 2 - 1e-6
        # no other place that covers it is nearer to the expected one
        room, off = (usual - extent) / 2, abs(expected[axis] - measured[axis])
        assert abs(whole[axis] - measured[axis]) == pytest.approx(min(off, room))


def test_feet_that_are_hidden_for_a_moment_move_nobody():
    # the lower third is behind a bonnet for a third of a second, a car's length before somebody else
    times = np.arange(0, 4, 0.1)
    frames = [
        seen((100 + 60 * t, 175, 30, 55, 0.8, "person") if 2 <= t < 2.35 else person(100 + 60 * t)) for t in times
    ]
    tracker = MotionTracker(TrackerSettings(), (640, 480))
    for detections, t in zip(frames, times, strict=True):
        ids = tracker.update(detections, t).ids.tolist()
        assert ids == [1]
        if t >= 1:
            low = tracker.snapshot()["tracks"]["motion"]["mean"][0]
            assert low[1] + low[3] / 2 == pytest.approx(200, abs=6)


def test_what_was_never_certain_is_not_waited_for():
    times = np.arange(0, 3, 0.1)
    tracks = follow([seen(person(300)) if t == 0 else seen() for t in times], times)
    assert [t.seconds for t in tracks if t.ended] == pytest.approx([0.5], abs=0.11)


def test_identities_are_never_used_again():
    tracker = MotionTracker()
    ids = []
    for i in range(20):
        ids += tracker.update(seen(person(100 + 25 * i)), 10.0 * i).ids.tolist()
    assert len(set(ids)) == 20
    assert tracker.finish().ended == (ids[-1],)


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, 0.0])
def test_a_clock_that_jumps_is_survived(jump):
    tracker = MotionTracker()
    for i in range(10):
        tracks = tracker.update(seen(person(100 + 6 * i)), i / 10)
    for i in range(10, 20):
        tracks = tracker.update(seen(person(100 + 6 * i)), i / 10 + jump)
    assert tracks.confirmed.all()
    # back or standing still: the same object; an hour later nobody can tell
    assert (tracks.ids.tolist() == [1]) == (jump <= 0)


def test_a_clock_that_stands_still_is_survived():
    tracker = MotionTracker()
    tracks = [tracker.update(seen(person(100 + 6 * i)), 5.0) for i in range(20)]
    assert tracks[-1].ids.tolist() == [1]


def test_tracks_outlive_a_change_of_the_models_classes():
    tracker = MotionTracker()
    for i in range(10):
        tracker.update(seen(person(100 + 6 * i)), i / 10)
    other = ("car", "person")
    for i in range(10, 15):
        tracks = tracker.update(Detections.of([[85 + 6 * i, 120, 115 + 6 * i, 200]], [0.8], [1], other), i / 10)
    assert tracks.ids.tolist() == [1]
    assert tracks.names[tracks.class_ids[0]] == "person"


boxes = st.tuples(
    st.floats(0, 600),
    st.floats(0, 400),
    st.floats(1, 200),
    st.floats(1, 200),
    st.floats(0, 1),
    st.sampled_from(NAMES),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(boxes, max_size=8), min_size=1, max_size=12))
def test_whatever_is_seen_tracks_are_sound(frames):
    tracker = MotionTracker()
    alive: set[int] = set()
    for i, rows in enumerate(frames):
        tracks = tracker.update(seen(*rows), i / 10)
        ids = tracks.ids.tolist()
        assert len(set(ids)) == len(ids) <= len(rows)
        assert not set(ids) & set(tracks.ended)
        assert np.isfinite(tracks.boxes).all()
        alive |= set(ids)
        assert set(tracks.ended) <= alive
        alive -= set(tracks.ended)
    assert set(tracker.finish().ended) == alive


def test_nothing_seen_is_no_track():
    tracks = MotionTracker().update(Detections.none(NAMES), 0.0)
    assert len(tracks) == 0
    assert tracks.ended == ()


def test_overlaps_by_hand():
    got = overlaps([[0, 0, 10, 10], [0, 0, 0, 0]], [[5, 0, 15, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    assert got == pytest.approx(np.array([[1 / 3, 1, 0], [0, 0, 0]]))


def test_duplicates_by_hand():
    # the truck lies on the car (overlap 0.95); the person in front of it stays whatever the overlap
    detections = seen(car(100), car(102, name="truck", score=0.5), (100, 200, 80, 50, 0.3, "person"), car(300))
    assert without_duplicates(detections, 0.75, 0.6).tolist() == [True, False, True, True]


def test_shadows_by_hand():
    detections = seen(car(100), (90, 195, 30, 30, 0.5, "truck"), (110, 195, 20, 30, 0.5, "person"), car(300))
    assert shadows(detections, np.array([5.0, 1.0, 1.0, 2.0]), 0.7).tolist() == [False, True, False, False]


def test_assign_gives_the_cheapest_pairs_and_none_that_costs_more_than_none():
    cost = np.array([[1.0, 2.0], [1.5, 9.0]])
    everything = np.ones((2, 2), bool)
    rows, columns = assign(cost, everything, 10.0)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}
    rows, columns = assign(cost, everything, 1.2)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])
    rows, columns = assign(cost, np.array([[True, False], [True, False]]), 10.0)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])
    assert len(assign(cost, np.zeros((2, 2), bool), 10.0)[0]) == 0
