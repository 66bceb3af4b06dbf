"""`make bench`: every benchmark in a row; each prints its table and keeps its figures in benchmarks/results/."""

import runpy
import sys

for name in ("counting_speed", "serving_speed", "generator_realism"):
    sys.argv = [name]
    runpy.run_module(f"benchmarks.{name}", run_name="__main__")
