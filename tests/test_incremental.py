"""A reply that is read piece by piece means what it means as a whole."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pidj_async import models
from pidj_async.endpoints import BY_NAME
from pidj_async.errors import APIError, PidjError, RefusedError, ResponseError
from pidj_async.incremental import LARGEST_VALUE, ItemReader
from pidj_async.sansio import WireResponse, parse_response

ROW = BY_NAME["contacts.list"]
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
JSON_TYPE = {"content-type": "application/json"}

both_ways = pytest.mark.parametrize("quick", [True, False], ids=["quick", "exact"])


def reader_of(status_code: int = 200, *, quick: bool = True) -> ItemReader[models.Contact]:
    reader: ItemReader[models.Contact] = ItemReader(ROW, status_code=status_code, headers=JSON_TYPE)
    if not quick:
        reader._decode_quickly = None
    return reader


def cut(content: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(content), *(place % (len(content) + 1) for place in cuts)})
    return [content[start:end] for start, end in pairwise(places)]


def piecewise(
    pieces: list[bytes], status_code: int = 200, *, quick: bool = True
) -> tuple[list[models.Contact], PidjError | None]:
    """What was handed over, and the error in the end."""
    reader = reader_of(status_code, quick=quick)
    items: list[models.Contact] = []
    try:
        for piece in pieces:
            items += reader.feed(piece)
        items += reader.finish(NOW)
    except (APIError, ResponseError) as error:
        return items, error
    return items, None


def at_once(content: bytes, status_code: int = 200) -> tuple[list[models.Contact], PidjError | None]:
    response = WireResponse(status_code=status_code, headers=JSON_TYPE, content=content)
    try:
        return [*parse_response(ROW, response, now=NOW).result], None
    except (APIError, ResponseError) as error:
        return [], error


def said(error: PidjError | None) -> Any:
    return None if error is None else (type(error), str(error), vars(error) | {"body": None})


# ------------------------------------------------------------------------------------------------ any reply, any pieces

NAMES = ["id", "first_name", "phone_number", "tags", "external_id", "new", "},{", '"', "\\", "contacts", "é😀"]

texts = st.text(max_size=5) | st.sampled_from(["},{", "}]}", '"},{"', "\\", "é😀", "],", "\\ud800", "\x00", "NaN"])
leaves = st.one_of(texts, st.none(), st.booleans(), st.integers(), st.floats(), st.lists(texts, max_size=3))
nested = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
contacts = st.dictionaries(st.sampled_from(NAMES[:5]), texts | st.none() | st.just([]) | st.just(["vip"]), max_size=5)
odd_contacts = st.dictionaries(st.sampled_from(NAMES), nested, max_size=5)
lists: st.SearchStrategy[Any] = st.one_of(
    st.lists(contacts, max_size=6),
    st.lists(contacts | odd_contacts, max_size=6),
    st.dictionaries(st.integers(0, 9).map(str), contacts, max_size=4),
    st.lists(contacts | nested, max_size=3),
    nested,
)
around = st.lists(
    st.one_of(
        st.tuples(st.just("status"), st.sampled_from(["success", "error", "failure", "Queued", None, 1])),
        st.tuples(st.just("code"), st.sampled_from([200, "200", 401, 429, 500, None])),
        st.tuples(st.just("message"), texts | st.none()),
        st.tuples(st.sampled_from(["total", "pages", ""]), nested),
    ),
    max_size=4,
)


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    document = dict(draw(around))
    if draw(st.integers(0, 9)):
        document["contacts"] = draw(lists)
    document |= {name: value for name, value in draw(around) if name not in document}
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n")]))
    text = json.dumps(document, separators=separators, indent=draw(st.sampled_from([None, None, 1])))
    if draw(st.booleans()):
        readable = json.dumps(document, separators=separators, ensure_ascii=False)
        text = readable if "\\ud800" not in text else text
    if draw(st.booleans()):
        text = text.replace("/", "\\/")  # as PHP writes it
    start = draw(st.sampled_from(["", "", "", "\ufeff", " \r\n"]))
    return (start + text + draw(st.sampled_from(["", "", "\n \t"]))).encode("utf-8", "surrogatepass")


cuts = st.lists(st.integers(0, 10_000), max_size=12)


@both_ways
@given(content=replies(), places=cuts, status_code=st.sampled_from([200, 200, 200, 201, 302, 401, 429, 500]))
def test_pieces_mean_what_the_whole_means(content: bytes, places: list[int], status_code: int, *, quick: bool) -> None:
    """The same contacts, or the same error with the same words; the body of an error lacks the contacts alone."""
    items, error = piecewise(cut(content, places), status_code, quick=quick)
    whole, expected = at_once(content, status_code)

    assert said(expected) == said(error)
    if error is None:
        assert repr(whole) == repr(items)


@both_ways
@given(content=replies())
def test_byte_by_byte_is_no_different(content: bytes, *, quick: bool) -> None:
    """Every character that is more than a byte is cut in two somewhere."""
    items, error = piecewise([bytes([byte]) for byte in content], quick=quick)
    whole, expected = at_once(content)

    assert said(expected) == said(error)
    if error is None:
        assert repr(whole) == repr(items)


@both_ways
@given(content=replies(), places=cuts, end=st.integers(1, 10_000))
def test_a_reply_that_is_cut_off_is_never_a_short_list(
    content: bytes, places: list[int], end: int, *, quick: bool
) -> None:
    """However many contacts were handed over before."""
    content = content.rstrip()
    content = content[: max(len(content) - end, 0)]
    _, error = piecewise(cut(content, places), quick=quick)
    assert type(at_once(content)[1]) is type(error) is ResponseError


@both_ways
@given(content=replies(), places=cuts, at=st.integers(0, 10_000), garbage=st.binary(max_size=3))
@example(content=b'{"contacts":[{}]}', places=[], at=16, garbage=b"]")
@example(content=b'{"contacts":[{}]}', places=[], at=15, garbage=b",")
@example(content=b'{"contacts":[{}]}', places=[], at=17, garbage=b"}")
@example(content=b'{"contacts":[{}]}', places=[], at=1, garbage=b",")
@example(content=b'{"contacts":[{}]}', places=[], at=11, garbage=b":")
def test_damage_is_noticed(content: bytes, places: list[int], at: int, garbage: bytes, *, quick: bool) -> None:
    """Bytes that do not belong there are an error if they are one in the whole, and change nothing if they do not."""
    at %= len(content) + 1
    content = content[:at] + garbage + content[at:]
    if content.count(b'"contacts"') > 1:
        return  # of which `json` takes the last
    items, error = piecewise(cut(content, places), quick=quick)
    whole, expected = at_once(content)
    assert type(expected) is type(error)
    if error is None:
        assert repr(whole) == repr(items)


# ------------------------------------------------------------------------------------------------------ what comes when


def body_of(count: int, **around: Any) -> bytes:
    people = [{"id": f"co:{number}", "first_name": "Jo", "tags": ["a"]} for number in range(count)]
    return json.dumps({"code": 200, "status": "success", **around, "contacts": people}, separators=(",", ":")).encode()


@both_ways
def test_contacts_come_before_the_reply_is_whole(*, quick: bool) -> None:
    """Half the reply holds half the contacts, but for the one that is cut in two."""
    body = body_of(1_000)
    reader = reader_of(quick=quick)
    half = len(reader.feed(body[: len(body) // 2]))
    assert 498 <= half <= 500
    assert 1_000 == half + len(reader.feed(body[len(body) // 2 :])) + len(reader.finish())


@both_ways
def test_a_refusal_in_front_lets_no_contact_through(*, quick: bool) -> None:
    """They stand in a reply that says no."""
    content = body_of(50).replace(b'"success"', b'"error"')
    items, error = piecewise(cut(content, range(0, len(content), 100)), quick=quick)
    assert ([], RefusedError) == (items, type(error))


@both_ways
def test_a_refusal_behind_is_still_one(*, quick: bool) -> None:
    """The contacts have been handed over by then; that there was a refusal is not hidden."""
    content = body_of(50).replace(b'"status":"success",', b"")[:-1] + b',"status":"error"}'
    items, error = piecewise(cut(content, range(0, len(content), 100)), quick=quick)
    assert (50, RefusedError) == (len(items), type(error))


@both_ways
def test_what_misfits_is_told_after_what_fits(*, quick: bool) -> None:
    """In the words of `contacts.list`; what comes after it is handed over no more."""
    content = body_of(3).replace(b'{"id":"co:1","first_name":"Jo","tags":["a"]}', b"17")
    items, error = piecewise([content], quick=quick)
    assert (["co:0"], said(at_once(content)[1])) == ([one.id for one in items], said(error))
    assert "not an array of objects" in str(error)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"contacts":[],"status":"success","contacts":[{}]}', "it has 'contacts' twice"),
        (b'{"status":"error","contacts":[{}],"status":"success"}', "it contradicts itself"),
    ],
)
def test_a_reply_that_says_two_things_is_an_error(content: bytes, problem: str) -> None:
    """Read as a whole the last word counts; piece by piece it comes too late."""
    items, error = piecewise([content])
    assert (0, ResponseError) == (len(items), type(error))
    assert problem in str(error)


# ------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize(
    "beginning",
    [b"", b" ", b'{"message":"', b'{"contacts":[', b'{"contacts":[{"id":"', b'{"contacts":[]', b"<html>", b'{"a":1,'],
)
@pytest.mark.parametrize("filler", [b" ", b"x", b"[", b'"%b":1,' % (b"a" * 100)])
def test_what_does_not_end_is_given_up(beginning: bytes, filler: bytes) -> None:
    """Whatever a server sends for ever, no more than some megabytes of it are kept."""
    reader = reader_of()
    piece = filler * (65_536 // len(filler))
    tracemalloc.start()
    try:
        with pytest.raises(ResponseError):
            feed_for_ever(reader, beginning, piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * LARGEST_VALUE


def feed_for_ever(reader: ItemReader[Any], beginning: bytes, piece: bytes) -> None:
    reader.feed(beginning)
    for _ in range(10 * LARGEST_VALUE // len(piece)):
        reader.feed(piece)


@both_ways
def test_what_was_handed_over_is_not_kept(*, quick: bool) -> None:
    """Ten thousand contacts, in the memory of one piece."""
    body = body_of(10_000)
    reader = reader_of(quick=quick)
    tracemalloc.start()
    try:
        count = sum(len(reader.feed(body[start : start + 4_096])) for start in range(0, len(body), 4_096))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 10_000 == count + len(reader.finish())
    assert peak < 200_000


def test_one_large_contact_is_read() -> None:
    """It is tried again only now and then, or else reading it would take time quadratic in its size."""
    large = json.dumps({"contacts": [{"id": "co:1", "notes": "x" * 4_000_000}]}).encode()
    items, error = piecewise(cut(large, range(0, len(large), 4_096)))
    assert (["co:1"], None) == ([one.id for one in items], error)
