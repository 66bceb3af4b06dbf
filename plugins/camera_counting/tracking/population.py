"""What is remembered of all tracks that live: one row per track, in arrays side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from camera_counting.tracking.motion import Motion

__all__ = ["Population"]

_Array = npt.NDArray[np.float64]

# Rows of these stand for the same track; with the type that they are read back as.
_COLUMNS: dict[str, type[np.generic]] = {
    "ids": np.int64,
    "born": np.float64,
    "seen": np.float64,
    "hits": np.int64,
    "evidence": np.float64,
    "sure": np.bool_,
    "away": np.bool_,
}
_BOXES = ("left", "pace")
# Seconds over which the usual speed is taken.
_PACE_SECONDS = 1.0


class Population:
    """The tracks of one camera.

    Attributes
    ----------
    ids : int64 array of shape (N,)
    born, seen : float64 arrays of shape (N,)
        When each was seen first and last, by the tracker's clock.
    hits : int64 array of shape (N,)
        How often it was seen.
    evidence : float64 array of shape (N,)
        For its being an object; see `TrackerSettings`.
    sure : bool array of shape (N,)
        What once was an object stays one.
    away : bool array of shape (N,)
        Out of sight for so long that no single detection continues it; see `rejoining`.
    left, pace : float64 arrays of shape (N, 4)
        Box (centre and extent) as it was when last seen, and its usual speed until then.
    votes : float64 array of shape (N, K)
        For each of the classes `names`.
    motion : Motion
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.next_id = 1
        self.motion = Motion()
        self.ids = np.zeros(0, np.int64)
        self.born = np.zeros(0)
        self.seen = np.zeros(0)
        self.hits = np.zeros(0, np.int64)
        self.evidence = np.zeros(0)
        self.sure = np.zeros(0, bool)
        self.away = np.zeros(0, bool)
        self.left = np.zeros((0, 4))
        self.pace = np.zeros((0, 4))
        self.votes = np.zeros((0, 0))

    def __len__(self) -> int:
        return len(self.ids)

    def meet(self, names: tuple[str, ...]) -> None:
        """Know the classes of another model: its own come first, then those that live tracks were seen as.

        Votes follow the names, so that tracks outlive a change of model, and one of a class that the new model
        does not know stays what it was.
        """
        if names == self.names[: len(names)]:
            return
        old = [self.names[i] for i in np.flatnonzero(self.votes.sum(0))]
        known = names + tuple(name for name in old if name not in names)
        votes = np.zeros((len(self), len(known)))
        for name in old:
            votes[:, known.index(name)] = self.votes[:, self.names.index(name)]
        self.names, self.votes = known, votes

    def add(self, measured: _Array, votes: _Array, clock: float) -> npt.NDArray[np.intp]:
        """Begin tracks at boxes (K, 4) given as centre and extent, with votes (K, classes); gives their rows."""
        first, new = len(self), len(measured)
        self.motion.add(measured)
        self.ids = np.concatenate([self.ids, np.arange(self.next_id, self.next_id + new)])
        self.next_id += new
        self.born = np.concatenate([self.born, np.full(new, clock)])
        self.seen = np.concatenate([self.seen, np.full(new, clock)])
        self.hits = np.concatenate([self.hits, np.ones(new, np.int64)])
        self.evidence = np.concatenate([self.evidence, np.zeros(new)])
        self.sure = np.concatenate([self.sure, np.zeros(new, bool)])
        self.away = np.concatenate([self.away, np.zeros(new, bool)])
        self.left = np.concatenate([self.left, measured])
        self.pace = np.concatenate([self.pace, np.zeros_like(measured)])
        self.votes = np.concatenate([self.votes, votes])
        return np.arange(first, first + new)

    def note_way(self, rows: npt.NDArray[np.intp], dt: float) -> None:
        """Remember where the tracks `rows` are seen now, `dt` seconds after the frame before, and their pace."""
        self.left[rows] = self.motion.mean[rows]
        weight = np.maximum(1 - np.exp(-dt / _PACE_SECONDS), 1 / self.hits[rows])[:, None]
        self.pace[rows] += weight * (self.motion.speed[rows] - self.pace[rows])

    def join(
        self, earlier: npt.NDArray[np.intp], later: npt.NDArray[np.intp]
    ) -> tuple[tuple[int, ...], npt.NDArray[np.bool_]]:
        """Let the rows `later` go on as the tracks `earlier`.

        Gives the identities that are no more, and the mask of the rows that are left.
        """
        gone = tuple(self.ids[later].tolist())
        self.ids[later], self.born[later] = self.ids[earlier], self.born[earlier]
        self.hits[later] += self.hits[earlier]
        self.votes[later] += self.votes[earlier]
        keep = np.ones(len(self), bool)
        keep[earlier] = False
        self.keep(keep)
        return gone, keep

    def keep(self, mask: npt.NDArray[np.bool_]) -> None:
        """Forget all tracks but those of the mask (N,)."""
        self.motion.keep(mask)
        for name in (*_COLUMNS, *_BOXES, "votes"):
            setattr(self, name, getattr(self, name)[mask])

    def snapshot(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        told: dict[str, Any] = {name: getattr(self, name).tolist() for name in (*_COLUMNS, *_BOXES)}
        # most tracks were seen as one or two of a model's many classes
        told["votes"] = [[[i, row[i]] for i in np.flatnonzero(row).tolist()] for row in self.votes]
        return {**told, "names": list(self.names), "next_id": self.next_id, "motion": self.motion.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Be as `snapshot` tells.

        Raises
        ------
        KeyError, TypeError, ValueError
            Where it was not made by this class.
        """
        self.names = tuple(snapshot["names"])
        self.next_id = int(snapshot["next_id"])
        for name, kind in _COLUMNS.items():
            setattr(self, name, np.array(snapshot[name], kind).reshape(-1))
        for name in _BOXES:
            setattr(self, name, np.array(snapshot[name], np.float64).reshape(-1, 4))
        number = len(self.ids)
        self.votes = np.zeros((number, len(self.names)))
        for row, votes in zip(self.votes, snapshot["votes"], strict=True):
            for index, value in votes:
                row[index] = value
        self.motion.restore(snapshot["motion"])
        lengths = {len(getattr(self, name)) for name in (*_COLUMNS, *_BOXES)} | {len(self.motion)}
        if lengths != {number}:
            raise ValueError(f"expected {number} of everything, one per track; got {sorted(lengths)}")
