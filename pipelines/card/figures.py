"""Metrics by their names: headline figures with intervals, slices, robustness, behaviour, comparisons.

A card reads whatever was measured: names that follow the conventions (docs/ARCHITECTURE.md) find their table, the
others stand with the headline figures.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from pipelines.card.blocks import Table

__all__ = [
    "Slice",
    "against_tables",
    "behaviour_table",
    "headline_tables",
    "robustness_table",
    "slice_tables",
    "slices_of",
]

_GROUPS = ("ci95", "slice", "robustness", "behaviour", "against", "train", "val", "export", "system")
_ORDER = ("count", "line", "occupancy", "detection", "latency", "throughput", "memory", "serving")
# What a reader compares slices by; further figures of a slice stand in MLflow.
_OF_A_SLICE = (
    "count/mae",
    "count/nae",
    "count/bias",
    "detection/map50",
    "detection/recall",
    "detection/precision",
)
_OF_A_CONDITION = ("count/mae", "count/mae_ratio", "count/bias", "detection/map50", "detection/recall")
_TRAINING = ("lr", "seconds", "epoch")

Metrics = Mapping[str, float]


class Slice(NamedTuple):
    """Part of the pictures: those whose `column` has this `value`; `n` of them, None where it was not told."""

    column: str
    value: str
    n: int | None


def headline_tables(metrics: Metrics, classes: Collection[str] = ()) -> tuple[Table, ...]:
    """Every figure over all of the data, with its 95 % interval where there is one; those of classes side by side.

    Parameters
    ----------
    classes : collection of str
        What the last part of a metric's name may be to be a class's own figure, such as ``detection/ap50/car``.
    """
    names = [name for name in metrics if name.split("/")[0] not in _GROUPS and name not in _TRAINING]
    names.sort(key=_place)
    of_class = [name for name in names if "/" in name and name.rsplit("/", 1)[1] in classes]
    rows = tuple(
        (name, figure(metrics[name]), _interval(metrics, "ci95", name)) for name in names if name not in of_class
    )
    tables = [Table("", ("metric", "value", "95 % interval"), rows)] if rows else []
    if of_class:
        measured = dict.fromkeys(name.rsplit("/", 1)[0] for name in of_class)
        by_class = tuple(
            (name, *(figure(metrics.get(f"{name}/{label}")) for label in classes)) for name in measured
        )
        tables.append(Table("By class", ("metric", *classes), by_class))
    return tuple(tables)


def slices_of(metrics: Metrics) -> tuple[Slice, ...]:
    """All slices that anything was measured on, by column and value."""
    found: dict[tuple[str, str], int | None] = {}
    for name, value in metrics.items():
        parts = name.split("/", 3)
        if parts[0] == "slice" and len(parts) == 4:
            key = (parts[1], parts[2])
            found[key] = int(value) if parts[3] == "n" else found.get(key)
    return tuple(Slice(*key, found[key]) for key in sorted(found))


def slice_tables(metrics: Metrics) -> tuple[Table, ...]:
    """One table per column of slices."""
    slices = slices_of(metrics)
    tables = []
    for column in dict.fromkeys(each.column for each in slices):
        mine = [each for each in slices if each.column == column]
        shown = [m for m in _OF_A_SLICE if any(f"slice/{column}/{each.value}/{m}" in metrics for each in mine)]
        rows = tuple(
            (
                each.value,
                "not recorded" if each.n is None else str(each.n),
                *(_with_interval(metrics, f"slice/{column}/{each.value}", metric) for metric in shown),
            )
            for each in mine
        )
        tables.append(Table(f"By {column}", (column, "samples", *shown), rows))
    return tuple(tables)


def robustness_table(metrics: Metrics) -> Table | None:
    """One row per condition, clear first."""
    conditions = {
        parts[1]
        for name in metrics
        if (parts := name.split("/", 2))[0] == "robustness" and len(parts) == 3 and parts[2] in _OF_A_CONDITION
    }
    if not conditions:
        return None
    shown = [m for m in _OF_A_CONDITION if any(f"robustness/{each}/{m}" in metrics for each in conditions)]
    rows = tuple(
        (each, *(figure(metrics.get(f"robustness/{each}/{metric}")) for metric in shown))
        for each in sorted(conditions, key=lambda each: (each != "clear", each in ("mean", "worst"), each))
    )
    return Table("", ("condition", *shown), rows)


def behaviour_table(metrics: Metrics) -> Table | None:
    """What must hold whatever the data are: 0 is as it should be."""
    tests = [
        name.split("/")[1] for name in sorted(metrics) if name.startswith("behaviour/") and name.count("/") == 1
    ]
    rows = tuple(
        (test.replace("_", " "), figure(metrics[f"behaviour/{test}"]), figure(metrics.get(f"behaviour/{test}/n")))
        for test in tests
    )
    return Table("", ("test", "mean difference of counts (0 is right)", "pictures"), rows) if rows else None


def against_tables(metrics: Metrics) -> tuple[Table, ...]:
    """One table per model that this one was compared with, picture by picture: mine minus theirs."""
    others: dict[str, list[str]] = {}
    for name in sorted(metrics):
        if name.startswith("against/") and name.endswith("/difference"):
            _, other, rest = name.split("/", 2)
            others.setdefault(other, []).append(rest.removesuffix("/difference"))
    tables = []
    for other, names in others.items():
        rows = tuple(
            (
                name,
                figure(metrics[f"against/{other}/{name}/difference"]),
                _between(metrics, f"against/{other}/{name}/low", f"against/{other}/{name}/high"),
                figure(metrics.get(f"against/{other}/{name}/p")),
            )
            for name in names
        )
        tables.append(Table(f"Against {other}", ("metric", "mine - theirs", "95 % interval", "p"), rows))
    return tuple(tables)


def figure(value: float | None) -> str:
    """Four digits that mean something, or that there are none.

    Examples
    --------
    >>> [figure(0.123456), figure(1200.0), figure(None), figure(0.0)]
    ['0.1235', '1200', '–', '0']
    """
    return "–" if value is None else f"{value:.4g}"


def _with_interval(metrics: Metrics, prefix: str, metric: str) -> str:
    name = f"{prefix}/{metric}"
    for before in (f"ci95/{prefix}", f"{prefix}/ci95"):
        if f"{before}/{metric}/low" in metrics:
            return f"{figure(metrics.get(name))} ({_interval(metrics, before, metric)})"
    return figure(metrics.get(name))


def _interval(metrics: Metrics, prefix: str, name: str) -> str:
    return _between(metrics, f"{prefix}/{name}/low", f"{prefix}/{name}/high")


def _between(metrics: Metrics, low: str, high: str) -> str:
    return f"{figure(metrics[low])} to {figure(metrics[high])}" if low in metrics and high in metrics else "–"


def _place(name: str) -> tuple[int, str]:
    group = name.split("/")[0]
    return (_ORDER.index(group) if group in _ORDER else len(_ORDER), name)
