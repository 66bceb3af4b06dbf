"""What stands behind compression: read a little at a time, as far as it can be unpacked and there is an allowance.

A file of a thousand bytes may unpack to more than anybody can read in a day, and whoever logs a model chooses it.
So all that is done beside reading a file through is paid for, in bytes that could be unpacked in that time.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from typing import IO, Any

__all__ = ["Allowance", "SpentError", "packed_member", "unpacked"]

# By the first bytes, as joblib tells them apart; zlib's second one says how hard it tried.
_KINDS: dict[bytes, Callable[[], Any]] = {
    **dict.fromkeys((b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"), zlib.decompressobj),
    b"\x1f\x8b": partial(zlib.decompressobj, wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
    b"\x5d\x00": lzma.LZMADecompressor,
}
# A few bytes may unpack to many thousand times as many, and of some kinds to a million times.
_PIECE = 512
_MOST_AT_ONCE = 1 << 20
# Of what is looked through, which is seldom more than the first bytes, real models need less than their own size.
_TIMES_ITS_SIZE = 64
_EACH_FILE = 1 << 20
_ALL_FILES = 1 << 27
# To begin a compressed stream, or a member of an archive.
_BEGUN = 1 << 13


class SpentError(Exception):
    """Looking further takes more than a file of this size can ask for."""


class Allowance:
    """What looking through a model's files may take: a share of each file, by its size, and one for all of them.

    One file that spends the common share leaves the others theirs, so that no other is blamed for it. What counts
    is work and not seconds: the same files are told the same on every machine.
    """

    def __init__(self) -> None:
        self._own, self._common = 0, _ALL_FILES

    def begin(self, size: int) -> None:
        """The next file has this many bytes."""
        self._own = _EACH_FILE + _TIMES_ITS_SIZE * size

    def spend(self, work: int) -> None:
        """Pay for what takes as long as unpacking so many bytes; raises `SpentError` where that cannot be paid."""
        beyond = max(work - self._own, 0)
        if beyond > self._common:
            raise SpentError
        self._own, self._common = max(self._own - work, 0), self._common - beyond


def unpacked(stream: IO[bytes], allowance: Allowance) -> IO[bytes] | None:
    """What a compressed stream holds, up to where it cannot be unpacked; None where it is not compressed."""
    head = stream.read(max(map(len, _KINDS)))
    stream.seek(0)
    kind = next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), None)
    return None if kind is None else io.BufferedReader(_Unpacked(stream, kind, allowance))


def packed_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, allowance: Allowance) -> IO[bytes]:
    """What a member of an archive holds; raises what `ZipFile.open` raises, while it is read, too."""
    # A list of members may name the same place a hundred thousand times.
    allowance.spend(_BEGUN + member.compress_size)
    return io.BufferedReader(_Member(archive.open(member), member, allowance))


class _Member(io.RawIOBase):
    """A member goes anywhere by unpacking all that stands before; its end is where it claims to be."""

    def __init__(self, stream: IO[bytes], info: zipfile.ZipInfo, allowance: Allowance) -> None:
        self._stream, self._info, self._allowance = stream, info, allowance

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = self.tell()
        wanted = offset + {io.SEEK_SET: 0, io.SEEK_CUR: at, io.SEEK_END: self._info.file_size}[whence]
        wanted = min(max(wanted, 0), self._info.file_size)
        self._allowance.spend(wanted - at if wanted >= at else wanted + self._info.compress_size)
        return self._stream.seek(wanted)

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._allowance.spend(len(content))
        buffer[: len(content)] = content
        return len(content)


class _Unpacked(io.RawIOBase):
    """It can only be begun again: whoever wants to look at its end would have to unpack all of it."""

    def __init__(self, stream: IO[bytes], kind: Callable[[], Any], allowance: Allowance) -> None:
        self._stream, self._kind, self._allowance = stream, kind, allowance
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
        self._waiting, self._ready, self._at = b"", memoryview(b""), 0
        self._begin()
        return 0

    def readinto(self, buffer: Any) -> int:
        while not self._ready and self._step():
            pass
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        self._at += count
        return count

    def _begin(self) -> None:
        self._allowance.spend(_BEGUN)
        self._decompressor = self._kind()

    def _step(self) -> bool:
        """Unpack another piece; False at the end, which is also where nothing can be unpacked any more."""
        if self._decompressor.eof:  # one compressed stream may follow another
            self._waiting = self._decompressor.unused_data
            self._begin()
        # zlib never holds anything back: a piece unpacks to less than fits at once
        hungry = getattr(self._decompressor, "needs_input", True)
        piece = b""
        if hungry:
            piece, self._waiting = self._waiting or self._stream.read(_PIECE), b""
        try:
            self._ready = memoryview(self._decompressor.decompress(piece, _MOST_AT_ONCE))
        except (zlib.error, lzma.LZMAError, OSError, EOFError):
            return False
        self._allowance.spend(_PIECE + len(self._ready))
        return bool(piece) or not hungry
