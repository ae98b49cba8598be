"""What a campaign came to, in figures, computed where its rows are.

The rules:

1. The database counts. However many recipients there are, what comes out is a few thousand rows at most.
2. All figures are of one moment: they are read in one transaction.
3. A text belongs to the moment at which it was claimed, just before it was sent. When a person later decides about one
   in doubt, it stays where it was.
4. A percentile is a time that was measured: the smallest one that so many per cent of the calls did not exceed.
"""

from __future__ import annotations

import math
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import attrs
from sqlalchemy import BigInteger, ColumnElement, Connection, and_, case, cast, func, select

from pidj_async._masking import mask_phone_number, mask_phone_numbers_in
from pidj_async.campaigns.figures import (
    Bucket,
    CampaignReport,
    DoubtfulText,
    Latency,
    LogLine,
    OptOuts,
    OutcomeCount,
    Pause,
    SegmentCount,
)
from pidj_async.campaigns.ledger.table import find
from pidj_async.campaigns.ledger.turns import datetime_of
from pidj_async.campaigns.records import CampaignRecord
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.errors import ConfigurationError, InvalidRequestError
from pidj_async.store.schema import campaign_log, recipients, suppressions

if TYPE_CHECKING:
    from pidj_async.store import Store

__all__ = ["report_of"]

_SECOND: Final = 1_000_000
_HOUR: Final = 3_600 * _SECOND
_DAY: Final = 24 * _HOUR

_MOST_BUCKETS: Final = 80
_WIDTHS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200),
    *(86_400, 172_800, 604_800),
)
"""Lengths of time that people count in, in seconds. A longer campaign has buckets of several weeks."""

_MOST_DOUBTFUL: Final = 200
_MOST_LOGGED: Final = 200
_MOST_CHANGES: Final = 5_000

_TRIED: Final = (RecipientState.SENT, RecipientState.REJECTED, RecipientState.IN_DOUBT, RecipientState.ABANDONED)
"""A text left this machine, or may have."""

_OPT_OUT_SOURCES: Final = ("opt-out", "text")
"""What the inbox writes when somebody opts out: Pidj's event, and a text that says STOP."""


async def report_of(
    store: Store,
    campaign_id: str,
    *,
    price_per_segment: float | None = None,
    currency: str = "USD",
    unmask: bool = False,
) -> CampaignReport:
    """Find out what a campaign has come to by now.

    Args:
        store: Where its ledger is.
        campaign_id: Its name.
        price_per_segment: What a segment costs you, in `currency`. Without it, the report has no costs.
        currency: The money's name, at most eight characters.
        unmask: Show the phone numbers of those in doubt.

    Returns:
        The figures, all of one moment.

    Raises:
        ConfigurationError: There is no such campaign.
        InvalidRequestError: The price is negative or no number, or the currency is too long.
        StoreError: The store could not be read.
    """
    if price_per_segment is not None and not (math.isfinite(price_per_segment) and price_per_segment >= 0):
        name, problem = "price_per_segment", "must be a number, and not below 0"
        raise InvalidRequestError(name, problem, value=repr(price_per_segment))
    if not 1 <= len(currency) <= 8 or not currency.isprintable():
        name, problem = "currency", "must be a short name such as USD"
        raise InvalidRequestError(name, problem)

    def read(connection: Connection) -> CampaignReport:
        campaign = find(connection, campaign_id)
        if campaign is None:
            msg = f"this store has no campaign {campaign_id!r}; see which there are with: pidj campaign list"
            raise ConfigurationError(msg)
        at = store.now(connection)
        rows = _Rows.of(connection, campaign.number)
        outcomes, lengths, counts, repeated = _outcomes(connection, rows)
        first, last = _extent(connection, rows)
        width = _width(first, last)
        log, left_out = _log(connection, campaign.number)
        return CampaignReport(
            campaign=campaign,
            made_at=datetime_of(at),
            unmasked=unmask,
            price_per_segment=price_per_segment,
            currency=currency,
            counts=counts,
            outcomes=outcomes,
            repeated=repeated,
            segments=lengths,
            first_at=_optional_time(first),
            last_at=_optional_time(last),
            bucket_seconds=width,
            buckets=_buckets(connection, rows, first, last, width),
            latency=_latencies(connection, rows, None).get(0),
            pauses=_pauses(connection, campaign.number),
            opt_outs=_opt_outs(connection, campaign),
            in_doubt=_in_doubt(connection, campaign.number, unmask=unmask),
            log=log,
            log_left_out=left_out,
        )

    return await store.read(read)


# --- inside the transaction ---------------------------------------------------------------------------------------


