"""The table, against a second one that was typed from the vendor's document by itself."""

from __future__ import annotations

import re
from typing import Any

import attrs
import docstring_parser
import pytest

from pidj_async import models, requests
from pidj_async._endpoint import Endpoint
from pidj_async._fields import Request
from pidj_async.endpoints import BY_NAME, TABLE, endpoint_of
from tests.valid import complete

# name, verb, path, key of the result and whether it is an array, fields, safe to repeat.
# "!" is required, "?" optional, "^" between two of which exactly one is given; those in the path come first.
DOCUMENT = """
messages.send              POST   /send                                        -          -  to_number! text_body! from_number^ group_id^
tasks.initiate             POST   /task/initiate                               task       -  channel! group_id? subject? topic? name? email_address? phone_number?
users.get                  GET    /user/{user_id}                              user       +  user_id!
users.create               POST   /user                                        id         -  username! password! phone_number? email_address? first_name? last_name? roles? groups? timezone? external_id?
users.update               PUT    /user/{user_id}                              -          +  user_id! password? phone_number? email_address? first_name? last_name? roles? groups? timezone? external_id?
users.delete               DELETE /user/{user_id}                              -          +  user_id!
users.recover              PUT    /user/{user_id}/recover                      -          +  user_id!
users.pause                POST   /user/{user_id}/pause                        paused     +  user_id!
users.unpause              POST   /user/{user_id}/unpause                      paused     +  user_id!
sso.create_url             POST   /sso/url                                     url        +  user_uuid^ external_id^ next?
contacts.get               GET    /contact/{contact_id}                        contact    +  contact_id!
contacts.get_by_phone      GET    /contact/by-phone/{phone_number}             contact    +  phone_number!
contacts.create            POST   /contact                                     id         +  phone_number! email_address? first_name? last_name? business_name? display_name? group? timezone? external_id? ADDRESSES
contacts.update            PUT    /contact/{contact_id}                        -          +  contact_id! phone_number? email_address? first_name? last_name? business_name? display_name? group? timezone? ADDRESSES
contacts.delete            DELETE /contact/{contact_id}                        -          +  contact_id!
contacts.send_consent_text POST   /contact/send-consent-text                   -          +  contact_id! group_id!
contacts.check_consent     GET    /contact/{contact_id}/{group_id}/check-consent needed   +  contact_id! group_id!
contacts.list              GET    /contacts                                    contacts[] +
groups.list                GET    /groups                                      groups[]   +
series.subscribe           POST   /series/subscribe                            -          -  series_id! timezone! contact_id^ to_number^ from_number^ group_id^
series.list                GET    /series                                      series[]   +
surveys.initiate           POST   /survey/initiate                             -          -  survey_id! contact_id^ to_number^ from_number^ group_id^
surveys.list               GET    /surveys                                     surveys[]  +
check_authorization        GET    /authorization-check                         -          +
"""  # noqa: E501  a table
ADDRESS = ["street_1?", "street_2?", "city?", "state?", "postal?", "country?"]
ADDRESSES = " ".join(f"{block}_{line}" for block in ("home", "business") for line in ADDRESS)
EXPECTED = [line.replace("ADDRESSES", ADDRESSES).split() for line in DOCUMENT.strip().splitlines()]

each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


def described(row: Endpoint[Any]) -> list[str]:
    """A row as the second table writes it."""
    exclusive = {name for pair in row.request.exactly_one_of for name in pair}
    fields = [
        one.name + ("!" if one.required else "^" if one.name in exclusive else "?")
        for one in row.fields()
        if one.on_wire
    ]
    required = [row.renames.get(one.name, one.name) for one in attrs.fields(row.model) if one.default is attrs.NOTHING]
    key = f"{row.envelope}[]" if row.many else row.envelope or (required[0] if required else "-")
    if row.model is models.PauseState:
        key = "paused"  # read if it is there
    return [row.name, row.method, row.path, key, "+" if row.safe_to_repeat else "-", *fields]


def test_the_table_is_the_vendors() -> None:
    """24 calls: names, verbs, paths, keys, fields, and what may be repeated, in the vendor's order."""
    assert 24 == len(EXPECTED)
    assert EXPECTED == [described(row) for row in TABLE]


def test_what_must_not_be_repeated() -> None:
    """A second text, task, user, subscription or survey cannot be taken back."""
    assert {"messages.send", "tasks.initiate", "users.create", "series.subscribe", "surveys.initiate"} == {
        row.name for row in TABLE if not row.safe_to_repeat
    }


def test_the_exceptions_of_the_table() -> None:
    """One renamed field, one secret reply, one call with a second verb."""
    assert {"tasks.initiate": {"id": "task"}} == {row.name: dict(row.renames) for row in TABLE if row.renames}
    assert ["sso.create_url"] == [row.name for row in TABLE if row.secret_reply]
    assert {"check_authorization": ("POST",)} == {row.name: row.also for row in TABLE if row.also}


