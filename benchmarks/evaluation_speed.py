"""What an evaluation costs beyond decoding and detecting its pictures.

    python -m benchmarks.evaluation_speed [--pictures 1000] [--rounds 3] [--pictures-in FOLDER] [--real FOLDER]
    python -m benchmarks.evaluation_speed --where       # where the rest of the time goes, function by function

Generated camera pictures of 640x360 are kept as JPEG, once, in a folder of one's choice. Two things are timed in
turns: *the least*, which loads the model, decodes each picture with OpenCV and detects on it, down to the same
score, one after the other; and `mlflow.models.evaluate` with all that the evaluator does by default: slices, 1,000
bootstrap draws, plots, tables, and MLflow's own records in an SQLite file. Told are the times of the wall
clock and of the processor, and the ratio of each round: on a machine that does other things as well, the
processor's is the one to look at. The detector is YOLO11n INT8 with COCO's 80 classes; three are labelled.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import mlflow
import pandas as pd

import camera_counting
from benchmarks.real import REAL, real_file
from benchmarks.record import keep, table
from counting_evaluator import MODEL_TYPE, EvaluatorConfig
from pipelines.datasets.generator.pictures import generate_pictures

_SIZE = (640, 360)


def _pictures(folder: Path, number: int) -> pd.DataFrame:
    """The pictures with their labels, drawn where the folder does not hold them."""
    known = folder / f"pictures-{number}.json"
    if not known.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        shots = generate_pictures(number, cameras=range(6), width=_SIZE[0], height=_SIZE[1], seed=3)
        for index, shot in enumerate(shots):
            path = folder / f"{number}-{index:05d}.jpg"
            cv2.imwrite(str(path), shot.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
            row = {"image": path.name, "boxes": shot.boxes.tolist(), "labels": list(shot.labels)}
            rows.append(row | {"camera_id": shot.camera, "time": shot.time.isoformat(), **shot.tags})
            print(f"\r{index + 1} pictures drawn", end="", file=sys.stderr)
        print(file=sys.stderr)
        known.write_text(json.dumps(rows))
    rows = json.loads(known.read_text())
    return pd.DataFrame([row | {"image": str(folder / row["image"])} for row in rows])


def _the_least(uri: str, data: pd.DataFrame, floor: float) -> int:
    model = camera_counting.load_model(uri)
    found = 0
    for path in data["image"]:
        image = cv2.imread(path, cv2.IMREAD_COLOR_RGB)
        found += len(model.detect([image], confidence=floor)[0])
    return found


def _evaluated(uri: str, data: pd.DataFrame) -> dict[str, float]:
    with mlflow.start_run():
        result = mlflow.models.evaluate(uri, data, model_type=MODEL_TYPE, evaluators="camera-counting")
    return dict(result.metrics)


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the wall clock, and of all the processor's cores."""
    wall, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures-in", type=Path, default=Path(tempfile.gettempdir()) / "evaluation-speed")
    parser.add_argument("--where", action="store_true", help="profile one evaluation instead")
    arguments = parser.parse_args()
    detector = real_file(arguments.real, "yolo11n_int8_openvino_model")
    data = _pictures(arguments.pictures_in, arguments.pictures)
    floor = EvaluatorConfig().floor
    with tempfile.TemporaryDirectory() as scratch:
        mlflow.set_tracking_uri(f"sqlite:///{scratch}/mlflow.db")
        mlflow.create_experiment("evaluation speed", artifact_location=f"{scratch}/artifacts")
        mlflow.set_experiment("evaluation speed")
        with mlflow.start_run():
            uri = str(camera_counting.log_model(detector).model_uri)
        _evaluated(uri, data.iloc[:20])  # what is imported and compiled once is part of neither
        if arguments.where:
            profile = cProfile.Profile()
            profile.runcall(_evaluated, uri, data)
            pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
            return
        rounds: list[dict[str, float]] = []
        for _ in range(arguments.rounds):
            least, least_used = _timed(lambda: _the_least(uri, data, floor))
            all_of_it, used = _timed(lambda: _evaluated(uri, data))
            rounds.append(
                {
                    "least_seconds": round(least, 2),
                    "evaluation_seconds": round(all_of_it, 2),
                    "ratio": round(all_of_it / least, 3),
                    "least_processor_seconds": round(least_used, 2),
                    "evaluation_processor_seconds": round(used, 2),
                    "processor_ratio": round(used / least_used, 3),
                }
            )
            print(rounds[-1], flush=True)
    names = {"ratio": "wall clock", "processor_ratio": "processor"}
    table(
        f"Evaluating {arguments.pictures} pictures against decoding and detecting them",
        ["", "median", "least", "most"],
        [
            [told, *(f"{choose(r[name] for r in rounds):.2f}" for choose in (statistics.median, min, max))]
            for name, told in names.items()
        ],
    )
    keep("evaluation_speed", {"pictures": arguments.pictures, "rounds": rounds})


if __name__ == "__main__":
    main()
