"""The server keeps signed heads of its audit by itself, in one worker at a time, through outages and restarts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from model_governance.errors import EvidenceError, PolicyError, TamperError
from model_governance.governed.actor import Actor
from model_governance.governed.audit import Entry, append, verify
from model_governance.governed.audit.heads import kept_heads, make_key, read_public_key
from model_governance.governed.audit.keeping import HEADS_EVERY, HEADS_KEY, HEADS_PLACE, HeadKeeper, head_keeper
from model_governance.governed.clockwork import Clockwork
from model_governance.governed.tables import create_tables
from model_governance.governed.turns import Turn
from model_governance.rules.governance import GovernanceRules


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    create_tables(made)
    yield made
    made.dispose()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "signing.pem")
    return tmp_path / "signing.pem"


def write(engine: Engine, number: int) -> None:
    with Session(engine) as session, session.begin():
        for _ in range(number):
            append(session, Entry(Actor("rita"), "promote", model="m"))


def kept(where: str, key: Path) -> list[int]:
    return [each.seq for each in kept_heads(where, [read_public_key(key.with_name(f"{key.name}.pub"))])]


def test_a_head_is_kept_at_the_start_after_so_many_entries_and_after_so_long(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    now = [0.0]
    where = str(tmp_path / "heads")
    keeper = HeadKeeper(engine, where, key, every_s=600, every_entries=10, clock=lambda: now[0])
    assert keeper.keep_where_due() is None, "nothing was written yet"
    write(engine, 3)
    assert keeper.keep_where_due() == f"{where}/000000000003.head.json"
    write(engine, 9)
    assert keeper.keep_where_due() is None
    write(engine, 1)
    assert keeper.keep_where_due() == f"{where}/000000000013.head.json"
    write(engine, 1)
    now[0] = 599
    assert keeper.keep_where_due() is None
    now[0] = 600
    assert keeper.keep_where_due() is not None
    now[0] = 6000
    assert keeper.keep_where_due() is None, "nothing was written since"
    write(engine, 1)
    assert HeadKeeper(engine, where, key).keep_where_due() is not None, "a server that starts keeps it at once"
    assert kept(where, key) == [3, 13, 14, 15]
    heads = [each.head for each in kept_heads(where, [read_public_key(Path(f"{key}.pub"))])]
    assert verify(engine, heads).whole


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE governance_audit SET actor = 'eve' WHERE seq = 5",
        "DELETE FROM governance_audit WHERE seq = 5",
        "UPDATE governance_audit SET hash = 'x' WHERE seq = 3",
        "DELETE FROM governance_audit",
        "UPDATE governance_audit_head SET seq = 2",
        "DELETE FROM governance_audit_head",
    ],
)
def test_a_log_that_does_not_go_on_from_the_last_head_is_not_signed(
    engine: Engine, key: Path, tmp_path: Path, change: str
) -> None:
    where = str(tmp_path / "heads")
    write(engine, 3)
    HeadKeeper(engine, where, key).keep_where_due()
    write(engine, 4)
    with engine.begin() as connection:
        connection.execute(text(change))
    with pytest.raises(TamperError, match="no head is signed any more"):
        HeadKeeper(engine, where, key).keep_where_due()
    assert kept(where, key) == [3]


def test_a_place_that_is_away_is_tried_again_and_told(
    engine: Engine, key: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now, where = [0.0], tmp_path / "disk" / "heads"
    where.parent.write_text("a file, where the disk should be")
    keeper = HeadKeeper(engine, str(where), key, clock=lambda: now[0])
    write(engine, 3)
    with pytest.raises(EvidenceError):
        keeper.keep_where_due()
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            keeper.keep_or_tell()
    assert [record.message.startswith("the audit log's head waits: ") for record in caplog.records] == [True]
    where.parent.unlink()
    keeper.keep_or_tell()
    assert not where.exists(), "not at once again"
    now[0] += 61
    keeper.keep_or_tell()
    assert kept(str(where), key) == [3]


def test_heads_go_to_s3_and_wait_for_the_bucket(
    engine: Engine, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "an-id",
        "AWS_SECRET_ACCESS_KEY": "a-key",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        write(engine, 3)
        keeper = HeadKeeper(engine, "s3://audit/street", key)
        with pytest.raises(EvidenceError):
            keeper.keep_where_due()
        boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="audit")
        assert keeper.keep_where_due() == "s3://audit/street/000000000003.head.json"
        write(engine, 1)
        assert HeadKeeper(engine, "s3://audit/street", key).keep_where_due() is not None
        assert kept("s3://audit/street", key) == [3, 4]
    finally:
        server.stop()


def test_one_worker_at_a_time_and_another_where_it_is_gone(engine: Engine) -> None:
    one, other = (Turn(engine, "heads", worker, 60) for worker in ("one", "other"))
    assert one.take(1000)
    assert not other.take(1030)
    assert one.take(1050)
    assert not other.take(1109), "it was taken again in time"
    assert other.take(1111), "one was killed"
    assert not one.take(1112)
    assert one.take(900), "a clock that was set back keeps nobody waiting for long"


def test_two_workers_keep_each_head_once(engine: Engine, key: Path, tmp_path: Path) -> None:
    where = str(tmp_path / "heads")
    workers = [
        Clockwork(engine, GovernanceRules, HeadKeeper(engine, where, key, every_entries=1)) for _ in range(2)
    ]
    for _ in range(3):
        write(engine, 1)
        assert [worker.tick() for worker in workers] == [True, False]
    assert kept(where, key) == [1, 2, 3]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({HEADS_PLACE: "/srv/heads"}, f"{HEADS_PLACE} is set, but not {HEADS_KEY}"),
        ({HEADS_PLACE: "/srv/heads", HEADS_KEY: "/nowhere/key.pem"}, "expected an Ed25519 private key in PEM"),
        ({HEADS_PLACE: "/srv/heads", HEADS_KEY: "k", HEADS_EVERY: "often"}, "expected minutes"),
        ({HEADS_PLACE: "/srv/heads", HEADS_KEY: "k", HEADS_EVERY: "0,10"}, "expected minutes"),
    ],
)
def test_settings_that_make_no_sense_stop_the_server(engine: Engine, asked: dict[str, str], told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        head_keeper(engine, asked)


def test_what_the_environment_asks_for(engine: Engine, key: Path) -> None:
    assert head_keeper(engine, {}) is None
    keeper = head_keeper(engine, {HEADS_PLACE: "/srv/heads", HEADS_KEY: str(key), HEADS_EVERY: "0.5,7"})
    assert keeper is not None
    assert (keeper.every_s, keeper.every_entries) == (30, 7)
