"""Where data sets are kept by their content: in a folder or an S3 bucket.

    STORE/
      objects/ab/cdef...      every file once, under its SHA-256
      datasets/<digest>.json  which files, under which names, a data set of that digest is made of

An object is complete or absent: it is written under another name and renamed (S3 objects appear at once and
whole). The list of a data set is written last, so that a set that is listed is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path

import pyarrow.fs as arrow_fs

from pipelines.datasets.errors import StoreError
from pipelines.datasets.manifest import load_dataset

__all__ = ["ContentStore"]


class ContentStore:
    """Files by their SHA-256, and data sets by their digest.

    Parameters
    ----------
    uri : str or Path
        A folder, or ``s3://bucket/prefix`` (any file system that `pyarrow.fs` opens by URI).

    Examples
    --------
    >>> import tempfile
    >>> store = ContentStore(tempfile.mkdtemp())
    >>> digest = store.put(b"a picture")
    >>> store.get(digest)
    b'a picture'
    """

    def __init__(self, uri: str | Path) -> None:
        self.uri = str(uri)
        if "://" in self.uri:
            self._files, self._root = arrow_fs.FileSystem.from_uri(self.uri)
        else:
            self._files, self._root = arrow_fs.LocalFileSystem(), str(Path(uri).resolve())
        self._local = isinstance(self._files, arrow_fs.LocalFileSystem)

    def put(self, content: bytes) -> str:
        """Keep some bytes; returns their SHA-256. What is there already is not written again."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._object(digest)
        if self._size(path) != len(content):
            self._write(path, content)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes with that SHA-256, verified.

        Raises
        ------
        StoreError
            Where the store has none, or altered ones.
        """
        path = self._object(digest)
        try:
            with self._files.open_input_stream(path) as stream:
                content: bytes = stream.read()
        except FileNotFoundError as error:
            raise StoreError(f"expected object {digest} in {self.uri}, found none") from error
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise StoreError(
                f"expected object {digest} in {self.uri}, its bytes have SHA-256 {found}: the store was altered; "
                "put the data set into it again"
            )
        return content

    def read(self, digest: str, name: str) -> bytes:
        """One file of a data set, verified, without restoring the others.

        Raises
        ------
        StoreError
            Where the store lacks the set or the file.
        """
        listing = self._listing(digest)
        if listing is None or name not in listing:
            raise StoreError(f"expected {name} of data set {digest} in {self.uri}, found none")
        return self.get(listing[name])

    def put_dataset(self, folder: Path | str) -> str:
        """Keep a prepared data set, every file of it; returns its digest.

        Raises
        ------
        BrokenDatasetError
            Where its files are not those of its manifest.
        """
        folder = Path(folder)
        dataset = load_dataset(folder, verify=True)
        listing = self._listing(dataset.digest)
        if listing is not None and all(self._size(self._object(d)) is not None for d in listing.values()):
            return dataset.digest
        files = {}
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            files[path.relative_to(folder).as_posix()] = self.put(path.read_bytes())
        content = json.dumps({"format_version": 1, "digest": dataset.digest, "files": files}, indent=1)
        self._write(f"{self._root}/datasets/{dataset.digest}.json", content.encode())
        return dataset.digest

    def restore(self, digest: str, folder: Path | str) -> Path:
        """Build a data set again, bit by bit; returns its folder.

        Parameters
        ----------
        digest : str
            Of the data set.
        folder : path
            Must not exist or be empty; appears whole or not at all.

        Raises
        ------
        StoreError
            Where the store lacks the set or one of its files.
        FileExistsError
            Where the folder holds something.
        """
        listing = self.listing(digest)
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()):
            raise FileExistsError(f"expected an empty or absent folder to restore into, got {folder}")
        building = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.restoring")
        try:
            for name, content in listing.items():
                target = building / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.get(content))
            # Folders without files are part of the layout that Ultralytics expects.
            for split in ("train", "val", "test"):
                for kind in ("images", "labels"):
                    (building / kind / split).mkdir(parents=True, exist_ok=True)
            found = load_dataset(building, verify=True).digest
            if found != digest:
                raise StoreError(f"expected data set {digest} in {self.uri}, its files make {found}")
            if folder.exists():
                folder.rmdir()
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return folder

    def listing(self, digest: str) -> dict[str, str]:
        """The files of a data set: their names in it, and their SHA-256.

        Raises
        ------
        StoreError
            Where the store holds no such set.
        """
        files = self._listing(digest)
        if files is None:
            known = ", ".join(d[:12] for d in self.datasets()) or "none"
            raise StoreError(f"expected data set {digest} in {self.uri}, which holds {known}")
        return files

    def datasets(self) -> tuple[str, ...]:
        """Digests of all data sets that are kept, sorted."""
        selector = arrow_fs.FileSelector(f"{self._root}/datasets", allow_not_found=True)
        found = (info.base_name for info in self._files.get_file_info(selector))
        return tuple(sorted(name.removesuffix(".json") for name in found if name.endswith(".json")))

    def verify(self) -> None:
        """Read every object of every data set.

        Raises
        ------
        StoreError
            Names the first object that is missing or altered.
        """
        for digest in self.datasets():
            for content in set((self._listing(digest) or {}).values()):
                self.get(content)

    def _object(self, digest: str) -> str:
        return f"{self._root}/objects/{digest[:2]}/{digest[2:]}"

    def _size(self, path: str) -> int | None:
        info = self._files.get_file_info(path)
        return int(info.size) if info.type == arrow_fs.FileType.File else None

    def _listing(self, digest: str) -> dict[str, str] | None:
        path = f"{self._root}/datasets/{digest}.json"
        if self._size(path) is None:
            return None
        with self._files.open_input_stream(path) as stream:
            try:
                files: dict[str, str] = json.loads(stream.read())["files"]
            except (ValueError, KeyError) as error:
                raise StoreError(f"expected a list of files in {path}: {error}") from error
        return files

    def _write(self, path: str, content: bytes) -> None:
        if not self._local:
            with self._files.open_output_stream(path) as stream:
                stream.write(content)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        building = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        try:
            with building.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            building.replace(target)
        finally:
            building.unlink(missing_ok=True)
