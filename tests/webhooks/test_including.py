"""Dispatchers in dispatchers: where their handlers stand, what gets in, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks import (
    CallNext,
    ContactCreated,
    Dispatcher,
    DispatchReport,
    Event,
    Group,
    OptedOut,
    Text,
    TextReceived,
    UnknownEvent,
)

TEXT = TextReceived(text=Text(message="Hi", group=Group(id="gr:sales")))


class Till:
    """Something to provide."""


class Recorder:
    """Makes handlers that say when they run."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on(self, dispatcher: Dispatcher, name: str, event_type: type[Event] = TextReceived, **options: Any) -> None:
        """Register one."""

        async def handler(_: Event) -> None:
            self.seen.append(name)

        dispatcher.on(event_type, **options)(handler)


@pytest.fixture
def recorder() -> Recorder:
    """A new one."""
    return Recorder()


@pytest.mark.anyio
async def test_included_handlers_stand_where_they_were_included(recorder: Recorder) -> None:
    """Those registered later too, and in each part of the order: particular ones, fallbacks, catch-alls."""
    outer, inner, innermost = Dispatcher(), Dispatcher(), Dispatcher()
    recorder.on(inner, "inner audit", Event)
    recorder.on(inner, "inner")
    recorder.on(outer, "outer audit", Event)
    recorder.on(outer, "before")
    recorder.on(outer, "fallback", fallback=True)
    outer.include(inner)
    inner.include(innermost)
    recorder.on(outer, "after")
    recorder.on(innermost, "innermost fallback", fallback=True)
    recorder.on(innermost, "innermost")
    assert repr(outer) == "<Dispatcher with 8 handlers>"
    report = await outer.dispatch(TEXT)
    assert recorder.seen == [
        "before",
        "inner",
        "innermost",
        "after",
        "fallback",
        "innermost fallback",
        "outer audit",
        "inner audit",
    ]
    assert len(report.results) == len(recorder.seen)


@pytest.mark.anyio
async def test_only_what_passes_the_filters_gets_in(recorder: Recorder) -> None:
    """Filters of all the dispatchers around a handler must agree; catch-alls stay out of what has no group."""
    outer, sales, vips = Dispatcher(), Dispatcher(), Dispatcher()
    outer.include(sales, group="gr:sales")
    sales.include(vips, regex="^VIP")
    recorder.on(sales, "sales")
    recorder.on(sales, "sales audit", Event)
    recorder.on(vips, "vips")
    for message, group in (("Hi", "gr:sales"), ("VIP", "gr:sales"), ("VIP", "gr:support")):
        await outer.dispatch(TextReceived(text=Text(message=message, group=Group(id=group))))
        recorder.seen.append("-")
    await outer.dispatch(UnknownEvent(name="x"))
    assert recorder.seen == ["sales", "sales audit", "-", "vips", "sales", "sales audit", "-", "-"]


@pytest.mark.anyio
async def test_what_it_is_included_with_does_not_make_its_handlers_particular(recorder: Recorder) -> None:
    """A package's fallback works inside as it does alone."""
    outer, sales = Dispatcher(), Dispatcher()
    recorder.on(sales, "store")
    recorder.on(sales, "hours", keyword="hours")
    recorder.on(sales, "sorry", fallback=True)
    outer.include(sales, group="gr:sales")
    await outer.dispatch(TEXT)
    assert recorder.seen == ["store", "sorry"]


@pytest.mark.anyio
async def test_a_predicate_is_asked_once_for_all_handlers_inside(recorder: Recorder) -> None:
    """It may look something up. One that raises keeps each handler from running, and says so for each."""
    outer, inner = Dispatcher(), Dispatcher()
    asked: list[str] = []

    async def when(event: Event) -> bool:
        asked.append(event.name)
        return event.name == "text-received"

    async def broken(_: Event) -> bool:
        raise RuntimeError

    outer.include(inner, when=when)
    for name in ("first", "second"):
        recorder.on(inner, name, Event)
    assert (await outer.dispatch(TEXT)).handled
    assert not (await outer.dispatch(OptedOut())).handled
    assert (recorder.seen, asked) == (["first", "second"], ["text-received", "opt-out"])

    outermost = Dispatcher()
    outermost.include(inner, when=broken)
    report = await outermost.dispatch(TEXT)
    assert [result.outcome for result in report.results] == ["failed", "failed"]


@pytest.mark.anyio
async def test_it_can_still_be_used_by_itself(recorder: Recorder) -> None:
    """Then without the filters that it was included with."""
    outer, inner = Dispatcher(), Dispatcher()
    recorder.on(inner, "inner")
    outer.include(inner, group="gr:support")
    assert not (await outer.dispatch(TEXT)).handled
    assert (await inner.dispatch(TEXT)).handled


