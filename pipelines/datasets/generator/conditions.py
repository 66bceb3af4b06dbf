"""The knobs: light, weather, the camera's own faults, and how crowded it is."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PRESETS", "Conditions", "Density", "Light", "Weather"]

Light = Literal["day", "dusk", "night"]
Weather = Literal["clear", "rain", "fog"]


class Conditions(BaseModel):
    """What the camera looks through.

    Parameters
    ----------
    light, weather : str
        day, dusk or night; clear, rain or fog.
    blur : float
        Standard deviation of a defocused lens, pixels of the picture.
    noise : float
        Standard deviation of the sensor's noise, grey levels of 255. Night adds its own.
    moved_yaw, moved_pitch : float
        Degrees by which the camera has moved since its lines were drawn.

    Examples
    --------
    >>> Conditions(weather="fog").tags()
    {'light': 'day', 'weather': 'fog', 'blur': 0.0, 'noise': 2.5, 'moved': False}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    light: Light = "day"
    weather: Weather = "clear"
    blur: float = Field(default=0.0, ge=0, le=8)
    noise: float = Field(default=2.5, ge=0, le=60)
    moved_yaw: float = Field(default=0.0, ge=-30, le=30)
    moved_pitch: float = Field(default=0.0, ge=-20, le=20)

    def tags(self) -> dict[str, str | float | bool]:
        """As written beside each picture."""
        return {
            "light": self.light,
            "weather": self.weather,
            "blur": self.blur,
            "noise": self.noise,
            "moved": bool(self.moved_yaw or self.moved_pitch),
        }


class Density(BaseModel):
    """How much is going on.

    Parameters
    ----------
    people : float
        People at the same time in a view of ordinary width, on average.
    vehicles : float
        Vehicles per lane and ten seconds, on average.
    parked : int
        Vehicles that stand at the far kerb.
    standing : int
        People that stand still.
    overlap : float
        Largest share of the smaller one of two boxes that the other may cover at any time; 1 lets everything hide
        behind everything.
    posts : int
        Lamp posts and signs that stand in the way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: float = Field(default=4.0, ge=0, le=200)
    vehicles: float = Field(default=1.6, ge=0, le=6)
    parked: int = Field(default=0, ge=0, le=8)
    standing: int = Field(default=0, ge=0, le=40)
    overlap: float = Field(default=0.6, ge=0, le=1)
    posts: int = Field(default=1, ge=0, le=8)


PRESETS: dict[str, Density] = {
    "easy": Density(people=9, vehicles=3.2, overlap=0.3, posts=0),
    "street": Density(people=6, vehicles=1.8, parked=1, standing=1, overlap=0.7, posts=1),
    "crowded": Density(people=18, vehicles=2.6, parked=2, standing=4, overlap=1.0, posts=2),
}
"""Ready densities. `easy` is what a detector trained for two minutes counts exactly."""
