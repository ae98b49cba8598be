"""What else is read and written: campaigns, their recipients, workers and the log.

Each function runs inside a transaction of the caller's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, SmallInteger, String, Text, bindparam, func, literal_column, select

from pidj_async.campaigns.ledger.changes import lose, select_in, storable
from pidj_async.campaigns.ledger.turns import Terms, datetime_of, is_open, microseconds
from pidj_async.campaigns.records import (
    AddResult,
    CampaignRecord,
    CampaignStatus,
    LogEntry,
    NewRecipient,
    RecipientRecord,
    SourceProblem,
)
from pidj_async.campaigns.states import CAMPAIGN_TRANSITIONS, CampaignState, RecipientState
from pidj_async.errors import ConfigurationError, InvalidRequestError
from pidj_async.store.engine import Purpose, exclusively, insert_if_new
from pidj_async.store.rows import Query, as_json, rows_of
from pidj_async.store.schema import campaign_log, campaigns, recipients, workers

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row
    from sqlalchemy.types import TypeEngine

__all__ = [
    "add",
    "begin_source",
    "change_state",
    "create",
    "find",
    "finish",
    "list_campaigns",
    "list_recipients",
    "lock",
    "note_source",
    "read_log",
    "register",
    "retire",
    "status",
    "sweep",
    "terms_of",
    "write_log",
]

MAX_PROBLEMS: Final = 1_000
"""How many problems of a source are kept."""

_MAX_ID: Final = 80
_MAX_WHO: Final = 200
_MAX_DETAIL: Final = 2_000
_NOT_TEXT: Final = re.compile("[\0\ud800-\udfff]")  # PostgreSQL keeps neither


# --- campaigns ----------------------------------------------------------------------------------------------------


def create(connection: Connection, id: str, settings: Mapping[str, object], *, who: str, now: int) -> CampaignRecord:
    """Make a campaign, or find the one that there is."""
    if not id.strip() or len(id) > _MAX_ID or not id.isprintable():
        name, problem = "id", f"must be a short name, at most {_MAX_ID} characters"
        raise InvalidRequestError(name, problem)
    written = json.dumps(settings, sort_keys=True)
    new = insert_if_new(connection, campaigns).values(
        id=id, state=CampaignState.LOADING, settings=written, sources="{}", created_at=now
    )
    new = new.on_conflict_do_nothing(index_elements=[campaigns.c.id]).returning(campaigns.c.number)
    is_new = connection.execute(new).first() is not None
    found = find(connection, id)
    assert found is not None  # noqa: S101  campaigns are never deleted
    if is_new:
        write_log(connection, found.number, "created", who=who, now=now)
    wanted = json.loads(written)
    if found.settings != wanted:
        names = sorted(
            name for name in {*found.settings, *wanted} if found.settings.get(name, ...) != wanted.get(name, ...)
        )
        msg = (
            f"campaign {id!r} is in the store with other settings ({', '.join(names)}); "
            "leave them as they were, or give this campaign another id"
        )
        raise ConfigurationError(msg)
    return found


def find(connection: Connection, id: str) -> CampaignRecord | None:
    """Find a campaign by its name."""
    row = connection.execute(select(campaigns).where(campaigns.c.id == id)).one_or_none()
    return None if row is None else _campaign(row)


def list_campaigns(connection: Connection) -> list[CampaignRecord]:
    """Return all campaigns, the oldest first."""
    return list(map(_campaign, connection.execute(select(campaigns).order_by(campaigns.c.number))))


def terms_of(connection: Connection, campaign: int) -> Terms:
    """Read what never changes of a campaign, and claims depend on."""
    settings = _get(connection, campaign).settings
    group_id, ends_at = settings.get("group_id"), settings.get("ends_at")
    return Terms(
        group_id=None if group_id is None else str(group_id),
        ends_at=None if ends_at is None else microseconds(datetime.fromisoformat(str(ends_at))),
    )


def change_state(
    connection: Connection, campaign: int, after: CampaignState, *, who: str, reason: str | None, now: int
) -> CampaignRecord:
    """Change what a campaign is about; a state that it has already is no change."""
    record = lock(connection, campaign)
    if record.state is after:
        return record
    if after not in CAMPAIGN_TRANSITIONS[record.state]:
        msg = f"campaign {record.id!r} is {record.state} and cannot be {after}"
        raise ConfigurationError(msg)
    reason = None if reason is None else storable(reason)[:_MAX_DETAIL]
    values: dict[str, object] = {"state": after, "reason": reason}
    if after is CampaignState.RUNNING:
        values["ended_at"] = None
        if record.started_at is None:
            values["started_at"] = now
    if after in {CampaignState.DONE, CampaignState.CANCELLED}:
        values["ended_at"] = now
    connection.execute(campaigns.update().where(campaigns.c.number == campaign).values(**values))
    write_log(connection, campaign, after, who=who, detail=reason, now=now)
    return _get(connection, campaign)


def finish(connection: Connection, campaign: int, *, who: str, now: int) -> bool:
    """RUNNING -> DONE, if nobody is left to be texted, and say whether it is done."""
    exclusively(connection, Purpose.ADD_RECIPIENTS)
    record = lock(connection, campaign)
    if record.state is not CampaignState.RUNNING:
        return record.state is CampaignState.DONE
    left, _ = is_open(connection, campaign)
    if left:
        return False
    change_state(connection, campaign, CampaignState.DONE, who=who, reason=None, now=now)
    return True


def _get(connection: Connection, campaign: int, *, lock: bool = False) -> CampaignRecord:
    query = select(campaigns).where(campaigns.c.number == campaign)
    row = connection.execute(query.with_for_update(key_share=True) if lock else query).one_or_none()
    if row is None:
        msg = f"there is no campaign {campaign} in this store"
        raise ConfigurationError(msg)
    return _campaign(row)


def lock(connection: Connection, campaign: int) -> CampaignRecord:
    """Find a campaign by its number, and keep its state as it is until the transaction ends."""
    return _get(connection, campaign, lock=True)


def _campaign(row: Row[Any]) -> CampaignRecord:
    return CampaignRecord(
        number=row.number,
        id=row.id,
        state=CampaignState(row.state),
        reason=row.reason,
        settings=json.loads(row.settings),
        sources=json.loads(row.sources),
        created_at=datetime_of(row.created_at),
        started_at=_time(row.started_at),
        ended_at=_time(row.ended_at),
    )


def _time(time: int | None) -> datetime | None:
    return None if time is None else datetime_of(time)


# --- where recipients come from -----------------------------------------------------------------------------------


def begin_source(connection: Connection, campaign: int, name: str) -> None:
    """Note that a source is being read. One that was read to its end before stays so until somebody new is found."""
    if not lock(connection, campaign).sources.get(name, {}).get("complete"):
        _reopen_source(connection, campaign, name)


def _reopen_source(connection: Connection, campaign: int, name: str) -> None:
    _write_source(connection, campaign, name, complete=False, lines=0, invalid=0, duplicate=0, problems=[])


def note_source(
    connection: Connection,
    campaign: int,
    name: str,
    *,
    lines: int,
    invalid: int,
    duplicate: int,
    problems: Sequence[SourceProblem],
) -> None:
    """Note what was found in a source, which was read to its end."""
    some = [[problem.line, storable(problem.reason)] for problem in problems[:MAX_PROBLEMS]]
    _write_source(
        connection, campaign, name, complete=True, lines=lines, invalid=invalid, duplicate=duplicate, problems=some
    )


def _write_source(connection: Connection, campaign: int, name: str, **found: object) -> None:
    sources = {**lock(connection, campaign).sources, name: found}
    written = campaigns.update().where(campaigns.c.number == campaign).values(sources=json.dumps(sources))
    connection.execute(written)


_NEW: Final[dict[str, TypeEngine[Any]]] = {
    "phone_number": String(),
    "line": BigInteger(),
    "segments": SmallInteger(),
    "text_body": Text(),
    "time_zone": String(),
    "contact_id": String(),
}


@cache
def _known(dialect: str) -> Query:
    given = rows_of(dialect, "given", {"phone_number": String()})
    found = select(recipients.c.phone_number, recipients.c.line)
    return Query(
        found.where(
            recipients.c.campaign == bindparam("of"), recipients.c.phone_number.in_(select(given.c.phone_number))
        )
    )


@cache
def _add(dialect: str) -> Any:
    given = rows_of(dialect, "given", _NEW)
    always: dict[str, Any] = {
        "campaign": bindparam("of", type_=BigInteger()),
        "state": literal_column(f"'{RecipientState.READY}'"),
        "attempts": literal_column("0"),
        "fence": literal_column("0"),
    }
    rows = select(*given.c, *(value.label(name) for name, value in always.items()))
    return recipients.insert().from_select([*_NEW, *always], rows)


def add(connection: Connection, campaign: int, page: Sequence[NewRecipient], *, source: str | None) -> AddResult:
    """Add recipients, except those who are in the campaign already. With new ones, their source is not complete."""
    # Two who add to one campaign at the same time would each find that somebody is not in it.
    exclusively(connection, Purpose.ADD_RECIPIENTS)
    record = _get(connection, campaign)
    if record.state is CampaignState.CANCELLED:
        msg = f"campaign {record.id!r} was cancelled; nobody can be added to it"
        raise ConfigurationError(msg)
    values: dict[str, object] = {"of": campaign, "given": as_json([(one.phone_number,) for one in page])}
    dialect = connection.dialect.name
    lines: dict[str, int] = {number: line for number, line in _known(dialect)(connection, values)}  # noqa: C416
    known = 0
    duplicates: list[int] = []
    new: list[tuple[object, ...]] = []
    for one in page:
        line = lines.setdefault(one.phone_number, -1)
        if line == -1:
            lines[one.phone_number] = one.line
            new.append((one.phone_number, one.line, one.segments, one.text_body, one.time_zone, one.contact_id))
        elif line == one.line:
            known += 1
        else:
            duplicates.append(one.line)
    if new:
        given = as_json(new)
        if _NOT_TEXT.search(given) or r"\u0000" in given:
            name, problem = "text_body", f"has a character that cannot be sent, in one of the lines {_span(page)}"
            raise InvalidRequestError(name, problem)
        connection.execute(_add(dialect), values | {"given": given})
        if source is not None and record.sources.get(source, {}).get("complete"):
            _reopen_source(connection, campaign, source)
    return AddResult(added=len(new), known=known, duplicates=tuple(duplicates))


def _span(page: Sequence[NewRecipient]) -> str:
    return f"{min(one.line for one in page)} to {max(one.line for one in page)}"


# --- looking ------------------------------------------------------------------------------------------------------


def status(connection: Connection, campaign: int) -> CampaignStatus:
    """Count."""
    record = _get(connection, campaign)
    counted = select(recipients.c.state, func.count()).where(recipients.c.campaign == campaign)
    counts = dict.fromkeys(RecipientState, 0)
    for state, count in connection.execute(counted.group_by(recipients.c.state)):
        counts[RecipientState(state)] = count
    due = select_in(RecipientState.PENDING, func.min(recipients.c.due_at)).where(recipients.c.campaign == campaign)
    return CampaignStatus(
        id=record.id,
        state=record.state,
        reason=record.reason,
        counts=counts,
        invalid=_sum(record, "invalid"),
        duplicate=_sum(record, "duplicate"),
        next_due=_time(connection.execute(due).scalar_one()),
    )


def _sum(record: CampaignRecord, name: str) -> int:
    return sum(int(str(source[name])) for source in record.sources.values())


_RECIPIENT: Final = (
    "id",
    "phone_number",
    "line",
    "state",
    "text_body",
    "segments",
    "time_zone",
    "contact_id",
    "due_at",
    "attempts",
    "claimed_at",
    "settled_at",
    "took",
    "cause",
    "error",
)


@cache
def _page(states: frozenset[RecipientState] | None) -> Query:
    columns = [recipients.c[name] for name in _RECIPIENT]
    if states == frozenset({RecipientState.IN_DOUBT}):
        query = select_in(RecipientState.IN_DOUBT, *columns)  # which has an index in order of id
    else:
        query = select(*columns)
        if states is not None:
            query = query.where(recipients.c.state.in_(sorted(states)))
    query = query.where(recipients.c.campaign == bindparam("of"), recipients.c.id > bindparam("after"))
    return Query(query.order_by(recipients.c.id).limit(bindparam("limit")))


def list_recipients(
    connection: Connection, campaign: int, *, states: Collection[RecipientState] | None, after_id: int, limit: int
) -> list[RecipientRecord]:
    """Read a page of recipients, in order of id."""
    query = _page(None if states is None else frozenset(states))
    rows = sorted(query(connection, {"of": campaign, "after": after_id, "limit": limit}), key=lambda row: row[0])
    return [_recipient(dict(zip(_RECIPIENT, row, strict=True))) for row in rows]


def _recipient(values: dict[str, Any]) -> RecipientRecord:
    values["state"] = RecipientState(values["state"])
    for name in ("due_at", "claimed_at", "settled_at"):
        values[name] = _time(values[name])
    return RecipientRecord(**values)


# --- workers ------------------------------------------------------------------------------------------------------


def register(connection: Connection, identity: str, *, lease: int, now: int) -> int:
    """Give a worker a number."""
    values = {"identity": identity[:_MAX_WHO], "started_at": now, "expires_at": now + lease}
    number: int = connection.execute(workers.insert().values(**values).returning(workers.c.number)).scalar_one()
    return number


_BUSY: Final = select_in(RecipientState.SENDING, recipients.c.campaign, recipients.c.worker).distinct()
"""Who is sending what. Few rows are being sent at a time, and an index has just those."""


def retire(connection: Connection, worker: int, *, now: int) -> None:
    """End a worker's time. What it has not settled is in doubt."""
    _end(connection, {worker}, lambda _: True, now=now)


