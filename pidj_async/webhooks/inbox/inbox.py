"""`Inbox`: what the other modules of this package are for."""

from __future__ import annotations

import builtins
import hashlib
import logging
import math
import os
import re
import secrets
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pidj_async._masking import mask_phone_numbers_in
from pidj_async.errors import ConfigurationError, InvalidRequestError, PidjError
from pidj_async.store.engine import Purpose, exclusively
from pidj_async.store.grouping import GroupCommit
from pidj_async.suppressions import readable_number
from pidj_async.webhooks.events import EVENT_TYPES, Event, UnknownEvent
from pidj_async.webhooks.inbox import table
from pidj_async.webhooks.inbox.consent import consent_of
from pidj_async.webhooks.inbox.duplicates import RecentBodies
from pidj_async.webhooks.inbox.records import STATES, InboxRecord, State
from pidj_async.webhooks.inbox.worker import Worker, WorkerSettings
from pidj_async.webhooks.parsing import json_type, parse_event
from pidj_async.webhooks.shapes import MAX_NAME, Shapes, unnamed_fields

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pidj_async.store import Store
    from pidj_async.webhooks.dispatcher import Dispatcher

__all__ = ["Inbox"]

logger = logging.getLogger("pidj_async.webhooks")

_MAX_EVENT_NAME: Final = 200
_MAX_ORDER_KEY: Final = 80
_PRUNED_AT_ONCE: Final = 1_000
_NOT_TEXT: Final = re.compile("[\0\ud800-\udfff]")  # PostgreSQL keeps neither


