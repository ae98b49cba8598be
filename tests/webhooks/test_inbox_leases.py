"""Two workers on one database, at their worst: late, slow, dead, and back again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule
from sqlalchemy import Connection, select

from pidj_async.store import schema
from pidj_async.store.engine import open_engine
from pidj_async.store.schema import events
from pidj_async.webhooks.inbox import table
from pidj_async.webhooks.inbox.duplicates import RecentBodies
from pidj_async.webhooks.inbox.table import Lease, Settlement

LEASE = 100
MAX_ATTEMPTS = 4
ENDED = {"handled", "dead", "quarantined", "skipped"}


@attrs.define
class Held:
    """What a worker believes to hold."""

    lease: Lease
    until: int


class Workers(RuleBasedStateMachine):
    """What can happen to a store, in any order.

    The model knows of each event only who leased it last, until when, and whether it has ended.
    """

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.engine = open_engine(f"sqlite:///{Path(self.folder.name) / 'x.db'}")
        with self.engine.begin() as connection:
            schema.create(connection)
        self.now = 1_000
        self.keys: dict[int, str | None] = {}
        self.newest: dict[int, Held] = {}
        self.ended: list[int] = []

    def teardown(self) -> None:
        self.engine.dispose()
        self.folder.cleanup()

    def transaction(self, work: Any) -> Any:
        with self.engine.begin() as connection:
            return work(connection)

    @rule(keys=st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=4))
    def arrive(self, keys: list[str | None]) -> None:
        arrivals = [
            table.Arrival(name="x", order_key=key, body=b"", headers="{}", fingerprint="", consent=None, shapes=())
            for key in keys
        ]
        ids = self.transaction(
            lambda c: table.insert_arrivals(c, arrivals, now=self.now, recent=RecentBodies(window=0))
        )
        assert ids == list(range(len(self.keys) + 1, len(self.keys) + 1 + len(keys)))
        self.keys.update(zip(ids, keys, strict=True))

    @rule(target=leases, worker=st.sampled_from(["one", "two"]), limit=st.integers(1, 3))
    def claim(self, worker: str, limit: int) -> Any:
        def work(connection: Connection) -> list[Lease]:
            return table.claim(
                connection, now=self.now, worker=worker, limit=limit, duration=LEASE, max_attempts=MAX_ATTEMPTS
            )

        claimed: list[Lease] = self.transaction(work)
        for lease in claimed:
            event_id = lease.record.id
            assert event_id not in self.ended
            if event_id in self.newest:
                assert self.newest[event_id].until <= self.now, "somebody else has it"
            held = Held(lease, self.now + LEASE)
            self.newest[event_id] = held
        self.forget_the_dead()
        for lease in claimed:
            self.check_order(lease.record.id)
        return multiple(*(self.newest[lease.record.id] for lease in claimed))

    def check_order(self, event_id: int) -> None:
        """All before it with its key have ended, and nobody holds another one."""
        key = self.keys[event_id]
        if key is None:
            return
        others = [other for other, its in self.keys.items() if its == key and other != event_id]
        assert [other for other in others if other < event_id and other not in self.ended] == []
        assert [other for other in others if other in self.newest and self.newest[other].until > self.now] == []

    def forget_the_dead(self) -> None:
        """A claim ends what was lost too often."""
        states = self.states()
        for event_id in list(self.newest):
            if states[event_id] == "dead" and event_id not in self.ended:
                del self.newest[event_id]
                self.ended.append(event_id)

    @rule(held=leases, state=st.sampled_from(["handled", "pending", "dead", "quarantined"]), delay=st.integers(0, 200))
    def settle(self, held: Held, state: Any, delay: int) -> None:
        record, fence = held.lease.record, held.lease.fence
        mine = self.newest.get(record.id) is held
        one = Settlement(id=record.id, fence=fence, state=state, delay=delay, error=None if state == "handled" else "x")
        refused = self.transaction(lambda c: table.settle(c, [one], now=self.now))
        assert refused == int(not mine), "only the newest lease settles"
        if mine:
            del self.newest[record.id]
            if state in ENDED:
                self.ended.append(record.id)

    @rule(held=leases)
    def renew(self, held: Held) -> None:
        record, fence = held.lease.record, held.lease.fence
        mine = self.newest.get(record.id) is held
        kept = self.transaction(lambda c: table.renew(c, [(record.id, fence)], until=self.now + LEASE))
        assert kept == ({record.id} if mine else set())
        if mine:
            held.until = self.now + LEASE

    @rule(seconds=st.sampled_from([1, LEASE // 2, LEASE, 5 * LEASE]))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        if not self.ended:
            return
        event_id = data.draw(st.sampled_from(self.ended))
        query = table.find(ids=[event_id])
        chosen = self.transaction(lambda c: table.replay(c, query, now=self.now, dry_run=False))
        assert [record.id for record in chosen] == [event_id]
        self.ended.remove(event_id)

    def states(self) -> dict[int, str]:
        with self.engine.connect() as connection:
            return {row.id: row.state for row in connection.execute(select(events.c.id, events.c.state))}

    @invariant()
    def agrees_with_the_table(self) -> None:
        states = self.states()
        assert set(states) == set(self.keys)
        assert {each for each, state in states.items() if state in ENDED} == set(self.ended)
        assert {each for each, state in states.items() if state == "leased"} == set(self.newest)

    @invariant()
    def never_stuck(self) -> None:
        """Whatever has not ended is due one day, and then something can be claimed."""
        unfinished = set(self.keys) - set(self.ended)
        later = self.now + 1_000_000
        with self.engine.connect() as connection:
            assert table.is_any_due(connection, now=later) == bool(unfinished)


Workers.TestCase.settings = settings(
    settings.default or settings(),
    max_examples=max(20, (settings.default or settings()).max_examples // 4),
    stateful_step_count=30,
)


class TestWorkers(Workers.TestCase):  # type: ignore[misc, valid-type]
    """Order, leases and fences hold whatever two workers do."""
