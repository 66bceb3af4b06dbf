"""Side-by-side measurements against peers; each module's docstring gives its command."""

import os

# The peers, too, keep to themselves; `make` sets the same.
for _name, _value in {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}.items():
    os.environ.setdefault(_name, _value)
