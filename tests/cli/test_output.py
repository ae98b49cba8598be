"""What results look like."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from pidj_async.cli import output
from pidj_async.endpoints import BY_NAME
from pidj_async.models import Confirmation, Contact, CreatedTask
from tests.cli.conftest import Account, Run


def test_a_result_shows_the_number_that_was_asked_for(run: Run, account: Account) -> None:
    """What a person asked for is not masked."""
    assert "+12025550123" in run("contacts", "get", account.contact).stdout
    assert "+12025550123" in run("contacts", "list").stdout


def test_a_sign_on_url_is_printed_bare(run: Run, account: Account) -> None:
    """It is one line, ready to be handed on, and only on standard output."""
    result = run("sso", "create-url", "--user-uuid", account.user)
    assert "" == result.stderr
    assert result.stdout.startswith("http")
    assert 1 == len(result.stdout.splitlines())


def test_an_empty_list_says_so_and_is_an_empty_array(run: Run) -> None:
    """Nothing is a result too."""
    assert "No contacts.\n" == run("contacts", "list").stdout
    assert [] == json.loads(run("contacts", "list", "--json").stdout)


def test_unknown_fields_keep_their_name_on_the_wire() -> None:
    """What has no name here is in the document as it came."""
    contact = Contact(id="co:1", extra={"nickname": {"de": ["Jo"]}, "timezone": 7})
    data = output.as_data(contact)
    assert {"de": ["Jo"]} == data["nickname"]
    assert 7 == data["timezone"]
    assert json.loads(json.dumps(data)) == data


def test_an_unknown_field_does_not_hide_a_known_one() -> None:
    """A field of the wire that is called like another one of ours goes under ``extra``."""
    assert {"id": "ci:1", "extra": {"id": 5}} == output.as_data(CreatedTask(id="ci:1", extra={"id": 5}))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (["a", "b\x1b[2J"], "a, b\\x1b[2J"),
        ({"a": [1]}, '{"a": [1]}'),
        ("two\nlines", "two\nlines"),
        ("\x1b]0;title\x07\u202e\t", "\\x1b]0;title\\x07\\u202e\\t"),
        ("[red]é[/]", "[red]é[/]"),
    ],
)
def test_nothing_that_was_answered_can_steer_the_terminal(value: object, shown: str) -> None:
    """Control characters, and those that turn the line around, are shown as escapes."""
    assert shown == output.printable(value)


def shown_on(monkeypatch: pytest.MonkeyPatch, width: int, row: str, result: object) -> str:
    screen = Console(file=io.StringIO(), width=width, highlight=False)
    monkeypatch.setattr(output, "console", lambda: screen)
    output.show_result(BY_NAME[row], result, as_json=False)
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_a_list_is_a_table_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that are empty throughout are left out, and markup in a name is a name."""
    contacts = (Contact(id="co:1", first_name="[red]Jo"), Contact(id="co:2", last_name="Ann"))
    lines = shown_on(monkeypatch, 80, "contacts.list", contacts).splitlines()
    assert ["id", "first_name", "last_name"] == lines[0].split()
    assert ["co:1", "[red]Jo"] == lines[2].split()


def test_a_list_is_blocks_where_a_table_would_be_squeezed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each record gets its own lines, and no value is cut."""
    contacts = tuple(Contact(id=f"co:{n}", first_name="x" * 30, last_name="y" * 30) for n in range(2))
    text = shown_on(monkeypatch, 50, "contacts.list", contacts)
    assert 2 == text.count("x" * 30)
    assert 2 == sum(line.startswith("first_name ") for line in text.splitlines())


def test_a_confirmation_is_its_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The vendor's words, its status if there are none, and fields nobody knows if there are any."""
    row = BY_NAME["contacts.delete"]
    output.show_result(row, Confirmation(message="Gone.", status="success"), as_json=False)
    output.show_result(row, Confirmation(status="success"), as_json=False)
    output.show_result(row, Confirmation(), as_json=False)
    assert "Gone.\nsuccess\nDone.\n" == capsys.readouterr().out
    assert "news" in shown_on(monkeypatch, 80, "contacts.delete", Confirmation(extra={"news": 1}))


@pytest.mark.parametrize("items", [[], [1], [{"a": ["b\nc", {}]}, {}, None]])
def test_an_array_item_by_item_is_the_array_at_once(items: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    """It is the same text, to the last blank."""
    array = output.JsonArray()
    for item in items:
        array.add(item)
    array.end()
    item_by_item = capsys.readouterr().out
    output.write_json(items)
    assert capsys.readouterr().out == item_by_item


@pytest.mark.parametrize(("encoding", "contains"), [("utf-8", "é"), ("ascii", "\\u00e9")])
def test_json_is_json_whatever_the_terminal_can_show(
    encoding: str, contains: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter that the output cannot encode is written as JSON's escape."""
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding=encoding, errors="backslashreplace"))
    output.write_json({"name": "é"})
    text = written.getvalue().decode(encoding)
    assert contains in text
    assert {"name": "é"} == json.loads(text)
