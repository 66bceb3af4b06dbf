"""Which steps can be run again, and what has to be put in place for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["REPEATABLE", "Repeatable"]


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A step that can be run again.

    Parameters
    ----------
    module, settings : str
        Where its ``run`` is, and the name of its settings' class there.
    data : str or None
        The setting that names the folder of a prepared data set.
    reads : tuple of str
        Settings that may name a folder or file outside the checkout, relative to where the step was run.
    places : mapping of str to str
        Settings that name where it writes, and the folder of the scratch place that they are given instead.
    fixed : mapping of str to value
        Settings that a repetition gives a value of its own, since they say on whose behalf the step ran.
    epochs : bool
        Whether its figures come epoch by epoch; then each of them is compared.
    exact : tuple of str
        Files whose bytes must be the same where the tolerance is 0, by how their names end.
    """

    module: str
    settings: str
    data: str | None = None
    reads: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    epochs: bool = False
    exact: tuple[str, ...] = ()


REPEATABLE: Mapping[str, Repeatable] = {
    "prepare": Repeatable(
        "pipelines.prepare",
        "PrepareSettings",
        reads=("source",),
        places={"out": "prepared", "store": "store"},
        exact=("dataset/dataset.json", "dataset/data.yaml", ".truth.json"),
    ),
    "train": Repeatable(
        "pipelines.train",
        "TrainSettings",
        data="data",
        places={"work": "training"},
        fixed={"resume": False, "follows": None, "triggered_by": None},
        epochs=True,
        exact=(".onnx", ".xml", ".bin"),
    ),
    "evaluate": Repeatable("pipelines.evaluate", "EvaluateSettings", data="data"),
}
