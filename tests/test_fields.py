"""The kinds of field: what each takes, what it refuses, what it shows and what it writes."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async import InvalidRequestError, Unset, _fields, requests
from pidj_async._fields import FieldInfo, Kind, Request, fields_of, request
from tests.valid import PASSWORD, PHONE, REQUESTS

LONE = "\ud800"


def kind(annotation: Any) -> Kind:
    found: Kind = annotation.__metadata__[0]
    return found


KINDS = {
    name: kind(value)
    for name, value in {**vars(_fields), **vars(requests)}.items()
    if hasattr(value, "__metadata__") and isinstance(value.__metadata__[0], Kind)
}
TEXT_KINDS = {name: one for name, one in KINDS.items() if not one.multiple and name != "Truncate"}

TAKEN: dict[str, list[Any]] = {
    "Text": ["x", "Zoë", " padded ", "a" * 10_000, "two\nlines"],
    "Street": ["1 Main Street", "s" * 200],
    "City": ["Denver", "c" * 200],
    "MessageBody": ["Hi", "b" * 5_000, "\U0001f600"],
    "TaskTopic": ["Leak", "5 < 6 and 7 > 2", "a<b", "<3", "<- here ->", "https://example.com/?a=1&b=2"],
    "PhoneNumber": [PHONE, "+1234567", "+123456789012345"],
    "EmailAddress": ["jo@example.com", "jo+tag@sub.example.co.uk", "jö@exämple.com"],
    "TimeZone": ["America/Denver", "UTC", "Europe/London", "America/Argentina/Buenos_Aires", "Etc/GMT+5"],
    "State": ["CO", "DC", "PR", "GU", "AE", "FM"],
    "PostalCode": ["80202", "80202-1234", "SW1A 1AA", "sw1a1aa", "GIR 0AA", "K1A 0B6", "K1A-0B6", "K1A0B6", "2000"],
    "Country": ["US", "USA", "GB", "GBR", "CA", "CAN"],
    "AbsoluteUrl": ["https://example.com", "http://localhost:8000/a?b=c#d", "https://exämple.com/ü"],
    "Password": [PASSWORD, "  p  ", "密码密码"],
    "Channel": ["ticket"],
    "GroupReference": ["Sales", "gr:3f1c"],
    "ContactId": ["co:5e6f", "co:8uq7-1", "co:/../x?y#z%"],
    "UserId": ["us:1"],
    "GroupId": ["gr:1"],
    "SeriesId": ["ts:1"],
    "SurveyId": ["sv:1"],
    "Truncate": [True, False],
    "Roles": [("admin",), ("admin", "manager", "agent")],
    "GroupReferences": [("Sales",), ("Sales", "gr:3f1c")],
}

REFUSED: dict[str, list[Any]] = {
    "Text": [],
    "Street": ["s" * 201],
    "City": ["c" * 201],
    "MessageBody": [],
    "TaskTopic": ["<b>Leak</b>", "</p>", "<br/>", "<!-- x -->", "<!DOCTYPE html>", "a <img\nsrc=x> b", "<?php x ?>"],
    "PhoneNumber": [
        "18885552222",
        "8885552222",
        "+1 888 555 2222",
        "+1-888-555-2222",
        "+08885552222",
        "+123456",
        "+1234567890123456",
        "+1888555222a",
        "+18885552222\n",
        "+１８８８５５５２２２２",
        "tel:+18885552222",
    ],
    "EmailAddress": ["jo", "@example.com", "jo@", "jo@a@b", "jo doe@example.com", "jo@example.com\n"],
    "TimeZone": ["america/denver", "America\\Denver", "America/Nowhere", "MST7", "localtime", "Factory", "+07:00"],
    "State": ["co", "Colorado", "XX", "ON", "C", "COL"],
    "PostalCode": ["802021", "80202-12", "802021234", "80202-12345", "K1A 0B", "123", "٨٠٢٠٢", "80202\n"],
    "Country": ["us", "United States", "XX", "UK", "USX", "840"],
    "AbsoluteUrl": [
        "example.com",
        "/after",
        "//example.com/after",
        "ftp://example.com",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://[::1",
        "https://example.com/a b",
        "https://example.com/\nx",
    ],
    "Password": [],
    "Channel": ["Ticket", "chat"],
    "GroupReference": [],
    "ContactId": ["co:", "co", "us:1", "5e6f", "CO:1", "co:a b", "co:a\n", " co:1", "co:\u200b"],
    "UserId": ["us:", "co:1"],
    "GroupId": ["gr:", "co:1", "Sales"],
    "SeriesId": ["ts:", "sv:1"],
    "SurveyId": ["sv:", "ts:1"],
}

NOT_A_STR: list[Any] = [1, 1.5, True, b"x", ["x"], {"x": 1}, object(), dt.date(2026, 1, 1), 10**5_000]

taken = [pytest.param(KINDS[name], value, id=f"{name}-{at}") for name in TAKEN for at, value in enumerate(TAKEN[name])]
refused = [
    pytest.param(KINDS[name], value, id=f"{name}-{at}") for name in REFUSED for at, value in enumerate(REFUSED[name])
]


def refusal(one: Kind, value: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as raised:
        one.check("the_field", value)
    return raised.value


def test_every_kind_is_tested() -> None:
    """A new kind comes with what it takes."""
    assert set(KINDS) == set(TAKEN)
    assert set(TEXT_KINDS) == set(REFUSED)


@pytest.mark.parametrize(("one", "value"), taken)
def test_a_good_value_is_kept_as_it_is(one: Kind, value: Any) -> None:
    """Nothing is trimmed, folded or corrected."""
    assert value == one.check("the_field", value)


@pytest.mark.parametrize(("one", "value"), refused)
def test_a_bad_value_is_refused_with_field_and_value(one: Kind, value: str) -> None:
    """Before any I/O, and the message says which argument it was and what stood in it."""
    error = refusal(one, value)

    assert ("the_field", one.show(value)) == (error.field, error.value)
    assert str(error).startswith("the_field: must ") or "characters long" in str(error)
    assert str(error).endswith(f"; got {one.show(value)}")


@pytest.mark.parametrize("value", ["", " ", "\t\n", "\u2003"])
@pytest.mark.parametrize("one", TEXT_KINDS.values(), ids=TEXT_KINDS)
def test_a_blank_is_refused(one: Kind, value: str) -> None:
    """Pidj would read it as "remove the value", and the word for that is None."""
    assert "must not be blank (None clears a field" in refusal(one, value).problem


@pytest.mark.parametrize("one", TEXT_KINDS.values(), ids=TEXT_KINDS)
def test_a_lone_surrogate_is_refused(one: Kind) -> None:
    """It has no form in UTF-8, so it could not be sent."""
    assert "contains a lone surrogate, which has no form in UTF-8" == refusal(one, f"a{LONE}").problem


@pytest.mark.parametrize("value", NOT_A_STR, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("one", TEXT_KINDS.values(), ids=TEXT_KINDS)
def test_what_is_no_str_is_refused(one: Kind, value: Any) -> None:
    """Nothing is turned into text behind the caller's back."""
    assert "must be a str" == refusal(one, value).problem


