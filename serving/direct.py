"""Questions to servers of this machine: they go there, whatever proxy the environment names."""

from __future__ import annotations

import ipaddress
import urllib.request
from contextlib import suppress
from urllib.parse import urlsplit

__all__ = ["DIRECT", "is_loopback", "opener_for"]

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks no proxy."""


def opener_for(url: str) -> urllib.request.OpenerDirector:
    """Whom to ask with: directly what is of this machine, anything else as the environment says."""
    return DIRECT if is_loopback(url) else urllib.request.build_opener()


def is_loopback(url: str) -> bool:
    """Whether only this machine is meant, which no proxy can reach on its behalf.

    Examples
    --------
    >>> [is_loopback(f"http://{host}/health") for host in ("127.0.0.1:5000", "LOCALHOST", "[::1]:80", "0.0.0.0")]
    [True, True, True, True]
    >>> [is_loopback(f"http://{host}/health") for host in ("10.0.0.5", "localhost.example.org", "")]
    [False, False, False]
    """
    with suppress(ValueError):
        host = (urlsplit(url).hostname or "").rstrip(".")
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
            return True
        address = ipaddress.ip_address(host)
        return address.is_loopback or address.is_unspecified
    return False
