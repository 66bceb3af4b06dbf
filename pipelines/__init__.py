"""What `mlflow run` runs: one file per step, each a short `main` over library code."""

import os

# Nothing is sent anywhere: set before any of these libraries is imported, and only where the user has not decided.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
}.items():
    os.environ.setdefault(_name, _value)
