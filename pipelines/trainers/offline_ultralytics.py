"""Ultralytics made to keep to itself: nothing fetched, nothing sent, nothing written to the user's home."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from pipelines.trainers.cores import share_cores

__all__ = ["offline_ultralytics"]

_SILENT = {
    "sync": False,  # usage statistics
    "clearml": False,
    "comet": False,
    "dvc": False,
    "mlflow": False,  # this project logs by itself: the library's own callback would start a second run
    "raytune": False,
    "tensorboard": False,
    "wandb": False,
    "vscode_msg": False,
    "openvino_msg": False,
}


def offline_ultralytics(folder: Path) -> None:
    """Import Ultralytics so that it stays offline, with its settings in `folder` unless told otherwise.

    Call it before every use: where the library has been imported before, by a notebook say, its settings are
    silenced for this process without writing them to the user's file.

    Parameters
    ----------
    folder : Path
        Where its settings file goes when YOLO_CONFIG_DIR is not set and the library has not been imported.
    """
    if "ultralytics" not in sys.modules:
        os.environ.setdefault("YOLO_CONFIG_DIR", str(folder.resolve() / "settings"))
        os.environ["YOLO_OFFLINE"] = "true"
        os.environ["YOLO_AUTOINSTALL"] = "false"
        os.environ.setdefault("YOLO_VERBOSE", "false")
        share_cores()
    from ultralytics import settings
    from ultralytics.utils import USER_CONFIG_DIR
    from ultralytics.utils.events import events

    # Past SettingsManager.update, which writes the file.
    dict.update(settings, _SILENT)
    events.enabled = False
    _provide_font(Path(USER_CONFIG_DIR))


def _provide_font(folder: Path) -> None:
    """Lay matplotlib's own font where Ultralytics looks for Arial, which it would otherwise try to download."""
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        if not (folder / name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(font, folder / name)
