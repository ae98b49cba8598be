"""The page without a browser: what it says, in which words, and what it must never contain."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest

from pidj_async import campaigns, outcomes
from pidj_async.campaigns import report as page
from pidj_async.campaigns import runner, verdicts
from pidj_async.campaigns.ledger import changes
from pidj_async.campaigns.records import CampaignRecord
from pidj_async.campaigns.report import advice_on, headline, render_html
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.campaigns.statistics import CampaignReport, OptOuts, Pause, report_of
from pidj_async.errors import ConfigurationError
from pidj_async.store import Store

from .finished import put, put_spring, row

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 21, 3, tzinfo=UTC)


def made(
    state: CampaignState = CampaignState.DONE, *, reason: str | None = None, invalid: int = 0, **counts: int
) -> CampaignReport:
    """A report with so many recipients in each state, and nothing else."""
    campaign = CampaignRecord(
        number=1,
        id="spring",
        state=state,
        reason=reason,
        settings={},
        sources={"list.csv": {"lines": 9, "invalid": invalid, "duplicate": 0, "problems": [], "complete": True}},
        created_at=NOW,
        started_at=None,
        ended_at=None,
    )
    return CampaignReport(
        campaign=campaign,
        made_at=NOW,
        unmasked=False,
        price_per_segment=None,
        currency="USD",
        counts={one: counts.get(one.value, 0) for one in RecipientState},
        outcomes=(),
        repeated=0,
        segments=(),
        first_at=None,
        last_at=None,
        bucket_seconds=1,
        buckets=(),
        latency=None,
        pauses=(),
        opt_outs=OptOuts(within_hour=0, within_day=0, within_week=0, later=0),
        in_doubt=(),
        log=(),
        log_left_out=0,
    )


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (made(), "Nobody is in this campaign yet."),
        (made(sent=1), "The only person was texted."),
        (made(sent=1_920), "All 1,920 people were texted."),
        (made(rejected=1), "The only person was not texted."),
        (made(suppressed=20), "None of 20 people were texted."),
        (made(sent=1, rejected=1), "1 of 2 people was texted."),
        (
            made(sent=1_848, rejected=60, in_doubt=12),
            "1,848 of 1,920 people were texted; 12 are in doubt and need a decision.",
        ),
        (made(sent=2, in_doubt=1), "2 of 3 people were texted; 1 is in doubt and needs a decision."),
        (
            made(in_doubt=3),
            "Nobody is known to have been texted; 3 of 3 people are in doubt and need a decision.",
        ),
        (made(CampaignState.RUNNING, sent=5, ready=5), "5 of 10 people have been texted so far."),
        (made(CampaignState.PAUSED, ready=5), "None of 5 people have been texted so far."),
        (made(CampaignState.CANCELLED, sent=5, cancelled=5), "5 of 10 people were texted."),
    ],
)
def test_the_headline_says_what_matters(report: CampaignReport, expected: str) -> None:
    """In one sentence, and in good English, for one and for many."""
    assert expected == headline(report)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (made(sent=1), []),
        (made(state=CampaignState.LOADING), ["run RECIPIENTS.csv --id spring"]),
        (made(CampaignState.LOADING, ready=1), ["resume spring"]),
        (made(CampaignState.RUNNING, ready=1), ["status spring", "resume spring"]),
        (made(CampaignState.PAUSED, ready=1, reason="402"), ["resume spring"]),
        (made(CampaignState.CANCELLED, cancelled=1), []),
        (
            made(in_doubt=2),
            [
                "resolve spring --as sent --all",
                "resolve spring --as abandoned --all",
                "resolve spring --as resend --all",
            ],
        ),
        (made(rejected=2), ["export spring results.csv"]),
    ],
)
def test_the_advice_is_what_to_type(report: CampaignReport, expected: list[str]) -> None:
    """Each state has the commands that lead out of it; where all is done, there are none."""
    commands = [command for one in advice_on(report) for command, _ in one.commands]
    assert [f"pidj campaign {rest}" for rest in expected] == commands
    assert advice_on(report)


def test_a_pause_says_why() -> None:
    """The reason stands where the way out does, as a sentence, with numbers masked."""
    report = made(CampaignState.PAUSED, ready=1, reason="402 for +13035550123")
    assert "The campaign is paused. 402 for +130******23. When that is settled:" == advice_on(report)[0].text


def test_a_name_with_spaces_is_quoted() -> None:
    """What is to be typed can be typed as it stands."""
    report = made(in_doubt=1)
    object.__setattr__(report.campaign, "id", "it's; spring")
    for command, _ in advice_on(report)[0].commands:
        assert "it's; spring" == shlex.split(command)[3]


def test_every_cause_is_explained() -> None:
    """Each word that the other rooms count by has an explanation here."""
    words = {
        *outcomes._NOT_SENT.values(),
        *outcomes._UNKNOWN.values(),
        *(otherwise for *_, otherwise in outcomes._BROKEN),
    }
    words |= {"unreadable-reply", "declined", "cancelled", "transport-bug", "opt-out", changes.WORKER_LOST}
    for module in (verdicts, runner):
        source = (files("pidj_async") / "campaigns" / f"{module.__name__.rpartition('.')[2]}.py").read_text()
        words |= set(re.findall(r'cause="([a-z-]+)"', source))
    assert set() == words - page._CAUSES.keys()


@pytest.mark.parametrize(
    ("cause", "state", "expected"),
    [
        (None, None, ""),
        ("http-503", None, "Pidj answered 503 Service Unavailable"),
        ("http-599", None, "Pidj answered 599"),
        ("something-new", None, ""),
        ("unreadable-reply", RecipientState.SENT, "Pidj took it, its answer could not be read"),
        (
            "http-503",
            RecipientState.SENT,
            "a person decided so; it was in doubt: Pidj answered 503 Service Unavailable",
        ),
    ],
)
def test_a_cause_in_words(cause: str | None, state: RecipientState | None, expected: str) -> None:
    """Of a status its name; of what a person decided, that it was a person; nothing of what is not known."""
    assert expected == page._cause(cause, state)


@pytest.mark.parametrize(
    ("microseconds", "expected"),
    [
        (0, "0"),
        (1, "1 µs"),
        (999, "999 µs"),
        (1_500, "2 ms"),
        (999_499, "999 ms"),
        (999_600, "1 s"),
        (12_340_000, "12.3 s"),
        (59_960_000, "1 min"),
        (100_000_000, "1 min 40 s"),
        (600_000_000, "10 min"),
        (13_560_000_000, "3 h 46 min"),
        (3_599_990_000, "1 h"),
        (165_600_000_000, "1 d 22 h"),
    ],
)
def test_a_length_of_time_in_words(microseconds: float, expected: str) -> None:
    """As exact as people are: two units at most, and never sixty of one."""
    assert expected == page._span(microseconds)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "0 %"),
        (0, 5, "0 %"),
        (1, 1_920, "< 0.1 %"),
        (1, 3, "33.3 %"),
        (999_999, 1_000_000, "99.9 %"),
        (7, 7, "100 %"),
    ],
)
def test_a_share_in_words(part: int, whole: int, expected: str) -> None:
    """Little is not nothing, and nearly all is not all."""
    assert expected == page._percent(part, whole).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("rate", "expected"), [(1_234.5, "1,234 a second"), (0.5, "30 a minute"), (0.001, "3.6 an hour")]
)
def test_a_rate_in_words(rate: float, expected: str) -> None:
    """In a unit of time in which there is at least one."""
    assert expected == page._rate(rate)


class Reader(HTMLParser):
    """Notes elements, addresses and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found: Mapping[str, str | None] = dict(attributes)
        self.addresses += [value or "" for name, value in found.items() if name in {"src", "href", "xlink:href"}]
        self.ids += [value or "" for name, value in found.items() if name == "id"]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


