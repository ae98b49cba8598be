"""The words of a report: its sentences, its advice, and how numbers, times and causes are said.

Everything here is a pure function of figures.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Final

import attrs

from pidj_async._masking import mask_phone_numbers_in
from pidj_async.campaigns.figures import CampaignReport
from pidj_async.campaigns.states import CampaignState, RecipientState

__all__ = [
    "KINDS",
    "STATES",
    "Advice",
    "advice_on",
    "cause_in_words",
    "clock_form",
    "day_and_time",
    "each",
    "headline",
    "moment",
    "number",
    "percent",
    "plural",
    "rate",
    "rest_of",
    "span",
]

_S = RecipientState

KINDS: Final[Mapping[RecipientState, tuple[str, str]]] = {
    _S.SENT: ("sent", "Sent"),
    _S.IN_DOUBT: ("in-doubt", "In doubt"),
    _S.ABANDONED: ("abandoned", "In doubt, left at that"),
    _S.REJECTED: ("rejected", "Refused by Pidj"),
    _S.SUPPRESSED: ("suppressed", "Wants no texts"),
    _S.EXPIRED: ("expired", "Too late: the campaign had ended"),
    _S.CANCELLED: ("cancelled", "Not sent: the campaign was cancelled"),
    _S.SENDING: ("sending", "Being sent"),
    _S.READY: ("waiting", "Waiting for their turn"),
    _S.PENDING: ("pending", "Waiting for their hours"),
}
"""How each state is drawn and called, in the order in which the page has them."""

_CAUSES: Final[Mapping[str, str]] = {
    "bad-reply": "what came back was no answer",
    "cancelled": "it was broken off here",
    "configuration": "something is set up wrongly here",
    "connect-error": "no connection to Pidj",
    "connect-timeout": "no connection to Pidj in time",
    "connection-lost": "the connection broke while the text was on its way",
    "connection-refused": "Pidj took no connection",
    "consent-unknown": "whether they have consented could not be found out",
    "declined": "Pidj declined it",
    "dns": "Pidj's address could not be looked up",
    "invalid-request": "Pidj would refuse or change such a text",
    "no-consent": "they have not consented",
    "no-contact": "Pidj has no contact with this number, so no consent",
    "not-sent": "it could not be sent",
    "not-started": "the campaign was stopped just before",
    "opt-out": "on the suppression list when their turn came",
    "pool-timeout": "no connection was free in time",
    "proxy": "the proxy did not let it through",
    "read-timeout": "no answer came in time",
    "timeout": "it took too long",
    "tls": "no secure connection to Pidj",
    "transport-bug": "an error that should not be, in this program",
    "unreadable-reply": "Pidj took it, its answer could not be read",
    "worker-lost": "the program ended while the text was on its way",
    "write-timeout": "it could not be handed over in time",
}
"""What the words of `pidj_async.outcomes.cause_of` and of the rooms beside this one mean."""

_HTTP: Final = re.compile(r"http-([1-5][0-9]{2})\Z")

STATES: Final[Mapping[CampaignState, str]] = {
    CampaignState.LOADING: "not started",
    CampaignState.RUNNING: "under way",
    CampaignState.PAUSED: "paused",
    CampaignState.DONE: "done",
    CampaignState.CANCELLED: "cancelled",
}


@attrs.frozen
class Advice:
    """What to do next.

    Attributes:
        text: In words.
        commands: What to type for it, each with what it does.
    """

    text: str
    commands: tuple[tuple[str, str], ...] = ()


def headline(report: CampaignReport) -> str:
    """Say in one sentence what has come of a campaign.

    Args:
        report: Its figures.
    """
    people, sent, doubt = report.recipients, report.counts[_S.SENT], report.counts[_S.IN_DOUBT]
    if not people:
        return "Nobody is in this campaign yet."
    verb = "have been" if _goes_on(report) else "were"
    so_far = " so far" if _goes_on(report) else ""
    if sent == people:
        said = "The only person was texted" if people == 1 else f"All {people:,} people were texted"
    elif not sent and doubt:
        said = "Nobody is known to have been texted"
    elif not sent:
        said = "The only person was not texted" if people == 1 else f"None of {people:,} people {verb} texted{so_far}"
    else:
        said = f"{sent:,} of {people:,} people {'was' if sent == 1 and not so_far else verb} texted{so_far}"
    if not doubt:
        return f"{said}."
    whom = f"{doubt:,} of {people:,} people" if not sent else f"{doubt:,}"
    return f"{said}; {whom} {'is in doubt and needs' if doubt == 1 else 'are in doubt and need'} a decision."


def _goes_on(report: CampaignReport) -> bool:
    return report.campaign.state in {CampaignState.LOADING, CampaignState.RUNNING, CampaignState.PAUSED} and any(
        report.counts[state] for state in (_S.PENDING, _S.READY, _S.SENDING)
    )


def rest_of(report: CampaignReport) -> str:
    """Say where the others are; nothing if there are none."""
    words = {
        _S.SUPPRESSED: "on the suppression list",
        _S.REJECTED: "refused by Pidj",
        _S.EXPIRED: "too late for the campaign's end",
        _S.CANCELLED: "cancelled",
        _S.ABANDONED: "left in doubt by decision",
        _S.SENDING: "being sent",
        _S.PENDING: "waiting for their hours",
        _S.READY: "waiting for their turn",
    }
    parts = [f"{report.counts[state]:,} {said}" for state, said in words.items() if report.counts[state]]
    return "" if not parts else f"The others: {', '.join(parts)}."


def advice_on(report: CampaignReport) -> tuple[Advice, ...]:
    """Say what to do next, the most urgent first.

    Args:
        report: The campaign's figures.
    """
    name = shlex.quote(report.campaign.id)
    found = [*_state_advice(report, name)]
    if doubt := report.counts[_S.IN_DOUBT]:
        texts = "One text may" if doubt == 1 else f"{doubt:,} texts may"
        found.append(
            Advice(
                f"{texts} have been sent, or not: nobody can know from here. Nothing is sent again by itself. Ask a "
                "few of these people, or look them up in Pidj, and decide:",
                (
                    (f"pidj campaign resolve {name} --as sent --all", "they have it"),
                    (f"pidj campaign resolve {name} --as abandoned --all", "leave it at that"),
                    (f"pidj campaign resolve {name} --as resend --all", "send it; who has it already gets it twice"),
                ),
            )
        )
    if report.invalid:
        lines = "One line" if report.invalid == 1 else f"{report.invalid:,} lines"
        found.append(
            Advice(f"{lines} of the list could not be used: see below. Mended, they can be added to the same campaign.")
        )
    if report.counts[_S.REJECTED]:
        found.append(
            Advice(
                "Whom Pidj refused, and why, is in the results:",
                ((f"pidj campaign export {name} results.csv", "everybody, with the outcome"),),
            )
        )
    return tuple(found) or (Advice("Nothing: all is done."),)


def _state_advice(report: CampaignReport, name: str) -> list[Advice]:
    resume = (f"pidj campaign resume {name}", "go on where it stopped")
    state, reason = report.campaign.state, report.campaign.reason
    if state is CampaignState.PAUSED:
        because = "" if not reason else f" {_sentence(mask_phone_numbers_in(reason))}"
        return [Advice(f"The campaign is paused.{because} When that is settled:", (resume,))]
    if not report.recipients:
        start = (f"pidj campaign run RECIPIENTS.csv --id {name}", "with the same text and group")
        return [Advice("Give it recipients:", (start,))]
    if state is CampaignState.CANCELLED or not _goes_on(report):
        return []
    if state is CampaignState.LOADING:
        return [Advice("It has not been started:", (resume,))]
    watch = (f"pidj campaign status {name}", "how far it is")
    return [Advice("It is under way. Should its program have been ended, nothing is lost:", (watch, resume))]


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def cause_in_words(cause: str | None, state: RecipientState | None = None) -> str:
    """Explain a cause; nothing, if it is none that is known."""
    if cause is None:
        return ""
    said = _CAUSES.get(cause, "")
    if match := _HTTP.match(cause):
        try:
            said = f"Pidj answered {match[1]} {HTTPStatus(int(match[1])).phrase}"
        except ValueError:
            said = f"Pidj answered {match[1]}"
    # The cause is still why it was in doubt.
    decided = state is _S.SENT and cause != "unreadable-reply"
    return f"a person decided so; it was in doubt: {said or 'see the log'}" if decided else said


def number(value: float | Decimal) -> str:
    """Say a number with separators."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Say how many there are of something."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def percent(part: int, whole: int) -> str:
    """Say a share of a whole."""
    share = 100 * part / whole if whole else 0
    # Little is not nothing, and nearly all is not all.
    if 0 < share < 0.1:
        shown = "< 0.1"
    elif part < whole:
        shown = f"{min(share, 99.9):.1f}" if share else "0"
    else:
        shown = "100" if whole else "0"
    return f"{shown} %".replace(" ", "\N{NO-BREAK SPACE}")


