"""Requests to form fields and paths, JSON to models."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pidj_async import UNSET, InvalidRequestError
from pidj_async._fields import Request, fields_of
from pidj_async.endpoints import BY_NAME, TABLE, endpoint_of
from pidj_async.models import Confirmation, ConsentCheck, Contact, CreatedTask, Group, Model, PauseState, User
from pidj_async.requests import CreateContact, CreateSsoUrl, CreateUser, SendText, UpdateContact, UpdateUser
from pidj_async.sansio import DEFAULT_BASE_URL, build_request
from pidj_async.wire import MissingFieldError, decode_json, encode_path, structure
from tests.valid import PASSWORD, PHONE, complete, sample

ROWS_WITH_IDS = [row for row in TABLE if row.path_fields]


def form(request: Request[Any]) -> list[tuple[str, str]]:
    content = endpoint_of(request).encode_form(request)
    return parse_qsl(content.decode("ascii"), keep_blank_values=True, strict_parsing=bool(content))


# ------------------------------------------------------------------------------------------------------- the form


def test_a_value_is_sent_none_is_sent_blank_and_unset_is_not_sent() -> None:
    """Keep, clear, leave: the three things that can be said of a field."""
    request = UpdateContact("co:1", first_name="Jo", last_name=None, display_name=UNSET)

    assert [("first_name", "Jo"), ("last_name", "")] == form(request)


def test_fields_go_out_in_the_order_of_the_constructor() -> None:
    """The same request is always the same bytes."""
    request = SendText(group_id="gr:1", text_body="Hi & bye = 100%", to_number=PHONE)

    content = endpoint_of(request).encode_form(request)
    assert b"to_number=%2B18885552222&text_body=Hi+%26+bye+%3D+100%25&group_id=gr%3A1" == content


def test_a_wish_to_this_package_is_not_sent() -> None:
    """``truncate`` is no field of the vendor's."""
    names = [name for name, _ in form(SendText(to_number=PHONE, text_body="x" * 2_000, group_id="gr:1", truncate=True))]

    assert ["to_number", "text_body", "group_id"] == names


def test_a_list_is_one_field() -> None:
    """Joined with ``|``; cleared, it is blank."""
    created = CreateUser(username="jo", password=PASSWORD, roles=["admin", "agent"], groups=["Sales", "gr:1"])

    assert [("username", "jo"), ("password", PASSWORD), ("roles", "admin|agent"), ("groups", "Sales|gr:1")] == form(
        created
    )
    assert [("roles", "")] == form(UpdateUser("us:1", roles=None))


def test_the_url_to_go_to_after_signing_in_is_sent_in_base64() -> None:
    """As the vendor wants it."""
    assert [("external_id", "7"), ("next", "aHR0cHM6Ly9leGFtcGxlLmNvbS8/YT3DvA==")] == form(
        CreateSsoUrl(external_id="7", next="https://example.com/?a=ü")
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_what_is_in_the_path_is_not_in_the_form(row: Any) -> None:
    """And everything else that goes out is."""
    names = [name for name, _ in form(complete(row.request))]

    assert [one.name for one in row.form_fields if one.name in names] == names
    assert set() == set(names) & set(row.path_fields)


@given(
    first_name=st.one_of(st.none(), st.just(UNSET), st.text(st.characters(codec="utf-8"))),
    last_name=st.one_of(st.none(), st.just(UNSET), st.text(st.characters(codec="utf-8"))),
)
def test_any_text_reads_back_from_the_form(first_name: Any, last_name: Any) -> None:
    """Separators, percent signs, line ends, any script."""
    try:
        request = UpdateContact("co:1", first_name=first_name, last_name=last_name)
    except InvalidRequestError:
        return
    expected = [(name, value or "") for name, value in (("first_name", first_name), ("last_name", last_name))]

    assert [pair for pair in expected if getattr(request, pair[0]) is not UNSET] == form(request)


@given(st.text(st.characters(codec="utf-8")) | st.characters(codec="utf-8"))
@example("".join(map(chr, range(0x21, 0x180))))
def test_the_form_is_written_as_the_standard_library_writes_it(text: str) -> None:
    """Our own table is faster, and says the same as ``urlencode``."""
    try:
        request = UpdateContact("co:1", first_name=text, last_name="a b")
    except InvalidRequestError:
        assert not text.strip()
        return

    assert urlencode({"first_name": text, "last_name": "a b"}).encode() == endpoint_of(request).encode_form(request)


# ------------------------------------------------------------------------------------------------------- the path


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("co:5e6f-1", "co:5e6f-1"),
        (PHONE, "%2B18885552222"),
        ("co:a/b", "co:a%2Fb"),
        ("co:../x", "co:..%2Fx"),
        ("co:a?b#c;d", "co:a%3Fb%23c%3Bd"),
        ("co:%2F", "co:%252F"),
        ("co:\\", "co:%5C"),
        ("co:{user_id}", "co:%7Buser_id%7D"),
        ("co:ü", "co:%C3%BC"),
    ],
)
def test_a_path_value_is_one_segment(value: str, written: str) -> None:
    """Nothing in it can end the segment, nor begin a query."""
    assert written == encode_path(value)


