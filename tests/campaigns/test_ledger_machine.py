"""Anything that can happen to a ledger, in any order: nobody is texted twice, and nobody who wants no texts.

The model is written from the rules at the head of `states`, not from the SQL: for each recipient it knows the state,
the fence, and how many more times their text may be given to the wire. That number is one, grows when the holder of
the claim proves that nothing was sent and when a person decides to send again, and is used up by a claim.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlalchemy import event, select

from pidj_async.campaigns.ledger import AddResult, Ledger, Turn, table
from pidj_async.campaigns.records import Claim, NewRecipient, Settlement
from pidj_async.campaigns.states import CAMPAIGN_TRANSITIONS, CampaignState, RecipientState
from pidj_async.errors import ConfigurationError
from pidj_async.store import Store
from pidj_async.store.schema import campaign_log, campaigns, recipients, suppressions, workers
from pidj_async.suppressions import Suppressions

from .ledgers import EPOCH, Clock, number

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime

    from anyio.from_thread import BlockingPortal
    from sqlalchemy import Connection

S = RecipientState
LEASE = 30.0
MICROSECONDS = 1_000_000
PEOPLE = range(5)
GROUPS = {"spring": "gr:a", "autumn": "gr:b"}
SENDING_ENDS = [S.SENT, S.SENT, S.SENT, S.READY, S.READY, S.IN_DOUBT, S.REJECTED, S.SUPPRESSED]


@attrs.define
class Row:
    """What the model knows of a recipient."""

    campaign: str
    phone_number: str
    line: int
    state: RecipientState = S.READY
    fence: int = 0
    worker: int | None = None
    due_at: int | None = None
    permits: int = 1


@attrs.define
class Worker:
    """What the model knows of a worker."""

    number: int
    expires_at: int


@attrs.frozen
class Held:
    """A claim, in the hands of whoever got it; perhaps for longer than it is theirs."""

    worker: int
    campaign: str
    claim: Claim


class LedgerMachine(RuleBasedStateMachine):
    """Two campaigns that share people, and workers that come, claim, settle, die, and come back."""

    def __init__(self, loop: BlockingPortal, store: Store) -> None:
        super().__init__()
        self.loop = loop
        self.store = store
        self.await_(store.write(_empty))
        self.clock = Clock(store)
        self.ledger = Ledger(store)
        self.suppressions = Suppressions(store)
        self.rows: dict[int, Row] = {}
        self.held: list[Held] = []
        self.workers: list[Worker] = []  # those that may still do something
        self.all_workers: dict[int, Worker] = {}
        self.gone: set[int] = set()  # retired, or dead for certain
        self.dead: set[str] = set()
        self.unwanted: set[tuple[str, str]] = set()
        self.numbers: dict[str, int] = {}
        self.states: dict[str, CampaignState] = dict.fromkeys(GROUPS, CampaignState.LOADING)
        self.ends_at: dict[str, int | None] = {}
        self.log: Counter[str] = Counter()

    def await_(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.call(lambda: work)

    def of(self, campaign: str, *states: RecipientState) -> dict[int, Row]:
        """The model's rows, in order of id."""
        return {
            row_id: row
            for row_id, row in sorted(self.rows.items())
            if row.campaign == campaign and (not states or row.state in states)
        }

    # --- people and workers come ----------------------------------------------------------------------------------

    @initialize(ends=st.sampled_from([None, 100]))
    def begin(self, ends: int | None) -> None:
        for name, group in GROUPS.items():
            end = self.clock.time(ends) if ends and name == "spring" else None
            given = {"group_id": group, "ends_at": None if end is None else end.isoformat()}
            self.numbers[name] = self.await_(self.ledger.create(name, given, who="x")).number
            self.ends_at[name] = None if end is None else self.clock.now + (ends or 0) * MICROSECONDS
            self.log["created"] += 1
        for name in GROUPS:
            self.add_page(name, [(index, 1) for index in PEOPLE])
            self.change(name, CampaignState.RUNNING)
        self.register()
        self.register()

    def register(self) -> None:
        identity = f"process {len(self.all_workers)}"
        worker = Worker(
            self.await_(self.ledger.register(identity=identity, lease=LEASE)),
            self.clock.now + round(LEASE * MICROSECONDS),
        )
        assert worker.number not in self.all_workers
        self.workers.append(worker)
        self.all_workers[worker.number] = worker

    @rule(
        campaign=st.sampled_from(list(GROUPS)),
        who=st.lists(st.tuples(st.sampled_from(range(12)), st.integers(1, 3)), min_size=1, max_size=8),
    )
    def add(self, campaign: str, who: list[tuple[int, int]]) -> None:
        self.add_page(campaign, who)

    def add_page(self, campaign: str, who: list[tuple[int, int]]) -> None:
        page = [NewRecipient(phone_number=number(index), line=line, segments=1) for index, line in who]
        work = self.ledger.add(self.numbers[campaign], page)
        if self.states[campaign] is CampaignState.CANCELLED:
            with pytest.raises(ConfigurationError):
                self.await_(work)
            return
        lines = {row.phone_number: row.line for row in self.of(campaign).values()}
        new: list[NewRecipient] = []
        known = 0
        duplicates = []
        for one in page:
            if one.phone_number not in lines:
                lines[one.phone_number] = one.line
                new.append(one)
            elif lines[one.phone_number] == one.line:
                known += 1
            else:
                duplicates.append(one.line)
        expected = AddResult(added=len(new), known=known, duplicates=tuple(duplicates))
        assert expected == self.await_(work)
        ids = [one.id for one in self.await_(self.ledger.recipients(self.numbers[campaign]))]
        for row_id, one in zip([row_id for row_id in ids if row_id not in self.rows], new, strict=True):
            self.rows[row_id] = Row(campaign, one.phone_number, one.line)

    # --- what workers do ------------------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        campaign=st.sampled_from(list(GROUPS)),
        limit=st.integers(0, 4),
        night=st.sets(st.sampled_from(PEOPLE), max_size=2),
    )
    def claim(self, data: st.DataObject, campaign: str, limit: int, night: set[int]) -> None:
        self.turn(data.draw(st.sampled_from(self.workers)), campaign, [], limit, night)

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        which=st.sampled_from(["current", "current", "stale", "any"]),
        more=st.booleans(),
        limit=st.integers(0, 3),
        by=st.sampled_from(["its worker", "its worker", "any"]),
    )
    def settle(self, data: st.DataObject, which: str, limit: int, by: str, *, more: bool) -> None:
        """What is held, or was held once; by whoever claimed it, or by somebody else by mistake."""
        choices = {
            "current": [held for held in self.held if self.rows[held.claim.id].fence == held.claim.fence],
            # Somebody is sending to them, by another claim.
            "stale": [
                held
                for held in self.held
                if self.rows[held.claim.id].fence != held.claim.fence and self.rows[held.claim.id].state is S.SENDING
            ],
        }
        one = data.draw(st.sampled_from(choices.get(which) or self.held))
        alive = {worker.number: worker for worker in self.workers}
        if by == "any":
            worker = data.draw(st.sampled_from(self.workers))
        elif one.worker in alive:
            worker = alive[one.worker]
        else:
            return
        together = [held for held in self.held if held.campaign == one.campaign] if more else [one]
        given = {each.claim.id: each.claim for each in [*together, one]}
        settlements = [
            Settlement(id=claim.id, fence=claim.fence, state=data.draw(st.sampled_from(SENDING_ENDS)))
            for claim in given.values()
        ]
        self.turn(worker, one.campaign, settlements, limit, set())

    def turn(self, worker: Worker, campaign: str, settlements: list[Settlement], limit: int, night: set[int]) -> None:
        asleep = {number(index) for index in night}
        dawn = self.clock.now + 50 * MICROSECONDS

        def opening(phone_number: str, _: str | None) -> datetime | None:
            return EPOCH + timedelta(microseconds=dawn) if phone_number in asleep else None

        refused = tuple(one.id for one in settlements if not self.settled(worker, one))
        self.log["late"] += len(refused)
        if worker.expires_at - self.clock.now < LEASE * MICROSECONDS * 2 / 3:
            worker.expires_at = self.clock.now + round(LEASE * MICROSECONDS)
        end = self.ends_at[campaign]
        ended = end is not None and end <= self.clock.now
        claimed: list[int] = []
        if self.states[campaign] is CampaignState.CANCELLED:
            for row in self.of(campaign, S.READY, S.PENDING).values():
                row.state = S.CANCELLED
        elif self.states[campaign] is CampaignState.RUNNING and not ended and limit:
            claimed = self.picked(worker, campaign, limit, asleep, dawn)
        turn: Turn = self.await_(
            self.ledger.turn(
                self.numbers[campaign],
                worker.number,
                settlements=settlements,
                limit=limit,
                lease=LEASE,
                opening=opening,
            )
        )
        assert (refused, ended, self.states[campaign]) == (turn.refused, turn.ended, turn.state)
        assert [(row_id, self.rows[row_id].fence) for row_id in claimed] == [(one.id, one.fence) for one in turn.claims]
        if not claimed and limit:
            pending = self.of(campaign, S.PENDING).values()
            due = min((row.due_at for row in pending if row.due_at is not None), default=None)
            assert (None if due is None else EPOCH + timedelta(microseconds=due)) == turn.next_due
            assert bool(self.of(campaign, S.READY, S.PENDING, S.SENDING)) == turn.open
        self.held += [Held(worker.number, campaign, one) for one in turn.claims]

    def settled(self, worker: Worker, one: Settlement) -> bool:
        row = self.rows[one.id]
        if (row.fence, row.worker) != (one.fence, worker.number):
            return False
        if row.state is not S.SENDING:
            return row.state is one.state
        row.state = one.state
        row.permits += one.state is S.READY
        return True

    def picked(self, worker: Worker, campaign: str, limit: int, asleep: set[str], dawn: int) -> list[int]:
        for row in self.of(campaign, S.PENDING).values():
            if row.due_at is not None and row.due_at <= self.clock.now:
                row.state = S.READY
        claimed: list[int] = []
        ready = self.of(campaign, S.READY)
        for row_id, row in sorted(ready.items(), key=lambda one: (one[1].line, one[0])):
            if len(claimed) == limit:
                break
            if {(row.phone_number, ""), (row.phone_number, GROUPS[campaign])} & self.unwanted:
                row.state = S.SUPPRESSED
            elif row.phone_number in asleep:
                row.state, row.due_at = S.PENDING, dawn
            else:
                assert row.permits > 0, "it would be texted twice"
                row.permits -= 1
                row.state, row.worker = S.SENDING, worker.number
                row.fence += 1
                claimed.append(row_id)
        return claimed

    # --- what happens to workers ----------------------------------------------------------------------------------

    @rule(data=st.data(), how=st.sampled_from(["crashes", "leaves"]))
    def lose_a_worker(self, data: st.DataObject, how: str) -> None:
        """Another one comes for it."""
        worker = data.draw(st.sampled_from(self.workers))
        self.workers.remove(worker)
        if how == "crashes":
            self.dead.add(f"process {list(self.all_workers).index(worker.number)}")
        else:
            self.gone.add(worker.number)
            self.await_(self.ledger.retire(worker.number))
            self.lose(worker)
        self.register()

    @rule(campaign=st.sampled_from([None, *GROUPS]))
    def sweep(self, campaign: str | None) -> None:
        sending = {row_id: row for name in GROUPS for row_id, row in self.of(name, S.SENDING).items()}
        busy = {row.worker for row in sending.values() if campaign in {None, row.campaign}}
        lost = 0
        for index, worker in enumerate(self.all_workers.values()):
            identity = f"process {index}"
            if worker.number in busy and (worker.expires_at <= self.clock.now or identity in self.dead):
                lost += self.lose(worker)
        number = None if campaign is None else self.numbers[campaign]
        assert lost == self.await_(self.ledger.sweep(number, is_dead=self.dead.__contains__))

    def lose(self, worker: Worker) -> int:
        mine = [row for row in self.rows.values() if row.state is S.SENDING and row.worker == worker.number]
        worker.expires_at = min(worker.expires_at, self.clock.now)
        for row in mine:
            row.state = S.IN_DOUBT
            row.fence += 1
        self.log["swept"] += len({row.campaign for row in mine})
        return len(mine)

    @rule(seconds=st.sampled_from([1, 11, LEASE, 60]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # --- what people do -------------------------------------------------------------------------------------------

    @rule(data=st.data(), scope=st.sampled_from(["", *GROUPS.values()]), wanted=st.sampled_from([False, False, True]))
    def opt_out_or_in(self, data: st.DataObject, scope: str, *, wanted: bool) -> None:
        """Somebody who waits, for the most part."""
        waiting = [row.phone_number for row in self.rows.values() if row.state in {S.READY, S.PENDING}]
        who = data.draw(st.sampled_from(waiting or [number(index) for index in PEOPLE]))
        if wanted:
            self.unwanted.discard((who, scope))
            self.await_(self.suppressions.remove(who, scope or None))
        else:
            self.unwanted.add((who, scope))
            self.await_(self.suppressions.add(who, scope or None))

    @rule(data=st.data(), campaign=st.sampled_from(list(GROUPS)), to=st.sampled_from([S.READY, S.SENT, S.ABANDONED]))
    def resolve(self, data: st.DataObject, campaign: str, to: RecipientState) -> None:
        doubtful = self.of(campaign, S.IN_DOUBT)
        ids = data.draw(st.none() | st.sets(st.sampled_from(sorted(self.rows) or [0]), max_size=3))
        work = self.ledger.resolve(self.numbers[campaign], to, who="bert", recipient_ids=ids)
        if to is S.READY and self.states[campaign] is CampaignState.CANCELLED:
            with pytest.raises(ConfigurationError):
                self.await_(work)
            return
        chosen = [row for row_id, row in doubtful.items() if ids is None or row_id in ids]
        assert len(chosen) == self.await_(work)
        self.log["resolved"] += len(chosen)
        for row in chosen:
            row.state = to
            row.permits += to is S.READY

    @rule(campaign=st.sampled_from(list(GROUPS)), after=st.sampled_from([*[CampaignState.RUNNING] * 5, *CampaignState]))
    def change_state(self, campaign: str, after: CampaignState) -> None:
        self.change(campaign, after)

    def change(self, campaign: str, after: CampaignState) -> None:
        before = self.states[campaign]
        work = self.ledger.change_state(self.numbers[campaign], after, who="bert")
        if before is not after and after not in CAMPAIGN_TRANSITIONS[before]:
            with pytest.raises(ConfigurationError):
                self.await_(work)
            return
        assert after is self.await_(work).state
        self.states[campaign] = after
        self.log[after] += before is not after
        if after is CampaignState.CANCELLED:
            for row in self.of(campaign, S.READY, S.PENDING).values():
                row.state = S.CANCELLED

    @rule(campaign=st.sampled_from(list(GROUPS)))
    def finish(self, campaign: str) -> None:
        before = self.states[campaign]
        if before is CampaignState.RUNNING and not self.of(campaign, S.READY, S.PENDING, S.SENDING):
            self.states[campaign] = CampaignState.DONE
            self.log["done"] += 1
        done = self.states[campaign] is CampaignState.DONE
        assert done == self.await_(self.ledger.finish(self.numbers[campaign], who="bert"))

    @rule(campaign=st.sampled_from(list(GROUPS)))
    def expire(self, campaign: str) -> None:
        end = self.ends_at[campaign]
        waiting = self.of(campaign, S.READY, S.PENDING) if end is not None and end <= self.clock.now else {}
        assert len(waiting) == self.await_(self.ledger.expire(self.numbers[campaign]))
        for row in waiting.values():
            row.state = S.EXPIRED

    # --- what must always be so -----------------------------------------------------------------------------------

    @invariant()
    def agrees_with_the_store(self) -> None:
        """Every row is as the model has it: none is lost, and none is sent to that the model does not know of."""
        found, entries, statuses = self.await_(self.store.read(self.everything))
        expected = {
            row_id: (
                row.state,
                row.fence,
                row.worker if row.state is S.SENDING else None,
                row.due_at if row.state is S.PENDING else None,
            )
            for row_id, row in self.rows.items()
        }
        assert expected == found
        assert +self.log == entries
        for name, status in statuses.items():
            counts = Counter(row.state for row in self.of(name).values())
            assert (counts, self.states[name]) == (+Counter(status.counts), status.state)
            assert len(self.of(name)) == status.recipients

    def everything(self, connection: Connection) -> Any:
        columns = [recipients.c[name] for name in ("id", "state", "fence", "worker", "due_at")]
        found = {
            row_id: (state, fence, worker if state == S.SENDING else None, due_at if state == S.PENDING else None)
            for row_id, state, fence, worker, due_at in connection.execute(select(*columns))
        }
        entries = Counter(connection.execute(select(campaign_log.c.what)).scalars())
        return found, entries, {name: table.status(connection, number) for name, number in self.numbers.items()}

    @invariant()
    def nothing_is_being_sent_by_who_left(self) -> None:
        assert not [row for row in self.rows.values() if row.state is S.SENDING and row.worker in self.gone]


def _empty(connection: Connection) -> None:
    tables = (recipients, campaign_log, campaigns, workers, suppressions)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"TRUNCATE {', '.join(each.name for each in tables)}")
        return
    for each in tables:
        connection.execute(each.delete())


def _do_not_wait_for_the_disk(store: Store) -> None:
    """What this tests is what is written, not that it survives a power cut."""
    statement = "PRAGMA synchronous=OFF" if store.is_sqlite else "SET synchronous_commit TO off"

    @event.listens_for(store._engine, "connect")
    def _set_up(connection: Any, _: Any) -> None:
        connection.cursor().execute(statement).close()
        if not store.is_sqlite:
            connection.commit()


@pytest.mark.timeout(7_200)
def test_whatever_happens_nobody_is_texted_twice(store_url: str) -> None:
    """Claims, settlements, crashes, sweeps, opt-outs, decisions and pauses, in any order."""
    profile = settings.default or settings()
    examples = 2_000 if profile.max_examples >= 2_000 else 30
    store = Store(store_url)
    _do_not_wait_for_the_disk(store)
    with start_blocking_portal() as loop:
        try:
            run_machine(
                partial(LedgerMachine, loop, store),  # type: ignore[arg-type]  # any callable will do
                settings=settings(profile, max_examples=examples, stateful_step_count=30),
            )
        finally:
            loop.call(store.aclose)
