"""A campaign's figures: what the database counts is what a person with all its rows would count."""

from __future__ import annotations

import json
import math
import random
import tracemalloc
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import BigInteger, Connection, func, insert, literal_column, select

from pidj_async.campaigns.figures import CampaignReport, Latency, OptOuts
from pidj_async.campaigns.states import RecipientState
from pidj_async.campaigns.statistics import report_of
from pidj_async.errors import ConfigurationError, InvalidRequestError
from pidj_async.store import Store, schema

from .finished import DAY, GROUP, HOUR, MINUTE, SECOND, START, Row, log, moment, opt_out, put, put_spring, row

pytestmark = pytest.mark.anyio

TRIED = {"sent", "rejected", "in_doubt", "abandoned"}


async def rows_in(store: Store) -> list[Row]:
    def read(connection: Connection) -> list[Row]:
        return [dict(one) for one in connection.execute(select(schema.recipients)).mappings()]

    return await store.read(read)


def percentiles(times: list[int]) -> Latency | None:
    """By the definition: sort them, and count."""
    ordered = sorted(times)
    if not ordered:
        return None
    p50, p95, p99 = (ordered[math.ceil(len(ordered) * percent / 100) - 1] for percent in (50, 95, 99))
    return Latency(calls=len(ordered), p50=p50, p95=p95, p99=p99)


def chance_rows(seed: int, count: int) -> list[Row]:
    """Recipients in any state, with any cause, over a span that depends on chance too."""
    chance = random.Random(seed)
    span = int(10 ** chance.uniform(0, 12.3))
    rows = []
    for number in range(count):
        state = chance.choice(list(RecipientState)).value
        claimed = state in TRIED or (state != "expired" and chance.random() < 0.3)
        took = chance.choice([None, 0, chance.randrange(10), int(10 ** chance.uniform(0, 8))])
        rows.append(
            row(
                number,
                state,
                at=chance.randrange(span) if claimed else None,
                took=took if claimed else None,
                cause=chance.choice([None, "http-503", "read-timeout", "opt-out"]),
                segments=chance.randrange(1, 11),
                attempts=chance.randrange(4),
            )
        )
    return rows


def check(report: CampaignReport, rows: list[Row]) -> None:
    """Compare a report with what its rows come to."""
    tried = [one for one in rows if one["state"] in TRIED and one["claimed_at"] is not None]
    assert Counter(one["state"] for one in rows) == Counter({k.value: v for k, v in report.counts.items() if v})
    assert Counter((one["state"], one["cause"]) for one in rows) == Counter(
        {(one.state.value, one.cause): one.recipients for one in report.outcomes}
    )
    for one in report.outcomes:
        alike = [row["segments"] for row in rows if (row["state"], row["cause"]) == (one.state, one.cause)]
        assert sum(alike) == one.segments
    assert Counter(one["segments"] for one in rows if one["state"] == "sent") == Counter(
        {one.segments: one.texts for one in report.segments}
    )
    assert sum(max(one["attempts"] - 1, 0) for one in rows) == report.repeated
    assert percentiles([one["took"] for one in tried if one["took"] is not None]) == report.latency
    assert sum(bucket.texts for bucket in report.buckets) == len(tried)
    if not tried:
        assert (report.first_at, report.last_at, report.buckets) == (None, None, ())
        return
    claims = [one["claimed_at"] for one in tried]
    assert (moment(min(claims)), moment(max(claims))) == (report.first_at, report.last_at)
    assert len(report.buckets) <= 80
    length = timedelta(seconds=report.bucket_seconds)
    for number, bucket in enumerate(report.buckets):
        assert report.buckets[0].start + number * length == bucket.start
        within = [one for one in tried if bucket.start <= moment(one["claimed_at"]) < bucket.start + length]
        states = Counter(one["state"] for one in within)
        doubtful = states["in_doubt"] + states["abandoned"]
        assert (states["sent"], states["rejected"], doubtful) == (bucket.sent, bucket.rejected, bucket.in_doubt)
        assert percentiles([one["took"] for one in within if one["took"] is not None]) == bucket.latency


# --- right --------------------------------------------------------------------------------------------------------


