"""Which lock file an environment was made from, and where the two differ."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName

from run_lineage.code import lock_files

__all__ = ["closest_lock", "differences", "pins"]

_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+))?"
)


def pins(text: str) -> dict[str, str]:
    """Name and version of every pin of a requirements file that holds on this machine.

    Examples
    --------
    >>> pins("NumPy==2.1.0 \\\\\\n    --hash=sha256:00\\npywin32==311 ; sys_platform == 'win32'\\n")
    {'numpy': '2.1.0'}
    """
    found = {}
    for line in text.splitlines():
        match = _PIN.match(line.strip())
        if match and _holds(match["marker"]):
            found[_normal(match["name"])] = match["version"]
    return found


def closest_lock(root: Path, installed: list[str]) -> tuple[Path, dict[str, str]] | None:
    """The requirements file that fits what is installed best, and where it does not.

    Of several that fit equally well, the one that pins most.

    Parameters
    ----------
    root : Path
        The checkout.
    installed : list of str
        ``name==version``, as `run_lineage.machine.installed` gives them.
    """
    judged = []
    for path in lock_files(root):
        if path.suffix == ".txt":
            try:
                wanted = pins(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError):
                continue
            if wanted:
                missing = {
                    name: told
                    for name, told in differences([f"{n}=={v}" for n, v in wanted.items()], installed).items()
                    if name in wanted
                }
                judged.append((len(missing), -len(wanted), path, missing))
    if not judged:
        return None
    _, _, path, missing = min(judged, key=lambda entry: entry[:3])
    return path, missing


def differences(before: list[str], now: list[str]) -> dict[str, str]:
    """What differs between two environments, by package, in words: ``2.1.0, here 2.2.0``.

    Examples
    --------
    >>> differences(["a==1", "b==1", "c==1"], ["a==1", "b==2", "d==1"])
    {'b': '1, here 2', 'c': '1, here not installed', 'd': 'not installed, here 1'}
    """
    old, new = (dict(line.split("==", 1) for line in lines if "==" in line) for lines in (before, now))
    return {
        name: f"{old.get(name, 'not installed')}, here {new.get(name, 'not installed')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _holds(marker: str | None) -> bool:
    try:
        return marker is None or Marker(marker.strip()).evaluate()
    except (InvalidMarker, UndefinedEnvironmentName):
        return False
