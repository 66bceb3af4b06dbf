"""`camera-counting count --interval`: counts per interval of the site's clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, TypeVar

import click

from camera_counting.scene import Scene
from camera_counting.time_zones import local_time, time_zone

if TYPE_CHECKING:
    from camera_counting.counting import VideoCount
    from camera_counting.counting.intervals import Interval
    from camera_counting.video import Frame

__all__ = ["Calendar", "interval_options"]

_YEARS = 1900, 9000  # beyond them, a clock's day may have no beginning or end that Python can tell

_Command = TypeVar("_Command", bound=Callable[..., Any])


def interval_options(command: _Command) -> _Command:
    """The options `interval` and `start` of a command."""
    start = click.option(
        "--start",
        metavar="TIME",
        help="With --interval: when the clip began, as 2026-03-29T00:30+01:00; without an offset by the clock of "
        "the scene's time_zone. A live camera begins now.",
    )
    interval = click.option(
        "--interval",
        type=click.Choice(["1min", "15min", "hour", "day"]),
        help="Count per interval of the clock, too: that of the scene's time_zone, or else of --start's offset, "
        "or else, of a live camera, this machine's.",
    )
    return interval(start(command))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which intervals are counted, by which clock, of a clip that began when.

    `start` is None for a live camera, before its first frame has come.
    """

    interval: Interval
    start: datetime | None
    zone: tzinfo

    @classmethod
    def of(
        cls, interval: Interval | None, start: str | None, scene: Scene | None, *, live: bool = False
    ) -> Calendar | None:
        """What the options say; None where no intervals are asked for. `live`: of a camera, which begins now.

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
        own = time_zone(scene.time_zone) if scene is not None and scene.time_zone is not None else None
        if start is None and live:
            return cls(interval, None, own or _here())
        if start is None:
            raise click.UsageError("--interval needs --start: when the clip began, as 2026-03-29T00:30+01:00")
        try:
            began = datetime.fromisoformat(start)
            if not _YEARS[0] <= began.year <= _YEARS[1]:
                raise ValueError(began.year)
        except ValueError:
            raise click.UsageError(f"--start {start}: expected a time, as 2026-03-29T00:30+01:00") from None
        zone = own or began.tzinfo
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

    def seen(self, frame: Frame) -> Calendar:
        """With the time at which a live camera began, told by a frame; the same where it is known already."""
        if self.start is not None:
            return self
        received = frame.time or datetime.now(UTC)
        return replace(self, start=received - timedelta(seconds=frame.seconds))

    def told(self, count: VideoCount) -> dict[str, Any]:
        """The JSON of a clip's count, with the counts per interval."""
        from camera_counting.counting.intervals import counts_per_interval

        # where no frame came, there is nothing to be counted
        rows = counts_per_interval(count.events, self.interval, self.start or datetime.now(UTC), self.zone)
        return {
            **count.to_dict(),
            "intervals": {"interval": self.interval, "time_zone": str(self.zone), "rows": rows},
        }


def _here() -> tzinfo:
    """The clock of this machine, as it goes now."""
    return timezone(datetime.now().astimezone().utcoffset() or timedelta())
