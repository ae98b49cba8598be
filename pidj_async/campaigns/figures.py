"""What a report consists of: figures, and the little that follows from them alone.

What it shows of a person is masked when it is made, unless that was asked not to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs

from pidj_async._masking import mask_phone_number
from pidj_async.campaigns.records import CampaignRecord
from pidj_async.campaigns.states import RecipientState

__all__ = [
    "Bucket",
    "CampaignReport",
    "DoubtfulText",
    "Latency",
    "LogLine",
    "OptOuts",
    "OutcomeCount",
    "Pause",
    "SegmentCount",
]


@attrs.frozen(kw_only=True)
class OutcomeCount:
    """How many recipients a state and a cause have in common.

    Attributes:
        state: What became of their text.
        cause: Why, in a word or two; ``None`` if there is nothing to say.
        recipients: How many they are.
        segments: How many segments their texts take, together.
    """

    state: RecipientState
    cause: str | None
    recipients: int
    segments: int


@attrs.frozen(kw_only=True)
class SegmentCount:
    """How many of the texts that Pidj took have the same length.

    Attributes:
        segments: How many segments each of them takes.
        texts: How many they are.
    """

    segments: int
    texts: int


@attrs.frozen(kw_only=True)
class Latency:
    """How long calls took, in microseconds. A call that got no answer counts with the time it waited for one.

    Attributes:
        calls: How many there were.
        p50: Half of them took no longer.
        p95: 95 % of them took no longer.
        p99: 99 % of them took no longer.
    """

    calls: int
    p50: int
    p95: int
    p99: int


@attrs.frozen(kw_only=True)
class Bucket:
    """What happened in a stretch of time.

    Attributes:
        start: When it begins, UTC. It ends where the next one begins.
        sent: Texts that Pidj took.
        rejected: Texts that Pidj refused.
        in_doubt: Texts that may have been sent, whether somebody has decided about them by now or not.
        latency: How long the calls took; ``None`` if there were none.
    """

    start: datetime
    sent: int = 0
    rejected: int = 0
    in_doubt: int = 0
    latency: Latency | None = None

    @property
    def texts(self) -> int:
        """How many there were, whatever became of them."""
        return self.sent + self.rejected + self.in_doubt


@attrs.frozen(kw_only=True)
class OptOuts:
    """Of those whose text was sent: how many opted out after it and still are. The four counts exclude each other.

    Only what came by an event counts, a STOP or Pidj's own notice; what a person put on the suppression list does not.
    It counts for the account or for the campaign's group; for a campaign without a group, for any.

    Attributes:
        within_hour: In the first hour after their text.
        within_day: Later, but on the first day.
        within_week: Later, but in the first week.
        later: Later still.
    """

    within_hour: int
    within_day: int
    within_week: int
    later: int

    @property
    def total(self) -> int:
        """How many altogether."""
        return self.within_hour + self.within_day + self.within_week + self.later


@attrs.frozen(kw_only=True)
class DoubtfulText:
    """A text of which nobody knows whether it was sent.

    Attributes:
        phone_number: E.164, masked unless the report was asked not to.
        line: Where the recipient stands in their source.
        claimed_at: When it was about to be sent, UTC.
        attempts: How often they were claimed.
        cause: Why it is in doubt, in a word or two.
        error: Why, as a sentence, numbers masked.
    """

    phone_number: str = attrs.field(repr=mask_phone_number)
    line: int
    claimed_at: datetime | None
    attempts: int
    cause: str | None
    error: str | None


@attrs.frozen(kw_only=True)
class Pause:
    """A time in which nobody was to be texted.

    Attributes:
        start: When it began, UTC.
        end: When it was over, UTC; ``None`` if it is not.
        reason: Why, if somebody said so.
    """

    start: datetime
    end: datetime | None
    reason: str | None


@attrs.frozen(kw_only=True)
class LogLine:
    """Something that happened to the campaign.

    Attributes:
        at: When, UTC.
        what: In a word.
        who: The person or worker.
        line: Whom it was about, if about one: where they stand in their source.
        detail: More, numbers masked.
    """

    at: datetime
    what: str
    who: str
    line: int | None
    detail: str | None


@attrs.frozen(kw_only=True)
class CampaignReport:
    """All that a report says. Times are UTC.

    Attributes:
        campaign: The campaign itself.
        made_at: The moment of all these figures.
        unmasked: Whether phone numbers are shown.
        price_per_segment: What a segment costs; ``None`` if nobody said so.
        currency: In which money.
        counts: How many recipients are in each state, every state named.
        outcomes: The same by cause, the largest first within a state.
        repeated: How many claims were of somebody who had been claimed before: that text was proven not to have been
            sent, or a person had it sent again.
        segments: The texts that Pidj took, by length.
        first_at: When the first text was claimed.
        last_at: When the last one was.
        bucket_seconds: The length of a bucket.
        buckets: From the first text to the last one without a gap; empty if there was none.
        latency: How long calls took over the whole campaign; ``None`` if there were none.
        pauses: When nobody was to be texted, after the first text or before it.
        opt_outs: Who opted out afterwards.
        in_doubt: The first texts in doubt; ``counts`` says how many there are.
        log: The last things that happened, in their order.
        log_left_out: How many happened before those.
    """

    campaign: CampaignRecord
    made_at: datetime
    unmasked: bool
    price_per_segment: float | None
    currency: str
    counts: Mapping[RecipientState, int]
    outcomes: tuple[OutcomeCount, ...]
    repeated: int
    segments: tuple[SegmentCount, ...]
    first_at: datetime | None
    last_at: datetime | None
    bucket_seconds: int
    buckets: tuple[Bucket, ...]
    latency: Latency | None
    pauses: tuple[Pause, ...]
    opt_outs: OptOuts
    in_doubt: tuple[DoubtfulText, ...]
    log: tuple[LogLine, ...]
    log_left_out: int

    @property
    def recipients(self) -> int:
        """How many people are in the campaign."""
        return sum(self.counts.values())

    @property
    def invalid(self) -> int:
        """How many lines of the sources could not be used."""
        return _total(self.campaign.sources, "invalid")

    @property
    def duplicate(self) -> int:
        """How many lines named somebody again."""
        return _total(self.campaign.sources, "duplicate")

    def segments_in(self, *states: RecipientState) -> int:
        """Count the segments of the texts to those who are in some states.

        Args:
            states: Which.
        """
        return sum(one.segments for one in self.outcomes if one.state in states)

    def cost_of(self, segments: int) -> Decimal | None:
        """Say what segments cost; ``None`` if nobody said what one does.

        Args:
            segments: How many.
        """
        return None if self.price_per_segment is None else Decimal(str(self.price_per_segment)) * segments

    @property
    def texts_per_second(self) -> float | None:
        """How many texts a second there were, in the time in which there were any."""
        busy = [one.texts for one in self.buckets if one.texts]
        if self.first_at is None or self.last_at is None or not busy:
            return None
        # A campaign shorter than its bucket is measured by itself.
        seconds = min(len(busy) * self.bucket_seconds, max((self.last_at - self.first_at).total_seconds(), 1))
        return sum(busy) / seconds

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values: times in ISO 8601, microseconds as they are, costs as strings."""
        sent, doubt = self.segments_in(RecipientState.SENT), self.segments_in(RecipientState.IN_DOUBT)
        return {
            "id": self.campaign.id,
            "state": self.campaign.state.value,
            "reason": self.campaign.reason,
            "made_at": self.made_at.isoformat(),
            "created_at": self.campaign.created_at.isoformat(),
            "started_at": _iso(self.campaign.started_at),
            "ended_at": _iso(self.campaign.ended_at),
            "first_text_at": _iso(self.first_at),
            "last_text_at": _iso(self.last_at),
            "counts": {
                **{state.value: count for state, count in self.counts.items()},
                "invalid": self.invalid,
                "duplicate": self.duplicate,
            },
            "outcomes": [_plain(one) for one in self.outcomes],
            "repeated": self.repeated,
            "segments": {
                "sent": sent,
                "in_doubt": doubt,
                "by_length": {str(one.segments): one.texts for one in self.segments},
                "price": None if self.price_per_segment is None else str(self.price_per_segment),
                "currency": self.currency,
                "cost_sent": _text(self.cost_of(sent)),
                "cost_in_doubt": _text(self.cost_of(doubt)),
            },
            "texts_per_second": self.texts_per_second,
            "latency": self.latency and _plain(self.latency),
            "bucket_seconds": self.bucket_seconds,
            "buckets": [_plain(one) for one in self.buckets],
            "pauses": [_plain(one) for one in self.pauses],
            "opt_outs": {**_plain(self.opt_outs), "total": self.opt_outs.total},
            "in_doubt": [_plain(one) for one in self.in_doubt],
            "log": [_plain(one) for one in self.log],
            "log_left_out": self.log_left_out,
        }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _total(sources: Mapping[str, Mapping[str, object]], name: str) -> int:
    return sum(count for one in sources.values() if isinstance(count := one.get(name), int))


def _plain(value: Any) -> dict[str, Any]:
    def simplify(_: type, __: Any, found: Any) -> Any:
        return found.isoformat() if isinstance(found, datetime) else found

    return attrs.asdict(value, value_serializer=simplify)
