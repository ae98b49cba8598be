"""One transaction of a worker: settle, prolong its lease, claim.

This is where a campaign spends its time in the database, so it takes few statements, and none whose cost grows with the
number of rows that are done with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import attrs
from sqlalchemy import bindparam, func, literal_column, select, true

from pidj_async.campaigns.ledger.changes import (
    BATCH,
    cancel_some,
    claim,
    defer,
    select_in,
    settle,
    suppress,
    wake_some,
)
from pidj_async.campaigns.records import Claim, Settlement, Turn
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.errors import ConfigurationError
from pidj_async.store.engine import Purpose, together
from pidj_async.store.rows import Query
from pidj_async.store.schema import campaign_log, campaigns, recipients, suppressions, workers

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Opening", "Terms", "datetime_of", "is_open", "microseconds", "take_turn"]

Opening = Callable[[str, str | None], datetime | None]
"""Says when somebody may be texted, by their number and time zone; ``None`` for now."""

_PLACE: Final = itemgetter(0, 1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen(kw_only=True)
class Terms:
    """What of a campaign's settings a claim depends on.

    Attributes:
        group_id: The group that texts. Without one (who texts from a number), a suppression for any group counts.
        ends_at: In microseconds; ``None`` for never.
    """

    group_id: str | None
    ends_at: int | None


def microseconds(time: datetime) -> int:
    """Write a time as the store does."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def datetime_of(time: int) -> datetime:
    """Read a time of the store's."""
    return _EPOCH + timedelta(microseconds=time)


_PENDING: Final = (
    select_in(RecipientState.PENDING, func.min(recipients.c.due_at))
    .where(recipients.c.campaign == bindparam("of"))
    .scalar_subquery()
)
_BEFORE: Final = (
    select(campaigns.c.state, campaigns.c.reason, workers.c.identity, workers.c.expires_at, _PENDING.label("due_at"))
    .select_from(campaigns.join(workers, true()))
    .where(campaigns.c.number == bindparam("of"), workers.c.number == bindparam("by"))
    # Whoever changes the campaign's state, or declares this worker dead, waits for this transaction; and it for them.
    .with_for_update(of=(campaigns, workers), read=True)
)
_PROLONG: Final = workers.update().where(workers.c.number == bindparam("by")).values(expires_at=bindparam("until"))
# The least of something, not "whether there is one": PostgreSQL looks for that in the index, not in the table.
_LEFT: Final = select(
    _PENDING.label("due_at"),
    *(
        select_in(state, func.min(first)).where(recipients.c.campaign == bindparam("of")).scalar_subquery().label(state)
        for state, first in (
            (RecipientState.READY, recipients.c.line),
            (RecipientState.SENDING, recipients.c.worker),
        )
    ),
)


def is_open(connection: Connection, campaign: int) -> tuple[bool, int | None]:
    """Say whether anybody is pending, ready or being sent to, and when the next pending one is due."""
    left = connection.execute(_LEFT, {"of": campaign}).one()
    return any(least is not None for least in left), left.due_at


@cache
def _candidates(*, of_group: bool) -> Query:
    # A count, not "exists": PostgreSQL might read the whole list for that.
    unwanted = select(func.count()).where(
        suppressions.c.phone_number == recipients.c.phone_number, suppressions.c.suppressed
    )
    if of_group:
        unwanted = unwanted.where(suppressions.c.scope.in_([literal_column("''"), bindparam("group")]))
    return Query(
        select_in(
            RecipientState.READY,
            recipients.c.line,
            recipients.c.id,
            recipients.c.fence,
            recipients.c.attempts,
            recipients.c.phone_number,
            recipients.c.time_zone,
            recipients.c.text_body,
            recipients.c.contact_id,
            unwanted.scalar_subquery().label("unwanted"),
        )
        .where(recipients.c.campaign == bindparam("of"))
        .order_by(recipients.c.line, recipients.c.id)
        .limit(bindparam("limit"))
        .with_for_update(of=recipients, skip_locked=True)
    )


