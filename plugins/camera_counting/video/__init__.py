"""Video: frames with timestamps from files, folders of pictures and live cameras; the writer of annotated clips.

`VideoSource` is the seam; `open_source` finds the one that fits a path or an address.
"""

from camera_counting.video.base import Frame, VideoSource
from camera_counting.video.file import VideoFile
from camera_counting.video.folder import PictureFolder, natural_order
from camera_counting.video.live import LiveSource, LiveState, LiveStats
from camera_counting.video.open import open_source
from camera_counting.video.picture_health import Health, PictureHealth
from camera_counting.video.writer import ClipWriter

__all__ = [
    "ClipWriter",
    "Frame",
    "Health",
    "LiveSource",
    "LiveState",
    "LiveStats",
    "PictureFolder",
    "PictureHealth",
    "VideoFile",
    "VideoSource",
    "natural_order",
    "open_source",
]
