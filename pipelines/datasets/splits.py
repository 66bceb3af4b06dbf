"""Splits without leaks: by camera and by time, never by neighbouring frames.

Pictures of one camera within the same block of time stay together; of each camera the last blocks are the test,
the ones before them the validation, everything earlier the training, so that a model is always judged on what came
later. Cameras held out are in the test alone. Pictures that look the same (`validation.near_duplicates`) end up in
one split.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.datasets.manifest import SPLITS
from pipelines.datasets.records import Record

__all__ = ["SplitRule", "split_by_camera_and_time"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How pictures are shared out.

    Parameters
    ----------
    val, test : float
        Shares of each camera's blocks of time, at least one block each where there are three or more.
    holdout_cameras : tuple of str
        In the test alone.
    block_minutes : float
        Pictures of a camera within the same block are never parted.
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
        in training is tested; a camera held out keeps its pictures.

    Returns
    -------
    dict of split to records
        All three splits, each in order of name.

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
    chosen: list[str] = ["train"] * len(records)
    for camera, members in _by_camera(records).items():
        blocks = _blocks(records, members, rule.block_minutes)
        for block, split in zip(blocks, _shares(len(blocks), rule), strict=True):
            for index in block:
                chosen[index] = "test" if camera in rule.holdout_cameras else split
    for group in _groups(len(records), alike):
        if any(records[i].camera in rule.holdout_cameras for i in group):
            split = "test"
        else:
            split = min((chosen[i] for i in group), key=SPLITS.index)
        for index in group:
            chosen[index] = split
    found: dict[str, list[Record]] = {split: [] for split in SPLITS}
    for record, split in sorted(zip(records, chosen, strict=True), key=lambda pair: pair[0].name):
        found[split].append(record)
    return found


def _by_camera(records: Sequence[Record]) -> dict[str | None, list[int]]:
    members: dict[str | None, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        members[record.camera].append(index)
    return members


def _blocks(records: Sequence[Record], members: Sequence[int], minutes: float) -> list[list[int]]:
    """Indices by block of time, earliest first.

    Without times the order of names stands for time: frames of a sequence are numbered. Ten blocks are cut then.
    Where there are neither, blocks are drawn by a digest of the name, so that they do not depend on the order.
    """
    blocks: dict[object, list[int]] = defaultdict(list)
    if all(records[i].time is not None for i in members):
        for index in members:
            time = records[index].time
            assert time is not None  # noqa: S101 - for the type checker; tested just above
            blocks[int((time - _EPOCH).total_seconds() // (minutes * 60))].append(index)
        return [blocks[key] for key in sorted(blocks)]  # type: ignore[type-var]
    ordered = sorted(members, key=lambda i: records[i].name)
    if records[ordered[0]].camera is None:
        ordered.sort(key=lambda i: hashlib.sha256(records[i].name.encode()).digest())
    for place, index in enumerate(ordered):
        blocks[place * 10 // len(ordered)].append(index)
    return [blocks[key] for key in sorted(blocks)]  # type: ignore[type-var]


def _shares(blocks: int, rule: SplitRule) -> list[str]:
    if blocks < 3:
        return ["train"] * blocks
    test = max(1, round(blocks * rule.test)) if rule.test else 0
    val = max(1, round(blocks * rule.val)) if rule.val else 0
    return ["train"] * (blocks - val - test) + ["val"] * val + ["test"] * test


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
