"""The store: transactions on both databases, and what is said when there can be none."""

from __future__ import annotations

import subprocess
import sys
import traceback
from typing import TYPE_CHECKING

import anyio
import pytest
from sqlalchemy import Connection, inspect, select, text, update

from pidj_async.errors import ConfigurationError, StoreError
from pidj_async.store import Store, schema
from pidj_async.store.engine import insert_rows, take_ids
from pidj_async.store.schema import suppressions

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def put(connection: Connection, number: str = "+18885553333") -> None:
    connection.execute(
        suppressions.insert().values(phone_number=number, scope="", suppressed=True, source="test", changed_at=1)
    )


def numbers(connection: Connection) -> list[str]:
    return list(connection.execute(select(suppressions.c.phone_number)).scalars())


async def test_what_is_written_is_there_for_another_store(store_url: str) -> None:
    """A write is committed when it returns."""
    async with Store(store_url) as store, Store(store_url) as other:
        await store.write(put)
        assert await other.read(numbers) == ["+18885553333"]


async def test_a_write_that_fails_leaves_nothing(store_url: str) -> None:
    """An error in the work rolls all of it back, and comes out as it is."""

    def fail(connection: Connection) -> None:
        put(connection)
        raise LookupError

    async with Store(store_url) as store:
        with pytest.raises(LookupError):
            await store.write(fail)
        assert await store.read(numbers) == []


async def test_a_database_error_is_a_store_error_without_anybodys_data(store_url: str) -> None:
    """What the database refuses is a `StoreError`; neither its text nor its traceback has the values in it."""
    async with Store(store_url) as store:
        await store.write(put)
        with pytest.raises(StoreError, match="the store could not be written: ") as refused:
            await store.write(put)
        told = "".join(traceback.format_exception(refused.value)).replace("put(", "")
        assert ("18885553333" in str(refused.value), "parameters hidden" in told) == (False, True)


async def test_opening_at_the_same_time_makes_the_tables_once(store_url: str) -> None:
    """Several processes may start on an empty database together."""
    stores = [Store(store_url) for _ in range(4)]
    async with anyio.create_task_group() as group:
        for store in stores:
            group.start_soon(store.open)
    assert await stores[0].read(schema.version_of) == schema.VERSION
    for store in stores:
        await store.aclose()


async def test_a_closed_store_opens_again(store_url: str) -> None:
    """`aclose` gives the connections back; the store stays usable."""
    store = Store(store_url)
    await store.write(put)
    await store.aclose()
    assert await store.read(numbers) == ["+18885553333"]
    await store.aclose()


async def test_tables_of_a_newer_version_are_refused(store_url: str) -> None:
    """An old program does not write into tables that it does not know."""
    async with Store(store_url) as store:
        await store.write(lambda connection: connection.execute(update(schema.meta).values(value="999")))
    with pytest.raises(ConfigurationError, match="of version 999, this package knows"):
        await Store(store_url).open()
    with pytest.raises(ConfigurationError, match="has tables of version 999"):
        await Store(store_url, create=False).open()


async def test_tables_of_the_first_version_are_brought_up_to_date(store_url: str) -> None:
    """Its index on fingerprints goes, campaigns come; what is stored stays."""

    def make_old(connection: Connection) -> None:
        put(connection)
        connection.execute(text("CREATE INDEX pidj_events_fingerprint ON pidj_events (fingerprint, received_at)"))
        schema.metadata.drop_all(connection, tables=schema.UPGRADES[1][0])
        connection.execute(update(schema.meta).values(value="1"))

    def indexes(connection: Connection) -> list[str]:
        return sorted(str(index["name"]) for index in inspect(connection).get_indexes("pidj_events"))

    async with Store(store_url) as store:
        await store.write(make_old)
    with pytest.raises(ConfigurationError, match="has tables of version 1, this package needs"):
        await Store(store_url, create=False).open()
    async with Store(store_url) as store:
        assert await store.read(numbers) == ["+18885553333"]
        assert await store.read(schema.version_of) == schema.VERSION
        assert await store.read(indexes) == ["pidj_events_due", "pidj_events_order"]
        assert await store.read(lambda connection: inspect(connection).has_table("pidj_recipients"))


async def test_without_create_an_empty_database_is_refused(store_url: str) -> None:
    """And it stays empty."""
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"the store has no tables, .* run: pidj store upgrade"):
            await Store(store_url, create=False).open()


