"""A server's rows and files as they were once, put back under the running server."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine, text

from tests.back_ends import Place, bucket_of, client, objects

KEPT = "kept_as_it_was"  # the schema that holds the copies


class Kept:
    """What a place holds now; `put_back` makes it hold that again, whatever was done meanwhile."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.files: dict[str, bytes] = {}
        for database in (place.database, place.logins):
            if database.startswith("sqlite"):
                copy_sqlite(file_of(database), copy_of(file_of(database)))
            else:
                copy_tables(database, "public", KEPT)
        if place.on_s3:
            self.files = objects(whole(place))
        else:
            shutil.copytree(place.artifacts, copy_of(place.artifacts))

    def put_back(self) -> None:
        for database in (self.place.database, self.place.logins):
            if database.startswith("sqlite"):
                copy_sqlite(copy_of(file_of(database)), file_of(database))
            else:
                copy_tables(database, KEPT, "public")
        if self.place.on_s3:
            put_objects(whole(self.place), self.files)
        else:
            shutil.rmtree(self.place.artifacts)
            shutil.copytree(copy_of(self.place.artifacts), self.place.artifacts)


def whole(place: Place) -> str:
    """The whole bucket: a way may lead out of the prefix."""
    return f"s3://{bucket_of(place.artifacts)[0]}/"


def file_of(database: str) -> str:
    return database.removeprefix("sqlite:///")


def copy_of(path: str) -> str:
    return f"{path}.kept"


def copy_sqlite(source: str, target: str) -> None:
    """SQLite's own copy, which a server that has the target open does not notice."""
    with closing(sqlite3.connect(Path(source))) as from_, closing(sqlite3.connect(target, timeout=30)) as to:
        from_.backup(to)


def copy_tables(database: str, source: str, target: str) -> None:
    """Make one schema of PostgreSQL hold what another holds."""
    engine = create_engine(database, poolclass=NullPool)
    with engine.begin() as connection:
        there = columns(connection, target)
        steps = [
            "SET LOCAL session_replication_role = replica",  # then the order of tables is no matter
            f'CREATE SCHEMA IF NOT EXISTS "{target}"',
        ]
        for table, names in columns(connection, source).items():
            if table in there:
                same = ", ".join(f'"{each}"' for each in names if each in there[table])
                steps.append(f'DELETE FROM "{target}"."{table}"')  # noqa: S608
                steps.append(f'INSERT INTO "{target}"."{table}" ({same}) SELECT {same} FROM "{source}"."{table}"')  # noqa: S608
            else:
                steps.append(f'CREATE TABLE "{target}"."{table}" AS TABLE "{source}"."{table}"')
        connection.exec_driver_sql("; ".join(steps))


def columns(connection: Connection, schema: str) -> dict[str, list[str]]:
    """The columns of each table, without those that the database works out itself."""
    query = text(
        "SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t "
        "USING (table_schema, table_name) WHERE c.table_schema = :schema AND t.table_type = 'BASE TABLE' "
        "AND c.is_generated = 'NEVER' ORDER BY 1, c.ordinal_position"
    )
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(query, {"schema": schema}):
        found.setdefault(table, []).append(column)
    return found


def put_objects(uri: str, wanted: dict[str, bytes]) -> None:
    """Let S3 hold these below an address, and nothing else; what is the same is left alone."""
    (bucket, prefix), store = bucket_of(uri), client()
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    present = {each["Key"][len(prefix) :]: each["ETag"] for page in pages for each in page.get("Contents", [])}
    for key in set(present) - set(wanted):
        store.delete_object(Bucket=bucket, Key=prefix + key)
    for key, content in wanted.items():
        if present.get(key) != f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"':
            store.put_object(Bucket=bucket, Key=prefix + key, Body=content)