ids = st.text(st.characters()) | st.text(st.sampled_from("./%?#\\:;@&=+ {}25eEfF\t\n"), max_size=20)


@given(data=st.data())
@pytest.mark.parametrize("row", ROWS_WITH_IDS, ids=lambda row: row.name)
def test_no_id_can_reach_another_path(row: Any, data: st.DataObject) -> None:
    """The URL has exactly the row's segments, the fixed ones unchanged, and the ids read back from the others."""
    prefix = {name: sample(name).partition(":")[0] + ":" for name in row.path_fields if name != "phone_number"}
    values = {name: prefix.get(name, "+1") + data.draw(ids) for name in row.path_fields}
    try:
        request = row.request(**values)
    except InvalidRequestError:
        return

    parts = urlsplit(build_request(row, request).url)
    segments = parts.path.removeprefix(urlsplit(DEFAULT_BASE_URL).path).split("/")

    assert ("https", "gopidj.com", "", "") == (parts.scheme, parts.netloc, parts.query, parts.fragment)
    assert [part.format_map(values) for part in row.path.split("/")] == [unquote(part) for part in segments]
    assert {".", ".."}.isdisjoint(segments)
    assert parts.path.isascii()


# ------------------------------------------------------------------------------------------------------------ JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{",
        b'{"a": 1',
        b"\xff\xfe\xfa",
        b'{"a": ' + b"9" * 5_000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        "{'a': 1}",
    ],
    ids=range(9),
)
def test_what_is_no_json_is_a_value_error(body: bytes | str) -> None:
    """Also what is nested too deep and numbers beyond what Python takes."""
    with pytest.raises(ValueError):  # noqa: PT011  whatever the parser says
        decode_json(body)


def test_json_is_read_from_bytes_and_text() -> None:
    """With or without a byte-order mark's encoding."""
    value = {"name": "Zoë"}

    assert value == decode_json(json.dumps(value))
    assert value == decode_json(json.dumps(value, ensure_ascii=False).encode())
    assert value == decode_json(json.dumps(value).encode("utf-16"))


# ------------------------------------------------------------------------------------------------------ structure


@pytest.mark.parametrize("value", [{}, {"id": None, "first_name": None, "tags": None}])
def test_null_and_missing_are_nothing(value: dict[str, Any]) -> None:
    """An attribute gets its default, and there is nothing extra."""
    assert Contact() == structure(value, Contact)


@pytest.mark.parametrize(
    ("raw", "read"),
    [("Jo", "Jo"), ("", ""), (7, "7"), (1.5, "1.5"), (10**30, str(10**30))],
)
def test_text_is_read_from_text_and_numbers(raw: Any, read: str) -> None:
    """PHP writes a numeric string as a number sooner or later."""
    assert Contact(first_name=read) == structure({"first_name": raw}, Contact)


@pytest.mark.parametrize("raw", [True, False, [], ["Jo"], {}, {"first": "Jo"}])
def test_text_of_another_type_is_extra(raw: Any) -> None:
    """The attribute gets its default, the value stays reachable under its name."""
    assert Contact(extra={"first_name": raw}) == structure({"first_name": raw}, Contact)


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (True, True),
        (1, True),
        (1.0, True),
        ("1", True),
        ("true", True),
        (" TRUE ", True),
        ("Yes", True),
        (False, False),
        (0, False),
        ("0", False),
        ("false", False),
        ("No", False),
        ("", False),
    ],
)
def test_a_boolean_is_read_from_what_php_writes_for_it(raw: Any, read: bool) -> None:  # noqa: FBT001
    """Words, digits, and the empty text."""
    needed = structure({"needed": raw}, ConsentCheck)

    assert read is needed.needed
    assert {} == dict(needed.extra)


