"""The inbox's promises, each on SQLite and on PostgreSQL, on asyncio and on trio."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from pidj_async.errors import ConfigurationError, InvalidPayloadError, InvalidRequestError, StoreError
from pidj_async.store import Store
from pidj_async.store.schema import events
from pidj_async.suppressions import Suppressions
from pidj_async.webhooks import (
    ContactUpdated,
    Dispatcher,
    Event,
    EventShape,
    Inbox,
    InboxRecord,
    OptedOut,
    TextReceived,
    UnknownEvent,
    sample,
)
from pidj_async.webhooks.inbox import STATES
from pidj_async.webhooks.inbox import inbox as inbox_module

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy import Connection

pytestmark = pytest.mark.anyio

MARIA = "+18885553333"
JOHN = "+18885554444"
PATIENCE = 20.0


def text(message: str = "Hi", number: str | None = MARIA) -> bytes:
    return json.dumps(
        sample("text-received", text={"message": message, "phone_from": number, "contact": None})
    ).encode()


def body(name: str, **overrides: Any) -> bytes:
    return json.dumps(sample(name, **overrides)).encode()


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self, store: Store) -> None:
        self.now = 1_800_000_000_000_000
        store._now = lambda _: self.now

    def pass_(self, seconds: float) -> None:
        self.now += round(seconds * 1e6)


class Log:
    """A dispatcher whose one handler writes down what it sees, and fails when it is told to."""

    def __init__(self) -> None:
        self.records: list[InboxRecord] = []
        self.events: list[Event] = []
        self.fails: Callable[[Event], bool] = lambda _: False
        self.before: Callable[[InboxRecord], Any] | None = None
        self.dispatcher = Dispatcher()

        @self.dispatcher.on(Event)
        async def write_down(event: Event, record: InboxRecord) -> None:
            if self.before is not None:
                await self.before(record)
            self.records.append(record)
            self.events.append(event)
            if self.fails(event):
                msg = f"no luck with {MARIA}"
                raise LookupError(msg)

    @property
    def messages(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, TextReceived)]


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(store_url) as store:
        yield store


@pytest.fixture
def clock(store: Store) -> Clock:
    """The store's clock."""
    return Clock(store)


@pytest.fixture
def log() -> Log:
    """What the handler has seen."""
    return Log()


async def states(inbox: Inbox) -> dict[str, int]:
    return {state: count for state, count in (await inbox.counts()).items() if count}


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110  what is waited for is in a database, or has no event
            await anyio.sleep(0.005)


# --- storing and handling -----------------------------------------------------------------------------------------


async def test_an_event_is_stored_then_handled(store: Store, log: Log) -> None:
    """`put` keeps it as it was posted; `drain` hands it to the handlers, with its record, once."""
    inbox = Inbox(store)
    posted = body("opt-out")
    event_id = await inbox.put(posted, headers='{"user-agent": "Pidj"}')
    assert await states(inbox) == {"pending": 1}
    assert [1, 0] == [await inbox.drain(log.dispatcher) for _ in range(2)]
    assert await states(inbox) == {"handled": 1}
    (event,), (record,) = log.events, log.records
    assert isinstance(event, OptedOut)
    assert event == record.event()
    assert (event_id, posted, {"user-agent": "Pidj"}) == (record.id, record.body, record.headers)
    assert (record.state, record.attempts, record.name, record.order_key) == ("leased", 1, "opt-out", MARIA)
    kept = await inbox.get(event_id)
    assert kept is not None
    assert (kept.state, kept.worker, kept.error) == ("handled", None, None)
    assert kept.handled_at is not None
    assert kept.received_at <= kept.handled_at <= datetime.now(UTC) + timedelta(minutes=1)


async def test_nobodys_data_is_in_a_records_repr(store: Store) -> None:
    """Numbers and bodies are masked, and header values left out."""
    inbox = Inbox(store)
    await inbox.put(text("rye bread"), headers='{"x-name": "Maria"}')
    (record,) = await inbox.list()
    assert [part for part in (MARIA, "rye", "Maria") if part in repr(record)] == []


