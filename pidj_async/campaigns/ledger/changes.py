"""Every change of a recipient's state, each checked against `states.TRANSITIONS`.

Each function runs inside a transaction, and changes a bounded number of rows; whoever wants more calls again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Integer,
    String,
    Text,
    bindparam,
    case,
    false,
    literal_column,
    null,
    select,
    true,
)

from pidj_async.campaigns.states import RecipientState, check_transition
from pidj_async.store.rows import Query, as_json, ids_of, rows_of
from pidj_async.store.schema import recipients

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Select, Update
    from sqlalchemy.types import TypeEngine

    from pidj_async.campaigns.records import Settlement

__all__ = [
    "BATCH",
    "cancel_some",
    "change",
    "claim",
    "defer",
    "expire_some",
    "lose",
    "resolve_some",
    "select_in",
    "settle",
    "suppress",
    "wake_some",
]

BATCH: Final = 2_000
"""How many rows a transaction changes at most."""

WORKER_LOST: Final = "worker-lost"
"""The cause of what is in doubt because whoever had claimed it never said what became of it."""

_LOST: Final = "whoever was sending it died, or was not heard of for too long"
_MAX_CAUSE: Final = 40
_MAX_ERROR: Final = 2_000

_GIVEN: Final[dict[str, TypeEngine[Any]]] = {
    "id": BigInteger(),
    "fence": Integer(),
    "state": String(),
    "cause": String(),
    "error": Text(),
    "took": BigInteger(),
}


def select_in(state: RecipientState, *columns: ColumnElement[Any]) -> Select[Any]:
    """Begin a query for the rows in one state. States in which nothing stays have an index of just their rows."""
    # Written out, because that is what makes a partial index fit.
    query: Select[Any] = select(*columns)
    return query.where(recipients.c.state == literal_column(f"'{state}'"))


def change(before: RecipientState, after: Iterable[RecipientState], **values: object) -> Update:
    """The statement that changes rows from one state to another; there is no other. Ids must say which rows.

    Args:
        before: The state in which rows must be.
        after: The state to come; several, if `values` has a column ``state`` that says which.
        values: What else changes.

    Raises:
        ValueError: A change is not in the table of states.
    """
    wanted = frozenset(after)
    for one in wanted:
        check_transition(before, one)
    if "state" not in values:
        (state,) = wanted
        values["state"] = literal_column(f"'{state}'")
    # In a form that no index fits, or SQLite would go through all that are ready instead of looking up the ids; and
    # that PostgreSQL expects to hold for many, or it would compare each row that is changed with all that are given.
    is_before = case((recipients.c.state == str(before), true()), else_=false())
    return recipients.update().where(is_before).values(**values)


# --- what a worker does -------------------------------------------------------------------------------------------


@cache
def _claim(dialect: str) -> Update:
    return change(
        RecipientState.READY,
        {RecipientState.SENDING},
        fence=recipients.c.fence + 1,
        attempts=recipients.c.attempts + 1,
        worker=bindparam("by"),
        claimed_at=bindparam("now"),
        settled_at=null(),
        took=null(),
        cause=null(),
        error=null(),
    ).where(recipients.c.id.in_(ids_of(dialect, "ids")))


def claim(connection: Connection, ids: Sequence[int], *, worker: int, now: int) -> None:
    """READY -> SENDING. The rows are the transaction's own."""
    connection.execute(_claim(connection.dialect.name), {"ids": as_json(ids), "by": worker, "now": now})


@cache
def _settle(dialect: str) -> Update:
    given = rows_of(dialect, "given", _GIVEN)
    return change(
        RecipientState.SENDING,
        frozenset(SETTLED),
        state=given.c.state,
        settled_at=bindparam("now"),
        cause=given.c.cause,
        error=given.c.error,
        took=given.c.took,
    ).where(
        recipients.c.id == given.c.id,
        recipients.c.fence == given.c.fence,
        recipients.c.worker == bindparam("by"),
    )


