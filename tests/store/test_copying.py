"""A store that is copied into another one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import anyio
import pytest
from sqlalchemy import Connection, event, func, insert, select, update

from pidj_async.errors import ConfigurationError, StoreError
from pidj_async.store import Store, copying, schema
from pidj_async.store.copying import copy_store
from pidj_async.store.engine import last_id, take_ids
from tests.stores import new_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

PAST, FUTURE = 1, 2**60
EVENT = {"received_at": 1, "name": "text-received", "body": b"{\x00\xff}", "headers": "{}", "fingerprint": "f"}
EVENT |= {"state": "handled", "attempts": 1, "due_at": PAST, "fence": 1}


@pytest.fixture(params=["sqlite", "postgresql"])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of another empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'target.db'}"
    return new_schema(request.getfixturevalue("postgresql"))


def recipient(number: int, campaign: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "campaign": campaign,
        "phone_number": f"+1888555{number:04}",
        "line": number,
        "segments": 1,
        "state": "sent",
        "attempts": 1,
        "fence": 1,
        "text_body": "Grüße \U0001f44d",
    } | more


def fill(connection: Connection, *, recipients: int = 2_345) -> None:
    """A row or more in each table, more than a page in one, and ids that were given and are gone."""
    connection.execute(insert(schema.events), [EVENT, EVENT, EVENT])
    connection.execute(schema.events.delete().where(schema.events.c.id == 3))
    who = {"phone_number": "+18885550000", "scope": "", "source": "test", "changed_at": 5}
    connection.execute(insert(schema.suppressions), [who | {"suppressed": True, "event_id": 2}])
    connection.execute(insert(schema.suppressions), [who | {"suppressed": False, "scope": "gr:1"}])
    connection.execute(
        insert(schema.shapes), [{"event": "x", "path": "", "type": "object", "count": 1, "last_seen": 1}]
    )
    campaign = {"id": "spring", "state": "done", "settings": "{}", "sources": "{}", "created_at": 1}
    connection.execute(insert(schema.campaigns), [campaign])
    connection.execute(insert(schema.workers), [{"identity": "host/1", "started_at": 1, "expires_at": PAST}])
    connection.execute(insert(schema.recipients), [recipient(each) for each in range(recipients)])
    connection.execute(insert(schema.campaign_log), [{"campaign": 1, "at": 1, "what": "created", "who": "me@here"}])


def everything(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
        for table in schema.metadata.sorted_tables
    }


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(schema.events)).scalar_one()


async def test_everything_is_copied_as_it_was(store_url: str, target_url: str) -> None:
    """Every row of every table, in all four directions; the source stays as it was."""
    async with Store(store_url) as source, Store(target_url) as target:
        await source.write(fill)
        before = await source.read(everything)
        copied = await copy_store(source, target)
        assert {f"pidj_{name}": rows for name, rows in copied.items()} == {
            name: len(rows) for name, rows in before.items() if name != "pidj_meta"
        }
        assert 2_345 == copied["recipients"]
        assert before == await target.read(everything)
        assert before == await source.read(everything)


async def test_no_id_is_given_a_second_time(store_url: str, target_url: str) -> None:
    """New rows of the copy are numbered after the last that the source ever gave, also if that row is gone."""
    async with Store(store_url) as source, Store(target_url) as target:
        await source.write(fill)
        await copy_store(source, target)
        assert [4, 5] == await target.write(lambda connection: take_ids(connection, schema.events, 2))

        def add(connection: Connection) -> tuple[int, int]:
            row = {"id": "autumn", "state": "done", "settings": "{}", "sources": "{}", "created_at": 1}
            campaign = connection.execute(insert(schema.campaigns).values(row).returning(schema.campaigns.c.number))
            number = campaign.scalar_one()
            someone = insert(schema.recipients).values(recipient(1, number)).returning(schema.recipients.c.id)
            return number, connection.execute(someone).scalar_one()

        assert (2, 2_346) == await target.write(add)


async def test_an_empty_store_makes_an_empty_copy(store_url: str, target_url: str) -> None:
    """And the first row there gets the first id."""
    async with Store(store_url) as source, Store(target_url) as target:
        assert {0} == set((await copy_store(source, target)).values())
        assert 0 == await target.read(lambda connection: last_id(connection, schema.events.c.id))
        assert [1] == await target.write(lambda connection: take_ids(connection, schema.events, 1))


async def test_a_target_with_anything_in_it_is_refused(store_url: str, target_url: str) -> None:
    """Nothing is merged, and nothing there changes."""
    async with Store(store_url) as source, Store(target_url) as target:
        await source.write(fill)
        await target.write(lambda connection: connection.execute(insert(schema.events), [EVENT]))
        before = await target.read(everything)
        with pytest.raises(ConfigurationError, match="not empty, it has events; a store is copied into an empty one"):
            await copy_store(source, target)
        assert before == await target.read(everything)


def someone_sends(connection: Connection) -> None:
    connection.execute(update(schema.workers).values(expires_at=FUTURE))


def someone_handles(connection: Connection) -> None:
    connection.execute(update(schema.events).values(state="leased", due_at=FUTURE))


@pytest.mark.parametrize(
    ("busy", "said"), [(someone_sends, "a campaign is being sent"), (someone_handles, "events of its inbox")]
)
async def test_a_store_that_is_in_use_is_not_copied(busy: Any, said: str, store_url: str, tmp_path: Path) -> None:
    """What a worker does meanwhile would be missing in the copy."""
    async with Store(store_url) as source, Store(f"sqlite:///{tmp_path}/target.db") as target:
        await source.write(fill)
        await source.write(busy)
        with pytest.raises(ConfigurationError, match=f"the store is in use: {said}"):
            await copy_store(source, target)
        assert 0 == await target.read(count)


async def test_who_writes_meanwhile_is_noticed(store_url: str, target_url: str) -> None:
    """The copy is undone, since what was written would be missing in it."""
    async with Store(store_url) as source, Store(target_url) as target:
        await source.write(fill)

        def write_too(table: Any, out: Connection, into: Connection) -> int:
            copied = real(table, out, into)
            if table is schema.recipients:
                anyio.from_thread.run(source.write, lambda other: other.execute(insert(schema.events), [EVENT]))
            return copied

        real = copying._copy
        with (
            mock.patch.object(copying, "_copy", write_too),
            pytest.raises(StoreError, match="somebody wrote to the store while it was copied"),
        ):
            await copy_store(source, target)
        assert 0 == await target.read(count)


async def test_rows_that_got_lost_are_noticed(store_url: str, tmp_path: Path) -> None:
    """The target's rows are counted before they are committed."""
    async with Store(store_url) as source, Store(f"sqlite:///{tmp_path}/target.db") as target:
        await source.write(fill)

        def one_more(table: Any, out: Connection, into: Connection) -> int:
            return 1 + real(table, out, into)

        real = copying._copy
        with mock.patch.object(copying, "_copy", one_more), pytest.raises(StoreError, match="not complete"):
            await copy_store(source, target)
        assert 0 == await target.read(count)


