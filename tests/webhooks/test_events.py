"""Events and the parsing of them: nothing is refused for its shape, nothing is lost, nothing private is shown."""

from __future__ import annotations

import copy
import json
import pickle
import random
import re
import sys
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pidj_async.errors import InvalidPayloadError, InvalidRequestError
from pidj_async.webhooks import (
    EVENT_TYPES,
    Contact,
    ContactEvent,
    Event,
    Group,
    InferredEvent,
    Interaction,
    OptedOut,
    Text,
    TextReceived,
    UnknownEvent,
    parse_event,
    sample,
)
from pidj_async.webhooks.parsing import MAX_DEPTH, MAX_DIGITS
from pidj_async.webhooks.shapes import unnamed_fields

from .strategies import bodies, mutate, payloads

NINE = list(EVENT_TYPES)
TOO_LONG = "the body holds a whole number of more than 1000 digits"
TOO_DEEP = "the body is nested more than 100 levels deep"
INFERRED = ["interaction-closed", "consent-given", "opt-out", "opt-in"]

# The document's spellings, written down a second time: where each field of the wire is to be found.
SPELLINGS: dict[type, dict[str, str]] = {
    Contact: {
        "uuid": "id",
        "id": "id",
        "phone": "phone_number",
        "phone_number": "phone_number",
        "first_name": "first_name",
        "last_name": "last_name",
        "business_name": "business_name",
        "display_name": "display_name",
        "email_address": "email_address",
        "phone_office": "phone_office",
        "phone_fax": "phone_fax",
        "timezone": "timezone",
        "tags": "tags",
        "external_id": "external_id",
    },
    Group: {
        "uuid": "id",
        "id": "id",
        "group_id": "id",
        "name": "name",
        "phone": "phone_number",
        "phone_number": "phone_number",
    },
    Text: {same: same for same in ("message", "phone_to", "phone_from", "group", "contact")},
    Interaction: {"uuid": "id", "id": "id", "group": "group", "contact": "contact"},
    TextReceived: {"text": "text"},
    ContactEvent: {"contact": "contact"},
    InferredEvent: {
        "contact": "contact",
        "group": "group",
        "interaction": "interaction",
        "text": "text",
        "phone": "phone",
        "phone_number": "phone",
    },
    UnknownEvent: {},
}


def event_of(payload: dict[str, Any]) -> Any:
    """Encode and parse."""
    return parse_event(json.dumps(payload))


def spellings_of(value: object) -> dict[str, str]:
    """Find a class's spellings, or those of its base."""
    return next(SPELLINGS[cls] for cls in type(value).__mro__ if cls in SPELLINGS)


def check_nothing_is_lost(wire: dict[str, Any], value: Any) -> None:
    """Every field of the wire is in ``extra``, or it is what its attribute says."""
    for key, sent in wire.items():
        if key in value.extra:
            assert value.extra[key] == sent
            continue
        if key == "event" and isinstance(value, Event):
            assert sent == value.name
            continue
        attribute = spellings_of(value)[key]
        if sent is not None:
            check_is_faithful(sent, getattr(value, attribute))
    assert value.extra.keys() <= wire.keys()


def check_is_faithful(sent: object, read: object) -> None:
    """An attribute says what was sent, in its own type."""
    if isinstance(sent, dict) and not isinstance(read, tuple):
        check_nothing_is_lost(sent, read)
    elif isinstance(read, tuple):
        items = sent.values() if isinstance(sent, dict) else sent
        assert [str(item) for item in items] == list(read)  # type: ignore[attr-defined]
    else:
        assert isinstance(read, str)
        assert read == (sent if isinstance(sent, str) else str(sent))


# --- the document -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NINE)
def test_each_event_has_its_own_class(name: str) -> None:
    """Each of the nine names on the wire leads to its own class, and back."""
    event = event_of(sample(name))
    assert type(event) is EVENT_TYPES[name]
    assert event.name == name
    assert event.extra == {}


