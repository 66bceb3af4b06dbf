"""The model that counts: loaded from its URI and, where that is an alias, followed when the alias moves.

A new version is fetched into a folder of one's own, held against the digest that was approved, loaded and warmed
beside the one that counts; only then it takes over. Whatever fails on that way is told, and the one that counts
goes on. The last version that took over is kept in the state folder, so that a restart needs neither registry nor
artifact store.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

import camera_counting
from camera_counting import CountingModel
from camera_counting.detectors import Detector
from camera_counting.detectors.fitting import Region
from camera_counting.errors import CountingError
from camera_counting.whole_file import part_of, put_in_place
from model_governance import GovernanceError
from model_governance.artifact import artifact_digest
from serving.approved import fetch_approved
from serving.errors import ServingError

__all__ = ["Frames", "Loaded", "ModelInUse", "ModelMissingError", "registered_name"]

_log = logging.getLogger("serving.camera")

Frames = tuple[int, int, Region | None]
"""Width and height of a camera's frames in pixels, and the part (x1, y1, x2, y2) of them that matters."""

_ALIAS = re.compile(r"models:/(?P<name>[^@/]+)@(?P<alias>[^@/]+)")
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}
_FAILURES = (ServingError, GovernanceError, CountingError, MlflowException, OSError)


def registered_name(uri: str) -> str:
    """Name of the registered model that a URI names; empty where it names none.

    Examples
    --------
    >>> registered_name("models:/camera-counter@serving"), registered_name("models:/m-1fcd")
    ('camera-counter', '')
    """
    match = re.fullmatch(r"models:/([^@/]+)(@[^@/]+|/[^/]+)", uri)
    return match.group(1) if match else ""


class ModelMissingError(ServingError):
    """No model can be loaded from the URI."""


class Loaded:
    """A model that counts. Thread-safe.

    Parameters
    ----------
    model : CountingModel
    version : str
        As registered; empty where it is not.
    number : int
        Grows with every model that takes over.
    """

    def __init__(self, model: CountingModel, version: str, number: int) -> None:
        self.model, self.version, self.number = model, version, number
        self._fitted: dict[Frames, Detector] = {}
        self._fitting = threading.Lock()

    def detector_for(self, frames: Frames) -> Detector:
        """The detector for the frames of a camera; to prepare it may take a second, once."""
        found = self._fitted.get(frames)
        if found is None:
            with self._fitting:
                found = self._fitted.get(frames)
                if found is None:
                    found = self._fitted[frames] = self.model.detector.for_frames(*frames)
        return found

    def warm_up(self, frames: Frames) -> None:
        """Detect in a grey picture, so that the first frame of a camera is not slow."""
        width, height, _ = frames
        self.detector_for(frames).detect([np.full((height, width, 3), 114, np.uint8)])


