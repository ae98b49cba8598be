"""Filters: which events a handler gets, and which filters are refused."""

from __future__ import annotations

import logging
import re
from typing import Any

import anyio.lowlevel
import pytest

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks import (
    ConsentGiven,
    Contact,
    ContactCreated,
    ContactEvent,
    Dispatcher,
    Event,
    Group,
    InferredEvent,
    Interaction,
    InteractionClosed,
    OptedOut,
    Text,
    TextReceived,
    UnknownEvent,
)

SALES = Group(id="gr:sales", name="Sales  Team", phone_number="+18885550000")


def text(message: str | None = "Hi", **fields: Any) -> TextReceived:
    """A text that came in."""
    return TextReceived(text=Text(message=message, **fields))


async def wanted(event_type: type[Event], event: Event, **filters: Any) -> bool:
    """Whether a handler with these filters gets an event."""
    dispatcher = Dispatcher()

    @dispatcher.on(event_type, **filters)
    async def handler(_: Event) -> None: ...

    return (await dispatcher.dispatch(event)).handled


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("keyword", "message", "expected"),
    [
        ("stop", " STOP! ", True),
        ("Stop.", "stop", True),
        (["hours", "opening hours"], "Opening  hours?", True),
        (("hours",), "hour", False),
        ("stop", "please stop", False),
        ("?", "?", True),
        ("stop", None, False),
    ],
)
async def test_a_keyword_is_the_whole_message(keyword: Any, message: str | None, expected: bool) -> None:  # noqa: FBT001
    """One of several suffices; both sides are normalised."""
    assert await wanted(TextReceived, text(message), keyword=keyword) is expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("regex", "message", "expected"),
    [
        (r"order\s+(\d+)", "my order 17, please", True),
        (r"^order", "my order", False),
        (r"ORDER", "order", False),
        (re.compile("ORDER", re.IGNORECASE), "order", True),
        (r"^$", None, True),
    ],
)
async def test_a_regex_is_searched_for_as_it_is(regex: Any, message: str | None, expected: bool) -> None:  # noqa: FBT001
    """Anywhere in the message, in the message as it was written."""
    assert await wanted(TextReceived, text(message), regex=regex) is expected


@pytest.mark.anyio
async def test_a_handler_can_have_the_match() -> None:
    """Through a parameter annotated ``re.Match[str]``, or ``re.Match``, of an async handler and of a plain one."""
    dispatcher = Dispatcher()
    seen: list[str] = []

    @dispatcher.on(TextReceived, regex=r"order (\d+)")
    async def asynchronous(_: TextReceived, match: re.Match[str]) -> None:
        seen.append(match[1])

    @dispatcher.on(TextReceived, regex=r"order (?P<number>\d+)")
    def plain(_: TextReceived, *, found: re.Match) -> None:  # type: ignore[type-arg]
        seen.append(found["number"])

    report = await dispatcher.dispatch(text("order 17"))
    assert report.ok, report.failed
    assert seen == ["17", "17"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("gr:sales", True),
        ("sales team", True),
        (["gr:support", "SALES\u00a0TEAM"], True),
        ("gr:SALES", False),
        ("gr:sale", False),
        ("Sales", False),
    ],
)
async def test_a_group_is_meant_by_id_or_by_name(group: Any, expected: bool) -> None:  # noqa: FBT001
    """Ids exactly; names without regard to case and spacing."""
    assert await wanted(TextReceived, text(group=SALES), group=group) is expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    "event",
    [
        OptedOut(group=SALES),
        OptedOut(text=Text(group=SALES)),
        InteractionClosed(interaction=Interaction(group=SALES)),
    ],
)
async def test_a_group_is_found_where_the_undocumented_bodies_may_have_it(event: InferredEvent) -> None:
    """At the top, in the text or in the interaction."""
    assert await wanted(InferredEvent, event, group="gr:sales")
    assert not await wanted(InferredEvent, event, group="gr:support")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "event",
    [
        text(contact=Contact(tags=("new", "V I P"))),
        ContactCreated(contact=Contact(tags=("v i p",))),
        ConsentGiven(contact=Contact(tags=("V i p",))),
        ConsentGiven(text=Text(contact=Contact(tags=("V i p",)))),
        ConsentGiven(interaction=Interaction(contact=Contact(tags=("V i p",)))),
    ],
)
async def test_a_tag_is_the_contacts(event: Event) -> None:
    """Wherever the contact is."""
    assert await wanted(type(event), event, tag=["other", " v  i p"])
    assert not await wanted(type(event), event, tag="vip")


@pytest.mark.anyio
@pytest.mark.parametrize("event", [text(), text(group=Group(), contact=Contact()), TextReceived()])
async def test_what_is_not_there_passes_no_filter(event: TextReceived) -> None:
    """An event without a group or a contact is in no group and has no tag."""
    assert not await wanted(TextReceived, event, group=["gr:sales", "Sales"])
    assert not await wanted(TextReceived, event, tag="vip")


