"""A STOP against a claim, and workers against each other, at the same moment.

That no text is claimed once the suppression has been committed is shown by the database itself: triggers number the
writes of both kinds. A claim and an opt-out exclude each other until they are committed, so the one with the lower
number was committed first. Were they not to exclude each other, a claim would get a higher number than an opt-out that
it cannot see.
"""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from pidj_async.campaigns.ledger import Ledger
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.store import Store
from pidj_async.suppressions import Change, Suppressions, apply_changes
from pidj_async.webhooks import Inbox, sample

from ..stores import new_schema  # noqa: TID252  tests import one another so
from .ledgers import GROUP, LEASE, Clock, Desk, all_settled, number, open_desk, people

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy import Connection

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
LONG_ENOUGH = 0.3  # for somebody who is not kept waiting to be done

SQLITE = [
    "CREATE TABLE written (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT, phone_number TEXT)",
    """CREATE TRIGGER stopped AFTER INSERT ON pidj_suppressions BEGIN
        INSERT INTO written (what, phone_number) VALUES ('stop', new.phone_number); END""",
    """CREATE TRIGGER claimed AFTER UPDATE ON pidj_recipients WHEN new.state = 'sending' BEGIN
        INSERT INTO written (what, phone_number) VALUES ('claim', new.phone_number); END""",
]
POSTGRESQL = [
    "CREATE TABLE written (id BIGSERIAL PRIMARY KEY, what TEXT, phone_number TEXT)",
    """CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO written (what, phone_number) VALUES (tg_argv[0], new.phone_number); RETURN new; END $$""",
    """CREATE TRIGGER stopped AFTER INSERT ON pidj_suppressions
        FOR EACH ROW EXECUTE FUNCTION write_down('stop')""",
    """CREATE TRIGGER claimed AFTER UPDATE ON pidj_recipients
        FOR EACH ROW WHEN (new.state = 'sending') EXECUTE FUNCTION write_down('claim')""",
]


@pytest.fixture
async def stores(store_url: str) -> AsyncIterator[list[Store]]:
    """Three processes' worth of stores on one database, which numbers what is written."""
    stores = [Store(store_url) for _ in range(3)]
    for store in stores:
        Clock(store)

    def watch(connection: Connection) -> None:
        for statement in SQLITE if stores[0].is_sqlite else POSTGRESQL:
            connection.exec_driver_sql(statement)

    await stores[0].write(watch)
    yield stores
    for store in stores:
        await store.aclose()


def order(connection: Connection) -> dict[str, dict[str, int]]:
    """For each number, when it was stopped and when claimed."""
    found: dict[str, dict[str, int]] = {}
    for each, what, phone_number in connection.exec_driver_sql(
        "SELECT id, what, phone_number FROM written ORDER BY id"
    ):
        assert what not in found.setdefault(phone_number, {}), "nobody is claimed or stopped twice here"
        found[phone_number][what] = each
    return found


def doors(inbox: Inbox, suppressions: Suppressions) -> list[Callable[[str], Awaitable[object]]]:
    """The ways to the suppression list."""

    def put(who: str, name: str, **fields: object) -> Awaitable[object]:
        event = sample(name, **fields)
        return inbox.put(json.dumps(event).replace("+18885553333", who).replace("+18885552222", who).encode())

    return [
        lambda who: put(who, "opt-out"),
        lambda who: put(who, "text-received", text={"message": "Stop!"}),
        suppressions.add,
        lambda who: suppressions.add(who, GROUP),
    ]


async def claim_of(desk: Desk, store: Store, worker: int, limit: int) -> list[str]:
    """A turn of another process."""
    ledger = Ledger(store)
    turn = await ledger.turn(desk.campaign, worker, settlements=[], limit=limit, lease=LEASE, opening=lambda *_: None)
    return [claim.phone_number for claim in turn.claims]


