"""The audit log: what was written is what is read, and whatever was done to it behind its back is found."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, delete, insert, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from model_governance.errors import TamperError
from model_governance.governed.actor import Actor
from model_governance.governed.audit import (
    GENESIS,
    Entry,
    Head,
    append,
    export,
    lock,
    read_head,
    records,
    verify,
    verify_export,
)
from model_governance.governed.tables import AUDIT, AUDIT_HEAD, create_tables
from tests.postgres import postgres

ANN = Actor("ann", "127.0.0.1", "_transition_stage")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    create_tables(made)
    yield made
    made.dispose()


def in_memory(entries: int) -> Engine:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    create_tables(engine)
    write(engine, *(Entry(ANN, "promote", model="m", version=str(n), after="Production") for n in range(entries)))
    return engine


def write(engine: Engine, *entries: Entry) -> None:
    with Session(engine) as session, session.begin():
        for entry in entries:
            append(session, entry)


LOG = in_memory(6)


def rows(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(AUDIT).order_by(AUDIT.c.seq))]


def sql(engine: Engine, statement: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement) if isinstance(statement, str) else statement)


class TestWhatIsWritten:
    def test_says_all_that_was_told(self, engine: Engine) -> None:
        write(
            engine,
            Entry(ANN, "register", model="m", version="1", at=1_700_000_000_000),
            Entry(
                Actor("rita", "10.0.0.7", "review"),
                "promote",
                "refused",
                model="m",
                version="1",
                before="Staging",
                after="Production",
                comment="naïve – 1 of 2 approvals",
                evidence_digest="ab" * 32,
                detail={"reasons": ["four eyes"], "b": {"a": 1}},
            ),
        )
        newest, oldest = records(engine)
        assert (oldest.seq, oldest.at, oldest.actor, oldest.outcome) == (1, 1_700_000_000_000, "ann", "done")
        assert (newest.actor, newest.address, newest.endpoint) == ("rita", "10.0.0.7", "review")
        assert (newest.before, newest.after) == ("Staging", "Production")
        assert newest.comment == "naïve – 1 of 2 approvals"
        assert newest.detail == {"reasons": ["four eyes"], "b": {"a": 1}}
        assert newest.previous == oldest.hash

    def test_hash_is_sha256_over_a_json_array_of_every_column_and_the_previous_hash(self, engine: Engine) -> None:
        """Worked out here as somebody else's program would."""
        write(engine, Entry(ANN, "promote", model="m", version="3", comment="é", detail={"b": 1, "a": 2}, at=5))
        genesis = hashlib.sha256(b"model-governance audit 1").hexdigest()
        told = (
            '[1,5,"ann","127.0.0.1","_transition_stage","promote","done","m","3",null,null,"\\u00e9",null,'
            f'"{{\\"a\\":2,\\"b\\":1}}","{genesis}"]'
        )
        assert records(engine)[0].hash == hashlib.sha256(told.encode()).hexdigest()

    def test_whatever_was_sent_can_be_recorded(self, engine: Engine) -> None:
        sent = Entry(
            Actor("a" * 1000, "b" * 100, "c" * 200),
            "promote",
            "refused",
            model="m\0\ud800" * 200,
            version="9" * 100,
            comment="\0\udfff😀" * 9000,
            detail={"body": "\ud800\0" * 9000},
        )
        write(engine, sent)
        assert verify(engine).problems == ()
        record = records(engine)[0]
        assert record.model is not None
        assert len(record.model) == 256
        assert record.model.endswith("…")
        assert record.comment is not None
        assert "\0" not in record.comment
        assert len(record.comment) <= 10_000
        assert record.comment.startswith("\ufffd\ufffd😀")

    def test_rolls_back_with_the_change_it_tells_of(self, engine: Engine) -> None:
        write(engine, Entry(ANN, "register"))
        with Session(engine) as session:
            append(session, Entry(ANN, "promote"))
            session.rollback()
        write(engine, Entry(ANN, "reject"))
        assert [record.action for record in records(engine)] == ["reject", "register"]
        assert verify(engine).problems == ()

    def test_is_read_by_what_is_asked(self, engine: Engine) -> None:
        rita = Actor("rita")
        write(
            engine,
            Entry(ANN, "register", model="m", version="1", at=1000),
            Entry(ANN, "register", model="m", version="2", at=2000),
            Entry(rita, "promote", "refused", model="m", version="2", at=3000),
            Entry(rita, "promote", model="n", version="2", at=4000),
        )

        def asked(**wanted: Any) -> list[int]:
            return [record.seq for record in records(engine, **wanted)]

        assert asked() == [4, 3, 2, 1]
        assert asked(model="m", version="2") == [3, 2]
        assert asked(actor="rita") == [4, 3]
        assert asked(action="promote", outcome="refused") == [3]
        assert asked(since=2000, until=4000) == [3, 2]
        assert asked(limit=2) == [4, 3]
        assert asked(limit=2, below=3) == [2, 1]