def rate(per_second: float) -> str:
    """Say how often, in the shortest time in which it is at least once."""
    for unit, factor in (("second", 1), ("minute", 60)):
        if per_second * factor >= 1:
            return f"{per_second * factor:,.0f} a {unit}"
    return f"{per_second * 3_600:,.1f} an hour"


def moment(when: datetime | None) -> str:
    """Say a moment with its year and zone; ``None`` is never."""
    return "never" if when is None else f"{when.day} {when:%b %Y, %H:%M} UTC"


def day_and_time(when: datetime | None, form: str = "%H:%M:%S") -> str:
    """Say a moment for a column that is headed UTC."""
    return "" if when is None else f"{when.day} {when:%b} {when.strftime(form)}".strip()


def clock_form(seconds: int) -> str:
    """Choose how exactly to say when a bucket of this length begins."""
    return "" if seconds >= 86_400 else "%H:%M" if seconds >= 60 else "%H:%M:%S"


_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def each(seconds: int) -> str:
    """Say a bucket's length: ``each minute``, ``every 15 minutes``."""
    size, name = next((size, name) for size, name in _UNITS if seconds % size == 0)
    return f"each {name}" if seconds == size else f"every {seconds // size} {name}s"


def span(microseconds: float) -> str:
    """Say a length of time, in its two largest units, or as exact as people are about short ones."""
    if not microseconds:
        return "0"
    if microseconds < 1_000:
        return f"{microseconds:.0f} \N{MICRO SIGN}s"
    if microseconds < 999_500:
        return f"{microseconds / 1_000:.0f} ms"
    if microseconds < 59_950_000:
        return f"{microseconds / 1_000_000:.1f}".removesuffix(".0") + " s"
    seconds = round(microseconds / 1_000_000)
    if seconds >= 600:
        seconds = 60 * round(seconds / 60)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join([f"{value} {unit}" for value, unit in units if value][:2])
