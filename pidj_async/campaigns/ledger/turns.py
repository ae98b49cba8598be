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
from sqlalchemy import bindparam, exists, func, literal_column, or_, select, true

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

__all__ = ["Opening", "Terms", "datetime_of", "microseconds", "take_turn"]

Opening = Callable[[str, str | None], datetime | None]
"""Says when somebody may be texted, by their number and time zone; ``None`` for now."""

_ID: Final = itemgetter(0)
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
_LEFT: Final = select(
    _PENDING.label("due_at"),
    or_(
        *(
            select_in(state, recipients.c.id).where(recipients.c.campaign == bindparam("of")).exists()
            for state in (RecipientState.READY, RecipientState.PENDING, RecipientState.SENDING)
        )
    ).label("open"),
)


@cache
def _candidates(*, of_group: bool) -> Query:
    unwanted = exists().where(suppressions.c.phone_number == recipients.c.phone_number, suppressions.c.suppressed)
    if of_group:
        unwanted = unwanted.where(suppressions.c.scope.in_([literal_column("''"), bindparam("group")]))
    return Query(
        select_in(
            RecipientState.READY,
            recipients.c.id,
            recipients.c.fence,
            recipients.c.attempts,
            recipients.c.phone_number,
            recipients.c.time_zone,
            recipients.c.text_body,
            recipients.c.contact_id,
            unwanted.label("unwanted"),
        )
        .where(recipients.c.campaign == bindparam("of"), recipients.c.id > bindparam("after"))
        .order_by(recipients.c.id)
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
        picked.pick(connection, campaign, limit=limit, group_id=terms.group_id, opening=opening)
        picked.write(connection, worker=worker, now=time)
    left = None
    if not picked.claims and (limit > 0 or state is not CampaignState.RUNNING):
        left = connection.execute(_LEFT, {"of": campaign}).one()
    return Turn(
        claims=tuple(picked.claims),
        refused=tuple(one.id for one in late),
        state=state,
        reason=before.reason,
        ended=ended,
        lease_left=(expires_at - time) / 1e6,
        suppressed=len(picked.suppressed),
        deferred=len(picked.deferred),
        woken=woken,
        next_due=None if left is None or left.due_at is None else datetime_of(left.due_at),
        open=left is None or bool(left.open),
    )


class _Picked:
    """What was found when looking for somebody to text."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.suppressed: list[int] = []
        self.deferred: list[tuple[int, int]] = []

    def pick(
        self, connection: Connection, campaign: int, *, limit: int, group_id: str | None, opening: Opening
    ) -> None:
        query = _candidates(of_group=group_id is not None)
        values: dict[str, object] = {"of": campaign, "group": group_id or ""}
        after = looked = 0
        page = limit
        while len(self.claims) < limit and looked < BATCH:
            page = min(page, BATCH - looked)
            found = sorted(query(connection, values | {"after": after, "limit": page}), key=_ID)
            self._sort(found, limit, opening)
            if len(found) < page:
                return
            looked += page
            after = found[-1][0]
            page *= 2  # at night, whole stretches are to be deferred

    def _sort(self, found: Sequence[Sequence[Any]], limit: int, opening: Opening) -> None:
        for id, fence, attempts, number, time_zone, text_body, contact_id, unwanted in found:  # noqa: A001
            if len(self.claims) == limit:
                return
            if unwanted:
                self.suppressed.append(id)
            elif (due := opening(number, time_zone)) is not None:
                self.deferred.append((id, microseconds(due)))
            else:
                self.claims.append(
                    Claim(
                        id=id,
                        fence=fence + 1,
                        phone_number=number,
                        text_body=text_body,
                        contact_id=contact_id,
                        attempts=attempts + 1,
                    )
                )

    def write(self, connection: Connection, *, worker: int, now: int) -> None:
        suppress(connection, self.suppressed, now=now)
        defer(connection, self.deferred)
        if self.claims:
            claim(connection, [one.id for one in self.claims], worker=worker, now=now)


def _too_late(campaign: int, one: Settlement, who: str, now: int) -> dict[str, object]:
    detail = ": ".join(filter(None, [str(one.state), one.cause, one.error]))
    return {"campaign": campaign, "at": now, "what": "late", "who": who, "recipient": one.id, "detail": detail}
