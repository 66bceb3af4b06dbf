"""Splits: no camera held out and no stretch of time is on both sides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.datasets.records import Record
from pipelines.datasets.splits import SplitRule, split_by_camera_and_time

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def record(name: str, camera: str | None = None, minutes: float | None = None) -> Record:
    time = None if minutes is None else START + timedelta(minutes=minutes)
    return Record(name, Path("x.png"), np.empty((0, 4)), (), camera=camera, time=time)


def names(found: dict[str, list[Record]]) -> dict[str, list[str]]:
    return {split: [r.name for r in records] for split, records in found.items()}


def test_the_last_blocks_are_tested_and_the_ones_before_validate() -> None:
    records = [record(f"{i:02d}", "gate", 60 * i) for i in range(10)]
    found = names(split_by_camera_and_time(records, SplitRule(val=0.2, test=0.2)))
    assert found == {"train": [f"{i:02d}" for i in range(6)], "val": ["06", "07"], "test": ["08", "09"]}


def test_neighbouring_frames_stay_together() -> None:
    # Five hours with six frames in each, a second apart.
    records = [record(f"{h}-{s}", "gate", 60 * h + s / 60) for h in range(5) for s in range(6)]
    found = split_by_camera_and_time(records, SplitRule(val=0.2, test=0.2))
    hours = [{r.name[0] for r in found[split]} for split in ("train", "val", "test")]
    assert hours == [{"0", "1", "2"}, {"3"}, {"4"}]


def test_a_camera_held_out_is_in_the_test_alone() -> None:
    records = [record(f"{c}{i}", c, 60 * i) for c in ("a", "b") for i in range(8)]
    found = split_by_camera_and_time(records, SplitRule(holdout_cameras=("b",)))
    assert {r.camera for r in found["train"]} == {r.camera for r in found["val"]} == {"a"}
    assert sum(r.camera == "b" for r in found["test"]) == 8


def test_an_unknown_camera_to_hold_out_is_refused() -> None:
    with pytest.raises(ValueError, match=r"among a; got c"):
        split_by_camera_and_time([record("x", "a", 0)], SplitRule(holdout_cameras=("c",)))


def test_pictures_that_look_alike_go_where_the_earliest_is() -> None:
    records = [record(f"{i:02d}", "gate", 60 * i) for i in range(10)]
    found = names(split_by_camera_and_time(records, SplitRule(val=0.2, test=0.2), alike=[(0, 9), (9, 7)]))
    assert {"00", "07", "09"} <= set(found["train"])


def test_frames_without_time_are_cut_in_order_of_name() -> None:
    records = [record(f"{i:03d}", "gate") for i in range(40)]
    found = names(split_by_camera_and_time(records, SplitRule(val=0.2, test=0.2)))
    # Of blocks of four, the two frames before each cut are left out: their neighbours are on the other side.
    assert found["train"] == [f"{i:03d}" for i in range(22)]
    assert found["val"] == [f"{i:03d}" for i in range(24, 30)]
    assert found["test"] == [f"{i:03d}" for i in range(32, 40)]


def test_neighbours_at_either_side_of_a_full_hour_are_not_parted() -> None:
    records = [record(f"{i}", "gate", 60 * i) for i in range(10)]
    before, after = record("before", "gate", 60 * 8 - 1 / 60), record("after", "gate", 60 * 8)
    elsewhere = record("elsewhere", "yard", 60 * 8 - 1 / 60)
    rule = SplitRule(val=0.2, test=0.2, block_minutes=30)
    found = names(split_by_camera_and_time([*records, before, after, elsewhere], rule))
    assert "after" in found["test"]
    assert "before" not in found["train"] + found["val"] + found["test"]
    assert "elsewhere" in found["train"]


@pytest.mark.parametrize("shares", [(0.1, 0.85), (0.85, 0.1), (0.49, 0.5)])
def test_shares_that_ask_for_more_than_there_is_leave_a_block_to_each(shares: tuple[float, float]) -> None:
    records = [record(f"{i}", "gate", 60 * i) for i in range(3)]
    found = names(split_by_camera_and_time(records, SplitRule(*shares)))
    assert found == {"train": ["0"], "val": ["1"], "test": ["2"]}


def frames(clip: str, count: int = 20, *, minutes: float | None = None) -> list[Record]:
    return [
        replace(record(f"{clip}/{i:06d}.jpg", clip, None if minutes is None else minutes + i / 600), clip=clip)
        for i in range(count)
    ]


def of_clips(found: dict[str, list[Record]]) -> dict[str, set[str | None]]:
    return {split: {r.clip for r in records} for split, records in found.items()}


def test_whole_clips_are_held_out_the_latest_for_the_test() -> None:
    records = [
        *frames("d", minutes=0),
        *frames("c", minutes=100),
        *frames("b", minutes=200),
        *frames("a", minutes=300),
    ]
    found = split_by_camera_and_time(records, SplitRule())
    assert of_clips(found) == {"train": {"d", "c"}, "val": {"b"}, "test": {"a"}}
    assert sum(map(len, found.values())) == 80
    # Frames that look like one of the training do not take a tested clip apart.
    alike = split_by_camera_and_time(records, SplitRule(), alike=[(0, 79)])
    assert [len(alike[split]) for split in ("train", "val", "test")] == [39, 20, 20]


def test_of_two_clips_one_is_tested_and_one_clip_is_cut_by_time() -> None:
    two = split_by_camera_and_time([*frames("a"), *frames("b")], SplitRule())
    assert of_clips(two) == {"train": {"a"}, "val": {"a"}, "test": {"b"}}
    one = names(split_by_camera_and_time(frames("a", minutes=0), SplitRule()))
    # Of ten blocks of two frames two are for val and two for the test, and the frame before each cut is left out.
    assert one["train"] == [f"a/{i:06d}.jpg" for i in range(11)]
    assert one["val"] == [f"a/{i:06d}.jpg" for i in range(12, 15)]
    assert one["test"] == [f"a/{i:06d}.jpg" for i in range(16, 20)]


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (-0.1, 0.1), (1.0, 0)])
def test_shares_that_leave_nothing_to_train_on(val: float, test: float) -> None:
    with pytest.raises(ValueError, match="leave something to train on"):
        SplitRule(val=val, test=test)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 20000)), min_size=1, max_size=60, unique=True
    ),
    st.randoms(use_true_random=False),
)
@example([("a", 2), ("a", 61), ("a", 120)], Random(0))  # noqa: S311 - the third leaves out the second, and it no other
def test_no_leak_and_no_loss_in_any_order(moments, random) -> None:
    records = [record(f"{c}-{m}", c, m) for c, m in moments]
    rule = SplitRule(val=0.2, test=0.2, block_minutes=60)
    found = split_by_camera_and_time(records, rule)
    kept = [r.name for split in found.values() for r in split]
    assert len(kept) == len(set(kept))
    # Only what lies within an hour before another split is left out.
    for lost in (r for r in records if r.name not in kept):
        assert any(
            r.camera == lost.camera
            and r.time
            and lost.time
            and timedelta(0) <= r.time - lost.time < timedelta(hours=1)
            for r in found["val"] + found["test"]
        )
    shuffled = list(records)
    random.shuffle(shuffled)
    assert names(split_by_camera_and_time(shuffled, rule)) == names(found)
    for camera in "abc":
        ends = {
            split: [r.time for r in found[split] if r.camera == camera and r.time]
            for split in ("train", "val", "test")
        }
        for earlier, later in (("train", "val"), ("val", "test"), ("train", "test")):
            if ends[earlier] and ends[later]:
                assert max(ends[earlier]) < min(ends[later])
                assert min(ends[later]) - max(ends[earlier]) >= timedelta(hours=1)
