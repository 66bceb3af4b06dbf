"""What the page goes by."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.networks import IPvAnyNetwork

__all__ = ["Network", "WebSettings"]

_NAME = re.compile(r"\[[0-9A-Fa-f:.]+\]|[^\s:/@?#\[\]]+")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
    public_url: str | None = Field(
        default=None,
        description="The address under which browsers reach the page through a proxy, e.g. "
        "https://cameras.example.org. Its name is one of `hosts`; with https://, sessions are kept to it.",
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    pictures_per_second: float = Field(default=4.0, gt=0, le=30, description="Of each camera, at most.")
    longer_side: int = Field(default=960, ge=64, le=8192, description="Larger pictures are scaled down to this.")
    quality: int = Field(default=80, ge=10, le=100, description="Of the JPEGs.")
    session_hours: float = Field(default=12.0, gt=0, le=24 * 31, description="Until a browser must log in anew.")

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"expected names without scheme and port, an IPv6 address in brackets; {name!r:.100} is none"
                )
        return value

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = urlsplit(value)
            whole = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
        except ValueError:
            whole = False
        if not whole or "@" in url.netloc or url.path not in {"", "/"} or url.query or url.fragment:
            raise ValueError(
                "expected http:// or https:// and a host, without a path: https://cameras.example.org"
            )
        return value
