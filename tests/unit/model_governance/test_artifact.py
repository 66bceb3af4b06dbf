"""What a model's files are, read from the files themselves."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import pickle
import re
import shutil
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import joblib
import mlflow
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.yaml_utils import write_yaml

from model_governance import EvidenceError
from model_governance.artifact import read_artifact
from model_governance.pickles import is_pickle
from model_governance.unpacked import Allowance


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    (path / "data").mkdir(parents=True)
    (path / "MLmodel").write_text("flavors: {}\n")
    (path / "data" / "weights.onnx").write_bytes(b"\x08\x07weights")
    return path


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _npy_by_hand(header: str) -> bytes:
    """As version 2 of NumPy's format begins, and a pickle behind it."""
    return b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header.encode() + _harmful(4)


def _zip(name: str, content: bytes = b"x") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


class Harmful:
    """A pickle of it calls a function when it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("read",)


def _harmful(protocol: int) -> bytes:
    return pickle.dumps(Harmful(), protocol=protocol)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.pkl", b"", True),
        ("a.PT", b"", True),
        ("a.joblib", b"anything", True),
        ("a.onnx", pickle.dumps({"a": 1}, protocol=2), True),
        ("a.json", pickle.dumps([1], protocol=5), True),
        ("a.onnx", pickle.dumps([1], protocol=2) + b"\n", True),
        ("a.txt", _harmful(0), True),
        ("a.bin", _harmful(1), True),
        ("a.bin", _harmful(5)[2:] + b"weights", True),
        ("a.yaml", b"I0x10\n0" + _harmful(0) + b"# more", True),
        ("a.onnx", _zip("archive/data.pkl"), True),
        ("a.zip", _zip("weights", _harmful(3)), True),
        ("a.zip", _zip("a.npy", _npy(np.array([{}], dtype=object))), True),
        ("a.zip", _zip("picture.jpg"), False),
        ("a.npy", _npy(np.array([{}], dtype=object)), True),
        ("a.npy", _npy(np.arange(3)), False),
        ("a.npy", _npy(np.zeros(3, dtype=[("Objects", "f8"), ("O", "U3")])), False),
        ("a.npy", _npy(np.zeros(3, dtype=[("id", "i4"), ("what", "O")])), True),
        ("a.npy", _npy_by_hand("{'descr': 'O', 'fortran_order': False, 'shape': (1,)}"), True),
        ("a.npy", _npy_by_hand("{'descr': 'f8,O', 'fortran_order': False, 'shape': (1,)}"), True),
        ("a.npy", _npy_by_hand("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}"), False),
        ("a.npy", _npy_by_hand(f"{{'descr': {' ' * 70_000}'|O', 'fortran_order': False, 'shape': (1,)}}"), True),
        ("a.npy", _npy_by_hand("(" * 5_000), True),
        ("a.bin", b"\x80\x04 plain weights", False),
        ("a.bin", b"\x80", False),
        ("a.bin", b"PK\x03\x04 but no archive", True),
        ("a.txt", b"", False),
        ("a.txt", b"click==8.1\ncryptography==46.0\ne.g. this\n", False),
        ("a.py", b"import os\nimport sys\n.", False),
        ("a.bin", b"N.", False),
    ],
)
def test_a_pickle_is_known_by_name_and_by_content(folder: Path, name: str, content: bytes, expected: bool) -> None:
    (folder / name).write_bytes(content)
    artifact, _ = read_artifact(str(folder))
    assert {file.path: file.pickle for file in artifact.files}[name] is expected


@pytest.mark.parametrize("kind", ["zlib", "gzip", "bz2", "lzma", "xz"])
def test_joblib_unpacks_whatever_the_name_and_so_is_looked_behind_compression(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    joblib.dump({"weights": [1.0] * 100}, tmp_path / "made", compress=(kind, 3))
    packed = (tmp_path / "made").read_bytes()
    pack = {"zlib": zlib.compress, "gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    alone = partial(lzma.compress, format=lzma.FORMAT_ALONE)
    plain = pack.get(kind, alone)(b"0.25 0.5 0.75\n" * 100)
    for name, content in (("a.bin", packed), ("b.bin", plain), ("c.bin", plain[:4])):
        (folder / name).write_bytes(content)
    if kind == "gzip":  # one behind another
        (folder / "a.bin").write_bytes(gzip.compress(b"") + packed)
    artifact, _ = read_artifact(str(folder))
    found = {file.path: file.pickle for file in artifact.files}
    assert [found[name] for name in ("a.bin", "b.bin", "c.bin")] == [True, False, False]


def test_an_archive_in_archives_ends(folder: Path) -> None:
    """One can be made that holds itself, and would be opened for ever."""
    packed = b"plain"
    for depth in range(6):
        packed = _zip(f"{depth}.bin", packed)
        (folder / "data.bin").write_bytes(packed)
        artifact, _ = read_artifact(str(folder))
        assert {file.path: file.pickle for file in artifact.files}["data.bin"] is (depth >= 3)


def test_of_two_members_of_one_name_both_are_looked_at(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("weights", _harmful(3))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("weights", b"plain")
    artifact, _ = read_artifact(str(folder))
    assert {file.path: file.pickle for file in artifact.files}["a.zip"]


@pytest.mark.parametrize("fault", ["version", "extra"])
def test_a_list_of_members_that_python_refuses_hides_no_pickle(folder: Path, fault: str) -> None:
    """`torch.load` takes both: a version 9.9 of the format, and an extra field longer than it can be."""
    content = bytearray(_zip("data", _harmful(2)))
    listed, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    if fault == "version":
        content[listed + 6] = 99
    else:
        content[end:end] = b"\x99\x99\xff\x00\x00"
        content[listed + 30] = 5
        content[end + 5 + 12] += 5
    with pytest.raises((NotImplementedError, zipfile.BadZipFile), match=r"version 9\.9|Corrupt extra field"):
        zipfile.ZipFile(io.BytesIO(bytes(content)))
    (folder / "a.bin").write_bytes(bytes(content))
    artifact, _ = read_artifact(str(folder))
    assert {file.path: file.pickle for file in artifact.files}["a.bin"]


def test_what_cannot_be_unpacked_hides_no_pickle_behind_it(folder: Path) -> None:
    """Whoever reads the archive opens the second member alone."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first", b"plain" * 100)
        archive.writestr("second", _harmful(3))
    content = stream.getvalue()
    at = content.index(b"first") + len(b"first")
    (folder / "a.zip").write_bytes(content[:at] + b"\xff\xff" + content[at + 2 :])
    artifact, _ = read_artifact(str(folder))
    assert {file.path: file.pickle for file in artifact.files}["a.zip"]


