"""Where recipients come from: CSV, JSON Lines, anything iterable, Pidj's own contacts.

Whatever it is, it is read a page at a time, and becomes numbered lines of named text. The rules:

1. ``phone_number`` is the one name that there must be. `pidj_async.campaigns.preflight` says which others it knows; all
   can be merge fields.
2. A line that cannot be read is a `Problem` with its number and the reason, and the others go on. Only what makes every
   line doubtful ends the reading: no heading, not UTF-8, a quotation mark that is never closed.
3. A line is known by the number it has in the file, from 1, the heading included; of a CSV record that goes over
   several lines, by the first. Elements of an iterable are counted from 1.
4. Empty lines, and records in which every column is empty, are no lines.

Pidj says of a contact which tags it has, and not in which groups it is. So contacts can be chosen by tag alone.
"""

from __future__ import annotations

import codecs
import csv
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from itertools import chain, islice
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias, cast

import anyio.lowlevel
import anyio.to_thread
import attrs

from pidj_async._masking import shorten_names
from pidj_async.errors import InvalidRequestError
from pidj_async.transports import StreamingTransport

if TYPE_CHECKING:
    from pidj_async.client import Pidj
    from pidj_async.models import Contact

__all__ = [
    "Problem",
    "Reader",
    "Source",
    "SourceLine",
    "contacts_of",
    "from_contacts",
    "from_csv",
    "from_iterable",
    "from_json_lines",
    "open_source",
]

NUMBER_COLUMN: Final = "phone_number"
_DELIMITERS: Final = ",;\t|"
_LONGEST: Final = 1 << 20
_JSON_SUFFIXES: Final = frozenset({".jsonl", ".ndjson", ".json"})
_CSV_SUFFIXES: Final = frozenset({".csv", ".tsv"})


def _names(fields: Mapping[str, str]) -> str:
    return f"<{shorten_names(fields)}>"


@attrs.frozen
class SourceLine:
    """A line of a source.

    Attributes:
        line: Its number, from 1.
        fields: Its values by the names of their columns, as they stand there.
    """

    line: int
    fields: Mapping[str, str] = attrs.field(repr=_names)


@attrs.frozen
class Problem:
    """A line of a source that nobody can be texted for.

    Attributes:
        line: Its number, from 1.
        reason: What is wrong with it. Numbers are masked.
    """

    line: int
    reason: str


Line: TypeAlias = SourceLine | Problem


class Reader(ABC):
    """A source, to be read once. Made by the functions of this module."""

    #: The names of the columns, if they are the same for all lines. Known once it is open.
    columns: tuple[str, ...] | None = None

    async def open(self) -> None:
        """Begin to read.

        Raises:
            InvalidRequestError: It cannot be read.
        """
        await anyio.lowlevel.checkpoint()

    @abstractmethod
    def pages(self, size: int) -> AsyncGenerator[list[Line]]:
        """Read on.

        Args:
            size: How many lines a page has, but for the last.

        Yields:
            A page after the other.

        Raises:
            InvalidRequestError: It cannot be read any further.
        """

    async def aclose(self) -> None:
        """Let go of the source."""
        await anyio.lowlevel.checkpoint()


File: TypeAlias = str | PathLike[str] | IO[str] | IO[bytes]
Items: TypeAlias = Iterable[Mapping[str, Any] | str] | AsyncIterable[Mapping[str, Any] | str]
Source: TypeAlias = Reader | File | Items
"""What recipients can be read from; `open_source` makes a `Reader` of any of it."""


def open_source(source: Source) -> Reader:
    """Make a reader of whatever recipients are in.

    Args:
        source: What the other functions here return; or the path of a file, CSV or JSON Lines by its suffix (any other
            is looked into), ``"-"`` for standard input; or an open file; or what `from_iterable` takes.

    Raises:
        InvalidRequestError: It is nothing of that.
    """
    if isinstance(source, Reader):
        return source
    if isinstance(source, (str, PathLike)):
        suffix = os.path.splitext(source)[1].lower()  # noqa: PTH122  "-" is no path
        if suffix in _JSON_SUFFIXES:
            return from_json_lines(source)
        return from_csv(source) if suffix in _CSV_SUFFIXES else _FileReader(source, _read_either)
    if hasattr(source, "readline"):  # a file is an iterable too, of lines
        return _FileReader(cast("IO[bytes]", source), _read_either)
    return from_iterable(source)  # pyright: ignore[reportArgumentType]  it sees no end of the files above