class Inbox:
    """Stores events before they are acknowledged, and has them handled afterwards, at least once and in order.

    ::

        inbox = Inbox(Store("postgresql://..."))
        app = Receiver(dispatcher, secret="...", inbox=inbox).asgi()

    See `pidj_async.webhooks.inbox` for what it promises. All times are in seconds.

    Args:
        store: Where events are kept. Several processes may share one, each with an inbox of its own.
        concurrency: How many events a worker handles at once.
        max_attempts: How often an event is tried before it is dead.
        backoff: After a first failure an event waits for up to this long, twice as long after each further one ...
        max_backoff: ... and never longer than this. How long exactly is left to chance ("full jitter").
        lease: For how long a worker has an event. It renews its leases while it lives, so this is how long the events
            of a worker that died have to wait.
        poll: How often to look for events that came in through other processes, or are to be tried again. Those that
            came in through this inbox are handled at once.
        grace: How long a worker that is asked to stop lets its handlers go on. What is not finished then is given
            back, and handled again.
        handler_timeout: How long the handlers of one event may take together, ``None`` for any time. Longer is a
            failure. A plain ``def`` runs in a thread, and cannot be interrupted.
        duplicate_window: How long an equal body counts as a probable duplicate, among the last 100,000 events. 0:
            never. Opt-outs and opt-ins are none, ever.
        skip_duplicates: Do not handle probable duplicates.
        retry_after: After how many seconds to ask for an event again that could not be stored.

    Raises:
        ConfigurationError: A number is not positive.
    """

    def __init__(
        self,
        store: Store,
        *,
        concurrency: int = 16,
        max_attempts: int = 8,
        backoff: float = 1.0,
        max_backoff: float = 300.0,
        lease: float = 30.0,
        poll: float = 1.0,
        grace: float = 10.0,
        handler_timeout: float | None = 300.0,
        duplicate_window: float = 5.0,
        skip_duplicates: bool = False,
        retry_after: int = 10,
    ) -> None:
        positive: dict[str, float] = {
            "concurrency": concurrency,
            "max_attempts": max_attempts,
            "backoff": backoff,
            "max_backoff": max_backoff,
            "lease": lease,
            "poll": poll,
            "handler_timeout": 1 if handler_timeout is None else handler_timeout,
            "retry_after": retry_after,
        }
        for name, value in positive.items():
            if not 0 < value < math.inf:
                msg = f"{name} must be positive; got {value!r}"
                raise ConfigurationError(msg)
        for name, value in {"grace": grace, "duplicate_window": duplicate_window}.items():
            if not 0 <= value < math.inf:
                msg = f"{name} must not be negative; got {value!r}"
                raise ConfigurationError(msg)
        self.store = store
        self.retry_after = retry_after
        self._settings = WorkerSettings(
            concurrency=concurrency,
            max_attempts=max_attempts,
            backoff=backoff,
            max_backoff=max_backoff,
            lease=lease,
            poll=poll,
            grace=grace,
            handler_timeout=handler_timeout,
            skip_duplicates=skip_duplicates,
        )
        self._recent = RecentBodies(window=round(duplicate_window * 1e6))
        self._inserts = GroupCommit(self._insert)
        self._workers: set[Worker] = set()

    def __repr__(self) -> str:
        return f"<Inbox in {self.store!r}>"

    # --- coming in ------------------------------------------------------------------------------------------------

    async def put(self, body: bytes, *, headers: str = "{}", event: Event | None = None) -> int:
        """Store an event. When this returns, it is committed, and so is what it means for the suppression list.

        Args:
            body: As it was posted.
            headers: What to keep of the request's headers, as a JSON object.
            event: What the body says, if it has been read already.

        Returns:
            The event's id.

        Raises:
            InvalidPayloadError: The body is not an event.
            StoreError: It could not be stored.
        """
        arrival = _arrival(body, headers, parse_event(body) if event is None else event)
        return await self._inserts.add(arrival)

    async def _insert(self, arrivals: Sequence[table.Arrival]) -> Sequence[int]:
        def insert(connection: Connection) -> tuple[int, builtins.list[int]]:
            exclusively(connection, Purpose.INSERT_EVENTS)
            now = self.store.now(connection)
            return now, table.insert_arrivals(connection, arrivals, now=now, recent=self._recent)

        now, ids = await self.store.write(insert)
        self._recent.add(ids, [arrival.fingerprint for arrival in arrivals], now=now)
        for event_id, arrival in zip(ids, arrivals, strict=True):
            if arrival.consent is not None and arrival.consent.phone_number is None:
                logger.error(
                    "webhook event %d is an %s without a readable number: see to the suppression list by hand",
                    event_id,
                    arrival.consent.kind,
                )
        for worker in self._workers:
            worker.wake()
        return ids

    # --- being handled --------------------------------------------------------------------------------------------

    async def run(self, dispatcher: Dispatcher) -> None:
        """Handle events until cancelled.

        Then no more are taken, and those at hand are finished: cancelling takes up to `grace` seconds. If the store
        cannot be used, it is tried again, and logged.

        Args:
            dispatcher: Has the handlers.

        Raises:
            ConfigurationError: A handler wants what nobody provides, or the store's tables are not of this version.
        """
        await self._work(Worker(self.store, dispatcher, self._settings, name=_worker_name()))

    async def drain(self, dispatcher: Dispatcher) -> int:
        """Handle everything that is due, then return: for tests, and for jobs that run now and then.

        What is to be tried again later, or is in the hands of another worker, is not waited for.

        Args:
            dispatcher: Has the handlers.

        Returns:
            How many events were handed to it, those that failed included.

        Raises:
            ConfigurationError: A handler wants what nobody provides.
            StoreError: The store could not be used.
        """
        worker = Worker(self.store, dispatcher, self._settings, name=_worker_name(), until_idle=True)
        await self._work(worker)
        return worker.handled

    async def _work(self, worker: Worker) -> None:
        self._workers.add(worker)
        try:
            await worker.run()
        except BaseExceptionGroup as group:
            # A task group wraps what it raises; the caller expects the error itself.
            if (found := _only(group)) is None:
                raise
            raise found from None
        finally:
            self._workers.discard(worker)

    # --- being looked at ------------------------------------------------------------------------------------------

    async def get(self, event_id: int) -> InboxRecord | None:
        """Return an event, or ``None`` if there is none with this id.

        Args:
            event_id: Its id.

        Raises:
            StoreError: The store could not be read.
        """
        found = await self._find(1, ids=[event_id])
        return found[0] if found else None

    async def list(
        self,
        *,
        state: State | None = None,
        event: str | None = None,
        phone_number: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[InboxRecord, ...]:
        """Return the events that fulfil all that is given, the newest first.

        Args:
            state: Where they are in their lives.
            event: Their name on the wire, such as ``"text-received"``.
            phone_number: The person's.
            since: They came at this time or later; with a time zone.
            until: They came before this time; with a time zone.
            before: Their ids are lower: the last one's, to get the next page.
            limit: How many at most.

        Raises:
            InvalidRequestError: The state is none, a time has no zone, or the limit is not positive.
            StoreError: The store could not be read.
        """
        return await self._find(
            limit, state=state, event=event, phone_number=phone_number, since=since, until=until, before=before
        )

    async def dead(self, *, before: int | None = None, limit: int = 100) -> tuple[InboxRecord, ...]:
        """Return the dead letters: events that failed `max_attempts` times; the newest first.

        Args:
            before: Their ids are lower: the last one's, to get the next page.
            limit: How many at most.

        Raises:
            StoreError: The store could not be read.
        """
        return await self._find(limit, state="dead", before=before)

    async def counts(self) -> Mapping[State, int]:
        """Return how many events are in each state.

        Raises:
            StoreError: The store could not be read.
        """
        return await self.store.read(table.count_states)

    async def shapes(self) -> Shapes:
        """Return the unknown events and fields seen so far, by all processes: how the undocumented bodies really look.

        Raises:
            StoreError: The store could not be read.
        """
        return await self.store.read(table.read_shapes)

    async def replay(
        self,
        *ids: int,
        state: State | None = None,
        event: str | None = None,
        phone_number: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        dry_run: bool = False,
    ) -> tuple[InboxRecord, ...]:
        """Have events handled again, from their first attempt, whatever has become of them.

        Those that a worker has just now are left out. The suppression list does not change: what an event meant for it
        was written when it came.

        Args:
            ids: Their ids; or
            state: where they are in their lives,
            event: their name on the wire,
            phone_number: the person's,
            since: they came at this time or later, with a time zone,
            until: they came before this time, with a time zone: all that is given must be so.
            dry_run: Only say which.

        Returns:
            The events as they were, the newest first.

        Raises:
            InvalidRequestError: Nothing says which events, a state is none, or a time has no zone.
            StoreError: The store could not be used.
        """
        given: dict[str, Any] = {
            "state": state,
            "event": event,
            "phone_number": phone_number,
            "since": since,
            "until": until,
        }
        if not ids and all(value is None for value in given.values()):
            name, problem = "ids", "say which events: their ids, or their state, name, phone number or time"
            raise InvalidRequestError(name, problem)
        query = _query(ids=ids or None, **given)

        def replay(connection: Connection) -> tuple[InboxRecord, ...]:
            return table.replay(connection, query, now=self.store.now(connection), dry_run=dry_run)

        if dry_run:
            return await self.store.read(replay)
        chosen = await self.store.write(replay)
        for worker in self._workers:
            worker.wake()
        return chosen

    async def prune(self, *, before: datetime, dry_run: bool = False) -> int:
        """Delete events that have been handled or skipped, and came before a time. Others are never deleted.

        It is done a thousand at a time, so that whatever comes in meanwhile can be stored.

        Args:
            before: With a time zone.
            dry_run: Only say how many.

        Returns:
            How many.

        Raises:
            InvalidRequestError: The time has no zone.
            StoreError: The store could not be used. Some may have been deleted.
        """
        time = table.microseconds(_aware("before", before))
        if dry_run:
            return await self.store.read(lambda connection: table.count_old(connection, time))
        count = 0
        while pruned := await self.store.write(lambda connection: table.prune(connection, time, limit=_PRUNED_AT_ONCE)):
            count += pruned
        return count

    async def _find(self, limit: int, **wanted: Any) -> tuple[InboxRecord, ...]:
        if limit < 1:
            name, problem = "limit", "must be positive"
            raise InvalidRequestError(name, problem, value=str(limit))
        query = _query(**wanted).limit(limit)
        return await self.store.read(lambda connection: table.read(connection, query))


def _query(
    *,
    state: str | None = None,
    event: str | None = None,
    phone_number: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    **others: Any,
) -> Any:
    if state is not None and state not in STATES:
        name, problem = "state", f"must be one of {', '.join(STATES)}"
        raise InvalidRequestError(name, problem, value=repr(state))
    return table.find(
        state=state,
        event=None if event is None else _storable(event, _MAX_EVENT_NAME),
        order_key=None if phone_number is None else _order_key(phone_number),
        since=None if since is None else _aware("since", since),
        until=None if until is None else _aware("until", until),
        **others,
    )


def _aware(name: str, time: datetime) -> datetime:
    if time.tzinfo is None:
        problem = "must have a time zone, or two machines would not agree on it"
        raise InvalidRequestError(name, problem, value=str(time))
    return time


def _only(group: BaseExceptionGroup[BaseException]) -> PidjError | None:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, PidjError) else None