async def test_a_campaign_of_three_days_is_counted_as_by_hand(store_url: str) -> None:
    """Outcomes, lengths, buckets and percentiles are those of the rows; empty hours are there, and empty."""
    async with Store(store_url) as store:
        await put_spring(store)
        report = await report_of(store, "spring")
        check(report, await rows_in(store))
    assert 1_920 == report.recipients
    assert (37, 43) == (report.invalid, report.duplicate)
    assert 3_600 == report.bucket_seconds
    assert 24 == sum(1 for one in report.buckets if not one.texts)
    assert [one.latency for one in report.buckets if not one.texts] == [None] * 24


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("seed", range(8))
async def test_any_rows_are_counted_as_by_hand(store_url: str, seed: int) -> None:
    """Whatever the states, causes, times and lengths; another campaign in the same store is left out."""
    async with Store(store_url) as store:
        rows = chance_rows(seed, 300)
        await put(store, [], id="empty")
        await put(store, chance_rows(seed + 100, 50), id="before")
        await put(store, rows)
        await put(store, chance_rows(seed + 200, 50), id="after")
        check(await report_of(store, "spring"), rows)
        check(await report_of(store, "empty"), [])


async def test_a_campaign_whose_rows_lie_between_anothers_is_counted_alone(store_url: str) -> None:
    """Recipients that were added by turns do not get mixed up."""
    first, second = chance_rows(1, 40), chance_rows(2, 40)
    async with Store(store_url) as store:
        await put(store, first[:20])
        await put(store, second[:20], id="other")

        def add(connection: Connection) -> None:
            numbers = {one.id: one.number for one in connection.execute(select(schema.campaigns))}
            for name, rows in (("spring", first[20:]), ("other", second[20:])):
                connection.execute(insert(schema.recipients), [{**one, "campaign": numbers[name]} for one in rows])

        await store.write(add)
        check(await report_of(store, "spring"), first)
        check(await report_of(store, "other"), second)


async def test_nobody_has_figures_too(store_url: str) -> None:
    """A campaign without recipients has a report, in which everything is nothing."""
    async with Store(store_url) as store:
        await put(store, state="loading")
        report = await report_of(store, "spring", price_per_segment=0.01)
    assert 0 == report.recipients
    assert OptOuts(within_hour=0, within_day=0, within_week=0, later=0) == report.opt_outs
    assert ((), (), None, None) == (report.outcomes, report.buckets, report.latency, report.texts_per_second)


async def test_one_text_is_one_bucket_and_all_percentiles(store_url: str) -> None:
    """A single row: one second, and every percentile is its time."""
    async with Store(store_url) as store:
        await put(store, [row(1, "sent", at=MINUTE, took=87_000)])
        report = await report_of(store, "spring")
    (bucket,) = report.buckets
    assert (moment(START + MINUTE), 1, 0, 0) == (bucket.start, bucket.sent, bucket.rejected, bucket.in_doubt)
    assert Latency(calls=1, p50=87_000, p95=87_000, p99=87_000) == bucket.latency == report.latency
    assert 1.0 == report.texts_per_second


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        (0, 1),
        (79 * SECOND, 1),
        (80 * SECOND, 2),
        (HOUR, 60),
        (3 * DAY, 3_600),
        (30 * DAY, 43_200),
        (80 * 7 * DAY, 14 * 86_400),
        (3_000 * DAY, 42 * 86_400),
    ],
)
async def test_a_bucket_is_as_long_as_people_count(store_url: str, span: int, seconds: int) -> None:
    """However long a campaign takes, its buckets are few, of a usual length, and begin at a round time."""
    async with Store(store_url) as store:
        await put(store, [row(1, "sent", at=0), row(2, "sent", at=span)])
        report = await report_of(store, "spring")
    assert seconds == report.bucket_seconds
    assert 0 == report.buckets[0].start.timestamp() % seconds
    assert len(report.buckets) <= 80


async def test_a_decision_does_not_move_a_text(store_url: str) -> None:
    """What was in doubt, and was resolved a day later, still belongs to the time at which it was claimed."""
    late = {"settled_at": START + DAY, "cause": "read-timeout"}
    async with Store(store_url) as store:
        await put(store, [row(1, "sent", at=0, **late), row(2, "abandoned", at=SECOND, **late)])
        report = await report_of(store, "spring")
    assert [(1, 0), (0, 1)] == [(one.sent, one.in_doubt) for one in report.buckets]


