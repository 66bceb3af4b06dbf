"""Reading a camera with PyAV, as this project does, against OpenCV's VideoCapture.

    python -m benchmarks.decoding [--real FOLDER] [--seconds 8]

Two things are measured. *Speed*: frames per second and processor time per frame of a clip that is read as fast as
it goes, to RGB; both on one thread and on as many as they like. *A live camera*: GStreamer's RTSP server (Debian's
package gir1.2-gst-rtsp-server-1.0) sends pictures that carry the time at which they were made, as bars of black
and white, and a reader that takes 150 ms for each picture asks for the newest one; told is how old that one is.
OpenCV is read in a thread that keeps the last frame, the usual way to use it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.real import REAL, real_file
from benchmarks.record import keep, table

_BITS = 24  # of the milliseconds of the day, one bar each
_WIDTH, _HEIGHT, _FPS = 640, 360, 25
_SERVER = f"""
import sys, time
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
class Camera(GstRtspServer.RTSPMediaFactory):
    def do_create_element(self, url):
        made = Gst.parse_launch("( appsrc name=source is-live=true format=time do-timestamp=true caps=video/x-raw,"
            "format=GRAY8,width={_WIDTH},height={_HEIGHT},framerate={_FPS}/1 ! videoconvert "
            "! video/x-raw,format=I420 ! x264enc "
            "tune=zerolatency sliced-threads=false threads=1 speed-preset=ultrafast key-int-max={_FPS} "
            "! rtph264pay name=pay0 pt=96 config-interval=-1 )")
        source = made.get_by_name("source")
        def push():
            now = int(time.time() * 1000) % (1 << {_BITS})
            row = b"".join((b"\\xff" if now >> i & 1 else b"\\0") * ({_WIDTH} // {_BITS}) for i in range({_BITS}))
            row += b"\\0" * ({_WIDTH} - len(row))
            source.emit("push-buffer", Gst.Buffer.new_wrapped(row * {_HEIGHT}))
            return True
        GLib.timeout_add({1000 // _FPS}, push)
        return made
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service("0")
camera = Camera(); camera.set_shared(True)
server.get_mount_points().add_factory("/cam", camera); server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


def _pyav(clip: Path, threads: int) -> int:
    import av

    frames = 0
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE" if threads == 1 else "AUTO"
        for frame in container.decode(stream):
            frame.to_ndarray(format="rgb24")
            frames += 1
    return frames


def _opencv(clip: Path, threads: int) -> int:
    import cv2

    settings = [cv2.CAP_PROP_N_THREADS, threads] if threads else []
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG, settings)
    frames = 0
    while True:
        sound, image = capture.read()
        if not sound:
            return frames
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        frames += 1


def _speed(read: Callable[[Path, int], int], clip: Path, threads: int) -> tuple[float, float]:
    begun, used = time.perf_counter(), time.process_time()
    frames = read(clip, threads)
    return frames / (time.perf_counter() - begun), (time.process_time() - used) / frames * 1000


def _made(image: np.ndarray) -> int:
    """The time that is written in a picture, in milliseconds of its clock."""
    bar = _WIDTH // _BITS
    row = image[_HEIGHT // 2, bar // 2 : bar * _BITS : bar, 0]
    return sum(int(level > 127) << i for i, level in enumerate(row[:_BITS]))


def _ages(newest: Callable[[], np.ndarray | None], seconds: float) -> Iterator[float]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        image = newest()
        if image is not None:
            yield (int(time.time() * 1000) - _made(image)) % (1 << _BITS)
            time.sleep(0.15)


def _live(url: str, seconds: float) -> tuple[list[float], float]:
    from camera_counting.video import LiveSource

    with LiveSource(url) as source:
        source.latest(10.0)
        used = time.process_time()
        ages = list(_ages(lambda: (frame := source.latest(1.0)) and frame.image, seconds))
        return ages, time.process_time() - used


def _captured(url: str, seconds: float) -> tuple[list[float], float]:
    import cv2

    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    last: list[np.ndarray | None] = [None]
    over = threading.Event()

    def grab() -> None:
        while not over.is_set():
            sound, image = capture.read()
            if sound:
                last[0] = image

    thread = threading.Thread(target=grab, daemon=True)
    thread.start()
    while last[0] is None:
        time.sleep(0.01)
    used = time.process_time()
    ages = list(_ages(lambda: last[0], seconds))
    used = time.process_time() - used
    over.set()
    thread.join(5)
    return ages, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    clip = real_file(arguments.real, "road-traffic.mp4")
    kinds = {
        f"{name}, {told}": (read, threads)
        for told, threads in (("one thread", 1), ("its own choice", 0))
        for name, read in (("PyAV", _pyav), ("OpenCV", _opencv))
    }
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(arguments.rounds):
        for name, (read, threads) in kinds.items():
            measured[name].append(_speed(read, clip, threads))
    figures: dict[str, dict[str, float]] = {}
    for name, rounds in measured.items():
        frames, cost = (statistics.median(values) for values in zip(*rounds, strict=True))
        figures[name] = {"frames_per_second": round(frames, 1), "processor_ms_per_frame": round(cost, 3)}
    table(
        f"Reading {clip.name} as fast as it goes",
        ["reader", "frames / s", "processor ms / frame"],
        [
            [name, f"{f['frames_per_second']:.0f}", f"{f['processor_ms_per_frame']:.2f}"]
            for name, f in figures.items()
        ],
    )
    server = subprocess.Popen(["/usr/bin/python3", "-c", _SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        if not port:
            sys.exit("GStreamer's RTSP server is not installed: the live camera was not measured")
        live = {"LiveSource (PyAV)": _live, "OpenCV in a thread": _captured}
        rows = []
        for name, reader in live.items():
            ages, used = reader(f"rtsp://127.0.0.1:{port}/cam", arguments.seconds)
            p50, p95 = np.percentile(ages, [50, 95])
            figures[name] = {
                "age_p50_ms": round(float(p50), 1),
                "age_p95_ms": round(float(p95), 1),
                "processor_share": round(used / arguments.seconds, 4),
            }
            rows.append([name, f"{p50:.0f}", f"{p95:.0f}", f"{used / arguments.seconds:.1%}"])
        table(
            f"A live camera of {_WIDTH} x {_HEIGHT} at {_FPS} frames per second",
            ["reader", "age of the newest frame, ms: median", "95 %", "processor"],
            rows,
        )
    finally:
        server.kill()
    keep("decoding", figures)


if __name__ == "__main__":
    main()
