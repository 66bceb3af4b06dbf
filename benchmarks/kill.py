"""Kill the camera worker at random moments, again and again: is every count there in the end, and each once?

    python -m benchmarks.kill [--kills 20] [--rounds 20] [--seed 1]

A clip whose events are known is counted once without a kill, and once with `kill -9` at random moments and a
restart after each. The lines of JSON, the database and the samples in the prediction log must be the same. Exit
code 1 where they are not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import tempfile
import time
from pathlib import Path

from tests.integration.test_camera_kills import count_until_ended, settings, told
from tests.street import save_toy, write_street


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=20, help="length of the clip, two seconds each")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--economy", default="default", choices=("exact", "default", "fast"))
    said = parser.parse_args()
    starter = multiprocessing.get_context("forkserver")
    starter.set_forkserver_preload(["serving.camera.worker", "tests.integration.test_camera_kills"])
    moments = random.Random(said.seed)  # noqa: S311
    print(f"seed {said.seed}")
    with tempfile.TemporaryDirectory(prefix="camera-counting-kill-") as name:
        folder = Path(name)
        save_toy(folder / "shared" / "model")
        write_street(folder / "shared" / "street.mp4", said.rounds, fps=30)
        whole = settings(folder / "whole", folder / "shared", said.economy)
        began = time.monotonic()
        count_until_ended(str(whole))
        elapsed = time.monotonic() - began
        expected = told(whole.parent)
        print(f"without a kill: {len(expected['lines'])} events in {elapsed:.1f} s", flush=True)
        killed = settings(folder / "killed", folder / "shared", said.economy)
        kills = 0
        while True:
            process = starter.Process(target=count_until_ended, args=(str(killed),))
            process.start()
            # so that all of them fall into the count, also where it gets no further than to the next second
            process.join(None if kills == said.kills else moments.uniform(0.2, 2 * elapsed / said.kills + 0.6))
            if process.exitcode is not None:
                break
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            kills += 1
            print(f"kill {kills}", end="\r", flush=True)
        found = told(killed.parent)
    same = found == expected
    print(f"{kills} kills: {len(found['lines'])} events, {'all the same' if same else 'NOT the same'}")
    if not same or process.exitcode != 0:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
