"""Whose page asks. A browser sends a log-in along with whatever any page asks for, so a change is taken from the
server's own pages and from programs alone.

MLflow lets pages of every port of localhost ask with credentials: a notebook or another tool on a reviewer's
machine could promote in their name. Browsers say by ``Sec-Fetch-Site`` (W3C Fetch Metadata) and ``Origin`` whose
page asks; programs send neither.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from mlflow.server.security_utils import get_allowed_origins_from_env

__all__ = ["FOREIGN", "is_foreign"]

FOREIGN = (
    "a page of another origin asked for this; it is refused. Use the server's own pages, or name the other origin "
    "in MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"
)
"""What whoever asked so reads."""


def is_foreign(origin: str | None, site: str | None, host: str) -> bool:
    """Whether a page of another origin asks.

    Parameters
    ----------
    origin, site : str or None
        The headers ``Origin`` and ``Sec-Fetch-Site``.
    host : str
        The server's own, with its port, as the request gives it.

    Examples
    --------
    >>> is_foreign("http://localhost:8888", "same-site", "localhost:5000")
    True
    >>> is_foreign("https://mlflow.example", "same-origin", "10.0.0.7:5000")
    False
    >>> is_foreign(None, None, "localhost:5000")
    False
    """
    if origin is not None and origin in (get_allowed_origins_from_env() or ()):
        return False  # whoever runs the server named it, letter by letter
    if site is not None:
        # behind a proxy the server may not know its own name; the browser does
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != host
