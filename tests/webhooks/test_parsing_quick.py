"""The quick way through `parse_event`: another speed, the same events."""

from __future__ import annotations

import copy
import json
import pickle
import random
import sys
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings

from pidj_async import webhooks
from pidj_async.errors import InvalidPayloadError
from pidj_async.webhooks import EVENT_TYPES, Contact, Event, Group, Interaction, OptedOut, Text, parse_event, sample
from pidj_async.webhooks import parsing as parsing_module
from pidj_async.webhooks._documented import ANOTHER_SHAPE, decode_documented
from pidj_async.webhooks.parsing import decode, read_event
from pidj_async.webhooks.shapes import unnamed_fields

from .strategies import bodies, mutate

if TYPE_CHECKING:
    from collections.abc import Callable

NINE = list(EVENT_TYPES)


def body_of(name: str, **overrides: Any) -> bytes:
    return json.dumps(sample(name, **overrides)).encode()


def slowly(body: bytes | str) -> Event:
    """Read a body as it is read where msgspec is not installed."""
    return read_event(decode(body))


def outcome(read: Callable[[Any], Event], body: bytes | str) -> Event | str:
    try:
        return read(body)
    except InvalidPayloadError as error:
        return str(error)


def is_quick(body: bytes | str) -> bool:
    try:
        decode_documented(body)
    except ANOTHER_SHAPE:
        return False
    return True


def values_in(value: Any) -> list[Any]:
    """List an event and the values inside it."""
    inner = [getattr(value, field.name) for field in attrs.fields(type(value))]
    parts = [part for part in inner if isinstance(part, (Contact, Group, Interaction, Text))]
    return [value, *(found for part in parts for found in values_in(part))]


def check_both_ways(body: bytes | str) -> None:
    """Both ways lead to the same event, down to the types, or to the same refusal."""
    expected, actual = outcome(slowly, body), outcome(parse_event, body)
    assert expected == actual
    if isinstance(actual, Event) and isinstance(expected, Event):
        assert [type(value) for value in values_in(expected)] == [type(value) for value in values_in(actual)]
        assert repr(expected) == repr(actual)
        assert hash(expected) == hash(actual)
        assert json.dumps(expected.raw) == json.dumps(actual.raw)
        assert json.dumps(expected.extra) == json.dumps(actual.extra)
        assert unnamed_fields(expected) == unnamed_fields(
            actual
        )  # which looks into the one, and need not into the other


# --- which way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NINE)
def test_what_the_vendor_documents_goes_the_quick_way(name: str) -> None:
    """A sample of each event is decoded directly, and is the event that the other way makes of it."""
    assert is_quick(body_of(name))
    check_both_ways(body_of(name))


@pytest.mark.parametrize("name", NINE)
def test_an_event_with_nothing_in_it_goes_the_quick_way(name: str) -> None:
    """So does the name alone, and an object or a tag list that is null or empty."""
    rests: tuple[dict[str, Any], ...] = (
        {},
        {"contact": None},
        {"contact": {}},
        {"contact": {"tags": None}},
        {"contact": {"tags": []}},
    )
    for rest in rests:
        if not rest or name != "text-received":
            assert is_quick(json.dumps({"event": name, **rest}))
        check_both_ways(json.dumps({"event": name, **rest}))