@pytest.mark.parametrize("races", [35, pytest.param(1_000, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])])
async def test_nobody_is_claimed_once_they_have_stopped(stores: list[Store], races: int) -> None:
    """Three people of each race opt out while two workers claim them."""
    desk = await open_desk(stores[0], 0)
    for first in range(1, 3 * races + 1, 1_500):
        await desk.ledger.add(desk.campaign, people(min(1_500, 3 * races + 1 - first), first))
    workers = [await desk.ledger.register(identity=str(each), lease=LEASE) for each in range(2)]
    ways = doors(Inbox(stores[2]), Suppressions(stores[2]))
    stopped: dict[str, float] = {}

    async def stop(who: str, way: Callable[[str], Awaitable[object]], wait: float) -> None:
        await anyio.sleep(wait)
        await way(who)
        stopped[who] = anyio.current_time()

    async def claim(store: Store, worker: int, wait: float) -> None:
        await anyio.sleep(wait)
        began = anyio.current_time()
        for who in await claim_of(desk, store, worker, 2):
            assert stopped.get(who, began) >= began, "they had stopped before this claim began"

    for race in range(races):
        chance = random.Random(race)
        async with anyio.create_task_group() as group:
            for each in range(3 * race + 1, 3 * race + 4):
                group.start_soon(stop, number(each), chance.choice(ways), chance.choice([0, 0, 0.001, 0.003]))
            for store, worker in zip(stores, workers, strict=False):
                group.start_soon(claim, store, worker, chance.choice([0, 0, 0.001, 0.003]))
    await desk.turn(limit=3 * races)  # whoever is left has stopped
    written = await stores[0].read(order)
    assert 3 * races == len(written)
    late = [who for who, when in written.items() if when.get("claim", 0) > when["stop"]]
    assert [] == late
    counts = await desk.counts()
    claimed = sum("claim" in when for when in written.values())
    assert {RecipientState.SENDING: claimed, RecipientState.SUPPRESSED: 3 * races - claimed} == counts
    assert 0 < claimed < 3 * races, "a race has two ends"


class Barrier:
    """Holds a transaction open, from inside it."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def hold(self) -> None:
        self.reached.set()
        assert self.open.wait(PATIENCE)

    async def wait_until_reached(self) -> None:
        assert await anyio.to_thread.run_sync(self.reached.wait, PATIENCE)


async def test_a_claim_waits_for_an_opt_out_that_is_being_committed(stores: list[Store]) -> None:
    """And sees it."""
    desk, barrier = await open_desk(stores[0], 2), Barrier()
    claimed: list[list[str]] = []

    def opt_out(connection: Connection) -> None:
        apply_changes(connection, [Change(phone_number=number(1), suppressed=True, source="test", at=1)])
        barrier.hold()

    async def claim() -> None:
        claimed.append(await claim_of(desk, stores[1], desk.worker, 2))

    async with anyio.create_task_group() as group:
        group.start_soon(stores[2].write, opt_out)
        await barrier.wait_until_reached()
        group.start_soon(claim)
        await anyio.sleep(LONG_ENOUGH)
        assert [] == claimed
        barrier.open.set()
    assert [[number(2)]] == claimed


@pytest.mark.parametrize("way", range(4))
async def test_an_opt_out_waits_for_a_claim_that_is_being_committed(stores: list[Store], way: int) -> None:
    """It is committed after it, and so is the answer to the webhook."""
    desk, barrier = await open_desk(stores[0], 2), Barrier()
    stop = doors(Inbox(stores[2]), Suppressions(stores[2]))[way]
    done: list[str] = []

    def opening(*_: object) -> None:
        barrier.hold()

    async def claim() -> None:
        await desk.turn(limit=1, opening=opening)
        done.append("claim")

    async def opt_out() -> None:
        await stop(number(1))
        done.append("opt-out")

    async with anyio.create_task_group() as group:
        group.start_soon(claim)
        await barrier.wait_until_reached()
        group.start_soon(opt_out)
        await anyio.sleep(LONG_ENOUGH)
        assert [] == done
        barrier.open.set()
    assert {"claim", "opt-out"} == set(done)
    written = (await stores[0].read(order))[number(1)]
    assert ["claim", "stop"] == sorted(written, key=written.__getitem__)
    assert () == await desk.claim(0)
    assert [RecipientState.SENDING, RecipientState.READY] == await desk.states()


async def test_on_postgresql_claims_do_not_wait_for_each_other(postgresql_stores: list[Store]) -> None:
    """One worker's turn takes as long as it takes; another's passes over its rows."""
    desk, barrier = await open_desk(postgresql_stores[0], 4), Barrier()
    other = await desk.ledger.register(identity="there", lease=LEASE)
    claims: list[str] = []

    def opening(*_: object) -> None:
        if not barrier.open.is_set():
            barrier.hold()

    async def claim() -> None:
        claims.extend(claim.phone_number for claim in (await desk.turn(limit=2, opening=opening)).claims)

    async with anyio.create_task_group() as group:
        group.start_soon(claim)
        await barrier.wait_until_reached()
        with anyio.fail_after(PATIENCE):
            assert [number(3), number(4)] == await claim_of(desk, postgresql_stores[1], other, 4)
        assert [] == claims
        barrier.open.set()
    assert [number(1), number(2)] == claims


async def test_on_postgresql_a_change_of_state_waits_for_claims(postgresql_stores: list[Store]) -> None:
    """Once `change_state` returns, nobody claims on the strength of the state before."""
    desk, barrier = await open_desk(postgresql_stores[0], 4), Barrier()
    done: list[str] = []

    def opening(*_: object) -> None:
        if not barrier.open.is_set():
            barrier.hold()

    async def claim() -> None:
        await desk.turn(limit=2, opening=opening)
        done.append("claim")

    async def cancel() -> None:
        await Ledger(postgresql_stores[1]).change_state(desk.campaign, CampaignState.CANCELLED, who="bert")
        done.append("cancel")

    async with anyio.create_task_group() as group:
        group.start_soon(claim)
        await barrier.wait_until_reached()
        group.start_soon(cancel)
        await anyio.sleep(LONG_ENOUGH)
        assert [] == done
        barrier.open.set()
    assert {RecipientState.SENDING: 2, RecipientState.CANCELLED: 2} == await desk.counts()


async def test_a_sweep_waits_for_a_worker_that_is_just_being_heard_of(stores: list[Store]) -> None:
    """Its lease had run out, and its turn prolongs it: it keeps what it claims in it."""
    desk, barrier = await open_desk(stores[0], 4), Barrier()
    for store in stores:
        Clock(store).advance(LEASE)
    swept: list[int] = []

    def opening(*_: object) -> None:
        if not barrier.open.is_set():
            barrier.hold()

    async def claim() -> None:
        await desk.turn(limit=2, opening=opening)

    async def sweep() -> None:
        swept.append(await Ledger(stores[1]).sweep(is_dead=lambda _: False))

    await desk.turn(limit=1, lease=0.0)  # claimed, and not prolonged
    async with anyio.create_task_group() as group:
        group.start_soon(claim)
        await barrier.wait_until_reached()
        group.start_soon(sweep)
        await anyio.sleep(LONG_ENOUGH)
        assert [] == swept
        barrier.open.set()
    assert [0] == swept
    assert {RecipientState.SENDING: 3, RecipientState.READY: 1} == await desk.counts()


@pytest.fixture
async def postgresql_stores(postgresql: str) -> AsyncIterator[list[Store]]:
    """Two processes' worth of stores on a PostgreSQL."""
    url = new_schema(postgresql)
    async with Store(url) as one, Store(url) as two:
        Clock(two)
        yield [one, two]