ENTRIES = 6
SOME = st.integers(1, ENTRIES)
TEXT = st.one_of(st.text("abc0é", max_size=3), st.none())


def change(connection: Connection, draw: Callable[..., Any]) -> None:
    column = draw(st.sampled_from([column for column in AUDIT.c if column.name != "seq"]))
    value = draw(st.integers(0, 10**13) if column.name == "at" else TEXT if column.nullable else st.text("ab"))
    connection.execute(update(AUDIT).where(AUDIT.c.seq == draw(SOME)).values({column: value}))


def remove(connection: Connection, draw: Callable[..., Any]) -> None:
    connection.execute(delete(AUDIT).where(AUDIT.c.seq == draw(SOME)))


def truncate(connection: Connection, draw: Callable[..., Any]) -> None:
    connection.execute(delete(AUDIT).where(AUDIT.c.seq > draw(st.integers(0, ENTRIES))))


def swap(connection: Connection, draw: Callable[..., Any]) -> None:
    one, other = draw(SOME), draw(SOME)
    for old, new in ((one, -9), (other, one), (-9, other)):
        connection.execute(update(AUDIT).where(AUDIT.c.seq == old).values(seq=new))


def put(connection: Connection, draw: Callable[..., Any]) -> None:
    """Another entry's row somewhere else, also behind the end."""
    row = draw(st.sampled_from(connection.execute(select(AUDIT)).mappings().all() or [None]))
    if row is not None:
        seq = draw(st.integers(-1, ENTRIES + 2))
        connection.execute(delete(AUDIT).where(AUDIT.c.seq == seq))
        connection.execute(insert(AUDIT).values({**row, "seq": seq}))


def move_head(connection: Connection, draw: Callable[..., Any]) -> None:
    """To where another entry ends, as somebody would who cut the log."""
    row = draw(st.sampled_from(connection.execute(select(AUDIT.c.seq, AUDIT.c.hash)).all() or [(0, GENESIS)]))
    connection.execute(update(AUDIT_HEAD).values(seq=row[0], hash=row[1]))


def write_anew(connection: Connection, draw: Callable[..., Any]) -> None:
    """Compute the chain as the server would, over whatever is there now."""
    found = connection.execute(select(AUDIT).order_by(AUDIT.c.seq)).mappings().all()
    connection.execute(delete(AUDIT))
    connection.execute(update(AUDIT_HEAD).values(seq=0, hash=GENESIS))
    with Session(connection) as session:
        for row in found:
            told = {key: row[key] for key in ("action", "outcome", "model", "version", "comment", "at")}
            append(session, Entry(Actor(row["actor"], row["address"], row["endpoint"]), **told))