@pytest.mark.anyio
async def test_when_is_any_function_of_the_event() -> None:
    """Plain or async; whatever it returns is taken as yes or no."""

    async def later(event: Event) -> bool:
        await anyio.lowlevel.checkpoint()
        return event.name == "opt-out"

    assert await wanted(Event, OptedOut(), when=later)
    assert not await wanted(Event, UnknownEvent(name="x"), when=later)
    assert await wanted(TextReceived, text("long enough"), when=lambda event: len(event.message) > 5)
    assert not await wanted(TextReceived, text("short"), when=lambda event: len(event.message) > 5)


@pytest.mark.anyio
async def test_several_filters_must_all_agree_and_when_is_asked_last() -> None:
    """The predicate, which may be costly, only sees what the others let through."""
    asked: list[str] = []

    def when(event: TextReceived) -> bool:
        asked.append(event.message)
        return True

    filters = {"keyword": ["a", "b"], "regex": "^[ac]$", "group": "gr:sales", "tag": "vip", "when": when}
    right = {"group": SALES, "contact": Contact(tags=("vip",))}
    assert await wanted(TextReceived, text("a", **right), **filters)
    assert not await wanted(TextReceived, text("b", **right), **filters)
    assert not await wanted(TextReceived, text("c", **right), **filters)
    assert not await wanted(TextReceived, text("a", **(right | {"group": None})), **filters)
    assert not await wanted(TextReceived, text("a", **(right | {"contact": None})), **filters)
    assert asked == ["a"]


@pytest.mark.anyio
async def test_a_filter_that_raises_is_a_failed_handler(caplog: pytest.LogCaptureFixture) -> None:
    """It is reported and logged, without what was written; the handler does not run, the others do."""
    dispatcher = Dispatcher()
    seen: list[str] = []

    def broken(event: TextReceived) -> bool:
        raise ValueError(event.message)

    @dispatcher.on(TextReceived, when=broken)
    async def never(_: TextReceived) -> None:
        seen.append("never")

    @dispatcher.on(TextReceived)
    async def works(_: TextReceived) -> None:
        seen.append("works")

    with caplog.at_level(logging.ERROR, "pidj_async.webhooks"):
        report = await dispatcher.dispatch(text("my secret plan"))
    assert seen == ["works"]
    assert [result.outcome for result in report.results] == ["failed", "ok"]
    assert isinstance(report.results[0].error, ValueError)
    told = [record.getMessage() for record in caplog.records if record.name == "pidj_async.webhooks"]
    name = f"{never.__module__}.{never.__qualname__}"
    assert told == [f"a filter of webhook handler {name} failed on event 'text-received'"]
    assert "secret plan" not in repr(report)


# --- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_types", "filters", "problem"),
    [
        ([ContactCreated], {"keyword": "x"}, "keyword= cannot work for ContactCreated, which has no message; register"),
        ([OptedOut], {"regex": "x"}, "regex= cannot work for OptedOut, which has no message"),
        ([TextReceived, OptedOut], {"keyword": "x"}, "keyword= cannot work for OptedOut, which has no message"),
        ([Event], {"keyword": "x"}, "keyword= cannot work for Event, which has no message"),
        ([ContactEvent], {"group": "gr:1"}, "group= cannot work for ContactEvent, which has no group"),
        ([UnknownEvent], {"tag": "vip"}, "tag= cannot work for UnknownEvent, which has no contact"),
        ([TextReceived], {"keyword": 5}, "keyword= takes a text or several, got 5"),
        ([TextReceived], {"keyword": ["a", None]}, "keyword= takes a text or several, got None"),
        ([TextReceived], {"group": b"gr:1"}, "group= takes a text or several, got b'gr:1'"),
        ([TextReceived], {"regex": b"x"}, "regex= takes a pattern of text, compiled or not, got b'x'"),
        ([TextReceived], {"regex": re.compile(b"x")}, "regex= takes a pattern of text"),
        ([TextReceived], {"when": "always"}, "when= takes a function of the event, got 'always'"),
        ([Event], {"fallback": True}, r"particular classes, such as on\(TextReceived, fallback=True\)"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(
    event_types: list[type[Event]], filters: dict[str, Any], problem: str
) -> None:
    """When it is registered, with the way out."""
    dispatcher: Any = Dispatcher()
    with pytest.raises(TypeError, match=problem):
        dispatcher.on(*event_types, **filters)


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        ({"keyword": ""}, "keyword= is blank; leave it out for any keyword"),
        ({"group": " \u200b"}, "group= is blank; leave it out for any group"),
        ({"tag": ["vip", ""]}, "tag= is blank"),
        ({"keyword": []}, "keyword= is an empty list, so that no event would ever match"),
        ({"regex": "("}, r"regex='\(' is not a valid pattern: "),
    ],
)
def test_a_filter_that_is_blank_or_broken_is_refused(filters: dict[str, Any], problem: str) -> None:
    """It most likely comes from a setting that is empty."""
    with pytest.raises(ConfigurationError, match=problem):
        Dispatcher().on(TextReceived, **filters)