async def spring(store: Store, **options: Any) -> str:
    await put_spring(store)
    return render_html(await report_of(store, "spring", **options))


async def test_a_page_stands_alone(store_url: str) -> None:
    """No script, no address that leads anywhere, and a policy that forbids both; no id stands twice."""
    async with Store(store_url) as store:
        html = await spring(store)
    found = read(html)
    assert set() == {"script", "img", "iframe", "object", "embed", "form", "base"} & set(found.tags)
    assert ["data:,"] == found.addresses
    assert [] == re.findall(r"https?://|@import|url\((?!#)", html)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html
    assert len(found.ids) == len(set(found.ids))


async def test_numbers_are_masked_unless_asked_for(store_url: str) -> None:
    """No phone number is in the page; unmasked, those in doubt are, and the page says so."""
    number = re.compile(r"\+1303555\d{4}")
    async with Store(store_url) as store:
        masked = await spring(store)
        shown = render_html(await report_of(store, "spring", unmask=True))
    assert [] == number.findall(masked)
    assert "Phone numbers are masked." in masked
    assert 12 == len(number.findall(shown))
    assert "Phone numbers are shown in full" in shown


async def test_the_figures_of_the_page(store_url: str) -> None:
    """What a manager looks for is there: counts with separators, costs, opt-outs, pauses with their reasons."""
    async with Store(store_url) as store:
        html = await spring(store, price_per_segment=0.0079, currency="EUR")
    text = " ".join(" ".join(read(html).text).split()).replace("\N{NO-BREAK SPACE}", " ")
    for said in (
        "1,848 of 1,920 people were texted; 12 are in doubt and need a decision.",
        "The others: 41 on the suppression list, 15 refused by Pidj",
        "EUR for what was sent",
        "402 Payment Required: the account has no funds left",
        "Hi {first_name|there}, the spring sale is on until Friday.",
        "recipients.csv 2,000 37 43",
        "And 17 more.",
        "line 6: in_doubt to abandoned: asked by telephone",
    ):
        assert said in text