def _deflated(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _listed_again(archive: bytes, times: int) -> bytes:
    """An archive of one member, with a list that names its place so many times."""
    at, end = archive.index(b"PK\x01\x02"), archive.index(b"PK\x05\x06")
    listed = archive[at:end] * times
    counts = struct.pack("<4H2IH", 0, 0, times % 65536, times % 65536, len(listed), at, 0)
    return archive[:at] + listed + b"PK\x05\x06" + counts


# A pickle's opcode that is followed by more than there is: whoever looks for its end reads on.
_READS_ON = b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62)
_ZEROS = bytes(1 << 24)


def _gigabytes(pack: Callable[[bytes], bytes]) -> bytes:
    """Packed streams, one behind another, that unpack to 2 GiB."""
    return pack(_READS_ON) + pack(_ZEROS) * 128


_BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(gzip.compress(_gigabytes(gzip.compress))),
    "zlib": lambda: zlib.compress(_gigabytes(zlib.compress)),
    "bz2": lambda: _gigabytes(bz2.compress),
    "xz": lambda: lzma.compress(_gigabytes(lzma.compress)),
    "members that hold nothing": lambda: gzip.compress(gzip.compress(gzip.compress(b"") * 1_000_000)),
    "a zip of much": lambda: _deflated({f"{n}": _READS_ON + _ZEROS for n in range(32)}),
    "a zip of bz2": lambda: _deflated({"w": _READS_ON + _ZEROS * 16}, zipfile.ZIP_BZIP2),
    "a zip of gzip": lambda: _deflated({"w": gzip.compress(_gigabytes(gzip.compress))}),
    "one place listed often": lambda: _listed_again(_deflated({"w": _READS_ON + _ZEROS}), 10_000),
    "an archive listed often": lambda: _listed_again(_deflated({"w": _listed_again(_zip("w"), 60_000)}), 10_000),
    "a long list": lambda: _deflated({"w": _listed_again(_zip("w"), 1_000_000)}),
    "opcodes": lambda: b"\x80\x04" + b"N0" * 5_000_000,
    "packed opcodes": lambda: gzip.compress(b"\x80\x04" + b"N0" * 5_000_000),
    "marks": lambda: b"\x80\x04" + b"N" * 100_000 + b"(t0" * 200_000,
}


