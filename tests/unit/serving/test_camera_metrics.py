"""What Prometheus is told: read back with its own parser."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.camera.metrics import CameraMetrics
from serving.camera.records import CountRecord, record_id
from serving.camera.status import CameraStatus, SinkStatus, WorkerStatus

NOW = datetime(2026, 3, 16, 9, tzinfo=UTC)


def camera(name, **fields):
    return CameraStatus(**{"camera": name, "state": "live", "error": "", "since": NOW, "last_frame": NOW} | fields)


def worker(*cameras, sinks=(), **fields):
    told = {"model": "m", "version": "7", "model_error": "", "durable": True, "state_error": ""} | fields
    return WorkerStatus(started=NOW, cameras=cameras, sinks=sinks, **told)


def record(number, kind="crossing", name="gate", direction="in", class_name="car", of="north"):
    ident = record_id(uuid.UUID(int=1), of, number)
    return CountRecord(ident, of, kind, name, direction, NOW, class_name, number, 0.9, (1.0, 2.0), number)


def samples(metrics):
    """{(name, labels): value}, as Prometheus reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def value(metrics, name, /, **labels):
    return samples(metrics)[name, tuple(sorted(labels.items()))]


def test_the_state_of_a_camera_is_one_of_all_states():
    metrics = CameraMetrics(lambda: worker(camera("north", state="waiting")))
    states = {
        dict(labels)["state"]: told
        for (name, labels), told in samples(metrics).items()
        if name == "camera_counting_camera_state"
    }
    assert len(states) == 8
    assert [state for state, told in states.items() if told] == ["waiting"]


def test_numbers_of_the_status_are_told_under_their_camera():
    one = camera("north", frames=9, dropped=1, corrupt=2, stale=3, reconnects=4, detected=5, rested=6, fps=12.5)
    metrics = CameraMetrics(lambda: worker(one, sinks=(SinkStatus("sql", False, "down", 7, 8, 9, 5),)))
    told = {
        key: value(metrics, f"camera_counting_camera_{key}_total", camera="north")
        for key in ("frames", "frames_dropped", "frames_corrupt", "frames_stale", "reconnects", "frames_detected")
    }
    assert list(told.values()) == [9, 1, 2, 3, 4, 5]
    assert value(metrics, "camera_counting_camera_frames_per_second", camera="north") == 12.5
    assert value(metrics, "camera_counting_camera_last_frame_timestamp_seconds", camera="north") == NOW.timestamp()
    assert value(metrics, "camera_counting_sink_up", sink="sql") == 0
    assert value(metrics, "camera_counting_sink_waiting_records", sink="sql") == 7
    assert value(metrics, "camera_counting_sink_delivered_records_total", sink="sql") == 8
    assert value(metrics, "camera_counting_sink_lost_records_total", sink="sql") == 9
    assert value(metrics, "camera_counting_sink_refused_records_total", sink="sql") == 5


def test_trouble_of_the_worker_is_a_number_to_alert_on():
    well, ill = CameraMetrics(worker), CameraMetrics(lambda: worker(model_error="no", durable=False))
    assert [value(of, "camera_counting_model_error") for of in (well, ill)] == [0, 1]
    assert [value(of, "camera_counting_state_durable") for of in (well, ill)] == [1, 0]
    assert value(well, "camera_counting_model_info", model="m", version="7") == 1


def test_latencies_are_histograms_in_seconds():
    metrics = CameraMetrics(lambda: worker(camera("north")))
    metrics.frame("north", decode=0.002, inference=0.03, delay=0.2)
    metrics.frame("north", delay=0.3)
    assert value(metrics, "camera_counting_delay_seconds_count", camera="north") == 2
    assert value(metrics, "camera_counting_delay_seconds_sum", camera="north") == pytest.approx(0.5)
    assert value(metrics, "camera_counting_delay_seconds_bucket", camera="north", le="0.25") == 1
    assert value(metrics, "camera_counting_decode_seconds_count", camera="north") == 1


def test_counts_go_on_after_a_restart_and_never_back():
    metrics = CameraMetrics(lambda: worker(camera("north")))
    before = [{"kind": "crossing", "name": "gate", "direction": "in", "class": "car", "count": 40}]
    metrics.restore("north", before)
    metrics.restore("north", before)
    metrics.counted([record(1), record(2), record(3, direction="out"), record(4, "entered", "yard")])
    metrics.restore("north", [{**before[0], "count": 12}])
    labels = {"camera": "north", "line": "gate", "class": "car"}
    assert value(metrics, "camera_counting_line_crossings_total", direction="in", **labels) == 42
    assert value(metrics, "camera_counting_line_crossings_total", direction="out", **labels) == 1
    entered = {"camera": "north", "kind": "entered", "name": "yard", "class": "car"}
    assert value(metrics, "camera_counting_events_total", **entered) == 1


def test_what_was_restored_before_its_camera_is_up_is_kept():
    cameras = []
    metrics = CameraMetrics(lambda: worker(*cameras))
    metrics.restore("north", [{"kind": "crossing", "name": "g", "direction": "in", "class": "car", "count": 3}])
    assert "north" not in metrics.text().decode()
    cameras.append(camera("north"))
    told = {"camera": "north", "line": "g", "direction": "in", "class": "car"}
    assert value(metrics, "camera_counting_line_crossings_total", **told) == 3


def test_a_removed_camera_disappears_and_the_others_stay():
    cameras = [camera("north"), camera("south")]
    metrics = CameraMetrics(lambda: worker(*cameras))
    for name in ("north", "south"):
        metrics.frame(name, delay=0.1)
        metrics.counted([record(1, of=name)])
    assert "north" in metrics.text().decode()
    del cameras[0]
    text = metrics.text().decode()
    assert "north" not in text
    assert "south" in text


def test_any_name_is_a_label():
    name = 'a"b\\c\nd {e="f"} <script>é'
    metrics = CameraMetrics(lambda: worker(camera(name, frames=3)))
    assert value(metrics, "camera_counting_camera_frames_total", camera=name) == 3


def test_the_number_of_series_is_bounded():
    metrics = CameraMetrics(lambda: worker(camera("north")))
    metrics.counted(record(i, name=f"line {i}") for i in range(5000))
    told = {
        labels: told
        for (name, labels), told in samples(metrics).items()
        if name == "camera_counting_line_crossings_total"
    }
    assert len(told) == 2001
    assert sum(told.values()) == 5000


def test_occupancy_is_a_gauge_per_zone():
    today = {"zones": {"yard": {"occupancy": 4, "entered": 9}, "ramp": {"entered": 1}}}
    metrics = CameraMetrics(lambda: worker(camera("north", today=today)))
    assert value(metrics, "camera_counting_zone_occupancy", camera="north", zone="yard") == 4
