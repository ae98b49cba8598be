"""Where recipients come from: what becomes a line, what becomes a problem, and what ends the reading."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async import Pidj, Sandbox
from pidj_async.campaigns.sources import (
    Problem,
    Reader,
    Source,
    SourceLine,
    from_contacts,
    from_csv,
    from_iterable,
    from_json_lines,
    open_source,
)
from pidj_async.errors import InvalidRequestError
from pidj_async.sansio import WireRequest, WireResponse
from pidj_async.transports import Progress

pytestmark = pytest.mark.anyio

MARIA = "+18885553333"
JO = "+18885554444"


async def lines_of(source: Source, size: int = 2) -> list[SourceLine | Problem]:
    reader = open_source(source)
    await reader.open()
    try:
        return [line async for page in reader.pages(size) for line in page]
    finally:
        await reader.aclose()


async def read(source: Source) -> list[tuple[int, Any]]:
    """Each line's number, with its fields or its problem."""
    found = await lines_of(source)
    return [(one.line, one.reason if isinstance(one, Problem) else dict(one.fields)) for one in found]


def file(text: str | bytes) -> io.BytesIO:
    return io.BytesIO(text.encode() if isinstance(text, str) else text)


# --- CSV ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_separators(delimiter: str) -> None:
    """Whichever makes phone_number a column is the one; the others may stand in values and names."""
    others = "".join(one for one in ",;\t|" if one != delimiter)
    text = f'first name;,\t|phone_number{delimiter}"a{others}b"\n'.replace(";,\t|", delimiter)
    text += f'Maria{delimiter}{MARIA}{delimiter}"x{others}"\n'

    assert [(2, {"first name": "Maria", "phone_number": MARIA, f"a{others}b": f"x{others}"})] == await read(
        from_csv(file(text))
    )


async def test_one_column() -> None:
    """Numbers alone, one a line, and nothing to separate."""
    reader = from_csv(file(f"phone_number\n{MARIA}\n{JO}"))
    assert [(2, {"phone_number": MARIA}), (3, {"phone_number": JO})] == await read(reader)
    assert ("phone_number",) == reader.columns


@pytest.mark.parametrize("text", ["\ufeffphone_number,name\n{},é\n", "phone_number , name\r\n{},é\r\n"])
async def test_what_spreadsheets_do(text: str) -> None:
    """A byte order mark, white space in the heading, CR LF."""
    content = text.format(MARIA)
    expected = [(2, {"phone_number": MARIA, "name": "é"})]

    assert expected == await read(from_csv(file(content)))
    assert expected == await read(from_csv(io.StringIO(content, newline="")))


async def test_lines_have_the_numbers_that_an_editor_shows() -> None:
    """Values over several lines, empty lines, and blank records do not shift them; a record has its first line's."""
    text = f'\nphone_number,name\n{MARIA},"Ma\nri\na"\n\n, \n{JO},Jo\n'

    assert [
        (3, {"phone_number": MARIA, "name": "Ma\nri\na"}),
        (8, {"phone_number": JO, "name": "Jo"}),
    ] == await read(from_csv(file(text)))


async def test_lines_that_do_not_fit_the_heading() -> None:
    """Too few and too many columns are problems of their line; columns without a name or a value are passed over."""
    text = f"phone_number,name,\n{MARIA}\n{MARIA},Jo,,more\n{MARIA},Jo,,,,\n{JO},Jo,x\n"

    assert [
        (2, "it has 1 column, the heading has 3"),
        (3, "it has 4 columns, the heading has 3"),
        (4, {"phone_number": MARIA, "name": "Jo"}),
        (5, {"phone_number": JO, "name": "Jo"}),
    ] == await read(from_csv(file(text)))


async def test_a_line_that_is_no_csv() -> None:
    """What stands behind a closing quotation mark, or a lone CR, is a problem of that line, and the others go on."""
    text = f'phone_number,name\n{MARIA},"Jo" Doe\n{MARIA},a\rb\n{JO},Jo\n'
    found = await read(from_csv(file(text)))

    assert [2, 3, 4] == [line for line, _ in found]
    assert ["it is not CSV: ", "it is not CSV: "] == [str(reason)[:15] for _, reason in found[:2]]
    assert {"phone_number": JO, "name": "Jo"} == found[2][1]