async def test_what_is_no_event_is_not_stored(store: Store) -> None:
    """The error is the parser's."""
    inbox = Inbox(store)
    with pytest.raises(InvalidPayloadError):
        await inbox.put(b"[]")
    assert await states(inbox) == {}


async def test_whatever_an_event_is_called_it_is_stored(store: Store, log: Log) -> None:
    """NUL, half a surrogate pair, endless names and odd numbers are no reason to lose an event."""
    inbox = Inbox(store)
    names = ["moon-risen", "a\0b", "\ud800", "é" * 500]
    numbers = ["a\0b", "\ud800", "5" * 500]
    bodies = [json.dumps({"event": name, name: 1, "contact": {"phone": "\0"}}).encode() for name in names]
    bodies += [text(number=number) for number in numbers]
    for posted in bodies:
        await inbox.put(posted)
    assert await inbox.drain(log.dispatcher) == 7
    assert await states(inbox) == {"handled": 7}
    assert [isinstance(event, UnknownEvent) for event in sorted(log.events, key=lambda e: names.count(e.name))] == [
        *[False] * 3,
        *[True] * 4,
    ]
    assert sorted(record.body for record in log.records) == sorted(bodies)
    assert [record.id for record in await inbox.list(event="a\0b")] == [2]


async def test_an_event_that_nobody_wants_is_handled(store: Store) -> None:
    """As without an inbox."""
    inbox = Inbox(store)
    await inbox.put(text())
    assert await inbox.drain(Dispatcher()) == 1
    assert await states(inbox) == {"handled": 1}


async def test_a_failure_is_tried_again_later_and_dies_in_the_end(store: Store, clock: Clock, log: Log) -> None:
    """With a growing, bounded pause; then it is a dead letter, with its reason, numbers masked."""
    inbox = Inbox(store, max_attempts=4, backoff=10.0, max_backoff=20.0)
    log.fails = lambda _: True
    event_id = await inbox.put(text())
    for limit in (10, 20, 20):
        assert await inbox.drain(log.dispatcher) == 1
        record = await inbox.get(event_id)
        assert record is not None
        assert record.state == "pending"
        assert 0 <= (record.due_at.timestamp() - clock.now / 1e6) <= limit
        clock.pass_(limit)
    assert await inbox.drain(log.dispatcher) == 1
    (record,) = await inbox.dead()
    assert (record.id, record.attempts) == (event_id, 4)
    assert record.error is not None
    assert "write_down: LookupError: no luck with +188" in record.error
    assert MARIA not in record.error
    clock.pass_(1e6)
    assert await inbox.drain(log.dispatcher) == 0


async def test_a_handler_that_takes_too_long_has_failed(store: Store, log: Log) -> None:
    """It is cancelled, and the event tried again later."""
    inbox = Inbox(store, handler_timeout=0.05)
    log.before = lambda _: anyio.sleep_forever()
    await inbox.put(text())
    assert await inbox.drain(log.dispatcher) == 1
    (record,) = await inbox.list(state="pending")
    assert record.error == "the handlers took longer than 0.05 seconds"


async def test_an_event_that_cannot_be_dispatched_is_quarantined(store: Store, log: Log) -> None:
    """It is not tried again, is in plain sight, and does not hold up its number."""
    inbox = Inbox(store)
    event_id = await inbox.put(text("first"))
    await inbox.put(text("second"))

    def spoil(connection: Connection) -> None:
        connection.execute(events.update().where(events.c.id == event_id).values(body=b"{"))

    await store.write(spoil)
    assert await inbox.drain(log.dispatcher) == 2
    assert await states(inbox) == {"handled": 1, "quarantined": 1}
    (record,) = await inbox.list(state="quarantined")
    assert record.error is not None
    assert record.error.startswith("InvalidPayloadError: the body is not JSON")


