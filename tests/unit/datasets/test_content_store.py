"""The content-addressed store: what goes in comes out bit by bit, or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.datasets.errors import BrokenDatasetError, StoreError
from pipelines.datasets.layout import write_dataset
from pipelines.datasets.manifest import load_dataset
from pipelines.datasets.store import ContentStore


@pytest.fixture
def folder(make_record, tmp_path: Path) -> Path:
    splits = {"train": [make_record(name, [[1, 1, 9, 9]], ["car"]) for name in "abc"]}
    write_dataset(tmp_path / "set", name="t", source="here", classes=("car",), splits=splits)
    return tmp_path / "set"


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_bytes_come_back(tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "store")
    digest = store.put(b"hello")
    assert digest == hashlib.sha256(b"hello").hexdigest()
    assert store.get(digest) == b"hello"
    assert store.put(b"hello") == digest
    with pytest.raises(StoreError, match="found none"):
        store.get("0" * 64)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_data_set_is_rebuilt_bit_by_bit(folder: Path, tmp_path: Path, scheme: str) -> None:
    store = ContentStore(f"{scheme}{tmp_path / 'store'}")
    digest = store.put_dataset(folder)
    assert digest == load_dataset(folder).digest
    assert store.datasets() == (digest,)
    assert store.put_dataset(folder) == digest
    restored = store.restore(digest, tmp_path / "elsewhere" / "again")
    assert files(restored) == files(folder)
    store.verify()
    with pytest.raises(FileExistsError, match="empty or absent"):
        store.restore(digest, restored)


def test_an_altered_object_is_refused_and_nothing_half_built_is_left(folder: Path, tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "store")
    digest = store.put_dataset(folder)
    victim = max((tmp_path / "store" / "objects").rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else 0)
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match="the store was altered"):
        store.restore(digest, tmp_path / "again")
    with pytest.raises(StoreError, match="the store was altered"):
        store.verify()
    assert [p.name for p in tmp_path.iterdir() if "again" in p.name] == []


def test_an_altered_data_set_is_not_kept(folder: Path, tmp_path: Path) -> None:
    (folder / "images/train/a.png").write_bytes(b"other")
    with pytest.raises(BrokenDatasetError, match="altered"):
        ContentStore(tmp_path / "store").put_dataset(folder)
    assert ContentStore(tmp_path / "store").datasets() == ()


def test_an_unknown_data_set_names_the_known_ones(folder: Path, tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "store")
    digest = store.put_dataset(folder)
    with pytest.raises(StoreError, match=digest[:12]):
        store.restore("f" * 64, tmp_path / "again")


PUT = """
import sys
from pipelines.datasets.store import ContentStore
store = ContentStore(sys.argv[1])
print("ready", flush=True)
for number in range(100_000):
    store.put(number.to_bytes(4, "big") * 50_000)
"""


@pytest.mark.slow
def test_a_kill_while_putting_leaves_only_whole_objects(root: Path, tmp_path: Path) -> None:
    for delay in (0.05, 0.11, 0.2):
        process = subprocess.Popen(
            [sys.executable, "-c", PUT, str(tmp_path / "store")],
            cwd=root,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    objects = [
        p for p in (tmp_path / "store" / "objects").rglob("*") if p.is_file() and not p.name.startswith(".")
    ]
    assert objects
    for path in objects:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name
