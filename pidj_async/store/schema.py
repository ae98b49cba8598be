"""The tables. What their rows mean stands with their owners; how they came to be, version by version, stands here.

The rules of this schema:

1. Times are whole microseconds since 1970, UTC: both databases hold them alike, and they compare as numbers.
2. States are short words, so that a person with an SQL prompt can read them.
3. A column or an index comes and goes only together with a new version and a step in `UPGRADES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    inspect,
    select,
    text,
)

from pidj_async.errors import ConfigurationError

__all__ = [
    "UPGRADES",
    "VERSION",
    "campaign_log",
    "campaigns",
    "create",
    "events",
    "metadata",
    "recipients",
    "shapes",
    "suppressions",
    "version_of",
    "workers",
]

VERSION: Final = 2

metadata = MetaData()

# SQLite only numbers rows by itself if the column is called INTEGER.
_RowId = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "pidj_meta",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)

events = Table(
    "pidj_events",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("received_at", BigInteger, nullable=False),
    Column("name", String(200), nullable=False),
    # Events with the same key are handled one after another, in order of id.
    Column("order_key", String(80), nullable=True),
    Column("body", LargeBinary, nullable=False),
    Column("headers", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("duplicate_of", BigInteger, nullable=True),
    # What it meant for the suppression list: "opt-out", "opt-in", or "unreadable" if it names no number.
    Column("consent", String(12), nullable=True),
    Column("state", String(12), nullable=False),
    Column("attempts", Integer, nullable=False),
    # When a pending event may be tried, or when a leased one may be taken from a worker that died.
    Column("due_at", BigInteger, nullable=False),
    Column("worker", String(80), nullable=True),
    # Grows with every lease, so that a worker that was thought dead cannot settle what somebody else has taken over.
    Column("fence", Integer, nullable=False),
    Column("handled_at", BigInteger, nullable=True),
    Column("replayed_at", BigInteger, nullable=True),
    Column("error", Text, nullable=True),
    Index("pidj_events_due", "state", "due_at", "id"),
    Index("pidj_events_order", "order_key", "state", "id"),
    sqlite_autoincrement=True,
)

suppressions = Table(
    "pidj_suppressions",
    metadata,
    Column("phone_number", String(20), nullable=False),
    # "" is the whole account; otherwise a group's id.
    Column("scope", String(80), nullable=False),
    Column("suppressed", Boolean, nullable=False),
    Column("source", String(40), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    # The last event that had a say. The later of two events wins, in whatever order they are written.
    Column("event_id", BigInteger, nullable=True),
    PrimaryKeyConstraint("phone_number", "scope"),
)

shapes = Table(
    "pidj_shapes",
    metadata,
    Column("event", String(200), nullable=False),
    # "" is the event itself, otherwise the path of a field: "contact.nickname".
    Column("path", String(400), nullable=False),
    Column("type", String(20), nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    PrimaryKeyConstraint("event", "path", "type"),
)

campaigns = Table(
    "pidj_campaigns",
    metadata,
    Column("number", _RowId, primary_key=True, autoincrement=True),
    Column("id", String(80), nullable=False, unique=True),
    Column("state", String(12), nullable=False),
    Column("reason", Text, nullable=True),
    # What it was made with, as JSON: whoever resumes it must send the same texts under the same rules.
    Column("settings", Text, nullable=False),
    # What was found in each source of recipients, as JSON.
    Column("sources", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=True),
    Column("ended_at", BigInteger, nullable=True),
)

#: Whoever sends texts of a campaign. What a worker has claimed is in doubt once its time has run out.
workers = Table(
    "pidj_workers",
    metadata,
    Column("number", _RowId, primary_key=True, autoincrement=True),
    # Machine and process, so that on the same machine a dead one is known to be dead at once.
    Column("identity", String(200), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

recipients = Table(
    "pidj_recipients",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("campaign", _RowId, ForeignKey(campaigns.c.number), nullable=False),
    Column("phone_number", String(20), nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("text_body", Text, nullable=True),
    Column("segments", SmallInteger, nullable=False),
    Column("time_zone", String(64), nullable=True),
    Column("contact_id", String(80), nullable=True),
    Column("state", String(12), nullable=False),
    # When a pending one may be texted.
    Column("due_at", BigInteger, nullable=True),
    Column("attempts", Integer, nullable=False),
    # Grows with every claim and whenever a claim is taken away, so that a worker that was thought dead cannot settle.
    Column("fence", Integer, nullable=False),
    Column("worker", _RowId, nullable=True),
    Column("claimed_at", BigInteger, nullable=True),
    Column("settled_at", BigInteger, nullable=True),
    Column("took", BigInteger, nullable=True),
    Column("cause", String(40), nullable=True),
    Column("error", Text, nullable=True),
    # The number first: whoever goes through a campaign shall do so in the order in which its rows lie on the disk.
    Index("pidj_recipients_number", "phone_number", "campaign", unique=True),
    Index("pidj_recipients_campaign", "campaign", "id"),
)

# Most rows of a large campaign are in a final state most of the time; the indexes that change have none of those.
# The state is also a column of theirs, so that SQLite, which has no statistics, takes them to be the better ones. And
# whoever is ready is claimed in the order of their lines: no other index has that order, so PostgreSQL takes this one,
# however old its statistics are.
for _state, _columns in {
    "ready": ("state", "campaign", "line", "id"),
    "pending": ("state", "campaign", "due_at", "id"),
    "sending": ("state", "campaign", "worker", "id"),
    "in_doubt": ("state", "campaign", "id"),
}.items():
    _where = text(f"state = '{_state}'")
    Index(
        f"pidj_recipients_{_state}",
        *(recipients.c[name] for name in _columns),
        sqlite_where=_where,
        postgresql_where=_where,
    )

#: What happened to a campaign, and who decided it.
campaign_log = Table(
    "pidj_campaign_log",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("campaign", _RowId, ForeignKey(campaigns.c.number), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("what", String(20), nullable=False),
    Column("who", String(200), nullable=False),
    Column("recipient", _RowId, nullable=True),
    Column("detail", Text, nullable=True),
    Index("pidj_campaign_log_campaign", "campaign", "id"),
)

#: What to do to come from a version to the next one: tables that are new in it, then statements.
UPGRADES: Final[Mapping[int, tuple[tuple[Table, ...], tuple[str, ...]]]] = {
    1: (
        (campaigns, workers, recipients, campaign_log),
        ("DROP INDEX IF EXISTS pidj_events_fingerprint",),  # half of what storing an event cost
    ),
}


def version_of(connection: Connection) -> int | None:
    """The version of the tables that are there; ``None`` if there are none."""
    if not inspect(connection).has_table(meta.name):
        return None
    found = connection.execute(select(meta.c.value).where(meta.c.name == "schema")).scalar_one_or_none()
    return None if found is None else int(found)


def create(connection: Connection) -> None:
    """Create the tables, or bring them up to date.

    Raises:
        ConfigurationError: If they were made by a newer version of this package.
    """
    version = version_of(connection)
    if version is not None and version > VERSION:
        msg = f"the store's tables are of version {version}, this package knows {VERSION}; upgrade pidj-async"
        raise ConfigurationError(msg)
    if version is None:
        metadata.create_all(connection)
        connection.execute(meta.insert().values(name="schema", value=str(VERSION)))
        return
    for step in range(version, VERSION):
        tables, statements = UPGRADES[step]
        metadata.create_all(connection, tables=tables, checkfirst=False)
        for statement in statements:
            connection.exec_driver_sql(statement)
    if version < VERSION:
        connection.execute(meta.update().where(meta.c.name == "schema").values(value=str(VERSION)))
