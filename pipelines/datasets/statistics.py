"""What is in a data set: pictures and boxes per split, class, camera, light, weather and size."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pipelines.datasets.manifest import Manifest, PictureEntry

__all__ = ["dataset_statistics", "size_of", "statistics_markdown"]

# COCO's bounds of small and medium, areas in square pixels.
_SMALL, _MEDIUM = 32**2, 96**2


def size_of(box: tuple[float, float, float, float]) -> str:
    """Small, medium or large as COCO has it: areas up to 32² and 96² pixels.

    Examples
    --------
    >>> size_of((0, 0, 20, 40)), size_of((0, 0, 90, 90)), size_of((0, 0, 100, 100))
    ('small', 'medium', 'large')
    """
    area = (box[2] - box[0]) * (box[3] - box[1])
    return "small" if area < _SMALL else "medium" if area < _MEDIUM else "large"


def dataset_statistics(manifest: Manifest) -> dict[str, Any]:
    """Counts per split, and over all splits together under ``all``."""
    found: dict[str, Any] = {}
    everything: list[PictureEntry] = []
    for split, entries in manifest.splits.items():
        found[split] = _of(entries, manifest.classes)
        everything += entries
    found["all"] = _of(tuple(everything), manifest.classes)
    found["clips"] = len(manifest.clips)
    return found


def _of(entries: tuple[PictureEntry, ...], classes: tuple[str, ...]) -> dict[str, Any]:
    boxes = [(box, label) for entry in entries for box, label in zip(entry.boxes, entry.labels, strict=True)]
    labels = Counter(label for _, label in boxes)
    sizes = Counter(size_of(box) for box, _ in boxes)
    times = sorted(entry.time for entry in entries if entry.time is not None)
    return {
        "pictures": len(entries),
        "empty_pictures": sum(not entry.labels for entry in entries),
        "boxes": len(boxes),
        "boxes_per_picture": round(len(boxes) / len(entries), 3) if entries else 0.0,
        "classes": {name: labels.get(name, 0) for name in classes},
        "sizes": {name: sizes.get(name, 0) for name in ("small", "medium", "large")},
        "cameras": _sorted(Counter(entry.camera or "unknown" for entry in entries)),
        "light": _sorted(Counter(str(entry.tags.get("light", "unknown")) for entry in entries)),
        "weather": _sorted(Counter(str(entry.tags.get("weather", "unknown")) for entry in entries)),
        "from": times[0].isoformat() if times else None,
        "to": times[-1].isoformat() if times else None,
    }


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))


def statistics_markdown(name: str, digest: str, statistics: dict[str, Any]) -> str:
    """The same as tables for a reader."""
    splits = [key for key in statistics if key != "clips"]
    rows = [("pictures", "pictures"), ("without anything", "empty_pictures"), ("boxes", "boxes")]
    lines = [f"# {name}", "", f"digest `{digest}`, {statistics['clips']} clips", ""]
    lines += ["| | " + " | ".join(splits) + " |", "|---|" + "---:|" * len(splits)]
    lines += [f"| {title} | " + " | ".join(str(statistics[s][key]) for s in splits) + " |" for title, key in rows]
    for group in ("classes", "sizes", "cameras", "light", "weather"):
        keys = statistics["all"][group]
        lines += [
            f"| {group}: {key} | " + " | ".join(str(statistics[s][group].get(key, 0)) for s in splits) + " |"
            for key in keys
        ]
    for key in ("from", "to"):
        lines.append(f"| {key} | " + " | ".join(str(statistics[s][key] or "") for s in splits) + " |")
    return "\n".join(lines) + "\n"