# --- opt-outs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({}, 1),
        ({"source": "text"}, 1),
        ({"scope": GROUP}, 1),
        ({"scope": "gr:other"}, 0),
        ({"source": "manual"}, 0),
        ({"source": "manual", "event_id": None}, 0),
        ({"event_id": None}, 0),
        ({"suppressed": False, "source": "opt-in"}, 0),
        ({"changed_at": START + MINUTE - 1}, 0),
        ({"changed_at": START + MINUTE}, 1),
        ({"phone_number": "+13035559999"}, 0),
    ],
)
async def test_what_counts_as_an_opt_out_afterwards(store_url: str, listed: dict[str, Any], expected: int) -> None:
    """An event after the text, for the account or the campaign's group, that has not been lifted."""
    async with Store(store_url) as store:
        await put(store, [row(1, "sent", at=MINUTE)], suppressed=[opt_out(1, HOUR, **listed)])
        report = await report_of(store, "spring")
    assert expected == report.opt_outs.total


async def test_any_group_counts_for_a_campaign_without_one(store_url: str) -> None:
    """A campaign that texts from a number cannot know which groups are meant."""
    settings = {"text": "Hi", "from_number": "+13035550000"}
    listed = [opt_out(1, HOUR, scope="gr:other")]
    async with Store(store_url) as store:
        await put(store, [row(1, "sent", at=0)], settings=settings, suppressed=listed)
        assert 1 == (await report_of(store, "spring")).opt_outs.total


async def test_opt_outs_are_told_by_how_long_after_the_text(store_url: str) -> None:
    """Each person counts once, by their first opt-out; only those who were texted count."""
    delays = [0, HOUR - 1, HOUR, DAY - 1, DAY, 7 * DAY - 1, 7 * DAY, 400 * DAY]
    rows = [row(number, "sent", at=MINUTE) for number in range(len(delays))]
    listed = [opt_out(number, MINUTE + delay) for number, delay in enumerate(delays)]
    rows += [row(90, "in_doubt", at=0), row(91, "suppressed")]
    listed += [opt_out(90, HOUR), opt_out(91, HOUR), opt_out(0, 30 * DAY, scope=GROUP)]
    async with Store(store_url) as store:
        await put(store, rows, suppressed=listed)
        report = await report_of(store, "spring")
    assert OptOuts(within_hour=2, within_day=2, within_week=2, later=2) == report.opt_outs


# --- what is listed -----------------------------------------------------------------------------------------------


async def test_numbers_are_masked_unless_asked_for(store_url: str) -> None:
    """In the list of doubts, in errors and in the log; unmasking shows the list's own numbers, and no others."""
    number = "+13035550007"
    async with Store(store_url) as store:
        rows = [row(7, "in_doubt", at=0, error=f"no reply about {number}")]
        await put(store, rows, logged=[log(0, "late", detail=f"sent: {number}")])
        masked = await report_of(store, "spring")
        shown = await report_of(store, "spring", unmask=True)
    assert "+130******07" == masked.in_doubt[0].phone_number
    assert number not in repr(masked) + json.dumps(masked.to_json())
    assert number == shown.in_doubt[0].phone_number
    assert ("no reply about +130******07", "sent: +130******07") == (shown.in_doubt[0].error, shown.log[0].detail)
    assert number not in repr(shown)


async def test_long_lists_are_cut_and_say_so(store_url: str) -> None:
    """The first 200 texts in doubt and the last 200 entries of the log; the counts are of all."""
    async with Store(store_url) as store:
        rows = [row(number, "in_doubt", at=number) for number in range(250)]
        await put(store, rows, logged=[log(number, "late", recipient=None) for number in range(230)])
        report = await report_of(store, "spring")
    assert list(range(2, 202)) == [one.line for one in report.in_doubt]
    assert 250 == report.counts[RecipientState.IN_DOUBT]
    assert (30, moment(START + 30), moment(START + 229)) == (report.log_left_out, report.log[0].at, report.log[-1].at)


async def test_the_log_says_whom_an_entry_is_about(store_url: str) -> None:
    """By the line in their source, which tells nobody their number."""
    async with Store(store_url) as store:
        await put(store, [row(5, "sent", at=0)])
        await put(store, [row(5, "sent", at=0)], id="other", logged=[log(0, "resolved", recipient=2), log(1, "done")])
        report = await report_of(store, "other")
    assert [("resolved", 7), ("done", None)] == [(one.what, one.line) for one in report.log]


async def test_pauses_come_from_the_log(store_url: str) -> None:
    """A pause lasts to the next change of the campaign's state; what is logged in between does not end it."""
    entries = [
        log(0, "running"),
        log(HOUR, "paused", detail="402 from +13035550123"),
        log(2 * HOUR, "late"),
        log(3 * HOUR, "running"),
        log(4 * HOUR, "paused"),
    ]
    async with Store(store_url) as store:
        await put(store, state="paused", logged=entries)
        first, second = (await report_of(store, "spring")).pauses
    assert (moment(START + HOUR), moment(START + 3 * HOUR)) == (first.start, first.end)
    assert "402 from +130******23" == first.reason
    assert (moment(START + 4 * HOUR), None, None) == (second.start, second.end, second.reason)


