"""`Store`: the database, from asyncio and trio.

SQLAlchemy runs in worker threads, so one implementation serves both event loops and both databases, and a slow disk
never stops the loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from pidj_async._masking import mask_phone_numbers_in
from pidj_async.errors import ConfigurationError, StoreError
from pidj_async.store import schema
from pidj_async.store.engine import READ_ONLY, Purpose, exclusively, now, open_engine

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy import Connection

__all__ = ["DEFAULT_URL", "Store"]

R = TypeVar("R")

DEFAULT_URL: Final = "sqlite:///pidj.db"
"""Where a store is kept if nobody says otherwise: a file in the working directory."""


class Store:
    """One database for the inbox, the suppression list and campaigns.

    ::

        async with Store("sqlite:///pidj.db") as store:
            ...

    It is opened when it is first used, so that one can be made where a module is imported. Processes and machines may
    share a database, each with a store of its own; a store belongs to one event loop.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://…``. ``PIDJ_STORE``, else `DEFAULT_URL`, if left out.
        create: Create the tables, or bring them up to date, when it is opened. Without it, a store whose tables are
            not of this version is refused.

    Raises:
        ConfigurationError: If the URL cannot be used, or a driver is missing.
    """

    def __init__(self, url: str | None = None, *, create: bool = True) -> None:
        self._engine = open_engine(url or os.environ.get("PIDJ_STORE") or DEFAULT_URL)
        self._create = create
        self._opened = False
        self._now: Callable[[Connection], int] = now  # tests have clocks of their own
        #: SQLite has one writer at a time; queueing here is fairer than its busy timeout.
        self._writers = anyio.CapacityLimiter(1 if self.is_sqlite else 8)
        self._readers = anyio.CapacityLimiter(4)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self._engine.dialect.name == "sqlite"

    def __repr__(self) -> str:
        return f"<Store {self._engine.url.render_as_string(hide_password=True)}>"

    async def open(self) -> None:
        """Connect, and make sure that the tables are right. Opening twice is harmless.

        Raises:
            StoreError: If the database cannot be reached or written.
            ConfigurationError: If its tables are not of this version.
        """
        if not self._opened:
            await anyio.to_thread.run_sync(self._prepare, limiter=self._writers)
            self._opened = True

    async def aclose(self) -> None:
        """Close every connection. The store can be used again; then it opens itself."""
        with anyio.CancelScope(shield=True):
            # In turn: a connection that is in use is not closed, but left to the garbage collector.
            await anyio.to_thread.run_sync(self._engine.dispose, limiter=self._writers)
        self._opened = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def write(self, work: Callable[[Connection], R]) -> R:
        """Run `work` in one transaction and commit it durably.

        It is run to its end even if the caller is cancelled: half a transaction is rolled back, a whole one counts.

        Args:
            work: Runs in a worker thread.

        Returns:
            What `work` returns.

        Raises:
            StoreError: The database did not take it; nothing of `work` was kept.
        """
        await self.open()

        def transaction() -> R:
            with self._errors("written"), self._engine.begin() as connection:
                return work(connection)

        return await anyio.to_thread.run_sync(transaction, limiter=self._writers)

    async def read(self, work: Callable[[Connection], R]) -> R:
        """Run `work` on a consistent view of the database. It must not write.

        Args:
            work: Runs in a worker thread.

        Returns:
            What `work` returns.

        Raises:
            StoreError: The database could not be read.
        """
        await self.open()
        options: dict[str, Any] = {READ_ONLY: True}
        if not self.is_sqlite:
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

        def transaction() -> R:
            with self._errors("read"), self._engine.connect().execution_options(**options) as connection:
                return work(connection)

        return await anyio.to_thread.run_sync(transaction, limiter=self._readers)

    def now(self, connection: Connection) -> int:
        """The database's time, in microseconds since 1970.

        Args:
            connection: What `write` and `read` hand to their work.
        """
        return self._now(connection)

    def _prepare(self) -> None:
        try:
            with self._errors("opened"):
                self._check_tables()
        except Exception:
            self._engine.dispose()  # whoever cannot open a store has nothing to close
            raise

    def _check_tables(self) -> None:
        with self._engine.begin() as connection:
            exclusively(connection, Purpose.SCHEMA)
            if self._create:
                schema.create(connection)
            elif (version := schema.version_of(connection)) != schema.VERSION:
                found = "has no tables" if version is None else f"has tables of version {version}"
                msg = f"the store {found}, this package needs version {schema.VERSION}; run: pidj store upgrade"
                raise ConfigurationError(msg)

    @contextmanager
    def _errors(self, verb: str) -> Generator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
            msg = f"the store could not be {verb}: {mask_phone_numbers_in(reason)}"
            raise StoreError(msg) from error
