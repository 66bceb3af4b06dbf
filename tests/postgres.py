"""A real PostgreSQL server of its own, from Debian's package, on this machine alone.

    with postgres() as server:
        server.url  # postgresql+psycopg://counter:...@127.0.0.1:port/postgres
        server.stop(); server.start()

PostgreSQL refuses to run as root; where the tests do, it is started as the user that Debian's package makes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "p4ss-w0rd"


@dataclass
class Postgres:
    """A server, whether it runs or not."""

    programs: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://counter:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self.control("start", "-w", "-t", "60", "-o", options, "-l", str(self.folder / "server.log"))

    def stop(self) -> None:
        """Stop it as a crash does: whoever is connected is cut off."""
        self.control("stop", "-m", "immediate", "-w")

    def control(self, *arguments: str) -> None:
        run(self.programs / "pg_ctl", "-D", str(self.folder / "data"), *arguments)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Serve on a free port until the block ends; skips where the package, or a user to run it as, is absent."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("service: PostgreSQL is not installed")
    if os.geteuid() == 0 and user() is None:
        pytest.skip("service: PostgreSQL does not run as root, and there is no user postgres or nobody")
    # not in pytest's folder: nobody but the tests' own user may look into that
    folder = Path(tempfile.mkdtemp(prefix="camera-counting-postgres-"))
    try:
        if (owner := user()) is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        secret = folder / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o644)
        run(
            found[-1], "-D", str(folder / "data"), "-U", "counter", "--auth=scram-sha-256",
            f"--pwfile={secret}", "--no-sync", "--encoding=UTF8", "--locale=C",
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            server = Postgres(found[-1].parent, folder, free.getsockname()[1])
        server.start()
        try:
            yield server
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def user() -> pwd.struct_passwd | None:
    """Who it runs as where the tests run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def run(program: Path, *arguments: str) -> None:
    owner = user()
    # a file and no pipe: the server that it starts inherits it, and would keep a pipe open
    with tempfile.TemporaryFile() as output:
        ran = subprocess.run(
            [str(program), *arguments], stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            cwd="/", timeout=120, check=False,
            user=None if owner is None else owner.pw_uid, group=None if owner is None else owner.pw_gid,
            extra_groups=None if owner is None else [],
        )  # fmt: skip
        output.seek(0)
        assert ran.returncode == 0, f"{program.name}: {output.read().decode(errors='replace')}"
