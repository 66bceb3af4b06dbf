"""How the rows of a request are to be counted: its `params`, checked against the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from camera_counting.errors import RequestError, SceneError
from camera_counting.scoring.cells import is_null, kind_of
from camera_counting.scoring.schema import PARAMS

if TYPE_CHECKING:
    from camera_counting.model import CountingModel
    from camera_counting.scene import Scene

__all__ = ["RequestParams", "read_params"]


@dataclass(frozen=True)
class RequestParams:
    """How the rows are to be counted."""

    confidence: float | None = None
    classes: tuple[str, ...] | None = None
    scene: Scene | None = None
    skip: bool = False


def read_params(params: Mapping[str, Any] | None, model: CountingModel) -> RequestParams:
    """Check the params against the model.

    Raises
    ------
    RequestError
        Where one is unknown, of a wrong type or makes no sense to this model.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> read_params({}, SimpleNamespace()).skip
    False
    """
    if params is None:
        return RequestParams()
    if not isinstance(params, Mapping):
        raise RequestError(f"params: expected an object, got {kind_of(params)}")
    for name in params:
        if name not in PARAMS:
            raise RequestError(f"params: {str(name)[:40]!r} is not known; expected {', '.join(PARAMS)}")
    given = {name: value for name, value in params.items() if not is_null(value)}
    confidence = given.get("confidence")
    if confidence is not None:
        confidence = model.check_confidence(confidence)
    classes = model.check_classes(_class_list(given["classes"])) if "classes" in given else None
    scene = _scene(given["scene"]) if "scene" in given else None
    if scene is not None:
        try:
            scene.check_classes(model.names)
        except SceneError as error:
            raise RequestError(f"params: {error}") from None
    on_error = given.get("on_error", "fail")
    if on_error not in ("fail", "skip"):
        told = repr(on_error[:40]) if isinstance(on_error, str) else kind_of(on_error)
        raise RequestError(f"params: on_error: expected 'fail' or 'skip', got {told}")
    return RequestParams(confidence, classes, scene, on_error == "skip")


def _class_list(value: Any) -> list[str]:
    if isinstance(value, str):
        text = value.strip()
        if not text.startswith("["):
            return [part.strip() for part in text.split(",") if part.strip()]
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise RequestError(
                "params: classes: expected names separated by commas, or a JSON list of names"
            ) from None
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise RequestError(
            f"params: classes: expected names separated by commas, or a list of names; got {kind_of(value)}"
        )
    return list(value)


def _scene(value: Any) -> Scene:
    from camera_counting.scene import Scene

    try:
        if isinstance(value, str):
            return Scene.from_json(value, source="params: scene")
        return Scene.from_dict(value, source="params: scene")
    except SceneError as error:
        raise RequestError(str(error)) from None
    except (ValueError, OverflowError, RecursionError):
        # numbers of thousands of digits, or of more than a float can hold; braces in braces in braces
        raise RequestError("params: scene: no scene that can be read") from None