@attrs.frozen
class _Rows:
    """Where a campaign's recipients are: not before the first id, not beyond the last one.

    They were added one after another. Reading them in that order is several times faster than by the index on phone
    numbers, which SQLite would take; that a sum is compared, not the column, keeps it from that.
    """

    all: ColumnElement[bool]
    tried: ColumnElement[bool]

    @classmethod
    def of(cls, connection: Connection, campaign: int) -> _Rows:
        column = recipients.c
        found = select(func.min(column.id), func.max(column.id)).where(column.campaign == campaign)
        first, last = connection.execute(found).one()
        rows = and_(column.id.between(first or 0, last or 0), column.campaign + 0 == campaign)
        states = [state.value for state in _TRIED]
        return cls(rows, and_(rows, column.state.in_(states), column.claimed_at.is_not(None)))


def _outcomes(
    connection: Connection, rows: _Rows
) -> tuple[tuple[OutcomeCount, ...], tuple[SegmentCount, ...], dict[RecipientState, int], int]:
    """Count by state and cause, by length, by state, and the claims that were made again."""
    column = recipients.c
    query = (
        select(
            column.state,
            column.cause,
            column.segments,
            func.count().label("count"),
            func.sum(case((column.attempts > 1, column.attempts - 1), else_=0)).label("repeated"),
        )
        .where(rows.all)
        .group_by(column.state, column.cause, column.segments)
    )
    counts = dict.fromkeys(RecipientState, 0)
    by_cause: dict[tuple[RecipientState, str | None], tuple[int, int]] = {}
    by_length: dict[int, int] = {}
    repeated = 0
    for row in connection.execute(query):
        state, count = RecipientState(row.state), int(row[3])
        counts[state] += count
        people, segments = by_cause.get((state, row.cause), (0, 0))
        by_cause[state, row.cause] = people + count, segments + count * row.segments
        if state is RecipientState.SENT:
            by_length[row.segments] = by_length.get(row.segments, 0) + count
        repeated += int(row.repeated)
    order = list(RecipientState)
    ranked = sorted(by_cause.items(), key=lambda one: (order.index(one[0][0]), -one[1][0], one[0][1] or ""))
    outcomes = tuple(
        OutcomeCount(state=state, cause=cause, recipients=people, segments=segments)
        for (state, cause), (people, segments) in ranked
    )
    lengths = tuple(SegmentCount(segments=length, texts=texts) for length, texts in sorted(by_length.items()))
    return outcomes, lengths, counts, repeated


def _extent(connection: Connection, rows: _Rows) -> tuple[int | None, int | None]:
    """When the first and the last text were claimed."""
    query = select(func.min(recipients.c.claimed_at), func.max(recipients.c.claimed_at)).where(rows.tried)
    first, last = connection.execute(query).one()
    return first, last


def _width(first: int | None, last: int | None) -> int:
    """Choose the shortest usual length of time, in seconds, of which there are not too many from first to last."""
    if first is None or last is None:
        return _WIDTHS[0]
    weeks = range(2 * _WIDTHS[-1], 10**10, _WIDTHS[-1])
    return next(
        width
        for widths in (_WIDTHS, weeks)
        for width in widths
        if last // (width * _SECOND) - first // (width * _SECOND) < _MOST_BUCKETS
    )