def test_a_received_text_reads_as_the_document_shows_it() -> None:
    """The document's own example of a text ends up under the API's names."""
    event = event_of(
        {
            "event": "text-received",
            "text": {
                "message": "Hey John, this is a text message.",
                "phone_to": "+18885552222",
                "phone_from": "+18005552424",
                "group": {"uuid": "gr:04207209", "name": "Primary", "phone": "+18885552222"},
                "contact": {"uuid": "co:be478500", "first_name": "John", "phone": "+18005552424", "tags": ["Tag 1"]},
            },
        }
    )
    group = Group(id="gr:04207209", name="Primary", phone_number="+18885552222")
    contact = Contact(id="co:be478500", first_name="John", phone_number="+18005552424", tags=("Tag 1",))
    expected = TextReceived(
        text=Text(
            message="Hey John, this is a text message.",
            phone_to="+18885552222",
            phone_from="+18005552424",
            group=group,
            contact=contact,
        )
    )
    assert expected == event
    assert event.message == "Hey John, this is a text message."
    assert event.phone_from == event.phone_number == "+18005552424"
    assert event.phone_to == "+18885552222"
    assert group == event.group
    assert contact == event.contact


def test_a_sender_who_is_no_contact_is_none() -> None:
    """``contact`` is null when Pidj does not know the number; the number is still there."""
    event = event_of(sample("text-received", text={"contact": None, "phone_from": "+18885550000"}))
    assert event.contact is None
    assert event.phone_number == "+18885550000"
    assert event.extra == event.text.extra == {}


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ({"uuid": "co:1", "phone": "+18885553333"}, Contact(id="co:1", phone_number="+18885553333")),
        ({"id": "co:1", "phone_number": "+18885553333"}, Contact(id="co:1", phone_number="+18885553333")),
        ({"uuid": None, "id": "co:1"}, Contact(id="co:1")),
        ({"uuid": [], "id": "co:1"}, Contact(id="co:1", extra={"uuid": []})),
        ({"uuid": "co:1", "id": "co:2"}, Contact(id="co:1", extra={"id": "co:2"})),
        ({"phone": 18885553333}, Contact(phone_number="18885553333")),
        ({"phone": True}, Contact(extra={"phone": True})),
        ({"phone": 1.5}, Contact(extra={"phone": 1.5})),
        ({"phone": 10**40}, Contact(extra={"phone": 10**40})),
        ({"tags": ["a", 7]}, Contact(tags=("a", "7"))),
        ({"tags": ["a", None]}, Contact(tags=("a",), extra={"tags": ["a", None]})),
        ({"tags": {"0": "a", "2": "b"}}, Contact(tags=("a", "b"))),
        ({"tags": {"x": "a"}}, Contact(extra={"tags": {"x": "a"}})),
        ({"tags": "VIP"}, Contact(extra={"tags": "VIP"})),
        ({"tags": None}, Contact()),
        ({"nickname": "Jo"}, Contact(extra={"nickname": "Jo"})),
        ({}, Contact()),
    ],
)
def test_a_contact_is_read_whichever_way_it_is_spelled(wire: dict[str, Any], expected: Contact) -> None:
    """Both spellings, lossless coercions, and what cannot be read kept in ``extra``."""
    assert expected == event_of({"event": "contact-created", "contact": wire}).contact


@pytest.mark.parametrize("spelling", ["uuid", "id", "group_id"])
def test_a_group_is_read_whichever_way_its_id_is_spelled(spelling: str) -> None:
    """The webhooks write ``uuid``, the API ``group_id``, and ``id`` would surprise nobody."""
    event = event_of({"event": "text-received", "text": {"group": {spelling: "gr:1"}}})
    assert Group(id="gr:1") == event.group


@pytest.mark.parametrize("surprise", ["co:1", 7, True, 1.5, [], [{"uuid": "co:1"}]])
@pytest.mark.parametrize("name", ["contact-created", *INFERRED])
def test_a_contact_that_is_no_object_is_kept_and_not_read(name: str, surprise: object) -> None:
    """``contact`` becomes ``None``, and what stood there is in ``extra`` and ``raw``."""
    event = event_of({"event": name, "contact": surprise})
    assert event.contact is None
    assert {"contact": surprise} == event.extra
    assert surprise == event.raw["contact"]


