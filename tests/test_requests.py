"""Calls as values: what their constructors take, and what they are good for."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import socket
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async import UNSET, InvalidRequestError, requests
from pidj_async._fields import FieldInfo, Request, fields_of
from pidj_async.requests import (
    CheckConsent,
    CreateContact,
    CreateSsoUrl,
    CreateUser,
    GetContact,
    GetContactByPhone,
    GetUser,
    InitiateSurvey,
    InitiateTask,
    SendConsentText,
    SendText,
    SubscribeToSeries,
    UpdateContact,
    UpdateUser,
)
from tests.valid import PASSWORD, PHONE, REQUESTS, complete, minimal, sample

BOTH = {"minimal": minimal, "complete": complete}
EACH = [(cls, field) for cls in REQUESTS for field in fields_of(cls)]


def params(wanted: Callable[[FieldInfo], bool] = lambda _: True) -> list[Any]:
    return [pytest.param(cls, field, id=f"{cls.__name__}.{field.name}") for cls, field in EACH if wanted(field)]


FIELDS = params()
OPTIONAL = params(lambda field: field.on_wire and not field.required)
REQUIRED = params(lambda field: field.required)
CLEARABLE = params(lambda field: field.clearable)
NOT_CLEARABLE = params(lambda field: field.on_wire and not field.required and not field.clearable)
PAIRS = [pytest.param(cls, *pair, id=f"{cls.__name__}-{pair[0]}") for cls in REQUESTS for pair in cls.exactly_one_of]
POSITIONAL = {
    "GetUser": ["user_id"],
    "UpdateUser": ["user_id"],
    "DeleteUser": ["user_id"],
    "RecoverUser": ["user_id"],
    "PauseUser": ["user_id"],
    "UnpauseUser": ["user_id"],
    "GetContact": ["contact_id"],
    "GetContactByPhone": ["phone_number"],
    "UpdateContact": ["contact_id"],
    "DeleteContact": ["contact_id"],
    "SendConsentText": ["contact_id", "group_id"],
    "CheckConsent": ["contact_id", "group_id"],
    "SubscribeToSeries": ["series_id"],
    "InitiateSurvey": ["survey_id"],
}

any_text = st.text(st.characters())  # lone surrogates too
phone_numbers = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)


def refusal(make: Callable[[], object]) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as raised:
        make()
    return raised.value


def changed(cls: type[Request[Any]], name: str, value: Any) -> Any:
    """The smallest request with one field as given, and the one that it excludes left out."""
    excluded = {other for pair in cls.exactly_one_of if name in pair for other in pair} - {name}
    return minimal(cls, **{name: value, **dict.fromkeys(excluded, UNSET)})


# ----------------------------------------------------------------------------------------------------------- fields


@pytest.mark.parametrize(("cls", "field"), FIELDS)
def test_every_field_takes_its_value(cls: type[Request[Any]], field: FieldInfo) -> None:
    """And keeps it as it was given."""
    assert sample(field.name) == getattr(changed(cls, field.name, sample(field.name)), field.name)


@pytest.mark.parametrize(("cls", "field"), FIELDS)
def test_every_field_refuses_what_is_no_value(cls: type[Request[Any]], field: FieldInfo) -> None:
    """By its own name."""
    assert field.name == refusal(lambda: changed(cls, field.name, object())).field


@pytest.mark.parametrize(("cls", "field"), OPTIONAL)
def test_a_field_that_is_left_out_is_unset(cls: type[Request[Any]], field: FieldInfo) -> None:
    """Whoever passes UNSET says the same."""
    needed = {one for pair in cls.exactly_one_of for one in pair}
    if field.name not in needed:
        assert getattr(minimal(cls), field.name) is UNSET
        assert minimal(cls) == minimal(cls, **{field.name: UNSET})


@pytest.mark.parametrize(("cls", "field"), REQUIRED)
@pytest.mark.parametrize("value", [None, UNSET])
def test_a_required_field_is_required(cls: type[Request[Any]], field: FieldInfo, value: Any) -> None:
    """None and UNSET are no values."""
    assert f"{field.name}: is required; got {value!r}" == str(refusal(lambda: changed(cls, field.name, value)))


@pytest.mark.parametrize(("cls", "field"), NOT_CLEARABLE)
def test_none_where_nothing_can_be_cleared_is_refused(cls: type[Request[Any]], field: FieldInfo) -> None:
    """There is nothing to remove from what is being created, and a password cannot be removed."""
    error = refusal(lambda: changed(cls, field.name, None))

    assert f"{field.name}: cannot be cleared; leave it out to keep it as it is; got None" == str(error)


def test_an_update_clears_what_can_be_cleared() -> None:
    """Everything but the id, and of a user the password."""
    clearable = {cls.__name__: {one.name for one in fields_of(cls) if one.clearable} for cls in REQUESTS}

    assert {"UpdateUser", "UpdateContact"} == {name for name, fields in clearable.items() if fields}
    assert {one.name for one in fields_of(UpdateUser)} - {"user_id", "password"} == clearable["UpdateUser"]
    assert {one.name for one in fields_of(UpdateContact)} - {"contact_id"} == clearable["UpdateContact"]


@pytest.mark.parametrize(("cls", "field"), CLEARABLE)
def test_none_clears(cls: type[Request[Any]], field: FieldInfo) -> None:
    """It is kept as None, which is neither a value nor left out."""
    assert getattr(changed(cls, field.name, None), field.name) is None


@pytest.mark.parametrize(("cls", "first", "second"), PAIRS)
def test_exactly_one_of_two_fields_is_given(cls: type[Request[Any]], first: str, second: str) -> None:
    """Neither and both are refused, either is taken."""
    neither = refusal(lambda: minimal(cls, **{first: UNSET}))
    both = refusal(lambda: minimal(cls, **{second: sample(second)}))

    assert f"{first}: give exactly one of {first} and {second}; got neither" == str(neither)
    assert f"{first}: give exactly one of {first} and {second}; got both" == str(both)
    assert sample(second) == getattr(changed(cls, second, sample(second)), second)


def test_the_pairs_are_the_vendors() -> None:
    """Which fields exclude each other."""
    sender = ("from_number", "group_id")

    assert {
        SendText: (sender,),
        CreateSsoUrl: (("user_uuid", "external_id"),),
        SubscribeToSeries: (("contact_id", "to_number"), sender),
        InitiateSurvey: (("contact_id", "to_number"), sender),
    } == {cls: cls.exactly_one_of for cls in REQUESTS if cls.exactly_one_of}


# ------------------------------------------------------------------------------------------------------- truncation

CUT = [
    pytest.param(SendText, "text_body", 1_600, "1,600", id="text_body"),
    pytest.param(InitiateTask, "topic", 3_200, "3,200", id="topic"),
]


@pytest.mark.parametrize(("cls", "name", "most", "_"), CUT)
def test_a_text_of_the_greatest_length_is_kept(cls: type[Request[Any]], name: str, most: int, _: str) -> None:
    """To the character."""
    assert "x" * most == getattr(minimal(cls, **{name: "x" * most}), name)


@pytest.mark.parametrize(("cls", "name", "most", "written"), CUT)
def test_a_longer_text_is_refused(cls: type[Request[Any]], name: str, most: int, written: str) -> None:
    """Pidj would cut it off without a word; the message says how to agree to that."""
    error = refusal(lambda: minimal(cls, **{name: "x" * (most + 1)}))

    assert (
        f"{name}: is {most + 1:,} characters long and Pidj cuts it off at {written}; shorten it, or pass truncate=True "
        f"to send the first {written}; got <{most + 1} characters>"
    ) == str(error)


@pytest.mark.parametrize(("cls", "name", "most", "_"), CUT)
def test_a_longer_text_is_cut_if_asked_for(cls: type[Request[Any]], name: str, most: int, _: str) -> None:
    """The value holds what will be sent, so a queue or a log shows it."""
    request = minimal(cls, **{name: "x" * most + "y", "truncate": True})

    assert "x" * most == getattr(request, name)
    assert request == attrs.evolve(request)


@pytest.mark.parametrize(("cls", "name", "most", "written"), CUT)
def test_a_text_that_is_blank_once_cut_is_refused(cls: type[Request[Any]], name: str, most: int, written: str) -> None:
    """Nothing would be left to send."""
    error = refusal(lambda: minimal(cls, **{name: " " * most + "y", "truncate": True}))

    assert f"is blank in its first {written} characters" == error.problem


@pytest.mark.parametrize("cls", [SendText, InitiateTask])
def test_truncate_alone_changes_nothing(cls: type[Request[Any]]) -> None:
    """It is a permission, not a wish; also where there is no topic at all."""
    plain, permitted = minimal(cls), minimal(cls, truncate=True)

    assert plain == attrs.evolve(permitted, truncate=False)


# ----------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("make", BOTH.values(), ids=BOTH)
@pytest.mark.parametrize("cls", REQUESTS)
def test_a_request_is_a_value(cls: type[Request[Any]], make: Callable[..., Any]) -> None:
    """Equal if its fields are, fit to be a key, and itself again after pickling or copying."""
    request = make(cls)

    assert request == make(cls)
    assert 1 == len({request, make(cls)})
    for again in (copy.copy(request), copy.deepcopy(request), pickle.loads(pickle.dumps(request))):
        assert (request, hash(request), repr(request)) == (again, hash(again), repr(again))


@pytest.mark.parametrize(("cls", "field"), FIELDS)
def test_a_request_is_frozen(cls: type[Request[Any]], field: FieldInfo) -> None:
    """What was checked stays what it was."""
    request = minimal(cls)

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(request, field.name, sample(field.name))
    with pytest.raises((AttributeError, TypeError)):
        request.another = 1


def test_requests_of_different_calls_are_never_equal() -> None:
    """Pausing somebody is not deleting them."""
    by_id = [complete(cls) for cls in REQUESTS if [one.name for one in fields_of(cls)] == ["user_id"]]

    assert 5 == len(by_id) == len(set(by_id))


def test_a_change_makes_a_checked_copy() -> None:
    """``attrs.evolve`` goes through the same checks."""
    request = minimal(SendText)

    assert "Bye" == attrs.evolve(request, text_body="Bye").text_body
    assert "to_number" == refusal(lambda: attrs.evolve(request, to_number="1")).field


def test_a_list_given_is_not_the_list_kept() -> None:
    """Changing it afterwards changes no request."""
    groups = ["Sales"]
    request = CreateUser(username="jo", password=PASSWORD, groups=groups)
    groups.append("Support")

    assert ("Sales",) == request.groups


def test_a_repr_shows_numbers_masked_texts_by_length_and_no_password() -> None:
    """As it may stand in any log."""
    text = SendText(to_number=PHONE, text_body="Your results are in.", group_id="gr:1")
    user = CreateUser(username="jo", password=PASSWORD, phone_number=PHONE)
    update = UpdateContact("co:1", phone_number=None, first_name=PHONE)

    assert (
        "SendText(to_number='+188******22', text_body=<20 characters>, from_number=UNSET, group_id='gr:1', "
        "truncate=False)"
    ) == repr(text)
    assert repr(user).startswith("CreateUser(username='jo', phone_number='+188******22', email_address=UNSET")
    assert "password" not in repr(user)
    assert repr(update).startswith("UpdateContact(contact_id='co:1', phone_number=None, email_address=UNSET, first_nam")
    assert PHONE not in repr(update)


# ------------------------------------------------------------------------------------------------------- signatures


def test_the_natural_first_arguments_are_positional_and_nothing_else_is() -> None:
    """``GetContact("co:…")``, ``CheckConsent("co:…", "gr:…")``; everything else by keyword."""
    positional = {
        cls.__name__: [
            one.name
            for one in inspect.signature(cls).parameters.values()
            if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ]
        for cls in REQUESTS
    }

    assert POSITIONAL == {name: names for name, names in positional.items() if names}


def test_positional_and_keyword_arguments_make_the_same_request() -> None:
    """Ids go by either."""
    assert GetContact("co:1") == GetContact(contact_id="co:1")
    assert CheckConsent("co:1", "gr:1") == CheckConsent(contact_id="co:1", group_id="gr:1")
    assert SendConsentText("co:1", "gr:1") == SendConsentText(contact_id="co:1", group_id="gr:1")


def test_an_id_of_the_wrong_kind_is_refused() -> None:
    """The commonest mistake, and the two ids of a consent in the wrong order."""
    assert "user_id: must be the id of a user, which begins with 'us:'; got 'co:1'" == str(
        refusal(lambda: GetUser("co:1"))
    )
    assert "contact_id" == refusal(lambda: CheckConsent("gr:1", "co:1")).field


def test_a_number_where_an_id_belongs_is_masked() -> None:
    """``GetContact`` takes no number; ``GetContactByPhone`` does."""
    error = refusal(lambda: GetContact(PHONE))

    assert "contact_id: must be the id of a contact, which begins with 'co:'; got '+188******22'" == str(error)
    assert PHONE == GetContactByPhone(PHONE).phone_number


@pytest.mark.parametrize("cls", REQUESTS)
def test_an_unknown_argument_is_a_type_error(cls: type[Request[Any]]) -> None:
    """As for any function."""
    with pytest.raises(TypeError, match="nickname"):
        minimal(cls, nickname="x")


@pytest.mark.parametrize("cls", REQUESTS)
def test_a_constructor_does_no_io(cls: type[Request[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, no event loop; a request can be made anywhere."""

    def forbidden(*_: object, **__: object) -> None:
        pytest.fail("I/O in a constructor")

    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr(asyncio, "get_event_loop", forbidden)

    assert complete(cls) == complete(cls)