async def test_a_quotation_mark_that_closes_too_late() -> None:
    """It swallows lines, which shows in the number of columns; the problem says how far it goes."""
    text = f'phone_number,name\n{MARIA},"Jo\n{JO},Ann\n{JO},Bo","x"\n'

    assert [(2, "it has 3 columns, the heading has 2, and goes on to line 4")] == await read(from_csv(file(text)))


@pytest.mark.parametrize("rest", ["", f"{JO},Jo\n" * 20_000], ids=["at the end", "in the middle"])
async def test_a_quotation_mark_that_is_never_closed(rest: str) -> None:
    """Everything behind it would be lost without a word, so that is the end."""
    text = f'phone_number,name\n{MARIA},Ann\n{MARIA},"Jo\n{rest}'
    with pytest.raises(InvalidRequestError, match="source: a quotation mark opens in line 3 and is not closed"):
        await read(from_csv(file(text)))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("name,phone\n", "the heading (line 1) must name a column phone_number; it names name, phone. Is it phone? "),
        (
            "a;Phone Number;c\n",
            "the heading (line 1) must name a column phone_number; it names a, Phone Number, c. Is ",
        ),
        (f"{MARIA},Maria\n", "the heading (line 1) must name a column phone_number; it names +188******33, Maria"),
        ("phone_number,a,a\n", "the heading (line 1) names a column twice: a"),
        ('phone_number,"a"b\n', "the heading (line 1) cannot be read: "),
        ("\u00ff\u00fe".encode("latin-1") + "a".encode("utf-16-le"), "is in UTF-16; save it as UTF-8"),
        (b"phone_number,name\n+18885553333,Andr\xe9\n", "line 2 is not UTF-8 (byte 18 of it is 0xe9)"),
        (b"phone_number\n" + b"x" * 1_048_577, "line 2 is longer than 1,048,576 characters"),
    ],
)
async def test_what_cannot_be_read(text: str | bytes, problem: str) -> None:
    """Where every line is doubtful, nothing is read, and the message says what to do."""
    with pytest.raises(InvalidRequestError) as caught:
        await read(from_csv(file(text)))
    assert str(caught.value).startswith(f"source: {problem}")


values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(values, values), max_size=8), st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(rows: list[tuple[str, str]], delimiter: str, end: str) -> None:
    """Whatever stands in the columns: what Python's writer writes is read back, each record with its first line."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["phone_number", "name"])
    expected = []
    for row in rows:
        # A lone CR ends no line of a file, but an editor may show it as one; the count is that of LF.
        line = written.getvalue().count("\n") + 1
        writer.writerow(row)
        if any(map(str.strip, row)):
            expected.append((line, dict(zip(["phone_number", "name"], row, strict=True))))

    import anyio  # noqa: PLC0415  hypothesis runs no async tests

    assert expected == anyio.run(read, from_csv(file(written.getvalue())))


# --- JSON Lines ---------------------------------------------------------------------------------------------------


async def test_json_lines() -> None:
    """Texts, numbers as they are written, true and false; null is blank; empty lines are none."""
    text = f'{{"phone_number": "{MARIA}", "name": "Ma\\nria", "n": 1e3, "b": true, "c": null}}\n\n'
    text += '{"phone_number": 18885554444}'

    assert [
        (1, {"phone_number": MARIA, "name": "Ma\nria", "n": "1e3", "b": "true", "c": ""}),
        (3, {"phone_number": "18885554444"}),
    ] == await read(from_json_lines(file(text)))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "it is not JSON: Expecting property name enclosed in double quotes (column "),
        ('{"a": NaN}', "it is not JSON: NaN is no JSON"),
        ('"text"', "it is no JSON object"),
        ("17", "it is no JSON object"),
        ('["a"]', "it is no JSON object"),
        ('{"a": 1, "a": 2}', "it has a name twice"),
        ('{"tags": ["a"]}', "tags must be a text or a number, and is a list"),
        ('{"name": {"first": "Jo"}}', "name must be a text or a number, and is an object"),
        ('{"+18885553333": {}}', "+188******33 must be a text or a number, and is an object"),
        ("[" * 100_000, "it is not JSON: "),
    ],
)
async def test_lines_that_are_no_recipients(line: str, problem: str) -> None:
    """Each is a problem with its reason, and the others go on."""
    found = await read(from_json_lines(file(f'{{"phone_number": "{MARIA}"}}\n{line}\n{{"phone_number": "{JO}"}}\n')))

    assert [(1, {"phone_number": MARIA}), (3, {"phone_number": JO})] == [found[0], found[2]]
    assert (2, problem) == (found[1][0], found[1][1][: len(problem)])


async def test_an_array_is_not_json_lines() -> None:
    """It would be read as one line; the message says what is wanted."""
    with pytest.raises(InvalidRequestError, match="source: is a JSON array; write one object a line"):
        await read(from_json_lines(file('[{"phone_number": 1}]')))


@given(st.lists(st.dictionaries(values, values, max_size=3), max_size=5))
def test_objects_are_read(objects: list[dict[str, str]]) -> None:
    """Whatever the names and texts are."""
    import anyio  # noqa: PLC0415

    text = "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in objects)
    assert list(enumerate(objects, 1)) == anyio.run(read, from_json_lines(file(text)))


# --- paths --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("people.csv", f"phone_number\n{MARIA}\n"),
        ("people.CSV", f"phone_number\n{MARIA}\n"),
        ("people.tsv", f"a\tphone_number\n\t{MARIA}\n"),
        ("people.jsonl", f'{{"phone_number": "{MARIA}"}}\n'),
        ("people.ndjson", f'{{"phone_number": "{MARIA}"}}\n'),
        ("people.txt", f"\nphone_number\n{MARIA}\n"),
        ("people", f'\ufeff\n{{"phone_number": "{MARIA}"}}\n'),
    ],
)
async def test_a_path(tmp_path: Path, name: str, text: str) -> None:
    """The suffix says what is in it; where it says nothing, its first line does."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    for source in (path, str(path)):
        assert [MARIA] == [
            line.fields["phone_number"] for line in await lines_of(source) if isinstance(line, SourceLine)
        ]