# --- files ------------------------------------------------------------------------------------------------------------


def from_csv(file: File) -> Reader:
    """Read a CSV with a heading: the names of the columns, ``phone_number`` among them.

    Commas, semicolons, tabs or vertical bars separate the columns: whichever makes ``phone_number`` one of them. A byte
    order mark is passed over. A line with fewer or more columns than the heading is a problem.

    Args:
        file: A path, ``"-"`` for standard input, or a file that is opened for reading (text: with ``newline=""``),
            which is left open. UTF-8.
    """
    return _FileReader(file, _read_csv)


def from_json_lines(file: File) -> Reader:
    """Read JSON Lines: one object a line, with ``phone_number``, of texts, numbers, ``true``, ``false`` and ``null``.

    Args:
        file: See `from_csv`.
    """
    return _FileReader(file, _read_json_lines)


Parse: TypeAlias = Callable[[Iterator[str]], tuple[tuple[str, ...] | None, Iterator[Line]]]


class _FileReader(Reader):
    """Reads a file in worker threads, so that a slow disk or pipe stops nobody."""

    def __init__(self, file: File, parse: Parse) -> None:
        self._file = file
        self._parse = parse
        self._opened: IO[bytes] | None = None
        self._lines: Iterator[Line] = iter(())

    async def open(self) -> None:
        await anyio.to_thread.run_sync(self._open)

    def _open(self) -> None:
        file: Any = self._file
        if file == "-":
            file = sys.stdin.buffer
        elif isinstance(file, (str, PathLike)):
            try:
                file = self._opened = open(file, "rb")  # noqa: PTH123, SIM115  closed by `aclose`
            except OSError as error:
                name = repr(os.fspath(self._file))  # type: ignore[arg-type]
                raise InvalidRequestError("source", f"{name} cannot be read: {error.strerror}") from error
        try:
            self.columns, self._lines = self._parse(_decoded(file))
        except BaseException:  # whoever cannot open a source has nothing to close
            self._close()
            raise

    async def pages(self, size: int) -> AsyncGenerator[list[Line]]:
        while page := await anyio.to_thread.run_sync(lambda: list(islice(self._lines, size))):
            yield page

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    async def aclose(self) -> None:
        self._close()
        await anyio.lowlevel.checkpoint()


def _decoded(file: IO[str] | IO[bytes]) -> Iterator[str]:
    """The lines of a file, as text. None is longer than a megabyte, or what is no text would be read whole."""
    number = 0
    while line := file.readline(_LONGEST + 1):
        number += 1
        if len(line) > _LONGEST:
            raise InvalidRequestError(
                "source", f"line {number} is longer than {_LONGEST:,} characters; is this a text?"
            )
        if isinstance(line, bytes):
            if number == 1:
                if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise InvalidRequestError("source", "is in UTF-16; save it as UTF-8 (in Excel: CSV UTF-8)")
                line = line.removeprefix(codecs.BOM_UTF8)
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                found = f"line {number} is not UTF-8 (byte {error.start + 1} of it is 0x{line[error.start]:02x})"
                raise InvalidRequestError("source", f"{found}; save the file as UTF-8") from None
        else:
            yield line.removeprefix("\ufeff") if number == 1 else line


def _read_either(lines: Iterator[str]) -> tuple[tuple[str, ...] | None, Iterator[Line]]:
    """JSON Lines begin with a brace, which no sensible heading does."""
    skipped: list[str] = []
    for line in lines:
        skipped.append(line)
        if line.strip():
            parse = _read_json_lines if line.lstrip().startswith(("{", "[")) else _read_csv
            return parse(chain(skipped, lines))
    return _read_csv(iter(skipped))


