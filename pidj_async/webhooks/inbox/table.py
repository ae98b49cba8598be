"""The inbox's SQL. Each function runs inside a transaction; which one, `inbox` and `worker` decide.

The rules that the statements keep:

1. An event may be leased if it is due, nothing older with its key is pending, and nothing with its key is leased.
2. Claims exclude one another (`Purpose.CLAIM_EVENTS`), or two of them could each find rule 1 fulfilled.
3. Every lease raises the fence. An event is settled or renewed only by whoever has its latest fence.
4. Attempts are counted when the lease begins: an event that takes its worker down with it dies in the end.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, exists, func, select, tuple_

from pidj_async.store.engine import Purpose, exclusively, insert_if_new, insert_rows, take_ids
from pidj_async.store.schema import events, shapes
from pidj_async.suppressions import Change, apply_changes
from pidj_async.webhooks.inbox.consent import Consent
from pidj_async.webhooks.inbox.duplicates import RecentBodies
from pidj_async.webhooks.inbox.records import STATES, InboxRecord, State
from pidj_async.webhooks.shapes import EventShape, FieldShape, Shapes

__all__ = [
    "Arrival",
    "Lease",
    "Settlement",
    "claim",
    "count_old",
    "count_states",
    "find",
    "insert_arrivals",
    "is_any_due",
    "microseconds",
    "prune",
    "read",
    "read_shapes",
    "renew",
    "replay",
    "settle",
]

MAX_SHAPES: Final = 1_000
"""How many different events and fields are told apart: anybody who may post may invent names."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENDED: Final[tuple[State, ...]] = ("handled", "skipped", "quarantined", "dead")
_PAGE: Final = 500
_OVERFLOW: Final = {"event": "", "path": "", "type": "overflow"}

Shape = tuple[str, str, str]
"""Event, path, type; of an unknown event itself, path and type are empty."""


@attrs.frozen(kw_only=True)
class Arrival:
    """An event that is to be stored."""

    name: str
    order_key: str | None
    body: bytes
    headers: str
    fingerprint: str
    consent: Consent | None
    shapes: tuple[Shape, ...]


@attrs.frozen
class Lease:
    """The right to handle an event until it is settled, or not renewed in time."""

    record: InboxRecord
    fence: int


@attrs.frozen(kw_only=True)
class Settlement:
    """What became of a leased event.

    Attributes:
        id: The event.
        fence: The lease's.
        state: What it is now.
        error: What went wrong.
        delay: In how many microseconds it is due, if it is pending.
        counts: Whether the attempt counts; not if it was given back unfinished.
    """

    id: int
    fence: int
    state: State
    error: str | None = None
    delay: int = 0
    counts: bool = True


# --- coming in ----------------------------------------------------------------------------------------------------


def insert_arrivals(
    connection: Connection, arrivals: Sequence[Arrival], *, now: int, recent: RecentBodies
) -> list[int]:
    """Store events, and what they mean for the suppression list.

    Args:
        connection: Has `Purpose.INSERT_EVENTS` to itself.
        arrivals: The events, in the order in which they came.
        now: The time, in microseconds.
        recent: Tells which of them are duplicates. These here are not added to it: they are not committed yet.

    Returns:
        Their ids, ascending.
    """
    ids = take_ids(connection, events, len(arrivals))
    recent.catch_up(connection, before=ids[0], now=now)
    first_here: dict[str, int] = {}
    rows, changes = [], []
    for id, arrival in zip(ids, arrivals, strict=True):  # noqa: A001
        consent, fingerprint = arrival.consent, arrival.fingerprint
        duplicate_of = None
        if consent is None and recent.window:
            duplicate_of = recent.first_with(fingerprint) or first_here.get(fingerprint)
            first_here.setdefault(fingerprint, id)
        rows.append(
            (
                id,
                now,
                arrival.name,
                arrival.order_key,
                arrival.body,
                arrival.headers,
                fingerprint,
                duplicate_of,
                _consent_word(consent),
                "pending",
                0,
                now,
                0,
            )
        )
        if consent is not None and consent.phone_number is not None:
            changes.append(
                Change(
                    phone_number=consent.phone_number,
                    suppressed=consent.kind == "opt-out",
                    source=consent.source,
                    at=now,
                    event_id=id,
                )
            )
    insert_rows(connection, events, _ARRIVAL, rows)
    if changes:
        apply_changes(connection, changes)
    shapes_seen = [shape for arrival in arrivals for shape in arrival.shapes]
    if shapes_seen:
        _count_shapes(connection, Counter(shapes_seen), now)
    return ids


