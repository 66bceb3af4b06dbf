"""Nothing secret in any log: what looks like a password, a token or a hash of one is blotted out before it is
written, whoever logs it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["redact", "redact_logs"]

_BLOT = "[redacted]"
_ACCESS = "uvicorn.access"  # its formatter takes the arguments one by one
_SECRETS = (
    # Authorization: Basic cml0YTpwYXNz, in a header or anywhere else
    (re.compile(r"\b(Basic|Bearer)\s+[A-Za-z0-9+/=._~-]{6,}", re.IGNORECASE), rf"\1 {_BLOT}"),
    # a program's token, wherever it stands
    (re.compile(r"\bgov_[0-9a-f]{16}_[\w-]+"), _BLOT),
    # https://rita:password@host
    (re.compile(r"(?<=://)[^/\s:@'\"]*:[^/\s@'\"]+(?=@)"), _BLOT),
    # password=..., "token": "...", in a query, a form, JSON or a Python dict
    (
        re.compile(
            r"""((?:[\w-]*(?:password|passwd|secret|token|(?:api|access)[_-]?key|signature|credential))["']?\s*[=:]\s*)"""
            # quoted: up to the quote that no backslash stands before, or to the end where there is none
            r"""(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|[^\s&,;"'}\])]+)""",
            re.IGNORECASE | re.DOTALL,
        ),
        rf"\1{_BLOT}",
    ),
    # werkzeug's hashes, as they stand in the parameters of a failed SQL statement
    (re.compile(r"\b(?:scrypt|pbkdf2)(?::[\w.]+)+\$[^\s'\",)]+"), _BLOT),
)


def redact(text: str) -> str:
    """The text without passwords, tokens and hashes.

    Examples
    --------
    >>> redact("GET /api?user=rita&password=hunter2 from http://rita:hunter2@host")
    'GET /api?user=rita&password=[redacted] from http://[redacted]@host'
    """
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def redact_logs() -> None:
    """Redact every record that this process logs from now on; does nothing the second time."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Redacting):
        logging.setLogRecordFactory(_Redacting(make))


class _Redacting:
    """Makes records as before, with what they say redacted: message, arguments and traceback."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self.make = make

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record = self.make(*arguments, **named)
        if record.name == _ACCESS:
            record.args = tuple(_argument(value) for value in record.args or ())
        else:
            # as a whole: a secret may stand in an argument, and the word that gives it away in the message
            with suppress(TypeError, ValueError, KeyError):  # a record that nobody can write is none to redact
                record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info and record.exc_info[0] is not None:
            # formatters take this instead of the exception, whose text may hold a statement's parameters
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return record


def _argument(value: object) -> object:
    return redact(value) if isinstance(value, str) else value