@pytest.mark.parametrize("name", NINE)
def test_an_event_may_be_empty(name: str) -> None:
    """The name alone makes an event, and every derived property has an answer."""
    event = event_of({"event": name})
    assert EVENT_TYPES[name]() == event  # type: ignore[call-arg]
    assert event.phone_number is None
    assert getattr(event, "message", "") == ""


@pytest.mark.parametrize("name", INFERRED)
@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ({"contact": {"phone": "+1"}, "text": {"phone_from": "+2"}, "phone": "+3"}, "+1"),
        ({"contact": {"uuid": "co:1"}, "text": {"phone_from": "+2"}, "phone": "+3"}, "+2"),
        ({"phone": "+3", "text": {"contact": {"phone": "+4"}}}, "+3"),
        ({"phone_number": "+3"}, "+3"),
        ({"text": {"contact": {"phone": "+4"}}, "interaction": {"contact": {"phone": "+5"}}}, "+4"),
        ({"interaction": {"contact": {"phone_number": "+5"}}}, "+5"),
        ({"group": {"phone": "+6"}, "text": {"phone_to": "+7"}}, None),
    ],
)
def test_the_persons_number_is_found_whatever_the_shape(name: str, wire: dict[str, Any], expected: str | None) -> None:
    """Of an undocumented body the person's number is derived, and the account's own is never taken for it."""
    assert expected == event_of({"event": name, **wire}).phone_number


def test_an_undocumented_body_is_typed_where_it_can_be() -> None:
    """What an undocumented body shares with the documented ones has types; the rest is in ``extra``, at each level."""
    event = event_of(
        {"event": "interaction-closed", "interaction": {"uuid": "ci:1", "channel": "text"}, "reason": "done"}
    )
    assert Interaction(id="ci:1", extra={"channel": "text"}) == event.interaction
    assert {"reason": "done"} == event.extra
    assert [("reason", "done"), ("interaction.channel", "text")] == list(unnamed_fields(event))


def test_an_unknown_event_is_kept_whole() -> None:
    """A name that this version does not know makes an `UnknownEvent` with every field in ``extra``."""
    event = event_of({"event": "text-delivered", "text": {"message": "Hi"}, "at": 5})
    assert UnknownEvent(name="text-delivered", extra={"text": {"message": "Hi"}, "at": 5}) == event
    assert event.raw == {"event": "text-delivered", "text": {"message": "Hi"}, "at": 5}


@pytest.mark.parametrize("key", ["raw", "extra", "name", "self", "__class__"])
def test_a_field_named_like_one_of_ours_is_just_a_field(key: str) -> None:
    """What the wire calls ``raw`` or ``name`` cannot take the place of ours."""
    event = event_of({"event": "opt-out", key: {"x": 1}})
    assert (event.name, event.extra) == ("opt-out", {key: {"x": 1}})


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NINE)
def test_an_event_is_a_value(name: str) -> None:
    """Equal by its fields, hashable, picklable, copyable; its raw body goes back to JSON."""
    event = event_of(sample(name, nickname="Jo"))
    again = pickle.loads(pickle.dumps(event))
    assert event == again == copy.deepcopy(event)
    assert {event} == {again}
    assert event.raw == again.raw == json.loads(json.dumps(event.raw)) == sample(name, nickname="Jo")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.name = "x"


def test_two_bodies_that_say_the_same_are_equal_events() -> None:
    """``raw`` is how it was said, not what: it plays no part in equality."""
    assert event_of({"event": "opt-out", "contact": {"id": "co:1"}}) == event_of(
        {"event": "opt-out", "contact": {"uuid": "co:1", "tags": None}}
    )