def test_nothing_stands_in_the_table_twice() -> None:
    """Neither a name, nor a request class, nor a verb with a path."""
    for values in (
        [row.name for row in TABLE],
        [row.request for row in TABLE],
        [(row.method, re.sub(r"\{\w+\}", "{}", row.path)) for row in TABLE],
    ):
        assert len(TABLE) == len(set(values))


def test_every_request_and_every_model_is_in_the_table() -> None:
    """None is made for nothing."""
    assert set(requests.__all__) == {row.request.__name__ for row in TABLE}
    assert set(models.__all__) - {"Model"} == {row.model.__name__ for row in TABLE}


@each_row
def test_a_row_says_what_its_request_returns(row: Endpoint[Any]) -> None:
    """The type parameter of the request, for type checkers, is the model of the row."""
    (base,) = row.request.__orig_bases__  # type: ignore[attr-defined]
    (result,) = base.__args__

    assert (tuple[row.model, ...] if row.many else row.model) == result  # type: ignore[name-defined]


@each_row
def test_a_row_is_consistent(row: Endpoint[Any]) -> None:
    """A body only where a verb has one; fields in the path or in the form, never both; an array has a key."""
    in_form = [field.name for field in row.form_fields]

    assert row.has_body is bool(in_form)
    assert not row.has_body or row.method in {"POST", "PUT"}
    assert {field.name for field in row.fields() if field.on_wire} == {*row.path_fields, *in_form}
    assert len(row.path_fields) + len(in_form) == len({*row.path_fields, *in_form})
    assert row.envelope is not None or not row.many
    assert set(row.renames) <= {field.name for field in attrs.fields(row.model)}
    assert row.path.startswith("/")
    assert not row.path.endswith("/")


@each_row
def test_a_rows_name_is_its_place_in_code(row: Endpoint[Any]) -> None:
    """``contacts.get`` is ``pidj.contacts.get``."""
    parts = [row.namespace, row.method_name] if row.namespace else [row.method_name]

    assert row.name == ".".join(parts)
    assert all(part.isidentifier() for part in parts)


@each_row
def test_a_row_is_found_by_its_name_and_by_its_request(row: Endpoint[Any]) -> None:
    """Either leads to the same row."""
    assert row is BY_NAME[row.name]
    assert row is endpoint_of(complete(row.request))


def test_what_is_no_request_of_the_api_has_no_row() -> None:
    """Also a subclass of one: it may have other fields."""

    class Mine(requests.GetUser):
        pass

    for stranger in (Mine("us:1"), object(), requests.GetUser):
        with pytest.raises(TypeError, match=r"is no request of the Pidj API; see pidj_async.requests"):
            endpoint_of(stranger)  # type: ignore[arg-type]


def test_the_rows_cannot_be_changed() -> None:
    """Neither the table nor a row."""
    with pytest.raises(TypeError):
        BY_NAME["messages.send"] = TABLE[1]  # type: ignore[index]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        TABLE[0].safe_to_repeat = True  # type: ignore[misc]


@pytest.mark.parametrize("path", ["/user/{id}", "/user/{user_id}/{first_name}"])
def test_a_path_is_made_of_required_fields(path: str) -> None:
    """A row that could not be written into a URL is refused when it is made."""
    with pytest.raises(TypeError, match=r"^users.update: \['\w+'\] of the path are no required fields of UpdateUser$"):
        Endpoint(
            name="users.update",
            method="PUT",
            path=path,
            request=requests.UpdateUser,
            model=models.Confirmation,
            safe_to_repeat=True,
        )


@each_row
def test_each_argument_is_explained_exactly_once(row: Endpoint[Any]) -> None:
    """In the order of the constructor; the help and the reference are made from it."""
    explained = docstring_parser.parse(row.request.__doc__ or "")

    assert [field.name for field in row.fields()] == [one.arg_name for one in explained.params]
    assert [] == [one.arg_name for one in explained.params if not (one.description or "").endswith(".")]
    assert (explained.short_description or "").endswith(".")


@pytest.mark.parametrize("name", ["user_id", "contact_id", "to_number", "from_number", "series_id", "survey_id"])
def test_an_id_or_a_number_is_explained_with_how_it_begins(name: str) -> None:
    """Whoever reads the help need not look up what a ``co:`` is."""
    for row in TABLE:
        for one in docstring_parser.parse(row.request.__doc__ or "").params:
            if one.arg_name == name:
                assert re.search(r"``\w\w:…``|E\.164", one.description or "")


def test_a_request_knows_nothing_of_the_wire() -> None:
    """Verbs and paths stand in the table and nowhere else."""
    assert [] == [cls for cls in Request.__subclasses__() if {"method", "path"} & set(vars(cls))]