_ARRIVAL: Final = (
    "id",
    "received_at",
    "name",
    "order_key",
    "body",
    "headers",
    "fingerprint",
    "duplicate_of",
    "consent",
    "state",
    "attempts",
    "due_at",
    "fence",
)


def _consent_word(consent: Consent | None) -> str | None:
    if consent is None:
        return None
    return consent.kind if consent.phone_number is not None else "unreadable"


def _count_shapes(connection: Connection, counts: Mapping[Shape, int], now: int) -> None:
    for (event, path, kind), count in counts.items():
        key = {"event": event, "path": path, "type": kind}
        same = and_(*(shapes.c[name] == value for name, value in key.items()))
        grown = shapes.update().where(same).values(count=shapes.c.count + count, last_seen=now)
        if connection.execute(grown).rowcount:
            continue
        if connection.execute(select(func.count()).select_from(shapes)).scalar_one() >= MAX_SHAPES:
            key = _OVERFLOW
        new = insert_if_new(connection, shapes).values(**key, count=count, last_seen=now)
        changed = {"count": shapes.c.count + count, "last_seen": now}
        connection.execute(new.on_conflict_do_update(index_elements=list(shapes.primary_key.columns), set_=changed))


# --- being handled ------------------------------------------------------------------------------------------------

_older = events.alias("older")
_same = events.alias("same")
_IS_FREE = and_(
    ~exists(
        select(_older.c.id).where(
            _older.c.order_key == events.c.order_key, _older.c.state == "pending", _older.c.id < events.c.id
        )
    ),
    # Two conditions, not one with an "or": each of them is one look into the index.
    ~exists(
        select(_same.c.id).where(
            _same.c.order_key == events.c.order_key, _same.c.state == "leased", _same.c.id != events.c.id
        )
    ),
)


def _due(state: State) -> Select[Any]:
    due = select(events).where(events.c.state == state, events.c.due_at <= bindparam("now"), _IS_FREE)
    # Not by id: in this order the index has them, and the search ends with the limit.
    return due.order_by(events.c.due_at, events.c.id).limit(bindparam("limit"))


def _claimable(state: State) -> Select[Any]:
    # PostgreSQL: what is being settled just now is passed over. SQLite has no other writer, and leaves this out.
    return _due(state).with_for_update(of=events, skip_locked=True)


_LEASE = (
    events.update()
    .where(events.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        state="leased",
        worker=bindparam("by"),
        fence=events.c.fence + 1,
        attempts=events.c.attempts + 1,
        due_at=bindparam("until"),
    )
)


_DUE = (_due("pending"), _due("leased"))
_PENDING = _claimable("pending")
_ABANDONED = _claimable("leased")


def is_any_due(connection: Connection, *, now: int) -> bool:
    """Say whether `claim` would find anything. Only reads."""
    values = {"now": now, "limit": 1}
    return any(connection.execute(query, values).first() is not None for query in _DUE)