class TestTampering:
    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_any_difference_is_found_and_nothing_else(self, data: st.DataObject) -> None:
        """Also what only a kept head can contradict: a log cut together with its head, or written anew."""
        with LOG.connect() as connection:
            was, kept = connection.execute(select(AUDIT)).all(), read_head(connection)
            for _ in range(data.draw(st.integers(0, 3))):
                deed = data.draw(st.sampled_from([change, remove, truncate, swap, put, move_head, write_anew]))
                deed(connection, data.draw)
            different = (connection.execute(select(AUDIT)).all(), read_head(connection)) != (was, kept)
            assert bool(verify(connection, kept).problems) == different
            connection.rollback()

    @pytest.mark.parametrize(
        ("statement", "expected"),
        [
            ("UPDATE governance_audit SET comment = 'ok' WHERE seq = 3", "entry 3 was changed"),
            ("UPDATE governance_audit SET version = '' WHERE seq = 3", "entry 3 was changed"),
            ("UPDATE governance_audit SET comment = x'ff00' WHERE seq = 3", "entry 3 was changed"),
            ("UPDATE governance_audit SET at = 1e400 WHERE seq = 3", "entry 3 was changed"),
            ("UPDATE governance_audit SET actor = CAST(x'ff' AS TEXT) WHERE seq = 3", "entry 3 cannot be read"),
            ("DELETE FROM governance_audit WHERE seq = 3", "entry 3 was removed"),
            ("DELETE FROM governance_audit WHERE seq IN (1, 2)", "entries 1 to 2 were removed"),
            ("DELETE FROM governance_audit WHERE seq > 4", "entries 5 to 6 were removed: the log ends at 4"),
            ("DELETE FROM governance_audit", "entries 1 to 6 were removed"),
            ("UPDATE governance_audit SET seq = 7 WHERE seq = 6", "entry 6 was removed"),
            ("UPDATE governance_audit SET seq = 0 WHERE seq = 1", "entry 0 was inserted"),
            ("UPDATE governance_audit_head SET seq = 4", "entries 5 to 6 were inserted"),
            ("UPDATE governance_audit_head SET hash = 'f00'", "the head's hash is not that of entry 6"),
            ("DELETE FROM governance_audit_head", "the head of the log is gone"),
        ],
    )
    def test_the_sentence_says_what_and_where(self, statement: str, expected: str) -> None:
        engine = in_memory(6)
        sql(engine, statement)
        found = verify(engine)
        assert found.problems[0].startswith(expected), found.problems
        assert not found.whole

    def test_two_swapped_entries_are_both_named(self) -> None:
        engine = in_memory(5)
        for old, new in ((2, -9), (4, 2), (-9, 4)):
            sql(engine, update(AUDIT).where(AUDIT.c.seq == old).values(seq=new))
        told = " ".join(verify(engine).problems)
        assert "entry 2 does not follow entry 1" in told
        assert "entry 4 does not follow entry 3" in told

    def test_many_problems_are_counted_and_not_listed_without_end(self) -> None:
        engine = in_memory(300)
        sql(engine, "UPDATE governance_audit SET comment = 'x'")
        found = verify(engine)
        assert len(found.problems) == 101
        assert found.problems[-1] == "and 200 more"

    def test_a_log_written_anew_is_found_by_a_head_that_was_kept(self) -> None:
        """Whoever may write to the database can compute the chain: only what was kept elsewhere contradicts."""
        engine, other = in_memory(6), in_memory(0)
        with engine.connect() as connection:
            kept = read_head(connection)
        write(other, *(Entry(Actor("eve"), "promote", model="m", version=str(n)) for n in range(8)))
        assert verify(other).problems == ()
        assert verify(other, kept).problems == (
            "entry 6 is not the one that the head kept elsewhere tells of: the log was written anew",
        )

    def test_an_end_cut_off_together_with_the_head_is_found_by_a_head_that_was_kept(self) -> None:
        engine = in_memory(6)
        with engine.connect() as connection:
            kept = read_head(connection)
        before = rows(engine)[3]
        sql(engine, "DELETE FROM governance_audit WHERE seq > 4")
        sql(engine, update(AUDIT_HEAD).values(seq=4, hash=before[-1]))
        assert verify(engine).problems == ()
        assert "entry 6, which the log does not hold" in verify(engine, [kept, Head(4, before[-1])]).problems[0]

    def test_nothing_is_written_behind_a_head_that_was_removed(self, engine: Engine) -> None:
        write(engine, Entry(ANN, "register"))
        sql(engine, "DELETE FROM governance_audit_head")
        with Session(engine) as session, pytest.raises(TamperError, match="the head of the audit log is gone"):
            append(session, Entry(ANN, "promote"))
        assert len(rows(engine)) == 1