@pytest.mark.anyio
async def test_handlers_inside_get_what_is_provided_nearest() -> None:
    """Their own dispatcher's first, then the outer one's; the outer one's handlers never get an inner one's."""
    outer, inner = Dispatcher(), Dispatcher()
    outer_till, inner_till = Till(), Till()
    got: list[Till] = []

    async def handler(_: Event, till: Till) -> None:
        got.append(till)

    outer.include(inner)
    inner.on(TextReceived)(handler)
    outer.on(TextReceived)(handler)
    inner.provide(Till, inner_till)
    with pytest.raises(ConfigurationError, match=r"handler .*handler wants 'till', a Till, which nobody provides"):
        outer.check()
    outer.provide(Till, outer_till)
    await outer.dispatch(TEXT)
    assert got == [inner_till, outer_till]

    another = Dispatcher()
    another.include(inner)
    another.include(outer := Dispatcher())
    outer.on(OptedOut)(handler)
    another.provide(Till, outer_till)
    await another.dispatch(OptedOut())
    assert got == [inner_till, outer_till, outer_till]


def test_cycles_are_refused() -> None:
    """Directly or through others, and nothing is changed by the attempt."""
    first, second, third = Dispatcher(), Dispatcher(), Dispatcher()
    first.include(second)
    second.include(third)
    for inner in (first, second, third):
        with pytest.raises(ConfigurationError, match="a dispatcher cannot include itself, or one that includes it"):
            third.include(inner)
    assert repr(third) == "<Dispatcher with 0 handlers>"


def test_being_included_twice_is_refused() -> None:
    """Its handlers would get events twice: directly, through another one, or because that came to include it later."""
    outer, inner, middle = Dispatcher(), Dispatcher(), Dispatcher()
    outer.include(inner, group="gr:1")
    with pytest.raises(ConfigurationError, match=r"included twice.*include\(other, group=\[first, second\]\)"):
        outer.include(inner, group="gr:2")
    other = Dispatcher()
    other.include(inner)
    with pytest.raises(ConfigurationError, match="included twice"):
        outer.include(other)
    outer.include(middle)
    middle.include(inner)
    with pytest.raises(ConfigurationError, match="included twice"):
        outer.check()


def test_a_handler_that_could_never_run_is_refused(recorder: Recorder) -> None:
    """Whether it is there already or comes later: what the filter looks at, its events do not have."""
    outer, inner = Dispatcher(), Dispatcher()
    recorder.on(inner, "contacts", ContactCreated)
    problem = r"handler .*handler could never run: .*group= cannot work for ContactCreated, which has no group"
    with pytest.raises(ConfigurationError, match=problem):
        outer.include(inner, group="gr:1")
    outer.include(later := Dispatcher(), group="gr:1")
    recorder.on(later, "unknown", UnknownEvent)
    with pytest.raises(ConfigurationError, match="could never run"):
        outer.check()


def test_middleware_belongs_to_the_outermost() -> None:
    """Before or after it is included: it would go around events that are not its own."""

    async def middleware(event: Event, call_next: CallNext) -> DispatchReport:
        return await call_next(event)

    outer, inner, innermost = Dispatcher(), Dispatcher(), Dispatcher()
    innermost.middleware(middleware)
    inner.include(another := Dispatcher())
    with pytest.raises(ConfigurationError, match=r"an included dispatcher cannot have middleware.*register it there"):
        inner.include(innermost)
    outer.include(inner)
    for each in (inner, another):
        with pytest.raises(ConfigurationError, match="an included dispatcher cannot have middleware"):
            each.middleware(middleware)


def test_only_a_dispatcher_can_be_included() -> None:
    """A module by mistake, for instance."""
    with pytest.raises(TypeError, match=r"include\(\) takes a Dispatcher, got 'handlers'"):
        Dispatcher().include("handlers")  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_after_the_first_event_nothing_can_be_added_inside_either(recorder: Recorder) -> None:
    """Neither handlers nor dispatchers nor providers, at any depth."""
    outer, inner, innermost = Dispatcher(), Dispatcher(), Dispatcher()
    outer.include(inner)
    inner.include(innermost)
    await outer.dispatch(TEXT)
    with pytest.raises(ConfigurationError, match=r"handler .*handler comes too late: an event has already been disp"):
        recorder.on(innermost, "late")
    with pytest.raises(ConfigurationError, match="<Dispatcher with 0 handlers> comes too late"):
        innermost.include(Dispatcher())
    with pytest.raises(ConfigurationError, match="a provider of Till comes too late"):
        inner.provide(Till, Till())


@pytest.mark.anyio
async def test_an_outer_one_is_not_frozen_by_an_inner_ones_events(recorder: Recorder) -> None:
    """It has missed nothing."""
    outer, inner = Dispatcher(), Dispatcher()
    outer.include(inner)
    await inner.dispatch(TEXT)
    recorder.on(outer, "outer")
    await outer.dispatch(TEXT)
    assert recorder.seen == ["outer"]