@pytest.mark.parametrize(
    "body",
    [
        body_of("opt-out", nickname="Jo"),
        body_of("opt-out", contact={"nickname": "Jo"}),
        body_of("text-received", text={"group": {"colour": None}}),
        body_of("opt-out", phone=18885553333),
        body_of("opt-out", phone_number="+18885553333"),
        body_of("contact-created", contact={"id": "co:1"}),
        body_of("contact-created", contact={"tags": {"0": "a"}}),
        body_of("contact-created", contact={"tags": ["a", None]}),
        body_of("contact-created", contact=[]),
        body_of("contact-created", contact={"first_name": "\ud800"}),
        body_of("contact-created", contact={"first_name": "\udc00\ud800"}),
        body_of("interaction-closed", interaction={"at": 1e308}),
        body_of("interaction-closed", interaction={"closed_by": None}),
        body_of("interaction-closed", interaction={"contact": {"uuid": "co:1"}}),
        b"\xef\xbb\xbf" + body_of("opt-out"),
        "\ufeff" + body_of("opt-out").decode(),
        '{"event": "opt-out", "phone": "\ud800"}',
        b'{"event": "opt-out", "phone": "\xed\xa0\x80"}',
        b'{"\xff": 1, "event": "opt-out"}',
        b'{"event": "opt-out", "n": NaN}',
        b'{"n": NaN, "event": "opt-out"}',
        b'{"n": 1e999, "event": "opt-out"}',
        b'{"n": %s, "event": "opt-out"}' % (b"9" * 2_000),
        b'{"n": %s%s, "event": "opt-out"}' % (b"[" * 500_000, b"]" * 500_000),
        b'{"n": %s' % (b'{"event":' * 100_000),
        b'{"event": "opt-in", "event": "opt-out"}',
        b'{"event": "opt-out", "event": "opt-in", "text": {"message": 7}}',
        b'{"event": "text-delivered"}',
        b'{"event": "opt-out"} {}',
        b'{"event": "opt-out",}',
        b"[]",
        b"",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_surprising_goes_the_other_way(body: bytes | str) -> None:
    """Another name, type, spelling or encoding, or no event at all: what it comes to is what it always came to."""
    assert not is_quick(body)
    check_both_ways(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"phone": "+1", "event": "opt-out", "phone": "+2", "event": "opt-out"}',
        b'{"event": "contact-created", "contact": {"uuid": "co:1"}, "contact": {"phone": "+1"}}',
        b'{"event": "contact-created", "contact": {"uuid": "co:1"}, "contact": null}',
        b'{"event": "contact-created", "contact": {"uuid": "co:1", "uuid": null}}',
        b'{"event": "opt-out", "interaction": {"a": "1", "uuid": "ci:1", "a": "2", "uuid": "ci:2"}}',
    ],
)
def test_of_repeated_keys_the_last_one_counts_either_way(body: bytes) -> None:
    """At each level, and for whole objects, of which nothing is merged."""
    assert is_quick(body)
    check_both_ways(body)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ({"uuid": "ci:1", "at": "noon"}, Interaction(id="ci:1", extra={"at": "noon"})),
        ({"id": "ci:1"}, Interaction(id="ci:1")),
        ({"uuid": "ci:1", "id": "ci:2"}, Interaction(id="ci:1", extra={"id": "ci:2"})),
        ({"group": "gr:1", "at": "noon"}, Interaction(extra={"group": "gr:1", "at": "noon"})),
        ({"extra": "a", "raw": "b"}, Interaction(extra={"extra": "a", "raw": "b"})),
        ({}, Interaction()),
    ],
)
def test_an_interaction_may_have_any_texts(wire: dict[str, str], expected: Interaction) -> None:
    """Nobody knows its fields, so unnamed texts do not turn it away."""
    body = json.dumps({"event": "interaction-closed", "interaction": wire})
    assert is_quick(body)
    assert expected == parse_event(body).interaction  # type: ignore[attr-defined]
    check_both_ways(body)


# --- anything at all ----------------------------------------------------------------------------------------------


_TEXTS = (
    '"Zo\u00eb"', '"\\u0041\\u00eb"',
    '"\\ud83d\\ude00"', '"\U0001f600"', '"\\u0000"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '""',
    '" "', '"opt-out"', '"+18885553333"', '"\x7f\u2028"', f'"{"x" * 3_000}"',
)  # fmt: skip
_ODD = (
    "1", "-0", "1.5", "true", "[]", "{}", '"\\ud800"', '"\\ud800\\u0041"', "NaN", '"\t"', "[[null]]", '"\\x"', "nul",
    "1e400", '["a"]', '{"0": "a"}',
)  # fmt: skip
_CONTACT = "uuid first_name last_name business_name display_name email_address phone phone_office timezone".split()
_SPARE = ("id", "group_id", "phone_number", "nickname", "event", "raw", "")


