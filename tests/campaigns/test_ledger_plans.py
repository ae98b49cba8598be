"""What the ledger's statements cost does not grow with the rows that are done with.

Each statement is looked at while a campaign of 20,000 is in the tables, all but a few of whom are done. PostgreSQL
counts the rows that it goes through; SQLite says by which index it finds them.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from pidj_async.campaigns.records import NewRecipient
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.store import Store
from pidj_async.suppressions import Suppressions

from .ledgers import ANNA, SETTINGS, Desk, all_settled, open_desk, people, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy import Connection

pytestmark = pytest.mark.anyio

DONE = 20_000
FEW = 200  # rows that a statement may go through here
LATER = datetime(2027, 6, 1, tzinfo=UTC)


@pytest.fixture
async def desk(store_url: str) -> AsyncIterator[Desk]:
    """A campaign that is nearly done."""
    async with Store(store_url) as store:
        desk = await open_desk(store, 0)
        for first in range(0, DONE, 2_000):
            page = [
                NewRecipient(phone_number=f"+1404{index:07d}", line=index, segments=1)
                for index in range(first, first + 2_000)
            ]
            await desk.ledger.add(desk.campaign, page)

        def finish(connection: Connection) -> None:
            connection.exec_driver_sql("UPDATE pidj_recipients SET state = 'sent', attempts = 1, fence = 1")

        if not store.is_sqlite:
            # The worst that can be: its statistics are of the time before the first text.
            await store.write(lambda connection: connection.exec_driver_sql("ANALYZE"))
        await store.write(finish)
        await desk.ledger.add(desk.campaign, people(20))
        await Suppressions(store).import_(["phone_number\n", *(f"+1505{index:07d}\n" for index in range(5_000))])
        if not store.is_sqlite:
            await store.write(lambda connection: connection.exec_driver_sql("ANALYZE pidj_suppressions"))
        yield desk


@contextmanager
def costs(store: Store) -> Iterator[list[tuple[str, int]]]:
    """Collect, for each statement about recipients, how many of them it goes through."""
    found: list[tuple[str, int]] = []
    count = _rows_of_sqlite if store.is_sqlite else _rows_of_postgresql

    def before(connection: Any, _: Any, statement: str, parameters: Any, __: Any, ___: Any) -> None:
        if "pidj_recipients" in statement and not statement.startswith("INSERT"):
            cursor = connection.connection.cursor()
            found.append((" ".join(statement.split()), count(cursor, statement, parameters)))
            cursor.close()

    event.listen(store._engine, "before_cursor_execute", before)
    try:
        yield found
    finally:
        event.remove(store._engine, "before_cursor_execute", before)


def _rows_of_sqlite(cursor: Any, statement: str, parameters: Any) -> int:
    """None, or all of the campaign, if it looks neither for ids or numbers nor by an index of a state."""
    cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
    steps = [str(row[3]) for row in cursor.fetchall() if "pidj_recipients" in row[3]]
    assert steps
    fits = re.compile(
        r"PRIMARY KEY|phone_number=\?|_campaign \(campaign=\? AND id>\?\)|_sending \(state=\?|state=\? AND campaign=\?"
    )
    return sum(0 if fits.search(step) else DONE for step in steps)


def _rows_of_postgresql(cursor: Any, statement: str, parameters: Any) -> int:
    cursor.execute("SAVEPOINT before")
    cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
    (plan,) = cursor.fetchone()
    cursor.execute("ROLLBACK TO before")
    return _visited(plan[0]["Plan"])


def _visited(node: dict[str, Any]) -> int:
    below = sum(map(_visited, node.get("Plans", [])))
    if node.get("Relation Name") not in {"pidj_recipients", "pidj_suppressions"} or node["Node Type"] == "ModifyTable":
        return below
    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return below + int(rows * node["Actual Loops"])


async def test_no_statement_of_a_turn_goes_through_a_campaign(desk: Desk) -> None:
    """Nor does a sweep, the end of a campaign, or a decision about what is in doubt."""
    with costs(desk.store) as found:
        claims = (await desk.turn(limit=4)).claims
        await desk.turn(*all_settled(claims[:2]), settled(claims[2], RecipientState.IN_DOUBT), limit=2)
        await desk.turn(*all_settled(claims[:1], RecipientState.REJECTED), limit=2, opening=lambda *_: LATER)
        desk.clock.now = 1_900_000_000_000_000
        await desk.turn(limit=1)
        await desk.ledger.sweep(is_dead=lambda _: False)
        await desk.ledger.sweep(desk.campaign, is_dead=lambda _: True)
        await desk.ledger.finish(desk.campaign, who=ANNA)
        await desk.ledger.recipients(desk.campaign, states=[RecipientState.IN_DOUBT])
        await desk.ledger.resolve(desk.campaign, RecipientState.SENT, who=ANNA)
        await desk.ledger.retire(desk.worker)
        await desk.ledger.add(desk.campaign, people(30))
        await desk.ledger.change_state(desk.campaign, CampaignState.CANCELLED, who=ANNA)
        await desk.turn(limit=1)
    assert len(found) > 20
    assert [(statement, rows) for statement, rows in found if rows > FEW] == []


async def test_nor_does_the_end_of_its_time(store_url: str, desk: Desk) -> None:
    """Of another campaign in the same store."""
    assert desk.store.is_sqlite == store_url.startswith("sqlite")
    other = await desk.ledger.create("autumn", {**SETTINGS, "ends_at": "2027-01-01T00:00:00+00:00"}, who=ANNA)
    await desk.ledger.add(other.number, people(9))
    with costs(desk.store) as found:
        assert 9 == await desk.ledger.expire(other.number)
    assert [(statement, rows) for statement, rows in found if rows > FEW] == []


async def test_a_page_begins_where_the_last_one_ended(desk: Desk) -> None:
    """And no page has to sort its campaign first."""
    with costs(desk.store) as found:
        for after in (0, 15_000):
            assert after + 1 == (await desk.ledger.recipients(desk.campaign, after_id=after, limit=10))[0].id
    assert [(statement, rows) for statement, rows in found if rows > FEW] == []