@pytest.mark.parametrize("name", NINE)
def test_a_repr_shows_no_number_and_no_message(name: str) -> None:
    """Numbers are masked wherever they stand, messages show their length, and ``raw`` is not there."""
    private = {"phone": "+18885557777", "nickname": "+18885557777", "first_name": "call +1 888-555-7777"}
    event = event_of(
        sample(
            name,
            contact={**private, "email_address": "jo@example.org"},
            text={"message": "my secret plan", "phone_from": "+18885557777", "phone_to": "+18885557777"},
            group=private,
            phone=18885557777,
            interaction={"message": "my secret plan", "+18885557777": private},
            **{"+18885557777": "my secret plan"},
        )
    )
    shown = repr(event)
    assert not re.search(r"5557777|555-7777|secret plan|jo@example|raw", shown), shown
    assert type(event).__name__ in shown


def test_a_repr_of_something_huge_is_short() -> None:
    """A megabyte in every field does not make a megabyte of log."""
    event = event_of(
        sample("opt-out", contact=dict.fromkeys(SPELLINGS[Contact], "x" * 1_000_000), **{"y" * 1_000_000: 1})
    )
    assert len(repr(event)) < 5_000


def test_an_unknown_events_name_cannot_break_a_log() -> None:
    """Line breaks and lone surrogates in a name are escaped, length and numbers bounded."""
    shown = repr(event_of({"event": "x\n\ud800 +18885557777 " + "y" * 10_000}))
    assert "\n" not in shown
    assert "5557777" not in shown
    assert len(shown.encode()) < 300


# --- bodies that are no events ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda body: body.decode()])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_bytes_and_text_are_taken_alike(kind: Any, mark: bytes) -> None:
    """Bytes in any form, text, and a byte order mark before either."""
    body = json.dumps(sample("opt-in", contact={"first_name": "Zoë"}), ensure_ascii=False).encode()
    assert parse_event(body) == parse_event(kind(mark + body))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"\xef\xbb\xbf", "the body is empty"),
        (b"event=opt-out", "the body is not JSON (at character 0)"),
        (b'{"event": "opt-out"', "the body is not JSON (at character 19)"),
        (b'{"event": "opt-out"} x', "the body is not JSON (at character 21)"),
        (b"{'event': 'opt-out'}", "the body is not JSON (at character 1)"),
        (b'{"event": "\x00"}', "the body is not JSON (at character 11)"),
        ('{"event": "opt-out"}'.encode("utf-16"), "the body is not UTF-8 (at byte 0)"),
        (b'{"event": "\xff"}', "the body is not UTF-8 (at byte 11)"),
        (b'{"event": "\xed\xa0\x80"}', "the body is not UTF-8 (at byte 11)"),
        (b"[]", "the body must be a JSON object, not array"),
        (b"null", "the body must be a JSON object, not null"),
        (b'"opt-out"', "the body must be a JSON object, not string"),
        (b"true", "the body must be a JSON object, not boolean"),
        (b"1.5", "the body must be a JSON object, not number"),
        (b"{}", 'the body has no "event"'),
        (b'{"Event": "opt-out"}', 'the body has no "event"'),
        (b'{"event": null}', '"event" must be a text, not null'),
        (b'{"event": 7}', '"event" must be a text, not number'),
        (b'{"event": ["opt-out"]}', '"event" must be a text, not array'),
        (b'{"event": {}}', '"event" must be a text, not object'),
        (b'{"event": " "}', '"event" is blank'),
        (b'{"event": "x", "n": NaN}', "the body is not JSON: NaN and Infinity are not JSON numbers"),
        (b'{"event": "x", "n": -Infinity}', "the body is not JSON: NaN and Infinity are not JSON numbers"),
        (b'{"event": "x", "n": 1e400}', "the body holds a number that is too large"),
        (b'{"event": "x", "n": %s}' % (b"9" * (MAX_DIGITS + 1)), TOO_LONG),
        (b'{"event": "x", "n": %s}' % (b"9" * 10_000_000), TOO_LONG),
        (b'{"event": "x", "n": %s}' % (b"[" * 100_000), TOO_DEEP),
        (b'{"event": "x", "n": %s%s}' % (b"[" * MAX_DEPTH, b"]" * MAX_DEPTH), TOO_DEEP),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(body: bytes, problem: str) -> None:
    """One error for all of them, which says what is wrong and quotes nothing."""
    with pytest.raises(InvalidPayloadError) as caught:
        parse_event(body)
    assert problem == str(caught.value)