def _pairs(rng: random.Random, pairs: list[tuple[str, str]]) -> str:
    """Encode an object: shuffled, with repetitions, omissions, spaces, escapes and now and then a surprise."""
    kept = [pair for pair in pairs if rng.random() < 0.8]
    kept += rng.choices(pairs, k=rng.randrange(2))
    if rng.random() < 0.05:
        kept.append((rng.choice(_SPARE), rng.choice(_TEXTS + _ODD)))
    if kept and rng.random() < 0.05:
        kept.append((rng.choice(kept)[0], rng.choice(_ODD)))
    if rng.random() < 0.5:
        rng.shuffle(kept)
    space = rng.choice(("", " ", "\n\t\r "))
    spelled = [(f"\\u{ord(key[0]):04x}{key[1:]}" if key and rng.random() < 0.05 else key, text) for key, text in kept]
    fields = [f'{space}"{key}"{space}:{space}{text}' for key, text in spelled]
    return "{" + space + f"{space},".join(fields) + space + "}"


def _nearly_documented(rng: random.Random) -> bytes:
    def text() -> str:
        return "null" if rng.random() < 0.2 else rng.choice(_TEXTS)

    def texts(*keys: str) -> list[tuple[str, str]]:
        return [(key, text()) for key in keys]

    def contact() -> str:
        tags = f"[{','.join(rng.choices(_TEXTS, k=rng.randrange(3)))}]"
        return _pairs(rng, [*texts(*_CONTACT), ("tags", tags)])

    def group() -> str:
        return _pairs(rng, texts("uuid", "name", "phone"))

    def written() -> str:
        parts = [("group", group()), ("contact", contact())]
        return _pairs(rng, [*texts("message", "phone_to", "phone_from"), *parts])

    interaction = _pairs(rng, [(key, rng.choice(_TEXTS)) for key in ("uuid", "channel", "group")])
    name = rng.choice(NINE)
    fields = [("event", f'"{name}"')]
    if name == "text-received":
        fields.append(("text", written()))
    elif name.startswith("contact-"):
        fields.append(("contact", contact()))
    else:
        parts = [("contact", contact()), ("group", group()), ("text", written()), ("interaction", interaction)]
        fields += rng.sample(parts, k=rng.randrange(5)) + texts("phone")
    return _pairs(rng, fields).encode("utf-8", "surrogatepass")


def check_fuzzed(count: int, seed: int) -> None:
    """Of so many bodies, each comes to the same either way, and enough of them are quick."""
    rng = random.Random(seed)
    quick = 0
    for number in range(count):
        body = mutate(rng) if number % 2 else _nearly_documented(rng)
        check_both_ways(body)
        quick += is_quick(body)
    assert count / 10 < quick < count * 9 / 10


def test_fuzzed_bodies_come_to_the_same_either_way() -> None:
    """Nearly documented bodies in many spellings, and bent ones: 4,000 of them."""
    check_fuzzed(4_000, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_hundred_thousand_fuzzed_bodies_come_to_the_same_either_way() -> None:
    """The same, 100,000 times."""
    check_fuzzed(100_000, seed=4)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=bodies())
def test_any_body_comes_to_the_same_either_way(body: bytes) -> None:
    """Whatever stands in whatever field of whatever event."""
    check_both_ways(body)
    check_both_ways(body.decode())


@pytest.mark.soak
@pytest.mark.timeout(600)
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=bodies())
def test_ten_thousand_bodies_come_to_the_same_either_way(body: bytes) -> None:
    """The same, 10,000 times."""
    check_both_ways(body)