def test_every_class_is_exported() -> None:
    """24 calls, 24 classes."""
    defined = {name for name, one in vars(requests).items() if isinstance(one, type) and issubclass(one, Request)} - {
        "Request"
    }

    assert defined == set(requests.__all__)
    assert 24 == len(defined)


# ------------------------------------------------------------------------------------------------------- properties


@given(data=st.data())
@pytest.mark.parametrize("cls", [cls for cls in REQUESTS if fields_of(cls)])
def test_any_text_in_any_field_is_taken_or_refused_and_never_told(cls: type[Request[Any]], data: st.DataObject) -> None:
    """Nothing but `InvalidRequestError`, no password and no whole phone number in it or in the repr."""
    field = data.draw(st.sampled_from(fields_of(cls)))
    number = data.draw(phone_numbers)
    text = data.draw(st.one_of(any_text, st.tuples(any_text, st.just(number), any_text).map("".join)))
    value = [text] if field.kind.multiple else text

    culprit = field.name
    try:
        told = repr(changed(cls, field.name, value))
    except InvalidRequestError as error:
        told, culprit = f"{error}{error!r}{error.value}", error.field

    assert field.name == culprit
    assert number not in told
    assert told.isprintable()
    if field.kind.secret and len(text) > 8:
        assert text not in told


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.binary(),
        any_text,
        st.just(UNSET),
        st.dates(),
        st.builds(object),
    ),
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner), st.dictionaries(any_text, inner), st.lists(inner).map(iter)
    ),
    max_leaves=5,
)