def test_the_error_does_not_carry_the_body_along() -> None:
    """The decoder's own error holds the whole body; it is neither the cause nor the context of ours."""
    for body in (b'{"secret": ', b"\xff secret", b"[" * 100_000):
        with pytest.raises(InvalidPayloadError) as caught:
            parse_event(body)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


@pytest.mark.parametrize("body", [None, 7, {"event": "opt-out"}, ["x"]])
def test_a_body_of_the_wrong_python_type_is_the_callers_mistake(body: Any) -> None:
    """What is neither bytes nor text raises TypeError and says what to pass."""
    with pytest.raises(TypeError, match=r"body must be bytes or str, not \w+; pass the body as it was received"):
        parse_event(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"event": "opt-out", "n": %s}' % (b"9" * MAX_DIGITS),
        b'{"event": "opt-out", "n": %s%s}' % (b"[" * (MAX_DEPTH - 1), b"]" * (MAX_DEPTH - 1)),
        b'{"event": "opt-out", "n": 0.%s}' % (b"1" * 100_000),
        b'{"event": "opt-out", "n": "\\ud800\\u0000"}',
        b'{"event": "opt-out", "n": "%s"}' % (b"x" * 20_000_000),
        b'{"event": "opt-out", "n": [%s1]}' % (b"1," * 500_000),
    ],
)
def test_what_is_only_odd_is_taken(body: bytes) -> None:
    """Within the limits, long numbers, deep nesting, lone surrogates, NUL and megabytes are just data."""
    event = parse_event(body)
    assert type(event) is OptedOut
    assert json.loads(body)["n"] == event.extra["n"]


def test_of_repeated_keys_the_last_one_counts() -> None:
    """The same rule as nearly everybody's, the vendor's own PHP included."""
    assert parse_event('{"event": "opt-in", "phone": "+1", "event": "opt-out", "phone": "+2"}') == OptedOut(phone="+2")


