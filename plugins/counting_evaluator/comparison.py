"""Two models on the same pictures: what was recorded of each, held against the other.

Nothing is detected again: the tables that an evaluation leaves (``evaluation_table.json``, ``line_counts.json``)
hold what was true and what was counted, picture by picture and crossing by crossing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from counting_evaluator.errors import EvaluationError
from counting_evaluator.paired_bootstrap import Difference, paired_difference

__all__ = ["against_metrics", "clip_of", "compare_crossings", "compare_pictures"]

_CELL = ["clip", "line", "direction", "class_name"]


def compare_pictures(
    mine: pd.DataFrame,
    theirs: pd.DataFrame,
    *,
    confidence: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> dict[str, Difference]:
    """Hold the counts of two models against each other on the pictures that both were evaluated on.

    Parameters
    ----------
    mine, theirs : DataFrame
        ``evaluation_table.json`` of two evaluations: columns ``digest`` (SHA-256 of the picture), ``image``,
        ``true``, ``counted``, and per class ``true_<class>``, ``counted_<class>``. Pictures that only one of them
        has are left out.
    confidence, resamples, seed
        As for `paired_difference`.

    Returns
    -------
    dict
        ``count/mae``, ``count/bias``, ``count/nae`` and ``count/wape`` (where something is there to be counted),
        ``count/mae_by_class``. Frames of one clip are drawn together; a figure's ``n`` says how many witnesses
        were left. Below zero is better for mine, but for the bias.

    Raises
    ------
    EvaluationError
        Where the two have no picture in common, name one twice, or do not agree on what is true.

    Examples
    --------
    >>> pictures = {"digest": ["a", "b", "c"], "image": ["1.jpg", "2.jpg", "3.jpg"], "true": [2, 1, 3]}
    >>> mine = pd.DataFrame({**pictures, "counted": [2, 1, 2], "true_car": [2, 1, 3], "counted_car": [2, 1, 2]})
    >>> theirs = mine.assign(counted=[0, 0, 0], counted_car=[0, 0, 0])
    >>> found = compare_pictures(mine, theirs)["count/mae"]
    >>> round(found.mine, 3), found.theirs, found.n
    (0.333, 2.0, 3)
    """
    classes = _classes(mine, "mine")
    _classes(theirs, "theirs")
    both = _joined(mine, theirs, classes)
    true = both["true_mine"].to_numpy(np.float64)
    counted = {side: both[f"counted_{side}"].to_numpy(np.float64) for side in ("mine", "theirs")}
    groups = np.array(
        [clip_of(str(image)) or str(digest) for image, digest in zip(both["image"], both.index, strict=True)]
    )

    def difference(error: Callable[[str], npt.NDArray[np.float64]], weights: Any = None) -> Difference:
        return paired_difference(
            error("mine"),
            error("theirs"),
            weights,
            groups,
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )

    found = {
        "count/mae": difference(lambda side: np.abs(counted[side] - true)),
        "count/bias": difference(lambda side: counted[side] - true),
        "count/mae_by_class": difference(lambda side: _by_class(both, classes, side)),
    }
    filled = true > 0
    if filled.any():
        relative = np.divide(1, true, out=np.zeros_like(true), where=filled)
        found["count/nae"] = difference(lambda side: np.abs(counted[side] - true) * relative, filled)
        found["count/wape"] = difference(lambda side: np.abs(counted[side] - true), true)
    return found


def compare_crossings(
    mine: pd.DataFrame,
    theirs: pd.DataFrame,
    *,
    confidence: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> dict[str, Difference]:
    """Hold the line counts of two models against each other on the clips that both were evaluated on.

    Parameters
    ----------
    mine, theirs : DataFrame
        ``line_counts.json`` of two evaluations: ``clip``, ``line``, ``direction``, ``class_name``, ``counted``,
        ``true``. A cell that only one has was counted, and true, zero times in the other.

    Returns
    -------
    dict
        ``line/error``: sum of |counted - true| / sum of true over all clips; clips are drawn as wholes. Empty
        where nothing truly crosses a line.

    Raises
    ------
    EvaluationError
        Where the two have no clip in common, or do not agree on what is true.
    """
    for table, whose in ((mine, "mine"), (theirs, "theirs")):
        _require(table, [*_CELL, "counted", "true"], whose)
    clips = set(mine["clip"]) & set(theirs["clip"])
    if not clips:
        raise EvaluationError(
            f"expected line counts of the same clips, got {_some(mine['clip'])} and {_some(theirs['clip'])}: "
            "evaluate both models on one data set"
        )
    sides = [table[table["clip"].isin(clips)].set_index(_CELL)[["counted", "true"]] for table in (mine, theirs)]
    both = sides[0].join(sides[1], how="outer", lsuffix="_mine", rsuffix="_theirs").fillna(0)
    wrong = both[both["true_mine"] != both["true_theirs"]]
    if len(wrong):
        clip, line, direction, name = wrong.index[0]
        raise EvaluationError(
            f"the two evaluations do not agree on how many {name} truly crossed {line} {direction} in {clip}: "
            f"{wrong.iloc[0]['true_mine']:g} and {wrong.iloc[0]['true_theirs']:g}; evaluate both on one data set"
        )
    true = both["true_mine"].to_numpy(np.float64)
    if not true.sum():
        return {}
    found = paired_difference(
        np.abs(both["counted_mine"].to_numpy(np.float64) - true),
        np.abs(both["counted_theirs"].to_numpy(np.float64) - true),
        true,
        both.index.get_level_values("clip").to_numpy(),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    return {"line/error": found}


def against_metrics(other: str, differences: Mapping[str, Difference]) -> dict[str, float]:
    """``against/<other>/<metric>/difference``, ``/low``, ``/high``, ``/p``, ``/n``, ``/theirs`` of each figure."""
    metrics: dict[str, float] = {}
    for name, difference in differences.items():
        metrics |= difference.metrics(f"against/{other}/{name}")
    return metrics


def clip_of(image: str) -> str | None:
    """The clip that a picture is a frame of, by its name; None for a picture of its own.

    Examples
    --------
    >>> clip_of("gate__000123.jpg"), clip_of("gate_000123.jpg")
    ('gate', None)
    """
    named = re.fullmatch(r"(.+)__\d+\.\w+", image)
    return named[1] if named else None


def _classes(table: pd.DataFrame, whose: str) -> list[str]:
    _require(table, ["digest", "image", "true", "counted"], whose)
    twice = table.loc[table["digest"].duplicated(), "image"]
    if len(twice):
        raise EvaluationError(f"{whose}: expected each picture once, {twice.iloc[0]} is there twice")
    return [str(name).removeprefix("true_") for name in table.columns if str(name).startswith("true_")]


def _require(table: pd.DataFrame, columns: list[str], whose: str) -> None:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise EvaluationError(
            f"{whose}: expected the table of an evaluation with {', '.join(columns)}, {', '.join(missing)} is "
            "missing; evaluate that model anew"
        )


def _joined(mine: pd.DataFrame, theirs: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    both = mine.set_index("digest").join(
        theirs.set_index("digest"), how="inner", lsuffix="_mine", rsuffix="_theirs"
    )
    if both.empty:
        raise EvaluationError(
            f"expected evaluations of the same pictures, got {len(mine)} and {len(theirs)} without one in common "
            f"({_some(mine['image'])}; {_some(theirs['image'])}): evaluate both models on one data set"
        )
    both = both.rename(columns={"image_mine": "image"}).sort_index()
    for name in ("true", *(f"true_{each}" for each in classes)):
        if f"{name}_theirs" not in both:
            raise EvaluationError(
                f"theirs was not evaluated on the class {name.removeprefix('true_')}: evaluate both models on the "
                "same classes"
            )
        wrong = both[both[f"{name}_mine"] != both[f"{name}_theirs"]]
        if len(wrong):
            raise EvaluationError(
                f"the two evaluations do not agree on what is on {wrong.iloc[0]['image']} ({name}: "
                f"{wrong.iloc[0][f'{name}_mine']:g} and {wrong.iloc[0][f'{name}_theirs']:g}): its labels were "
                "changed between them, evaluate both models anew"
            )
    return both


def _by_class(both: pd.DataFrame, classes: list[str], side: str) -> npt.NDArray[np.float64]:
    """Errors added up over classes, where a car taken for a truck counts twice."""
    gaps = [
        (both[f"counted_{name}_{side}"] - both[f"true_{name}_mine"]).abs().to_numpy(np.float64) for name in classes
    ]
    return np.asarray(np.sum(gaps, axis=0), np.float64) if gaps else np.zeros(len(both))


def _some(names: pd.Series[Any]) -> str:
    distinct = sorted({str(name) for name in names})
    return ", ".join(distinct[:3]) + (", ..." if len(distinct) > 3 else "") if distinct else "none"
