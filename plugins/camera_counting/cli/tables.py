"""The tables that `camera-counting count` prints of a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["show_clip"]

_MOST_ROWS = 100


# Names are `Text`: the square brackets in them are no markup of Rich's.
def show_clip(told: dict[str, Any], console: Console) -> None:
    """Print the count of a clip, given as the dictionary that becomes its JSON."""
    rate = f", {told['fps']:g} frames per second" if told["fps"] else ""
    title = f"{Path(told['source']).name}: {told['frames']} frames, {told['seconds']:.1f} s{rate}"
    console.print(title, markup=False, highlight=False, style="bold")
    if told["lines"]:
        console.print(_lines(told["lines"]))
    if told["zones"]:
        console.print(_zones(told["zones"]))
        console.print(_stays(told["zones"]))
    if any("crowding" in zone for zone in told["zones"].values()):
        console.print(_crowding(told["zones"]))
    if told.get("flows"):
        console.print(_flows(told["flows"]))
    if "intervals" in told:
        console.print(_intervals(told["intervals"]))
    seen = ", ".join(f"{number} {name}" for name, number in told["classes"].items()) or "nothing"
    console.print(f"objects seen: {seen}", markup=False, highlight=False)


def _table(words: list[str], numbers: list[str]) -> Table:
    table = Table(*words)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _lines(lines: dict[str, Any]) -> Table:
    table = _table(["line", "class"], ["in", "out"])
    for name, line in lines.items():
        table.add_row(Text(name), "all", str(line["in"]), str(line["out"]), style="bold")
        for class_name, number in line["by_class"].items():
            table.add_row("", Text(class_name), str(number["in"]), str(number["out"]))
    return table


def _zones(zones: dict[str, Any]) -> Table:
    table = _table(["zone"], ["entered", "left", "inside at the end", "at most", "on average"])
    for name, zone in zones.items():
        numbers = [str(zone[key]) for key in ("entered", "left", "occupancy", "peak")]
        table.add_row(Text(name), *numbers, f"{zone['mean']:.2f}")
    return table


def _stays(zones: dict[str, Any]) -> Table:
    table = _table(["stay in zone"], ["mean", "median", "95 %", "longest"])
    for name, zone in zones.items():
        table.add_row(Text(name), *_durations(zone["dwell_seconds"]))
    return table


def _crowding(zones: dict[str, Any]) -> Table:
    table = _table(["crowded zone", "from", "to"], ["lasted", "most", "mean"])
    for name, zone in zones.items():
        crowding = zone.get("crowding")
        if crowding is None:
            continue
        if not crowding["times"]:
            table.add_row(Text(name), "never", "", "", "", "")
        hidden = crowding["times"] - len(crowding["latest"])
        if hidden:
            table.add_row(Text(name), f"... and {hidden} times before", "", "", "", "")
        for crowd in crowding["latest"]:
            until = "still is" if crowd["to"] is None else _seconds(crowd["to"])
            lasted, mean = _seconds(crowd["seconds"]), f"{crowd['mean']:.2f}"
            table.add_row(Text(name), _seconds(crowd["from"]), until, lasted, str(crowd["most"]), mean)
    return table


def _flows(flows: dict[str, Any]) -> Table:
    table = _table(["flow", "from → to", "class"], ["number", "travel, mean", "95 %"])
    for name, flow in flows.items():
        travel = [_seconds(flow["travel_seconds"][key]) for key in ("mean", "p95")]
        way = Text(f"{flow['from']} → {flow['to']}")
        table.add_row(Text(name), way, "all", str(flow["total"]), *travel, style="bold")
        for class_name, number in flow["by_class"].items():
            table.add_row("", "", Text(class_name), str(number), "", "")
    return table


def _intervals(intervals: dict[str, Any]) -> Table:
    table = _table([f"{intervals['interval']} from", "", "name", "class"], ["in", "out"])
    rows = intervals["rows"]
    for row in rows[:_MOST_ROWS]:
        start = row["start"].replace("T", " ")
        words = (Text(start), row["kind"], Text(row["name"]), Text(row["class"]))
        table.add_row(*words, str(row["in"]), "" if row["kind"] == "flow" else str(row["out"]))
    if len(rows) > _MOST_ROWS:
        table.add_row(f"... and {len(rows) - _MOST_ROWS} more (--json has all)", "", "", "", "", "")
    return table


def _durations(told: dict[str, float | None]) -> list[str]:
    return [_seconds(told[key]) for key in ("mean", "p50", "p95", "max")]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