def test_the_interpreters_own_limit_on_digits_may_be_lower() -> None:
    """A body beyond ``sys.set_int_max_str_digits`` is refused like any other."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        with pytest.raises(InvalidPayloadError, match="a whole number with too many digits"):
            parse_event(b'{"event": "opt-out", "n": %s}' % (b"9" * 900))
    finally:
        sys.set_int_max_str_digits(before)


def test_a_caller_deep_in_recursion_gets_an_answer() -> None:
    """Near the end of Python's stack a nested body never ends in a RecursionError.

    Python 3.11 counts the JSON decoder's nesting with the caller's, so there it is refused; later ones do not.
    """
    body = b'{"event": "opt-out", "n": %s%s}' % (b"[" * 90, b"]" * 90)

    def descend(levels: int) -> Event:
        return descend(levels - 1) if levels else parse_event(body)

    frames = len(_stack())
    levels = sys.getrecursionlimit() - frames - 60
    if sys.version_info >= (3, 12):
        assert type(descend(levels)) is OptedOut
    else:
        with pytest.raises(InvalidPayloadError, match="nested"):
            descend(levels)


def _stack() -> list[object]:
    frames: list[object] = []
    frame = sys._getframe()
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back  # type: ignore[assignment]
    return frames


# --- anything at all ----------------------------------------------------------------------------------------------


def check_any_body(body: bytes) -> None:
    """A body that names an event makes that event, and nothing of it is lost."""
    wire = json.loads(body.decode("utf-8-sig"))
    event = parse_event(body)
    assert type(event) is EVENT_TYPES.get(wire["event"], UnknownEvent)
    assert wire["event"] == event.name
    assert wire == event.raw
    check_nothing_is_lost(wire, event)
    assert event.phone_number is None or isinstance(event.phone_number, str)
    assert repr(event).isprintable()
    assert event == pickle.loads(pickle.dumps(event))


quick = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
thorough = settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(body=bodies())
def test_any_event_parses(body: bytes) -> None:
    """Whatever stands in whatever field of whatever event, it parses and keeps everything."""
    check_any_body(body)


@pytest.mark.soak
@pytest.mark.timeout(600)
@thorough
@given(body=bodies())
def test_ten_thousand_events_parse(body: bytes) -> None:
    """The same, 10,000 times."""
    check_any_body(body)


SAID = re.compile(
    r"the body is (empty|not UTF-8 \(at byte \d+\)|not JSON \(at character \d+\)|nested more than 100 levels deep"
    r"|not JSON: NaN and Infinity are not JSON numbers)"
    r"|the body holds a (whole number of more than 1000 digits|number that is too large)"
    r"|the body must be a JSON object, not (null|boolean|number|string|array)"
    r"|the body has no \"event\""
    r"|\"event\" (must be a text, not (null|boolean|number|object|array)|is blank)"
)


def event_or_problem(body: bytes) -> Event | str:
    try:
        return parse_event(body)
    except InvalidPayloadError as error:
        return str(error)


def check_fuzzed(count: int, seed: int) -> None:
    """Each of so many bodies makes an event or the one error, whose message is one of a few."""
    rng = random.Random(seed)
    events = refusals = 0
    for _ in range(count):
        body = mutate(rng)
        outcome = event_or_problem(body)
        if isinstance(outcome, str):
            refusals += 1
            assert SAID.fullmatch(outcome), (body, outcome)
        else:
            events += 1
            assert repr(outcome).isprintable()
            assert outcome.phone_number is None or isinstance(outcome.phone_number, str)
            assert sum(1 for _ in unnamed_fields(outcome)) >= len(outcome.extra)
    # Otherwise the fuzzer would have tested only one half.
    assert min(events, refusals) > count / 10


def test_fuzzed_bodies_make_an_event_or_an_error() -> None:
    """Random bytes, bent bytes and bent values: 5,000 of them."""
    check_fuzzed(5_000, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_hundred_thousand_fuzzed_bodies_make_an_event_or_an_error() -> None:
    """The same, 100,000 times."""
    check_fuzzed(100_000, seed=2)


# --- samples ------------------------------------------------------------------------------------------------------


def test_a_sample_is_changed_by_merging() -> None:
    """An object is merged level by level, anything else replaced, and new fields are added."""
    plain = sample("text-received")
    changed = sample("text-received", text={"message": "STOP", "contact": None, "group": {"name": "B"}}, at=[1])
    assert changed == {
        "event": "text-received",
        "text": {**plain["text"], "message": "STOP", "contact": None, "group": {**plain["text"]["group"], "name": "B"}},
        "at": [1],
    }


def test_a_sample_is_the_callers_own() -> None:
    """Changing one sample changes no other, nor what was passed in."""
    override = {"tags": ["a"]}
    first = sample("contact-created", contact=override)
    first["contact"]["tags"].append("b")
    first["contact"]["uuid"] = "changed"
    assert sample("contact-created")["contact"]["uuid"].startswith("co:")
    twice = sample("opt-out", contact={"uuid": "co:1"})
    assert twice["text"]["contact"]["uuid"] != twice["contact"]["uuid"]
    assert override == {"tags": ["a"]}


def test_a_sample_of_no_event_is_an_error() -> None:
    """The error names the nine."""
    with pytest.raises(InvalidRequestError, match=r"name: must be one of contact-created, .*opt-in; got 'text-sent'"):
        sample("text-sent")


@settings(quick, max_examples=50)
@given(payload=payloads(st.just("opt-out")))
def test_the_strategy_makes_what_it_is_asked_for(payload: dict[str, Any]) -> None:
    """`payloads` can be held to some names, as the tests of others need it."""
    assert payload["event"] == "opt-out"
