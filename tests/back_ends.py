"""Where a server of a test keeps its rows and files: SQLite and a folder, or a real PostgreSQL and S3.

    with places("postgresql") as place_for:
        place = place_for("plain", folder)
        with serving(folder, governed=False, place=place): ...
        place.rows("SELECT name FROM registered_models WHERE name = :name", name="street")
        place.content("1/abc/artifacts")

S3 is moto's, in this process; who looks into a place sees what the server's own database and bucket hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import boto3
import requests
from sqlalchemy import Engine, NullPool, create_engine, text

from tests.postgres import Postgres, postgres

BackEnd = Literal["sqlite", "postgresql"]
BACK_ENDS: tuple[BackEnd, ...] = ("sqlite", "postgresql")
KEYS = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "a-key", "AWS_DEFAULT_REGION": "eu-central-1"}
"""Of S3: the server needs some to sign addresses, whatever its artefacts lie in."""


@dataclass(frozen=True)
class Place:
    """One server's databases and artefacts.

    Attributes
    ----------
    database, logins : str
        SQLAlchemy's addresses of runs and registry, and of basic-auth's tables.
    artifacts : str
        The server's ``--artifacts-destination``: a folder, or ``s3://bucket/prefix``.
    environment : mapping of str to str
        What the server needs beside.
    """

    database: str
    logins: str
    artifacts: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def below(cls, folder: Path) -> Place:
        """SQLite and files in a folder."""
        return cls(
            f"sqlite:///{folder / 'mlflow.db'}", f"sqlite:///{folder / 'auth.db'}", str(folder / "artifacts")
        )

    @property
    def on_s3(self) -> bool:
        return self.artifacts.startswith("s3://")

    @cached_property
    def engine(self) -> Engine:
        """Of `database`; keeps no connection."""
        return create_engine(self.database, poolclass=NullPool)

    def rows(self, query: str, /, **values: object) -> list[dict[str, Any]]:
        """What the database answers; nothing is written."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    def content(self, path: str) -> dict[str, bytes]:
        """The files below a folder of the artifact proxy, by their path in it."""
        if self.on_s3:
            return objects(f"{self.artifacts}/{path}/")
        folder = Path(self.artifacts, path)
        return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}

    def write(self, path: str, content: bytes) -> None:
        """Write a file past the server, as whoever has the disk or the bucket may."""
        if self.on_s3:
            put_object(f"{self.artifacts}/{path}", content)
        else:
            Path(self.artifacts, path).write_bytes(content)


@contextmanager
def places(kind: BackEnd) -> Iterator[Callable[[str, Path], Place]]:
    """Gives places by name until the block ends; skips where this machine has no PostgreSQL.

    Keys and address of S3 stand in this process's environment meanwhile.
    """
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, KEYS))
        if kind == "sqlite":
            yield lambda _, folder: Place.below(folder)
            return
        server = stack.enter_context(postgres())
        endpoint = stack.enter_context(s3())
        stack.enter_context(mock.patch.dict(os.environ, {"MLFLOW_S3_ENDPOINT_URL": endpoint}))

        def place(name: str, _: Path) -> Place:
            boto3.client("s3", endpoint_url=endpoint).create_bucket(
                Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
            )
            databases = database(server, name), database(server, f"{name}_logins")
            return Place(*databases, f"s3://{name}/kept/here", {"MLFLOW_S3_ENDPOINT_URL": endpoint})

        yield place


@contextmanager
def s3() -> Iterator[str]:
    """Moto's S3 on a free port; gives its address."""
    from moto.server import ThreadedMotoServer  # here: it takes a second, and most tests need none of it

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        requests.post(f"http://{host}:{port}/moto-api/reset", timeout=30)  # buckets would outlive the server
        server.stop()


def database(server: Postgres, name: str) -> str:
    """A new database; gives its address."""
    engine = create_engine(server.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    return f"{server.url.rpartition('/')[0]}/{name}"


def bucket_of(uri: str) -> tuple[str, str]:
    """Bucket and key of an address.

    Examples
    --------
    >>> bucket_of("s3://plain/kept/here")
    ('plain', 'kept/here')
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def client() -> Any:
    """Boto3's, of the S3 that the environment names."""
    return boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])


def objects(uri: str) -> dict[str, bytes]:
    """What lies below an address in S3, by the rest of its key."""
    (bucket, prefix), store = bucket_of(uri), client()
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    return {key[len(prefix) :]: store.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def put_object(uri: str, content: bytes) -> None:
    """Write into S3, past every server."""
    bucket, key = bucket_of(uri)
    client().put_object(Bucket=bucket, Key=key, Body=content)
