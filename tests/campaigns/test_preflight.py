"""Preflight: what becomes of each line, and what the report says of all of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async.campaigns.ledger import Ledger
from pidj_async.campaigns.preflight import ForcingCharacter, Preflight, PreflightReport, load, rehearsal
from pidj_async.campaigns.records import AddResult, NewRecipient
from pidj_async.campaigns.settings import CampaignSettings
from pidj_async.campaigns.sources import Problem, Source, SourceLine
from pidj_async.cli.demo_play import shipped_recipients
from pidj_async.errors import InvalidRequestError, TemplateError
from pidj_async.sms import Encoding
from pidj_async.store import Store

pytestmark = pytest.mark.anyio

GROUP = "gr:desk"
MARIA = "+18885553333"
WINTER = datetime(2026, 1, 15, tzinfo=UTC)


def number(index: int) -> str:
    return f"+1303{2_000_000 + index}"


def settings_of(text: str = "Hi", **values: Any) -> CampaignSettings:
    return CampaignSettings(text=text, group_id=GROUP, **values)


def check(fields: dict[str, str], text: str = "Hi", **values: Any) -> NewRecipient | str:
    """The recipient that becomes of a line, or the reason why none does."""
    checked = Preflight(settings_of(text, **values), now=WINTER).check(SourceLine(7, fields))
    return checked.reason if isinstance(checked, Problem) else checked


async def nobody(_numbers: Sequence[str]) -> set[str]:
    return set()


async def preflight(source: Source, settings: CampaignSettings, suppressed: Any = nobody) -> PreflightReport:
    async with rehearsal() as sink:
        return await load(source, settings, sink=sink, suppressed=suppressed)


# --- one line -----------------------------------------------------------------------------------------------------


def test_a_line() -> None:
    """It becomes a recipient: number normalised, text filled in and measured, zone and contact taken over."""
    fields = {
        "phone_number": " (303) 555-0146",
        "first_name": " Maria ",
        "time_zone": " America/Boise ",
        "contact_id": "co:1",
    }

    assert NewRecipient(
        phone_number="+13035550146",
        line=7,
        segments=1,
        text_body="Hi Maria",
        time_zone="America/Boise",
        contact_id="co:1",
    ) == check(fields, "Hi {first_name}")


def test_a_text_without_merge_fields_is_kept_once() -> None:
    """It is the campaign's own, and stands in no recipient; unless its braces have to be undone."""
    assert NewRecipient(phone_number=MARIA, line=7, segments=2) == check({"phone_number": MARIA}, "a" * 161)
    assert NewRecipient(phone_number=MARIA, line=7, segments=1, text_body="{}") == check(
        {"phone_number": MARIA}, "{{}}"
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"timezone": "America/Boise"}, ("America/Boise", None)),
        ({"time_zone": "", "timezone": "America/Boise"}, ("America/Boise", None)),
        ({"id": "co:1"}, (None, "co:1")),
        ({"id": "4711"}, (None, None)),
        ({"id": "co:1", "contact_id": "co:2"}, (None, "co:2")),
        ({"contact_id": " ", "time_zone": " "}, (None, None)),
    ],
)
def test_other_names_of_columns(fields: dict[str, str], expected: tuple[str | None, str | None]) -> None:
    """Pidj's own names are known too; an id of the user's own is none of Pidj's."""
    recipient = check({"phone_number": MARIA, **fields})
    assert isinstance(recipient, NewRecipient)
    assert expected == (recipient.time_zone, recipient.contact_id)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "phone_number: is missing"),
        ({"phone_number": " "}, "phone_number: is missing"),
        ({"phone_number": "303-555-O146"}, r"phone_number: must hold one number and nothing else; got '30\*{8}46'"),
        ({"time_zone": "america/denver"}, "time_zone: must be an IANA time zone, .*did you mean America/Denver"),
        ({"time_zone": "Mars/Olympus"}, "time_zone: must be an IANA time zone, .*; got 'Mars/Olympus'"),
        ({"contact_id": "4711"}, "contact_id: must be the id of a contact, which begins with 'co:'"),
        ({"contact_id": "co:" + "1" * 78}, "contact_id: is longer than 80 characters"),
        ({"first_name": " "}, r"first_name: is blank, and the text has no default for it, as {first_name\|default}"),
        ({"first_name": "a" * 1_598}, "text: is 1,601 characters long, and Pidj cuts it off at 1,600"),
        ({"first_name": "\ud800"}, "text: contains a lone surrogate"),
        ({"first_name": "a\0b"}, "text: contains a NUL character"),
    ],
)
def test_a_line_that_nobody_can_be_texted_for(fields: dict[str, str], reason: str) -> None:
    """The reason names the column, and shows no number and no text."""
    line = {"phone_number": MARIA, "first_name": "Maria", **fields} if fields else {}
    found = check(line, "Hi {first_name}")
    assert isinstance(found, str)
    assert re.match(reason, found), found
    assert "Maria" not in found
    assert re.search(r"\d{6}", found) is None


