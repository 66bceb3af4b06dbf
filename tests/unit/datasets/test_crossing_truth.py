"""The truth of generated clips, against numbers worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.datasets.generator.conditions import PRESETS, Conditions
from pipelines.datasets.generator.projection import Projection, Viewpoint
from pipelines.datasets.generator.sites import SiteLine, SiteZone
from pipelines.datasets.generator.traffic import Actor, Path
from pipelines.datasets.generator.truth import path_crossings, true_crossings, true_zones
from pipelines.datasets.generator.vehicles import vehicle_look

# Straight down from 10 m: a metre on the ground is 24 pixels, x to the right, z upwards on the picture.
VIEW = Projection(Viewpoint(height=10, pitch=90, yaw=0, focal=1.0), 240, 240)


def actor(corners: list[tuple[float, float, float]]) -> Actor:
    """A car on a path of (seconds, x, z)."""
    seconds, x, z = np.array(corners, float).T
    return Actor(1, "car", vehicle_look(np.random.default_rng(0), "car"), Path(seconds, x, z))


@pytest.mark.parametrize(
    ("path", "start", "end", "expected"),
    [
        ([(5, 0), (5, 10)], (0, 4), (10, 4), ["in"]),  # downwards over a line to the right
        ([(5, 10), (5, 0)], (0, 4), (10, 4), ["out"]),
        ([(5, 0), (5, 10)], (10, 4), (0, 4), ["out"]),  # the line the other way round
        ([(0, 5), (10, 5)], (5, 10), (5, 0), ["in"]),  # rightwards over a line upwards
        ([(0, 5), (10, 5)], (5, 0), (5, 10), ["out"]),
        ([(5, 0), (5, 10), (5, 0)], (0, 4), (10, 4), ["in", "out"]),  # turns round
        ([(11, 0), (11, 10)], (0, 4), (10, 4), []),  # beyond the end
        ([(5, 0), (5, 3.9)], (0, 4), (10, 4), []),  # stops before it
        ([(5, 0), (5, 4), (5, 10)], (0, 4), (10, 4), ["in"]),  # a corner exactly on the line
        ([(5, 0), (5, 4), (5, 0)], (0, 4), (10, 4), []),  # touches it and goes back
        ([(0, 0), (100, 100)], (0, 10), (20, 0), ["in"]),  # one long step
    ],
)
def test_direction_is_from_left_to_right_of_the_vector(path, start, end, expected) -> None:
    found = path_crossings(np.array(path, float), np.array(start, float), np.array(end, float))
    assert [direction for _, direction, _ in found] == expected


coordinate = st.floats(-100, 100, allow_nan=False).map(lambda v: round(v, 3))
point = st.tuples(coordinate, coordinate)


@given(st.lists(point, min_size=2, max_size=12), point, point)
def test_a_line_turned_round_turns_every_crossing_round(path, start, end) -> None:
    if start == end:
        return
    points, a, b = np.array(path, float), np.array(start, float), np.array(end, float)
    side = (b - a)[0] * (points[:, 1] - a[1]) - (b - a)[1] * (points[:, 0] - a[0])
    if np.abs(side).min() < 1e-6:  # a corner on the line belongs to one side by convention
        return
    there, back = path_crossings(points, a, b), path_crossings(points, b, a)
    opposite = {"in": "out", "out": "in"}
    near_end = [share for _, _, share in there + back if min(share, 1 - share) < 1e-9]
    if not near_end:
        assert [opposite[d] for _, d, _ in there] == [d for _, d, _ in back]


@given(st.lists(point, min_size=2, max_size=12), point, point)
def test_crossings_of_an_endless_line_alternate(path, start, end) -> None:
    if start == end:
        return
    points, a, b = np.array(path, float), np.array(start, float), np.array(end, float)
    middle, far = (a + b) / 2, (b - a) / np.linalg.norm(b - a) * 1e5
    found = [d for _, d, _ in path_crossings(points, middle - far, middle + far)]
    assert all(one != two for one, two in pairwise(found))


def test_a_crossing_has_its_exact_time() -> None:
    # 2 m/s along x from -4 m: over x = 1 m after 2.5 s. On the picture x = 1 m is pixel 144, from top to bottom;
    # rightwards over a line drawn downwards is from its right-hand to its left-hand side: out.
    driver = actor([(0, -4, 0), (10, 16, 0)])
    line = SiteLine("gate", (144 / 240, 0.2), (144 / 240, 0.8), ("car",))
    (crossing,) = true_crossings(driver, VIEW, [line], frames=61, fps=10)
    assert (crossing.direction, crossing.kind, crossing.line) == ("out", "car", "gate")
    assert crossing.seconds == pytest.approx(2.5, abs=1e-6)


def test_what_happens_after_the_last_frame_is_not_true_of_the_clip() -> None:
    driver = actor([(0, -4, 0), (10, 16, 0)])
    line = SiteLine("gate", (144 / 240, 0.2), (144 / 240, 0.8), ("car",))
    assert true_crossings(driver, VIEW, [line], frames=26, fps=10)[0].seconds == pytest.approx(2.5)
    assert true_crossings(driver, VIEW, [line], frames=25, fps=10) == []


def test_a_line_counts_its_classes_alone() -> None:
    line = SiteLine("gate", (0.6, 0.2), (0.6, 0.8), ("person",))
    assert true_crossings(actor([(0, -4, 0), (10, 16, 0)]), VIEW, [line], frames=61, fps=10) == []


def test_zone_occupancy_frame_by_frame() -> None:
    # The zone reaches from x = -1 m to 1 m. At 2 m/s from -4 m the car is in it from 1.5 s to 2.5 s.
    zone = SiteZone("bay", ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)), ("car",))
    (truth,) = true_zones([actor([(0, -4.01, 0), (10, 15.99, 0)])], VIEW, [zone], frames=41, fps=10)
    inside = [index for index, count in enumerate(truth.occupancy) if count]
    assert (inside[0], inside[-1]) == (16, 25)
    assert (truth.peak, truth.entered, truth.visits) == (1, 1, 1)
    assert truth.mean == pytest.approx(10 / 41, abs=1e-4)


def test_presets_and_conditions_are_strict() -> None:
    assert set(PRESETS) == {"easy", "street", "crowded"}
    with pytest.raises(ValueError, match="light"):
        Conditions(light="noon")  # type: ignore[arg-type]