def _read_csv(lines: Iterator[str]) -> tuple[tuple[str, ...] | None, Iterator[Line]]:
    skipped: list[str] = []
    for line in lines:
        skipped.append(line)
        if line.strip():
            break
    delimiter = _delimiter_of(skipped[-1] if skipped else "")
    reader = csv.reader(chain(skipped, lines), delimiter=delimiter, strict=True)
    heading = next((row for _, row in _records(reader) if "".join(row).strip()), None)
    if heading is None:
        raise InvalidRequestError("source", "is empty")
    if isinstance(heading, str):
        raise InvalidRequestError("source", f"the heading (line {reader.line_num}) cannot be read: {heading}")
    columns = _checked_heading([name.strip() for name in heading], reader.line_num)
    return tuple(filter(None, columns)), _rows(reader, columns)


def _delimiter_of(line: str) -> str:
    for delimiter in _DELIMITERS:
        try:
            columns = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:
            continue
        if NUMBER_COLUMN in map(str.strip, columns):
            return delimiter
    return max(_DELIMITERS, key=line.count)  # for the message


def _checked_heading(columns: list[str], line: int) -> list[str]:
    where = f"the heading (line {line})"
    if NUMBER_COLUMN not in columns:
        problem = f"{where} must name a column {NUMBER_COLUMN}; it names {shorten_names(columns)}"
        close = next((name for name in columns if any(word in name.lower() for word in _LIKE_A_NUMBER)), None)
        if close is not None:
            problem += f". Is it {shorten_names([close])}? Rename it"
        raise InvalidRequestError("source", problem)
    if twice := {name for name in columns if name and columns.count(name) > 1}:
        raise InvalidRequestError("source", f"{where} names a column twice: {shorten_names(sorted(twice))}")
    return columns


_LIKE_A_NUMBER: Final = ("phone", "mobile", "cell", "number", "tel")


def _records(reader: Any) -> Iterator[tuple[int, list[str] | str]]:
    """Each record with the line it begins in: its columns, or what is wrong with it."""
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = str(error)
            # Whatever stood behind it would be lost without a word.
            if "unexpected end" in reason or "field larger" in reason:
                problem = f"a quotation mark opens in line {line} and is not closed"
                raise InvalidRequestError("source", problem) from None
            yield line, reason


def _rows(reader: Any, columns: list[str]) -> Iterator[Line]:
    width = len(columns)
    named = all(columns)
    for line, row in _records(reader):
        if isinstance(row, str):
            yield Problem(line, f"it is not CSV: {row}")
            continue
        if not "".join(row).strip():
            continue
        if len(row) != width:
            if len(row) < width or "".join(row[width:]).strip():
                span = "" if reader.line_num <= line else f", and goes on to line {reader.line_num}"
                yield Problem(line, f"it has {_count(len(row))}, the heading has {width}{span}")
                continue
            del row[width:]
        fields = dict(zip(columns, row, strict=True))
        if not named:
            fields.pop("", None)
        yield SourceLine(line, fields)