async def test_a_report_is_json(store_url: str) -> None:
    """Times are ISO 8601, costs exact decimals, and the counts have the names that ``status`` gives them."""
    async with Store(store_url) as store:
        await put(store, [row(1, "sent", at=0, segments=3, took=5), row(2, "in_doubt", at=0)])
        report = await report_of(store, "spring", price_per_segment=0.1, currency="EUR")
    told = json.loads(json.dumps(report.to_json()))
    assert {*(state.value for state in RecipientState), "invalid", "duplicate"} == told["counts"].keys()
    assert ("0.3", "0.1", "EUR") == (
        told["segments"]["cost_sent"],
        told["segments"]["cost_in_doubt"],
        told["segments"]["currency"],
    )
    assert "2026-11-23T15:00:00+00:00" == told["first_text_at"]
    assert {"calls": 1, "p50": 5, "p95": 5, "p99": 5} == told["latency"]


# --- refused ------------------------------------------------------------------------------------------------------


async def test_a_campaign_that_is_not_there_is_named(store_url: str) -> None:
    """And the message says how to find those that are."""
    async with Store(store_url) as store:
        with pytest.raises(ConfigurationError, match="no campaign 'autumn'; see which there are"):
            await report_of(store, "autumn")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("price", [-0.01, math.nan, math.inf])
async def test_a_price_is_a_number(store_url: str, price: float) -> None:
    """What cannot be a price is refused by name."""
    async with Store(store_url) as store:
        with pytest.raises(InvalidRequestError, match="price_per_segment"):
            await report_of(store, "spring", price_per_segment=price)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("currency", ["", "a long name", "U\n"])
async def test_a_currency_is_a_short_name(store_url: str, currency: str) -> None:
    """What cannot be one is refused by name."""
    async with Store(store_url) as store:
        with pytest.raises(InvalidRequestError, match="currency"):
            await report_of(store, "spring", currency=currency)


# --- large --------------------------------------------------------------------------------------------------------


def put_many(connection: Connection, count: int) -> None:
    """Rows that the database makes by itself; numbers in no order, as they are in a list."""
    if connection.dialect.name == "sqlite":
        numbers = select(literal_column("0").label("i")).cte("numbers", recursive=True)
        numbers = numbers.union_all(select(numbers.c.i + 1).where(numbers.c.i < count - 1))
    else:
        numbers = select(func.generate_series(0, count - 1).cast(BigInteger).label("i")).cte("numbers")
    values = {
        "campaign": "1",
        "phone_number": "'+1' || CAST(2000000000 + (i * 2654435761) % 7999999993 AS VARCHAR(20))",
        "line": "i + 2",
        "segments": "1 + i % 3",
        "state": "CASE i % 50 WHEN 0 THEN 'rejected' WHEN 1 THEN 'in_doubt' WHEN 2 THEN 'suppressed' ELSE 'sent' END",
        "attempts": "1",
        "fence": "1",
        "claimed_at": f"{START} + i * 5000",
        "settled_at": f"{START} + i * 5000 + 90000",
        "took": "20000 + (i * i) % 300007",
        "cause": "CASE i % 50 WHEN 0 THEN 'http-400' WHEN 1 THEN 'read-timeout' WHEN 2 THEN 'opt-out' END",
        "text_body": "'Hi there, number ' || CAST(i AS VARCHAR(20)) || ', the shop opens at nine; there is coffee.'",
    }
    rows: Any = select(*(literal_column(value).label(name) for name, value in values.items()))
    rows = rows.select_from(numbers)
    connection.execute(insert(schema.recipients).from_select(list(values), rows))


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_million_recipients_are_counted_by_the_database(store_url: str) -> None:
    """All are counted, and what comes into Python stays small."""
    async with Store(store_url) as store:
        await put(store)
        await store.write(lambda connection: put_many(connection, 1_000_000))
        tracemalloc.start()
        report = await report_of(store, "spring")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (1_000_000, 940_000) == (report.recipients, report.counts[RecipientState.SENT])
    assert 980_000 == sum(one.texts for one in report.buckets)
    assert peak < 10_000_000
