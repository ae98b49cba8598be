"""The quick way from a reply to a result: another speed, the same results."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async import sansio
from pidj_async._documented import ANOTHER_SHAPE, items_decoder, reply_decoder
from pidj_async._endpoint import Endpoint
from pidj_async.endpoints import BY_NAME, TABLE
from pidj_async.errors import APIError, ResponseError
from pidj_async.models import Model
from pidj_async.sansio import WireResponse, parse_response, parse_result
from pidj_async.testing import success

each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)

# Mostly what belongs into a field, now and then what does not.
values: st.SearchStrategy[Any] = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["success", None, "", True]),
    st.lists(st.text(max_size=3), max_size=3),
    st.integers() | st.floats() | st.booleans() | st.just([None]) | st.just({"a": "b"}),
)


def decode(row: Endpoint[Any], content: bytes) -> Any:
    return reply_decoder(row.model, row.envelope, row.renames, many=row.many)(content)


def outcome(parse: Callable[..., Any], row: Endpoint[Any], content: bytes, status_code: int = 200) -> Any:
    response = WireResponse(status_code=status_code, headers={}, content=content)
    try:
        return parse(row, response)
    except (APIError, ResponseError) as error:
        return type(error), str(error)


def slowly(row: Endpoint[Any], response: WireResponse) -> Any:
    return parse_response(row, response).result


def altered(content: Any, name: str, value: Any) -> Any:
    """A document with one field set, in whatever holds the model's fields."""
    document = copy.deepcopy(content)
    inner = next((one for one in document.values() if isinstance(one, (dict, list))), document)
    (inner[0] if isinstance(inner, list) else inner)[name] = value
    return document


@each_row
def test_a_reply_as_documented_goes_the_quick_way(row: Endpoint[Any]) -> None:
    """Which comes to what the other way comes to, down to the class and the pickle."""
    content = json.dumps(success(row)).encode()
    quick = decode(row, content)
    assert outcome(slowly, row, content) == quick
    assert repr(outcome(slowly, row, content)) == repr(quick)
    for one in quick if row.many else [quick]:
        assert type(one) is row.model
        assert one == pickle.loads(pickle.dumps(one)) == copy.deepcopy(one)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            one.extra = {}  # type: ignore[misc]


@each_row
@given(data=st.data())
def test_any_reply_comes_to_the_same_either_way(row: Endpoint[Any], data: st.DataObject) -> None:
    """Fields of any kind, fields without a name, a status of any kind: the same result or the same error."""
    names = [row.renames.get(field.name, field.name) for field in attrs.fields(row.model)]
    name = data.draw(st.sampled_from([*names, "code", "status", "message", "new_field"]))
    value = data.draw(values)
    reply: Any = success(row)
    document = data.draw(st.sampled_from([altered(reply, name, value), {**reply, name: value}]))
    content = json.dumps(document).encode()
    status_code = data.draw(st.sampled_from([200, 201, 299, 302, 404, 500]))

    assert repr(outcome(slowly, row, content, status_code)) == repr(outcome(parse_result, row, content, status_code))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xef\xbb\xbf{}",
        b'{"status":"success","message":"\xff"}',
        b'{"status":"success","message":"\\ud800"}',
        b'{"status":"failure","status":"success"}',
        b'{"status":"success","status":"failure"}',
        b'{"status":"success","message":null,"code":NaN}',
        b'{"status":"success","message":' + b"[" * 100_000,
    ],
)
def test_what_is_no_such_reply_comes_to_the_same_either_way(content: bytes) -> None:
    """No JSON, JSON that only `json` takes, and keys that are there twice."""
    row = BY_NAME["messages.send"]
    assert outcome(slowly, row, content) == outcome(parse_result, row, content)


def test_without_msgspec_there_is_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra: nothing but the speed depends on it."""
    monkeypatch.setattr(sansio, "_reply_decoder", lambda _: None)
    row = BY_NAME["contacts.list"]
    content = json.dumps(success(row)).encode()
    assert decode(row, content) == outcome(parse_result, row, content)


@pytest.mark.parametrize("content", [b"[{}", b'[{"id":1}]', b'[{"other":"x"}]', b"[1]", b'[{"id":"\xff"}]', b"[{}}]"])
def test_items_of_another_shape_are_told(content: bytes) -> None:
    """They are read the other way, so nothing may be guessed here."""
    with pytest.raises(ANOTHER_SHAPE):
        items_decoder(BY_NAME["contacts.list"].model, {})(content)


def test_fields_that_are_missing_or_null_have_their_defaults() -> None:
    """An id that is null is empty; tags that are null are none."""
    model: Any = BY_NAME["contacts.list"].model
    defaults: list[Model] = [model(), model(first_name="Jo", tags=("a",))]
    assert defaults == items_decoder(model, {})(b'[{"id":null,"tags":null},{"first_name":"Jo","tags":["a"]}]')
