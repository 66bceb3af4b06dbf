"""What the page goes by."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["WebSettings"]


class WebSettings(BaseModel):
    """Settings of the page.

    Examples
    --------
    >>> WebSettings().people, WebSettings().hosts
    ('blurred', ('127.0.0.1', 'localhost', '[::1]'))
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: str = Field(
        default="blurred",
        pattern="^(blurred|shown)$",
        description="Whether people are made unrecognisable on the live pictures: blurred or shown.",
    )
    hosts: tuple[str, ...] = Field(
        default=("127.0.0.1", "localhost", "[::1]"),
        min_length=1,
        description="The names under which the page may be asked for, without ports.",
    )
    pictures_per_second: float = Field(default=4.0, gt=0, le=30, description="Of each camera, at most.")
    longer_side: int = Field(default=960, ge=64, le=8192, description="Larger pictures are scaled down to this.")
    quality: int = Field(default=80, ge=10, le=100, description="Of the JPEGs.")
    session_hours: float = Field(default=12.0, gt=0, le=24 * 31, description="Until a browser must log in anew.")
