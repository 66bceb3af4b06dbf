"""Records sent to an address, as JSON, at least once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

from serving.camera.records import CountRecord
from serving.camera.sinks.base import Sink
from serving.direct import is_loopback
from serving.errors import SinkError

__all__ = ["WebhookSink", "signature"]

_PREFIX = "whsec_"
_TOO_LARGE = 413
# worth another try soon: the other side is starting, restarting or overloaded
_PASSING = {408, 421, 423, 425, 429}
# about who asks, whatever is sent
_ABOUT_US = {401, 402, 403, 407}


class WebhookSink(Sink):
    """An address that gets POST requests with the body {"batch": name, "records": [...]}.

    Messages are signed as https://www.standardwebhooks.com lays down, so that receivers find libraries for it:

    - `webhook-id`: the batch; the same when it is sent again, as are the records' ids.
    - `webhook-timestamp`: seconds since 1970, when it was sent.
    - `webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, where there is a secret.

    A batch counts as taken when the answer is 2xx. Redirects are not followed: records go where they were meant to
    go, or nowhere. An answer that says that the request is wrong (most of 4xx) is told as an error, and the batch
    is kept and tried seldom, until somebody changes the settings or the receiver. Where the receiver takes other
    records, it is those of the batch that it does not take that are set aside, see `Refusals`.

    Parameters
    ----------
    url : str
        http:// or https://; nothing of it but its host stands in any message, for it may hold a token.
    secret : str, optional
        Any text, or `whsec_` and base64.
    timeout : float
        Seconds to connect, and between two bytes of the answer.

    Raises
    ------
    SinkError
        Where the URL or the secret makes no sense.
    """

    batch_size = 100

    def __init__(self, name: str, url: str, *, secret: str | None = None, timeout: float = 10.0) -> None:
        super().__init__(name)
        try:
            parts = urlsplit(url)
            self._where = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SinkError(
                f"sink {name}: url: expected one that begins with https:// or http://, got another text"
            )
        self._url, self._timeout = url, timeout
        self._key = None if secret is None else _key(name, secret)
        self._session = requests.Session()
        # A receiver on this machine is asked directly: None stands for no proxy, whichever the environment names.
        self._proxies = dict.fromkeys(("http", "https", "all")) if is_loopback(url) else None

    def deliver(self, records: Sequence[CountRecord], batch: str) -> None:
        """Send the batch; see `Sink.deliver`. One that is too large for the receiver is sent in halves."""
        body = json.dumps({"batch": batch, "records": [r.to_dict() for r in records]}, ensure_ascii=False)
        answer = self._post(body.encode("utf-8", "replace"), batch)
        if answer.status_code == _TOO_LARGE and len(records) > 1:
            half = len(records) // 2
            self.deliver(records[:half], f"{batch}.0")
            self.deliver(records[half:], f"{batch}.1")
        elif not 200 <= answer.status_code < 300:
            raise self._refusal(answer)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _post(self, body: bytes, batch: str) -> requests.Response:
        now = int(time.time())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "camera-counting",
            "webhook-id": batch,
            "webhook-timestamp": str(now),
        }
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, batch, now, body)
        # What requests says of its errors holds the whole URL, which may hold a token.
        try:
            answer = self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                proxies=self._proxies,  # type: ignore[arg-type]  # its stubs know no None
            )
            answer.close()  # what it says is of no interest, however long it is
        except requests.exceptions.SSLError:
            raise SinkError(
                f"{self._where}: its certificate is not trusted; REQUESTS_CA_BUNDLE names a file of those that are"
            ) from None
        except requests.exceptions.Timeout:
            raise SinkError(f"{self._where}: no answer within {self._timeout:g} s") from None
        except requests.exceptions.ConnectionError:
            raise SinkError(f"{self._where}: it cannot be reached, or broke off") from None
        except requests.exceptions.RequestException as error:
            raise SinkError(f"{self._where}: {type(error).__name__}") from None
        return answer

    def _refusal(self, answer: requests.Response) -> SinkError:
        status = answer.status_code
        told = f"{self._where}: expected an answer of 2xx, got {status} {answer.reason or ''}".rstrip()
        if 300 <= status < 400:
            return SinkError(
                f"{told}; redirects are not followed, write the address that it names into url", permanent=True
            )
        if 400 <= status < 500 and status not in _PASSING:
            return SinkError(
                f"{told}; the records are kept, see the receiver's log and the url",
                permanent=True,
                refused=status not in _ABOUT_US,
            )
        return SinkError(told, retry_after=_retry_after(answer.headers.get("Retry-After")))


def signature(key: bytes, batch: str, timestamp: int, body: bytes) -> str:
    """What `webhook-signature` holds.

    Examples
    --------
    The example of the Standard Webhooks specification:

    >>> key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{batch}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _key(name: str, secret: str) -> bytes:
    if not secret.removeprefix(_PREFIX):
        raise SinkError(
            f"sink {name}: secret: expected a text, got an empty one; leave the key out to sign nothing"
        )
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise SinkError(f"sink {name}: secret: expected base64 after {_PREFIX}, got another text") from None


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number of them or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        if value.strip().isdigit():
            return float(value)
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - time.time())
