"""The loop that hands stored events to the dispatcher.

One transaction a turn: what has been finished since the last one is settled, leases are renewed, and new events are
claimed. So the number of commits depends on how fast the disk is, and not on how many events there are.

A lease is also the deadline of the scope in which its handlers run. If it cannot be renewed in time, they are
cancelled before anybody else can have the event.
"""

from __future__ import annotations

import logging
import math
import random
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from pidj_async._masking import mask_phone_numbers_in
from pidj_async.errors import ConfigurationError, PidjError
from pidj_async.webhooks.events import show_name
from pidj_async.webhooks.inbox.records import InboxRecord, State
from pidj_async.webhooks.inbox.table import Lease, Settlement, claim, is_any_due, renew, settle

if TYPE_CHECKING:
    from anyio.abc import TaskGroup
    from sqlalchemy import Connection

    from pidj_async.store import Store
    from pidj_async.webhooks.dispatcher import Dispatcher, DispatchReport
    from pidj_async.webhooks.events import Event

__all__ = ["Worker", "WorkerSettings"]

logger = logging.getLogger("pidj_async.webhooks")

_MAX_ERROR: Final = 2_000
_LONGEST_PAUSE: Final = 30.0


@attrs.frozen(kw_only=True)
class WorkerSettings:
    """How events are handed out; times in seconds. `Inbox` explains them."""

    concurrency: int
    max_attempts: int
    backoff: float
    max_backoff: float
    lease: float
    poll: float
    grace: float
    handler_timeout: float | None
    skip_duplicates: bool


class _Flight:
    """An event that is being handled."""

    def __init__(self, lease: Lease, deadline: float) -> None:
        self.lease = lease
        self.scope = anyio.CancelScope(deadline=deadline)
        self.taken_over = False

    @property
    def key(self) -> tuple[int, int]:
        return self.lease.record.id, self.lease.fence


@attrs.frozen
class _Turn:
    leases: list[Lease]
    held: set[int] | None
    refused: int