class Word(str, Enum):  # noqa: UP042  what many programs still have
    ROLE = "admin"
    TEXT = "Jo"


def test_a_member_of_a_str_enum_is_sent_as_its_value() -> None:
    """``str(Word.TEXT)`` is "Word.TEXT"; what goes out is "Jo"."""
    kept = KINDS["Text"].check("first_name", Word.TEXT)

    assert (str, "Jo") == (type(kept), kept)
    assert "admin" == KINDS["Roles"].encode(KINDS["Roles"].check("roles", [Word.ROLE]))


# ------------------------------------------------------------------------------------------------------------ lists


def generated() -> Iterator[str]:
    yield "admin"
    yield "agent"


@pytest.mark.parametrize(
    "value", [["admin", "agent"], ("admin", "agent"), generated(), {"admin": 1, "agent": 2}.keys()]
)
def test_any_iterable_of_values_becomes_a_tuple(value: Any) -> None:
    """So that the request can be hashed and does not change behind our back."""
    assert ("admin", "agent") == KINDS["Roles"].check("roles", value)


@pytest.mark.parametrize("value", ["admin", b"admin", 1, {"admin": False}])
def test_one_value_is_no_list(value: Any) -> None:
    """The word "admin" would become five roles, and the keys of a mapping are not what it says."""
    assert "must be a list of values, not one value" == refusal(KINDS["Roles"], value).problem