def test_a_text_that_comes_out_blank() -> None:
    """Defaults can be empty; a text cannot."""
    assert "text: must not be blank" in str(check({"phone_number": MARIA}, "{first_name|} "))


def test_hours_that_never_come() -> None:
    """Somebody who may be in Guam or in Newfoundland has no hour in common; one whose zone is known has."""
    reason = check({"phone_number": MARIA}, hours="9:00-10:00")
    known = check({"phone_number": MARIA, "time_zone": "America/Denver"}, hours="9:00-10:00")

    assert str(reason).startswith("hours: are never open at once in all of the time zones")
    assert isinstance(known, NewRecipient)


@given(
    st.dictionaries(
        st.sampled_from(["phone_number", "first_name", "time_zone", "id", "contact_id"]), st.text(max_size=20)
    )
)
def test_any_line_is_a_recipient_or_a_problem(fields: dict[str, str]) -> None:
    """Nothing else happens, whatever stands in it."""
    found = check(fields, "Hi {first_name|there}")
    assert isinstance(found, (NewRecipient, str))


# --- a list -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        pytest.param(None, (2_000, 1_920, 37, 43), id="E.164 only"),
        pytest.param("US", (2_000, 1_933, 18, 49), id="any spelling"),
    ],
)
async def test_the_shipped_list(region: str | None, expected: tuple[int, ...]) -> None:
    """Of its 37 lines whose number is not in E.164, 19 have an American one in another spelling, 6 of those again."""
    report = await preflight(shipped_recipients(), settings_of("Hi {first_name}", region=region))
    assert expected == (report.lines, report.recipients, report.invalid, report.duplicate)
    assert report.invalid == len(report.problems)


async def test_each_line_counts_once() -> None:
    """A line is a recipient, invalid or a duplicate; who is suppressed is a recipient. Spellings do not matter."""
    people = [number(0), number(1), "n/a", f" {number(0)} ", number(1).removeprefix("+1"), number(2), "", number(0)]

    async def suppressed(numbers: Sequence[str]) -> set[str]:
        return {number(1), number(9)} & set(numbers)

    report = await preflight(people, settings_of("a" * 161), suppressed)

    assert (8, 3, 0, 2, 3, 1, 2) == (
        report.lines,
        report.recipients,
        report.known,
        report.invalid,
        report.duplicate,
        report.suppressed,
        report.texts,
    )
    assert (4, {2: 2}) == (report.segments, report.segments_per_text)
    assert [3, 7] == [problem.line for problem in report.problems]


async def test_duplicates_far_apart() -> None:
    """Pages are of 2,000 lines; somebody who stands in the first and in the last one is one recipient."""
    report = await preflight([*map(number, range(5_000)), *map(number, range(4_000, 6_000))], settings_of())
    assert (7_000, 6_000, 1_000) == (report.lines, report.recipients, report.duplicate)


