"""Where signed heads are kept: files in a folder, or objects in S3, each created once and never overwritten."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from model_governance.errors import EvidenceError

__all__ = ["Place", "open_place"]


class Place(ABC):
    """Small texts by name. Every method raises `EvidenceError` where the place cannot be reached."""

    @abstractmethod
    def create(self, name: str, content: str) -> bool:
        """Write a new text, whole or not at all; False, and nothing written, where one of this name is there."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """All names, in no order."""

    @abstractmethod
    def read(self, name: str) -> str:
        """One text; what is no UTF-8 in it is replaced."""


class _Folder(Place):
    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, name: str, content: str) -> bool:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._path, prefix=".head-", encoding="utf-8") as part:
                part.write(content)
                part.flush()
                os.fchmod(part.fileno(), 0o644)
                os.fsync(part.fileno())
                # a link, unlike a rename, never takes the place of a file that is there
                (self._path / name).hardlink_to(part.name)
                return True
        except FileExistsError:
            return False
        except OSError as error:
            raise EvidenceError(f"{self._path} cannot be written: {error}") from error

    def names(self) -> Iterator[str]:
        try:
            for path in self._path.iterdir():
                if not path.name.startswith("."):
                    yield path.name
        except FileNotFoundError:
            return  # `create` makes it
        except OSError as error:
            raise EvidenceError(f"{self._path} cannot be read: {error}") from error

    def read(self, name: str) -> str:
        try:
            return (self._path / name).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise EvidenceError(f"{self._path / name} cannot be read: {error}") from error


class _Bucket(Place):
    """A prefix of an S3 bucket; MLFLOW_S3_ENDPOINT_URL or AWS_ENDPOINT_URL as for MLflow's artefacts."""

    def __init__(self, bucket: str, prefix: str) -> None:
        try:
            import boto3  # type: ignore[import-untyped]
        except ImportError as error:
            raise EvidenceError("heads on S3 need boto3: install mlflow-camera-counting[governed]") from error
        self._client: Any = boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL"))
        self._bucket, self._prefix = bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def create(self, name: str, content: str) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        try:
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + name, Body=content.encode(), IfNoneMatch="*",
                ContentType="application/json",
            )  # fmt: skip
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
                return False
            raise EvidenceError(f"s3://{self._bucket}/{self._prefix} cannot be written: {error}") from error
        except BotoCoreError as error:
            raise EvidenceError(f"s3://{self._bucket}/{self._prefix} cannot be written: {error}") from error
        return True

    def names(self) -> Iterator[str]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    name = str(found["Key"]).removeprefix(self._prefix)
                    if "/" not in name:
                        yield name
        except (BotoCoreError, ClientError) as error:
            raise EvidenceError(f"s3://{self._bucket}/{self._prefix} cannot be read: {error}") from error

    def read(self, name: str) -> str:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
            return bytes(found["Body"].read()).decode(errors="replace")
        except (BotoCoreError, ClientError) as error:
            raise EvidenceError(f"s3://{self._bucket}/{self._prefix}{name} cannot be read: {error}") from error


def open_place(where: str) -> Place:
    """A folder, or ``s3://bucket/prefix``; `EvidenceError` for anything else."""
    parts = urlsplit(where)
    if parts.scheme == "s3" and parts.netloc:
        return _Bucket(parts.netloc, parts.path)
    if parts.scheme not in ("", "file"):
        raise EvidenceError(f"expected a folder or s3://bucket/prefix to keep heads in, got {where}")
    return _Folder(Path(parts.path if parts.scheme else where))