@pytest.mark.parametrize("name", ["Roles", "GroupReferences"])
def test_an_empty_list_is_refused(name: str) -> None:
    """It would be written blank, which removes the value."""
    assert "must not be empty (None clears a field" in refusal(KINDS[name], []).problem


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("Roles", ["admin", "owner"], "must be one of 'admin', 'manager', 'agent'"),
        ("Roles", ["admin", None], "must be a str"),
        ("Roles", [["admin"]], "must be a str"),
        ("GroupReferences", ["Sales", " "], "must not be blank"),
        ("GroupReferences", ["Sales|Support"], "must not contain '|', which separates values on the wire"),
    ],
)
def test_each_value_of_a_list_is_checked(name: str, value: list[Any], problem: str) -> None:
    """By the kind of what the list holds; and none may hold the separator."""
    assert refusal(KINDS[name], value).problem.startswith(problem)


@given(st.lists(st.text(st.characters(exclude_characters="|", codec="utf-8")), min_size=1))
def test_a_list_is_written_so_that_it_reads_back(values: list[str]) -> None:
    """One joined string, from which the same values come apart."""
    groups = KINDS["GroupReferences"]
    try:
        kept = groups.check("groups", values)
    except InvalidRequestError:
        assert any(not value.strip() for value in values)
    else:
        assert values == groups.encode(kept).split("|")


# ----------------------------------------------------------------------------------------------------------- others


@pytest.mark.parametrize("value", [1, 0, "yes", None])
def test_a_flag_is_true_or_false(value: Any) -> None:
    """A word that happens to be truthy is no decision."""
    assert "must be True or False" == refusal(KINDS["Truncate"], value).problem


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z", "C"])))
def test_a_url_is_written_in_base64(path: str) -> None:
    """As the vendor wants it, and it reads back."""
    url = "https://example.com/?" + path

    assert url == base64.b64decode(KINDS["AbsoluteUrl"].encode(url)).decode()


@pytest.mark.parametrize("name", sorted(set(TEXT_KINDS) - {"AbsoluteUrl"}))
def test_a_text_is_written_as_it_is(name: str) -> None:
    """The form does the encoding."""
    for value in TAKEN[name]:
        assert value == TEXT_KINDS[name].encode(value)


@pytest.mark.parametrize(
    ("value", "hint"),
    [("america/denver", " (did you mean America/Denver?)"), ("America/new york", " (did you mean America/New_York?)")],
)
def test_a_misspelt_time_zone_is_recognised(value: str, hint: str) -> None:
    """Case and spaces are the usual mistakes."""
    assert refusal(KINDS["TimeZone"], value).problem.endswith(hint)


@pytest.mark.parametrize(
    ("topic", "name"),
    [("<b>x</b>", "<b>"), ("a</div>", "</div>"), ("<!-- +18885552222 -->", "<!-->"), ('<a href="tel:1">', "<a>")],
)
def test_html_is_named_without_what_is_in_it(topic: str, name: str) -> None:
    """The tag tells enough; its attributes may be anybody's data."""
    assert f"must not contain HTML, which Pidj does not display; found a {name} tag" == (
        refusal(KINDS["TaskTopic"], topic).problem
    )


