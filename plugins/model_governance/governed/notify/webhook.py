"""A message as a signed POST."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import time
from urllib.parse import urlsplit

import requests

from model_governance.deadline import bounded_session
from model_governance.governed.notify.channels import Carrier, CarryError, printable
from model_governance.governed.notify.outbox import Message
from model_governance.governed.notify.settings import Webhook

__all__ = ["WebhookCarrier", "signature"]

_PREFIX = "whsec_"


class WebhookCarrier(Carrier):
    """Posts JSON, signed as https://www.standardwebhooks.com lays down, so that receivers find libraries for it.

    - ``webhook-id``: the message; the same when it is sent again.
    - ``webhook-timestamp``: seconds since 1970, when it was sent.
    - ``webhook-signature``: ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``.

    It counts as taken when the answer's status is 2xx, whatever becomes of the rest of it. Nothing of the address
    but its host stands in any message, for it may hold a token.

    Raises
    ------
    CarryError
        Where a variable is not set, or holds no address or no secret.
    """

    def __init__(self, settings: Webhook, timeout: float = 10.0) -> None:
        self._url = settings.url if settings.url is not None else os.environ.get(settings.url_env or "", "")
        try:
            parts = urlsplit(self._url)
            self._where = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CarryError(
                f"{settings.url_env or 'url'}: expected an address that begins with https:// or http://"
            )
        self._key = _key(settings.secret_env)
        self._timeout = timeout

    def carry(self, message: Message, without: frozenset[str] = frozenset()) -> None:
        """Deliver; see `Carrier`."""
        now, body = int(time.time()), message.to_json().encode("utf-8", "replace")
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "model-governance",
            "webhook-id": message.id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(self._key, message.id, now, body),
        }
        # what requests says of its errors holds the whole URL, which may hold a token
        try:
            with bounded_session() as session:
                answer = session.post(
                    self._url,
                    data=body,
                    headers=headers,
                    timeout=self._timeout,
                    allow_redirects=False,
                    stream=True,
                )
                answer.close()  # what it says is of no interest, however long it is
        except requests.exceptions.SSLError:
            raise CarryError(
                f"{self._where}: its certificate is not trusted; REQUESTS_CA_BUNDLE names those that are",
                unreachable=True,
            ) from None
        except requests.exceptions.Timeout:
            raise CarryError(f"{self._where}: no answer within {self._timeout:g} s", unreachable=True) from None
        except requests.exceptions.RequestException as error:
            raise CarryError(
                f"{self._where}: it cannot be reached, or broke off ({type(error).__name__})", unreachable=True
            ) from None
        if not 200 <= answer.status_code < 300:
            told = printable(f"{answer.status_code} {answer.reason or ''}", 100)
            raise CarryError(f"{self._where}: expected an answer of 2xx, got {told}")


def signature(key: bytes, name: str, timestamp: int, body: bytes) -> str:
    """What ``webhook-signature`` holds.

    Examples
    --------
    The example of the Standard Webhooks specification:

    >>> key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{name}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _key(variable: str) -> bytes:
    secret = os.environ.get(variable, "")
    if not secret.removeprefix(_PREFIX):
        raise CarryError(f"{variable} is not set; it holds the secret that messages are signed with")
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise CarryError(f"{variable}: expected base64 after {_PREFIX}, got another text") from None
