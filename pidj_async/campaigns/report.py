"""A campaign's report as a page that a manager can read: one file, which asks nothing of the network.

The rules:

1. What matters comes first: how many people were texted, and what there is to decide.
2. Whatever comes from a store is escaped. The page may run no script and load nothing, and says so to the browser.
3. A figure that stands in a chart also stands in a table.
4. Nothing is told by colour alone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

import attrs

from pidj_async._masking import mask_phone_number, mask_phone_numbers_in
from pidj_async.campaigns.records import CampaignRecord
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.campaigns.statistics import CampaignReport, Pause
from pidj_async.errors import ConfigurationError

__all__ = ["Advice", "advice_on", "headline", "render_html"]

_S = RecipientState

_KINDS: Final[Mapping[RecipientState, tuple[str, str]]] = {
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

_STATES: Final[Mapping[CampaignState, str]] = {
    CampaignState.LOADING: "not started",
    CampaignState.RUNNING: "under way",
    CampaignState.PAUSED: "paused",
    CampaignState.DONE: "done",
    CampaignState.CANCELLED: "cancelled",
}

_SETTINGS: Final[Mapping[str, str]] = {
    "group_id": "Texted from the group",
    "from_number": "Texted from",
    "hours": "Hours, where the recipient is",
    "ends_at": "Ends at",
    "rate": "Texts a second, at most",
    "concurrency": "Texts at the same time, at most",
    "check_consent": "Consent asked of Pidj before each text",
    "max_in_doubt": "Pauses by itself with more in doubt than",
    "region": "Numbers without a country are of",
}

_MOST_PROBLEMS: Final = 20
_MOST_PAUSES: Final = 20


@attrs.frozen
class Advice:
    """What to do next.

    Attributes:
        text: In words.
        commands: What to type for it, each with what it does.
    """

    text: str
    commands: tuple[tuple[str, str], ...] = ()


def render_html(report: CampaignReport) -> str:
    """Make the page.

    Args:
        report: What `pidj_async.campaigns.statistics.report_of` returns.

    Returns:
        HTML that stands alone. Phone numbers are masked unless the report was made with ``unmask``.

    Raises:
        ConfigurationError: Jinja or pygal is not installed.
    """
    try:
        import jinja2  # noqa: PLC0415  only whoever wants a page needs them

        from pidj_async.campaigns import charts  # noqa: PLC0415
    except ModuleNotFoundError as error:
        msg = f'a report as a page needs {error.name}; install it with: pip install "pidj-async[report]"'
        raise ConfigurationError(msg) from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pidj_async.campaigns", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "moment": _moment,
        "second": _second,
        "span": _span,
        "percent": _percent,
        "rate": _rate,
        "plural": _plural,
        "cause": _cause,
    }
    return environment.get_template("report.html").render(
        report=report,
        headline=headline(report),
        rest=_rest(report),
        advice=advice_on(report),
        state=_STATES[report.campaign.state],
        shares=_shares(report),
        outcomes=[(*_KINDS[one.state], one) for one in sorted(report.outcomes, key=lambda one: _ORDER[one.state])],
        pictures=_pictures(report, charts),
        drawn=_drawn(report),
        each=_each(report.bucket_seconds),
        form=_clock_form(report.bucket_seconds),
        money=_Money(report),
        pauses=report.pauses[:_MOST_PAUSES],
        more_pauses=max(len(report.pauses) - _MOST_PAUSES, 0),
        paused_for=_paused_for(report),
        sources=_sources(report.campaign),
        settings=_settings(report),
        text=report.campaign.settings.get("text"),
        more_in_doubt=report.counts[_S.IN_DOUBT] - len(report.in_doubt),
    )


_ORDER: Final = {state: index for index, state in enumerate(_KINDS)}


# --- in words -----------------------------------------------------------------------------------------------------


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


def _rest(report: CampaignReport) -> str:
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


def _cause(cause: str | None, state: RecipientState | None = None) -> str:
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


def _number(value: float | Decimal) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0
    # Little is not nothing, and nearly all is not all.
    if 0 < share < 0.1:
        shown = "< 0.1"
    elif part < whole:
        shown = f"{min(share, 99.9):.1f}" if share else "0"
    else:
        shown = "100" if whole else "0"
    return f"{shown} %".replace(" ", "\N{NO-BREAK SPACE}")


def _rate(per_second: float) -> str:
    """How often, in the shortest time in which it is at least once."""
    for unit, factor in (("second", 1), ("minute", 60)):
        if per_second * factor >= 1:
            return f"{per_second * factor:,.0f} a {unit}"
    return f"{per_second * 3_600:,.1f} an hour"


def _moment(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def _second(moment: datetime | None, form: str = "%H:%M:%S") -> str:
    return "" if moment is None else f"{moment.day} {moment:%b} {moment.strftime(form)}".strip()


def _clock_form(seconds: int) -> str:
    return "" if seconds >= 86_400 else "%H:%M" if seconds >= 60 else "%H:%M:%S"


_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def _each(seconds: int) -> str:
    """A bucket's length: ``each minute``, ``every 15 minutes``."""
    size, name = next((size, name) for size, name in _UNITS if seconds % size == 0)
    return f"each {name}" if seconds == size else f"every {seconds // size} {name}s"


