"""A disk that is full, a database that is locked, a server that goes away: a clear error, and nothing half-written."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import anyio
import pytest
from sqlalchemy import event

from pidj_async.campaigns.ledger import Ledger
from pidj_async.campaigns.states import RecipientState
from pidj_async.errors import StoreError
from pidj_async.store import Store
from pidj_async.store.schema import recipients

from ..stores import new_schema  # noqa: TID252  tests import one another so
from .ledgers import LEASE, Desk, all_settled, open_desk, people, row, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Connection

pytestmark = pytest.mark.anyio


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[tuple[Store, dict[str, int]]]:
    """A SQLite store whose file can be kept from growing: the pages that it may have."""
    may_have = {"pages": 1_000_000}
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")

    @event.listens_for(store._engine, "checkout")
    def _set_up(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={may_have['pages']}").close()

    async with store:
        yield store, may_have


def pages(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())


async def fill(store: Store, may_have: dict[str, int]) -> None:
    """Let the file be as large as it is, and no larger, and leave no room in it."""
    may_have["pages"] = await store.read(pages)


async def test_a_full_disk_while_settling_and_claiming(small_disk: tuple[Store, dict[str, int]]) -> None:
    """Nothing of the turn is done; once there is room, the same settlements are taken."""
    store, may_have = small_disk
    desk = await open_desk(store, 400)
    claims = await desk.claim(100)
    long = [settled(claim, RecipientState.REJECTED, error="no " * 600) for claim in claims]
    await fill(store, may_have)
    before = await desk.ledger.recipients(desk.campaign)
    with pytest.raises(StoreError, match="the store could not be written: database or disk is full"):
        await desk.turn(*long, limit=100)
    assert before == await desk.ledger.recipients(desk.campaign)
    may_have["pages"] = 1_000_000
    turn = await desk.turn(*long, limit=100)
    assert ((), 100) == (turn.refused, len(turn.claims))
    assert {
        RecipientState.REJECTED: 100,
        RecipientState.SENDING: 100,
        RecipientState.READY: 200,
    } == await desk.counts()


async def test_a_full_disk_while_adding(small_disk: tuple[Store, dict[str, int]]) -> None:
    """Nobody of the page is added; adding again does no harm."""
    store, may_have = small_disk
    desk = await open_desk(store, 500)
    await fill(store, may_have)
    with pytest.raises(StoreError, match="database or disk is full"):
        await desk.ledger.add(desk.campaign, people(2_000))
    assert {RecipientState.READY: 500} == await desk.counts()
    may_have["pages"] = 1_000_000
    result = await desk.ledger.add(desk.campaign, people(2_000))
    assert (1_500, 500) == (result.added, result.known)


async def test_a_database_that_somebody_else_has_locked(tmp_path: Path) -> None:
    """Is waited for, up to a limit; then it is an error, and the turn can be taken again."""
    path = tmp_path / "store.db"
    async with Store(f"sqlite:///{path}?timeout=0.2") as store:
        desk = await open_desk(store, 3)
        claims = await desk.claim(2)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="the store could not be written: database is locked"):
            await desk.turn(*all_settled(claims), limit=1)
        other.execute("COMMIT")
        other.close()
        assert {RecipientState.SENDING: 2, RecipientState.READY: 1} == await desk.counts()
        turn = await desk.turn(*all_settled(claims), limit=1)
        assert ((), 1) == (turn.refused, len(turn.claims))


async def test_a_commit_whose_answer_is_lost(store_url: str) -> None:
    """It was committed, though nobody knows: settling again is harmless, and what it claimed is in doubt one day."""
    async with Store(store_url) as store:
        desk = await open_desk(store, 4)
        claims = await desk.claim(2)
        write = store.write

        async def lose(work: Any) -> Any:
            await write(work)
            msg = "the store could not be written: server closed the connection"
            raise StoreError(msg)

        store.write = lose  # type: ignore[method-assign]
        with pytest.raises(StoreError, match="closed the connection"):
            await desk.turn(*all_settled(claims), limit=1)
        store.write = write  # type: ignore[method-assign]
        turn = await desk.turn(*all_settled(claims), limit=1)
        assert ((), [4]) == (turn.refused, [claim.id for claim in turn.claims])
        await desk.turn(*all_settled(turn.claims))
        desk.clock.advance(LEASE)
        assert 1 == await desk.ledger.sweep(is_dead=lambda _: False)
        assert {RecipientState.SENT: 3, RecipientState.IN_DOUBT: 1} == await desk.counts()
        assert [] == await desk.logged("late")


async def test_an_error_half_way_undoes_the_turn(store_url: str) -> None:
    """What `opening` raises comes out as it is; what was settled before it in the same turn is not."""
    async with Store(store_url) as store:
        desk = await open_desk(store, 4)
        claims = await desk.claim(2)

        def opening(*_: object) -> None:
            raise LookupError

        with pytest.raises(LookupError):
            await desk.turn(*all_settled(claims), limit=2, opening=opening)
        assert {RecipientState.SENDING: 2, RecipientState.READY: 2} == await desk.counts()


async def test_on_postgresql_a_row_that_is_locked_is_an_error_in_the_end(postgresql_desk: Desk) -> None:
    """Somebody with an SQL prompt and an open transaction holds up what they look at, not for ever."""
    desk = postgresql_desk
    claims = await desk.claim(2)
    held, release = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        connection.execute(recipients.update().where(recipients.c.id == 1).values(line=99))
        held.set()
        release.wait(30)

    async with anyio.create_task_group() as group:
        group.start_soon(Store.write, desk.store, hold)
        await anyio.to_thread.run_sync(held.wait)
        with pytest.raises(StoreError, match="could not be written: canceling statement due to lock timeout"):
            await desk.turn(*all_settled(claims), limit=1)
        release.set()
    assert () == (await desk.turn(*all_settled(claims), limit=1)).refused
    assert "sent" == (await desk.store.read(row))["state"]


@pytest.fixture
async def postgresql_desk(postgresql: str) -> AsyncIterator[Desk]:
    """On a PostgreSQL, which gives up on locks after half a second."""
    async with Store(new_schema(postgresql)) as store:

        @event.listens_for(store._engine, "checkout")
        def _set_up(connection: Any, *_: object) -> None:
            connection.execute("SET lock_timeout TO 500")
            connection.commit()

        yield await open_desk(store, 4)


async def test_on_postgresql_a_server_that_restarts(postgresql_desk: Desk) -> None:
    """A connection that was cut is an error once, at most; the turn can be taken again."""
    desk = postgresql_desk
    claims = await desk.claim(2)

    def cut(connection: Connection) -> int:
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        cut = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {others}"  # noqa: S608
        return int(connection.exec_driver_sql(cut).scalar_one())

    async with Store(desk.store._engine.url.render_as_string(hide_password=False)) as other:
        assert await other.write(cut) > 0
    turn = await Ledger(desk.store).turn(
        desk.campaign, desk.worker, settlements=all_settled(claims), limit=1, lease=LEASE, opening=lambda *_: None
    )
    assert ((), 1) == (turn.refused, len(turn.claims))
