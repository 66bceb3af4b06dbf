"""Which cameras are trusted: TLS, with the certificates of cameras that sign their own."""

from __future__ import annotations

import os
import re
import socket
import ssl
from pathlib import Path

from camera_counting.errors import SourceTimeoutError, SourceTlsError
from camera_counting.video.address import CameraAddress

__all__ = ["CA_FILE", "encrypt", "pinned", "trusting", "unchecked"]

CA_FILE = "CAMERA_COUNTING_CA_FILE"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def trusting() -> ssl.SSLContext:
    """Trusts whom this machine trusts, and whoever is named in the file of CAMERA_COUNTING_CA_FILE.

    Raises
    ------
    SourceTlsError
        Where that file cannot be read.
    """
    context = ssl.create_default_context()
    if file := os.environ.get(CA_FILE):
        try:
            context.load_verify_locations(file)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SourceTlsError(f"{CA_FILE}: expected a file of PEM certificates at {file}: {reason}") from None
    return context


def pinned() -> set[bytes]:
    """The certificates of that file, as DER: whoever shows one of them is whom the user meant.

    Cameras sign their own certificates, for names that they are not called by, and with clocks that stand in 1970.
    A certificate that is known byte by byte needs neither name nor date nor signature: the handshake shows that
    its key is there.
    """
    try:
        text = Path(os.environ[CA_FILE]).read_text(encoding="ascii", errors="replace")
        return {ssl.PEM_cert_to_DER_cert(block) for block in _CERTIFICATE.findall(text)}
    except (KeyError, OSError, ValueError):
        return set()  # `trusting` tells what is wrong with it


def unchecked() -> ssl.SSLContext:
    """For a connection over which nothing is said before its certificate was found among those `pinned`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def encrypt(camera: CameraAddress, sock: socket.socket, context: ssl.SSLContext, timeout: float) -> ssl.SSLSocket:
    """Shake hands; `sock` is closed where that fails, and belongs to the result where it does not.

    Raises
    ------
    SourceTlsError, SourceTimeoutError
    """
    sock.settimeout(timeout)
    try:
        return context.wrap_socket(sock, server_hostname=camera.host)
    except ssl.SSLCertVerificationError as error:
        raise SourceTlsError(
            f"{camera}: its certificate is not trusted: {error.verify_message.rstrip('.')}; put the camera's "
            f"certificate, or that of whoever signed it, into a PEM file and name that in {CA_FILE}"
        ) from None
    except TimeoutError:
        raise SourceTimeoutError(f"{camera}: the TLS handshake did not end within {timeout:g} s") from None
    except (ssl.SSLError, OSError) as error:
        raise SourceTlsError(
            f"{camera}: no TLS connection: {_reason(error)}; if it does not encrypt on port {camera.port}, "
            f"its address begins with {camera.scheme[:-1]}://"
        ) from None


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return "it hung up during the handshake"
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return str(reason).replace("_", " ").lower()
