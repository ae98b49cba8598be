"""What the tests of the ledger share: a ledger with people in it, a clock that can be set, and the usual answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
from sqlalchemy import select

from pidj_async.campaigns.ledger import Ledger, Turn
from pidj_async.campaigns.records import Claim, NewRecipient, Settlement
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.store.schema import recipients, workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from pidj_async.store import Store

GROUP = "gr:desk"
SETTINGS: dict[str, object] = {"text": "Hi", "group_id": GROUP, "ends_at": None}
LEASE = 30.0
ANNA = "anna@desk"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

State = RecipientState


def number(index: int) -> str:
    return f"+1303555{index:04d}"


def people(count: int, first: int = 1) -> list[NewRecipient]:
    return [NewRecipient(phone_number=number(index), line=index, segments=1) for index in range(first, first + count)]


class Clock:
    """The store's clock, which stands still until it is told to go on."""

    def __init__(self, store: Store) -> None:
        self.now = 1_800_000_000_000_000
        store._now = lambda _: self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1e6)

    def time(self, seconds: float = 0) -> datetime:
        """The time in so many seconds."""
        return EPOCH + timedelta(microseconds=self.now) + timedelta(seconds=seconds)


@attrs.define
class Desk:
    """A campaign that runs, and a worker of it."""

    store: Store
    clock: Clock
    ledger: Ledger
    campaign: int
    worker: int

    async def turn(self, *settlements: Settlement, limit: int = 0, worker: int | None = None, **given: Any) -> Turn:
        given = {"lease": LEASE, "opening": lambda *_: None, **given}
        by = self.worker if worker is None else worker
        return await self.ledger.turn(self.campaign, by, settlements=settlements, limit=limit, **given)

    async def claim(self, limit: int, worker: int | None = None) -> tuple[Claim, ...]:
        return (await self.turn(limit=limit, worker=worker)).claims

    async def states(self) -> list[RecipientState]:
        return [one.state for one in await self.ledger.recipients(self.campaign)]

    async def counts(self) -> dict[RecipientState, int]:
        """The states that anybody is in."""
        counts = (await self.ledger.status(self.campaign)).counts
        return {state: count for state, count in counts.items() if count}

    async def logged(self, what: str) -> list[tuple[str, int | None, str | None]]:
        log = await self.ledger.log(self.campaign)
        return [(one.who, one.recipient_id, one.detail) for one in log if one.what == what]

    async def put(self, state: RecipientState, recipient_id: int = 1) -> None:
        """Put a row in a state as nothing else would."""
        values = {"state": state, "worker": self.worker, "due_at": self.clock.now}
        changed = recipients.update().where(recipients.c.id == recipient_id).values(**values)
        await self.store.write(lambda connection: connection.execute(changed))

    async def expires_at(self) -> int:
        query = select(workers.c.expires_at).where(workers.c.number == self.worker)
        return await self.store.read(lambda connection: int(connection.execute(query).scalar_one()))


async def open_desk(store: Store, count: int = 5, *, identity: str = "here", **settings: object) -> Desk:
    """Make a campaign of so many people, a worker, and have it run."""
    clock, ledger = Clock(store), Ledger(store)
    record = await ledger.create("spring", {**SETTINGS, **settings}, who=ANNA)
    if count:
        await ledger.add(record.number, people(count))
    worker = await ledger.register(identity=identity, lease=LEASE)
    await ledger.change_state(record.number, CampaignState.RUNNING, who=ANNA)
    return Desk(store, clock, ledger, record.number, worker)


def settled(claim: Claim, state: RecipientState = State.SENT, **given: Any) -> Settlement:
    return Settlement(id=claim.id, fence=claim.fence, state=state, **given)


def all_settled(claims: Sequence[Claim], state: RecipientState = State.SENT) -> list[Settlement]:
    return [settled(claim, state) for claim in claims]


def row(connection: Connection, recipient_id: int = 1) -> dict[str, Any]:
    query = select(recipients).where(recipients.c.id == recipient_id)
    return dict(connection.execute(query).one()._mapping)