async def test_a_list_that_is_cut_says_so(store_url: str) -> None:
    """Of 250 texts in doubt 200 are listed, and the page tells how many more there are."""
    async with Store(store_url) as store:
        await put(store, [row(number, "in_doubt", at=number) for number in range(250)])
        html = render_html(await report_of(store, "spring"))
    assert "And 50 more." in html


async def test_the_own_number_is_masked_too(store_url: str) -> None:
    """The number that a campaign texts from is a phone number like others."""
    settings = {"text": "Hi", "from_number": "+13035550100", "check_consent": True}
    async with Store(store_url) as store:
        await put(store, [row(1, "sent", at=0)], settings=settings)
        masked = render_html(await report_of(store, "spring"))
        shown = render_html(await report_of(store, "spring", unmask=True))
    assert ("<dd>+130******00</dd>" in masked, "+13035550100" in masked) == (True, False)
    assert "<dd>+13035550100</dd>" in shown


@pytest.mark.parametrize("name", ["jinja2", "pygal"])
def test_what_is_not_installed_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Jinja or pygal there are figures, and no page; the message says what to install."""
    monkeypatch.setitem(sys.modules, name, None)
    # As in a process that has not drawn anything yet.
    monkeypatch.delitem(sys.modules, "pidj_async.campaigns.charts", raising=False)
    monkeypatch.delattr(campaigns, "charts", raising=False)
    with pytest.raises(ConfigurationError, match=rf'needs {name}; install it with: pip install "pidj-async\[report\]"'):
        render_html(made())


async def test_a_page_is_small(store_url: str) -> None:
    """Charts, style and all, three days and 1,920 people take less than 200 KB."""
    async with Store(store_url) as store:
        assert len(await spring(store)) < 200_000


def test_pauses_are_added_up_to_the_moment_of_the_report() -> None:
    """A pause that is not over counts until now."""
    report = made()
    pauses = (
        Pause(start=NOW - timedelta(hours=9), end=NOW - timedelta(hours=5), reason=None),
        Pause(start=NOW - timedelta(hours=1), end=None, reason=None),
    )
    object.__setattr__(report, "pauses", pauses)
    assert "5 h" == page._span(page._paused_for(report))
