"""`Store`: the database, from asyncio and trio.

SQLAlchemy runs in worker threads, so one implementation serves both event loops and both databases, and a slow disk
never stops the loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from pidj_async.errors import ConfigurationError
from pidj_async.store import schema
from pidj_async.store.engine import open_engine

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["DEFAULT_URL", "Store"]

R = TypeVar("R")

DEFAULT_URL = "sqlite:///pidj.db"
"""Where a store is kept if nobody says otherwise: a file in the working directory."""


class Store:
    """One database for the inbox, the suppression list and campaigns.

    ::

        async with Store("sqlite:///pidj.db") as store:
            ...

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
            ConfigurationError: If the database cannot be reached, or its tables are not of this version.
        """
        if self._opened:
            return
        try:
            await self._in_thread(self._prepare, self._writers)
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
            msg = f"the store {self!r} cannot be opened: {reason}"
            raise ConfigurationError(msg) from None
        self._opened = True

    async def aclose(self) -> None:
        """Close every connection."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._engine.dispose)
        self._opened = False

    async def __aenter__(self) -> Store:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def write(self, work: Callable[[Connection], R]) -> R:
        """Run `work` in one transaction and commit it durably.

        It is run to its end even if the caller is cancelled: half a transaction is rolled back, a whole one counts.

        Raises:
            SQLAlchemyError: As the database reports it; nothing of `work` was kept.
        """
        await self.open()

        def transaction() -> R:
            with self._engine.begin() as connection:
                return work(connection)

        return await self._in_thread(transaction, self._writers)

    async def read(self, work: Callable[[Connection], R]) -> R:
        """Run `work` on a consistent view of the database. It must not write."""
        await self.open()

        def transaction() -> R:
            with self._engine.connect().execution_options(pidj_read_only=True) as connection:
                return work(connection)

        return await self._in_thread(transaction, self._readers)

    def _prepare(self) -> None:
        with self._engine.begin() as connection:
            if self._create:
                schema.create(connection)
            elif (version := schema.version_of(connection)) != schema.VERSION:
                found = "has no tables" if version is None else f"has tables of version {version}"
                msg = f"the store {found}, this package needs version {schema.VERSION}; run: pidj store upgrade"
                raise ConfigurationError(msg)

    @staticmethod
    async def _in_thread(work: Callable[[], R], limiter: anyio.CapacityLimiter) -> R:
        return await anyio.to_thread.run_sync(work, limiter=limiter)

