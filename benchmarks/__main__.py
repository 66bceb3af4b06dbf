"""`make bench`: every benchmark in a row; each prints its table and keeps its figures in benchmarks/results/."""

import subprocess
import sys

# Each in a process of its own: their workers import them by name, and none inherits another's memory.
for name in ("counting", "counting_speed", "serving_speed", "generator_realism"):
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=False)
    if done.returncode:
        sys.exit(f"error: the benchmark {name} ended with {done.returncode}")
