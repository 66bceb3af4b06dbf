"""`camera-counting count --interval`: counts per interval of the site's clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, TypeVar

import click

from camera_counting.scene import Scene
from camera_counting.time_zones import local_time, time_zone

if TYPE_CHECKING:
    from camera_counting.counting import VideoCount
    from camera_counting.counting.intervals import Interval

__all__ = ["Calendar", "interval_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def interval_options(command: _Command) -> _Command:
    """The options `interval` and `start` of a command."""
    start = click.option(
        "--start",
        metavar="TIME",
        help="With --interval: when the clip began, as 2026-03-29T00:30+01:00; without an offset by the clock of "
        "the scene's time_zone.",
    )
    interval = click.option(
        "--interval",
        type=click.Choice(["1min", "15min", "hour", "day"]),
        help="Count per interval of the clock, too: that of the scene's time_zone, or else of --start's offset.",
    )
    return interval(start(command))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which intervals are counted, by which clock, of a clip that began when."""

    interval: Interval
    start: datetime
    zone: tzinfo

    @classmethod
    def of(cls, interval: Interval | None, start: str | None, scene: Scene | None) -> Calendar | None:
        """What the options say; None where no intervals are asked for.

        Raises
        ------
        click.UsageError
            Where one option needs the other one, or --start is no time, or none that the clock shows.
        """
        if interval is None and start is None:
            return None
        if interval is None:
            raise click.UsageError(
                "--start says when the clip began, for counts per interval: give --interval, too"
            )
        if start is None:
            raise click.UsageError("--interval needs --start: when the clip began, as 2026-03-29T00:30+01:00")
        try:
            began = datetime.fromisoformat(start)
        except ValueError:
            raise click.UsageError(f"--start {start}: expected a time, as 2026-03-29T00:30+01:00") from None
        zone = time_zone(scene.time_zone) if scene is not None and scene.time_zone is not None else began.tzinfo
        if zone is None:
            raise click.UsageError(
                f"--start {start}: state its offset, as {start}+01:00, or the site's `time_zone` in the scene"
            )
        if began.tzinfo is None:
            try:
                began = local_time(began, zone)
            except ValueError as error:
                raise click.UsageError(f"--start {start}: {error}") from None
        return cls(interval, began, zone)

    def told(self, count: VideoCount) -> dict[str, Any]:
        """The JSON of a clip's count, with the counts per interval."""
        from camera_counting.counting.intervals import counts_per_interval

        rows = counts_per_interval(count.events, self.interval, self.start, self.zone)
        return {
            **count.to_dict(),
            "intervals": {"interval": self.interval, "time_zone": str(self.zone), "rows": rows},
        }