async def test_a_program_that_is_set_up_wrongly_stops_and_loses_nothing(store: Store) -> None:
    """A handler that wants what nobody provides is not the event's fault: it stays as it was."""
    inbox = Inbox(store)
    dispatcher = Dispatcher()

    @dispatcher.on(TextReceived)
    async def wants_more(event: TextReceived, clock: Clock) -> None: ...

    await inbox.put(text())
    with pytest.raises(ConfigurationError, match="Clock"):
        await inbox.drain(dispatcher)
    (record,) = await inbox.list()
    assert (record.state, record.attempts) == ("pending", 0)


# --- order --------------------------------------------------------------------------------------------------------


async def test_one_number_in_order_others_in_parallel(store: Store, log: Log) -> None:
    """Two events of one number are never handled at once; those of several numbers, and of none, are."""
    inbox = Inbox(store, concurrency=10)
    running: set[str | None] = set()
    most = 0

    async def watch(record: InboxRecord) -> None:
        nonlocal most
        if record.order_key is not None:
            assert record.order_key not in running
        running.add(record.order_key)
        most = max(most, len(running))
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        running.discard(record.order_key)

    log.before = watch
    for turn in range(5):
        for number in (MARIA, JOHN, None):
            await inbox.put(text(f"{number} {turn}", number))
    assert await inbox.drain(log.dispatcher) == 15
    for number in (MARIA, JOHN):
        assert [f"{number} {turn}" for turn in range(5)] == [m for m in log.messages if m.startswith(number)]
    assert most == 3


async def test_a_number_is_one_however_it_is_written(store: Store, log: Log) -> None:
    """An opt-out with another spelling of the number waits for the text before it."""
    inbox = Inbox(store)
    for posted in (text("1", "(888) 555-3333"), text("2", "8885553333"), body("contact-updated")):
        await inbox.put(posted)
    assert await inbox.drain(log.dispatcher) == 3
    assert [MARIA] * 3 == [record.order_key for record in log.records]
    assert isinstance(log.events[-1], ContactUpdated)


async def test_while_one_waits_to_be_tried_again_the_next_of_its_number_wait_too(
    store: Store, clock: Clock, log: Log
) -> None:
    """A dead letter lets them go."""
    inbox = Inbox(store, max_attempts=2, backoff=10.0)
    log.fails = lambda event: isinstance(event, TextReceived) and event.message == "1"
    for message, number in (("1", MARIA), ("2", MARIA), ("a", JOHN)):
        await inbox.put(text(message, number))
    assert await inbox.drain(log.dispatcher) == 2
    assert sorted(log.messages) == ["1", "a"]
    clock.pass_(10)
    assert await inbox.drain(log.dispatcher) == 2
    assert log.messages[2:] == ["1", "2"]
    assert await states(inbox) == {"dead": 1, "handled": 2}


async def test_two_workers_keep_the_order_of_each_number(store_url: str, log: Log) -> None:
    """Each has a store of its own, as two processes have."""
    async with Store(store_url) as one, Store(store_url) as two:
        inboxes = [Inbox(one, concurrency=3, poll=0.01), Inbox(two, concurrency=3, poll=0.01)]
        numbers = [f"+1888555{number:04d}" for number in range(6)]
        async with anyio.create_task_group() as group:
            for inbox in inboxes:
                group.start_soon(inbox.run, log.dispatcher)
            for turn in range(12):
                for number in numbers:
                    await inboxes[turn % 2].put(text(f"{turn}", number))
            await until(lambda: len(log.events) == 72)
            group.cancel_scope.cancel()
        for number in numbers:
            seen = [record.id for record in log.records if record.order_key == number]
            assert sorted(seen) == seen
        assert len({record.id for record in log.records}) == 72
        assert await states(inboxes[0]) == {"handled": 72}


# --- leases -------------------------------------------------------------------------------------------------------


