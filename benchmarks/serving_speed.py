"""`mlflow models serve`: this flavour against a plain pyfunc that wraps Ultralytics.

    python -m benchmarks.serving_speed [--real FOLDER] [--weights best.pt]

Both are started by the same command in the same environment and asked the same picture. Printed are the seconds
from the start of the command to the first answer, the memory of all its processes, and the requests per second
of four clients, each as a ratio to the peer.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.real import REAL, real_file
from benchmarks.record import keep, table
from serving.direct import DIRECT
from serving.server import free_port

CLIENTS = 4


@dataclass(frozen=True)
class Served:
    """What was seen of one server."""

    name: str
    cold_start_seconds: float
    resident_mib: float
    server_mib: float
    requests_per_second: float
    latency_p50_ms: float
    answer: str


def _ask(port: int, body: bytes) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
    )
    with DIRECT.open(request, timeout=60) as answer:
        return bytes(answer.read())


def _resident_mib(pid: int) -> tuple[float, float]:
    """Proportional set size, in which shared pages count once: a process with all its children, and they alone.

    The process itself is MLflow's launcher, the same for every model; the children are what serves.
    """
    launcher, *servers = (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
    serving = sum(process.memory_full_info().pss for process in servers) / 2**20
    return serving + launcher.memory_full_info().pss / 2**20, serving


def _throughput(port: int, body: bytes, seconds: float) -> tuple[float, float]:
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    def client() -> None:
        while time.perf_counter() < until:
            start = time.perf_counter()
            _ask(port, body)
            latencies.append(time.perf_counter() - start)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(latencies) / (time.perf_counter() - start), statistics.median(latencies) * 1000


def measure(name: str, model: Path, body: bytes, seconds: float) -> Served:
    """Serve a model folder, wait for the first answer, load it, stop it."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(model)),
        *("--env-manager", "local", "--port", str(port), "--host", "127.0.0.1"),
    ]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    start = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            while True:
                try:
                    answer = _ask(port, body)
                    break
                except (urllib.error.URLError, ConnectionError):
                    if server.poll() is not None:
                        log.seek(0)
                        raise SystemExit(f"{name} did not start:\n{log.read().decode()[-2000:]}") from None
                    time.sleep(0.05)
            cold = time.perf_counter() - start
            _throughput(port, body, 2)  # warm
            rate, latency = _throughput(port, body, seconds)
            return Served(name, cold, *_resident_mib(server.pid), rate, latency, answer.decode()[:300])
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=REAL, help="folder with the OpenVINO model")
    parser.add_argument("--weights", type=Path, help="PyTorch weights; by default YOLO11n, untrained")
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()

    import mlflow
    import ultralytics

    import camera_counting

    openvino = real_file(arguments.real, "yolo11n_int8_openvino_model")
    picture = Path(ultralytics.__file__).parent / "assets" / "bus.jpg"
    body = json.dumps(
        {"dataframe_split": {"columns": ["image"], "data": [[base64.b64encode(picture.read_bytes()).decode()]]}}
    ).encode()

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        weights = arguments.weights
        if weights is None:
            weights = folder / "yolo11n.pt"
            ultralytics.YOLO("yolo11n.yaml").save(str(weights))
        code = Path(__file__).with_name("plain_pyfunc.py")
        for name, file in {"torch": weights, "openvino": openvino}.items():
            mlflow.pyfunc.save_model(
                folder / f"plain-{name}",
                python_model=str(code),
                artifacts={"weights": str(file.resolve())},
                pip_requirements=["ultralytics"],
            )
        camera_counting.save_model(openvino, folder / "ours", classes="coco")
        served = [
            measure("plain pyfunc, PyTorch weights", folder / "plain-torch", body, arguments.seconds),
            measure("plain pyfunc, OpenVINO INT8", folder / "plain-openvino", body, arguments.seconds),
            measure("camera_counting, OpenVINO INT8", folder / "ours", body, arguments.seconds),
        ]
    ours = served[-1]
    table(
        "mlflow models serve",
        [
            "server",
            "cold start s",
            "memory MiB",
            "without launcher",
            "requests/s",
            "p50 ms",
            "ours: cold",
            "ours: memory",
            "without launcher",
            "ours: requests/s",
        ],
        [
            [
                *(row.name, f"{row.cold_start_seconds:.1f}", f"{row.resident_mib:.0f}", f"{row.server_mib:.0f}"),
                *(f"{row.requests_per_second:.1f}", f"{row.latency_p50_ms:.0f}"),
                f"{ours.cold_start_seconds / row.cold_start_seconds:.2f}x",
                f"{ours.resident_mib / row.resident_mib:.2f}x",
                f"{ours.server_mib / row.server_mib:.2f}x",
                f"{ours.requests_per_second / row.requests_per_second:.2f}x",
            ]
            for row in served
        ],
    )
    keep("serving_speed", [asdict(row) for row in served])


if __name__ == "__main__":
    main()
