"""A campaign's report as a page that a manager can read: one file, which asks nothing of the network.

The rules:

1. What matters comes first: how many people were texted, and what there is to decide.
2. Whatever comes from a store is escaped. The page may run no script and load nothing, and says so to the browser.
3. A figure that stands in a chart also stands in a table.
4. Nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from pidj_async._masking import mask_phone_number, mask_phone_numbers_in
from pidj_async.campaigns import wording
from pidj_async.campaigns.figures import CampaignReport, Pause
from pidj_async.campaigns.records import CampaignRecord
from pidj_async.campaigns.states import RecipientState
from pidj_async.errors import ConfigurationError

__all__ = ["render_html"]

_S = RecipientState

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
        "number": wording.number,
        "moment": wording.moment,
        "second": wording.day_and_time,
        "span": wording.span,
        "percent": wording.percent,
        "rate": wording.rate,
        "plural": wording.plural,
        "cause": wording.cause_in_words,
    }
    order = list(wording.KINDS)
    return environment.get_template("report.html").render(
        report=report,
        headline=wording.headline(report),
        rest=wording.rest_of(report),
        advice=wording.advice_on(report),
        state=wording.STATES[report.campaign.state],
        shares=_shares(report),
        outcomes=[
            (*wording.KINDS[one.state], one) for one in sorted(report.outcomes, key=lambda one: order.index(one.state))
        ],
        pictures=_pictures(report, charts),
        drawn=_drawn(report),
        each=wording.each(report.bucket_seconds),
        form=wording.clock_form(report.bucket_seconds),
        money=_Money(report),
        pauses=report.pauses[:_MOST_PAUSES],
        more_pauses=max(len(report.pauses) - _MOST_PAUSES, 0),
        paused_for=_paused_for(report),
        sources=_sources(report.campaign),
        settings=_settings(report),
        text=report.campaign.settings.get("text"),
        more_in_doubt=report.counts[_S.IN_DOUBT] - len(report.in_doubt),
    )


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
    present = [(state, report.counts[state]) for state in wording.KINDS if report.counts[state]]
    widths = [max(100 * count / report.recipients, 0.6) for _, count in present]
    scale = 100 / sum(widths) if widths else 0
    shares, start = [], 0.0
    for (state, count), width in zip(present, widths, strict=True):
        shares.append(_Share(*wording.KINDS[state], count, start, width * scale))
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

    buckets, seconds, each = report.buckets, report.bucket_seconds, wording.each(report.bucket_seconds)
    form = wording.clock_form(seconds)
    busiest = max(buckets, key=lambda one: one.texts)
    texts = charts.texts_chart(
        buckets,
        seconds,
        pauses=report.pauses,
        title=f"Texts in {each}",
        description=f"Bars from {wording.moment(report.first_at)} to {wording.moment(report.last_at)}. The most were "
        f"{busiest.texts:,}, in that which begins at {wording.day_and_time(busiest.start, form)} UTC. The table below "
        "has them all.",
    )
    if report.latency is None:
        return _Pictures(marked_up(texts), [])
    latency = charts.latency_chart(
        buckets,
        seconds,
        title=f"How long Pidj took to answer, in {each}",
        description="Three lines. Over the whole campaign, half of the calls took at most "
        f"{wording.span(report.latency.p50)}, 95 % at most {wording.span(report.latency.p95)}, 99 % at most "
        f"{wording.span(report.latency.p99)}.",
        show=wording.span,
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
