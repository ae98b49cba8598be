"""A whole store into another one: from a file to a server, when one machine is no longer enough, or back.

The rules:

1. All or nothing: the target gets everything in one transaction, in pages, so memory is bounded.
2. Only into an empty store; rows are never merged.
3. Nobody may be at work on the source, and nobody may write to it meanwhile: what came after the copy began would be
   missing in it. Both are looked for, the latter by counting again in the end.
4. Ids stay what they were, and none of them is given a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio.from_thread
from sqlalchemy import Connection, Table, func, select

from pidj_async.errors import ConfigurationError, StoreError
from pidj_async.store.engine import last_id, set_last_id
from pidj_async.store.schema import events, meta, metadata, workers

if TYPE_CHECKING:
    from pidj_async.store.database import Store

__all__ = ["copy_store"]

_PAGE: Final = 1_000

# An order in which a row comes after those that it refers to; what a store says of itself is the target's own.
_TABLES: Final = tuple(table for table in metadata.sorted_tables if table is not meta)


async def copy_store(source: Store, target: Store) -> dict[str, int]:
    """Copy everything.

    Args:
        source: What to copy. It does not change.
        target: Where to. It must be empty.

    Returns:
        How many rows there were, by table: ``events``, ``suppressions``, ``campaigns``, …

    Raises:
        ConfigurationError: The target is not empty, or somebody is at work on the source.
        StoreError: One of them could not be used, or somebody wrote to the source meanwhile. The target is still empty.
    """

    def write(into: Connection) -> dict[str, int]:
        _check_empty(into)

        def read(out: Connection) -> dict[str, int]:
            _check_idle(out, source.now(out))
            return {_name(table): _copy(table, out, into) for table in _TABLES}

        copied = anyio.from_thread.run(source.read, read)
        if (found := _counts(into)) != copied:
            msg = f"the copy is not complete, so it was undone: {found} rows of {copied}"
            raise StoreError(msg)
        if anyio.from_thread.run(source.read, _counts) != copied:
            msg = "somebody wrote to the store while it was copied, so the copy was undone; stop whatever uses it first"
            raise StoreError(msg)
        return copied

    return await target.write(write)


def _name(table: Table) -> str:
    return table.name.removeprefix("pidj_")


def _check_empty(connection: Connection) -> None:
    filled = [_name(table) for table in _TABLES if connection.execute(select(1).select_from(table).limit(1)).first()]
    if filled:
        msg = f"the target is not empty, it has {', '.join(filled)}; a store is copied into an empty one only"
        raise ConfigurationError(msg)


def _check_idle(connection: Connection, now: int) -> None:
    for table, is_busy, who in (
        (workers, workers.c.expires_at > now, "a campaign is being sent from it"),
        (events, (events.c.state == "leased") & (events.c.due_at > now), "events of its inbox are being handled"),
    ):
        if connection.execute(select(1).select_from(table).where(is_busy).limit(1)).first():
            msg = (
                f"the store is in use: {who}. Stop that, and copy again; after a crash it takes up to a minute until "
                "nobody counts as being at work"
            )
            raise ConfigurationError(msg)


def _counts(connection: Connection) -> dict[str, int]:
    return {_name(table): connection.execute(select(func.count()).select_from(table)).scalar_one() for table in _TABLES}


def _copy(table: Table, out: Connection, into: Connection) -> int:
    copied = 0
    query = select(table).order_by(*table.primary_key.columns)
    for page in out.execute(query, execution_options={"yield_per": _PAGE}).mappings().partitions():
        anyio.from_thread.check_cancelled()
        into.execute(table.insert(), [dict(row) for row in page])
        copied += len(page)
    if table.autoincrement_column is not None:
        set_last_id(into, table.autoincrement_column, last_id(out, table.autoincrement_column))
    return copied