async def take_and_die(inbox: Inbox) -> None:
    """Leave an event as a killed worker leaves it: leased, and nobody there."""
    from pidj_async.webhooks.inbox import table  # noqa: PLC0415

    def work(connection: Connection) -> Any:
        now = inbox.store.now(connection)
        return table.claim(connection, now=now, worker="dead", limit=10, duration=30_000_000, max_attempts=8)

    await inbox.store.write(work)


async def test_what_a_dead_worker_had_is_taken_up_when_its_lease_is_over(store: Store, clock: Clock, log: Log) -> None:
    """Not before; and until then the number waits."""
    inbox = Inbox(store)
    await inbox.put(text("1"))
    await take_and_die(inbox)
    await inbox.put(text("2"))
    clock.pass_(29)
    assert await inbox.drain(log.dispatcher) == 0
    clock.pass_(1)
    assert await inbox.drain(log.dispatcher) == 2
    assert (log.messages, [record.attempts for record in log.records]) == (["1", "2"], [2, 1])


async def test_an_event_that_takes_its_worker_down_dies_in_the_end(store: Store, clock: Clock, log: Log) -> None:
    """Each lease counts, whether it was ended or not."""
    inbox = Inbox(store, max_attempts=3)
    event_id = await inbox.put(text("1"))
    for _ in range(3):
        await take_and_die(inbox)
        clock.pass_(30)
    await inbox.put(text("2"))
    await inbox.drain(log.dispatcher)
    await inbox.drain(log.dispatcher)
    (record,) = await inbox.dead()
    assert (record.id, record.error) == (
        event_id,
        "its worker stopped or was lost while it had this event, every time",
    )
    assert log.messages == ["2"]


async def test_a_handler_outlives_its_lease_because_it_is_renewed(store_url: str, log: Log) -> None:
    """A second worker does not get what the first still works at."""
    async with Store(store_url) as one, Store(store_url) as two:
        inbox, other = Inbox(one, lease=0.6, poll=0.05), Inbox(two, lease=0.6, poll=0.05)
        done = anyio.Event()

        async def wait(_: InboxRecord) -> None:
            await done.wait()

        log.before = wait
        async with anyio.create_task_group() as group:
            group.start_soon(inbox.run, log.dispatcher)
            await inbox.put(text())
            group.start_soon(other.run, log.dispatcher)
            ends: set[datetime] = set()
            with anyio.fail_after(PATIENCE):
                while len(ends) < 4:
                    ends.update([record.due_at for record in await inbox.list(state="leased")])
                    await anyio.sleep(0.02)
            done.set()
            await until(lambda: log.records)
            group.cancel_scope.cancel()
        assert len(log.records) == 1
        assert await states(inbox) == {"handled": 1}


async def test_a_handler_whose_event_was_taken_over_is_stopped(store: Store, clock: Clock, log: Log) -> None:
    """Its worker finds out when it renews, cancels it, and cannot settle what is not its own any more."""
    inbox = Inbox(store, lease=0.3, poll=0.05)
    stopped = anyio.Event()

    async def hang(_: InboxRecord) -> None:
        log.before = None
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    log.before = hang
    async with anyio.create_task_group() as group:
        await inbox.put(text())
        group.start_soon(inbox.run, log.dispatcher)
        await until(lambda: log.before is None)
        clock.pass_(1)  # as if this process had been suspended
        await take_and_die(inbox)
        with anyio.fail_after(PATIENCE):
            await stopped.wait()
        group.cancel_scope.cancel()
    (record,) = await inbox.list()
    assert (record.state, record.worker, record.attempts, log.records) == ("leased", "dead", 2, [])


async def test_stopping_finishes_what_is_at_hand(store: Store, log: Log) -> None:
    """A worker that is cancelled takes nothing new, and lets its handlers end."""
    inbox = Inbox(store, concurrency=1)
    running, go_on = anyio.Event(), anyio.Event()

    async def wait(_: InboxRecord) -> None:
        running.set()
        await go_on.wait()

    log.before = wait
    await inbox.put(text("1"))
    await inbox.put(text("2", JOHN))
    async with anyio.create_task_group() as group:
        group.start_soon(inbox.run, log.dispatcher)
        await running.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            go_on.set()
    assert log.messages == ["1"]
    assert await states(inbox) == {"handled": 1, "pending": 1}