async def test_a_copy_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    """It ends at the next page."""
    async with Store(f"sqlite:///{tmp_path}/a.db") as source, Store(f"sqlite:///{tmp_path}/b.db") as target:
        await source.write(fill)
        with anyio.CancelScope() as scope, watching(scope):
            await copy_store(source, target)
        assert scope.cancelled_caught
        assert 0 == await target.read(count)


def watching(scope: anyio.CancelScope) -> Any:
    """Cancel when the third page comes."""
    pages = iter(range(3))
    real = anyio.from_thread.check_cancelled

    def check() -> None:
        if next(pages, None) is None:
            anyio.from_thread.run_sync(scope.cancel)
        real()

    return mock.patch.object(anyio.from_thread, "check_cancelled", check)


async def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    """The target is as empty as it was, and can be tried again."""
    async with Store(f"sqlite:///{tmp_path}/a.db") as source, Store(f"sqlite:///{tmp_path}/b.db") as target:
        await source.write(fill)
        with full_disk(target), pytest.raises(StoreError, match="disk is full"):
            await copy_store(source, target)
        assert 0 == await target.read(count)
        assert 2 == (await copy_store(source, target))["events"]


@contextmanager
def full_disk(store: Store) -> Iterator[None]:
    """Let a SQLite file grow no more."""

    def limit(connection: Any, *_: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    store._engine.dispose()
    event.listen(store._engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(store._engine, "connect", limit)
        store._engine.dispose()
