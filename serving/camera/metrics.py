"""What Prometheus is told of the worker: text in its exposition format, from a registry of its own.

Numbers that the worker's status has are read when somebody scrapes; latencies and counts are told frame by frame,
which costs some microseconds. What belongs to a camera goes when the camera goes.
"""

from __future__ import annotations

import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_args

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.camera.records import CountRecord
from serving.camera.status import CameraState, CameraStatus, WorkerStatus

__all__ = ["CONTENT_TYPE", "CameraMetrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_STATES: tuple[str, ...] = get_args(CameraState)
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# More series of counts than this of one camera are added up in one: names come from scenes, and scenes change.
_MOST_COUNTS = 2000
_OTHER = "(other)"

_Count = tuple[str, str, str, str]  # kind, name, direction, class


class CameraMetrics:
    """The worker's metrics. Thread-safe.

    Parameters
    ----------
    status : callable
        Gives the worker's status; called once per scrape.

    Examples
    --------
    >>> from datetime import datetime
    >>> metrics = CameraMetrics(lambda: WorkerStatus(datetime.now().astimezone(), "m", "1", "", True, "", (), ()))
    >>> "camera_counting_state_durable 1.0" in metrics.text().decode()
    True
    """

    def __init__(self, status: Callable[[], WorkerStatus]) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Tally[_Count]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        # first, because it forgets the cameras that are gone
        self._registry.register(_Told(status, self._copied, self._forget_all_but))
        self._latencies = {
            name: Histogram(
                f"camera_counting_{name}_seconds", text, ["camera"], buckets=_BUCKETS, registry=self._registry
            )
            for name, text in (
                ("decode", "Time to decode a frame."),
                ("inference", "Time to detect in a frame."),
                ("delay", "Time from the receipt of a frame to its count."),
            )
        }
        self._seen: set[str] = set()
        self._told: set[str] = set()

    def frame(
        self,
        camera: str,
        *,
        decode: float | None = None,
        inference: float | None = None,
        delay: float | None = None,
    ) -> None:
        """One frame of a camera; times in seconds, None for what it did not go through."""
        if camera not in self._seen:
            with self._lock:
                self._seen.add(camera)
        for name, seconds in (("decode", decode), ("inference", inference), ("delay", delay)):
            if seconds is not None and seconds >= 0:
                self._latencies[name].labels(camera).observe(seconds)

    def counted(self, records: Iterable[CountRecord]) -> None:
        """Events that were committed, each of them once."""
        with self._lock:
            for record in records:
                key = (record.kind, record.name, record.direction, record.class_name)
                self._add(record.camera, key, 1)

    def restore(self, camera: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """What a camera had counted before the worker was started: its counters go on from there.

        Parameters
        ----------
        rows : iterable of mappings
            kind, name, direction, class, count. Harmless when done twice: a counter never goes back.
        """
        with self._lock:
            counts = self._counts.setdefault(camera, Tally())
            for row in rows:
                key = (str(row["kind"]), str(row["name"]), str(row.get("direction") or ""), str(row["class"]))
                self._add(camera, key, int(row["count"]) - counts[key])

    def text(self) -> bytes:
        """All of it, in the text format; its type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def _add(self, camera: str, key: _Count, number: int) -> None:
        counts = self._counts.setdefault(camera, Tally())
        if key not in counts and len(counts) >= _MOST_COUNTS:
            key = (key[0], _OTHER, "", _OTHER)
        counts[key] += max(number, 0)

    def _copied(self) -> dict[str, dict[_Count, int]]:
        with self._lock:
            return {camera: dict(counts) for camera, counts in self._counts.items()}

    def _forget_all_but(self, cameras: set[str]) -> None:
        with self._lock:
            # what was restored for a camera that is not up yet is kept
            gone, self._told = self._told - cameras, set(cameras)
            for camera in gone:
                self._counts.pop(camera, None)
                self._seen.discard(camera)
        for camera in gone:
            for histogram in self._latencies.values():
                histogram.remove_by_labels({"camera": camera})


class _Told(Collector):
    """Reads the status when it is collected."""

    def __init__(
        self,
        status: Callable[[], WorkerStatus],
        counts: Callable[[], dict[str, dict[_Count, int]]],
        forget_all_but: Callable[[set[str]], None],
    ) -> None:
        self._status, self._counts, self._forget_all_but = status, counts, forget_all_but

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        names = {camera.camera for camera in status.cameras}
        self._forget_all_but(names)
        yield from _worker(status)
        yield from _cameras(status.cameras)
        yield from _counts({camera: of for camera, of in self._counts().items() if camera in names})
        yield from _sinks(status)


def _worker(status: WorkerStatus) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "camera_counting_build", "The version of this software.", value={"version": _own_version()}
    )
    yield InfoMetricFamily(
        "camera_counting_model",
        "The model that counts.",
        value={"model": status.model, "version": status.version},
    )
    for name, text, value in (
        ("start_time_seconds", "When the worker was started.", status.started.timestamp()),
        ("model_error", "Whether a newer version of the model could not be used.", bool(status.model_error)),
        ("state_durable", "Whether the state could be written the last time.", status.durable),
    ):
        yield GaugeMetricFamily(f"camera_counting_{name}", text, value=float(value))


_PER_CAMERA: tuple[tuple[str, str], ...] = (
    ("frames", "Frames received."),
    ("dropped", "Frames dropped because newer ones had come."),
    ("corrupt", "Frames that could not be decoded."),
    ("stale", "Frames that were older than allowed when their turn came."),
    ("detected", "Frames given to the detector."),
    ("rested", "Frames in which nothing that counts had moved."),
)


def _cameras(cameras: tuple[CameraStatus, ...]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "camera_counting_camera_state", "1 for the state that a camera is in.", labels=["camera", "state"]
    )
    fps = GaugeMetricFamily(
        "camera_counting_camera_frames_per_second", "Frames received, lately.", labels=["camera"]
    )
    last = GaugeMetricFamily(
        "camera_counting_camera_last_frame_timestamp_seconds", "When the last frame came.", labels=["camera"]
    )
    version_of = InfoMetricFamily("camera_counting_camera_model", "What counts a camera.", labels=["camera"])
    reconnects = CounterMetricFamily(
        "camera_counting_camera_reconnects", "How often a camera was connected anew.", labels=["camera"]
    )
    occupancy = GaugeMetricFamily(
        "camera_counting_zone_occupancy", "How many are in a zone now.", labels=["camera", "zone"]
    )
    for camera in cameras:
        for known in _STATES:
            state.add_metric([camera.camera, known], float(camera.state == known))
        fps.add_metric([camera.camera], camera.fps)
        if camera.last_frame is not None:
            last.add_metric([camera.camera], camera.last_frame.timestamp())
        version_of.add_metric([camera.camera], {"version": camera.version})
        reconnects.add_metric([camera.camera], camera.reconnects)
        for zone, numbers in list(camera.today.get("zones", {}).items())[:_MOST_COUNTS]:
            if "occupancy" in numbers:
                occupancy.add_metric([camera.camera, str(zone)], float(numbers["occupancy"]))
    yield from (state, fps, last, version_of, reconnects, occupancy)
    for field, text in _PER_CAMERA:
        name = "frames" if field == "frames" else f"frames_{field}"
        counter = CounterMetricFamily(f"camera_counting_camera_{name}", text, labels=["camera"])
        for camera in cameras:
            counter.add_metric([camera.camera], getattr(camera, field))
        yield counter


def _counts(counts: Mapping[str, Mapping[_Count, int]]) -> Iterator[Metric]:
    crossings = CounterMetricFamily(
        "camera_counting_line_crossings",
        "Crossings of a line.",
        labels=["camera", "line", "direction", "class"],
    )
    events = CounterMetricFamily(
        "camera_counting_events",
        "Events of zones and flows: entered, left, flow, crowded, cleared.",
        labels=["camera", "kind", "name", "class"],
    )
    for camera, of_camera in counts.items():
        others: Tally[tuple[str, str, str]] = Tally()
        for (kind, name, direction, class_name), number in of_camera.items():
            if kind == "crossing":
                crossings.add_metric([camera, name, direction, class_name], number)
            else:
                others[kind, name, class_name] += number
        for (kind, name, class_name), number in others.items():
            events.add_metric([camera, kind, name, class_name], number)
    yield from (crossings, events)


def _sinks(status: WorkerStatus) -> Iterator[Metric]:
    up = GaugeMetricFamily("camera_counting_sink_up", "Whether a sink takes records.", labels=["sink"])
    waiting = GaugeMetricFamily(
        "camera_counting_sink_waiting_records", "Records that wait for a sink.", labels=["sink"]
    )
    delivered = CounterMetricFamily(
        "camera_counting_sink_delivered_records", "Records that a sink took.", labels=["sink"]
    )
    lost = CounterMetricFamily(
        "camera_counting_sink_lost_records", "Records lost because too many waited.", labels=["sink"]
    )
    refused = CounterMetricFamily(
        "camera_counting_sink_refused_records",
        "Records set aside because a sink refuses them and takes others.",
        labels=["sink"],
    )
    for sink in status.sinks:
        up.add_metric([sink.name], float(sink.up))
        waiting.add_metric([sink.name], sink.waiting)
        delivered.add_metric([sink.name], sink.delivered)
        lost.add_metric([sink.name], sink.lost)
        refused.add_metric([sink.name], sink.refused)
    yield from (up, waiting, delivered, lost, refused)


def _own_version() -> str:
    try:
        return version("mlflow-camera-counting")
    except PackageNotFoundError:
        return "unknown"
