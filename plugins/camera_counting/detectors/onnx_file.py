"""What an ONNX file says about itself, read without the onnx package, which serving does without.

Only the few fields that are needed are read from the protobuf; weights are skipped over.
Source: onnx/onnx.proto and the protobuf encoding guide.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from camera_counting.errors import DetectorError

__all__ = ["OnnxFile", "read_onnx_file"]

# field numbers
_MODEL_GRAPH, _MODEL_METADATA = 7, 14
_TENSOR_EXTERNAL_DATA = 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
# Every way down from the model to a tensor. One left out would be a file of weights that no digest covers.
_PARTS: dict[str, dict[int, str]] = {
    "model": {_MODEL_GRAPH: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
}
# nested messages: a graph in a graph is three levels
_MAX_DEPTH = 32

Span = tuple[int, int]


@dataclass(frozen=True)
class OnnxFile:
    """Metadata of an ONNX file and the files beside it that hold its weights (relative, mostly none)."""

    metadata: dict[str, str]
    external: tuple[str, ...]


def read_onnx_file(path: Path) -> OnnxFile:
    """Read metadata and the names of external data files.

    Raises
    ------
    DetectorError
        Where the file is no whole ONNX file, or its weights lie outside its folder.
    """
    if path.stat().st_size == 0:
        raise DetectorError(f"{path.name}: expected an ONNX file, got an empty one")
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            metadata: dict[str, str] = {}
            external: set[str] = set()
            graphs = 0
            for field, span in _messages(data, (0, len(data))):
                if field == _MODEL_METADATA:
                    key, value = _entry(data, span)
                    metadata[key] = value
                elif field == _MODEL_GRAPH:
                    graphs += 1
            external.update(_external_data(data, "model", (0, len(data)), 0))
        except (_TruncatedError, UnicodeDecodeError, RecursionError):
            raise DetectorError(
                f"{path.name}: expected an ONNX file; it is damaged, cut off, or something else"
            ) from None
    if graphs != 1:
        raise DetectorError(f"{path.name}: expected an ONNX file with one graph, found {graphs}")
    for name in external:
        where = PurePosixPath(name)
        if where.is_absolute() or ".." in where.parts or not where.name or "\\" in name:
            raise DetectorError(
                f"{path.name}: its weights lie outside its folder ({name!r}); export it as one file"
            )
    # `./weights.bin` and `weights.bin` are one file, and the manifest names it once
    return OnnxFile(metadata, tuple(sorted({str(PurePosixPath(name)) for name in external})))


class _TruncatedError(Exception):
    pass


def _external_data(data: mmap.mmap, kind: str, span: Span, depth: int) -> Iterator[str]:
    """Locations of the external data of all tensors in a message."""
    if depth > _MAX_DEPTH:
        raise _TruncatedError
    for field, part in _messages(data, span):
        if kind == "tensor":
            if field == _TENSOR_EXTERNAL_DATA:
                key, value = _entry(data, part)
                if key == "location":
                    yield value
        elif inner := _PARTS[kind].get(field):
            yield from _external_data(data, inner, part, depth + 1)


def _entry(data: mmap.mmap, span: Span) -> tuple[str, str]:
    """A StringStringEntryProto."""
    fields = {field: data[start:end].decode("utf-8") for field, (start, end) in _messages(data, span)}
    return fields.get(_ENTRY_KEY, ""), fields.get(_ENTRY_VALUE, "")


def _messages(data: mmap.mmap, span: Span) -> Iterator[tuple[int, Span]]:
    """Field number and extent of every length-delimited field; other fields are stepped over."""
    at, end = span
    while at < end:
        tag, at = _varint(data, at, end)
        field, wire = tag >> 3, tag & 7
        if field == 0:
            raise _TruncatedError
        if wire == 2:
            length, at = _varint(data, at, end)
            if at + length > end:
                raise _TruncatedError
            yield field, (at, at + length)
            at += length
        elif wire == 0:
            _, at = _varint(data, at, end)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
            if at > end:
                raise _TruncatedError
        else:
            raise _TruncatedError


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _TruncatedError
