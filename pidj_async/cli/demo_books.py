"""What happens in ``pidj demo``, counted where it happens, and the sums that must come out right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import attrs

from pidj_async.campaigns.states import RecipientState

if TYPE_CHECKING:
    from pidj_async.campaigns.preflight import PreflightReport
    from pidj_async.campaigns.records import RecipientRecord
    from pidj_async.sandbox import Sandbox

__all__ = ["Books", "Check", "checks_of"]


def _no_counts() -> dict[RecipientState, int]:
    return dict.fromkeys(RecipientState, 0)


@attrs.define
class Books:
    """What happened: as the ledger has it, as the sandbox saw it, and as the people did it.

    Attributes:
        lines: Lines of the list, the heading left out.
        invalid: Lines that nobody can be texted for.
        duplicate: Lines whose number stands in another one.
        counts: How many recipients are in each state, in the ledger.
        killed: How many processes were killed while they sent.
        crashed: Texts in doubt because their process was killed.
        lost: Requests whose reply the sandbox was told to lose, or to spoil with a 5xx.
        throttled: Requests that it was told to answer with 429.
        refused: Rejected texts that were for somebody of whose STOP only the sandbox knew.
        said_before: Who said STOP before the campaign, so that the suppression list has them.
        said_elsewhere: Who said STOP before there was a receiver, so that only the sandbox knows.
        said_meanwhile: Who said STOP while the campaign was under way, before it was their turn.
        said_after: Who said STOP when they had got their text.
        on_the_list: How many the suppression list has.
        arrived: How many texts the sandbox has.
        doubtful_arrived: How many of those are in doubt in the ledger.
        texted_twice: How many people got more than one.
        texted_in_spite: How many got one although they had said STOP before.
        answers_said: How many answered, as the sandbox knows.
        answers_heard: Answers that the handler counted.
        stops_heard: Opt-outs that the handler counted.
        events_heard: Events that the handler of all events counted.
        events_handled: Events that the inbox calls handled.
        webhooks_fired: Webhooks that there were.
        webhooks_delivered: Webhooks that the receiver took.
        webhooks_failed: Webhooks that it did not take, also when tried again.
    """

    lines: int = 0
    invalid: int = 0
    duplicate: int = 0
    counts: Mapping[RecipientState, int] = attrs.field(factory=_no_counts)
    killed: int = 0
    crashed: int = 0
    lost: int = 0
    throttled: int = 0
    refused: int = 0
    said_before: set[str] = attrs.field(factory=set, repr=False)
    said_elsewhere: set[str] = attrs.field(factory=set, repr=False)
    said_meanwhile: set[str] = attrs.field(factory=set, repr=False)
    said_after: set[str] = attrs.field(factory=set, repr=False)
    on_the_list: int = 0
    arrived: int = 0
    doubtful_arrived: int = 0
    texted_twice: int = 0
    texted_in_spite: int = 0
    answers_said: int = 0
    answers_heard: int = 0
    stops_heard: int = 0
    events_heard: int = 0
    events_handled: int = 0
    webhooks_fired: int = 0
    webhooks_delivered: int = 0
    webhooks_failed: int = 0

    @property
    def recipients(self) -> int:
        """How many people are in the campaign, in whatever state."""
        return self.lines - self.invalid - self.duplicate

    def note_list(self, report: PreflightReport) -> None:
        """Take over what is in the list."""
        self.lines, self.invalid, self.duplicate = report.lines, report.invalid, report.duplicate

    def note_ledger(self, recipients: Collection[RecipientRecord]) -> None:
        """Count what the ledger has about everybody."""
        self.counts = _no_counts() | Counter(each.state for each in recipients)
        self.crashed = sum(each.cause == "worker-lost" for each in recipients)
        self.refused = sum(
            each.state is RecipientState.REJECTED and each.phone_number in self.said_elsewhere for each in recipients
        )

    def note_sandbox(self, sandbox: Sandbox, in_doubt: Collection[str]) -> None:
        """Count what the sandbox has.

        Args:
            sandbox: It.
            in_doubt: Of whom the ledger does not know whether they got their text.
        """
        texts = Counter(text.to_number for text in sandbox.texts if text.kind == "text")
        self.arrived = texts.total()
        self.doubtful_arrived = sum(texts[number] for number in in_doubt)
        self.texted_twice = sum(count > 1 for count in texts.values())
        stopped = self.said_before | self.said_elsewhere | self.said_meanwhile
        self.texted_in_spite = sum(texts[number] for number in stopped)
        fired = [each for each in sandbox.deliveries if each.status != "skipped"]
        self.webhooks_fired = len(fired)
        self.webhooks_delivered = sum(each.status == "delivered" for each in fired)
        self.webhooks_failed = sum(each.status == "failed" for each in fired)


@attrs.frozen
class Check:
    """A number, and the numbers it must be the sum of.

    Attributes:
        name: What is counted.
        total: The number.
        parts: The numbers that must add up to it, with what they are.
    """

    name: str
    total: int
    parts: tuple[tuple[int, str], ...]

    @property
    def adds_up(self) -> bool:
        """Whether they do."""
        return self.total == sum(count for count, _ in self.parts)


def checks_of(books: Books) -> tuple[Check, ...]:
    """Set the numbers that were counted in different places against each other."""
    count = books.counts
    sent, in_doubt = count[RecipientState.SENT], count[RecipientState.IN_DOUBT]
    rejected, suppressed = count[RecipientState.REJECTED], count[RecipientState.SUPPRESSED]
    stops = len(books.said_before) + len(books.said_meanwhile)
    return (
        Check(
            "lines in the list",
            books.lines,
            ((books.recipients, "recipients"), (books.invalid, "invalid"), (books.duplicate, "duplicate")),
        ),
        Check(
            "recipients",
            books.recipients,
            ((sent, "sent"), (rejected, "rejected"), (suppressed, "suppressed"), (in_doubt, "in doubt")),
        ),
        Check("processes killed", books.killed, ((1, "meant to be"),)),
        Check(
            "in doubt", in_doubt, ((books.crashed, "when the process was killed"), (books.lost, "whose reply was lost"))
        ),
        Check(
            "suppressed",
            suppressed,
            (
                (len(books.said_before), "who had said STOP before"),
                (len(books.said_meanwhile), "who said STOP before their turn"),
            ),
        ),
        Check("rejected", rejected, ((len(books.said_elsewhere), "of whose STOP only Pidj knew"),)),
        Check(
            "texts at the sandbox",
            books.arrived,
            ((sent, "sent"), (books.doubtful_arrived, "in doubt that did arrive")),
        ),
        Check("texted twice", books.texted_twice, ((0, "allowed"),)),
        Check("texted despite STOP", books.texted_in_spite, ((0, "allowed"),)),
        Check("answers handled", books.answers_heard, ((books.answers_said, "given"),)),
        Check(
            "opt-outs handled",
            books.stops_heard,
            ((stops, "before they were texted"), (len(books.said_after), "after it")),
        ),
        Check("on the suppression list", books.on_the_list, ((books.stops_heard, "opt-outs handled"),)),
        Check("events handled", books.events_heard, ((books.webhooks_delivered, "webhooks delivered"),)),
        Check("events in the inbox", books.events_handled, ((books.webhooks_delivered, "webhooks delivered"),)),
        Check(
            "webhooks fired",
            books.webhooks_fired,
            ((books.webhooks_delivered, "delivered"), (books.webhooks_failed, "failed")),
        ),
    )
