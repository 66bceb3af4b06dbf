"""Heads of the log, signed and kept where whoever writes to the database cannot: a folder, or a bucket of S3.

A head is a small JSON file of its own, named after the number of its entry, and never overwritten: a log that was
written anew, or cut, does not go through the heads that were kept. Signatures are Ed25519 (RFC 8032) over the text
that `SignedHead.signed_text` gives. The private key belongs to whoever keeps the heads, and not on the database's
machine.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError

from model_governance.errors import EvidenceError, TamperError
from model_governance.governed.audit.entry import Head
from model_governance.governed.audit.places import open_place

__all__ = [
    "SignedHead",
    "keep_head",
    "kept_heads",
    "make_key",
    "newest_head",
    "public_key_of",
    "read_public_key",
    "sign_head",
]

_ENDING = ".head.json"


class SignedHead(BaseModel):
    """An end of the log, and who vouches for it.

    Attributes
    ----------
    seq, hash
        As `Head`.
    at : int
        When it was signed, ms since the epoch, UTC.
    key : str
        SHA-256 in hex of the public key's 32 bytes.
    signature : str
        Ed25519 over `signed_text`, base64.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seq: int
    hash: str
    at: int
    key: str
    signature: str

    @property
    def head(self) -> Head:
        """What is vouched for."""
        return Head(self.seq, self.hash)

    @property
    def signed_text(self) -> bytes:
        """What the signature is over."""
        return f"model-governance audit head 1\n{self.seq}\n{self.hash}\n{self.at}\n{self.key}\n".encode()


def make_key(path: Path) -> Path:
    """Write a new private key, readable by its owner alone, and the public one beside it; gives the latter's path.

    Raises
    ------
    FileExistsError
        A key is never overwritten: heads that it signed could no longer be checked.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if path.exists():
        raise FileExistsError(errno.EEXIST, "a key is there", str(path))
    public = path.with_name(f"{path.name}.pub")
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    # whole or not at all, and never in the place of one that is there: a link is both
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=".key-") as part:  # for its owner alone
        part.write(private)
        part.flush()
        os.fsync(part.fileno())
        path.hardlink_to(part.name)
    return public


def sign_head(head: Head, private_key: Path) -> SignedHead:
    """Vouch for a head.

    Raises
    ------
    EvidenceError
        Where the file is no Ed25519 private key in PEM without a password.
    """
    key = _private(private_key)
    unsigned = SignedHead(
        seq=head.seq,
        hash=head.hash,
        at=round(time.time() * 1000),
        key=_fingerprint(key.public_key()),
        signature="",
    )
    signature = base64.b64encode(key.sign(unsigned.signed_text)).decode()
    return unsigned.model_copy(update={"signature": signature})


def public_key_of(private_key: Path) -> Ed25519PublicKey:
    """What checks the heads that a private key signs.

    Raises
    ------
    EvidenceError
        As `sign_head`.
    """
    return _private(private_key).public_key()


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise EvidenceError(f"{path}: expected an Ed25519 private key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise EvidenceError(f"{path}: expected an Ed25519 private key, got another kind of key")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file.

    Raises
    ------
    EvidenceError
        Where it is none.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EvidenceError(f"{path}: expected an Ed25519 public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise EvidenceError(f"{path}: expected an Ed25519 public key, got another kind of key")
    return key


def keep_head(signed: SignedHead, where: str) -> str | None:
    """Write a head into a folder or ``s3://bucket/prefix``, whole or not at all; gives where it lies.

    None where the same head lies there already.

    Raises
    ------
    TamperError
        Where another head of the same number lies there: the log has two ends.
    EvidenceError
        Where the place cannot be written.
    """
    name = f"{signed.seq:012d}{_ENDING}"
    place = open_place(where)
    content = signed.model_dump_json(indent=2) + "\n"
    if place.create(name, content):
        return f"{where.rstrip('/')}/{name}"
    there = _parsed(place.read(name), name)
    if there.head != signed.head:
        raise TamperError(
            f"{where} holds another head of entry {signed.seq}: the log was written anew after it was kept"
        )
    return None


def kept_heads(where: str, keys: Iterable[Ed25519PublicKey]) -> list[SignedHead]:
    """All heads of a folder or an S3 prefix, oldest first, their signatures checked.

    Parameters
    ----------
    keys : iterable of Ed25519PublicKey
        Of whoever may have signed them: one, and those before it where keys were changed.

    Raises
    ------
    TamperError
        For a head that none of these keys signed.
    EvidenceError
        Where there is none, or the place cannot be read.
    """
    place, known = open_place(where), {_fingerprint(key): key for key in keys}
    names = sorted(name for name in place.names() if name.endswith(_ENDING))
    heads = [_checked(_parsed(place.read(name), name), f"{where}: {name}", known) for name in names]
    if not heads:
        raise EvidenceError(f"{where} holds no head of an audit log (*{_ENDING}); `audit head` writes one")
    return heads


def newest_head(where: str, key: Ed25519PublicKey) -> Head | None:
    """The head of the highest number that was kept; None where none was.

    Raises
    ------
    TamperError
        Where another key signed it. Whoever changes keys begins in a new place.
    EvidenceError
        Where the place cannot be read.
    """
    place = open_place(where)
    name = max((name for name in place.names() if name.endswith(_ENDING)), default=None)
    if name is None:
        return None
    return _checked(_parsed(place.read(name), name), f"{where}: {name}", {_fingerprint(key): key}).head


def _checked(signed: SignedHead, what: str, known: Mapping[str, Ed25519PublicKey]) -> SignedHead:
    try:
        known[signed.key].verify(base64.b64decode(signed.signature, validate=True), signed.signed_text)
    except (KeyError, InvalidSignature, binascii.Error) as error:
        raise TamperError(
            f"{what} is not signed by a key that was given (SHA-256 {', '.join(each[:16] for each in known)}); it "
            f"says that it was signed by {signed.key[:16]}"
        ) from error
    return signed


def _parsed(text: str, name: str) -> SignedHead:
    try:
        return SignedHead.model_validate_json(text)
    except ValidationError as error:
        raise TamperError(f"{name} is no signed head ({error.error_count()} errors)") from error


def _fingerprint(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()