@pytest.mark.parametrize("unit", ["<", "< ", "<a", "<!", "</"])
def test_looking_for_html_is_not_quadratic_in_what_a_tag_may_hold(unit: str) -> None:
    """A hostile topic costs no more than a long one; the suite's time limit is the judge."""
    topic = "<" + " " * 200_000 + unit * 1_000

    assert topic == KINDS["TaskTopic"].check("topic", topic)


# ------------------------------------------------------------------------------------------------------------ shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Text", "Jo", "'Jo'"),
        ("Text", "call +18885552222", "'call +188******22'"),
        ("Text", 18885552222, "18*******22"),
        ("Text", "x" * 100, "'" + "x" * 80 + "'… (100 long)"),
        ("ContactId", PHONE, "'+188******22'"),
        ("ContactId", "co:12345678-1234", "'co:12345678-1234'"),
        ("PhoneNumber", PHONE, "'+188******22'"),
        ("PhoneNumber", 18885552222, "18*******22"),
        ("PhoneNumber", None, "None"),
        ("MessageBody", "my diagnosis", "<12 characters>"),
        ("MessageBody", b"my diagnosis", "<12 bytes>"),
        ("TaskTopic", "my diagnosis", "<12 characters>"),
        ("Password", PASSWORD, "[secret]"),
        ("Password", PASSWORD.encode(), "[secret bytes]"),
        ("Password", [PASSWORD], "[secret list]"),
        ("AbsoluteUrl", "https://example.com/a?session=1#token", "'https://example.com/a'"),
        ("AbsoluteUrl", "https://example.com/a#token", "'https://example.com/a'"),
        ("AbsoluteUrl", "https://jo:pass@word@example.com/a", "'https://example.com/a'"),
        ("AbsoluteUrl", b"https://example.com/?session=1", "<bytes>"),
        ("GroupReferences", ("Sales", PHONE), "('Sales', '+188******22')"),
        ("GroupReferences", tuple("abcdef"), "('a', 'b', 'c', 'd', 'e', …)"),
        ("Roles", {"admin"}, "{'admin'}"),
    ],
)
def test_a_value_is_shown_safely(name: str, value: Any, shown: str) -> None:
    """Numbers masked wherever they are, words by their length, secrets not at all."""
    assert shown == KINDS[name].show(value)


# ---------------------------------------------------------------------------------------------------------- classes


def test_a_type_checker_sees_plain_types() -> None:
    """The kind is behind the name; the annotation is still a str to everybody else."""
    assert str is get_type_hints(requests.SendText)["to_number"]
    assert str | Unset == get_type_hints(requests.SendText)["group_id"]


@pytest.mark.parametrize("cls", REQUESTS)
def test_a_field_is_what_its_annotation_says(cls: type[Request[Any]]) -> None:
    """Required without a default, clearable with None in it, and a flag is not on the wire."""
    hints = get_type_hints(cls, include_extras=True)
    expected = []
    for name in [one.name for one in fields_of(cls)]:
        members = (hints[name],) if hasattr(hints[name], "__metadata__") else hints[name].__args__
        found = next(kind(member) for member in members if hasattr(member, "__metadata__"))
        flag = name == "truncate"
        expected.append(FieldInfo(name, found, Unset not in members and not flag, type(None) in members, not flag))

    assert expected == list(fields_of(cls))


def test_a_field_without_a_kind_is_refused_when_the_class_is_made() -> None:
    """Nothing could check it."""
    with pytest.raises(TypeError, match="names no kind of field"):

        @request
        class Odd(Request[None]):
            number: int


@pytest.mark.parametrize("annotation", [int | None, str, "str"])
def test_an_annotation_without_a_kind_is_named(annotation: Any) -> None:
    """The message shows which one it was."""
    look: Callable[[Any], Kind] = _fields._kind_of
    with pytest.raises(TypeError, match="names no kind of field"):
        look(annotation)