@pytest.mark.parametrize("count", [200, pytest.param(5_000, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])])
async def test_everything_at_once_ends(stores: list[Store], count: int) -> None:
    """Workers, sweeps, opt-outs, additions and looks, without a deadlock; everybody is claimed once."""
    desk = await open_desk(stores[0], 0)
    for first in range(1, count + 1, 1_500):
        await desk.ledger.add(desk.campaign, people(min(1_500, count + 1 - first), first))
    claimed: list[int] = []
    stop = anyio.Event()
    suppressions = Suppressions(stores[2])

    async def work(store: Store, identity: str) -> None:
        ledger = Ledger(store)
        worker = await ledger.register(identity=identity, lease=LEASE)
        claims = None
        while claims is None or claims:
            turn = await ledger.turn(
                desk.campaign,
                worker,
                settlements=all_settled(claims or ()),
                limit=7,
                lease=LEASE,
                opening=lambda *_: None,
            )
            claims = turn.claims
            claimed.extend(claim.id for claim in claims)
            await ledger.sweep(is_dead=lambda _: False)

    async def look_and_add() -> None:
        while not stop.is_set():
            await desk.ledger.status(desk.campaign)
            await desk.ledger.add(desk.campaign, people(5))
            await suppressions.add("+18885550000")
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as others:
        others.start_soon(look_and_add)
        async with anyio.create_task_group() as group:
            for index, store in enumerate(stores * 2):
                group.start_soon(work, store, f"worker {index}")
        stop.set()
    assert list(range(1, count + 1)) == sorted(claimed)
    assert {RecipientState.SENT: count} == await desk.counts()
