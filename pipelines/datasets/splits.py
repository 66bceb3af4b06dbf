"""Splits without leaks: by clip, by camera and by time, never by neighbouring frames.

Pictures of one camera within the same block of time stay together; of each camera the last blocks are the test,
the ones before them the validation, everything earlier the training, so that a model is always judged on what came
later. Cameras held out are in the test alone. Frames of a clip stay with their clip, where there are clips enough
to hold whole ones out. Pictures that look the same (`duplicates.near_duplicates`) end up in one split.

Two pictures at either side of a cut may still be neighbours. Then the one that would be learnt from is left out.
"""

from __future__ import annotations

import bisect
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipelines.datasets.manifest import SPLITS
from pipelines.datasets.records import Record

__all__ = ["SplitRule", "split_by_camera_and_time"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCKS = 10  # of frames whose order is known, but not their time


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How pictures are shared out.

    Parameters
    ----------
    val, test : float
        Shares of each camera's blocks of time, at least one block each where there are blocks enough. Of three
        clips or more they are shares of the clips; of two the second is the test.
    holdout_cameras : tuple of str
        In the test alone.
    block_minutes : float
        Pictures of a camera within the same block are never parted, nor are any in different splits nearer.
    """

    val: float = 0.15
    test: float = 0.15
    holdout_cameras: tuple[str, ...] = ()
    block_minutes: float = 60.0

    def __post_init__(self) -> None:
        if not (0 <= self.val < 1 and 0 <= self.test < 1 and self.val + self.test < 1):
            raise ValueError(
                f"expected shares val and test of 0 to 1 that leave something to train on, "
                f"got {self.val} and {self.test}"
            )
        if self.block_minutes <= 0:
            raise ValueError(f"expected block_minutes above 0, got {self.block_minutes}")


def split_by_camera_and_time(
    records: Sequence[Record], rule: SplitRule, alike: Sequence[tuple[int, int]] = ()
) -> dict[str, list[Record]]:
    """Share records out to train, val and test.

    Parameters
    ----------
    records : sequence of Record
    rule : SplitRule
    alike : sequence of (i, j)
        Indices of pictures that look the same. They go where the earliest split of theirs is, so that nothing seen
        in training is tested; a camera held out keeps its pictures. A clip keeps its frames: where one of the two
        is a frame, the one of the earlier split is left out.

    Returns
    -------
    dict of split to records
        All three splits, each in order of name; together they lack the pictures next to a cut.

    Raises
    ------
    ValueError
        Where a camera to be held out does not occur.
    """
    cameras = {record.camera for record in records}
    absent = [name for name in rule.holdout_cameras if name not in cameras]
    if absent:
        known = ", ".join(sorted(c for c in cameras if c)) or "none"
        raise ValueError(f"expected cameras to hold out among {known}; got {', '.join(absent)}")
    chosen: list[str | None] = [None] * len(records)
    _share_clips(records, rule, chosen)
    pictures = [i for i, record in enumerate(records) if record.clip is None]
    for camera, members in _by_camera(records, pictures).items():
        if all(records[i].time is not None for i in members):
            _share_blocks(_blocks(records, members, rule.block_minutes), rule, chosen)
        else:
            _share_blocks(_in_order(records, members), rule, chosen, guard=camera is not None)
    for index, record in enumerate(records):
        if record.camera in rule.holdout_cameras:
            chosen[index] = "test"
    frames = {i for i, record in enumerate(records) if record.clip is not None}
    _join(records, [pair for pair in alike if frames.isdisjoint(pair)], rule, chosen)
    for i, j in alike:
        if not frames.isdisjoint((i, j)):
            _keep_the_later(i, j, chosen)
    _leave_neighbours_out(records, pictures, rule.block_minutes, chosen)
    found: dict[str, list[Record]] = {split: [] for split in SPLITS}
    for record, split in sorted(zip(records, chosen, strict=True), key=lambda pair: pair[0].name):
        if split is not None:
            found[split].append(record)
    return found


def _share_clips(records: Sequence[Record], rule: SplitRule, chosen: list[str | None]) -> None:
    """Whole clips, the latest to the test; one clip alone, or what is left to train and validate on, is cut."""
    frames: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        if record.clip is not None and record.camera not in rule.holdout_cameras:
            frames[record.clip].append(index)

    def begin(name: str) -> tuple[datetime, str]:
        return min((records[i].time or _EPOCH) for i in frames[name]), name

    clips = [frames[name] for name in sorted(frames, key=begin)]
    wanted = 1 + bool(rule.val) + bool(rule.test)
    if len(clips) >= wanted:
        _share_blocks(clips, rule, chosen)
        return
    if len(clips) == 2:
        for index in clips.pop():
            chosen[index] = "test"
        rule = replace(rule, test=0.0)
    for clip in clips:
        _share_blocks(_in_order(records, clip), rule, chosen, guard=True)


def _by_camera(records: Sequence[Record], indices: Sequence[int]) -> dict[str | None, list[int]]:
    members: dict[str | None, list[int]] = defaultdict(list)
    for index in indices:
        members[records[index].camera].append(index)
    return members


def _blocks(records: Sequence[Record], members: Sequence[int], minutes: float) -> list[list[int]]:
    """Indices by block of time, earliest first."""
    blocks: dict[int, list[int]] = defaultdict(list)
    for index in members:
        blocks[int((_time(records[index]) - _EPOCH).total_seconds() // (minutes * 60))].append(index)
    return [blocks[key] for key in sorted(blocks)]


def _in_order(records: Sequence[Record], members: Sequence[int]) -> list[list[int]]:
    """Ten blocks in order of name, which stands for time: frames of a sequence are numbered.

    Without a camera they are drawn by a digest of the name, so that they do not depend on the order.
    """
    ordered = sorted(members, key=lambda i: records[i].name)
    if records[ordered[0]].camera is None:
        ordered.sort(key=lambda i: hashlib.sha256(records[i].name.encode()).digest())
    blocks: dict[int, list[int]] = defaultdict(list)
    for place, index in enumerate(ordered):
        blocks[place * _BLOCKS // len(ordered)].append(index)
    return [blocks[key] for key in sorted(blocks)]


def _time(record: Record) -> datetime:
    assert record.time is not None  # noqa: S101 - for the type checker; the callers have tested it
    return record.time


def _share_blocks(
    blocks: Sequence[Sequence[int]], rule: SplitRule, chosen: list[str | None], *, guard: bool = False
) -> None:
    """Give the blocks to the splits; with `guard` the last half of the block before a cut is left out."""
    shares = _shares(len(blocks), rule)
    for place, (block, split) in enumerate(zip(blocks, shares, strict=True)):
        cut = guard and place + 1 < len(shares) and shares[place + 1] != split
        for index in block[: -(len(block) // 2)] if cut and len(block) > 1 else block:
            chosen[index] = split


def _shares(blocks: int, rule: SplitRule) -> list[str]:
    least_val, least_test = int(rule.val > 0), int(rule.test > 0)
    if blocks < 1 + least_val + least_test:
        return ["train"] * blocks
    test = min(max(least_test, round(blocks * rule.test)), blocks - 1 - least_val)
    val = min(max(least_val, round(blocks * rule.val)), blocks - 1 - test)
    return ["train"] * (blocks - val - test) + ["val"] * val + ["test"] * test


def _leave_neighbours_out(
    records: Sequence[Record], pictures: Sequence[int], minutes: float, chosen: list[str | None]
) -> None:
    """Of two pictures of a camera within `minutes` in different splits only the one of the later split stays.

    The latest split is settled first: a picture that is left out itself leaves no other out.
    """
    for members in _by_camera(records, [i for i in pictures if records[i].time is not None]).values():
        kept: list[float] = []
        for split in reversed(SPLITS):
            stay = []
            for index in (i for i in members if chosen[i] == split):
                time = _time(records[index]).timestamp()
                if _near(kept, time, minutes * 60):
                    chosen[index] = None
                else:
                    stay.append(time)
            kept = sorted([*kept, *stay])


def _near(times: Sequence[float], time: float, seconds: float) -> bool:
    """Whether one of the sorted times is less than so many seconds away."""
    place = bisect.bisect_left(times, time)
    return any(abs(other - time) < seconds for other in times[max(0, place - 1) : place + 1])


def _join(
    records: Sequence[Record], alike: Sequence[tuple[int, int]], rule: SplitRule, chosen: list[str | None]
) -> None:
    for group in _groups(len(records), alike):
        if any(records[i].camera in rule.holdout_cameras for i in group):
            split = "test"
        else:
            split = min((s for i in group if (s := chosen[i]) is not None), key=SPLITS.index, default="train")
        for index in group:
            chosen[index] = None if chosen[index] is None else split


def _keep_the_later(i: int, j: int, chosen: list[str | None]) -> None:
    one, two = chosen[i], chosen[j]
    if one is not None and two is not None and one != two:
        chosen[i if SPLITS.index(one) < SPLITS.index(two) else j] = None


def _groups(count: int, alike: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Connected components of the pairs."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in alike:
        parent[root(a)] = root(b)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(count):
        groups[root(index)].append(index)
    return [group for group in groups.values() if len(group) > 1]
