"""`Ledger`: what the other modules of this package are for."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from pidj_async.campaigns.ledger import changes, table
from pidj_async.campaigns.ledger.turns import Opening, Terms, take_turn
from pidj_async.campaigns.records import (
    AddResult,
    CampaignRecord,
    CampaignStatus,
    LogEntry,
    NewRecipient,
    RecipientRecord,
    Settlement,
    SourceProblem,
    Turn,
)
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pidj_async.store import Store

__all__ = ["Ledger"]


class Ledger:
    """The campaigns of a store, and what has become of each text.

    Nothing here sends. Times are in seconds, unless they are `datetime`, which are UTC. Every method raises
    `StoreError` if the store cannot be used; then nothing of what it was to do has been done, unless it says otherwise.

    Args:
        store: Where it is kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._terms: dict[int, Terms] = {}

    def __repr__(self) -> str:
        return f"<Ledger in {self._store!r}>"

    # --- campaigns ------------------------------------------------------------------------------------------------

    async def create(self, id: str, settings: Mapping[str, object], *, who: str) -> CampaignRecord:
        """Make a campaign; if there is one with this name and these settings, return it.

        Args:
            id: Its name, at most 80 characters.
            settings: As JSON values. ``group_id`` (whose suppressions count) and ``ends_at`` (ISO 8601) matter here.
            who: Who makes it.

        Raises:
            ConfigurationError: There is one with this name and other settings.
            InvalidRequestError: The name cannot be one.
        """
        return await self._store.write(
            lambda connection: table.create(connection, id, settings, who=who, now=self._store.now(connection))
        )

    async def find(self, id: str) -> CampaignRecord | None:
        """Return a campaign, or ``None`` if there is none with this name."""
        return await self._store.read(lambda connection: table.find(connection, id))

    async def list(self) -> builtins.list[CampaignRecord]:
        """Return all campaigns, the oldest first."""
        return await self._store.read(table.list_campaigns)

    async def change_state(
        self, campaign: int, after: CampaignState, *, who: str, reason: str | None = None
    ) -> CampaignRecord:
        """Change what a campaign is about. Once this returns, nobody claims on the strength of the state before.

        Args:
            campaign: Its number.
            after: The state to come; the one it has is no change. `CANCELLED` cancels all recipients that wait, some
                thousand at a time: if that fails half-way, do it again.
            who: Who decides so.
            reason: Why.

        Raises:
            ConfigurationError: One does not follow the other.
        """
        record = await self._store.write(
            lambda connection: table.change_state(
                connection, campaign, after, who=who, reason=reason, now=self._store.now(connection)
            )
        )
        if after is CampaignState.CANCELLED:
            await self._until_none(changes.cancel_some, campaign)
        return record

    async def finish(self, campaign: int, *, who: str) -> bool:
        """End a campaign that runs, if nobody is left to be texted.

        Args:
            campaign: Its number.
            who: Who found that out.

        Returns:
            Whether it is done.
        """
        return await self._store.write(
            lambda connection: table.finish(connection, campaign, who=who, now=self._store.now(connection))
        )

    async def expire(self, campaign: int) -> int:
        """Give up all recipients that wait, if the campaign's end has passed; some thousand at a time.

        Args:
            campaign: Its number.

        Returns:
            How many.
        """
        terms = await self._terms_of(campaign)

        def expire_some(connection: Connection, campaign: int, *, now: int) -> int:
            if terms.ends_at is None or now < terms.ends_at:
                return 0
            return changes.expire_some(connection, campaign, now=now)

        return await self._until_none(expire_some, campaign)

    async def _until_none(self, some: Callable[..., int], campaign: int) -> int:
        total = 0
        while count := await self._store.write(
            lambda connection: some(connection, campaign, now=self._store.now(connection))
        ):
            total += count
        return total

    # --- recipients -----------------------------------------------------------------------------------------------

    async def add(self, campaign: int, recipients: Sequence[NewRecipient], *, source: str | None = None) -> AddResult:
        """Add recipients, in one transaction. Whoever is in the campaign already stays as they are.

        Args:
            campaign: Its number.
            recipients: Some thousand at most.
            source: The source they are from, if it is to be known whether it was added to its end.

        Raises:
            ConfigurationError: The campaign was cancelled.
            InvalidRequestError: A text has a character that not every database keeps.
        """
        return await self._store.write(lambda connection: table.add(connection, campaign, recipients, source=source))

    async def begin_source(self, campaign: int, name: str) -> None:
        """Note that recipients are being added from a source: until `note_source`, it is not ``complete``.

        A source that is complete, and is only read again, stays so until a recipient is found in it that is new.

        Args:
            campaign: Its number.
            name: The source's.
        """
        await self._store.write(lambda connection: table.begin_source(connection, campaign, name))

    async def note_source(
        self,
        campaign: int,
        name: str,
        *,
        lines: int,
        invalid: int,
        duplicate: int,
        problems: Sequence[SourceProblem],
    ) -> None:
        """Note what was found in a source, now that it has been read. What was noted of it before is replaced.

        Args:
            campaign: Its number.
            name: The source's.
            lines: How many there were.
            invalid: How many could not be used.
            duplicate: How many named somebody again.
            problems: What was wrong with them. The first 1,000 are kept.
        """
        await self._store.write(
            lambda connection: table.note_source(
                connection, campaign, name, lines=lines, invalid=invalid, duplicate=duplicate, problems=problems
            )
        )

    async def status(self, campaign: int) -> CampaignStatus:
        """Return how far a campaign is. This counts all its recipients.

        Args:
            campaign: Its number.
        """
        return await self._store.read(lambda connection: table.status(connection, campaign))

    async def recipients(
        self,
        campaign: int,
        *,
        states: Collection[RecipientState] | None = None,
        after_id: int = 0,
        limit: int = 1_000,
    ) -> builtins.list[RecipientRecord]:
        """Return a page of recipients, in order of id.

        Args:
            campaign: Its number.
            states: Those in these states; all, if left out.
            after_id: Those with higher ids than this: the last one's, to get the next page.
            limit: How many at most.
        """
        return await self._store.read(
            lambda connection: table.list_recipients(
                connection, campaign, states=states, after_id=after_id, limit=limit
            )
        )

    # --- workers --------------------------------------------------------------------------------------------------

    async def register(self, *, identity: str, lease: float) -> int:
        """Give a worker a number of its own.

        Args:
            identity: Which process it is: `identity.this_process()`.
            lease: For how long it keeps its claims without being heard of. A turn prolongs that.
        """
        return await self._store.write(
            lambda connection: table.register(
                connection, identity, lease=round(lease * 1e6), now=self._store.now(connection)
            )
        )

    async def retire(self, worker: int) -> None:
        """End a worker's time. If it has claims that it has not settled, they are in doubt.

        Args:
            worker: Its number.
        """
        await self._store.write(lambda connection: table.retire(connection, worker, now=self._store.now(connection)))

    async def sweep(self, campaign: int | None = None, *, is_dead: Callable[[str], bool]) -> int:
        """Put in doubt what was claimed by workers that are not heard of any more, or known to be dead.

        Args:
            campaign: Only workers that have claims of this campaign; all, if left out.
            is_dead: Whether a process is known to be dead, by its identity. Called in a worker thread.

        Returns:
            How many.
        """
        return await self._store.write(
            lambda connection: table.sweep(connection, campaign, is_dead=is_dead, now=self._store.now(connection))
        )

    async def turn(
        self,
        campaign: int,
        worker: int,
        *,
        settlements: Sequence[Settlement],
        limit: int,
        lease: float,
        opening: Opening,
    ) -> Turn:
        """Settle what has come back, prolong the worker's lease, and claim, in one transaction.

        Recipients are claimed in the order of their lines, so what came back unsent soon has its turn again.
        When it returns, the claims are committed: their texts may go out. If it raises, nothing has been claimed or
        settled for all that can be known; the same settlements may be given again, even if they were committed.

        Args:
            campaign: Its number.
            worker: Its number.
            settlements: What has become of claims of this worker's.
            limit: How many to claim at most.
            lease: For how long the worker keeps its claims without being heard of.
            opening: Says when somebody may be texted, by number and time zone; ``None`` for now. Called in a worker
                thread, for everybody who is looked at.

        Raises:
            ConfigurationError: There is no such campaign, or no such worker.
            ValueError: A settlement is none that a claim can come to.
        """
        terms = await self._terms_of(campaign)
        return await self._store.write(
            lambda connection: take_turn(
                connection,
                campaign,
                worker,
                settlements=settlements,
                limit=limit,
                lease=round(lease * 1e6),
                opening=opening,
                terms=terms,
                now=self._store.now,
            )
        )

    async def _terms_of(self, campaign: int) -> Terms:
        if campaign not in self._terms:
            # They never change, and neither does whose number this is.
            self._terms[campaign] = await self._store.read(lambda connection: table.terms_of(connection, campaign))
        return self._terms[campaign]

    # --- a person's decisions -------------------------------------------------------------------------------------

    async def resolve(
        self,
        campaign: int,
        to: RecipientState,
        *,
        who: str,
        recipient_ids: Collection[int] | None = None,
        note: str | None = None,
    ) -> int:
        """Decide about texts in doubt; some thousand at a time. Each decision is in the log.

        Args:
            campaign: Its number.
            to: `SENT`, `ABANDONED`, or `READY`: send it again, even though it may have been sent.
            who: Who decides.
            recipient_ids: About these; about all that are in doubt, if left out. Those that are not are left alone.
            note: Why.

        Returns:
            How many were decided.

        Raises:
            ValueError: `to` is none of the three.
            ConfigurationError: `READY`, and the campaign was cancelled.
        """
        if to not in changes.RESOLVED:
            msg = f"a text in doubt can be resolved to sent, ready or abandoned, not to {to}"
            raise ValueError(msg)

        def some(connection: Connection) -> builtins.list[int]:
            record = table.lock(connection, campaign)
            if to is RecipientState.READY and record.state is CampaignState.CANCELLED:
                msg = (
                    f"campaign {record.id!r} was cancelled, so nothing can be sent again; resolve to sent or abandoned"
                )
                raise ConfigurationError(msg)
            now = self._store.now(connection)
            ids = changes.resolve_some(connection, campaign, to, ids=recipient_ids, now=now)
            if ids:
                detail = f"to {to}" if note is None else f"to {to}: {note}"
                table.write_log(connection, campaign, "resolved", who=who, recipient_ids=ids, detail=detail, now=now)
            return ids

        total = 0
        while ids := await self._store.write(some):
            total += len(ids)
            if len(ids) < changes.BATCH:
                break
        return total

    # --- the log --------------------------------------------------------------------------------------------------

    async def log(self, campaign: int) -> builtins.list[LogEntry]:
        """Return what happened to a campaign, and who decided it, the first first.

        Args:
            campaign: Its number.
        """
        return await self._store.read(lambda connection: table.read_log(connection, campaign))

    async def write_log(
        self, campaign: int, what: str, *, who: str, recipient_id: int | None = None, detail: str | None = None
    ) -> None:
        """Write down something that happened.

        Args:
            campaign: Its number.
            what: In a word.
            who: Who did it.
            recipient_id: Whom it was about, if about one.
            detail: More, numbers masked.
        """
        await self._store.write(
            lambda connection: table.write_log(
                connection,
                campaign,
                what,
                who=who,
                recipient_ids=[recipient_id],
                detail=detail,
                now=self._store.now(connection),
            )
        )