async def test_what_texts_come_to() -> None:
    """Segments, encodings, the longest, and which characters are to blame, with where they are first."""
    people = [
        {"phone_number": number(0), "name": "Ann"},
        {"phone_number": number(1), "name": "Zo\u00eb\u2019s"},
        {"phone_number": number(2), "name": "\u2019" * 71},
        {"phone_number": number(3), "name": "b" * 161},
        {"phone_number": number(4)},
    ]
    report = await preflight(people, settings_of("{name}"))

    assert (6, {1: 2, 2: 2}) == (report.segments, report.segments_per_text)
    assert {Encoding.GSM_7: 2, Encoding.UCS_2: 2} == report.encodings
    assert (161, 4) == (report.longest, report.longest_line)
    assert (
        ForcingCharacter(
            character="\u2019",
            description="U+2019 RIGHT SINGLE QUOTATION MARK",
            texts=2,
            line=2,
            suggestion="'",
        ),
        ForcingCharacter(
            character="\u00eb",
            description="U+00EB LATIN SMALL LETTER E WITH DIAERESIS",
            texts=1,
            line=2,
            suggestion="e",
        ),
    ) == report.forced_by


async def test_what_it_will_cost() -> None:
    """Segments by price, exactly; texts by rate. A rate of nothing is refused."""
    report = await preflight([number(0), number(1)], settings_of("a" * 161))

    assert Decimal("0.0316") == report.estimated_cost(0.0079)
    assert Decimal("0.0316") == report.estimated_cost("0.0079")
    assert 0.5 == report.estimated_seconds(4)
    with pytest.raises(InvalidRequestError, match="rate: must be more than 0"):
        report.estimated_seconds(0)


async def test_columns() -> None:
    """What is of no use is named, and so is a merge field that nobody has a value for."""
    people = [{"phone_number": number(0), "first_name": "Jo", "birthday": "May 5", "timezone": "", "id": "1"}]
    report = await preflight(people, settings_of("Hi {first_name}{title|}"))

    assert (("birthday",), ("title",)) == (report.unused_columns, report.unknown_fields)


async def test_a_merge_field_that_is_no_column(tmp_path: Path) -> None:
    """Where the columns are known, that is found before the first line; with a default it is only told."""
    path = tmp_path / "people.csv"
    path.write_text(f"phone_number,frist_name\n{MARIA},Maria\n")

    message = r"^first_name: is in the text, and is no column; the columns are phone_number, frist_name$"
    with pytest.raises(TemplateError, match=message):
        await preflight(path, settings_of("Hi {first_name}"))
    report = await preflight(path, settings_of("Hi {first_name|there}"))
    assert (("frist_name",), ("first_name",)) == (report.unused_columns, report.unknown_fields)


async def test_an_empty_list() -> None:
    """Nobody is no error."""
    report = await preflight([], settings_of("Hi {first_name}"))
    assert (0, 0, 0, {}, None) == (
        report.lines,
        report.texts,
        report.segments,
        report.segments_per_text,
        report.longest_line,
    )


async def test_no_more_problems_than_a_thousand_are_kept() -> None:
    """All are counted."""
    report = await preflight(["n/a"] * 1_500, settings_of())
    assert (1_500, 1_000, 1_000) == (report.invalid, len(report.problems), report.problems[-1].line)


async def test_whoever_wants_all_problems_gets_them() -> None:
    """They are told as they are found, in the order of the lines, those of the source and those of preflight."""
    told: list[Problem] = []
    people: list[Any] = ["n/a", number(0), 17, "", *["n/a"] * 2_500]
    async with rehearsal() as sink:
        report = await load(people, settings_of(), sink=sink, suppressed=nobody, on_problem=told.append)

    assert (2_503, 2_503) == (report.invalid, len(told))
    assert [1, 3, 4, *range(5, 2_505)] == [problem.line for problem in told]
    assert report.problems == tuple(told[:1_000])


async def test_the_report_as_json() -> None:
    """Plain JSON values, and no number in them that could be texted."""
    people = [{"phone_number": number(0), "n": "\u2019"}, {"phone_number": number(0)}, {"phone_number": f"{MARIA} x1"}]
    report = await preflight(people, settings_of("{n|x}"))
    values = report.to_json()

    assert values == json.loads(json.dumps(values))
    assert {"lines": 3, "invalid": 1, "duplicate": 1, "texts": 1} == {
        name: values[name] for name in ("lines", "invalid", "duplicate", "texts")
    }
    assert {"1": 1} == values["segments_per_text"]
    assert {"GSM-7": 0, "UCS-2": 1} == values["encodings"]
    assert [{"line": 3, "reason": "phone_number: has an extension, which cannot be texted; got '+188*********x1'"}] == (
        values["problems"]
    )
    for shown in (json.dumps(values), repr(report)):
        assert re.search(r"\d{7}", shown) is None