async def test_ids_are_never_given_twice(store_url: str) -> None:
    """Also if the rows are deleted."""

    def twice(connection: Connection) -> list[int]:
        first = take_ids(connection, schema.events, 3)
        blank = dict.fromkeys(("name", "headers", "fingerprint", "state"), "")
        number = dict.fromkeys(("received_at", "attempts", "due_at", "fence"), 0)
        connection.execute(schema.events.insert(), [{"id": each, "body": b"", **blank, **number} for each in first])
        connection.execute(schema.events.delete())
        return first + take_ids(connection, schema.events, 2)

    async with Store(store_url) as store:
        assert await store.write(twice) == [1, 2, 3, 4, 5]


async def test_rows_are_inserted_many_at_a_time(store_url: str) -> None:
    """More than fit into one statement, each value of its type, and nothing else than `Table.insert` would write."""
    columns = (
        "id",
        "received_at",
        "name",
        "order_key",
        "body",
        "headers",
        "fingerprint",
        "state",
        "attempts",
        "due_at",
    )
    rows = [
        (number, 2**60 + number, "Zoë '?%s:x", None if number % 2 else "+1", b"\0\xff" * number, "{}", "", "x", 0, -1)
        for number in range(1, 151)
    ]
    with_fence = [(*row, 7) for row in rows]

    def stored(connection: Connection) -> list[tuple[object, ...]]:
        found = connection.execute(select(schema.events).order_by(schema.events.c.id)).all()
        return [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in found]

    def many(connection: Connection) -> list[tuple[object, ...]]:
        insert_rows(connection, schema.events, (*columns, "fence"), with_fence)
        written = stored(connection)
        connection.execute(schema.events.delete())
        return written

    def usual(connection: Connection) -> list[tuple[object, ...]]:
        values = [dict(zip((*columns, "fence"), row, strict=True)) for row in with_fence]
        connection.execute(schema.events.insert(), values)
        return stored(connection)

    async with Store(store_url) as store:
        expected = await store.write(usual)
        await store.write(lambda connection: connection.execute(schema.events.delete()))
        actual = await store.write(many)
    assert (150, expected) == (len(expected), actual)


async def test_times_of_both_databases_are_microseconds(store_url: str) -> None:
    """The database's clock is this machine's here."""
    async with Store(store_url) as store:
        early, late = await store.read(store.now), await store.read(store.now)
    assert 1_700_000_000_000_000 < early <= late < 9_000_000_000_000_000


async def test_sqlite_commits_are_durable(tmp_path: Path) -> None:
    """A write-ahead log, and a commit that waits for the disk."""
    pragmas = ("journal_mode", "synchronous")
    async with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        values = await store.read(lambda c: [c.execute(text(f"PRAGMA {pragma}")).scalar() for pragma in pragmas])
    assert values == ["wal", 2]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://root:hunter2@localhost/x", "must begin with sqlite:/// or postgresql://"),
        ("postgresql://root:hunter2@host:port/x", "cannot be read"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_a_url_that_cannot_be_is_refused_at_once(url: str, problem: str) -> None:
    """And not shown, because it may hold a password."""
    with pytest.raises(ConfigurationError, match=problem) as refused:
        Store(url)
    assert "hunter2" not in str(refused.value)


def test_the_environment_says_where() -> None:
    """`PIDJ_STORE` is used if nothing is given, and passwords are not shown."""
    code = "from pidj_async.store import Store; print(Store())"
    environ = {"PIDJ_STORE": "postgres://me:hunter2@db/texts"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "<Store postgresql+psycopg://me:***@db/texts>\n"


@pytest.mark.parametrize("code", ["from pidj_async.store import Store", "from pidj_async.webhooks.inbox import Inbox"])
def test_without_sqlalchemy_the_extra_is_named(code: str) -> None:
    """Whoever has not installed the extra reads how to."""
    run = f"import sys; sys.modules['sqlalchemy'] = None\ntry: {code}\nexcept ValueError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True)
    assert 'pip install "pidj-async[store]"' in done.stdout


async def test_a_server_that_is_not_there_is_a_store_error() -> None:
    """It may be there later, so this is no mistake in the configuration."""
    with pytest.raises(StoreError, match="the store could not be opened: ") as refused:
        await Store("postgresql://me:hunter2@127.0.0.1:1/x").open()
    assert "hunter2" not in str(refused.value)
