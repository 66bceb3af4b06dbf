"""How the page is seen from outside: under which address, and through which proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from serving.camera.web.settings import Network, WebSettings

__all__ = ["Outside"]

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Outside:
    """Tells of a request where it comes from, as far as that can be believed.

    What a header says of it is believed from the configured proxies alone: anybody can send one.

    Parameters
    ----------
    settings : WebSettings

    Examples
    --------
    >>> outside = Outside(WebSettings(trusted_proxies=["10.0.0.0/30"]))
    >>> said = [(b"x-forwarded-for", b"192.0.2.9, 203.0.113.5, 10.0.0.2"), (b"x-forwarded-proto", b"https")]
    >>> through = {"type": "http", "client": ("10.0.0.1", 1234), "headers": said}
    >>> outside.client(through), outside.is_secure(through)
    ('203.0.113.5', True)
    >>> past = {**through, "client": ("192.0.2.7", 1234)}
    >>> outside.client(past), outside.is_secure(past)
    ('192.0.2.7', False)
    """

    def __init__(self, settings: WebSettings) -> None:
        self._proxies: Sequence[Network] = settings.trusted_proxies
        public = urlsplit(settings.public_url or "")
        self._secure = public.scheme == "https"
        self._public = _place(public)
        names = {host.lower() for host in settings.hosts}
        if public.hostname:
            names.add(f"[{public.hostname}]" if ":" in public.hostname else public.hostname)
        self.hosts = frozenset(names)
        """The names under which the page may be asked for, without ports."""

    def client(self, scope: Scope) -> str:
        """The address that a request came from; of IPv6 its network, within which anybody has any address."""
        peer = scope.get("client")
        if not peer:
            return "unknown"
        address = _address(str(peer[0]))
        if address is None:
            return str(peer[0])
        if self._is_proxy(address):
            for said in reversed(",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")):
                before = _address(said)
                if before is None:
                    break
                address = before
                if not self._is_proxy(address):
                    break
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)

    def is_secure(self, scope: Scope) -> bool:
        """Whether the browser speaks with the page, or the proxy before it, over TLS."""
        if self._secure or scope.get("scheme") == "https":
            return True
        address = _address(str((scope.get("client") or ("",))[0]))
        if address is None or not self._is_proxy(address):
            return False
        return Headers(scope=scope).get("x-forwarded-proto", "").partition(",")[0].strip().lower() == "https"

    def is_same_site(self, headers: Headers) -> bool:
        """Whether a request was made by a page from here, as far as its browser tells."""
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        try:
            place = _place(urlsplit(origin))
            host = _place(urlsplit(f"//{headers.get('host', '')}")._replace(scheme=urlsplit(origin).scheme))
        except ValueError:
            return False
        return bool(place) and place in {host, self._public}

    def _is_proxy(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return any(address in network for network in self._proxies)


def _place(url: SplitResult) -> str:
    """Host and port of an address, without the port that its scheme has anyway."""
    return url.netloc.lower().removesuffix(_DEFAULT_PORTS.get(url.scheme, "\0"))


def _address(said: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """As proxies write it: an address, maybe with a port behind it."""
    text = said.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
