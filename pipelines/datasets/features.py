"""Numbers that describe a picture as a whole.

The same function as the prediction log's: drift compares the two.
"""

from camera_counting.picture_features import picture_features

__all__ = ["picture_features"]