def claim(
    connection: Connection, *, now: int, worker: str, limit: int, duration: int, max_attempts: int
) -> list[Lease]:
    """Lease events that are due.

    Args:
        connection: In a transaction that writes.
        now: The time, in microseconds.
        worker: Who will have them.
        limit: How many at most.
        duration: For how long, in microseconds.
        max_attempts: An event whose worker was lost for the last of these times is dead.
    """
    exclusively(connection, Purpose.CLAIM_EVENTS)
    values = {"now": now, "limit": limit}
    rows = []
    for row in connection.execute(_ABANDONED, values).all():
        if row.attempts >= max_attempts:
            error = "its worker stopped or was lost while it had this event, every time"
            dead = events.update().where(events.c.id == row.id).values(state="dead", error=error, handled_at=now)
            connection.execute(dead.values(worker=None, fence=events.c.fence + 1))
        else:
            rows.append(row)
    if len(rows) < limit:
        rows += connection.execute(_PENDING, {"now": now, "limit": limit - len(rows)}).all()
    if not rows:
        return []
    taken = {"ids": [row.id for row in rows], "by": worker, "until": now + duration}
    connection.execute(_LEASE, taken)  # they are this transaction's alone, so nothing has changed since
    return [Lease(_record(row, leased_by=worker, until=now + duration), row.fence + 1) for row in rows]


def renew(connection: Connection, leases: Iterable[tuple[int, int]], *, until: int) -> set[int]:
    """Prolong leases.

    Args:
        connection: In a transaction that writes.
        leases: Ids and fences.
        until: When they end now, in microseconds.

    Returns:
        The ids of those that are still held. The others have been taken over.
    """
    prolonged = events.update().where(events.c.state == "leased", _held(leases)).values(due_at=until)
    return set(connection.execute(prolonged.returning(events.c.id)).scalars())


def settle(connection: Connection, settlements: Sequence[Settlement], *, now: int) -> int:
    """Write down what became of leased events.

    Args:
        connection: In a transaction that writes.
        settlements: Of leases that may have been lost meanwhile.
        now: The time, in microseconds.

    Returns:
        How many were refused, because somebody else has the event by now.
    """
    settled = 0
    plain: dict[State, list[tuple[int, int]]] = {}
    for one in settlements:
        if one.error is None and one.state in _ENDED:
            plain.setdefault(one.state, []).append((one.id, one.fence))
            continue
        ended = {"handled_at": now} if one.state in _ENDED else {"due_at": now + one.delay}
        given_back = {} if one.counts else {"attempts": events.c.attempts - 1}
        settled += _change_held(
            connection, [(one.id, one.fence)], state=one.state, error=one.error, **ended, **given_back
        )
    for state, held in plain.items():
        settled += _change_held(connection, held, state=state, error=None, handled_at=now)
    return len(settlements) - settled


def _change_held(connection: Connection, leases: Iterable[tuple[int, int]], **values: object) -> int:
    change = events.update().where(events.c.state == "leased", _held(leases)).values(worker=None, **values)
    return connection.execute(change).rowcount


def _held(leases: Iterable[tuple[int, int]]) -> ColumnElement[bool]:
    return tuple_(events.c.id, events.c.fence).in_(list(leases))


# --- being looked at ----------------------------------------------------------------------------------------------


def find(
    *,
    ids: Sequence[int] | None = None,
    state: State | None = None,
    event: str | None = None,
    order_key: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
) -> Select[Any]:
    """Write the query for the events that fulfil all that is given, the newest first."""
    wanted: list[ColumnElement[bool]] = []
    if ids is not None:
        wanted.append(events.c.id.in_(ids))
    if state is not None:
        wanted.append(events.c.state == state)
    if event is not None:
        wanted.append(events.c.name == event)
    if order_key is not None:
        wanted.append(events.c.order_key == order_key)
    if since is not None:
        wanted.append(events.c.received_at >= microseconds(since))
    if until is not None:
        wanted.append(events.c.received_at < microseconds(until))
    if before is not None:
        wanted.append(events.c.id < before)
    return select(events).where(*wanted).order_by(events.c.id.desc())


def read(connection: Connection, query: Select[Any]) -> tuple[InboxRecord, ...]:
    """Run a query of `find`."""
    return tuple(map(_record, connection.execute(query)))


