"""What runs beside MLflow's own server: the data plane."""

import os

# Nothing is sent anywhere: set before MLflow is imported, handed on to the servers that are started, and only
# where the user has not decided.
for _name, _value in {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}.items():
    os.environ.setdefault(_name, _value)
