"""Dispatching: who hears of what, in which order, and what becomes of errors."""

from __future__ import annotations

import functools
import logging
import re
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks import (
    ContactCreated,
    ContactDeleted,
    ContactEvent,
    Dispatcher,
    DispatchReport,
    Event,
    HandlerResult,
    InferredEvent,
    OptedIn,
    OptedOut,
    Text,
    TextReceived,
    UnknownEvent,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TEXT = TextReceived(text=Text(message="my secret plan", phone_from="+18885557777"))


class Boom(Exception):  # noqa: N818  # what handlers raise has any name
    """What a failing handler raises."""


@pytest.fixture
def dispatcher() -> Dispatcher:
    """A new one."""
    return Dispatcher()


@pytest.mark.anyio
async def test_a_handler_gets_the_events_it_asked_for(dispatcher: Dispatcher) -> None:
    """Only events of the classes that it was registered for, each as it is."""
    seen: list[Event] = []

    @dispatcher.on(OptedOut, OptedIn)
    async def remember(event: OptedOut | OptedIn) -> None:
        seen.append(event)

    events = [OptedOut(), TEXT, OptedIn(phone="+1"), UnknownEvent(name="x"), ContactCreated()]
    reports = [await dispatcher.dispatch(event) for event in events]
    assert [OptedOut(), OptedIn(phone="+1")] == seen
    assert [True, False, True, False, False] == [report.handled for report in reports]
    assert all(report.ok for report in reports)


@pytest.mark.anyio
async def test_a_base_class_stands_for_all_its_events(dispatcher: Dispatcher) -> None:
    """`ContactEvent`, `InferredEvent` and `Event` catch what derives from them; `Event` catches the unknown too."""
    seen: list[tuple[str, str]] = []

    def remember(base: str, event: Event) -> None:
        seen.append((base, event.name))

    for base in (ContactEvent, InferredEvent, UnknownEvent, Event):
        dispatcher.on(base)(functools.partial(remember, base.__name__))
    for event in (ContactDeleted(), OptedIn(), UnknownEvent(name="x")):
        await dispatcher.dispatch(event)
    assert seen == [
        ("ContactEvent", "contact-deleted"),
        ("Event", "contact-deleted"),
        ("InferredEvent", "opt-in"),
        ("Event", "opt-in"),
        ("UnknownEvent", "x"),
        ("Event", "x"),
    ]


@pytest.mark.anyio
async def test_the_order_is_that_of_registration_with_catch_alls_last(dispatcher: Dispatcher) -> None:
    """Handlers of particular classes in order of registration, then those of `Event`; plain and async alike."""
    seen: list[str] = []

    @dispatcher.on(Event)
    def first_catch_all(_: Event) -> None:
        seen.append("first catch-all")

    @dispatcher.on(TextReceived)
    def plain(_: TextReceived) -> None:
        seen.append("plain")

    @dispatcher.on(TextReceived, OptedOut)
    async def asynchronous(_: TextReceived | OptedOut) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append("async")

    @dispatcher.on(TextReceived, Event)
    async def both(_: Event) -> None:
        seen.append("second catch-all")

    @dispatcher.on(TextReceived)
    async def last(_: TextReceived) -> None:
        seen.append("last")

    report = await dispatcher.dispatch(TEXT)
    expected = ["plain", "async", "last", "first catch-all", "second catch-all"]
    assert expected == seen
    names = [result.handler.rpartition(".")[2] for result in report.results]
    assert names == ["plain", "asynchronous", "last", "first_catch_all", "both"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("stop", ["stop", "store", "audit"]),
        ("start", ["store", "start", "audit"]),
        ("what", ["store", "sorry", "sorry again", "audit"]),
    ],
)
async def test_a_fallback_runs_if_no_filter_matched(dispatcher: Dispatcher, message: str, expected: list[str]) -> None:
    """After the others, wherever it was registered; handlers without filters do not count, they want everything."""
    seen: list[str] = []

    def remember(name: str, **options: Any) -> None:
        async def handler(_: TextReceived) -> None:
            seen.append(name)

        dispatcher.on(TextReceived, **options)(handler)

    dispatcher.on(Event)(lambda _: seen.append("audit"))
    remember("sorry", fallback=True)
    remember("stop", keyword="stop")
    remember("store")
    remember("start", keyword="start")
    remember("sorry again", fallback=True, regex="^w")
    remember("never", fallback=True, keyword="stop")
    await dispatcher.dispatch(TextReceived(text=Text(message=message)))
    assert expected == seen


