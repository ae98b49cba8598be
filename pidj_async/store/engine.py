"""What differs between SQLite and PostgreSQL.

Commits are durable on both: SQLite runs with a write-ahead log and ``synchronous=FULL``, PostgreSQL with whatever its
server is set to (``synchronous_commit`` is on unless somebody turned it off).

SQLite lets one writer in at a time, so every transaction that writes is alone. PostgreSQL does not, and there
`exclusively` makes alone those that have to be.
"""

from __future__ import annotations

import enum
import sqlite3
import time
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Column, Connection, Engine, Table, create_engine, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from pidj_async.errors import ConfigurationError

__all__ = [
    "READ_ONLY",
    "Purpose",
    "exclusively",
    "insert_if_new",
    "insert_rows",
    "last_id",
    "now",
    "open_engine",
    "set_last_id",
    "take_ids",
    "together",
]

READ_ONLY: Final = "pidj_read_only"
"""The execution option of a connection that will not write."""

BUSY_SECONDS: Final = 5.0
"""How long to wait for somebody else who is writing. ``sqlite:///PATH?timeout=SECONDS`` says otherwise."""

_OLDEST_SQLITE: Final = (3, 35)  # RETURNING

_ROWS_AT_ONCE: Final = 64
"""SQLite's driver keeps 128 statements prepared, and each number of rows is another one."""


class Purpose(enum.IntEnum):
    """What only one transaction at a time may do, in the whole cluster."""

    SCHEMA = 1
    #: So that the ids of events are committed in their order: whoever sees an event has seen all before it.
    INSERT_EVENTS = 2
    #: So that two workers cannot both find that nobody works on a phone number.
    CLAIM_EVENTS = 3
    #: So that a text that is claimed while somebody opts out is either claimed before that is committed, or not at all.
    #: Held `together` by those who claim. Whoever takes `INSERT_EVENTS` too takes that first; a claim takes this first.
    SUPPRESSIONS = 4
    #: So that nobody is added to a campaign twice, and none is done while somebody is being added.
    ADD_RECIPIENTS = 5


_NAMESPACE: Final = int.from_bytes(b"pidj")  # advisory locks are numbers that all programs on a database share


def exclusively(connection: Connection, purpose: Purpose) -> None:
    """Wait until no other transaction has this purpose, and hold it until this one ends.

    Args:
        connection: In a transaction that may write.
        purpose: What for.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"namespace": _NAMESPACE, "purpose": int(purpose)})


def together(connection: Connection, purpose: Purpose) -> None:
    """Wait until no other transaction has this purpose `exclusively`, and keep it from that until this one ends.

    Args:
        connection: In a transaction that may write.
        purpose: What for.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_SHARED_LOCK, {"namespace": _NAMESPACE, "purpose": int(purpose)})


_LOCK = text("SELECT pg_advisory_xact_lock(:namespace, :purpose)")
_SHARED_LOCK = text("SELECT pg_advisory_xact_lock_shared(:namespace, :purpose)")
_SEQUENCE = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
_NOW = text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)")


def now(connection: Connection) -> int:
    """The database's time, in microseconds since 1970: leases of several machines are measured by one clock."""
    if connection.dialect.name == "postgresql":
        return int(connection.execute(_NOW).scalar_one())
    return time.time_ns() // 1_000


def take_ids(connection: Connection, table: Table, count: int) -> list[int]:
    """Reserve ids for new rows, ascending. None is ever given twice, even if its row is deleted.

    Args:
        connection: In a transaction that writes.
        table: Has the column ``id``, numbered by the database.
        count: How many.
    """
    if connection.dialect.name == "postgresql":
        return sorted(connection.execute(_NEXT_IDS, {"table": table.name, "count": count}).scalars())
    # Inserting a row with an id of one's own moves SQLite's sequence along.
    last = connection.execute(_SEQUENCE, {"table": table.name}).scalar_one_or_none() or 0
    return list(range(last + 1, last + 1 + count))


def last_id(connection: Connection, column: Column[int]) -> int:
    """The last id that was given to a row of a table, be it still there or not; 0 if none was.

    Args:
        connection: In any transaction.
        column: The one that the database numbers.
    """
    table = column.table
    highest = connection.execute(select(func.max(column))).scalar_one() or 0
    if connection.dialect.name == "postgresql":
        query = text("SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence(:table, :column)), 0)")
        given = connection.execute(query, {"table": table.name, "column": column.name}).scalar_one()
    else:
        given = connection.execute(_SEQUENCE, {"table": table.name}).scalar_one_or_none() or 0
    return max(int(highest), int(given))


