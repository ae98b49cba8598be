"""The store: one SQL database for whatever must survive a crash.

SQLite is the embedded default, PostgreSQL the same thing for several machines; one implementation on SQLAlchemy Core
serves both. ``schema`` holds the tables, ``engine`` what differs between the two databases, ``database`` the `Store`,
``grouping`` how many small writes share one commit, ``copying`` how a store moves to another database. What the rows
mean is decided by whoever owns the table: the inbox (`pidj_async.webhooks.inbox`), the suppression list
(`pidj_async.suppressions`), the ledger of campaigns (`pidj_async.campaigns`).

SQLAlchemy is imported with `Store`, not with this package; it is in the extra ``store``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pidj_async.store.database import Store

__all__ = ["Store"]


def __getattr__(name: str) -> object:
    if name == "Store":
        try:
            from pidj_async.store.database import Store  # noqa: PLC0415  see above
        except ModuleNotFoundError as error:
            from pidj_async.errors import ConfigurationError  # noqa: PLC0415

            if error.name is None or error.name.partition(".")[0] != "sqlalchemy":
                raise
            msg = 'the store needs SQLAlchemy; install it with: pip install "pidj-async[store]"'
            raise ConfigurationError(msg) from error
        return Store
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