class ModelInUse:
    """The model that counts now. Thread-safe.

    Parameters
    ----------
    uri : str
        Any MLflow model URI, or a folder; `models:/NAME@ALIAS` is followed.
    home : Path
        A folder that nobody else writes; versions are fetched into it.
    every : float
        Seconds between two looks at the alias.
    retry : float
        Seconds until a version that was refused is tried again.
    check : callable, optional
        Called with a model before it takes over; what it raises (CountingError) refuses it.
    frames : callable, optional
        The frames that it will get, on which it is warmed.
    """

    def __init__(
        self,
        uri: str,
        home: Path,
        *,
        every: float = 5.0,
        retry: float = 60.0,
        check: Callable[[CountingModel], None] = lambda model: None,
        frames: Callable[[], Iterable[Frames]] = tuple,
    ) -> None:
        self.uri = uri
        self.error = ""
        self._home, self._every, self._retry = home, every, retry
        self._check, self._frames = check, frames
        match = _ALIAS.fullmatch(uri)
        self._name, self._alias = match.group("name", "alias") if match else ("", "")
        self._current: Loaded | None = None
        self._folder: Path | None = None
        self._refused: tuple[str, float] | None = None
        self._there = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def current(self) -> Loaded | None:
        """What counts now; None where no version has the alias yet."""
        return self._current

    @property
    def version(self) -> str:
        return self._current.version if self._current is not None else ""

    @property
    def followed(self) -> bool:
        """Whether the URI is an alias, which may move."""
        return bool(self._name)

    def start(self) -> None:
        """Load what the URI names; an alias is looked at in a thread from now on.

        Raises
        ------
        ModelMissingError
            Where the URI is no alias and nothing can be loaded from it. Behind an alias a version may still come.
        """
        if not self.followed:
            self._load_once()
            return
        self._thread = threading.Thread(target=self._follow, name="model-following", daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> Loaded | None:
        """What counts now, as soon as there is something; None where there is nothing after `timeout` seconds."""
        self._there.wait(timeout)
        return self._current

    def stop(self) -> None:
        """Look no more at the alias."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def look(self) -> None:
        """One look at the alias; returns when what had to change has changed. Never raises."""
        try:
            version = str(MlflowClient().get_model_version_by_alias(self._name, self._alias).version)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                stays = f"; version {self.version} goes on counting" if self._current else "; promote one"
                self._tell(f"no version of {self._name} has the alias {self._alias}{stays}")
            else:
                self._without_registry(error)
            return
        except OSError as error:
            self._without_registry(error)
            return
        if version == self.version:
            self._tell("")
        elif self._refused is None or self._refused[0] != version or time.monotonic() >= self._refused[1]:
            self._change_to(version)

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except Exception:  # noqa: BLE001
                # whatever it is, the version that counts goes on
                _log.exception("%s: a look at the alias failed; it is looked at again", self.uri)
            self._stop.wait(self._every)

    def _load_once(self) -> None:
        try:
            model = camera_counting.load_model(self.uri)
            self._prove(loaded := self._next(model, model.version or ""))
        except _FAILURES as error:
            raise ModelMissingError(
                f"model: expected a model that counts at {self.uri}, got: {_reason(error)}"
            ) from error
        self._take(loaded)

    def _change_to(self, version: str) -> None:
        folder: Path | None = None
        try:
            folder = self._kept(version) or self._fetched(version)
            model = camera_counting.load_model(folder)
            model.name, model.version = self._name, version
            self._prove(loaded := self._next(model, version))
        except Exception as error:  # noqa: BLE001 - artifact stores have errors of their own; the old one goes on
            self._refused = (version, time.monotonic() + self._retry)
            self._take_kept()
            stays = f"version {self.version} goes on counting" if self._current else "nothing is counted"
            self._tell(f"version {version} of {self._name} is refused, {stays}: {_reason(error)}", again=True)
            if folder is not None and folder != self._folder:
                shutil.rmtree(folder.parent, ignore_errors=True)
            return
        self._refused = None
        self._take(loaded)
        self._tell("")
        self._keep(version, folder)

    def _next(self, model: CountingModel, version: str) -> Loaded:
        return Loaded(model, version, 0 if self._current is None else self._current.number + 1)

    def _prove(self, loaded: Loaded) -> None:
        """Whether it may count here; warmed on the frames that it will get."""
        self._check(loaded.model)
        for frames in self._frames():
            loaded.warm_up(frames)

    def _take(self, loaded: Loaded) -> None:
        self._current = loaded
        self._there.set()
        _log.info("%s: version %s counts from now on", self.uri, loaded.version or "(not registered)")

    def _fetched(self, version: str) -> Path:
        into = self._home / f"{version}-{time.time_ns():x}"
        try:
            return fetch_approved(self._name, version, into)
        except BaseException:
            shutil.rmtree(into, ignore_errors=True)
            raise

    def _without_registry(self, error: Exception) -> None:
        self._take_kept()
        stays = f"version {self.version} goes on counting" if self._current else "nothing can be counted yet"
        self._tell(f"the registry does not answer, {stays}: {_reason(error)}")

    def _take_kept(self) -> None:
        """Where nothing counts yet: let the version count that did so before the restart."""
        kept = self._read_note() if self._current is None else None
        if kept is None:
            return
        version, folder, digest = kept
        try:
            if artifact_digest(str(folder)) != digest:
                raise ServingError("its files are not those that were fetched")
            model = camera_counting.load_model(folder)
            model.name, model.version = self._name, version
            self._prove(loaded := self._next(model, version))
        except _FAILURES as failure:
            _log.error("%s: version %s, which was kept, cannot be loaded: %s", self.uri, version, _reason(failure))
        else:
            self._folder = folder
            self._take(loaded)

    def _kept(self, version: str) -> Path | None:
        """The files of this version, where they are here already and still what was approved."""
        kept = self._read_note()
        if kept is None or kept[0] != version or not kept[1].is_dir():
            return None
        approved = MlflowClient().get_model_version(self._name, version).tags.get("artifact_digest")
        try:
            return kept[1] if approved and artifact_digest(str(kept[1])) == approved else None
        except (GovernanceError, OSError):
            return None

    def _keep(self, version: str, folder: Path) -> None:
        """Note what counts, and remove what counted before."""
        self._folder = folder
        try:
            inside = str(folder.relative_to(self._home))
            note = {
                "name": self._name,
                "version": version,
                "folder": inside,
                "digest": artifact_digest(str(folder)),
            }
            part = part_of(self._home / "kept.json")
            part.write_text(json.dumps(note), encoding="utf-8")
            put_in_place(part, self._home / "kept.json")
            for other in self._home.iterdir():
                if other.is_dir() and other.name != folder.relative_to(self._home).parts[0]:
                    shutil.rmtree(other, ignore_errors=True)
        except (OSError, GovernanceError) as error:
            _log.warning("%s: version %s cannot be kept for a restart: %s", self.uri, version, error)

    def _read_note(self) -> tuple[str, Path, str] | None:
        try:
            note = json.loads((self._home / "kept.json").read_text(encoding="utf-8"))
            if note["name"] != self._name:
                return None
            return str(note["version"]), self._home / str(note["folder"]), str(note["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _tell(self, error: str, *, again: bool = False) -> None:
        if error and (again or error != self.error):
            _log.warning("%s: %s", self.uri, error)
        elif self.error and not error:
            _log.info("%s: the registry answers, version %s is right", self.uri, self.version)
        self.error = error


def _reason(error: Exception) -> str:
    """The first line of what went wrong: MLflow's errors can carry a whole answer."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:400]