class TestExport:
    def test_is_checked_without_the_database(self) -> None:
        engine = in_memory(4)
        write(engine, Entry(ANN, "approve", comment="é\n\x1b[2J", detail={"a": [1, None]}))
        lines = list(export(engine))
        assert len(lines) == 5
        assert verify_export(lines) == verify(engine)
        with engine.connect() as connection:
            assert verify_export(lines, read_head(connection)).problems == ()

    @pytest.mark.parametrize("left_out", [0, 2, 3])
    def test_a_line_left_out_is_found(self, left_out: int) -> None:
        engine = in_memory(4)
        lines = list(export(engine))
        with engine.connect() as connection:
            head = read_head(connection)
        del lines[left_out]
        assert verify_export(lines, head).problems

    def test_a_changed_word_is_found(self) -> None:
        lines = list(export(in_memory(4)))
        lines[1] = lines[1].replace("promote", "approve")
        assert verify_export(lines).problems == ("entry 2 was changed: its hash is not that of what it says",)

    @pytest.mark.parametrize("line", ["{", "[]", "3", '{"seq": 1}', '"text"'])
    def test_another_file_is_refused(self, line: str) -> None:
        with pytest.raises(TamperError, match="line 1 is not one that"):
            verify_export([line])

    def test_a_key_more_is_refused(self) -> None:
        entry = json.loads(next(iter(export(in_memory(1)))))
        with pytest.raises(TamperError, match="line 1"):
            verify_export([json.dumps({**entry, "approved": True})])


def write_beside_others(engine: Engine, writers: int, each: int) -> list[BaseException]:
    """As many threads as writers, each with a transaction per entry; gives what went wrong."""
    went_wrong: list[BaseException] = []
    start = threading.Barrier(writers)

    def work(number: int) -> None:
        try:
            start.wait()
            for turn in range(each):
                with Session(engine) as session, session.begin():
                    lock(session)
                    # a read before the write, as the store does: what is decided here must still hold at the end
                    last = session.scalar(select(AUDIT.c.seq).order_by(AUDIT.c.seq.desc()).limit(1)) or 0
                    seq = append(session, Entry(Actor(f"writer {number}"), "promote", version=str(turn)))
                    assert seq == last + 1
        except (AssertionError, OperationalError) as error:
            went_wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return went_wrong


class TestWriters:
    def test_queue_on_sqlite_from_the_first_entry_on(self, tmp_path: Path) -> None:
        engine = create_engine(f"sqlite:///{tmp_path / 'registry.db'}", connect_args={"timeout": 60})
        create_tables(engine)
        assert write_beside_others(engine, writers=6, each=15) == []
        assert verify(engine).entries == 90
        assert verify(engine).problems == ()
        engine.dispose()

    def test_are_not_in_the_way_of_whoever_checks(self, tmp_path: Path) -> None:
        engine = create_engine(f"sqlite:///{tmp_path / 'registry.db'}", connect_args={"timeout": 60})
        create_tables(engine)
        writing = threading.Thread(target=write_beside_others, args=(engine, 2, 30))
        writing.start()
        found = [verify(engine)]
        while writing.is_alive():
            found.append(verify(engine))
        assert [each.problems for each in found] == [()] * len(found)
        assert verify(engine).entries == 60
        engine.dispose()

    @pytest.mark.slow
    def test_queue_on_postgresql_from_the_first_entry_on(self) -> None:
        with postgres() as server:
            engine = create_engine(server.url, pool_size=8)
            create_tables(engine)
            assert write_beside_others(engine, writers=8, each=25) == []
            assert verify(engine).entries == 200
            write(engine, Entry(ANN, "x", comment="\0\ud800", model="m" * 999, detail={"a": "\0"}))
            assert verify(engine).problems == ()
            sql(engine, "UPDATE governance_audit SET actor = 'eve' WHERE seq = 77")
            sql(engine, "DELETE FROM governance_audit WHERE seq > 150")
            told = " ".join(verify(engine).problems)
            assert "entry 77 was changed" in told
            assert "entries 151 to 201 were removed" in told
            engine.dispose()
