"""Counting a clip end to end: this engine against Ultralytics ObjectCounter and supervision with `trackers`.

    python -m benchmarks.counting_speed [--real FOLDER] [--weights best.pt] [--rounds 3]

The clip is the real street of the folder of real inputs, with its line and its true count (8 in, 0 out). Every
system runs in a process of its own, in turns, so that a machine that drifts slows all of them; the median of the
rounds is printed, and its ratio to ours. Loading and warming up are outside the clock.

The bare limit is the detector alone: ready canvases through the same runtime, with as many in flight. What the
exact count (`--exact`) takes beyond it is all that is not the forward pass.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers import COUNTERS, Line, Result
from benchmarks.real import REAL, real_file
from benchmarks.record import keep, table
from camera_counting.counting import FrameChoice
from camera_counting.detectors.letterbox import letterbox

if TYPE_CHECKING:
    from camera_counting.model import CountingModel

LINE: Line = ((150, 215), (640, 215))
_BARE = "bare limit: forward passes alone"
_READY = 60
CLASSES = {"car": 2, "motorcycle": 3, "bus": 5, "truck": 7}


def ours(weights: Path, clip: Path, line: Line, classes: list[int], economy: str = "default") -> Result:
    """`CountingModel.count_video`, as `camera-counting count` calls it."""
    from camera_counting.counting import Economy
    from camera_counting.scene import Scene
    from camera_counting.video import open_source

    model = _model(weights)
    names = [name for name, index in CLASSES.items() if index in classes]
    scene = Scene.from_dict(
        {
            "camera": "street",
            "units": "pixels",
            "lines": [{"name": "line", "from": line[0], "to": line[1], "classes": names}],
        }
    )
    chosen: Economy = getattr(Economy, economy)()
    with open_source(clip) as source:
        size = source.width, source.height
    # the input that fits is prepared here, outside the clock, as every system's own is
    model.detector.for_frames(*size, FrameChoice(chosen, scene, size).part)
    start = time.perf_counter()
    counted = model.count_video(clip, scene, economy=chosen).to_dict()
    seconds = time.perf_counter() - start
    return counted["frames"], seconds, {key: counted["lines"]["line"][key] for key in ("in", "out")}


def ours_exact(weights: Path, clip: Path, line: Line, classes: list[int]) -> Result:
    """With nothing left out."""
    return ours(weights, clip, line, classes, "exact")


def ours_fast(weights: Path, clip: Path, line: Line, classes: list[int]) -> Result:
    """With all left out that can be."""
    return ours(weights, clip, line, classes, "fast")


def bare_limit(weights: Path, clip: Path, line: Line, classes: list[int]) -> Result:
    """The forward passes alone, of every frame; it counts nothing."""
    from camera_counting.detectors.detector import FrameDetector, GraphDetector
    from camera_counting.video import open_source

    detector = _model(weights).detector
    with open_source(clip) as source:
        fitted = detector.for_frames(source.width, source.height)
        graph = fitted.fitted if isinstance(fitted, FrameDetector) else fitted
        assert isinstance(graph, GraphDetector)
        canvas = np.empty((graph.spec.height, graph.spec.width, 3), np.uint8)
        ready = []
        for frame in islice(source, _READY):
            letterbox(frame.image, graph.spec, canvas)
            ready.append(canvas.copy())
        frames = source.frame_count or len(ready)
    writes = (partial(np.copyto, src=ready[i % len(ready)]) for i in range(frames))
    start = time.perf_counter()
    done = sum(1 for _ in graph.runtime.run(writes, lambda written, output: None))
    return done, time.perf_counter() - start, {"in": 0, "out": 0}


def _model(weights: Path) -> CountingModel:
    import camera_counting

    with tempfile.TemporaryDirectory() as folder:
        camera_counting.save_model(weights, Path(folder) / "model", classes="coco")
        return camera_counting.load_model(str(Path(folder) / "model"))


def _apart(counter: Callable[..., Result], *arguments: object) -> Result:
    """Run in a fresh process: no system inherits another's threads, caches or memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(counter, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--weights", type=Path, help="PyTorch weights; by default YOLO11n, untrained")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    clip = real_file(arguments.real, "road-traffic.mp4")
    openvino = real_file(arguments.real, "yolo11n_int8_openvino_model")
    with tempfile.TemporaryDirectory() as scratch:
        weights = arguments.weights
        if weights is None:
            import ultralytics

            weights = Path(scratch) / "yolo11n.pt"
            ultralytics.YOLO("yolo11n.yaml").save(str(weights))
        systems: list[tuple[str, Callable[..., Result], Path]] = [
            ("camera_counting, OpenVINO INT8", ours, openvino),
            ("camera_counting --exact", ours_exact, openvino),
            ("camera_counting --fast", ours_fast, openvino),
            (_BARE, bare_limit, openvino),
            *((f"{name}, OpenVINO INT8", counter, openvino) for name, counter in COUNTERS.items()),
            ("ultralytics ObjectCounter, PyTorch", COUNTERS["ultralytics ObjectCounter"], weights),
        ]
        seen: dict[str, list[Result]] = {name: [] for name, _, _ in systems}
        for _ in range(arguments.rounds):
            for name, counter, file in systems:
                seen[name].append(_apart(counter, file, clip, LINE, list(CLASSES.values())))

    rates = {
        name: statistics.median(frames / seconds for frames, seconds, _ in runs) for name, runs in seen.items()
    }
    base = rates[systems[0][0]]
    table(
        f"counting {clip.name} ({seen[systems[0][0]][0][0]} frames; true: 8 in, 0 out)",
        ["system", "frames/s", "ours is", "in", "out"],
        [
            [
                name,
                f"{rate:.1f}",
                f"{base / rate:.2f}x",
                str(seen[name][-1][2]["in"]),
                str(seen[name][-1][2]["out"]),
            ]
            for name, rate in rates.items()
        ],
    )
    exact = [frames / seconds for frames, seconds, _ in seen["camera_counting --exact"]]
    bare = [frames / seconds for frames, seconds, _ in seen[_BARE]]
    beyond = statistics.median(b / e - 1 for b, e in zip(bare, exact, strict=True))
    print(f"of the exact count's time, {beyond / (1 + beyond):.0%} is not the forward pass")
    keep(
        "counting_speed",
        {name: {"fps": rates[name], "ratio": base / rates[name], "runs": seen[name]} for name in seen},
    )


if __name__ == "__main__":
    main()
