"""Counting: the paths of tracks held against the lines and zones of a scene."""

from camera_counting.counting.camera import CameraCount
from camera_counting.counting.counter import Counter
from camera_counting.counting.economy import Choice, Economy, FrameChoice
from camera_counting.counting.events import Event
from camera_counting.counting.loop import FrameCount, VideoCount, count_detections, count_frames, count_video
from camera_counting.counting.result import LineCount, SceneCount, ZoneCount

__all__ = [
    "CameraCount",
    "Choice",
    "Counter",
    "Economy",
    "Event",
    "FrameChoice",
    "FrameCount",
    "LineCount",
    "SceneCount",
    "VideoCount",
    "ZoneCount",
    "count_detections",
    "count_frames",
    "count_video",
]