@pytest.mark.parametrize("kind", _BOMBS)
def test_what_would_never_be_looked_through_is_taken_for_a_pickle_at_once(folder: Path, kind: str) -> None:
    content = _BOMBS[kind]()
    (folder / "a.bin").write_bytes(content)
    (folder / "z.bin").write_bytes(gzip.compress(b"0.25 0.5\n" * 1000))
    began = time.process_time()
    artifact, _ = read_artifact(str(folder))
    assert time.process_time() - began < 2.5
    found = {file.path: file.pickle for file in artifact.files}
    assert (found["a.bin"], found["z.bin"]) == (True, False), "no other file is blamed for it"


_PACKS: list[Callable[[bytes], bytes]] = [
    gzip.compress,
    bz2.compress,
    lzma.compress,
    zlib.compress,
    partial(_zip, "weights"),
    lambda content: _deflated({"a.json": b"{}", "weights": content}),
]


@settings(max_examples=100, deadline=None)
@given(
    content=st.one_of(
        st.sampled_from([_harmful(protocol) for protocol in range(6)]),
        st.builds(lambda data: b"{" + data, st.binary(max_size=5000)),
        st.builds(lambda shape: _npy(np.zeros(shape)), st.integers(0, 2_000_000)),
        st.builds(lambda seed: _npy(np.random.default_rng(seed).normal(size=2000)), st.integers(0, 9)),
    ),
    packs=st.lists(st.sampled_from(range(len(_PACKS))), max_size=2),
)
def test_packing_changes_nothing_of_what_a_file_is(content: bytes, packs: list[int]) -> None:
    harmful = b"print" in content and not content.startswith(b"{")
    for pack in packs:
        content = _PACKS[pack](content)
    allowance = Allowance()
    allowance.begin(len(content))
    # a zip is read from its end, which only a file or another zip can show
    last_zip = max((n for n, pack in enumerate(packs) if pack >= 4), default=-1)
    hidden = last_zip >= 0 and any(pack < 4 for pack in packs[last_zip + 1 :])
    assert is_pickle("a.bin", io.BytesIO(content), allowance) is (harmful or hidden)


def test_an_archive_of_many_weights_that_hold_zeros_is_looked_through(folder: Path) -> None:
    np.savez_compressed(folder / "a.npz", **{f"layer{n}": np.zeros(1 << 15) for n in range(1000)})
    artifact, _ = read_artifact(str(folder))
    assert not any(file.pickle for file in artifact.files)


def test_the_digest_is_that_of_names_sizes_and_contents(folder: Path) -> None:
    weights, mlmodel = b"\x08\x07weights", b"flavors: {}\n"
    lines = (
        f"{hashlib.sha256(mlmodel).hexdigest()}  12  MLmodel\n"
        f"{hashlib.sha256(weights).hexdigest()}  9  data/weights.onnx"
    )
    artifact, content = read_artifact(str(folder))
    assert artifact.digest == hashlib.sha256(lines.encode()).hexdigest()
    assert (artifact.size, content) == (21, {"flavors": {}})


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "data" / "weights.onnx").write_bytes(b"\x08\x07weightz"),
        lambda folder: (folder / "data" / "weights.onnx").rename(folder / "data" / "weight.onnx"),
        lambda folder: (folder / "more.txt").touch(),
        lambda folder: (folder / "data" / "weights.onnx").unlink(),
    ],
    ids=["a byte", "a name", "a file more", "a file less"],
)
def test_every_change_changes_the_digest(folder: Path, change) -> None:
    before = read_artifact(str(folder))[0].digest
    change(folder)
    assert read_artifact(str(folder))[0].digest != before


