"""Which events are duplicates: found without an index, so each way in which a process may not know is tried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest
from sqlalchemy import inspect

from pidj_async.errors import StoreError
from pidj_async.store import Store
from pidj_async.webhooks import Inbox, sample
from pidj_async.webhooks.inbox import duplicates, table
from pidj_async.webhooks.inbox.duplicates import RecentBodies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

pytestmark = pytest.mark.anyio

SECOND = 1_000_000


def text(message: str = "Yes") -> bytes:
    return json.dumps(sample("text-received", text={"message": message})).encode()


class Clock:
    """A clock that goes on when it is told to, for any number of stores."""

    def __init__(self, *stores: Store) -> None:
        self.now = 1_800_000_000_000_000
        for store in stores:
            store._now = lambda _: self.now

    def pass_(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(store_url) as store:
        yield store


async def duplicates_of(inbox: Inbox) -> list[int | None]:
    return [record.duplicate_of for record in reversed(await inbox.list())]


async def test_each_duplicate_names_the_first_within_the_window(store: Store) -> None:
    """Of several equal bodies the oldest that is not too old, and then the next."""
    inbox = Inbox(store, duplicate_window=5.0)
    clock = Clock(store)
    ids = []
    for pause in (0, 2, 2, 2, 4):
        clock.pass_(pause)
        ids.append(await inbox.put(text()))
    first, second, _, fourth, _ = ids
    assert [None, first, first, second, fourth] == await duplicates_of(inbox)


async def test_processes_see_each_others_events(store_url: str) -> None:
    """Two inboxes in turn, each with a store of its own: what one has taken is a duplicate to the other."""
    async with Store(store_url) as one, Store(store_url) as other:
        clock = Clock(one, other)
        inboxes = Inbox(one), Inbox(other)
        expected = []
        for turn in range(6):
            first = await inboxes[turn % 2].put(text(str(turn)))
            clock.pass_(1)
            await inboxes[turn % 2].put(text("in between"))
            await inboxes[1 - turn % 2].put(text(str(turn)))
            expected.append((first, first + 2))
        found = {record.id: record.duplicate_of for record in await inboxes[0].list()}
    assert [first for first, _ in expected] == [found[second] for _, second in expected]


async def test_a_process_that_starts_knows_what_came_before(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads back as far as the window goes, page by page, and no further."""
    monkeypatch.setattr(duplicates, "_NEWEST", duplicates._NEWEST.limit(2))
    monkeypatch.setattr(duplicates, "_PAGE", 2)
    async with Store(store_url) as store:
        clock = Clock(store)
        before = Inbox(store)
        for message in ("too old", "a", "b", "c", "d", "e"):
            await before.put(text(message))
            clock.pass_(1 if message != "too old" else 0.5)
        after = Inbox(store)
        for message in ("too old", "a", "e", "new"):
            await after.put(text(message))
        assert [None, 2, 6, None] == (await duplicates_of(after))[6:]


async def test_what_was_not_committed_makes_no_duplicate(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender who was told 503 sends the event again, and it is the first."""
    inbox = Inbox(store)
    with monkeypatch.context() as patch:
        patch.setattr(table, "insert_rows", lambda connection, *_: connection.exec_driver_sql("SELECT nothing"))
        with pytest.raises(StoreError):
            await inbox.put(text())
    await inbox.put(text())
    first = (await inbox.list())[0].id
    await inbox.put(text())
    assert [None, first] == await duplicates_of(inbox)


async def test_many_at_once_through_two_processes(store_url: str) -> None:
    """Whoever comes second, in whichever process, is the duplicate: one of each pair, never both and never neither."""
    async with Store(store_url) as one, Store(store_url) as other:
        inboxes = Inbox(one, duplicate_window=60), Inbox(other, duplicate_window=60)
        async with anyio.create_task_group() as group:
            for number in range(100):
                for inbox in inboxes:
                    group.start_soon(inbox.put, text(str(number)))
        records = await inboxes[0].list(limit=1_000)
    by_body = {record.body: record.id for record in records if record.duplicate_of is None}
    assert 100 == len(by_body)
    second = [record for record in records if record.duplicate_of is not None]
    assert [by_body[record.body] for record in second] == [record.duplicate_of for record in second]


async def test_without_a_window_nothing_is_remembered(store: Store) -> None:
    """``duplicate_window=0``: there are no duplicates, also not within one commit."""
    inbox = Inbox(store, duplicate_window=0)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(inbox.put, text())
    await inbox.put(text())
    assert [None] * 4 == await duplicates_of(inbox)
    assert ({}, 0) == (inbox._recent._first, len(inbox._recent._arrivals))


def remembered(recent: RecentBodies, fingerprints: Iterable[str]) -> list[int | None]:
    return [recent.first_with(fingerprint) for fingerprint in fingerprints]


def test_no_more_than_a_fixed_number_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the window, memory is bounded: the oldest are forgotten first."""
    monkeypatch.setattr(duplicates, "MAX_BODIES", 3)
    recent = RecentBodies(window=3_600 * SECOND)
    recent.add(range(1, 6), "abacd", now=1)
    assert [3, None, 4, 5] == remembered(recent, "abcd")
    assert (3, 3, {}) == (len(recent._arrivals), len(recent._first), recent._others)


async def test_the_index_that_this_replaces_is_gone(store: Store) -> None:
    """It was half of what storing an event cost."""
    indexes = await store.read(lambda connection: inspect(connection).get_indexes("pidj_events"))
    assert ["pidj_events_due", "pidj_events_order"] == sorted(str(index["name"]) for index in indexes)
