"""The page without a browser: what it shows, and what it must never contain."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import attrs
import pytest

from pidj_async import campaigns
from pidj_async.campaigns import report as page
from pidj_async.campaigns.figures import Pause
from pidj_async.campaigns.report import render_html
from pidj_async.campaigns.statistics import report_of
from pidj_async.errors import ConfigurationError
from pidj_async.store import Store

from .finished import HOUR, made, put, put_spring, row

pytestmark = pytest.mark.anyio


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
    pauses = (
        Pause(start=made().made_at - timedelta(hours=9), end=made().made_at - timedelta(hours=5), reason=None),
        Pause(start=made().made_at - timedelta(hours=1), end=None, reason=None),
    )
    assert 5 * HOUR == page._paused_for(attrs.evolve(made(), pauses=pauses))