SETTLED: Final = frozenset(
    {
        RecipientState.SENT,
        RecipientState.REJECTED,
        RecipientState.IN_DOUBT,
        RecipientState.READY,
        RecipientState.SUPPRESSED,
    }
)
"""What a worker may say has become of its claim."""


@cache
def _as_they_are(dialect: str) -> Query:
    columns = (recipients.c.id, recipients.c.fence, recipients.c.worker, recipients.c.state)
    return Query(select(*columns).where(recipients.c.id.in_(ids_of(dialect, "ids"))))


def settle(connection: Connection, settlements: Sequence[Settlement], *, worker: int, now: int) -> list[Settlement]:
    """SENDING -> what became of it.

    Settling twice does no harm: whoever cannot know whether a transaction was committed may give all again.

    Returns:
        Those that came too late.

    Raises:
        ValueError: There is one that no claim can come to, or two of one claim.
    """
    if not settlements:
        return []
    for state in {one.state for one in settlements}:
        check_transition(RecipientState.SENDING, state)
    if len({one.id for one in settlements}) < len(settlements):
        msg = "there are two settlements of one claim"
        raise ValueError(msg)
    given = [
        (
            one.id,
            one.fence,
            one.state,
            None if one.cause is None else storable(one.cause)[:_MAX_CAUSE],
            None if one.error is None else storable(one.error)[:_MAX_ERROR],
            one.took,
        )
        for one in settlements
    ]
    values = {"given": as_json(given), "by": worker, "now": now}
    dialect = connection.dialect.name
    if connection.execute(_settle(dialect), values).rowcount == len(settlements):
        return []
    found = _as_they_are(dialect)(connection, {"ids": as_json([one.id for one in settlements])})
    settled = {id: (fence, by, state) for id, fence, by, state in found}  # noqa: A001
    return [one for one in settlements if settled.get(one.id) != (one.fence, worker, one.state)]


@cache
def _suppress(dialect: str) -> Update:
    return change(
        RecipientState.READY,
        {RecipientState.SUPPRESSED},
        settled_at=bindparam("now"),
        cause=literal_column("'opt-out'"),
        error=null(),
    ).where(recipients.c.id.in_(ids_of(dialect, "ids")))


def suppress(connection: Connection, ids: Sequence[int], *, now: int) -> None:
    """READY -> SUPPRESSED. The rows are the transaction's own."""
    if ids:
        connection.execute(_suppress(connection.dialect.name), {"ids": as_json(ids), "now": now})


@cache
def _defer(dialect: str) -> Update:
    given = rows_of(dialect, "given", {"id": BigInteger(), "due_at": BigInteger()})
    return change(RecipientState.READY, {RecipientState.PENDING}, due_at=given.c.due_at).where(
        recipients.c.id == given.c.id
    )


def defer(connection: Connection, due: Sequence[tuple[int, int]]) -> None:
    """READY -> PENDING until a time each, in microseconds. The rows are the transaction's own."""
    if due:
        connection.execute(_defer(connection.dialect.name), {"given": as_json(due)})