def count_states(connection: Connection) -> dict[State, int]:
    """Count the events in each state, also where there are none."""
    found = connection.execute(select(events.c.state, func.count()).group_by(events.c.state))
    counts: dict[State, int] = dict.fromkeys(STATES, 0)
    counts.update({state: count for state, count in found})  # noqa: C416  a row is no pair to a type checker
    return counts


def read_shapes(connection: Connection) -> Shapes:
    """Read what was counted, the most frequent first."""
    query = select(shapes.c.event, shapes.c.path, shapes.c.type, shapes.c.count)
    rows = connection.execute(query.order_by(shapes.c.count.desc(), shapes.c.event, shapes.c.path)).all()
    return Shapes(
        unknown_events=tuple(
            EventShape(name=event, count=count) for event, path, _, count in rows if event and not path
        ),
        unknown_fields=tuple(
            FieldShape(event=event, path=path, type=kind, count=count) for event, path, kind, count in rows if path
        ),
        overflow=sum(count for event, _, _, count in rows if not event),
    )


def replay(connection: Connection, query: Select[Any], *, now: int, dry_run: bool) -> tuple[InboxRecord, ...]:
    """Make events pending again, from their first attempt, except those that a worker has just now.

    Args:
        connection: In a transaction that writes, unless it is a dry run.
        query: Of `find`.
        now: The time, in microseconds.
        dry_run: Only say which.

    Returns:
        The events as they were.
    """
    if not dry_run:
        exclusively(connection, Purpose.CLAIM_EVENTS)
    chosen = read(connection, query.where(events.c.state != "leased"))
    if not dry_run:
        # The fence grows: whoever had one of them long ago must not settle it now.
        again = events.update().values(
            state="pending", attempts=0, due_at=now, replayed_at=now, handled_at=None, fence=events.c.fence + 1
        )
        for start in range(0, len(chosen), _PAGE):
            page = [record.id for record in chosen[start : start + _PAGE]]
            connection.execute(again.where(events.c.id.in_(page)))
    return chosen


def _old(before: int) -> tuple[ColumnElement[bool], ...]:
    return events.c.state.in_(["handled", "skipped"]), events.c.received_at < before


def count_old(connection: Connection, before: int) -> int:
    """Count what is done with and came before a time, in microseconds."""
    return connection.execute(select(func.count()).select_from(events).where(*_old(before))).scalar_one()


def prune(connection: Connection, before: int, *, limit: int) -> int:
    """Delete at most so many of those that `count_old` counts, and return how many."""
    old = select(events.c.id).where(*_old(before)).limit(limit)
    return connection.execute(events.delete().where(events.c.id.in_(old))).rowcount


def microseconds(time: datetime) -> int:
    """Write a time as the store does."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _record(row: Row[Any], *, leased_by: str | None = None, until: int = 0) -> InboxRecord:
    """Make a record of a row: as it is, or as it will be with the lease that it is about to get."""
    # In the order of the table's columns: looking them up by name takes as long as all the rest.
    (
        event_id, received_at, name, order_key, body, headers, fingerprint, duplicate_of, consent,
        state, attempts, due_at, worker, _, handled_at, replayed_at, error,
    ) = tuple[Any, ...](row)  # fmt: skip
    if leased_by is not None:
        state, attempts, due_at, worker = "leased", attempts + 1, until, leased_by
    return InboxRecord(
        id=event_id,
        received_at=_time(received_at),
        name=name,
        order_key=order_key,
        body=bytes(body),
        headers=json.loads(headers),
        fingerprint=fingerprint,
        duplicate_of=duplicate_of,
        consent=consent,
        state=state,
        attempts=attempts,
        due_at=_time(due_at),
        worker=worker,
        handled_at=None if handled_at is None else _time(handled_at),
        replayed_at=None if replayed_at is None else _time(replayed_at),
        error=error,
    )