@pytest.mark.anyio
async def test_a_fallback_does_not_run_for_want_of_a_filter_that_raised(dispatcher: Dispatcher) -> None:
    """Who knows whether it would have matched: better no answer than a wrong one, before the event is tried again."""

    def broken(_: TextReceived) -> bool:
        raise Boom

    dispatcher.on(TextReceived, when=broken)(of_more)
    dispatcher.on(TextReceived, fallback=True)(of_anything)
    report = await dispatcher.dispatch(TEXT)
    assert ["failed"] == [result.outcome for result in report.results]


@pytest.mark.anyio
async def test_a_fallback_is_only_for_its_own_events(dispatcher: Dispatcher) -> None:
    """That no text came is no reason to apologise to a contact."""
    dispatcher.on(TextReceived, keyword="stop")(of_more)
    dispatcher.on(TextReceived, fallback=True)(of_more)
    assert not (await dispatcher.dispatch(ContactCreated())).handled


@pytest.mark.anyio
async def test_one_failing_handler_does_not_stop_the_others(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    """Its error stays in the report and the log, which do not show the event's body."""
    seen: list[str] = []
    boom = Boom("broken")

    @dispatcher.on(TextReceived)
    async def breaks(_: TextReceived) -> None:
        raise boom

    @dispatcher.on(TextReceived)
    def breaks_in_a_thread(_: TextReceived) -> None:
        raise StopIteration

    @dispatcher.on(TextReceived)
    async def works(_: TextReceived) -> None:
        seen.append("works")

    with caplog.at_level(logging.DEBUG):
        report = await dispatcher.dispatch(TEXT)
    assert ["works"] == seen
    assert not report.ok
    assert report.handled
    assert ["failed", "failed", "ok"] == [result.outcome for result in report.results]
    assert [boom, StopIteration, None] == [
        report.results[0].error,
        type(report.results[1].error),
        report.results[2].error,
    ]
    assert report.results[:2] == report.failed
    assert TEXT == report.event
    ours = [record for record in caplog.records if record.name == "pidj_async.webhooks"]
    assert [logging.ERROR, logging.ERROR] == [record.levelno for record in ours]
    assert "breaks failed on event 'text-received'" in ours[0].getMessage()
    assert ours[0].exc_info is not None
    assert boom is ours[0].exc_info[1]
    for shown in (caplog.text, repr(report)):
        assert "secret plan" not in shown
        assert "5557777" not in shown


def test_the_repr_of_a_result_does_not_quote_the_error() -> None:
    """A handler's error may hold the text that it was about."""
    error = ValueError("cannot understand 'my secret plan'")
    shown = repr(HandlerResult(handler="shop.answer", outcome="failed", duration=0.5, error=error))
    assert shown == "HandlerResult(handler='shop.answer', outcome='failed', duration=0.5, error=ValueError)"


@pytest.mark.anyio
async def test_cancellation_is_no_error(dispatcher: Dispatcher) -> None:
    """A cancelled dispatch ends at once and runs no further handler."""
    seen: list[str] = []

    @dispatcher.on(TextReceived)
    async def hangs(_: TextReceived) -> None:
        seen.append("started")
        scope.cancel()
        await anyio.sleep_forever()

    @dispatcher.on(TextReceived)
    async def never(_: TextReceived) -> None:
        seen.append("never")

    with anyio.CancelScope() as scope:
        await dispatcher.dispatch(TEXT)
    assert scope.cancelled_caught
    assert ["started"] == seen


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_program_is_not_swallowed(dispatcher: Dispatcher, kind: type[BaseException]) -> None:
    """Only exceptions are isolated, not interrupts and exits."""

    @dispatcher.on(TextReceived)
    async def ends(_: TextReceived) -> None:
        raise kind

    with pytest.raises(kind):
        await dispatcher.dispatch(TEXT)


@pytest.mark.anyio
async def test_a_plain_function_runs_in_a_thread_and_cannot_stall_the_loop(dispatcher: Dispatcher) -> None:
    """While a plain handler blocks, the loop runs on: it is the loop that releases it."""
    release = threading.Event()
    blocked = anyio.Event()
    threads: list[int] = []

    @dispatcher.on(TextReceived)
    def blocks(_: TextReceived) -> None:
        threads.append(threading.get_ident())
        anyio.from_thread.run_sync(blocked.set)
        if not release.wait(30):
            raise Boom

    @dispatcher.on(TextReceived)
    async def on_the_loop(_: TextReceived) -> None:
        threads.append(threading.get_ident())

    reports: list[DispatchReport] = []

    async def dispatch() -> None:
        reports.append(await dispatcher.dispatch(TEXT))

    async with anyio.create_task_group() as group:
        group.start_soon(dispatch)
        await blocked.wait()
        release.set()
    assert reports[0].ok
    assert threads[0] != threads[1] == threading.get_ident()


@pytest.mark.anyio
async def test_everything_that_can_be_called_can_be_a_handler(dispatcher: Dispatcher) -> None:
    """Methods, partials, objects, lambdas, decorated functions and builtins, plain or async, each with its name."""
    seen: list[str] = []

    class Shop:
        def plain(self, event: TextReceived) -> None:
            seen.append(f"method {event.message}")

        async def asynchronous(self, event: TextReceived) -> None:
            seen.append(f"async method {event.message}")

        async def __call__(self, event: TextReceived) -> None:
            seen.append(f"object {event.message}")

    async def with_option(option: str, event: TextReceived) -> None:
        seen.append(f"{option} {event.message}")

    shop = Shop()

    @functools.wraps(shop.asynchronous)
    def wrapped(event: TextReceived) -> Any:
        return with_option("wrapped", event)

    dispatcher.on(TextReceived)(shop.plain)
    dispatcher.on(TextReceived)(shop.asynchronous)
    dispatcher.on(TextReceived)(shop)
    dispatcher.on(TextReceived)(functools.partial(with_option, "partial"))
    dispatcher.on(TextReceived)(lambda event: shop(event))  # noqa: PLW0108  # it is plain and returns a coroutine
    dispatcher.on(TextReceived)(wrapped)
    dispatcher.on(TextReceived)(seen.append)  # type: ignore[arg-type]
    report = await dispatcher.dispatch(TextReceived(text=Text(message="Hi")))
    assert report.ok, report.failed
    assert seen[:-1] == ["method Hi", "async method Hi", "object Hi", "partial Hi", "object Hi", "wrapped Hi"]
    names = [result.handler.rpartition("<locals>.")[2] for result in report.results[:5]]
    assert names == ["Shop.plain", "Shop.asynchronous", "Shop", "with_option", "<lambda>"]
    assert all(result.duration >= 0 for result in report.results)


def test_a_decorated_handler_is_still_the_function(dispatcher: Dispatcher) -> None:
    """`Dispatcher.on` gives the function back unchanged."""

    def answer(_: TextReceived) -> int:
        return 42

    assert dispatcher.on(TextReceived)(answer) is answer


# --- registration -------------------------------------------------------------------------------------------------


def no_arguments() -> None:
    """Takes no event."""


def two_arguments(event: Event, other: int) -> None:
    """Wants more than an event."""


class Shop:
    """Something to ask for."""


class Till:
    """Something else."""


def of_bare(event: Event, other) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Wants something."""


def of_positional(event: Event, shop: Shop, /) -> None:
    """Wants a shop, wherever that is."""


def of_several(event: Event, shop: Shop | Till) -> None:
    """Wants this or that."""


def of_unknown(event: Event, shop: NotHere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Wants what only a type checker could tell."""


def of_match(event: Event, match: re.Match[str]) -> None:
    """Wants a match."""


def of_event(event: Event, again: OptedOut) -> None:
    """Wants another event too."""


def by_keyword(*, event: Event) -> None:
    """Takes an event, but not by position."""


def generator(event: Event) -> Iterator[Event]:
    """Would do nothing when called."""
    yield event


async def async_generator(event: Event) -> AsyncIterator[Event]:
    """Would do nothing when called."""
    yield event


def of_contacts(event: ContactCreated) -> None:
    """Takes other events."""


def of_union(event: ContactCreated | OptedIn) -> None:
    """Takes other events."""


async def of_unresolvable(event: NotImportedHere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Takes what only a type checker could tell."""


async def of_anything(event: Any) -> None:
    """Takes anything."""


async def of_more(event: Event, /, option: int = 1, **others: int) -> None:
    """Has options of its own."""


async def of_all(*events: Event) -> None:
    """Takes any number of events."""


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (no_arguments, r"no_arguments must accept one positional argument, the TextReceived event; it is .*\(\)"),
        (two_arguments, r"two_arguments wants 'other', annotated int; only a class can be provided for, and none of P"),
        (of_bare, r"of_bare wants 'other', but does not say of which type; annotate it"),
        (of_positional, r"of_positional wants 'shop', which cannot be passed by its name; take the / out"),
        (of_several, r"of_several wants 'shop', annotated .*Shop \| .*Till; only a class can be provided for"),
        (of_unknown, r"of_unknown wants 'shop', annotated NotHere, which is not found .* not only under TYPE_CHECKING"),
        (of_match, r"of_match: 'match' is a match, so the handler needs a regex= to be registered with"),
        (of_event, r"of_event: 'again' is annotated OptedOut, but for TextReceived it will never be one"),
        (by_keyword, r"by_keyword must accept one positional argument"),
        (generator, r"generator is a generator, so calling it would run nothing"),
        (async_generator, r"async_generator is a generator"),
        (of_contacts, r"of_contacts is registered for TextReceived but its 'event' is annotated ContactCreated"),
        (of_union, r"of_union is registered for TextReceived but its 'event' is annotated ContactCreated \| OptedIn"),
        ("answer", r"a handler must be a function, not 'answer'"),
    ],
)
def test_an_unfit_handler_is_refused_when_it_is_registered(dispatcher: Dispatcher, handler: Any, problem: str) -> None:
    """The error names the handler and what it must accept, before any event has come."""
    with pytest.raises(TypeError, match=problem):
        dispatcher.on(TextReceived)(handler)
    assert repr(dispatcher) == "<Dispatcher with 0 handlers>"


@pytest.mark.parametrize(
    "handler", [of_unresolvable, of_anything, of_more, of_all, functools.partial(two_arguments, TEXT), print, max]
)
def test_a_fit_handler_is_taken(dispatcher: Dispatcher, handler: Any) -> None:
    """Options with defaults, ``*events`` and annotations that cannot be resolved are no obstacle."""
    dispatcher.on(TextReceived, OptedOut)(handler)
    assert repr(dispatcher) == "<Dispatcher with 1 handlers>"


@pytest.mark.parametrize("wrong", [(), (no_arguments,), (int,), ("text-received",), (TextReceived, int), (TEXT,)])
def test_only_classes_of_event_can_be_registered_for(dispatcher: Dispatcher, wrong: tuple[Any, ...]) -> None:
    """A forgotten parenthesis, a name or an instance is told apart at once."""
    with pytest.raises(TypeError, match=r"@dispatcher\.on\("):
        dispatcher.on(*wrong)


@pytest.mark.anyio
async def test_nothing_can_be_registered_after_the_first_event(dispatcher: Dispatcher) -> None:
    """A late handler would have missed some events: the error says so and what to do."""
    register = dispatcher.on(TextReceived)
    await dispatcher.dispatch(OptedOut())
    with pytest.raises(ConfigurationError, match=r"no_arguments comes too late.*where the module is imported"):
        register(no_arguments)  # type: ignore[arg-type]