def set_last_id(connection: Connection, column: Column[int], value: int) -> None:
    """Have the next row of a table numbered after `value`, whatever ids were inserted.

    Args:
        connection: In a transaction that writes.
        column: The one that the database numbers.
        value: As from `last_id`; 0 changes nothing.
    """
    table = column.table
    if value == 0:
        return
    if connection.dialect.name == "postgresql":
        query = text("SELECT setval(pg_get_serial_sequence(:table, :column), :value)")
        connection.execute(query, {"table": table.name, "column": column.name, "value": value})
    elif table.dialect_options["sqlite"]["autoincrement"]:
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
        query = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :value)")
        connection.execute(query, {"table": table.name, "value": value})


_NEXT_IDS = text("SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, :count)")


def insert_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows, many of them with one statement.

    The driver lets go of Python's lock for each statement, and gets it back only when a busy event loop is made to
    yield it, which takes up to 5 ms. SQLAlchemy's own way of doing this costs more per row than SQLite takes to
    store it.

    Args:
        connection: In a transaction that writes.
        table: Where to.
        columns: Their names; the others get what the database gives them.
        rows: A value for each of the columns, of a type that the drivers know: int, str, bytes or ``None``.
    """
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        page = rows[start : start + _ROWS_AT_ONCE]
        connection.exec_driver_sql(_insert(table.name, columns, len(page), mark), tuple(chain.from_iterable(page)))


@lru_cache(maxsize=256)
def _insert(table: str, columns: tuple[str, ...], count: int, mark: str) -> str:
    row = f"({', '.join([mark] * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}"  # noqa: S608  names of ours


def insert_if_new(connection: Connection, table: Table) -> Any:
    """An insert that can be given ``on_conflict_do_update`` or ``on_conflict_do_nothing``; both databases know them."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415  only one of the two is needed

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.insert(table)


def open_engine(url: str) -> Engine:
    """Open an engine.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://…``.

    Raises:
        ConfigurationError: If it is neither, or its driver is not installed. The message does not show the URL, which
            may hold a password.
    """
    scheme = urlsplit(url).scheme
    if scheme.partition("+")[0] not in {"sqlite", "postgresql", "postgres"}:
        msg = "the store's URL must begin with sqlite:/// or postgresql://"
        raise ConfigurationError(msg)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        msg = "the store's URL cannot be read; write sqlite:///PATH or postgresql://user:password@host/database"
        raise ConfigurationError(msg) from None
    if scheme.startswith("sqlite"):
        return _sqlite(parsed.set(drivername="sqlite"))
    return _postgresql(parsed.set(drivername="postgresql+psycopg"))


def _postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=8,
            isolation_level="READ COMMITTED",  # a claim must see what was committed while it waited for its turn
            connect_args={"connect_timeout": 5},
        )
    except ModuleNotFoundError as error:
        msg = 'a store on PostgreSQL needs psycopg; install it with: pip install "pidj-async[postgresql]"'
        raise ConfigurationError(msg) from error

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout TO {int(BUSY_SECONDS * 1_000)}")
        connection.commit()

    return engine


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:" or "mode=memory" in url.database:
        msg = "a store in memory would not survive what a store is for; write sqlite:///PATH"
        raise ConfigurationError(msg)
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        msg = f"the store needs SQLite 3.35 or newer; this Python has {sqlite3.sqlite_version}"
        raise ConfigurationError(msg)
    connect_args: dict[str, object] = {"check_same_thread": False}  # one thread at a time, though not always the same
    if "timeout" not in url.query:
        connect_args["timeout"] = BUSY_SECONDS
    engine = create_engine(url, hide_parameters=True, poolclass=QueuePool, pool_size=5, connect_args=connect_args)
    # Many rows in one statement, for the reason that `insert_rows` gives.
    engine.dialect.use_insertmanyvalues_wo_returning = True

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: Any) -> None:
        # The driver's own transactions begin with the first write, too late for a claim that reads first.
        connection.isolation_level = None
        _write_ahead(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A reader that turned writer half-way would fail at once, busy timeout or not.
        mode = "" if connection.get_execution_options().get(READ_ONLY) else " IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN{mode}")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, which a new database needs once."""
    give_up_at = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            # Two who switch at the same moment: SQLite refuses one of them at once, busy timeout or not.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up_at:
                raise
            time.sleep(0.01)
        else:
            return