def take_turn(
    connection: Connection,
    campaign: int,
    worker: int,
    *,
    settlements: Sequence[Settlement],
    limit: int,
    lease: int,
    opening: Opening,
    terms: Terms,
    now: Callable[[Connection], int],
) -> Turn:
    """Settle, and claim.

    Args:
        connection: In a transaction that writes.
        campaign: Its number.
        worker: Its number.
        settlements: What has become of claims of this worker's.
        limit: How many to claim at most.
        lease: For how long a worker that is not heard of keeps its claims, in microseconds.
        opening: Says when somebody may be texted.
        terms: The campaign's.
        now: The store's clock.
    """
    if limit > 0:
        together(connection, Purpose.SUPPRESSIONS)
    before = connection.execute(_BEFORE, {"of": campaign, "by": worker}).one_or_none()
    if before is None:
        msg = f"there is no campaign {campaign}, or no worker {worker}, in this store"
        raise ConfigurationError(msg)
    time = now(connection)
    late = settle(connection, settlements, worker=worker, now=time)
    if late:
        connection.execute(campaign_log.insert(), [_too_late(campaign, one, before.identity, time) for one in late])
    expires_at = before.expires_at
    if expires_at - time < lease * 2 // 3:
        expires_at = time + lease
        connection.execute(_PROLONG, {"by": worker, "until": expires_at})
    state = CampaignState(before.state)
    ended = terms.ends_at is not None and time >= terms.ends_at
    picked = _Picked()
    woken = 0
    if state is CampaignState.CANCELLED:
        # Also what was under way when it was cancelled, and has just come back unsent.
        cancel_some(connection, campaign, now=time)
    elif state is CampaignState.RUNNING and not ended and limit > 0:
        if before.due_at is not None and before.due_at <= time:
            woken = wake_some(connection, campaign, now=time)
        picked.pick(connection, campaign, worker, limit=limit, group_id=terms.group_id, opening=opening, now=time)
    left, due_at = True, None
    if not picked.claims and (limit > 0 or state is not CampaignState.RUNNING):
        left, due_at = is_open(connection, campaign)
    return Turn(
        claims=tuple(picked.claims),
        refused=tuple(one.id for one in late),
        state=state,
        reason=before.reason,
        ended=ended,
        lease_left=(expires_at - time) / 1e6,
        suppressed=picked.suppressed,
        deferred=picked.deferred,
        woken=woken,
        next_due=None if due_at is None else datetime_of(due_at),
        open=left,
    )


class _Picked:
    """What came of looking for somebody to text."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.suppressed = 0
        self.deferred = 0

    def pick(
        self,
        connection: Connection,
        campaign: int,
        worker: int,
        *,
        limit: int,
        group_id: str | None,
        opening: Opening,
        now: int,
    ) -> None:
        query = _candidates(of_group=group_id is not None)
        looked = 0
        page = limit
        while len(self.claims) < limit and looked < BATCH:
            page = min(page, BATCH - looked)
            found = sorted(query(connection, {"of": campaign, "group": group_id or "", "limit": page}), key=_PLACE)
            claims, suppressed, deferred = _sort(found, limit - len(self.claims), opening)
            # Written before more are looked for, who are then the first that are still ready.
            suppress(connection, suppressed, now=now)
            defer(connection, deferred)
            if claims:
                claim(connection, [one.id for one in claims], worker=worker, now=now)
            self.claims += claims
            self.suppressed += len(suppressed)
            self.deferred += len(deferred)
            if len(found) < page:
                return
            looked += page
            page *= 2  # at night, whole stretches are to be deferred


def _sort(
    found: Sequence[Sequence[Any]], limit: int, opening: Opening
) -> tuple[list[Claim], list[int], list[tuple[int, int]]]:
    """Say who of those that are ready is claimed, suppressed or deferred; once enough are claimed, the rest is not."""
    claims: list[Claim] = []
    suppressed: list[int] = []
    deferred: list[tuple[int, int]] = []
    for _, id, fence, attempts, number, time_zone, text_body, contact_id, unwanted in found:  # noqa: A001
        if len(claims) == limit:
            break
        if unwanted:
            suppressed.append(id)
        elif (due := opening(number, time_zone)) is not None:
            deferred.append((id, microseconds(due)))
        else:
            claims.append(
                Claim(
                    id=id,
                    fence=fence + 1,
                    phone_number=number,
                    text_body=text_body,
                    contact_id=contact_id,
                    attempts=attempts + 1,
                )
            )
    return claims, suppressed, deferred


def _too_late(campaign: int, one: Settlement, who: str, now: int) -> dict[str, object]:
    detail = ": ".join(filter(None, [str(one.state), one.cause, one.error]))
    return {"campaign": campaign, "at": now, "what": "late", "who": who, "recipient": one.id, "detail": detail}