def _span(microseconds: float) -> str:
    """A length of time, in its two largest units, or as exact as people are about short ones."""
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


# --- in figures ---------------------------------------------------------------------------------------------------


@attrs.frozen
class _Share:
    """A part of the bar: where it begins and how wide it is, in per cent."""

    kind: str
    label: str
    people: int
    start: float
    width: float


def _shares(report: CampaignReport) -> list[_Share]:
    """Divide the bar. What is there at all can be seen, however little it is."""
    present = [(state, report.counts[state]) for state in _KINDS if report.counts[state]]
    widths = [max(100 * count / report.recipients, 0.6) for _, count in present]
    scale = 100 / sum(widths) if widths else 0
    shares, start = [], 0.0
    for (state, count), width in zip(present, widths, strict=True):
        shares.append(_Share(*_KINDS[state], count, start, width * scale))
        start += width * scale
    return shares


@attrs.frozen
class _Pictures:
    texts: Sequence[str]
    latency: Sequence[str]


def _pictures(report: CampaignReport, charts: Any) -> _Pictures | None:
    """Draw the charts; ``None`` if there is nothing to draw."""
    if not report.buckets:
        return None
    from markupsafe import Markup  # noqa: PLC0415  comes with Jinja

    def marked_up(drawings: Sequence[Any]) -> list[str]:
        return [Markup(f'<div class="picture {one.size}">{one.svg}</div>') for one in drawings]  # noqa: S704  ours

    buckets, seconds, each = report.buckets, report.bucket_seconds, _each(report.bucket_seconds)
    busiest = max(buckets, key=lambda one: one.texts)
    texts = charts.texts_chart(
        buckets,
        seconds,
        pauses=report.pauses,
        title=f"Texts in {each}",
        description=f"Bars from {_moment(report.first_at)} to {_moment(report.last_at)}. The most were "
        f"{busiest.texts:,}, from {_second(busiest.start, _clock_form(seconds))} UTC on. The table below has them all.",
    )
    if report.latency is None:
        return _Pictures(marked_up(texts), [])
    latency = charts.latency_chart(
        buckets,
        seconds,
        title=f"How long Pidj took to answer, in {each}",
        description="Three lines. Over the whole campaign, half of the calls took at most "
        f"{_span(report.latency.p50)}, 95 % at most {_span(report.latency.p95)}, 99 % at most "
        f"{_span(report.latency.p99)}.",
        show=_span,
    )
    return _Pictures(marked_up(texts), marked_up(latency))


def _drawn(report: CampaignReport) -> list[tuple[str, str]]:
    """What the chart of texts has in it, for its legend."""
    counts = {
        ("sent", "sent"): sum(one.sent for one in report.buckets),
        ("rejected", "refused by Pidj"): sum(one.rejected for one in report.buckets),
        ("in-doubt", "in doubt"): sum(one.in_doubt for one in report.buckets),
        ("paused", "paused"): len(report.pauses),
    }
    return [kind for kind, count in counts.items() if count]


class _Money:
    """What the segments cost, as the page says it."""

    def __init__(self, report: CampaignReport) -> None:
        self._report = report
        self.known = report.price_per_segment is not None

    def of(self, *states: str) -> str:
        report = self._report
        cost = report.cost_of(report.segments_in(*map(RecipientState, states)))
        return "" if cost is None else f"{cost:,.2f} {report.currency}"

    @property
    def price(self) -> str:
        return f"{self._report.price_per_segment} {self._report.currency}"


def _paused_for(report: CampaignReport) -> float:
    """How long all pauses took, in microseconds, up to the report's moment."""
    return sum(_length(one, report.made_at) for one in report.pauses)


def _length(pause: Pause, now: datetime) -> float:
    return ((pause.end or now) - pause.start).total_seconds() * 1_000_000


def _sources(campaign: CampaignRecord) -> list[dict[str, Any]]:
    found = []
    for name, one in campaign.sources.items():
        problems = one.get("problems")
        listed = [_problem(problem) for problem in problems] if isinstance(problems, list) else []
        invalid = one.get("invalid", 0)
        found.append(
            {
                "name": name,
                "complete": one.get("complete", False),
                "lines": one.get("lines", 0),
                "invalid": invalid,
                "duplicate": one.get("duplicate", 0),
                "problems": listed[:_MOST_PROBLEMS],
                "more": max((invalid if isinstance(invalid, int) else 0) - len(listed[:_MOST_PROBLEMS]), 0),
            }
        )
    return found


def _problem(problem: Any) -> tuple[int, str]:
    line, reason = problem
    return line, mask_phone_numbers_in(reason)


def _settings(report: CampaignReport) -> list[tuple[str, str]]:
    def shown(name: str, value: object) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if name == "from_number" and not report.unmasked:
            return mask_phone_number(value)
        if name == "hours" and value == "any":
            return "any"
        return str(value)

    given = report.campaign.settings
    return [(label, shown(name, given[name])) for name, label in _SETTINGS.items() if given.get(name) is not None]
