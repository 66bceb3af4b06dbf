"""The settings of the camera worker, read from a YAML file and checked before anything is started.

`serving/cameras.example.yaml` shows every key. What a file says is checked as a whole: keys that are not known,
two cameras of one name, a scene that makes no sense, a secret that the environment does not hold are told in
sentences that name file and key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from camera_counting.errors import SceneError
from camera_counting.scene import Scene
from camera_counting.scene_text import read_yaml, reasons
from camera_counting.time_zones import time_zone
from serving.camera.settings_text import FOLDER, Part, beside, from_environment, place
from serving.camera.sinks import SinkSettings
from serving.camera.web import WebSettings
from serving.errors import ServingError

__all__ = [
    "CameraSettings",
    "ClipSettings",
    "ConfigError",
    "PageSettings",
    "PictureSettings",
    "SampleSettings",
    "WorkerConfig",
    "config_schema",
    "is_live",
    "read_camera",
    "read_config",
]

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]

Settings = TypeVar("Settings", bound=BaseModel)

_ADDRESS = re.compile(r"got [^\n]*://[^\n]*")
_LIVE = re.compile(r"[a-z][a-z0-9+.-]+://|/dev/video\d+$", re.IGNORECASE)


class ConfigError(ServingError, ValueError):
    """Settings that make no sense; names the file and the key."""


class ClipSettings(Part):
    """How a file (or a folder of pictures) is played as a camera."""

    pace: Literal["fast", "real-time"] = "fast"
    """fast: as fast as it can be counted, every frame, and exactly once whatever happens to the worker. real-time:
    as a camera would show it; frames that come too fast are dropped, and a restart begins the clip anew."""
    repeat: bool = False
    """Begin anew when it is over, for ever."""
    start: datetime | None = None
    """When it was recorded (with its offset from UTC): the time of an event is this plus its seconds into the
    clip. Without it, the time at which the worker first opened it. For pace: fast alone."""

    @field_validator("start")
    @classmethod
    def _zoned(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("expected a time with its offset from UTC, e.g. 2026-05-01T08:00:00+02:00")
        return value


class CameraSettings(Part):
    """One camera."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f/]+$")
    """Its id in every record; counts go on under it for as long as the state folder lasts."""
    source: str = Field(min_length=1, max_length=2000, repr=False)
    """rtsp://, rtsps://, http(s)://, /dev/videoN, a clip or a folder of pictures. ${NAME} is taken from the
    environment, so that no password need stand here."""
    scene: Scene | None = None
    """Its lines and zones: a scene file's path, or the same keys right here. Without it only the objects of each
    class are counted."""
    time_zone: str | None = None
    """Of the site (IANA, e.g. Europe/Berlin): its midnight begins a new day of counts. Without it that of the
    scene, or UTC."""
    classes: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Count only these."""
    confidence: float | None = Field(default=None, ge=0, le=1)
    """Score that a detection needs; without it, the model's own."""
    economy: Literal["exact", "default", "fast"] = "default"
    """exact: every frame is detected. default: what cannot change a count is left out. fast: more than that."""
    transport: Literal["auto", "tcp", "udp"] = "auto"
    """Of RTSP."""
    timeout: Seconds = 10.0
    """Seconds without a frame after which a live camera is connected anew."""
    clip: ClipSettings = ClipSettings()
    """For files alone."""
    enabled: bool = True
    """False leaves it out without taking it from the file."""

    @field_validator("scene", mode="before")
    @classmethod
    def _read_scene(cls, value: object, info: ValidationInfo) -> object:
        try:
            if isinstance(value, str):
                return Scene.load(beside(value, info))
            if isinstance(value, Mapping):
                return Scene.from_dict(value, source="scene")
        except SceneError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("source")
    @classmethod
    def _found(cls, value: str, info: ValidationInfo) -> str:
        value = from_environment(value)
        return value if is_live(value) else str(beside(value, info))

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else str(time_zone(value))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if is_live(self.source) and "clip" in self.model_fields_set:
            raise ValueError("clip: expected a file as source, this one is live; leave the key out")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """Of the site."""
        scene = None if self.scene is None else self.scene.time_zone
        return time_zone(self.time_zone or scene or "UTC")