# --- with a ledger ------------------------------------------------------------------------------------------------


@pytest.fixture
async def ledger(store_url: str) -> AsyncIterator[Ledger]:
    """A ledger in an empty store."""
    async with Store(store_url) as store:
        yield Ledger(store)


async def test_a_dry_run_says_what_the_ledger_will(ledger: Ledger) -> None:
    """The same list, once for nothing and once for good: the reports are equal."""
    settings = settings_of("Hi {name|there}")
    people = [*map(number, range(2_500)), number(7), "n/a", number(2_400)]
    record = await ledger.create("spring", settings.to_json(), who="test")

    dry = await preflight(people, settings)
    wet = await load(people, settings, sink=lambda page: ledger.add(record.number, page), suppressed=nobody)
    again = await load(people, settings, sink=lambda page: ledger.add(record.number, page), suppressed=nobody)

    assert dry == wet
    assert (2_500, 0, 2_500, 2_500, 2) == (wet.recipients, wet.known, again.recipients, again.known, again.duplicate)
    assert 2_500 == (await ledger.status(record.number)).recipients


async def test_settings_survive_the_ledger(ledger: Ledger) -> None:
    """What a campaign was made with is what whoever resumes it gets."""
    settings = settings_of("Hi {name}", ends_at=datetime(2027, 1, 1, tzinfo=UTC), rate=5)
    await ledger.create("spring", settings.to_json(), who="test")
    found = await ledger.find("spring")

    assert found is not None
    assert settings == CampaignSettings.from_json(found.settings)


# --- when something breaks ----------------------------------------------------------------------------------------


async def test_a_source_that_breaks() -> None:
    """Its error comes through; the pages before it had been handed on."""
    pages: list[int] = []

    async def sink(page: Sequence[NewRecipient]) -> AddResult:
        pages.append(len(page))
        return AddResult(added=len(page), known=0, duplicates=())

    def people() -> Iterator[str]:
        yield from map(number, range(3_000))
        msg = "the disk is gone"
        raise OSError(msg)

    with pytest.raises(OSError, match="the disk is gone"):
        await load(people(), settings_of(), sink=sink, suppressed=nobody)
    assert [2_000] == pages


async def test_a_sink_that_breaks(tmp_path: Path) -> None:
    """Its error comes through, and the source is closed: an open file would be a warning, and so an error here."""
    path = tmp_path / "people.csv"
    path.write_text("phone_number\n" + "\n".join(map(number, range(5_000))))

    async def sink(_page: Sequence[NewRecipient]) -> AddResult:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await load(path, settings_of(), sink=sink, suppressed=nobody)


# --- a million ----------------------------------------------------------------------------------------------------

PROGRAM = """
import resource, sys
import anyio
from pidj_async.campaigns.preflight import load, rehearsal
from pidj_async.campaigns.settings import CampaignSettings

async def nobody(numbers):
    return set()

async def preflight(path):
    settings = CampaignSettings(text="Hi {first_name}, we are open again.", group_id="gr:desk")
    async with rehearsal() as sink:
        return await load(path, settings, sink=sink, suppressed=nobody)

report = anyio.run(preflight, sys.argv[1])
print(report.recipients, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_of(count: int, folder: Path) -> int:
    """How many KiB a process of its own takes at most that checks so many lines."""
    path = folder / f"{count}.csv"
    with path.open("w") as lines:
        lines.write("phone_number,first_name\n")
        lines.writelines(f"{number(index)},Name{index}\n" for index in range(count))
    shown = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True)
    recipients, peak = map(int, shown.stdout.split())
    assert count == recipients
    return peak


@pytest.mark.parametrize("count", [200_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_memory_does_not_grow_with_the_list(count: int, tmp_path: Path) -> None:
    """So many lines take no more than 4 MB more than 10,000 do: a page, and tables of fixed size."""
    assert peak_of(count, tmp_path) - peak_of(10_000, tmp_path) < 4_096