@pytest.mark.parametrize("raw", ["maybe", 2, -1, 0.5, float("nan"), [], [True], {}, {"a": 1}])
def test_a_boolean_of_another_type_is_extra(raw: Any) -> None:
    """Nothing is guessed."""
    state = structure({"paused": raw}, PauseState)

    assert state.paused is None
    assert [("paused", raw)] == list(state.extra.items())


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ([], ()),
        (["a", "b"], ("a", "b")),
        ({"0": "a", "2": "b"}, ("a", "b")),
        ({}, ()),
        ([1, "b"], ("1", "b")),
        (None, ()),
    ],
)
def test_a_list_is_read_from_an_array_or_what_php_makes_of_it(raw: Any, read: tuple[str, ...]) -> None:
    """An array with gaps comes as an object."""
    assert Contact(tags=read) == structure({"tags": raw}, Contact)


@pytest.mark.parametrize("raw", ["a", 1, True, [["a"]], [None], [{}], {"0": ["a"]}, {"0": None}])
def test_a_list_of_anything_else_is_extra(raw: Any) -> None:
    """As a whole: half a list would be a lie."""
    assert Contact(extra={"tags": raw}) == structure({"tags": raw}, Contact)


def test_a_new_field_is_extra() -> None:
    """Under the name it has on the wire; also one that is called "extra"."""
    user = structure({"first_name": "Jo", "nickname": "J", "extra": 1}, User)

    assert User(first_name="Jo", extra={"nickname": "J", "extra": 1}) == user


def test_extra_cannot_be_changed() -> None:
    """A result is a value."""
    extra: Any = structure({"a": 1}, User).extra

    with pytest.raises(TypeError):
        extra["b"] = 2


def test_a_renamed_attribute_is_read_from_its_name_on_the_wire() -> None:
    """And only from there."""
    assert CreatedTask(id="ci:1") == structure({"task": "ci:1"}, CreatedTask, {"id": "task"})
    assert {"id": "ci:2"} == dict(structure({"task": "ci:1", "id": "ci:2"}, CreatedTask, {"id": "task"}).extra)


@pytest.mark.parametrize("value", [{}, {"task": None}, {"task": []}, {"task": True}, {"id": "ci:1"}])
def test_a_result_without_what_makes_it_one_is_refused(value: dict[str, Any]) -> None:
    """By the name that is missing on the wire."""
    with pytest.raises(MissingFieldError, match=r"^it lacks task$"):
        structure(value, CreatedTask, {"id": "task"})


def test_the_envelopes_own_fields_are_not_extra_in_a_whole_reply() -> None:
    """Inside of an object they are fields like any other."""
    value = {"code": 200, "status": "success", "message": "m", "paused": True, "new": 1}

    assert {"new": 1} == dict(structure(value, PauseState, envelope=True).extra)
    assert {"code": 200, "message": "m", "new": 1} == dict(structure(value, PauseState).extra)
    assert Confirmation(status="success", message="m", extra={"paused": True, "new": 1}) == structure(
        value, Confirmation, envelope=True
    )


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=5)
json_values = leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.text(max_size=2), leaves, max_size=3)
MODELS = {row.model: row.renames for row in TABLE}


@given(data=st.data())
@pytest.mark.parametrize("cls", MODELS)
def test_any_object_is_read_without_losing_anything(cls: type[Model], data: st.DataObject) -> None:
    """Each field of the object is read into its attribute, or stays in ``extra``, or is null."""
    names = {MODELS[cls].get(field.name, field.name): field.name for field in attrs.fields(cls)}
    value = data.draw(st.dictionaries(st.sampled_from(sorted(names)) | st.text(max_size=3), json_values, max_size=6))
    try:
        model = structure(value, cls, MODELS[cls])
    except MissingFieldError:
        assert any(field.default is attrs.NOTHING for field in attrs.fields(cls))
        return

    for wire, raw in value.items():
        if wire in model.extra:
            assert raw == model.extra[wire]
        else:
            assert raw is None or getattr(model, names[wire]) is not None
    assert set(model.extra) <= set(value)


def test_the_samples_of_the_vendor_are_read() -> None:
    """Escaped slashes, numbers as text, and the names of the other ids."""
    contact = decode_json(
        r'{"id":"co:5e6f","first_name":"Jo","phone_number":"+18885552222","timezone":"America\/Denver","tags":["vip"]}'
    )
    group = {"name": "Sales", "group_id": "gr:1", "phone_number": None, "color": "#00ff00"}

    assert Contact(id="co:5e6f", first_name="Jo", phone_number=PHONE, timezone="America/Denver", tags=("vip",)) == (
        structure(contact, BY_NAME["contacts.get"].model)
    )
    assert Group(group_id="gr:1", name="Sales", color="#00ff00") == structure(group, Group)


def test_a_contact_is_sent_as_its_fields_are_called() -> None:
    """The whole of a contact, each field once, under the vendor's name."""
    request: CreateContact = complete(CreateContact)

    assert [(one.name, getattr(request, one.name)) for one in fields_of(CreateContact)] == form(request)
