"""What has to be known of a detector's graph to run it: its input and its head."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["InputSpec"]


class InputSpec(BaseModel):
    """How a picture has to be laid out for a detector.

    The picture is scaled to fit `width` x `height` with its aspect kept; what is left is filled with `pad`.

    Attributes
    ----------
    width, height : int
        Size of the input in pixels.
    layout : "NCHW" or "NHWC"
    color : "RGB" or "BGR"
        Order of the channels.
    dtype : "float32", "float16" or "uint8"
    scale : float
        Each value 0..255 is multiplied with it: 1/255 for YOLOv8 and its children, 1 for YOLOX.
    anchor : "center" or "top-left"
        Where the scaled picture lies in the input.
    pad : int
        Grey value around it.

    Examples
    --------
    >>> InputSpec(width=640, height=640).scale == 1 / 255
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=8, le=16384)
    height: int = Field(ge=8, le=16384)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    color: Literal["RGB", "BGR"] = "RGB"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    scale: float = Field(default=1 / 255, gt=0)
    anchor: Literal["center", "top-left"] = "center"
    pad: int = Field(default=114, ge=0, le=255)