_DUE: Final = Query(
    select_in(RecipientState.PENDING, recipients.c.id)
    .where(recipients.c.campaign == bindparam("of"), recipients.c.due_at <= bindparam("now"))
    .order_by(recipients.c.due_at, recipients.c.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)


@cache
def _wake(dialect: str) -> Update:
    woken = change(RecipientState.PENDING, {RecipientState.READY}, due_at=null())
    return woken.where(recipients.c.id.in_(ids_of(dialect, "ids")))


def wake_some(connection: Connection, campaign: int, *, now: int) -> int:
    """PENDING -> READY, of those that are due, and return how many."""
    ids = [row[0] for row in _DUE(connection, {"of": campaign, "now": now})]
    return connection.execute(_wake(connection.dialect.name), {"ids": as_json(ids)}).rowcount if ids else 0


# --- what a campaign's end does -----------------------------------------------------------------------------------


def _waiting(state: RecipientState, first: ColumnElement[Any]) -> Query:
    # In the order of the index: PostgreSQL might go through the table instead, over and over past those who have gone.
    query = select_in(state, recipients.c.id).where(recipients.c.campaign == bindparam("of"))
    return Query(query.order_by(first, recipients.c.id).limit(BATCH).with_for_update(skip_locked=True))


_WAITING: Final = {
    RecipientState.READY: _waiting(RecipientState.READY, recipients.c.line),
    RecipientState.PENDING: _waiting(RecipientState.PENDING, recipients.c.due_at),
}


@cache
def _give_up(dialect: str, before: RecipientState, after: RecipientState) -> Update:
    gone = change(before, {after}, settled_at=bindparam("now"), due_at=null())
    return gone.where(recipients.c.id.in_(ids_of(dialect, "ids")))


def _give_up_some(connection: Connection, campaign: int, after: RecipientState, now: int) -> int:
    count = 0
    for before, waiting in _WAITING.items():
        ids = [row[0] for row in waiting(connection, {"of": campaign})]
        if ids:
            given_up = _give_up(connection.dialect.name, before, after)
            count += connection.execute(given_up, {"ids": as_json(ids), "now": now}).rowcount
    return count


def cancel_some(connection: Connection, campaign: int, *, now: int) -> int:
    """READY, PENDING -> CANCELLED, and return how many."""
    return _give_up_some(connection, campaign, RecipientState.CANCELLED, now)


def expire_some(connection: Connection, campaign: int, *, now: int) -> int:
    """READY, PENDING -> EXPIRED, and return how many."""
    return _give_up_some(connection, campaign, RecipientState.EXPIRED, now)


# --- what is in doubt ---------------------------------------------------------------------------------------------

_LOSE: Final = change(
    RecipientState.SENDING,
    {RecipientState.IN_DOUBT},
    fence=recipients.c.fence + 1,
    settled_at=bindparam("now"),
    cause=literal_column(f"'{WORKER_LOST}'"),
    error=literal_column(f"'{_LOST}'"),
).where(
    recipients.c.id.in_(
        select_in(RecipientState.SENDING, recipients.c.id)
        .where(recipients.c.campaign == bindparam("of"), recipients.c.worker == bindparam("by"))
        .order_by(recipients.c.id)
        .with_for_update()
    )
)


def lose(connection: Connection, campaign: int, worker: int, *, now: int) -> int:
    """SENDING -> IN_DOUBT, of a worker whose time is over, and return how many.

    The rows of one worker are bounded by its concurrency.
    """
    return connection.execute(_LOSE, {"of": campaign, "by": worker, "now": now}).rowcount


RESOLVED: Final = frozenset({RecipientState.SENT, RecipientState.READY, RecipientState.ABANDONED})
"""What a person may decide about a text in doubt."""


def resolve_some(
    connection: Connection, campaign: int, to: RecipientState, *, ids: Collection[int] | None, now: int
) -> list[int]:
    """IN_DOUBT -> what a person has decided.

    Args:
        connection: In a transaction that writes.
        campaign: Its number.
        to: What is decided.
        ids: Of these; of all, if ``None``.
        now: The time, in microseconds.

    Returns:
        Their ids, ascending; as many as `BATCH` if there may be more.
    """
    query = (
        select_in(RecipientState.IN_DOUBT, recipients.c.id)
        .where(recipients.c.campaign == campaign)
        .order_by(recipients.c.line, recipients.c.id)
        .limit(BATCH)
        .with_for_update()
    )
    dialect = connection.dialect.name
    if ids is not None:
        query = query.where(recipients.c.id.in_(ids_of(dialect, "ids")))
    found = sorted(connection.execute(query, {"ids": as_json(sorted(ids))} if ids is not None else {}).scalars())
    if found:
        decided = change(RecipientState.IN_DOUBT, {to}, settled_at=now)
        connection.execute(decided.where(recipients.c.id.in_(ids_of(dialect, "ids"))), {"ids": as_json(found)})
    return found


def storable(text: str) -> str:
    """Replace what PostgreSQL does not keep in a text, on both databases."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