NOTE = "registered_model_meta"


@pytest.mark.parametrize("name", ["m", "street counter: Straße", "a-" * 100 + " b" * 25, "7", "null", "#"])
@pytest.mark.parametrize("version", ["3", 3])
def test_the_note_that_loading_writes_beside_a_model_is_not_the_model(
    folder: Path, tmp_path: Path, name: str, version: object
) -> None:
    before = read_artifact(str(folder))[0].digest
    write_yaml(str(folder), NOTE, {"model_name": name, "model_version": version}, ensure_yaml_extension=False)
    assert read_artifact(str(folder))[0].digest == before
    shutil.copytree(folder, tmp_path / "copy")
    assert read_artifact((tmp_path / "copy").as_uri())[0].digest == before
    (folder / NOTE).rename(folder / "data" / NOTE)
    assert read_artifact(str(folder))[0].digest != before, "anywhere else it is a file like others"


def test_what_loading_a_model_really_writes_is_not_the_model(
    make_model: Callable[..., str], model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the model is a file of code, and byte code would count
    uri = make_model()
    before = read_artifact(str(model_folder(uri)))[0].digest
    mlflow.register_model(uri, "m")
    for address in ("models:/m/1", uri):
        mlflow.pyfunc.load_model(address)
        assert (model_folder(uri) / NOTE).is_file()
        assert read_artifact(str(model_folder(uri)))[0].digest == before
        (model_folder(uri) / NOTE).unlink()


@pytest.mark.parametrize(
    "content",
    [
        _harmful(4),
        _harmful(0),
        b"",
        b"model_name: m\n",
        b"model_name: m\nmodel_version: '1'\nmore: code\n",
        b"model_name: m\nmodel_version: '1'\n# import os\n",
        b"model_name: m\nmodel_version: '1'\nmodel_version: '1'\n",
        b"model_name: [m]\nmodel_version: '1'\n",
        b"model_name: m\nmodel_version: one\n",
        b"model_name: m\nmodel_version: null\n",
        b"model_name: null\nmodel_version: '1'\n",
        b"model_name: m\nmodel_version: '1'\n" + b"\n" * 2000,
        b"model_name: " + b"m" * 2000 + b"\nmodel_version: '1'\n",
        b"- 1\n",
        b"a: [\n",
        b"\xff\xfe",
    ],
)
def test_a_file_that_only_bears_the_name_of_that_note_is_one_of_the_model(folder: Path, content: bytes) -> None:
    before = read_artifact(str(folder))[0].digest
    (folder / NOTE).write_bytes(content)
    artifact, _ = read_artifact(str(folder))
    assert artifact.digest != before
    assert {file.path: file.pickle for file in artifact.files}[NOTE] is content.startswith(
        (b"\x80", b"cbuiltins", b"c__")
    )


@pytest.mark.parametrize("name", ["code/__pycache__/a.cpython-311.pyc", "code/a.pyc", "code/__pycache__/a"])
def test_byte_code_is_refused_for_it_may_run_in_place_of_the_source(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(EvidenceError, match=rf"{re.escape(name)} in .* is byte code.*Remove it"):
        read_artifact(str(folder))


def test_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "passwords.txt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EvidenceError, match=r"passwords\.txt .* is a link"):
        read_artifact(str(folder))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="expected a folder with a file named MLmodel"):
        read_artifact(str(tmp_path))


@pytest.mark.parametrize("name", ["two\nlines", "a\ttab", "\u202egpj.x"])
def test_a_name_that_could_stand_for_another_file_is_refused(tmp_path: Path, name: str) -> None:
    """The digest is over lines; with names that hold lines, two models could share one."""
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    (tmp_path / name).write_text("x")
    with pytest.raises(EvidenceError, match="no name that one can read"):
        read_artifact(str(tmp_path))


def test_an_mlmodel_file_that_takes_minutes_to_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\nmetadata:\n" + "".join(f"  k{n}: v\n" for n in range(120_000)))
    with pytest.raises(EvidenceError, match="1,000,000 fit"):
        read_artifact(str(tmp_path))
