"""Preflight: what is wrong with a list of recipients, and what it will cost, before anything is sent.

Each line becomes a recipient or a `Problem`, by these rules:

1. ``phone_number`` must be a valid number; it is made E.164 (`pidj_async.campaigns.numbers`).
2. ``time_zone`` (or ``timezone``) is the recipient's own IANA zone, if there is one.
3. ``contact_id``, or ``id`` if it begins with ``co:``, is their contact in Pidj, if there is one.
4. All columns are merge fields. The text must come out as one that Pidj takes whole.
5. The hours must be open at some time, in all time zones that the recipient may be in.

A number that stands in several lines is texted for the first of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import anyio
import anyio.to_thread
import attrs

from pidj_async._fields import IdKind, TimeZoneKind
from pidj_async._masking import shorten_names
from pidj_async.campaigns.numbers import normalize, zones_of
from pidj_async.campaigns.records import AddResult, NewRecipient
from pidj_async.campaigns.settings import CampaignSettings, check_text
from pidj_async.campaigns.sources import Line, Problem, Source, SourceLine, open_source
from pidj_async.campaigns.template import Template
from pidj_async.errors import InvalidRequestError, TemplateError
from pidj_async.sms import Encoding, Segmentation, analyze, describe_character, forcing_characters, suggest_replacement

__all__ = ["ForcingCharacter", "Preflight", "PreflightReport", "Sink", "load", "rehearsal"]

KNOWN_COLUMNS: Final = frozenset({"phone_number", "time_zone", "timezone", "contact_id"})
_PAGE: Final = 2_000
_MOST_PROBLEMS: Final = 1_000
_MOST_CHARACTERS: Final = 1_000
_MOST_COLUMNS: Final = 1_000
_LONGEST_ID: Final = 80
_CONTACT: Final = IdKind("co:", "contact")
_TIME_ZONE: Final = TimeZoneKind()

Sink: TypeAlias = Callable[[Sequence[NewRecipient]], Awaitable[AddResult]]
"""Takes a page of recipients, and says which of them are new."""


class Preflight:
    """Checks lines, one by one. Pure: nothing is looked up but by name.

    Args:
        settings: The campaign's.
        now: From when on its hours must open some time. This moment, if left out.
    """

    def __init__(self, settings: CampaignSettings, *, now: datetime | None = None) -> None:
        self._settings = settings
        self._template = Template(settings.text)
        self._now = now or datetime.now(UTC)
        self._zones: dict[tuple[str, ...], str | None] = {}
        self._same = None if self._template.has_fields else analyze(self._template.render({}))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Make sure that the text's merge fields are among the columns of a source.

        Raises:
            TemplateError: One that has no default is not.
        """
        for name in self._template.required:
            if name not in columns:
                problem = f"is in the text, and is no column; the columns are {shorten_names(columns)}"
                raise TemplateError(name, problem)

    def unknown(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Merge fields that are no column, so that everybody gets their default."""
        return tuple(name for name in self._template.fields if name not in columns)

    def is_used(self, column: str) -> bool:
        """Whether a column has any meaning for this campaign."""
        return column in KNOWN_COLUMNS or column in self._template.fields or column == "id"

    def check(self, line: SourceLine) -> NewRecipient | Problem:
        """Make a recipient of a line, or say what is wrong with it."""
        checked = self.examine(line)
        return checked if isinstance(checked, Problem) else checked[0]

    def examine(self, line: SourceLine) -> tuple[NewRecipient, str, Segmentation] | Problem:
        """As `check`, with the text and what it comes to."""
        fields = line.fields
        try:
            number = normalize(fields.get("phone_number", ""), self._settings.region)
            time_zone = self._time_zone(fields)
            if problem := self._problem_of_hours((time_zone,) if time_zone else zones_of(number)):
                return Problem(line.line, problem)
            contact_id = _contact_id(fields)
            text = self._template.render(fields)
            sizes = self._same
            if sizes is None:
                sizes = analyze(check_text(text))
        except InvalidRequestError as error:
            return Problem(line.line, str(error))
        recipient = NewRecipient(
            phone_number=number,
            line=line.line,
            segments=sizes.segments,
            text_body=None if text == self._settings.text else text,
            time_zone=time_zone,
            contact_id=contact_id,
        )
        return recipient, text, sizes

    def _time_zone(self, fields: Mapping[str, str]) -> str | None:
        value = (fields.get("time_zone") or fields.get("timezone") or "").strip()
        return _TIME_ZONE.check("time_zone", value) if value else None

    def _problem_of_hours(self, zones: tuple[str, ...]) -> str | None:
        if zones not in self._zones:
            try:
                self._settings.hours.opening(self._now, zones)
            except InvalidRequestError as error:
                self._zones[zones] = str(error)
            else:
                self._zones[zones] = None
        return self._zones[zones]


def _contact_id(fields: Mapping[str, str]) -> str | None:
    value = fields.get("contact_id", "").strip()
    if not value:
        value = fields.get("id", "").strip()
        if not value.startswith("co:"):  # somebody's own ids are called so too
            return None
    if len(value) > _LONGEST_ID:
        raise InvalidRequestError("contact_id", f"is longer than {_LONGEST_ID} characters")
    checked: str = _CONTACT.check("contact_id", value)
    return checked


# --- the report -------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ForcingCharacter:
    """A character that makes texts UCS-2, and so more than twice as expensive.

    Attributes:
        character: It.
        description: Its code point and name.
        texts: In how many texts it is.
        line: The first line that has it.
        suggestion: What to write instead, ``""`` to leave it out; ``None`` if nothing comes close.
    """

    character: str
    description: str
    texts: int
    line: int
    suggestion: str | None


@attrs.frozen(kw_only=True)
class PreflightReport:
    """What a source holds. Each of its lines is a recipient, invalid, or a duplicate.

    Attributes:
        lines: How many there are, the heading left out.
        recipients: People to text, each number once.
        known: Those of them that had been added before.
        invalid: Lines that nobody can be texted for.
        duplicate: Lines whose number stands in another one.
        suppressed: Recipients who want no texts now. They are recipients, and will not be texted unless they opt in.
        problems: What is wrong with the invalid lines, the first 1,000 of them.
        segments: How many segments the texts take, to all recipients who are not suppressed.
        segments_per_text: How many of these texts take one segment, two, and so on.
        encodings: How many of them are GSM-7, and how many UCS-2.
        forced_by: The characters that make texts UCS-2, the most frequent first.
        longest: The longest text's length in characters.
        longest_line: The line it is for; ``None`` if there is none.
        unused_columns: Columns that neither the text nor this package has any use for.
        unknown_fields: Merge fields that no line has, so that everybody gets their default.
    """

    lines: int
    recipients: int
    known: int
    invalid: int
    duplicate: int
    suppressed: int
    problems: tuple[Problem, ...]
    segments: int
    segments_per_text: Mapping[int, int]
    encodings: Mapping[Encoding, int]
    forced_by: tuple[ForcingCharacter, ...]
    longest: int
    longest_line: int | None
    unused_columns: tuple[str, ...]
    unknown_fields: tuple[str, ...]

    @property
    def texts(self) -> int:
        """How many texts there are to send: to all recipients who are not suppressed."""
        return self.recipients - self.suppressed

    def estimated_cost(self, price_per_segment: Decimal | float | str) -> Decimal:
        """Say what the texts will cost.

        Args:
            price_per_segment: In any currency. Carriers count segments; Pidj's document does not say what it counts.
        """
        return Decimal(str(price_per_segment)) * self.segments

    def estimated_seconds(self, rate: float) -> float:
        """Say how long sending will take, if nobody's hours are closed.

        Args:
            rate: Texts a second: the campaign's own, or what was measured.

        Raises:
            InvalidRequestError: It is not more than 0.
        """
        if rate <= 0:
            raise InvalidRequestError("rate", "must be more than 0 texts a second", value=repr(rate))
        return self.texts / rate

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values. Numbers in it are masked."""
        values = attrs.asdict(self)
        values["texts"] = self.texts
        values["segments_per_text"] = {str(count): texts for count, texts in self.segments_per_text.items()}
        values["encodings"] = {str(encoding): texts for encoding, texts in self.encodings.items()}
        copied: dict[str, Any] = json.loads(json.dumps(values))  # tuples become lists
        return copied


class _Count:
    """Counts what a report says, in bounded memory."""

    def __init__(self, preflight: Preflight) -> None:
        self._preflight = preflight
        self._invalid = self._known = self._added = self._duplicate = self._suppressed = 0
        self._problems: list[Problem] = []
        self._segments: Counter[int] = Counter()
        self._encodings: Counter[Encoding] = Counter(dict.fromkeys(Encoding, 0))
        self._characters: Counter[str] = Counter()
        self._first_lines: dict[str, int] = {}
        self._longest, self._longest_line = 0, None
        self._columns: dict[str, None] = {}
        self.has_columns = False

    _longest_line: int | None

    def problem(self, problem: Problem) -> None:
        self._invalid += 1
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(problem)

    def columns(self, names: Sequence[str] | Mapping[str, str]) -> None:
        if len(self._columns) < _MOST_COLUMNS:
            self._columns.update(dict.fromkeys(names))

    def added(self, result: AddResult, suppressed: int) -> None:
        self._added += result.added
        self._known += result.known
        self._duplicate += len(result.duplicates)
        self._suppressed += suppressed

    def text(self, line: int, text: str, sizes: Segmentation) -> None:
        self._segments[sizes.segments] += 1
        self._encodings[sizes.encoding] += 1
        if sizes.characters > self._longest:
            self._longest, self._longest_line = sizes.characters, line
        if sizes.encoding is Encoding.UCS_2:
            for _, character in forcing_characters(text):
                if character in self._first_lines or len(self._first_lines) < _MOST_CHARACTERS:
                    self._first_lines.setdefault(character, line)
                    self._characters[character] += 1

    def report(self) -> PreflightReport:
        recipients = self._added + self._known
        return PreflightReport(
            lines=recipients + self._invalid + self._duplicate,
            recipients=recipients,
            known=self._known,
            invalid=self._invalid,
            duplicate=self._duplicate,
            suppressed=self._suppressed,
            problems=tuple(self._problems),
            segments=sum(count * texts for count, texts in self._segments.items()),
            segments_per_text=dict(sorted(self._segments.items())),
            encodings=dict(self._encodings),
            forced_by=tuple(
                ForcingCharacter(
                    character=character,
                    description=describe_character(character),
                    texts=texts,
                    line=self._first_lines[character],
                    suggestion=suggest_replacement(character),
                )
                for character, texts in self._characters.most_common()
            ),
            longest=self._longest,
            longest_line=self._longest_line,
            unused_columns=tuple(name for name in self._columns if not self._preflight.is_used(name)),
            unknown_fields=self._preflight.unknown(tuple(self._columns)),
        )


# --- loading ----------------------------------------------------------------------------------------------------------


async def load(
    source: Source,
    settings: CampaignSettings,
    *,
    sink: Sink,
    suppressed: Callable[[Sequence[str]], Awaitable[set[str]]],
    on_problem: Callable[[Problem], object] | None = None,
) -> PreflightReport:
    """Check a source, hand its recipients on, and report. Of a million lines no more than a page is in memory.

    Args:
        source: See `pidj_async.campaigns.sources.open_source`.
        settings: The campaign's.
        sink: Takes pages of at most 2,000 recipients: a ledger's `add`, or a `rehearsal`.
        suppressed: Says which of some numbers want no texts.
        on_problem: Called for each line that nobody can be texted for. The report has the first 1,000 only.

    Returns:
        What was found.

    Raises:
        InvalidRequestError: The source cannot be read.
        TemplateError: The text has a merge field that is no column of the source.
    """
    reader = open_source(source)
    preflight = Preflight(settings)
    count = _Count(preflight)
    try:
        await reader.open()
        if reader.columns is not None:
            preflight.check_columns(reader.columns)
            count.columns(reader.columns)
        count.has_columns = reader.columns is not None
        async with aclosing(reader.pages(_PAGE)) as pages:
            async for page in pages:
                # In a thread, so that whoever else is on this event loop is not kept waiting.
                examined, problems = await anyio.to_thread.run_sync(_examine, preflight, count, page)
                for problem in problems:
                    count.problem(problem)
                    if on_problem is not None:
                        on_problem(problem)
                await _add(count, examined, sink, suppressed)
    finally:
        with anyio.CancelScope(shield=True):
            await reader.aclose()
    return count.report()


_Examined: TypeAlias = list[tuple[NewRecipient, str, Segmentation]]


def _examine(preflight: Preflight, count: _Count, page: Sequence[Line]) -> tuple[_Examined, list[Problem]]:
    examined: _Examined = []
    problems: list[Problem] = []
    for line in page:
        if isinstance(line, Problem):
            problems.append(line)
            continue
        if not count.has_columns:
            count.columns(line.fields)
        checked = preflight.examine(line)
        if isinstance(checked, Problem):
            problems.append(checked)
        else:
            examined.append(checked)
    return examined, problems


async def _add(
    count: _Count, examined: _Examined, sink: Sink, suppressed: Callable[[Sequence[str]], Awaitable[set[str]]]
) -> None:
    if not examined:
        return
    result = await sink([recipient for recipient, _, _ in examined])
    duplicates = set(result.duplicates)
    kept = [each for each in examined if each[0].line not in duplicates]
    unwanted = await suppressed([recipient.phone_number for recipient, _, _ in kept]) if kept else set()
    count.added(result, len(unwanted))
    for recipient, text, sizes in kept:
        if recipient.phone_number not in unwanted:
            count.text(recipient.line, text, sizes)


@asynccontextmanager
async def rehearsal() -> AsyncGenerator[Sink]:
    """A sink that keeps nothing, for a dry run: it only knows which numbers there were.

    ::

        async with rehearsal() as sink:
            report = await load("people.csv", settings, sink=sink, suppressed=...)

    They are in a temporary file of SQLite's, so that a million of them take no memory.
    """
    database = sqlite3.connect("", check_same_thread=False)  # "": a file that has no name and goes away by itself
    try:
        database.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY) WITHOUT ROWID")

        def add(page: Sequence[NewRecipient]) -> AddResult:
            first: dict[int, int] = {}
            duplicates = [
                recipient.line
                for recipient in page
                if first.setdefault(int(recipient.phone_number[1:]), recipient.line) != recipient.line
            ]
            numbers = json.dumps(list(first))
            seen = database.execute(_SEEN, (numbers,)).fetchall()
            database.execute("INSERT OR IGNORE INTO numbers SELECT value FROM json_each(?)", (numbers,))
            duplicates += [first[number] for (number,) in seen]
            return AddResult(added=len(page) - len(duplicates), known=0, duplicates=tuple(sorted(duplicates)))

        async def sink(page: Sequence[NewRecipient]) -> AddResult:
            return await anyio.to_thread.run_sync(add, page)

        yield sink
    finally:
        database.close()


_SEEN: Final = "SELECT number FROM numbers WHERE number IN (SELECT value FROM json_each(?))"