async def test_what_is_not_finished_in_time_is_given_back(store: Store, log: Log) -> None:
    """After `grace` seconds the handlers are cancelled; the attempt does not count, and the event is due at once."""
    inbox = Inbox(store, grace=0.0)
    running = anyio.Event()

    async def hang(_: InboxRecord) -> None:
        running.set()
        await anyio.sleep_forever()

    log.before = hang
    await inbox.put(text("1"))
    async with anyio.create_task_group() as group:
        group.start_soon(inbox.run, log.dispatcher)
        await running.wait()
        group.cancel_scope.cancel()
    (record,) = await inbox.list()
    assert (record.state, record.attempts, record.worker) == ("pending", 0, None)
    log.before = None
    assert await inbox.drain(log.dispatcher) == 1


async def test_a_worker_wakes_for_what_comes_in_here_and_polls_for_the_rest(store_url: str, log: Log) -> None:
    """What comes through the same inbox needs no poll; what comes through another one is found by it."""
    async with Store(store_url) as one, Store(store_url) as two:
        patient, other = Inbox(one, poll=1e6), Inbox(two)
        async with anyio.create_task_group() as group:
            group.start_soon(patient.run, log.dispatcher)
            await until(lambda: patient._workers)
            await patient.put(text("1"))
            await until(lambda: log.messages == ["1"])
            group.cancel_scope.cancel()
        eager = Inbox(one, poll=0.01)
        async with anyio.create_task_group() as group:
            group.start_soon(eager.run, log.dispatcher)
            await other.put(text("2"))
            await until(lambda: log.messages == ["1", "2"])
            group.cancel_scope.cancel()


