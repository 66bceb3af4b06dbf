"""The worker: its cameras, the model that counts them, the state that they share and the sinks it is told to."""

from __future__ import annotations

import gc
import logging
import math
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from camera_counting import CountingModel
from camera_counting.blur import FAINT
from camera_counting.counting.intervals import INTERVALS, interval_of
from camera_counting.detectors import available_cores
from camera_counting.scene import Line, Zone
from serving.camera.camera_run import CameraRun, Surroundings
from serving.camera.config import CameraSettings, ConfigError, WorkerConfig, read_camera
from serving.camera.following import Frames, ModelInUse, registered_name
from serving.camera.metrics import CameraMetrics
from serving.camera.sinks import Delivery, open_sink
from serving.camera.state import StateStore
from serving.camera.status import WorkerStatus
from serving.camera.turns import Turns
from serving.camera.view import FrameKeeper, View
from serving.errors import ServingError

__all__ = ["Worker"]

_log = logging.getLogger("serving.camera")

_SWITCH = 0.0005  # seconds after which a thread of Python lets another one on
_ILL = 30.0  # seconds without a look at the cameras from which something hangs
_SETTLED = 8.0  # seconds from a model's takeover until all that it brings is there, and the one before it is gone


class Worker:
    """Counts the cameras of a configuration until it is stopped.

    Parameters
    ----------
    config : WorkerConfig
    folder : Path
        Where relative paths of cameras that are added later begin.

    Raises
    ------
    StateError
        Where another worker uses the state folder, or it cannot be written.
    SinkError
        Where a sink cannot be opened with its settings.
    """

    def __init__(self, config: WorkerConfig, folder: Path = Path()) -> None:
        self.config = config
        self._folder = folder
        self._started = datetime.now(UTC)
        self._lock = threading.Lock()  # over the cameras
        self._runs: dict[str, CameraRun] = {}
        self._store = StateStore(config.state, sinks=[sink.name for sink in config.sinks])
        try:
            name = registered_name(config.model)
            sinks = [open_sink(sink, model_name=name) for sink in config.sinks]
        except BaseException:
            self._store.close()
            raise
        self._deliveries = [Delivery(self._store, sink) for sink in sinks]
        self._model = ModelInUse(
            config.model,
            config.state / "models",
            every=config.follow_interval,
            check=self._check_model,
            frames=self._frames,
        )
        self.metrics = CameraMetrics(self.status)
        self._stopping = threading.Event()
        self._round = math.inf  # when the cameras were looked at last
        self._watcher = threading.Thread(target=self._watch, name="camera-watch", daemon=True)
        self._around = Surroundings(
            self._model,
            Turns(available_cores() + 1),
            self._store,
            staleness=config.staleness,
            snapshot_interval=config.snapshot_interval,
            keepers=self._keepers(),
            faint=None if config.web is None and config.pictures is None else FAINT,
            metrics=self.metrics,
        )

    def start(self) -> None:
        """Begin to count.

        Raises
        ------
        ModelMissingError
            Where the model is no alias, and cannot be loaded.
        """
        # of the whole process: a camera whose detection is done must not wait long for others' arithmetic, else
        # the next one's detection begins later, and a processor stands idle meanwhile
        sys.setswitchinterval(_SWITCH)
        self._model.start()
        self._watcher.start()
        for settings in self.config.cameras:
            if settings.enabled:
                self.begin(settings)

    def stop(self, timeout: float = 8.0) -> None:
        """End within about so many seconds: finish the frames, write the state, bring what waits to the sinks."""
        until = time.monotonic() + timeout

        def left(part: float) -> float:
            return max(min(part * timeout, until - time.monotonic()), 0.1)

        self._stopping.set()
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.ask_to_stop()
        for run in runs:
            run.wait(left(0.5))
        self._model.stop()
        for delivery in self._deliveries:
            delivery.close(left(0.25))
        for keeper in self._around.keepers:
            keeper.close()
        self._store.close()

    def begin(self, settings: CameraSettings) -> None:
        """Begin to count one more camera.

        Raises
        ------
        ConfigError
            Where its name is taken.
        """
        with self._lock:
            if settings.name in self._runs:
                raise ConfigError(f"camera: expected a name of its own, {settings.name!r} is counted already")
            # first what may fail: a camera that is noted is counted
            self.metrics.restore(settings.name, self._store.totals(settings.name))
            run = self._runs[settings.name] = CameraRun(settings, self._around)
        run.start()
        _log.info("%s: counted from now on", settings.name)

    def add_camera(self, settings: Mapping[str, Any]) -> None:
        """Begin to count one more camera, told by the keys of the configuration.

        It is counted until the worker ends or its configuration is read again, whose file alone lasts.

        Raises
        ------
        ConfigError
            Where the settings make no sense, or the name is taken.
        """
        self.begin(read_camera(settings, self._folder))

    def remove_camera(self, name: str) -> None:
        """Stop a camera; what it counted stays, and goes on where it is added again.

        Raises
        ------
        KeyError
            Where there is none of this name.
        """
        with self._lock:
            run = self._runs[name]
        run.ask_to_stop()
        run.wait(5.0)
        with self._lock:
            # somebody else may have removed it meanwhile, and added another one under its name
            if self._runs.get(name) is run:
                del self._runs[name]
        _log.info("%s: counted no more", name)

    def reload(self, config: WorkerConfig) -> None:
        """Go by another configuration: cameras are added, removed and, where their settings changed, begun anew.

        What concerns the whole worker takes effect with a restart; the log says so.
        """
        wanted = {camera.name: camera for camera in config.cameras if camera.enabled}
        with self._lock:
            running = {name: run.settings for name, run in self._runs.items()}
        for name, settings in running.items():
            if wanted.get(name) != settings:
                with suppress(KeyError):  # it was removed meanwhile
                    self.remove_camera(name)
        for name, settings in wanted.items():
            if running.get(name) != settings:
                self.begin(settings)
        old, new = dict(self.config), dict(config)
        later = [key for key in old if key != "cameras" and old[key] != new[key]]
        if later:
            _log.warning("%s changed: restart the worker for that", ", ".join(later))
        self.config = self.config.model_copy(update={"cameras": config.cameras})

    def status(self) -> WorkerStatus:
        """What it does now."""
        with self._lock:
            runs = list(self._runs.values())
        error = next((run.state_error for run in runs if run.state_error), "")
        return WorkerStatus(
            started=self._started,
            model=self.config.model,
            version=self._model.version,
            model_error=self._model.error,
            durable=not error,
            state_error=error,
            state_trouble=self._store.trouble,
            cameras=tuple(run.status() for run in runs),
            sinks=tuple(delivery.status() for delivery in self._deliveries),
        )

    def is_well(self) -> bool:
        """Whether its cameras are looked after; what it costs to tell does not grow with them."""
        return self._stopping.is_set() or time.monotonic() - self._round < _ILL

    def view(self, camera: str) -> View | None:
        """The latest frame of a camera with what is known of it; None before the first.

        Raises
        ------
        KeyError
            Where there is none of this name.
        """
        with self._lock:
            run = self._runs[camera]
        return run.view()

    def intervals(self, camera: str, interval: str) -> Sequence[Mapping[str, Any]]:
        """Counts of the site's day per interval (1min, 15min, hour, day).

        Raises
        ------
        KeyError, ValueError
            Where the camera or the interval is not known.
        """
        with self._lock:
            settings = self._runs[camera].settings
        now = datetime.now(settings.zone)
        midnight, _ = interval_of(now, "day", settings.zone)
        if interval not in INTERVALS:
            raise ValueError(f"interval: expected one of {', '.join(INTERVALS)}, got {interval!r:.40}")
        return self._store.intervals(camera, interval, str(settings.zone), midnight, now)

    def delays(self) -> dict[str, list[float]]:
        """Milliseconds from receipt to count of each camera's latest frames."""
        with self._lock:
            return {name: run.figures.delays() for name, run in self._runs.items()}

    def _watch(self) -> None:
        """Note each second what the cameras' states are, whether somebody asks or not."""
        settled, since = None, time.monotonic()
        while not self._stopping.wait(1.0):
            self._round = time.monotonic()
            if (current := self._model.current) is settled:
                since = time.monotonic()
            elif time.monotonic() - since > _SETTLED:
                settled = current
                _set_aside()
            with self._lock:
                runs = list(self._runs.values())
            for run in runs:
                run.watch()

    def _keepers(self) -> tuple[FrameKeeper, ...]:
        keepers: list[FrameKeeper] = []
        if (samples := self.config.samples) is not None:
            from serving.camera.samples import SampleKeeper

            keepers.append(SampleKeeper(samples.log, samples.every, self._store.epoch))
        if (pictures := self.config.pictures) is not None:
            from serving.camera.kept_pictures import PictureKeeper

            keepers.append(PictureKeeper(pictures.folder, pictures.every, pictures.keep))
        return tuple(keepers)

    def _frames(self) -> set[Frames]:
        with self._lock:
            return {run.frames for run in self._runs.values() if run.frames is not None}

    def _check_model(self, model: CountingModel) -> None:
        """A version that takes over must know the classes that are counted now."""
        current = self._model.current
        if current is None:
            return  # a camera that asks for what no model knows fails by itself
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            scene = run.settings.scene
            parts: tuple[Line | Zone, ...] = () if scene is None else (*scene.lines, *scene.zones)
            needed = {*(run.settings.classes or ()), *(name for part in parts for name in part.classes or ())}
            missing = sorted(needed & set(current.model.names) - set(model.names))
            if missing:
                raise ServingError(
                    f"it does not know {', '.join(missing)}, which the camera {run.name} counts; it knows "
                    f"{', '.join(model.names[:20])}"
                )


def _set_aside() -> None:
    """Let the garbage collector look no more at what was loaded, which lives as long as the worker does.

    Every look at those hundreds of thousands of objects held up all cameras for a quarter of a second.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
