"""The values that the rooms of a campaign hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import attrs

from pidj_async._masking import mask_phone_number, mask_text
from pidj_async.campaigns.states import CampaignState, RecipientState

__all__ = [
    "AddResult",
    "CampaignRecord",
    "CampaignStatus",
    "Claim",
    "LogEntry",
    "NewRecipient",
    "RecipientRecord",
    "Settlement",
    "SourceProblem",
    "Turn",
]


@attrs.frozen(kw_only=True)
class NewRecipient:
    """Somebody to be texted, as preflight has checked them.

    Attributes:
        phone_number: E.164.
        line: Where they stand in their source, from 1.
        segments: How many segments their text takes.
        text_body: Their text; ``None`` if it is the campaign's own, without merge fields.
        time_zone: Their IANA time zone, if the source knows it.
        contact_id: Their contact (``co:…``), if the source knows it.
    """

    phone_number: str = attrs.field(repr=mask_phone_number)
    line: int
    segments: int
    text_body: str | None = attrs.field(default=None, repr=mask_text)
    time_zone: str | None = None
    contact_id: str | None = None


@attrs.frozen(kw_only=True)
class AddResult:
    """What became of recipients that were to be added.

    Attributes:
        added: How many are new.
        known: How many had been added before, from the same line.
        duplicates: The lines of those whose number another line had before.
    """

    added: int
    known: int
    duplicates: tuple[int, ...]


class SourceProblem(Protocol):
    """A line of a source that could not be used."""

    @property
    def line(self) -> int:
        """Its number, from 1."""
        ...

    @property
    def reason(self) -> str:
        """What is wrong with it, numbers masked."""
        ...


@attrs.frozen(kw_only=True)
class Claim:
    """A recipient whose text may now be sent, by whoever holds this, once.

    Attributes:
        id: The row's.
        fence: Grows with every claim. A settlement with another one is refused.
        phone_number: E.164.
        text_body: Their text; ``None`` if it is the campaign's own.
        contact_id: Their contact, if known.
        attempts: How often they have been claimed, this time included.
    """

    id: int
    fence: int
    phone_number: str = attrs.field(repr=mask_phone_number)
    text_body: str | None = attrs.field(default=None, repr=mask_text)
    contact_id: str | None = None
    attempts: int = 1


@attrs.frozen(kw_only=True)
class Settlement:
    """What became of a claim.

    Attributes:
        id: The row's.
        fence: The claim's.
        state: The state to come; one that may follow `SENDING`.
        cause: Why, in a word or two that can be counted: ``"http-503"``, ``"read-timeout"``; ``None`` for `SENT`.
        error: Why, as a sentence, numbers masked.
        took: How long the call took, in microseconds.
    """

    id: int
    fence: int
    state: RecipientState
    cause: str | None = None
    error: str | None = None
    took: int | None = None


@attrs.frozen(kw_only=True)
class Turn:
    """What one transaction of a worker has brought.

    Attributes:
        claims: What it may send now.
        refused: The ids of settlements that came too late: the claim had been taken away. They are in the campaign's
            log, with what they would have been.
        state: What the campaign is about, at the time of this transaction. Only of a running one is anything claimed.
        reason: Why it is paused or cancelled.
        ended: Whether the campaign's end has passed, by the store's clock. Nothing is claimed after it.
        lease_left: For how many seconds the worker has got its claims, counted from the transaction. Whoever has not
            come back by then must send nothing more.
        suppressed: How many would have been claimed, but want no texts.
        deferred: How many would have been claimed, but may not be texted at this hour.
        woken: How many whose hours have come are ready again.
        next_due: When the next pending one may be texted. Looked up only if nothing was claimed.
        open: Whether anybody is pending, ready or being sent to. Looked up only if nothing was claimed; else `True`.
    """

    claims: tuple[Claim, ...]
    refused: tuple[int, ...]
    state: CampaignState
    reason: str | None
    ended: bool
    lease_left: float
    suppressed: int = 0
    deferred: int = 0
    woken: int = 0
    next_due: datetime | None = None
    open: bool = True


@attrs.frozen(kw_only=True)
class RecipientRecord:
    """All that the ledger has about a recipient. Times are UTC.

    Attributes:
        id: The row's.
        phone_number: E.164.
        line: Where they stand in their source.
        state: What has become of their text.
        text_body: Their text; ``None`` if it is the campaign's own.
        segments: How many segments it takes.
        time_zone: Theirs, if known.
        contact_id: Theirs, if known.
        due_at: When a pending one may be texted.
        attempts: How often they were claimed.
        claimed_at: When they were claimed last.
        settled_at: When the state came to be what it is.
        took: How long the call took, in microseconds.
        cause: Why they are in this state, in a word or two.
        error: Why, as a sentence.
    """

    id: int
    phone_number: str = attrs.field(repr=mask_phone_number)
    line: int
    state: RecipientState
    text_body: str | None = attrs.field(repr=mask_text)
    segments: int
    time_zone: str | None
    contact_id: str | None
    due_at: datetime | None
    attempts: int
    claimed_at: datetime | None
    settled_at: datetime | None
    took: int | None
    cause: str | None
    error: str | None


@attrs.frozen(kw_only=True)
class CampaignRecord:
    """All that the ledger has about a campaign itself. Times are UTC.

    Attributes:
        number: The ledger's own number of it.
        id: Its name.
        state: What it is about.
        reason: Why it is paused or cancelled, if somebody said so.
        settings: What it was made with, as JSON values.
        sources: What was found in each source: ``complete`` (whether it was read to its end), ``lines``, ``invalid``,
            ``duplicate``, and some ``problems`` (pairs of line and reason).
        created_at: When it was made.
        started_at: When it first ran.
        ended_at: When it was done or cancelled.
    """

    number: int
    id: str
    state: CampaignState
    reason: str | None
    settings: Mapping[str, object] = attrs.field(repr=False)
    sources: Mapping[str, Mapping[str, object]] = attrs.field(repr=False)
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@attrs.frozen(kw_only=True)
class CampaignStatus:
    """How far a campaign is.

    Attributes:
        id: Its name.
        state: What it is about.
        reason: Why it is paused or cancelled.
        counts: How many recipients are in each state, every state named.
        invalid: How many lines could not be used. They are no recipients.
        duplicate: How many lines named somebody again. They are no recipients.
        next_due: When the next pending recipient may be texted, if there is one.
    """

    id: str
    state: CampaignState
    reason: str | None
    counts: Mapping[RecipientState, int]
    invalid: int
    duplicate: int
    next_due: datetime | None = None

    @property
    def recipients(self) -> int:
        """How many there are, in whatever state."""
        return sum(self.counts.values())

    @property
    def waiting(self) -> int:
        """How many have not been claimed yet, and may be."""
        return self.counts[RecipientState.PENDING] + self.counts[RecipientState.READY]


@attrs.frozen(kw_only=True)
class LogEntry:
    """Something that happened to a campaign.

    Attributes:
        at: When, UTC.
        what: In a word: ``created``, a state of the campaign, ``resolved``, ``late``, ``swept``.
        who: The person or worker.
        recipient_id: Whom it was about, if about one.
        detail: More, numbers masked.
    """

    at: datetime
    what: str
    who: str
    recipient_id: int | None
    detail: str | None