async def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is what is piped in, either format, and it is left open."""
    for text in (f"phone_number\n{MARIA}\n", f'{{"phone_number": "{MARIA}"}}\n'):
        piped = io.TextIOWrapper(file(text))
        monkeypatch.setattr(sys, "stdin", piped)
        assert [{"phone_number": MARIA}] == [fields for _, fields in await read("-")]
        assert not piped.closed


async def test_an_open_file() -> None:
    """It is read as a file, though it is an iterable of lines as well; and left open."""
    opened = file(f"phone_number\n{MARIA}\n")
    assert [(2, {"phone_number": MARIA})] == await read(opened)
    assert not opened.closed


@pytest.mark.parametrize("name", ["missing.csv", "missing.jsonl", "missing"])
async def test_no_such_file(tmp_path: Path, name: str) -> None:
    """The error names it, and the reason."""
    with pytest.raises(InvalidRequestError, match=f"source: '.*{name}' cannot be read: No such file or directory"):
        await read(tmp_path / name)


async def test_an_empty_file(tmp_path: Path) -> None:
    """Without a suffix or anything in it, it is neither of the two; it is said to be empty."""
    path = tmp_path / "people"
    path.write_text("\n")
    with pytest.raises(InvalidRequestError, match="source: is empty"):
        await read(path)


async def test_a_file_is_closed(tmp_path: Path) -> None:
    """Also if it is not read to its end; a file that stays open would be a warning, which is an error in the tests."""
    path = tmp_path / "people.csv"
    path.write_text(f"phone_number\n{MARIA}\n{JO}\n{JO}\n")
    reader = open_source(path)
    await reader.open()
    pages = reader.pages(1)
    assert 1 == len(await anext(pages))
    await pages.aclose()
    await reader.aclose()


# --- iterables ----------------------------------------------------------------------------------------------------


async def test_an_iterable() -> None:
    """Mappings and numbers, counted from 1; what is neither is a problem."""
    items: list[Any] = [
        {"phone_number": MARIA, "n": 3, "f": 1.5, "b": False, "c": None},
        JO,
        17,
        {"phone_number": JO, "tags": ["a"]},
        {"phone_number": JO, "when": object()},
    ]

    assert [
        (1, {"phone_number": MARIA, "n": "3", "f": "1.5", "b": "false", "c": ""}),
        (2, {"phone_number": JO}),
        (3, "it is neither a mapping nor a number, but a int"),
        (4, "tags must be a text or a number, and is a list"),
        (5, "when must be a text or a number, and is a object"),
    ] == await read(items)


async def test_an_async_iterable() -> None:
    """The same, as it comes; and whoever makes it is told when it is left early."""
    ended: list[bool] = []

    async def people() -> AsyncIterator[dict[str, str]]:
        try:
            for number in (MARIA, JO, MARIA):
                yield {"phone_number": number}
        finally:
            ended.append(True)

    assert [1, 2, 3] == [line for line, _ in await read(people())]
    reader = from_iterable(people())
    await reader.open()
    pages = reader.pages(1)
    await anext(pages)
    assert [True] == ended
    await pages.aclose()
    assert [True, True] == ended


async def test_pages() -> None:
    """They have the size that was asked for, and nothing is taken before it is needed."""
    taken: list[int] = []

    def people() -> Iterator[str]:
        for index in range(7):
            taken.append(index)
            yield MARIA

    reader = from_iterable(people())
    await reader.open()
    pages = reader.pages(3)
    assert (3, 3) == (len(await anext(pages)), len(taken))
    assert [3, 1] == [len(page) async for page in pages]


@pytest.mark.parametrize("source", [{"phone_number": MARIA}, b"+18885553333", 17, None])
async def test_what_is_no_source(source: Any) -> None:
    """One mapping is not an iterable of recipients, though it can be iterated."""
    with pytest.raises(InvalidRequestError, match="source: must be a path, or an iterable of mappings or numbers"):
        open_source(source)


async def test_a_reader_is_a_source() -> None:
    """It is taken as it is."""
    reader = from_csv("people.csv")
    assert reader is open_source(reader)
    assert isinstance(reader, Reader)


async def test_a_line_does_not_show_what_is_in_it() -> None:
    """A repr has the names of the columns, and not the values."""
    assert "SourceLine(line=1, fields=<phone_number, name>)" == repr(
        SourceLine(1, {"phone_number": MARIA, "name": "Maria"})
    )


# --- contacts -----------------------------------------------------------------------------------------------------


async def test_contacts() -> None:
    """The account's contacts, all or those with a tag, with their time zone and their id."""
    async with (
        Sandbox() as sandbox,
        Pidj(base_url=sandbox.base_url, account_key=sandbox.account_key, token=sandbox.token) as pidj,
    ):
        maria = await pidj.contacts.create(phone_number=MARIA, first_name="Maria", timezone="America/Denver")
        await pidj.contacts.create(phone_number=JO, first_name="Jo")
        everybody = dict(await read(from_contacts(pidj)))
        tagged = await read(from_contacts(pidj, tag="no such tag"))

    assert (2, []) == (len(everybody), tagged)
    fields = next(one for one in everybody.values() if one["phone_number"] == MARIA)
    expected = ("Maria", "America/Denver", maria.id, "")
    assert expected == tuple(fields[name] for name in ("first_name", "time_zone", "contact_id", "business_name"))