def sweep(connection: Connection, campaign: int | None, *, is_dead: Callable[[str], bool], now: int) -> int:
    """End the time of workers that have something claimed, and are not heard of any more, or known to be dead.

    Returns:
        How many texts are in doubt because of that.
    """

    def is_over(row: Row[Any]) -> bool:
        return bool(row.expires_at <= now) or is_dead(row.identity)

    busy = _BUSY if campaign is None else _BUSY.where(recipients.c.campaign == campaign)
    numbers = {row.worker for row in connection.execute(busy)}
    # Read first: nobody waits for a worker that is alive.
    found = connection.execute(select(workers).where(workers.c.number.in_(numbers))).all() if numbers else []
    over = {row.number for row in found if is_over(row)}
    return _end(connection, over, is_over, now=now) if over else 0


def _end(connection: Connection, numbers: Collection[int], is_over: Callable[[Row[Any]], bool], *, now: int) -> int:
    # Whoever is in the middle of a turn is waited for, and may have been heard of by then.
    query = select(workers).where(workers.c.number.in_(numbers)).order_by(workers.c.number).with_for_update()
    ended = {row.number: row.identity for row in connection.execute(query).all() if is_over(row)}
    for number in ended:
        over = workers.update().where(workers.c.number == number, workers.c.expires_at > now)
        connection.execute(over.values(expires_at=now))
    lost = 0
    for row in connection.execute(_BUSY.where(recipients.c.worker.in_(ended))).all():
        count = lose(connection, row.campaign, row.worker, now=now)
        lost += count
        detail = f"{count} texts that it had claimed are in doubt"
        write_log(connection, row.campaign, "swept", who=ended[row.worker], detail=detail, now=now)
    return lost


# --- the log ------------------------------------------------------------------------------------------------------


def write_log(
    connection: Connection,
    campaign: int,
    what: str,
    *,
    who: str,
    now: int,
    recipient_ids: Sequence[int | None] = (None,),
    detail: str | None = None,
) -> None:
    """Write what happened, once for each recipient whom it was about."""
    entry = {
        "campaign": campaign,
        "at": now,
        "what": what,
        "who": storable(who)[:_MAX_WHO],
        "detail": None if detail is None else storable(detail)[:_MAX_DETAIL],
    }
    connection.execute(campaign_log.insert(), [{**entry, "recipient": one} for one in recipient_ids])


def read_log(connection: Connection, campaign: int) -> list[LogEntry]:
    """Read what happened, the first first."""
    query = select(campaign_log).where(campaign_log.c.campaign == campaign).order_by(campaign_log.c.id)
    return [
        LogEntry(at=datetime_of(row.at), what=row.what, who=row.who, recipient_id=row.recipient, detail=row.detail)
        for row in connection.execute(query)
    ]
