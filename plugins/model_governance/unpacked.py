"""What stands behind compression: read from the beginning, a little at a time, as far as it can be unpacked."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import IO, Any

__all__ = ["unpacked"]

# By the first bytes, as joblib tells them apart; zlib's second one says how hard it tried.
_KINDS: dict[bytes, Callable[[], Any]] = {
    **dict.fromkeys((b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"), zlib.decompressobj),
    b"\x1f\x8b": partial(zlib.decompressobj, wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
    b"\x5d\x00": lzma.LZMADecompressor,
}
# A few bytes may unpack to many thousand times as many.
_PIECE = 512


def unpacked(stream: IO[bytes]) -> IO[bytes] | None:
    """What a compressed stream holds, up to where it cannot be unpacked; None where it is not compressed."""
    head = stream.read(max(map(len, _KINDS)))
    stream.seek(0)
    kind = next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), None)
    return None if kind is None else io.BufferedReader(_Unpacked(stream, kind))


class _Unpacked(io.RawIOBase):
    """It can only be begun again: whoever wants to look at its end would have to unpack all of it."""

    def __init__(self, stream: IO[bytes], kind: Callable[[], Any]) -> None:
        self._stream, self._kind = stream, kind
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if offset or whence != io.SEEK_SET:
            raise io.UnsupportedOperation("what is compressed is read from its beginning")
        self._stream.seek(0)
        self._decompressor, self._waiting, self._ready, self._at = self._kind(), b"", b"", 0
        return 0

    def readinto(self, buffer: Any) -> int:
        while not self._ready and self._step():
            pass
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        self._at += count
        return count

    def _step(self) -> bool:
        """Unpack another piece; False at the end, which is also where nothing can be unpacked any more."""
        if self._decompressor.eof:  # one compressed stream may follow another
            self._waiting, self._decompressor = self._decompressor.unused_data, self._kind()
        piece, self._waiting = self._waiting or self._stream.read(_PIECE), b""
        try:
            self._ready = self._decompressor.decompress(piece)
        except (zlib.error, lzma.LZMAError, OSError, EOFError):
            return False
        return bool(piece)
