"""What INT8 and FP16 gain, and what they cost in counts.

    python -m benchmarks.optimisation [--detector FILE --data FOLDER] [--real FOLDER] [--calibration 100]

The optimise step itself, with both presets of INT8, in a tracking store that is thrown away: calibrated on the
train split, counted on the val split, all candidates of a case timed by turns in one process. `--data` and
`--detector` name a generated data set and a detector that knows it. Of the real clips nobody has labelled every
frame: there the truth is what the detector itself counts in FP32, so the error is what the optimised one counts
otherwise; it is calibrated on the first half of a clip and counted on the other half.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mlflow

import camera_counting
from benchmarks.real import REAL, real_file
from benchmarks.record import keep, table
from camera_counting.detectors import Detector, open_detector
from camera_counting.video import open_source
from pipelines.datasets.manifest import Manifest, PictureEntry, sha256
from pipelines.optimize import OptimizeResult, OptimizeSettings, run

# a detector for real pictures, its confidence, and the clips that it looks at: name, every so many frames, classes
_YOLOX = "yolox_nano.onnx"
_CONFIDENCE = 0.35
_CLIPS = [("road-traffic.mp4", 3, ("car", "truck", "bus")), ("one-by-one-person-detection.mp4", 4, ("person",))]
_COLUMNS = ["case, candidate", "MB", "time", "95 %", "p50 ms", "p95 ms", "count/mae", "by class", "worse by"]


@dataclass(frozen=True)
class Case:
    """A detector and a prepared data set for it."""

    name: str
    detector: Path
    data: Path
    labels: str | None
    confidence: float


def real_cases(folder: Path, work: Path) -> Iterator[Case]:
    """The real clips as data sets, labelled by the detector itself."""
    path = real_file(folder, _YOLOX)
    detector = open_detector(path, classes="coco", confidence=_CONFIDENCE)
    for clip, step, classes in _CLIPS:
        data = work / Path(clip).stem
        _label(detector, real_file(folder, clip), data, step, classes)
        yield Case(f"YOLOX-nano, {clip}", path, data, "coco", _CONFIDENCE)


def _label(detector: Detector, clip: Path, data: Path, step: int, classes: tuple[str, ...]) -> None:
    entries: list[PictureEntry] = []
    (data / "images").mkdir(parents=True)
    with open_source(clip) as source:
        for number, frame in enumerate(source):
            if number % step:
                continue
            file = data / "images" / f"{number:05d}.png"
            cv2.imwrite(str(file), frame.image[..., ::-1])
            [found] = detector.detect([frame.image])
            found = found.of_classes(classes)
            entries.append(
                PictureEntry(
                    file=f"images/{file.name}",
                    sha256=sha256(file),
                    width=frame.image.shape[1],
                    height=frame.image.shape[0],
                    camera="clip",
                    boxes=tuple(tuple(map(float, box)) for box in found.boxes),
                    labels=tuple(found.names[number] for number in found.class_ids),
                )
            )
    half = len(entries) // 2
    splits = {"train": tuple(entries[:half]), "val": tuple(entries[half:])}
    manifest = Manifest(name=clip.stem, classes=classes, source=clip.name, splits=splits)
    (data / "dataset.json").write_text(manifest.signed().to_json())


def optimised(case: Case, calibration: int, rounds: int) -> list[tuple[str, dict[str, Any]]]:
    """One row for the model and for each candidate."""
    with mlflow.start_run(run_name=case.name):
        model = camera_counting.log_model(
            case.detector, classes=case.labels, confidence=case.confidence, input_example=False
        )
    settings = {"model_uri": model.model_uri, "data": case.data, "keep": True, "shapes": ("own",)}
    settings |= {"calibration": calibration, "rounds": rounds}
    rows: list[tuple[str, dict[str, Any]]] = []
    for preset in ("mixed", "performance"):
        precisions = ("fp16", "int8") if preset == "mixed" else ("int8",)
        result = run(OptimizeSettings.model_validate(settings | {"preset": preset, "precisions": precisions}))
        if not rows:
            rows.append((case.name, _figures(result)))
        rows += [
            (f"  {row.name}{f', {preset}' if row.name == 'int8' else ''}", _figures(result, number))
            for number, row in enumerate(result.rows)
        ]
    return rows


def _figures(result: OptimizeResult, number: int | None = None) -> dict[str, Any]:
    row = None if number is None else result.rows[number]
    figures = result.model if row is None else row.figures
    if figures is None:
        return {"not_made": row.refusals if row else ()}
    latency = figures.latency
    return {
        "megabytes": round(figures.bytes / 1e6, 2),
        "ratio": round(latency.ratio, 3),
        "ratio_low": round(latency.ratio_low, 3),
        "ratio_high": round(latency.ratio_high, 3),
        "p50_ms": round(latency.p50_ms, 2),
        "p95_ms": round(latency.p95_ms, 2),
        "confidence": figures.confidence,
        "errors": {name: round(value, 4) for name, value in figures.errors.items()},
        "worse_by": round(row.verdict.difference, 4) if row and row.verdict else None,
        "refusals": row.refusals if row else (),
    }


def _cells(name: str, row: dict[str, Any]) -> list[str]:
    if "not_made" in row:
        return [name, *[""] * (len(_COLUMNS) - 2), "not made"]
    errors, worse = row["errors"], row["worse_by"]
    return [
        name,
        f"{row['megabytes']:.1f}",
        f"{row['ratio']:.2f}",
        f"{row['ratio_low']:.2f}-{row['ratio_high']:.2f}",
        f"{row['p50_ms']:.1f}",
        f"{row['p95_ms']:.1f}",
        f"{errors['count/mae']:.3f}",
        f"{errors['count/mae_by_class']:.3f}",
        "" if worse is None else f"{worse:+.3f}" + (" refused" if row["refusals"] else ""),
    ]


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", type=Path, help="a detector in FP32 that knows the classes of --data")
    parser.add_argument("--confidence", type=float, default=0.33, help="from which score on its detections count")
    parser.add_argument("--data", type=Path, help="a prepared data set with train and val split")
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--calibration", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if (given.detector is None) != (given.data is None):
        parser.error("expected --detector and --data, or neither")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        mlflow.set_tracking_uri(f"sqlite:///{work / 'mlflow.db'}")
        mlflow.set_experiment(
            experiment_id=mlflow.create_experiment("optimisation", artifact_location=str(work / "artifacts"))
        )
        cases = (
            [] if given.data is None else [Case("generated", given.detector, given.data, None, given.confidence)]
        )
        rows = []
        for case in (*cases, *real_cases(given.real, work)):
            rows += optimised(case, given.calibration, given.rounds)
    table("time: against FP32's in turns; errors: of the val split", _COLUMNS, [_cells(*row) for row in rows])
    keep("optimisation", [{"name": name.strip(), **row} for name, row in rows])


if __name__ == "__main__":
    main()