async def test_a_worker_outlives_a_store_that_cannot_be_used(
    store: Store, log: Log, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, keeps what it has to settle, and goes on when the store is back."""
    inbox = Inbox(store, poll=0.01)
    write, broken = store.write, threading.Event()

    async def write_or_fail(work: Callable[[Connection], Any]) -> Any:
        if broken.is_set():
            msg = "the store could not be written: disk full"
            raise StoreError(msg)
        return await write(work)

    monkeypatch.setattr(store, "write", write_or_fail)

    async def breaks(_: InboxRecord) -> None:
        broken.set()

    log.before = breaks
    await inbox.put(text("1"))
    async with anyio.create_task_group() as group:
        group.start_soon(inbox.run, log.dispatcher)
        await until(lambda: "the inbox cannot be written" in caplog.text)
        assert log.messages == ["1"]
        log.before = None
        broken.clear()
        await inbox.put(text("2"))
        await until(lambda: log.messages == ["1", "2"])
        group.cancel_scope.cancel()
    assert await states(inbox) == {"handled": 2}


async def test_a_worker_that_cannot_settle_still_stops(
    store: Store, log: Log, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tries until `grace` is over; then its leases run out by themselves, and the log says so."""
    inbox = Inbox(store, grace=0.1)
    await inbox.put(text("1"))
    write = store.write

    async def fail(_: Callable[[Connection], Any]) -> Any:
        raise StoreError("full")

    async def breaks(_: InboxRecord) -> None:
        monkeypatch.setattr(store, "write", fail)

    log.before = breaks
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(inbox.run, log.dispatcher)
            await until(lambda: "the inbox cannot be written: full" in caplog.text)
            group.cancel_scope.cancel()
    assert "1 webhook events could not be settled and will be handled again: full" in caplog.text
    monkeypatch.setattr(store, "write", write)
    assert await states(inbox) == {"leased": 1}


async def test_a_worker_outlives_a_store_that_cannot_be_read(
    store: Store, log: Log, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking for what other processes have left fails, is logged, and is done again."""
    inbox, read = Inbox(store, poll=0.01), store.read

    async def fail(_: Callable[[Connection], Any]) -> Any:
        raise StoreError("gone")

    monkeypatch.setattr(store, "read", fail)
    async with anyio.create_task_group() as group:
        group.start_soon(inbox.run, log.dispatcher)
        await until(lambda: "the inbox cannot be read: gone" in caplog.text)
        await Inbox(store).put(text("1"))
        monkeypatch.setattr(store, "read", read)
        await until(lambda: log.messages == ["1"])
        group.cancel_scope.cancel()


async def test_draining_a_store_that_cannot_be_used_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error itself, and not a group of one."""
    inbox = Inbox(store)

    async def fail(_: Callable[[Connection], Any]) -> Any:
        raise StoreError("full")

    monkeypatch.setattr(store, "write", fail)
    with pytest.raises(StoreError, match="full"):
        await inbox.drain(Dispatcher())


# --- duplicates and consent ---------------------------------------------------------------------------------------


async def test_duplicates_are_marked_and_handled(store: Store, clock: Clock, log: Log) -> None:
    """An equal body within the window names the first; a later one, or one that differs, does not."""
    inbox = Inbox(store, duplicate_window=5.0)
    yes = text("Yes")
    first = await inbox.put(yes)
    clock.pass_(5)
    second = await inbox.put(yes)
    other = await inbox.put(text("Yes", JOHN))
    clock.pass_(5.1)
    third = await inbox.put(yes)
    assert await inbox.drain(log.dispatcher) == 4
    found = {record.id: record.duplicate_of for record in log.records}
    assert found == {first: None, second: first, other: None, third: None}
    assert [record.id for record in log.records if record.probable_duplicate] == [second]


async def test_duplicates_that_come_together_are_marked_too(store: Store) -> None:
    """One commit may hold both."""
    inbox = Inbox(store)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(inbox.put, text("Yes"))
    records = await inbox.list()
    assert [record.duplicate_of for record in records] == [1, 1, 1, 1, None]


async def test_duplicates_can_be_skipped_and_replayed(store: Store, log: Log) -> None:
    """Skipping is a state that can be seen, and a person can still have one handled."""
    inbox = Inbox(store, skip_duplicates=True)
    for _ in range(2):
        await inbox.put(text("Yes"))
    await inbox.drain(log.dispatcher)
    assert (log.messages, await states(inbox)) == (["Yes"], {"handled": 1, "skipped": 1})
    await inbox.replay(state="skipped")
    await inbox.drain(log.dispatcher)
    assert (log.messages, await states(inbox)) == (["Yes", "Yes"], {"handled": 2})


async def test_what_somebody_says_about_being_texted_is_never_a_duplicate(store: Store) -> None:
    """STOP, STOP is two opt-outs, and so are two events."""
    inbox = Inbox(store, skip_duplicates=True)
    for posted in (text("STOP"), text("Start"), body("opt-out"), body("opt-in")):
        await inbox.put(posted)
        await inbox.put(posted)
    assert [None] * 8 == [record.duplicate_of for record in await inbox.list()]


@pytest.mark.parametrize(
    ("posted", "suppressed"),
    [
        ([body("opt-out")], True),
        ([text("Stop.")], True),
        ([body("opt-out"), body("opt-in")], False),
        ([text("STOP"), text("unstop")], False),
        ([text("START"), body("opt-out", contact=None, text={"phone_from": "(888) 555-3333"})], True),
        ([text("please stop")], None),
        ([body("contact-deleted")], None),
    ],
)
async def test_an_opt_out_is_on_the_list_before_it_is_handled(
    store: Store,
    posted: list[bytes],
    suppressed: bool | None,  # noqa: FBT001
) -> None:
    """The suppression list changes with the event's commit, for the account."""
    inbox = Inbox(store)
    for each in posted:
        last = await inbox.put(each)
    found = await Suppressions(store).get(MARIA)
    assert [(one.suppressed, one.group_id, one.event_id) for one in found] == (
        [] if suppressed is None else [(suppressed, None, last)]
    )


async def test_event_and_suppression_are_committed_together_or_not_at_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the list cannot be written, the event is not acknowledged."""
    from pidj_async.webhooks.inbox import table  # noqa: PLC0415

    inbox = Inbox(store)
    monkeypatch.setattr(table, "apply_changes", lambda connection, _: connection.exec_driver_sql("SELECT nothing"))
    with pytest.raises(StoreError):
        await inbox.put(text("STOP"))
    assert await states(inbox) == {}


async def test_an_opt_out_of_nobody_is_in_plain_sight(store: Store, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """Its handlers run, since they may know better; the record and the log say that the list has not changed."""
    inbox = Inbox(store)
    await inbox.put(body("opt-out", contact=None, text=None))
    assert await inbox.drain(log.dispatcher) == 1
    assert (log.records[0].consent, await Suppressions(store).count()) == ("unreadable", 0)
    assert "is an opt-out without a readable number" in caplog.text


# --- looking and mending ------------------------------------------------------------------------------------------


async def test_events_are_found(store: Store, clock: Clock, log: Log) -> None:
    """By state, name, number, time, and page by page."""
    inbox = Inbox(store)
    start = datetime.fromtimestamp(clock.now / 1e6, UTC)
    for minute in range(6):
        await inbox.put(body("opt-in") if minute % 2 else text(f"{minute}", JOHN))
        clock.pass_(60)

    async def ids(**wanted: Any) -> list[int]:
        return [record.id for record in await inbox.list(**wanted)]

    assert await ids() == [6, 5, 4, 3, 2, 1]
    assert await ids(limit=2) == [6, 5]
    assert await ids(limit=2, before=5) == [4, 3]
    assert await ids(event="opt-in") == [6, 4, 2]
    assert await ids(phone_number="888 555 4444") == [5, 3, 1]
    assert await ids(since=start + timedelta(minutes=1), until=start + timedelta(minutes=3)) == [3, 2]
    assert await ids(state="handled") == []
    await inbox.drain(log.dispatcher)
    assert await ids(state="handled", event="opt-in", until=start + timedelta(minutes=2)) == [2]
    assert await inbox.get(99) is None
    assert list(await inbox.counts()) == list(STATES)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"state": "lost"}, "state"),
        ({"since": datetime(2026, 1, 1)}, "since"),  # noqa: DTZ001
        ({"until": datetime(2026, 1, 1)}, "until"),  # noqa: DTZ001
        ({"limit": 0}, "limit"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(store: Store, wanted: dict[str, Any], field: str) -> None:
    """The error names the argument."""
    with pytest.raises(InvalidRequestError) as refused:
        await Inbox(store).list(**wanted)
    assert refused.value.field == field


async def test_replaying(store: Store, clock: Clock, log: Log) -> None:
    """Events are handled again, from their first attempt and in order; a dry run only says which."""
    inbox = Inbox(store, max_attempts=1)
    log.fails = lambda _: True
    for message in "123":
        await inbox.put(text(message))
    await inbox.drain(log.dispatcher)
    assert [record.state for record in await inbox.replay(1, 3, dry_run=True)] == ["dead", "dead"]
    assert await states(inbox) == {"dead": 3}
    log.fails = lambda _: False
    clock.pass_(60)
    assert [record.id for record in await inbox.replay(3, 1, 99)] == [3, 1]
    assert await inbox.drain(log.dispatcher) == 2
    assert log.messages == ["1", "2", "3", "1", "3"]
    assert [record.attempts for record in log.records[3:]] == [1, 1]
    assert log.records[3].replayed_at == datetime.fromtimestamp(clock.now / 1e6, UTC)
    assert [record.id for record in await inbox.replay(state="dead", event="text-received")] == [2]
    with pytest.raises(InvalidRequestError, match="say which events"):
        await inbox.replay()


async def test_replaying_leaves_alone_what_is_being_handled(store: Store) -> None:
    """And makes due at once what waits to be tried again."""
    inbox = Inbox(store)
    await inbox.put(text("1"))
    await take_and_die(inbox)
    await inbox.put(text("2", JOHN))
    assert [record.id for record in await inbox.replay(event="text-received")] == [2]


async def test_shapes_are_counted_for_good(store_url: str) -> None:
    """Unknown events and fields, by all processes; no values, no phone numbers, and only so many of them."""
    async with Store(store_url) as one, Store(store_url) as two:
        for store in (one, two):
            inbox = Inbox(store)
            await inbox.put(b'{"event": "moon-risen", "phase": "full"}')
            await inbox.put(body("opt-out", reason={"word": "STOP"}, contact={MARIA: 1}))
            shapes = await inbox.shapes()
    assert shapes.unknown_events == (EventShape(name="moon-risen", count=2),)
    assert sorted((field.event, field.path, field.type, field.count) for field in shapes.unknown_fields) == [
        ("moon-risen", "phase", "string", 2),
        ("opt-out", "contact.+188******33", "number", 2),
        ("opt-out", "reason", "object", 2),
    ]
    assert MARIA not in str(shapes)


async def test_anybody_may_invent_names_but_not_without_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit they are only counted."""
    from pidj_async.webhooks.inbox import table  # noqa: PLC0415

    monkeypatch.setattr(table, "MAX_SHAPES", 3)
    inbox = Inbox(store)
    for number in range(10):
        await inbox.put(json.dumps({"event": f"invented-{number}"}).encode())
    await inbox.put(b'{"event": "invented-0"}')
    shapes = await inbox.shapes()
    assert ([event.count for event in shapes.unknown_events], shapes.overflow) == ([2, 1, 1], 7)


async def test_pruning_deletes_only_what_is_done_with(store: Store, clock: Clock, log: Log) -> None:
    """Dead letters and events that wait stay."""
    inbox = Inbox(store, max_attempts=1)
    log.fails = lambda event: isinstance(event, TextReceived)
    await inbox.put(text())
    await inbox.put(body("opt-in"))
    await inbox.drain(log.dispatcher)
    await inbox.put(body("opt-out"))
    clock.pass_(60)
    await inbox.put(body("opt-in"))
    limit = datetime.fromtimestamp(clock.now / 1e6, UTC)
    assert [1, 1] == [await inbox.prune(before=limit, dry_run=True) for _ in range(2)]
    assert [1, 0] == [await inbox.prune(before=limit) for _ in range(2)]
    assert await states(inbox) == {"dead": 1, "pending": 2}
    with pytest.raises(InvalidRequestError, match="time zone"):
        await inbox.prune(before=datetime(2026, 1, 1))  # noqa: DTZ001


async def test_pruning_leaves_room_for_what_comes_meanwhile(
    store: Store, clock: Clock, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many are deleted a few at a time, all of them in the end."""
    monkeypatch.setattr(inbox_module, "_PRUNED_AT_ONCE", 2)
    inbox = Inbox(store)
    for _ in range(5):
        await inbox.put(body("opt-in"))
    await inbox.drain(log.dispatcher)
    clock.pass_(60)
    commits = 0
    write = store.write

    async def count(work: Any) -> Any:
        nonlocal commits
        commits += 1
        return await write(work)

    monkeypatch.setattr(store, "write", count)
    assert 5 == await inbox.prune(before=datetime.fromtimestamp(clock.now / 1e6, UTC))
    assert (4, {}) == (commits, await states(inbox))


@pytest.mark.parametrize(
    "settings",
    [
        {"concurrency": 0},
        {"max_attempts": 0},
        {"lease": 0},
        {"poll": -1},
        {"grace": -1},
        {"handler_timeout": 0},
        {"backoff": float("inf")},
        {"duplicate_window": float("nan")},
        {"retry_after": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Any, settings: dict[str, Any]) -> None:
    """At once, by name."""
    (name,) = settings
    with pytest.raises(ConfigurationError, match=f"^{name} must"):
        Inbox(Store(f"sqlite:///{tmp_path}/x.db"), **settings)