class Account:
    """A transport that answers with an account's contacts."""

    def __init__(self, *contacts: dict[str, Any]) -> None:
        self.contacts = contacts

    async def send(self, request: WireRequest, _progress: Progress) -> WireResponse:
        assert request.endpoint == "contacts.list"
        content = json.dumps({"code": 200, "status": "success", "contacts": self.contacts}).encode()
        return WireResponse(status_code=200, headers={}, content=content)

    async def aclose(self) -> None:
        pass


async def test_contacts_with_a_tag() -> None:
    """Exactly that one, among however many a contact has; they are counted by themselves."""
    contacts: list[dict[str, Any]] = [
        {"id": "co:1", "phone_number": MARIA, "tags": ["VIP", "vip "], "first_name": "Maria"},
        {"id": "co:2", "phone_number": JO, "tags": ["new", "vip"]},
        {"id": "co:3", "phone_number": None, "tags": ["vip"], "timezone": "America/Boise"},
        {"id": "co:4", "phone_number": MARIA},
    ]
    async with Pidj(account_key="key", token="token", transport=Account(*contacts)) as pidj:
        found = await read(from_contacts(pidj, tag="vip"))

    assert [(1, "co:2", JO, ""), (2, "co:3", "", "America/Boise")] == [
        (line, fields["contact_id"], fields["phone_number"], fields["time_zone"]) for line, fields in found
    ]
