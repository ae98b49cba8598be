"""Many STOP and START at once, through several doors: the list ends in the state of the last event."""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import Connection, text

from pidj_async.store import Store
from pidj_async.store.engine import Purpose, exclusively
from pidj_async.suppressions import Suppressions
from pidj_async.webhooks import Dispatcher, Event, Inbox, InboxRecord, sample

from ..stores import new_schema  # noqa: TID252  tests import one another so

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

MARIA = "+18885553333"
PATIENCE = 20.0
SAID: list[Callable[[], dict[str, object]]] = [
    lambda: sample("text-received", text={"message": "STOP"}),
    lambda: sample("text-received", text={"message": "Start"}),
    lambda: sample("opt-out"),
    lambda: sample("opt-in"),
]


@pytest.mark.parametrize("purpose", [Purpose.INSERT_EVENTS, Purpose.CLAIM_EVENTS])
async def test_on_postgresql_one_transaction_waits_for_the_other(postgresql: str, purpose: Purpose) -> None:
    """Ids are committed in their order, and claims do not overlap: the second of two waits for the first's commit."""
    url = new_schema(postgresql)
    held, release = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        exclusively(connection, purpose)
        held.set()
        release.wait(PATIENCE)

    def is_anybody_waiting(connection: Connection) -> bool:
        return bool(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())

    async with Store(url) as one, Store(url) as two:
        inbox = Inbox(two)
        done = anyio.Event()
        if purpose is Purpose.CLAIM_EVENTS:
            await inbox.put(json.dumps(sample("opt-in")).encode())

        async def second() -> None:
            if purpose is Purpose.CLAIM_EVENTS:
                await inbox.drain(Dispatcher())
            else:
                await inbox.put(json.dumps(sample("opt-in")).encode())
            done.set()

        async with anyio.create_task_group() as group:
            group.start_soon(one.write, hold)
            await anyio.to_thread.run_sync(held.wait, PATIENCE)
            group.start_soon(second)
            with anyio.fail_after(PATIENCE):
                while not done.is_set() and not await two.read(is_anybody_waiting):  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            assert not done.is_set()
            release.set()
        assert done.is_set()


@pytest.mark.parametrize("races", [25, pytest.param(1_000, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])])
async def test_the_list_ends_in_the_state_of_the_last_event(store_url: str, races: int) -> None:
    """And the handlers hear of them in that order too."""
    async with Store(store_url) as one, Store(store_url) as two:
        inboxes = [Inbox(one), Inbox(two, poll=0.02)]
        suppressions = Suppressions(one)
        dispatcher = Dispatcher()
        heard: list[int] = []

        @dispatcher.on(Event)
        async def listen(_: Event, record: InboxRecord) -> None:
            heard.append(record.id)

        for race in range(races):
            chance = random.Random(race)
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    posted = json.dumps(chance.choice(SAID)()).encode()
                    group.start_soon(chance.choice(inboxes).put, posted)
            last, *_ = await inboxes[0].list(limit=1)
            assert (last.consent == "opt-out") == await suppressions.is_suppressed(MARIA)
            async with anyio.create_task_group() as group:
                for inbox in inboxes:
                    group.start_soon(inbox.drain, dispatcher)
        assert sorted(heard) == heard
        assert (await inboxes[0].counts())["handled"] == len(heard) == races * 8