class Worker:
    """Handles events of a store until it is stopped, or until there are none.

    Args:
        store: Where they are.
        dispatcher: Has the handlers.
        settings: How.
        name: Of this worker; no two may have the same.
        until_idle: End when nothing is due.
    """

    def __init__(
        self, store: Store, dispatcher: Dispatcher, settings: WorkerSettings, *, name: str, until_idle: bool = False
    ) -> None:
        self.handled = 0
        self._store = store
        self._dispatcher = dispatcher
        self._settings = settings
        self._name = name
        self._until_idle = until_idle
        self._flying: dict[int, _Flight] = {}
        self._finished: list[Settlement] = []
        self._signal = anyio.Event()
        self._may_claim = True
        self._renew_at = math.inf
        self._stop_at: float | None = None
        self._failures = 0
        self._problem: ConfigurationError | None = None

    def wake(self) -> None:
        """There may be new events."""
        self._may_claim = True
        self._signal.set()

    def stop(self) -> None:
        """Take no more events, and end as soon as those at hand are finished, or `grace` is over."""
        if self._stop_at is None:
            self._stop_at = anyio.current_time() + self._settings.grace
            for flight in self._flying.values():
                flight.scope.deadline = min(flight.scope.deadline, self._stop_at)
            self._signal.set()

    async def run(self) -> None:
        """Work. If this is cancelled, it stops as `stop` does."""
        async with anyio.create_task_group() as group:
            ended = anyio.Event()
            group.start_soon(self._work, ended)
            try:
                await ended.wait()
            finally:
                self.stop()

    async def _work(self, ended: anyio.Event) -> None:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as handlers:
                while not self._is_done():
                    # New before anything is looked at: what happens from here on cuts the pause short.
                    self._signal = anyio.Event()
                    pause = await self._take_turn(handlers)
                    if pause <= 0 or self._is_done():
                        continue
                    with anyio.move_on_after(pause) as timer:
                        await self._signal.wait()
                    if timer.cancelled_caught and not self._may_claim and self._stop_at is None:
                        await self._look()
            ended.set()
        if self._problem is not None:
            raise self._problem

    def _is_done(self) -> bool:
        if self._flying or self._finished:
            return False
        return self._stop_at is not None or (self._until_idle and not self._may_claim)

    async def _look(self) -> None:
        """See whether other processes have left something, without the cost of a claim."""
        if len(self._flying) >= self._settings.concurrency:
            return
        try:
            # Only ever to True: it may have been set meanwhile.
            if await self._store.read(lambda connection: is_any_due(connection, now=self._now(connection))):
                self._may_claim = True
        except PidjError as error:
            logger.warning("the inbox cannot be read: %s", error)

    async def _take_turn(self, handlers: TaskGroup) -> float:
        """Settle, renew and claim, and return how long to wait for something to happen, in seconds."""
        started = anyio.current_time()
        finished, self._finished = self._finished, []
        room = 0 if self._stop_at is not None else self._settings.concurrency - len(self._flying)
        limit = room if self._may_claim or finished else 0
        renewing = [flight.key for flight in self._flying.values()] if started >= self._renew_at else []
        if finished or limit > 0 or renewing:
            if limit > 0:
                self._may_claim = False  # whoever wakes this worker from now on does so for the next turn
            try:
                turn = await self._store.write(partial(self._transact, finished, renewing, limit))
            except PidjError as error:
                return self._failed(error, finished, claimed=limit > 0)
            self._failures = 0
            if turn.refused:
                logger.warning("%d webhook events had been taken over by another worker", turn.refused)
            self._renewed(turn.held, renewing, started)
            self._take_off(turn.leases, handlers, started)
            if 0 < limit == len(turn.leases):
                self._may_claim = True  # there may be more
        if self._may_claim and len(self._flying) < self._settings.concurrency and self._stop_at is None:
            return 0.0
        return max(0.0, min(self._settings.poll, self._renew_at - anyio.current_time()))

    def _transact(
        self, finished: list[Settlement], renewing: list[tuple[int, int]], limit: int, connection: Connection
    ) -> _Turn:
        settings = self._settings
        now = self._now(connection)
        duration = round(settings.lease * 1e6)
        refused = settle(connection, finished, now=now) if finished else 0
        held = renew(connection, renewing, until=now + duration) if renewing else None
        leases: list[Lease] = []
        if limit > 0:
            leases = claim(
                connection,
                now=now,
                worker=self._name,
                limit=limit,
                duration=duration,
                max_attempts=settings.max_attempts,
            )
        return _Turn(leases, held, refused)

    def _now(self, connection: Connection) -> int:
        return self._store.now(connection)

    def _failed(self, error: PidjError, finished: list[Settlement], *, claimed: bool) -> float:
        """Keep what could not be written for the next turn."""
        self._finished = finished + self._finished
        self._may_claim |= claimed
        self._failures += 1
        if self._until_idle and not self._flying:
            self._finished.clear()  # their leases run out by themselves
            raise error
        now = anyio.current_time()
        if self._stop_at is not None and now >= self._stop_at and not self._flying:
            logger.error("%d webhook events could not be settled and will be handled again: %s", len(finished), error)
            self._finished.clear()
        logger.warning("the inbox cannot be written: %s", error)
        pause: float = min(_LONGEST_PAUSE, 0.1 * 2.0 ** min(self._failures, 10))
        return min(pause, max(0.05, self._stop_at - now)) if self._stop_at is not None else pause

    def _renewed(self, held: set[int] | None, renewing: list[tuple[int, int]], started: float) -> None:
        if held is None:
            return
        self._renew_at = started + self._settings.lease / 3
        for event_id, _ in renewing:
            flight = self._flying.get(event_id)
            if flight is None:
                continue  # finished meanwhile
            if event_id in held:
                deadline = started + self._settings.lease
                flight.scope.deadline = deadline if self._stop_at is None else min(deadline, self._stop_at)
            else:
                flight.taken_over = True
                flight.scope.cancel()

    def _take_off(self, leases: list[Lease], handlers: TaskGroup, started: float) -> None:
        for lease in leases:
            deadline = started + self._settings.lease
            flight = _Flight(lease, deadline if self._stop_at is None else min(deadline, self._stop_at))
            self._flying[lease.record.id] = flight
            handlers.start_soon(self._fly, flight, name=f"webhook event {lease.record.id}")
        if self._flying:
            self._renew_at = min(self._renew_at, started + self._settings.lease / 3)
        else:
            self._renew_at = math.inf

    async def _fly(self, flight: _Flight) -> None:
        record = flight.lease.record
        state: State = "pending"
        error: str | None = None
        unfinished = True
        try:
            with flight.scope:
                state, error = await self._handle(record)
                unfinished = False
        except ConfigurationError as problem:
            self._problem = self._problem or problem
            self.stop()
        del self._flying[record.id]
        if flight.taken_over:
            logger.warning("webhook event %d was taken over by another worker", record.id)
        else:
            self._finished.append(self._settlement(flight, state, error, unfinished=unfinished))
        self._signal.set()

    def _settlement(self, flight: _Flight, state: State, error: str | None, *, unfinished: bool) -> Settlement:
        event_id, fence = flight.key
        if unfinished:
            logger.warning("webhook event %d was given back unfinished", event_id)
            return Settlement(id=event_id, fence=fence, state="pending", counts=False)
        self.handled += 1
        if state != "pending":
            return Settlement(id=event_id, fence=fence, state=state, error=error)
        attempts = flight.lease.record.attempts
        if attempts >= self._settings.max_attempts:
            logger.error("webhook event %d is dead after %d attempts", event_id, attempts)
            return Settlement(id=event_id, fence=fence, state="dead", error=error)
        # Full jitter: any time up to the limit, so that what failed together does not come back together.
        limit = min(self._settings.max_backoff, self._settings.backoff * 2 ** min(attempts - 1, 60))
        delay = round(random.uniform(0, limit) * 1e6)  # noqa: S311
        return Settlement(id=event_id, fence=fence, state="pending", error=error, delay=delay)

    async def _handle(self, record: InboxRecord) -> tuple[State, str | None]:
        """Return what has become of an event, and why; "pending" if a handler failed."""
        if record.probable_duplicate and self._settings.skip_duplicates and record.replayed_at is None:
            return "skipped", None
        try:
            event = record.event()
            report = None
            with anyio.move_on_after(self._settings.handler_timeout):
                report = await self._dispatch(record, event)
        except ConfigurationError:  # the program is wrong, not the event
            raise
        except Exception as error:  # a handler's own would be in the report
            logger.exception("webhook event %d (%s) cannot be dispatched", record.id, show_name(record.name))
            return "quarantined", _told(error)
        if report is None:
            return "pending", f"the handlers took longer than {self._settings.handler_timeout} seconds"
        if report.ok:
            return "handled", None
        return "pending", "; ".join(f"{result.handler}: {_told(result.error)}" for result in report.failed)[:_MAX_ERROR]

    async def _dispatch(self, record: InboxRecord, event: Event) -> DispatchReport:
        return await self._dispatcher.dispatch(event, context={InboxRecord: record})


def _told(error: BaseException | None) -> str:
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    # PostgreSQL's texts have no NUL, and nothing that is not Unicode.
    plain = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return mask_phone_numbers_in(plain[:_MAX_ERROR])
