"""What differs between SQLite and PostgreSQL.

Commits are durable on both: SQLite runs with a write-ahead log and ``synchronous=FULL``, PostgreSQL with whatever its
server is set to (``synchronous_commit`` is on unless somebody turned it off).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from pidj_async.errors import ConfigurationError

__all__ = ["open_engine"]

_BUSY_SECONDS = 10.0  # how long to wait for another process that is writing


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
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed.set(drivername="sqlite"))
    try:
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=8)
    except ModuleNotFoundError as error:
        msg = 'a store on PostgreSQL needs psycopg; install it with: pip install "pidj-async[postgresql]"'
        raise ConfigurationError(msg) from error


def _sqlite(url: Any) -> Engine:
    if not url.database or url.database == ":memory:":
        msg = "a store in memory would not survive what a store is for; write sqlite:///PATH"
        raise ConfigurationError(msg)
    engine = create_engine(
        url, poolclass=QueuePool, pool_size=4, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: Any) -> None:
        # The driver's own transactions begin with the first write, too late for a claim that reads first.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # A reader that turned writer half-way would fail at once, busy timeout or not.
        mode = "" if connection.get_execution_options().get("pidj_read_only") else " IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN{mode}")

    return engine
