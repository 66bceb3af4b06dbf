"""`make soak`: one camera for very many frames of synthetic detections; its memory must stay flat.

    python -m benchmarks.soak [--frames 1000000]

People walk over a line for ever, each a new track, with noise and misses. Exit code 1 where the resident memory of
the last tenth exceeds that of the second tenth by more than a tenth, or where nobody was counted.
"""

from __future__ import annotations

import argparse

import numpy as np
import psutil

from camera_counting.counting.camera import CameraCount
from camera_counting.detections import Detections
from camera_counting.scene import Scene

_FPS, _WIDTH, _HEIGHT, _AT_ONCE = 10.0, 640, 360, 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    frames = parser.parse_args().frames

    scene = Scene.from_dict(
        {
            "camera": "soak",
            "units": "pixels",
            "lines": [{"name": "gate", "from": [0, 180], "to": [640, 180]}],
            "zones": [{"name": "square", "polygon": [[100, 60], [540, 60], [540, 300], [100, 300]]}],
        }
    )
    camera = CameraCount(["person"], scene, (_WIDTH, _HEIGHT))
    rng = np.random.default_rng(0)
    x = rng.uniform(40, _WIDTH - 40, _AT_ONCE)
    y = rng.uniform(60, _HEIGHT, _AT_ONCE)
    speed = rng.uniform(3, 6, _AT_ONCE)
    process, memory = psutil.Process(), []
    for frame in range(frames):
        y += speed
        gone = y > _HEIGHT
        y[gone] = 50
        x[gone] = rng.uniform(40, _WIDTH - 40, int(gone.sum()))
        seen = rng.random(_AT_ONCE) > 0.05
        boxes = np.stack([x - 12, y - 50, x + 12, y], axis=1)[seen] + rng.normal(0, 1, (int(seen.sum()), 4))
        camera.step(
            Detections.of(boxes, np.full(len(boxes), 0.8), np.zeros(len(boxes)), ["person"]), frame / _FPS, frame
        )
        # At the end of every tenth, so that the last one is the end.
        if (frame + 1) % max(1, frames // 10) == 0:
            memory.append(process.memory_info().rss / 2**20)
            counts = camera.result().lines["gate"].to_dict()
            print(f"frame {frame + 1:>9}: {memory[-1]:.0f} MiB, {counts}", flush=True)
    camera.finish()
    counted = camera.result().lines["gate"].into
    if not counted or memory[-1] > 1.1 * memory[min(1, len(memory) - 1)]:
        raise SystemExit(f"memory grew from {memory[1]:.0f} to {memory[-1]:.0f} MiB, {counted} counted")


if __name__ == "__main__":
    main()
