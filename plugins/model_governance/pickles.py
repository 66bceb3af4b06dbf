"""Whether a file is a pickle, which runs code when it is read: by its name, or by what `pickle.load` would do."""

from __future__ import annotations

import lzma
import pickletools
import warnings
import zipfile
import zlib
from pathlib import PurePath
from tokenize import TokenError
from typing import IO, cast

import numpy as np

from model_governance.unpacked import Allowance, SpentError, packed_member, unpacked

__all__ = ["is_pickle"]

_SUFFIXES = frozenset({".pkl", ".pickle", ".p", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth"})
# Nothing that a pickle does to the machine does without one of these, which look a class or function up.
_LOOK_UP = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})
_ARRAY = np.lib.format.MAGIC_PREFIX
_LONGEST_HEADER = 10_000  # bytes; NumPy reads no longer one where pickles are not allowed
_NO_HEADER = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, SyntaxError, TokenError, RecursionError,
)  # fmt: skip
_CHUNK = 1 << 20
# Deeper than any tool packs, and more than it packs: whoever does hides something, or wants this never to end.
_DEEPEST = 3
_MOST_MEMBERS = 100_000
# What is no pickle ends within a few; a file of this many makes whoever looks at it wait.
_MOST_OPCODES = 500_000
# As long as they take here, in bytes that could be unpacked meanwhile.
_AN_OPCODE = 256
_A_LISTED_MEMBER = 2048
_SHORTEST_LISTED = 46
# Of others nobody can tell how much they unpack to at once, and what models are packed with knows no others.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}


def is_pickle(name: str, stream: IO[bytes], allowance: Allowance) -> bool:
    """Whether a file of this name and content, read from its beginning, is a pickle or holds one.

    A renamed pickle is a pickle. Covers all protocols, with anything behind their end; archives that hold one
    (torch, keras, npz); NumPy arrays of objects; and any of these compressed, which joblib unpacks unasked. An
    archive that nobody can look through is taken for one: of more than 100,000 files, nested more than three deep,
    with a member that cannot be unpacked or is packed in a way of its own, or with a list of members that Python
    refuses to read: torch, which is less strict, loads what stands in it. So is what the allowance is not enough
    for, such as a few bytes that unpack to gigabytes, and what reads like a pickle without an end.
    """
    try:
        return _is_pickle(name, stream, allowance, 0)
    except (SpentError, MemoryError):  # a compressed stream says itself how much memory it wants
        return True


def _is_pickle(name: str, stream: IO[bytes], allowance: Allowance, depth: int) -> bool:
    """The same of what lies in so many archives."""
    if PurePath(name).suffix.lower() in _SUFFIXES:
        return True
    head = stream.read(len(_ARRAY))
    stream.seek(0)
    if head == _ARRAY:
        return _holds_objects(stream)
    # What only seems to be compressed is looked at as it is, too.
    inner = unpacked(stream, allowance)
    if inner is not None and (depth >= _DEEPEST or _is_pickle("", inner, allowance, depth + 1)):
        return True
    stream.seek(0)
    if head.startswith(b"PK\x03\x04"):
        return depth >= _DEEPEST or _is_archive_of_pickles(stream, allowance, depth)
    return _unpickles(stream, allowance)


def _holds_objects(stream: IO[bytes]) -> bool:
    """Whether NumPy would read an array's file as a pickle, by the type that its header says.

    A header that NumPy's own reader refuses is taken for one: whoever allows pickles reads longer ones, too.
    """
    try:
        version = np.lib.format.read_magic(stream)
        begin = stream.tell()
        if int.from_bytes(stream.read(2 if version == (1, 0) else 4), "little") > _LONGEST_HEADER:
            return True
        stream.seek(begin)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python 2 wrote is said to be slow to read
            _, _, dtype = read(stream)
    except _NO_HEADER:
        return True
    return dtype.hasobject


class _Listed:
    """An archive whose list of members, which `ZipFile` takes apart at once, is paid for as it is read."""

    def __init__(self, stream: IO[bytes], allowance: Allowance) -> None:
        self._stream, self._allowance = stream, allowance
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, count: int = -1) -> bytes:
        self._allowance.spend(max(count, 0) // _SHORTEST_LISTED * _A_LISTED_MEMBER)
        return self._stream.read(count)


def _is_archive_of_pickles(stream: IO[bytes], allowance: Allowance, depth: int) -> bool:
    try:
        archive = zipfile.ZipFile(cast("IO[bytes]", _Listed(stream, allowance)))
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return True
    archive.fp = stream
    with archive:
        members = archive.infolist()
        return len(members) > _MOST_MEMBERS or any(_may_hold(archive, each, allowance, depth) for each in members)


def _may_hold(archive: zipfile.ZipFile, each: zipfile.ZipInfo, allowance: Allowance, depth: int) -> bool:
    """Whether a member is a pickle; of one that cannot be unpacked here, nobody can say that it is none."""
    if each.compress_type not in _PACKINGS:
        return True
    try:
        with packed_member(archive, each, allowance) as member:
            return _is_pickle(each.filename, member, allowance, depth + 1)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError):
        return True


def _unpickles(stream: IO[bytes], allowance: Allowance) -> bool:
    """Whether `pickle.load` would read on from here until a STOP; it never looks at what comes behind.

    No argument is looked into, so that this takes all that `pickle.load` takes. A few bytes of weights or text can
    look like a pickle of plain data, which is harmless: without the mark of a protocol it must look something up.
    """
    stack: list[bool] = []  # True for a mark, False for any other object
    declared = looked_up = False
    for _ in range(_MOST_OPCODES):
        if not (code := stream.read(1)) or not (opcode := _OPCODES.get(code.decode("latin-1"))):
            return False
        allowance.spend(_AN_OPCODE)
        if not _skip_argument(stream, opcode.arg):
            return False
        declared = declared or opcode.name == "PROTO"
        looked_up = looked_up or opcode.name in _LOOK_UP
        wanted = len(opcode.stack_before)
        if pickletools.markobject in opcode.stack_before:
            if not _pop_mark(stack):
                return False
            wanted = opcode.stack_before.index(pickletools.markobject)
        if wanted > len(stack):
            return False
        if opcode.name == "STOP":
            return declared or looked_up
        del stack[len(stack) - wanted :]
        stack += [kind is pickletools.markobject for kind in opcode.stack_after]
    return True


def _pop_mark(stack: list[bool]) -> bool:
    """Take all down to the last mark, and it; False where there is none."""
    while stack:
        if stack.pop():
            return True
    return False


def _skip_argument(stream: IO[bytes], argument: pickletools.ArgumentDescriptor | None) -> bool:
    """Step over an opcode's argument; False where the file ends in it."""
    if argument is None:
        return True
    if argument.n == pickletools.UP_TO_NEWLINE:
        lines = 2 if argument is pickletools.stringnl_noescape_pair else 1
        return all(_skip_line(stream) for _ in range(lines))
    length = argument.n
    if length < 0:
        prefix = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(length, 4)
        length = int.from_bytes(stream.read(prefix), "little")
    while length > 0 and (chunk := stream.read(min(length, _CHUNK))):
        length -= len(chunk)
    return length <= 0


def _skip_line(stream: IO[bytes]) -> bool:
    while line := stream.readline(_CHUNK):
        if line.endswith(b"\n"):
            return True
    return False
