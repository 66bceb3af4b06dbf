"""`model-governance audit` as an auditor uses it, with signed heads in a folder and on a real S3 server."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner, Result
from moto.server import ThreadedMotoServer
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from model_governance.cli import main
from model_governance.governed.actor import Actor
from model_governance.governed.audit import Entry, append
from model_governance.governed.audit.database import database_url
from model_governance.governed.tables import create_tables

ANN = Actor("ann", "10.0.0.7", "_transition_stage")


class Log:
    """A registry's database with a log in it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "registry.db"
        self.engine = create_engine(f"sqlite:///{self.path}")
        create_tables(self.engine)

    @property
    def uri(self) -> str:
        return f"governed+sqlite:///{self.path}"

    def write(self, *entries: Entry) -> None:
        with Session(self.engine) as session, session.begin():
            for entry in entries:
                append(session, entry)

    def sql(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement))

    def ask(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["audit", "--registry", self.uri, *arguments])


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path)
    made.write(
        Entry(ANN, "register", model="m", version="1", at=1_700_000_000_000),
        Entry(
            Actor("rita"),
            "promote",
            "refused",
            model="m",
            version="1",
            before="Staging",
            after="Production",
            comment="1 of 2 approvals\x1b[2J",
            at=1_700_000_060_000,
        ),
        Entry(Actor("otto"), "rollback", model="n", version="3", comment="too slow", detail={"from": "4"}),
    )
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 server with a bucket; gives its endpoint."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    import boto3

    for name, value in {
        "MLFLOW_S3_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket="heads")
    return "s3://heads/of/registry"


def key(log: Log) -> tuple[str, str]:
    path = log.path.with_name("signing.pem")
    done = log.ask("key", str(path))
    assert done.exit_code == 0, done.output
    return str(path), f"{path}.pub"


class TestVerify:
    def test_a_whole_log_passes(self, log: Log) -> None:
        done = log.ask("verify")
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("3 entries, none changed, removed, reordered or inserted")

    def test_a_changed_one_is_told_and_fails(self, log: Log) -> None:
        log.sql("UPDATE governance_audit SET outcome = 'done' WHERE seq = 2")
        done = log.ask("verify")
        assert done.exit_code == 1
        assert "entry 2 was changed" in done.stdout
        assert "Error: the log is not what was written: 1 problems in 3 entries" in done.stderr

    def test_json_is_for_programs(self, log: Log) -> None:
        assert json.loads(log.ask("verify", "--json").stdout)["whole"] is True
        log.sql("DELETE FROM governance_audit WHERE seq = 3")
        found = json.loads(log.ask("verify", "--json").stdout)
        assert (found["whole"], found["entries"], found["head"]["seq"]) == (False, 2, 3)

    def test_an_export_is_checked_where_no_database_is(self, log: Log, tmp_path: Path) -> None:
        out = tmp_path / "log.jsonl"
        assert log.ask("export", "--out", str(out)).exit_code == 0
        assert log.ask("export").stdout == out.read_text()
        log.path.unlink()
        assert log.ask("verify", "--export", str(out)).exit_code == 0
        out.write_text("".join(out.read_text().splitlines(keepends=True)[1:]))
        done = log.ask("verify", "--export", str(out))
        assert done.exit_code == 1
        assert "entry 1 was removed" in done.stdout


class TestShow:
    def test_reads_like_a_diary(self, log: Log) -> None:
        lines = log.ask("show").stdout.splitlines()
        assert lines[0] == "1 2023-11-14 22:13:20Z ann (10.0.0.7) register m/1: done"
        assert lines[1] == (
            '2 2023-11-14 22:14:20Z rita promote m/1 Staging -> Production: refused; "1 of 2 approvals\ufffd[2J"'
        )
        assert lines[2].endswith(' otto rollback n/3: done; "too slow" {"from": "4"}')
        assert len(lines) == 3

    def test_shows_what_was_asked_for(self, log: Log) -> None:
        found = [json.loads(line) for line in log.ask("show", "--json", "--model", "m").stdout.splitlines()]
        assert [entry["seq"] for entry in found] == [1, 2]
        assert log.ask("show", "--limit", "1").stdout.startswith("3 ")
        assert log.ask("show", "--until", "2023-11-15", "--outcome", "refused").stdout.startswith("2 ")


class TestHeads:
    def test_a_head_in_a_folder_outlives_a_log_that_is_cut(self, log: Log, tmp_path: Path) -> None:
        private, public = key(log)
        heads = str(tmp_path / "heads")
        done = log.ask("head", heads, "--key", private)
        assert done.stdout == f"{heads}/000000000003.head.json\n"
        assert "already" in log.ask("head", heads, "--key", private).stdout
        log.write(Entry(ANN, "approve", model="m", version="1"))
        assert log.ask("head", heads, "--key", private).exit_code == 0
        checked = log.ask("verify", "--heads", heads, "--public-key", public)
        assert "goes through 2 kept heads" in checked.stdout, checked.output
        # the end is cut, and the head set back: the log alone looks whole
        log.sql("DELETE FROM governance_audit WHERE seq > 2")
        log.sql(
            "UPDATE governance_audit_head SET seq = 2, hash = (SELECT hash FROM governance_audit WHERE seq = 2)"
        )
        assert log.ask("verify").exit_code == 0
        checked = log.ask("verify", "--heads", heads, "--public-key", public)
        assert checked.exit_code == 1
        assert "the head kept elsewhere tells of entry 3" in checked.stdout

    def test_a_head_on_s3_is_kept_and_never_overwritten(self, log: Log, bucket: str, tmp_path: Path) -> None:
        private, public = key(log)
        assert log.ask("head", bucket, "--key", private).stdout == f"{bucket}/000000000003.head.json\n"
        assert "already" in log.ask("head", f"{bucket}/", "--key", private).stdout
        assert log.ask("verify", "--heads", bucket, "--public-key", public).exit_code == 0
        other = tmp_path / "other"
        other.mkdir()
        forged = Log(other)
        forged.write(*(Entry(Actor("eve"), "promote") for _ in range(3)))
        refused = forged.ask("head", bucket, "--key", private)
        assert refused.exit_code == 1
        assert "another head of entry 3" in refused.stderr
        checked = forged.ask("verify", "--heads", bucket, "--public-key", public)
        assert "the log was written anew" in checked.stdout
        forged.engine.dispose()

    def test_a_head_that_somebody_else_signed_is_refused(self, log: Log, tmp_path: Path) -> None:
        private, _ = key(log)
        heads, other = str(tmp_path / "heads"), tmp_path / "other.pem"
        log.ask("head", heads, "--key", private)
        log.ask("key", str(other))
        done = log.ask("verify", "--heads", heads, "--public-key", f"{other}.pub")
        assert done.exit_code == 1
        assert "not signed by a key that was given" in done.stderr

    def test_heads_of_a_key_before_this_one_still_count(self, log: Log, tmp_path: Path) -> None:
        first, _ = key(log)
        heads, second = str(tmp_path / "heads"), str(tmp_path / "second.pem")
        log.ask("key", second)
        log.ask("head", heads, "--key", first)
        log.write(Entry(ANN, "approve", model="m", version="1"))
        log.ask("head", heads, "--key", second)
        done = log.ask("verify", "--heads", heads, "--public-key", f"{first}.pub", "--public-key", f"{second}.pub")
        assert "goes through 2 kept heads" in done.stdout, done.output
        assert log.ask("verify", "--heads", heads, "--public-key", f"{second}.pub").exit_code == 1

    @pytest.mark.parametrize(("field", "value"), [("seq", 2), ("hash", "0" * 64), ("at", 1)])
    def test_a_changed_head_is_refused(self, log: Log, tmp_path: Path, field: str, value: object) -> None:
        private, public = key(log)
        heads = tmp_path / "heads"
        log.ask("head", str(heads), "--key", private)
        (file,) = heads.iterdir()
        file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
        done = log.ask("verify", "--heads", str(heads), "--public-key", public)
        assert done.exit_code == 1
        assert "is not signed by a key that was given" in done.stderr

    def test_a_broken_log_is_not_signed(self, log: Log, tmp_path: Path) -> None:
        private, _ = key(log)
        log.sql("DELETE FROM governance_audit WHERE seq = 1")
        done = log.ask("head", str(tmp_path / "heads"), "--key", private)
        assert done.exit_code == 1
        assert "is not signed: entry 1 was removed" in done.stderr
        assert not (tmp_path / "heads").exists()

    def test_the_private_key_is_for_its_owner_alone_and_is_never_overwritten(self, log: Log) -> None:
        private, _ = key(log)
        before = Path(private).read_bytes()
        assert stat.S_IMODE(Path(private).stat().st_mode) == 0o600
        assert log.ask("key", private).exit_code == 1
        assert Path(private).read_bytes() == before

    @pytest.mark.parametrize(
        ("where", "told"),
        [("https://example.org/heads", "expected a folder or s3://"), ("s3://nowhere/heads", "cannot be written")],
    )
    def test_a_place_that_is_none_is_told(self, log: Log, bucket: str, where: str, told: str) -> None:
        private, _ = key(log)
        done = log.ask("head", where, "--key", private)
        assert done.exit_code == 1
        assert told in done.stderr

    def test_no_heads_are_no_proof(self, log: Log, bucket: str, tmp_path: Path) -> None:
        _, public = key(log)
        for where in (str(tmp_path / "nothing"), f"{bucket}/nothing"):
            done = log.ask("verify", "--heads", where, "--public-key", public)
            assert done.exit_code == 1, done.output


class TestDatabases:
    @pytest.mark.parametrize(
        ("uri", "told"),
        [
            ("sqlite:////nowhere/registry.db", "there is no database /nowhere/registry.db"),
            ("sqlite://", "there is no database in memory"),
            ("http://ann:s3cret@127.0.0.1:1", "does not answer"),
            ("mysql://ann:s3cret@db/registry", "expected the registry's database"),
            ("postgresql://ann:s3cret@127.0.0.1:1/registry", "cannot be read"),
        ],
    )
    def test_one_that_is_none_is_told_without_its_password(self, uri: str, told: str) -> None:
        done = CliRunner().invoke(main, ["audit", "--registry", uri, "verify"])
        assert done.exit_code == 1
        assert told in done.stderr
        assert "s3cret" not in done.output
        assert not Path("/nowhere").exists()

    @pytest.mark.parametrize("command", ["verify", "show", "export"])
    def test_a_server_that_is_another_is_told(self, tmp_path: Path, command: str) -> None:
        """It answers whatever is asked with a page, as MLflow's UI does."""

        class Page(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "6")
                self.end_headers()
                self.wfile.write(b"<html>")

        server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            uri = f"http://127.0.0.1:{server.server_port}"
            done = CliRunner().invoke(main, ["audit", "--registry", uri, command])
        finally:
            server.shutdown()
            server.server_close()
        assert (done.exit_code, done.stdout) == (1, "")
        assert "is no governed server" in done.stderr

    def test_a_registry_that_nobody_governs_has_no_log(self, tmp_path: Path) -> None:
        path = tmp_path / "plain.db"
        create_engine(f"sqlite:///{path}").connect().exec_driver_sql("CREATE TABLE runs (id INTEGER)").close()
        done = CliRunner().invoke(main, ["audit", "--registry", f"sqlite:///{path}", "verify"])
        assert "holds no audit log: no governed server" in done.stderr

    def test_the_registry_of_the_environment_is_read(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", log.uri)
        assert CliRunner().invoke(main, ["audit", "verify"]).exit_code == 0
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:////nowhere/registry.db")
        uri = mlflow.get_tracking_uri()
        try:
            assert CliRunner().invoke(main, ["--tracking-uri", log.uri, "audit", "verify"]).exit_code == 0
        finally:
            mlflow.set_tracking_uri(uri)
            mlflow.set_registry_uri(uri)
        for name in ("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI"):
            monkeypatch.delenv(name, raising=False)
        assert "which registry?" in CliRunner().invoke(main, ["audit", "verify"]).stderr

    @pytest.mark.parametrize(
        ("uri", "driver"),
        [
            ("governed+postgresql+psycopg://ann@db/r", "postgresql+psycopg"),
            ("postgresql://ann@db/r", "postgresql+psycopg"),  # psycopg2 is not installed here
            ("governed+sqlite:////srv/r.db", "sqlite"),
        ],
    )
    def test_the_driver_is_one_that_is_there(self, uri: str, driver: str) -> None:
        assert database_url(uri).drivername == driver
