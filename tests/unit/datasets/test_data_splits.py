"""Splits: no camera held out and no stretch of time is on both sides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
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
    assert found["train"] == [f"{i:03d}" for i in range(24)]
    assert found["test"] == [f"{i:03d}" for i in range(32, 40)]


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
def test_no_leak_and_no_loss_in_any_order(moments, random) -> None:
    records = [record(f"{c}-{m}", c, m) for c, m in moments]
    rule = SplitRule(val=0.2, test=0.2, block_minutes=60)
    found = split_by_camera_and_time(records, rule)
    assert sorted(r.name for split in found.values() for r in split) == sorted(r.name for r in records)
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
                # Never two pictures of one hour apart.
                assert max(ends[earlier]).replace(minute=0) != min(ends[later]).replace(minute=0)
