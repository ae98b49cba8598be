"""Many STOP and START at once, through several doors: the list ends in the state of the last event."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import anyio
import pytest

from pidj_async.store import Store
from pidj_async.suppressions import Suppressions
from pidj_async.webhooks import Dispatcher, Event, Inbox, InboxRecord, sample

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

MARIA = "+18885553333"
SAID: list[Callable[[], dict[str, object]]] = [
    lambda: sample("text-received", text={"message": "STOP"}),
    lambda: sample("text-received", text={"message": "Start"}),
    lambda: sample("opt-out"),
    lambda: sample("opt-in"),
]


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