# --- the same values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NINE)
def test_every_attribute_is_there(name: str) -> None:
    """Every attribute but ``raw`` has been set: none was forgotten when the shapes were made."""
    for value in values_in(parse_event(body_of(name, text=sample("text-received")["text"]))):
        for field in attrs.fields(type(value)):
            if field.name != "raw":
                object.__getattribute__(value, field.name)


@pytest.mark.parametrize("name", NINE)
def test_a_quick_event_is_frozen_at_each_level(name: str) -> None:
    """Attributes can be neither set nor deleted, of the event and of what is in it."""
    for value in values_in(parse_event(body_of(name))):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            value.extra = {}
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            del value.extra


def test_each_value_has_an_extra_of_its_own() -> None:
    """No two values share a dict, and no two events do."""
    body = body_of("opt-out")
    extras = [value.extra for event in (parse_event(body), parse_event(body)) for value in values_in(event)]
    assert len(extras) == len({id(extra) for extra in extras})


@pytest.mark.parametrize("name", NINE)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda body: body.decode()])
def test_raw_is_the_decoded_body(name: str, kind: Callable[[bytes], Any]) -> None:
    """``raw`` is decoded when it is asked for: a plain dict, and the same one each time."""
    event = parse_event(kind(body_of(name)))
    assert sample(name) == event.raw
    assert type(event.raw) is dict
    assert event.raw is event.raw


def test_raw_outlives_the_callers_buffer() -> None:
    """A buffer that is used again does not change the event made of it."""
    buffer = bytearray(body_of("opt-out"))
    event = parse_event(buffer)
    buffer[:] = b"x" * len(buffer)
    assert sample("opt-out") == event.raw


@pytest.mark.parametrize(
    "copied",
    [
        lambda event: pickle.loads(pickle.dumps(event)),
        copy.copy,
        copy.deepcopy,
        attrs.evolve,
        lambda event: type(event)(**attrs.asdict(event, recurse=False)),
    ],
    ids=["pickle", "copy", "deepcopy", "evolve", "asdict"],
)
@pytest.mark.parametrize("name", NINE)
def test_a_copy_has_its_raw(name: str, copied: Callable[[Event], Event]) -> None:
    """However an event is copied, and before anybody has asked for ``raw``, the copy has it."""
    again = copied(parse_event(body_of(name)))
    assert parse_event(body_of(name)) == again
    assert sample(name) == again.raw


@pytest.mark.parametrize("event", [parse_event(body_of("opt-out")), OptedOut()], ids=["parsed", "made"])
def test_an_attribute_that_is_not_there_is_an_attribute_error(event: Any) -> None:
    """The error is Python's usual one, for parsed events and for those made by hand."""
    with pytest.raises(AttributeError, match="'OptedOut' object has no attribute 'mesage'") as caught:
        _ = event.mesage
    assert (event, "mesage") == (caught.value.obj, caught.value.name)


# --- without msgspec ----------------------------------------------------------------------------------------------


def _unload(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delattr(webhooks, "_documented")
    monkeypatch.delitem(sys.modules, "pidj_async.webhooks._documented")
    monkeypatch.setitem(sys.modules, missing, None)


@pytest.mark.parametrize("name", NINE)
def test_without_msgspec_the_same_events_are_made(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra: nothing but the speed depends on it."""
    expected = parse_event(body_of(name))
    _unload(monkeypatch, "msgspec")
    way = parsing_module._quick_way()
    assert (None, ()) == way
    monkeypatch.setattr(parsing_module, "_decode_documented", way[0])
    monkeypatch.setattr(parsing_module, "_another_shape", way[1])
    assert expected == parse_event(body_of(name))


def test_a_broken_installation_is_not_taken_for_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only msgspec may be missing; the lack of a module of ours is an error."""
    _unload(monkeypatch, "pidj_async.webhooks._documented")
    with pytest.raises(ModuleNotFoundError, match="_documented"):
        parsing_module._quick_way()
