"""The names of a detector's classes: COCO's, from a file, or from a graph's own metadata."""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from camera_counting.errors import DetectorError

__all__ = ["COCO", "class_names", "names_in_labels", "names_in_metadata"]

# The 80 classes of COCO 2017 in the order of every published COCO detector.
_COCO = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,
handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase,
scissors, teddy bear, hair drier, toothbrush
"""
COCO = tuple(name.strip() for name in _COCO.split(","))


def class_names(classes: Sequence[str] | str | Path) -> tuple[str, ...]:
    """Read class names from "coco", a sequence, or a file.

    Parameters
    ----------
    classes : sequence of str, str or Path
        "coco" for COCO's 80; a sequence of names in the order of the detector's outputs; or the path of a file:
        YAML with `names` (list or mapping from index), or text with one name per line.

    Raises
    ------
    DetectorError
        Where the file cannot be read, a name is empty, or two are the same.

    Examples
    --------
    >>> class_names("coco")[:3]
    ('person', 'bicycle', 'car')
    >>> class_names(["person", "car"])
    ('person', 'car')
    """
    if isinstance(classes, (str, Path)):
        if str(classes).lower() == "coco":
            return COCO
        return _checked(_names_in_file(Path(classes)), str(classes))
    return _checked(tuple(classes), "the given classes")


def names_in_metadata(metadata: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Find the names in a graph's metadata (`names`, as Ultralytics writes it); None where there are none.

    Examples
    --------
    >>> names_in_metadata({"names": "{0: 'person', 1: 'car'}"})
    ('person', 'car')
    """
    names = metadata.get("names")
    if isinstance(names, str):
        try:
            names = ast.literal_eval(names)
        except (ValueError, SyntaxError):
            return None
    if isinstance(names, Mapping):
        return _checked(_in_order(names, "the graph's metadata"), "the graph's metadata")
    if isinstance(names, (list, tuple)) and names:
        return _checked(tuple(names), "the graph's metadata")
    return None


def names_in_labels(labels: str) -> list[str]:
    """The names in OpenVINO's `labels`, which parts them by spaces and writes underscores for those within a name.

    Whether an underscore was a space cannot be told: only where that makes it a name of COCO's, it was.

    Examples
    --------
    >>> names_in_labels("car traffic_light delivery_van")
    ['car', 'traffic light', 'delivery_van']
    """
    spaced = [(name, name.replace("_", " ")) for name in labels.split()]
    return [words if words in COCO else name for name, words in spaced]


def _names_in_file(path: Path) -> tuple[Any, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark of its encoding
    except (OSError, UnicodeDecodeError) as error:
        raise DetectorError(
            f'expected labels to be "coco" or a readable file of class names, got {str(path)!r}: {error}'
        ) from None
    if path.suffix.lower() not in {".yaml", ".yml"}:
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DetectorError(f"{path} is no YAML: {error}") from None
    names = content.get("names") if isinstance(content, dict) else content
    if isinstance(names, Mapping):
        return _in_order(names, str(path))
    if isinstance(names, list):
        return tuple(names)
    raise DetectorError(f"{path}: expected a key `names` with a list or a mapping from index, found none")


def _in_order(names: Mapping[Any, Any], where: str) -> tuple[Any, ...]:
    try:
        by_index = {int(index): name for index, name in names.items()}
    except (TypeError, ValueError):
        raise DetectorError(
            f"{where}: expected `names` to map index to name, got keys {list(names)[:5]}"
        ) from None
    if sorted(by_index) != list(range(len(by_index))):
        raise DetectorError(
            f"{where}: expected `names` to have the indices 0 to {len(by_index) - 1}, got {sorted(by_index)[:10]}"
        )
    return tuple(by_index[index] for index in range(len(by_index)))


def _checked(names: tuple[Any, ...], where: str) -> tuple[str, ...]:
    if not names:
        raise DetectorError(f"{where}: expected at least one class name, found none")
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise DetectorError(f"{where}: expected class names to be words, got {name!r:.80}")
        if any(unicodedata.category(letter) == "Cc" for letter in name):
            raise DetectorError(
                f"{where}: expected class names without control characters, got {name!r:.80}; delete them"
            )
        if name in seen:
            raise DetectorError(f"{where}: the class {name!r} stands there twice")
        seen.add(name)
    return tuple(names)
