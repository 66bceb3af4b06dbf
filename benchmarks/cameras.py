"""Many live cameras in one process: does any fall behind?

    python -m benchmarks.cameras --model models:/camera-counter@serving [--cameras 16] [--seconds 60]
    python -m benchmarks.cameras --soak 200000

Generated streets of 640x360 at 10 frames per second, as many cameras as asked for, are played by the clock and
counted by one worker with its state and a sink, as in service. A camera falls behind where it counts less than
98 % of the frames that were shown to it, or where half of its frames were counted later than the next one came.
Exit code 1 where one does.

Processor time is that of the whole process, per frame that was counted. The clips are read and decoded in it, as a
camera's stream would be; what decoding takes is told beside it, from the same clips decoded alone. On a machine
that does other work too, processor time can be compared; whether a camera falls behind cannot.

`--soak` counts that many frames of two cameras as fast as they can be decoded, with a detector of coloured
rectangles, and says how memory grows: exit code 1 where the last tenth needs a tenth more than the second.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml

from benchmarks.record import keep, table
from camera_counting.video import open_source
from serving.camera.config import read_config
from serving.camera.status import CameraStatus
from serving.camera.worker import Worker

_SIZE, _FPS, _CLIP_SECONDS = (640, 360), 10, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models:/camera-counter@serving", help="as in cameras.yaml")
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0, help="measured, after a warm-up of 10 s")
    parser.add_argument("--economy", default="default", choices=("exact", "default", "fast"))
    parser.add_argument("--soak", type=int, default=0, metavar="FRAMES")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="camera-counting-cameras-") as folder:
        if said.soak:
            _soak(Path(folder), said.soak)
        else:
            _live(Path(folder), said.model, said.cameras, said.seconds, said.economy)


def _live(folder: Path, model: str, number: int, seconds: float, economy: str) -> None:
    clips = _streets(folder, min(number, 4))
    decoding = _decoding_ms(clips[0][0])
    cameras = [
        {
            "name": f"camera {index + 1:02d}",
            "source": str(clips[index % len(clips)][0]),
            "scene": str(clips[index % len(clips)][1]),
            "economy": economy,
            "clip": {"pace": "real-time", "repeat": True},
        }
        for index in range(number)
    ]
    worker = _worker(folder, model, cameras)
    process = psutil.Process()
    worker.start()
    try:
        _wait_until(lambda: all(c.frames > 5 for c in worker.status().cameras), 120)
        time.sleep(10)
        before, cpu, began = _by_name(worker), sum(process.cpu_times()[:2]), time.monotonic()
        time.sleep(seconds)
        after, elapsed = _by_name(worker), time.monotonic() - began
        cores = (sum(process.cpu_times()[:2]) - cpu) / elapsed
        delays = worker.delays()
    finally:
        worker.stop()
    rows, figures, behind = [], [], []
    for name, now in after.items():
        then = before[name]
        received = now.frames - then.frames
        lost = now.dropped - then.dropped, now.stale - then.stale
        counted = now.detected + now.rested - then.detected - then.rested
        p50, p95 = np.percentile(delays[name], [50, 95])
        if counted < 0.98 * received - 1 or p50 > 1000 / _FPS:
            behind.append(name)
        numbers = [received, counted, now.detected - then.detected, *lost, round(p50), round(p95)]
        rows.append([name, *map(str, numbers)])
        figures.append(
            {"camera": name, "received": received, "counted": counted, "detected": now.detected - then.detected}
            | {"dropped": lost[0], "stale": lost[1], "delay_p50_ms": round(p50, 1), "delay_p95_ms": round(p95, 1)}
        )
    columns = ["camera", "received", "counted", "detected", "dropped", "stale", "delay p50 ms", "p95 ms"]
    table(f"{number} cameras of {_SIZE[0]}x{_SIZE[1]} at {_FPS} fps for {elapsed:.0f} s", columns, rows)
    memory = process.memory_info().rss / 2**20
    received, counted, detected = (sum(one[key] for one in figures) for key in ("received", "counted", "detected"))
    per_frame = 1000 * cores * elapsed / max(counted, 1)
    print(
        f"{counted / elapsed:.0f} of {received / elapsed:.0f} frames/s counted, "
        f"{detected / max(counted, 1):.0%} of them detected\n"
        f"{per_frame:.1f} ms of processor time per counted frame, {decoding:.1f} ms of it to decode\n"
        f"{cores:.2f} cores of {psutil.cpu_count()} busy, {memory:.0f} MiB; {len(behind)} of {number} fall behind"
    )
    told = {"economy": economy, "cores": round(cores, 2), "MiB": round(memory)}
    told |= {"processor_ms_per_frame": round(per_frame, 2), "decoding_ms_per_frame": round(decoding, 2)}
    keep("cameras", told | {"cameras": figures})
    if behind:
        raise SystemExit(f"these cameras fall behind: {', '.join(behind)}")


def _soak(folder: Path, frames: int) -> None:
    from tests.street import SCENE, save_toy, write_street

    model, clip = save_toy(folder / "model"), write_street(folder / "street.mp4", 20)
    cameras = [
        {"name": name, "source": str(clip), "scene": SCENE, "clip": {"repeat": True}} for name in ("one", "two")
    ]
    worker = _worker(folder, str(model), cameras)
    process, memory = psutil.Process(), []
    worker.start()
    try:
        for tenth in range(1, 11):
            _wait_until(lambda t=tenth: sum(c.frames for c in worker.status().cameras) >= t * frames // 10, 36_000)
            memory.append(process.memory_info().rss / 2**20)
            print(f"{tenth * frames // 10:>9} frames: {memory[-1]:.0f} MiB", flush=True)
        counted = worker.status().cameras[0].today["lines"]["middle"]
    finally:
        worker.stop()
    print(f"counted by the first camera: {counted}")
    if memory[-1] > 1.1 * memory[1]:
        raise SystemExit(f"memory grew from {memory[1]:.0f} to {memory[-1]:.0f} MiB")


def _worker(folder: Path, model: str, cameras: list[dict[str, Any]]) -> Worker:
    said = {"model": model, "cameras": cameras, "sinks": [{"kind": "json-lines", "file": "events.jsonl"}]}
    path = folder / "cameras.yaml"
    path.write_text(yaml.safe_dump(said))
    return Worker(read_config(path))


def _streets(folder: Path, number: int) -> list[tuple[Path, Path]]:
    """Clips with their scenes, each of another street."""
    from pipelines.datasets.generator import PRESETS, generate_clip

    made = []
    for index in range(number):
        print(f"drawing street {index + 1} of {number}", flush=True)
        clip = generate_clip(
            folder, f"street-{index}", index, seconds=_CLIP_SECONDS, fps=_FPS, width=_SIZE[0], height=_SIZE[1],
            density=PRESETS["easy"], seed=index,
        )  # fmt: skip
        made.append((clip.video, clip.scene))
    return made


def _decoding_ms(clip: Path) -> float:
    """Processor time that a frame of a clip takes to be decoded."""
    process = psutil.Process()
    began = sum(process.cpu_times()[:2])
    with open_source(clip) as source:
        frames = sum(1 for _ in source)
    return 1000 * (sum(process.cpu_times()[:2]) - began) / frames


def _by_name(worker: Worker) -> dict[str, CameraStatus]:
    return {camera.camera: camera for camera in worker.status().cameras}


def _wait_until(done: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit("the worker did not get so far in time")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