def _worker_name() -> str:
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"


# --- what is stored of an event -----------------------------------------------------------------------------------


def _arrival(body: bytes, headers: str, event: Event) -> table.Arrival:
    return table.Arrival(
        name=event.name if event.name in EVENT_TYPES else _storable(event.name, _MAX_EVENT_NAME),
        order_key=None if event.phone_number is None else _order_key(event.phone_number),
        body=body,
        headers=headers,
        fingerprint=hashlib.sha256(body).hexdigest(),
        consent=consent_of(event),
        shapes=_shapes(event),
    )


def _storable(text: str, limit: int) -> str:
    return _NOT_TEXT.sub("\ufffd", text)[:limit]


def _order_key(number: str) -> str:
    """One key for each person, however their number is written."""
    known = readable_number(number)
    if known is not None:
        return known
    plain = _storable(number, len(number))
    # What is no phone number may be of any length, and still must not be mistaken for another one.
    return plain if len(plain) <= _MAX_ORDER_KEY else f"sha256:{hashlib.sha256(plain.encode()).hexdigest()}"


def _shapes(event: Event) -> tuple[table.Shape, ...]:
    unnamed = unnamed_fields(event)
    unknown = isinstance(event, UnknownEvent)
    if not unnamed and not unknown:
        return ()
    name = _cut(event.name)
    fields = ((name, _cut(path), json_type(value)) for path, value in unnamed)
    return ((name, "", ""), *fields) if unknown else tuple(fields)


def _cut(name: str) -> str:
    # Whoever keys an object by phone numbers must not have them listed.
    return mask_phone_numbers_in(_storable(name, MAX_NAME))
