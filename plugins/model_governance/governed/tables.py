"""What the governed server keeps beside MLflow's tables, in the registry's database and its transactions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text, UniqueConstraint
from sqlalchemy.engine import Engine

__all__ = [
    "AUDIT",
    "AUDIT_HEAD",
    "CREATORS",
    "FAILED_LOGINS",
    "FILE_WRITERS",
    "METADATA",
    "OUTBOX",
    "READS",
    "REVIEWS",
    "ROLES",
    "ROLE_USES",
    "TAG_WRITERS",
    "TOKENS",
    "TURNS",
    "UPLOADS",
    "create_tables",
]

METADATA = MetaData()
"""Not MLflow's, so that its migrations and these never meet."""

_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself in an INTEGER alone
_NAME, _DIGEST = String(256), String(64)

AUDIT = Table(
    "governance_audit",
    METADATA,
    Column("seq", _ID, primary_key=True, autoincrement=False),  # 1, 2, 3, ... without a gap
    Column("at", BigInteger, nullable=False),  # ms since the epoch, UTC
    Column("actor", _NAME, nullable=False),
    Column("address", String(64), nullable=False),
    Column("endpoint", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),  # done, refused
    Column("model", _NAME),
    Column("version", String(32)),
    Column("before", Text),
    Column("after", Text),
    Column("comment", Text),
    Column("evidence_digest", _DIGEST),
    Column("detail", Text),  # JSON
    Column("previous", _DIGEST, nullable=False),
    Column("hash", _DIGEST, nullable=False),
    Index("governance_audit_of_model", "model", "version", "seq"),
    Index("governance_audit_of_actor", "actor", "seq"),
)
AUDIT_HEAD = Table(
    "governance_audit_head",
    METADATA,
    # One row. Whoever writes updates it first, and so waits for whoever writes already.
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", _DIGEST, nullable=False),
)
CREATORS = Table(
    "governance_creators",
    METADATA,
    # Who made a run, a logged model, a registered model or a version ("name/number"), as the server authenticated.
    Column("kind", String(32), primary_key=True),
    Column("id", String(320), primary_key=True),
    Column("creator", _NAME, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("governance_creators_of", "creator"),
)
FILE_WRITERS = Table(
    "governance_file_writers",
    METADATA,
    # Who wrote files into a run or a logged model that somebody else made.
    Column("kind", String(32), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("writer", _NAME, primary_key=True),
    Column("at", BigInteger, nullable=False),
)
REVIEWS = Table(
    "governance_reviews",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("model", _NAME, nullable=False),
    Column("version", String(32), nullable=False),
    Column("born", BigInteger, nullable=False),  # when the version was made: its number may be used again
    Column("artifact_digest", _DIGEST, nullable=False),
    Column("evidence_digest", _DIGEST, nullable=False),
    Column("reviewer", _NAME, nullable=False),
    Column("verdict", String(16), nullable=False),  # approve, reject, changes
    Column("comment", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("governance_reviews_of_version", "model", "version", "id"),
    Index("governance_reviews_of_files", "model", "artifact_digest"),
    Index("governance_reviews_of_digest", "artifact_digest"),
)
ROLES = Table(
    "governance_roles",
    METADATA,
    Column("user", _NAME, primary_key=True),
    Column("role", String(32), primary_key=True),
    Column("granted_by", _NAME, nullable=False),
    Column("granted_at", BigInteger, nullable=False),
)
TAG_WRITERS = Table(
    "governance_tag_writers",
    METADATA,
    # Who wrote which tag of a version that evidence rests on; MLflow itself keeps the value alone.
    Column("model", _NAME, primary_key=True),
    Column("version", String(32), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("born", BigInteger, nullable=False),  # when the version was made: its number may be used again
    Column("value_digest", _DIGEST, nullable=False),
    Column("writer", _NAME, nullable=False),
    Column("at", BigInteger, nullable=False),
)
UPLOADS = Table(
    "governance_uploads",
    METADATA,
    # Files that are on their way to an object store.
    Column("id", _ID, primary_key=True),
    Column("place", Text, nullable=False),
    Column("who", _NAME, nullable=False),
    Column("began", BigInteger, nullable=False),  # ms since the epoch, UTC
)
TOKENS = Table(
    "governance_tokens",
    METADATA,
    # What programs log in with; the token itself is kept nowhere.
    Column("id", String(16), primary_key=True),
    Column("user", _NAME, nullable=False),
    Column("purpose", String(256), nullable=False),
    Column("digest", _DIGEST, nullable=False),
    Column("made_by", _NAME, nullable=False),
    Column("made_at", BigInteger, nullable=False),  # ms since the epoch, UTC, as all times here
    Column("expires_at", BigInteger, nullable=False),
    Column("withdrawn_at", BigInteger),
    Column("used_at", BigInteger),  # to the hour
    Index("governance_tokens_of", "user"),
)
READS = Table(
    "governance_reads",
    METADATA,
    # Who took which artefact of a model, or was refused it.
    Column("id", _ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", _NAME, nullable=False),
    Column("address", String(64), nullable=False),
    Column("what", String(512), nullable=False),
    Index("governance_reads_of_actor", "actor", "at"),
)
FAILED_LOGINS = Table(
    "governance_failed_logins",
    METADATA,
    # Counted for minutes, by whatever `throttle` makes of names and addresses.
    Column("who", _DIGEST, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("governance_failed_logins_at", "at"),
)
ROLE_USES = Table(
    "governance_role_uses",
    METADATA,
    # On which days a role was used that leaves nothing in the audit, because it only reads.
    Column("actor", _NAME, primary_key=True),
    Column("role", String(32), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # since 1970-01-01, UTC
)
TURNS = Table(
    "governance_turns",
    METADATA,
    # Which worker sees to something that one of them sees to, and until when.
    Column("what", String(32), primary_key=True),
    Column("worker", String(64), nullable=False),
    Column("until", BigInteger, nullable=False),  # ms since the epoch, UTC
)
OUTBOX = Table(
    "governance_outbox",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # the audit entry that it tells of
    Column("channel", String(64), nullable=False),
    Column("body", Text, nullable=False),  # JSON
    Column("tries", Integer, nullable=False),
    Column("due", BigInteger, nullable=False),  # ms since the epoch, UTC
    Column("delivered", BigInteger),
    Column("trouble", Text),
    UniqueConstraint("seq", "channel"),
    Index("governance_outbox_due", "delivered", "due"),
)


def create_tables(engine: Engine) -> None:
    """Create what is not there yet; does nothing the second time.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        Where the database refuses.
    """
    METADATA.create_all(engine)