class PageSettings(WebSettings):
    """The page with the cameras, their health and the metrics."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)

    host: str = "127.0.0.1"
    """Address to listen at. 0.0.0.0 lets other machines ask: put a proxy with TLS before it, and tell hosts."""
    port: int = Field(default=5002, ge=0, le=65_535)
    """0 takes a free one, which the log tells."""
    token_file: Path = Path("token")
    """Who asks must show what stands in it; made with a new token where there is none."""

    @field_validator("token_file")
    @classmethod
    def _placed(cls, value: Path, info: ValidationInfo) -> Path:
        return beside(value, info)


class PictureSettings(Part):
    """Pictures that are kept, people in them blurred."""

    folder: Path
    every: Seconds = 3600.0
    """Seconds between two pictures of a camera."""
    keep: int = Field(default=48, ge=1, le=100_000)
    """How many of each camera; the oldest is removed first."""

    @field_validator("folder")
    @classmethod
    def _placed(cls, value: Path, info: ValidationInfo) -> Path:
        return beside(value, info)


class SampleSettings(Part):
    """Counts of single frames, written to the prediction log for the drift report."""

    log: str
    """A folder, or s3://bucket/prefix."""
    every: Seconds = 60.0
    """Seconds between two samples of a camera."""

    @field_validator("log")
    @classmethod
    def _placed(cls, value: str, info: ValidationInfo) -> str:
        return place(value, info)


class WorkerConfig(Part):
    """All of `cameras.yaml`."""

    model: str = Field(min_length=1)
    """Any MLflow model URI, or a folder. models:/NAME@serving is followed: the version with the alias counts."""
    state: Path = Path("state")
    """Folder for what must survive a restart; one worker at a time."""
    cameras: tuple[CameraSettings, ...] = ()
    sinks: tuple[SinkSettings, ...] = ()
    """Where the events go."""
    web: PageSettings | None = None
    staleness: Seconds = 1.0
    """Seconds after which a live frame is too old to be counted."""
    snapshot_interval: Seconds = 1.0
    """Seconds after which the state is written where nothing happened; at least 30 while nobody is in sight."""
    follow_interval: Seconds = 5.0
    """Seconds between two looks at the model's alias."""
    samples: SampleSettings | None = None
    pictures: PictureSettings | None = None
    """No picture is stored without this key."""

    @field_validator("state")
    @classmethod
    def _placed(cls, value: Path, info: ValidationInfo) -> Path:
        return beside(value, info)

    @field_validator("model")
    @classmethod
    def _found(cls, value: str, info: ValidationInfo) -> str:
        return place(value, info)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for key, names in (
            ("cameras", [c.name for c in self.cameras]),
            ("sinks", [s.name for s in self.sinks]),
        ):
            for index, name in enumerate(names):
                if name in names[:index]:
                    other = names.index(name)
                    raise ValueError(
                        f"{key}[{index}].name: expected a name of its own; {key}[{other}] has {name!r} already"
                    )
        return self


def read_config(path: str | Path) -> WorkerConfig:
    """Read a file of settings; relative paths in it begin at its folder.

    Raises
    ------
    ConfigError
        Where it is missing, is no YAML, or makes no sense; one line for everything that is wrong.
    """
    path = Path(path)
    try:
        said = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: expected a file with the keys model and cameras, found none; serving/cameras.example.yaml "
            "shows one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a readable file in UTF-8; {error}") from error
    except SceneError as error:
        raise ConfigError(str(error)) from error
    if not isinstance(said, Mapping):
        came = "nothing" if said is None else type(said).__name__
        raise ConfigError(f"{path}: expected the keys model and cameras; got {came}")
    return _checked(WorkerConfig, said, str(path), path.resolve().parent)


def read_camera(settings: Mapping[str, Any], folder: Path) -> CameraSettings:
    """Check the settings of one camera that is added while the worker runs; paths begin at `folder`.

    Raises
    ------
    ConfigError
        Where they make no sense, or ask for the environment: who may add a camera may not read that.
    """
    if "${" in json.dumps(settings, default=str):
        raise ConfigError(
            "camera: expected no ${NAME} here; only the configuration's file may use the environment"
        )
    return _checked(CameraSettings, settings, "camera", folder)


def is_live(source: str) -> bool:
    """Whether a source is a camera rather than a file.

    Examples
    --------
    >>> is_live("rtsp://10.0.0.7/stream"), is_live("/dev/video0"), is_live("clips/gate.mp4")
    (True, True, False)
    """
    return _LIVE.match(source) is not None


def config_schema() -> dict[str, Any]:
    """The JSON schema of the file, for editors that complete and check it."""
    schema = WorkerConfig.model_json_schema(by_alias=True)
    camera = schema["$defs"]["CameraSettings"]["properties"]
    camera["scene"]["anyOf"].insert(0, {"type": "string", "description": "Path of a scene file."})
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "cameras.yaml"
    return schema


def _checked(kind: type[Settings], said: Mapping[Any, Any], source: str, folder: Path) -> Settings:
    try:
        return kind.model_validate(dict(said), context={FOLDER: folder})
    except ValidationError as error:
        told = "\n".join(f"{source}: {line}" for line in reasons(error))
        told = told.replace("schemas/scene.schema.json", "serving/cameras.example.yaml")
        # what came is shown, but no address, for a password may stand in it
        raise ConfigError(_ADDRESS.sub("got an address", told)) from None