@given(data=st.data())
@pytest.mark.parametrize("cls", [cls for cls in REQUESTS if fields_of(cls)])
def test_anything_in_any_field_is_taken_or_refused(cls: type[Request[Any]], data: st.DataObject) -> None:
    """Whatever its type, the caller sees `InvalidRequestError` and nothing else."""
    field = data.draw(st.sampled_from(fields_of(cls)))

    value = data.draw(anything)
    try:
        request = changed(cls, field.name, value)
    except InvalidRequestError:
        return

    assert request == attrs.evolve(request)
    assert hash(request) == hash(attrs.evolve(request))


@given(password=st.text(st.characters(codec="utf-8"), min_size=9), other=any_text)
def test_a_password_is_in_no_error_of_its_request(password: str, other: str) -> None:
    """Whichever field is wrong."""
    for make in (
        lambda: CreateUser(username=other, password=password, phone_number=other),
        lambda: UpdateUser(other, password=password),
        lambda: CreateUser(username="jo", password=[password]),  # type: ignore[arg-type]
    ):
        try:
            told = repr(make())
        except InvalidRequestError as error:
            told = f"{error}{error!r}{vars(error)}"
        assert password not in told or password in other or not password.strip()


def test_a_contact_is_made_of_two_address_blocks() -> None:
    """The same six fields for home and for business, in the same order."""
    names = [one.name for one in fields_of(CreateContact)]
    home = [name.removeprefix("home_") for name in names if name.startswith("home_")]

    assert ["street_1", "street_2", "city", "state", "postal", "country"] == home
    assert [f"business_{name}" for name in home] == names[-6:]