def _count(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"


def _read_json_lines(lines: Iterator[str]) -> tuple[tuple[str, ...] | None, Iterator[Line]]:
    return None, _objects(lines)


def _objects(lines: Iterator[str]) -> Iterator[Line]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            # Numbers stay as they are written: a phone number is no quantity.
            value = json.loads(
                line, object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=_no_constant
            )
        except json.JSONDecodeError as error:
            yield Problem(number, f"it is not JSON: {error.msg} (column {error.colno})")
            continue
        except (ValueError, RecursionError) as error:
            yield Problem(number, f"it is not JSON: {error}")
            continue
        if not isinstance(value, tuple):
            if number == 1 and line.lstrip().startswith("["):
                raise InvalidRequestError("source", "is a JSON array; write one object a line, without commas between")
            yield Problem(number, "it is no JSON object")
            continue
        fields = dict(value)
        if len(fields) != len(value):
            yield Problem(number, "it has a name twice")
            continue
        yield _line_of(number, fields)


def _no_constant(name: str) -> str:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


# --- iterables --------------------------------------------------------------------------------------------------------


def from_iterable(items: Items) -> Reader:
    """Read from anything that can be iterated, also asynchronously. It is gone through once, on the event loop.

    Args:
        items: Mappings with ``phone_number``, of texts, numbers, ``True``, ``False`` and ``None``; or phone numbers.

    Raises:
        InvalidRequestError: It is nothing that can be iterated, or one mapping, or bytes.
    """
    if isinstance(items, (bytes, Mapping)) or not isinstance(items, (Iterable, AsyncIterable)):
        problem = "must be a path, or an iterable of mappings or numbers"
        raise InvalidRequestError("source", problem, value=f"<{type(items).__name__}>")
    return _IterableReader(items)


class _IterableReader(Reader):
    """Numbers what it iterates over."""

    def __init__(self, items: Items) -> None:
        self._items = items

    async def pages(self, size: int) -> AsyncGenerator[list[Line]]:
        page: list[Line] = []
        number = 0
        async with aclosing(_each(self._items)) as items:
            async for item in items:
                number += 1
                page.append(_line_of(number, item))
                if len(page) == size:
                    yield page
                    page = []
                    await anyio.lowlevel.checkpoint()
        if page:
            yield page


async def _each(items: Items) -> AsyncGenerator[Any]:
    if isinstance(items, AsyncIterable):
        iterator = aiter(items)
        try:
            async for item in iterator:
                yield item
        finally:
            if isinstance(iterator, AsyncGenerator):  # whoever leaves early closes it, or trio complains
                await iterator.aclose()
    else:
        for item in items:
            yield item


def _line_of(number: int, item: Any) -> Line:
    if isinstance(item, str):
        return SourceLine(number, {NUMBER_COLUMN: item})
    if not isinstance(item, Mapping):
        return Problem(number, f"it is neither a mapping nor a number, but a {type(item).__name__}")
    fields: dict[str, str] = {}
    for name, value in item.items():
        if isinstance(value, str):
            fields[str(name)] = value
        elif value is None:
            fields[str(name)] = ""
        elif isinstance(value, bool):
            fields[str(name)] = "true" if value else "false"
        elif isinstance(value, (int, float)):
            fields[str(name)] = str(value)
        else:
            what = _JSON_NAMES.get(type(value), f"a {type(value).__name__}")
            return Problem(number, f"{shorten_names([str(name)])} must be a text or a number, and is {what}")
    return SourceLine(number, fields)


_JSON_NAMES: Final[Mapping[type, str]] = {list: "a list", tuple: "an object", dict: "a mapping"}


# --- contacts ---------------------------------------------------------------------------------------------------------


def from_contacts(client: Pidj, *, tag: str | None = None) -> Reader:
    """Read the account's contacts.

    Their names in Pidj are their merge fields: ``first_name``, ``last_name``, ``business_name``, ``display_name``,
    ``email_address``, ``external_id``. Their time zone and their id are taken over too. A contact without a phone
    number is a problem; the lines are the contacts that have the tag, counted from 1.

    Args:
        client: Asks Pidj.
        tag: Only those that have this tag, exactly. Pidj does not say in which groups a contact is, so there is no
            choosing by group.
    """
    return _IterableReader(_contact_lines(client, tag))


async def contacts_of(client: Pidj) -> AsyncGenerator[Contact]:
    """Go through all contacts of the account, while they arrive if the client's transport can do that."""
    if not isinstance(client.transport, StreamingTransport):
        for contact in await client.contacts.list():
            yield contact
        return
    async with client.contacts.stream() as contacts:
        async for contact in contacts:
            yield contact


async def _contact_lines(client: Pidj, tag: str | None) -> AsyncIterator[Mapping[str, Any]]:
    async with aclosing(contacts_of(client)) as contacts:
        async for contact in contacts:
            if tag is None or tag in contact.tags:
                fields = {name: getattr(contact, name) for name in _CONTACT_FIELDS}
                yield {**fields, "contact_id": contact.id, "time_zone": contact.timezone}


_CONTACT_FIELDS: Final = (
    NUMBER_COLUMN,
    "first_name",
    "last_name",
    "business_name",
    "display_name",
    "email_address",
    "external_id",
)
