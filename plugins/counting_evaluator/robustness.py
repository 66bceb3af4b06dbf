"""How much of a model is left at night, in the rain, behind a dirty lens: the same pictures, spoiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator

from camera_counting.detections import Detections
from counting_evaluator.conditions import CONDITIONS, alter
from counting_evaluator.conditions.altered import Picture
from counting_evaluator.counting import count_table, true_counts
from counting_evaluator.detection import evaluate_detection
from counting_evaluator.paired_bootstrap import Difference, paired_difference
from counting_evaluator.passes import Detecting, read_picture
from counting_evaluator.sample import choose, picture_digest
from counting_evaluator.truth import LabelledPicture

__all__ = ["Robustness", "RobustnessConfig", "Spoiled", "measure_robustness"]


class RobustnessConfig(BaseModel):
    """On how many pictures, and under which conditions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pictures: int | None = Field(
        None, ge=2, description="how many pictures, chosen by chance; None takes a twelfth, no fewer than 24"
    )
    conditions: tuple[str, ...] = Field(tuple(CONDITIONS), min_length=1, description="which conditions")
    seed: int = Field(0, ge=0, description="decides which pictures, and what chance does to each")
    sheet: bool = Field(True, description="draw one of the pictures under every condition")

    @field_validator("conditions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in CONDITIONS]
        if unknown:
            raise ValueError(f"expected some of {', '.join(CONDITIONS)}, got {', '.join(unknown)}")
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True, eq=False)
class Spoiled:
    """One picture under one condition, with what is true and what was found there."""

    condition: str
    image: Picture
    truth: LabelledPicture
    found: Detections


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """What is left under each condition.

    Parameters
    ----------
    metrics : dict
        ``robustness/<condition>/...``
    table : DataFrame
        One row per condition, clear first.
    sheet : tuple of Spoiled
        One picture, clear and under every condition; empty where none was asked for.
    """

    metrics: dict[str, float]
    table: pd.DataFrame
    sheet: tuple[Spoiled, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """Errors of a condition, picture by picture."""

    errors: npt.NDArray[np.float64]
    bias: float
    objects: int
    detection: dict[str, float]

    @property
    def mae(self) -> float:
        return float(self.errors.mean())

    @property
    def wape(self) -> float:
        """Errors relative to what there is to count."""
        return float(self.errors.sum()) / self.objects


def measure_robustness(
    model: Detecting,
    pictures: Sequence[LabelledPicture],
    found: Sequence[Detections],
    classes: Sequence[str],
    *,
    confidence: float,
    floor: float,
    config: RobustnessConfig,
) -> Robustness:
    """Detect a sample of the pictures under each condition, and relate it to the same pictures as they are.

    Parameters
    ----------
    model : Detecting
    pictures, found : sequences of the same length
        All of them, and what the model saw on them when they were clear.
    classes : sequence of str
    confidence, floor : float
        The score that counts, and the least that is detected.
    config : RobustnessConfig

    Returns
    -------
    Robustness
        Its metrics, each for ``robustness/<condition>/``: ``count/mae``, ``count/bias``, ``count/wape`` (errors
        held against the objects), ``detection/map50``, ``detection/recall``; relative to clear ``count/mae_ratio``
        (1: as good; both are taken as at least one object off in the whole sample, so that a model without an
        error has a ratio, too), ``count/mae_added`` with ``/low`` and ``/high`` (95 %, paired bootstrap over the
        pictures, frames of one clip drawn together), ``count/wape_ratio`` (the fair one where objects leave the
        picture, as before a moved camera) and ``detection/map50_ratio``.
        ``robustness/clear/...`` are the same pictures as they are; ``robustness/mean/...`` the mean over the
        conditions, of which ``detection/map50`` is mPC and ``detection/map50_ratio`` rPC of Michaelis et al. 2019
        (of one strength each instead of five); ``robustness/worst/count/mae_ratio`` that of the worst;
        ``robustness/pictures`` how many there were.
    """
    places = choose(pictures, config.pictures, seed=config.seed)
    chosen, clear_found = [pictures[place] for place in places], [found[place] for place in places]
    digests = [picture_digest(picture.path) for picture in chosen]
    shown = _presentable(chosen) if config.sheet else -1
    outcomes = {"clear": _outcome(chosen, clear_found, classes, confidence)}
    sheet = (
        [Spoiled("clear", read_picture(chosen[shown]), chosen[shown], clear_found[shown])] if shown >= 0 else []
    )
    for name in config.conditions:
        truths, seen = [], []
        for place, (picture, digest) in enumerate(zip(chosen, digests, strict=True)):
            altered = alter(name, read_picture(picture), picture.boxes, seed=config.seed, digest=digest)
            labels = tuple(label for label, kept in zip(picture.labels, altered.kept, strict=True) if kept)
            truths.append(replace(picture, boxes=altered.boxes[altered.kept], labels=labels))
            seen += model.detect([altered.picture], confidence=floor)
            if place == shown:
                sheet.append(Spoiled(name, altered.picture, truths[-1], seen[-1]))
        outcomes[name] = _outcome(truths, seen, classes, confidence)
    # Frames of one clip show the same: they are no independent witnesses.
    witnesses = [picture.clip or digest for picture, digest in zip(chosen, digests, strict=True)]
    return _summary(outcomes, witnesses, tuple(sheet))


def _presentable(pictures: Sequence[LabelledPicture]) -> int:
    """The place of the picture in the middle of those that show something: neither empty nor a crowd."""
    filled = [place for place, picture in enumerate(pictures) if picture.labels]
    ordered = sorted(filled, key=lambda place: len(pictures[place].labels))
    return ordered[len(ordered) // 2] if ordered else 0


def _outcome(
    truths: Sequence[LabelledPicture], found: Sequence[Detections], classes: Sequence[str], confidence: float
) -> _Outcome:
    true = true_counts(truths, classes)
    gaps = count_table(found, classes, confidence).sum(axis=1) - true.sum(axis=1)
    metrics = evaluate_detection(truths, found, classes, confidence).metrics
    kept = {name: value for name, value in metrics.items() if name in ("map50", "recall")}
    return _Outcome(np.abs(gaps).astype(np.float64), float(gaps.mean()), int(true.sum()), kept)


def _summary(outcomes: dict[str, _Outcome], witnesses: Sequence[str], sheet: tuple[Spoiled, ...]) -> Robustness:
    clear = outcomes["clear"]
    figures: dict[str, dict[str, float]] = {}
    for name, outcome in outcomes.items():
        figures[name] = {"count/mae": outcome.mae, "count/bias": outcome.bias}
        if outcome.objects:
            figures[name]["count/wape"] = outcome.wape
        figures[name] |= {f"detection/{key}": value for key, value in outcome.detection.items()}
        if name != "clear":
            figures[name] |= _relative(outcome, clear, witnesses)
    metrics = {f"robustness/{name}/{key}": value for name, row in figures.items() for key, value in row.items()}
    spoiled = [row for name, row in figures.items() if name != "clear"]
    for key in ("count/mae", "count/mae_ratio", "count/wape_ratio", "detection/map50", "detection/map50_ratio"):
        if all(key in row for row in spoiled):
            metrics[f"robustness/mean/{key}"] = float(np.mean([row[key] for row in spoiled]))
    metrics["robustness/worst/count/mae_ratio"] = max(row["count/mae_ratio"] for row in spoiled)
    metrics["robustness/pictures"] = float(len(witnesses))
    table = [
        {
            "condition": name,
            "severity": CONDITIONS[name].severity if name in CONDITIONS else "as they are",
            "objects": outcomes[name].objects,
            **row,
        }
        for name, row in figures.items()
    ]
    return Robustness(metrics, pd.DataFrame(table), sheet)


def _relative(outcome: _Outcome, clear: _Outcome, witnesses: Sequence[str]) -> dict[str, float]:
    added: Difference = paired_difference(outcome.errors, clear.errors, groups=witnesses)
    one_off = 1 / len(witnesses)
    figures = {
        "count/mae_ratio": max(outcome.mae, one_off) / max(clear.mae, one_off),
        "count/mae_added": added.value,
    }
    if outcome.objects and clear.objects:
        figures["count/wape_ratio"] = max(outcome.wape, 1 / outcome.objects) / max(clear.wape, 1 / clear.objects)
    if np.isfinite(added.low):
        figures |= {"count/mae_added/low": added.low, "count/mae_added/high": added.high}
    if clear.detection.get("map50", 0) > 0 and "map50" in outcome.detection:
        figures["detection/map50_ratio"] = outcome.detection["map50"] / clear.detection["map50"]
    return figures