def _buckets(
    connection: Connection, rows: _Rows, first: int | None, last: int | None, width: int
) -> tuple[Bucket, ...]:
    if first is None or last is None:
        return ()
    bucket = (recipients.c.claimed_at // (width * _SECOND)).label("bucket")
    query = (
        select(bucket, recipients.c.state, func.count().label("count"))
        .where(rows.tried)
        .group_by(bucket, recipients.c.state)
    )
    counts: dict[int, dict[str, int]] = {}
    for row in connection.execute(query):
        counts.setdefault(row.bucket, {})[row.state] = row[2]
    latencies = _latencies(connection, rows, width)

    def one(number: int) -> Bucket:
        found = counts.get(number, {})
        return Bucket(
            start=datetime_of(number * width * _SECOND),
            sent=found.get(RecipientState.SENT, 0),
            rejected=found.get(RecipientState.REJECTED, 0),
            in_doubt=found.get(RecipientState.IN_DOUBT, 0) + found.get(RecipientState.ABANDONED, 0),
            latency=latencies.get(number),
        )

    return tuple(map(one, range(first // (width * _SECOND), last // (width * _SECOND) + 1)))


def _latencies(connection: Connection, rows: _Rows, width: int | None) -> dict[int, Latency]:
    """Percentiles of each bucket, or of the whole campaign, which then has the number 0."""
    column = recipients.c
    bucket = cast(0, BigInteger) if width is None else column.claimed_at // (width * _SECOND)
    # Sorting so many rows is most of the work; the numbers are no larger than they need to be.
    ranked = (
        select(
            bucket.label("bucket"),
            column.took,
            func.row_number().over(partition_by=bucket, order_by=column.took).label("rank"),
            func.count().over(partition_by=bucket).label("calls"),
        )
        .where(rows.tried, column.took.is_not(None))
        .subquery()
    )
    percents = (50, 95, 99)
    wanted = [(ranked.c.calls * percent + 99) // 100 for percent in percents]
    query = select(ranked).where(ranked.c.rank.in_(wanted))
    times: dict[int, dict[int, int]] = {}
    calls: dict[int, int] = {}
    for row in connection.execute(query):
        times.setdefault(row.bucket, {})[row.rank] = row.took
        calls[row.bucket] = row.calls

    def latency(number: int) -> Latency:
        count = calls[number]
        p50, p95, p99 = (times[number][(count * percent + 99) // 100] for percent in percents)
        return Latency(calls=count, p50=p50, p95=p95, p99=p99)

    return {number: latency(number) for number in calls}


def _opt_outs(connection: Connection, campaign: CampaignRecord) -> OptOuts:
    listed, texted = suppressions.c, recipients.c
    conditions = [
        texted.campaign == campaign.number,
        texted.state == RecipientState.SENT.value,
        listed.suppressed,
        listed.event_id.is_not(None),
        listed.source.in_(_OPT_OUT_SOURCES),
        listed.changed_at >= texted.claimed_at,
    ]
    group = campaign.settings.get("group_id")
    if group is not None:
        conditions.append(listed.scope.in_(["", group]))
    # Somebody may have opted out of the account and of the group: the first of both counts.
    delays = (
        select(func.min(listed.changed_at - texted.claimed_at).label("delay"))
        .select_from(suppressions.join(recipients, texted.phone_number == listed.phone_number))
        .where(*conditions)
        .group_by(texted.id)
        .subquery()
    )
    limits = (_HOUR, _DAY, 7 * _DAY)
    known = [func.coalesce(func.sum(case((delays.c.delay < limit, 1), else_=0)), 0) for limit in limits]
    hour, day, week, total = map(int, connection.execute(select(*known, func.count()).select_from(delays)).one())
    return OptOuts(within_hour=hour, within_day=day - hour, within_week=week - day, later=total - week)


def _in_doubt(connection: Connection, campaign: int, *, unmask: bool) -> tuple[DoubtfulText, ...]:
    column = recipients.c
    query = (
        select(column.phone_number, column.line, column.claimed_at, column.attempts, column.cause, column.error)
        .where(column.campaign == campaign, column.state == RecipientState.IN_DOUBT.value)
        .order_by(column.id)
        .limit(_MOST_DOUBTFUL)
    )
    return tuple(
        DoubtfulText(
            phone_number=row.phone_number if unmask else mask_phone_number(row.phone_number),
            line=row.line,
            claimed_at=_optional_time(row.claimed_at),
            attempts=row.attempts,
            cause=row.cause,
            error=row.error and mask_phone_numbers_in(row.error),
        )
        for row in connection.execute(query)
    )


def _log(connection: Connection, campaign: int) -> tuple[tuple[LogLine, ...], int]:
    log = campaign_log.c
    query = (
        select(log.at, log.what, log.who, log.detail, recipients.c.line)
        .select_from(campaign_log.outerjoin(recipients, recipients.c.id == log.recipient))
        .where(log.campaign == campaign)
        .order_by(log.id.desc())
        .limit(_MOST_LOGGED)
    )
    rows = connection.execute(query).all()
    total = connection.execute(select(func.count()).where(log.campaign == campaign)).scalar_one()
    lines = tuple(
        LogLine(
            at=datetime_of(row.at),
            what=row.what,
            who=row.who,
            line=row.line,
            detail=row.detail and mask_phone_numbers_in(row.detail),
        )
        for row in reversed(rows)
    )
    return lines, total - len(lines)


def _pauses(connection: Connection, campaign: int) -> tuple[Pause, ...]:
    log = campaign_log.c
    states = [state.value for state in CampaignState]
    query = (
        select(log.at, log.what, log.detail)
        .where(log.campaign == campaign, log.what.in_(states))
        .order_by(log.id)
        .limit(_MOST_CHANGES)
    )
    changes = connection.execute(query).all()
    return tuple(
        Pause(
            start=datetime_of(change.at),
            end=None if after is None else datetime_of(after.at),
            reason=change.detail and mask_phone_numbers_in(change.detail),
        )
        for change, after in pairwise([*changes, None])
        if change is not None and change.what == CampaignState.PAUSED
    )


def _optional_time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime_of(microseconds)
