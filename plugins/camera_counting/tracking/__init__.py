"""Tracking: the detections of consecutive frames joined to tracks.

`Tracker` is the seam; `MotionTracker` is the one that counts.
"""

from camera_counting.tracking.base import Tracker, Tracks
from camera_counting.tracking.tracker import MotionTracker, TrackerSettings

__all__ = ["MotionTracker", "Tracker", "TrackerSettings", "Tracks"]
