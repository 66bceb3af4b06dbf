"""The settings with which `make up` counts the demo's clip as if a camera showed it."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["write_camera_settings"]

_SETTINGS = """\
# Counted by `make up`: add your own cameras here (serving/cameras.example.yaml shows every key) and start it anew,
# or send the worker SIGHUP. The page at http://127.0.0.1:{port} asks for what stands in camera-token.
model: models:/{model}@serving
state: camera-state
cameras:
  - name: {name}
    source: {video}
    scene: {scene}
    clip: {{pace: real-time, repeat: true}}   # the demo's clip, again and again, as a camera would show it
sinks:
  - {{kind: json-lines, file: camera-events.jsonl, daily: true}}
web: {{port: {port}, token_file: camera-token}}
"""


def write_camera_settings(workspace: Path, video: Path, scene: Path, model: str, *, port: int = 5002) -> Path:
    """Write `cameras.yaml` into the workspace, unless it is there: somebody may have written into it."""
    path = workspace / "cameras.yaml"
    if not path.exists():
        text = _SETTINGS.format(
            model=model,
            name=_quoted(video.stem),
            video=_quoted(_from(workspace, video)),
            scene=_quoted(_from(workspace, scene)),
            port=port,
        )
        path.write_text(text, encoding="utf-8")
    return path


def _from(folder: Path, path: Path) -> str:
    """Relative to a folder, where it lies in it, so that the folder may be moved."""
    path, folder = path.resolve(), folder.resolve()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _quoted(text: str) -> str:
    """As YAML takes any text."""
    return json.dumps(text, ensure_ascii=False)
