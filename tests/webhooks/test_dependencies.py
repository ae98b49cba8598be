"""What handlers are given besides their event: where it comes from, how long it lives, and what is refused."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, Self, TypeVar

import anyio.lowlevel
import pytest

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks import (
    ContactCreated,
    DispatchContext,
    Dispatcher,
    Event,
    OptedOut,
    Text,
    TextReceived,
)

TEXT = TextReceived(text=Text(message="Hi", phone_from="+18885557777"))

T = TypeVar("T")


class Boom(Exception):  # noqa: N818  # what handlers raise has any name
    """What fails."""


class Shop:
    """Something to provide."""


class Till:
    """Something else."""


class Shelf(Generic[T]):
    """Something of something."""


class Session:
    """Something that is closed, and remembers how."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def __aenter__(self) -> Self:
        self.log.append("opened")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.log.append("closed" if kind is None else kind.__name__)


@pytest.fixture
def dispatcher() -> Dispatcher:
    """A new one."""
    return Dispatcher()


async def run(dispatcher: Dispatcher, event: Event = TEXT, **options: Any) -> None:
    """Dispatch an event that must not fail."""
    report = await dispatcher.dispatch(event, **options)
    assert report.ok, report.failed
    assert report.handled


@pytest.mark.anyio
async def test_a_handler_gets_what_its_types_say(dispatcher: Dispatcher) -> None:
    """By position or by keyword, plain or async; the event too, if it is asked for again."""
    shop, till, shelf = Shop(), Till(), Shelf[int]()
    dispatcher.provide(Shop, shop)
    dispatcher.provide(Till, till)
    dispatcher.provide(Shelf[int], shelf)
    got: list[tuple[object, ...]] = []

    @dispatcher.on(TextReceived)
    async def asynchronous(event: TextReceived, till: Till, shop: Shop, *, shelf: Shelf[int], again: Event) -> None:
        got.append((event, till, shop, shelf, again))

    @dispatcher.on(TextReceived)
    def plain(event: Event, /, shop: Shop, option: int = 5, **others: object) -> None:
        got.append((event, shop, option, others))

    @dispatcher.on(TextReceived)
    def collecting(*events: Event, shop: Shop) -> None:
        got.append((events, shop))

    await run(dispatcher)
    assert got == [(TEXT, till, shop, shelf, TEXT), (TEXT, shop, 5, {}), ((TEXT,), shop)]


@pytest.mark.anyio
async def test_everything_that_can_be_called_can_ask(dispatcher: Dispatcher) -> None:
    """Methods, objects, partials and decorated functions; what a partial has filled in stays."""
    ours, theirs = Shop(), Shop()
    dispatcher.provide(Shop, ours)
    got: list[Shop] = []

    class Clerk:
        async def method(self, _: Event, shop: Shop) -> None:
            got.append(shop)

        def __call__(self, _: Event, shop: Shop) -> None:
            got.append(shop)

    def decorate(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @functools.wraps(function)
        async def wrapper(*args: object, **kwargs: object) -> None:
            await function(*args, **kwargs)

        return wrapper

    clerk = Clerk()
    for handler in (clerk.method, clerk, decorate(clerk.method), functools.partial(clerk.method, shop=theirs)):
        dispatcher.on(TextReceived)(handler)
    await run(dispatcher)
    assert got == [ours, ours, ours, theirs]


@pytest.mark.anyio
async def test_the_context_is_known_to_every_handler(dispatcher: Dispatcher) -> None:
    """Its event, its name, and what the dispatch was given."""
    got: list[DispatchContext] = []

    @dispatcher.on(TextReceived)
    async def handler(_: TextReceived, context: DispatchContext) -> None:
        got.append(context)

    shop = Shop()
    await run(dispatcher, context={Shop: shop})
    await run(dispatcher)
    name = f"{handler.__module__}.{handler.__qualname__}"
    assert got == [
        DispatchContext(event=TEXT, handler=name, values={Shop: shop}),
        DispatchContext(event=TEXT, handler=name, values={}),
    ]
    assert "5557777" not in repr(got[0])


@pytest.mark.anyio
async def test_the_context_of_a_dispatch_goes_before_what_is_provided(dispatcher: Dispatcher) -> None:
    """For that event alone; and it alone may have what nobody provides."""
    always, this_time, till = Shop(), Shop(), Till()
    dispatcher.provide(Shop, always)
    got: list[object] = []

    @dispatcher.on(TextReceived)
    async def handler(_: TextReceived, shop: Shop, till: Till) -> None:
        got.extend([shop, till])

    dispatcher.check(Till)
    await run(dispatcher, context={Shop: this_time, Till: till})
    await run(dispatcher, context={Till: till})
    assert got == [this_time, till, always, till]
    with pytest.raises(ConfigurationError, match="wants 'till', a Till, which nobody provides"):
        await dispatcher.dispatch(TEXT)


@pytest.mark.anyio
async def test_what_need_not_be_there_need_not_be_provided(dispatcher: Dispatcher) -> None:
    """A default stays, ``None`` stands in where it may; what is provided goes before both."""
    got: list[tuple[object, ...]] = []
    default, shop = Shop(), Shop()

    @dispatcher.on(TextReceived)
    async def handler(
        _: TextReceived, till: Till | None, shop: Shop = default, shelf: Shelf[int] | None = None
    ) -> None:
        got.append((till, shop, shelf))

    @dispatcher.on(TextReceived)
    async def of_other_events(_: TextReceived, other: OptedOut | None = None) -> None:
        got.append((other,))

    await run(dispatcher)
    await run(dispatcher, context={Shop: shop})
    assert got == [(None, default, None), (None,), (None, shop, None), (None,)]


# --- factories ----------------------------------------------------------------------------------------------------


async def make_later() -> Shop:
    await anyio.lowlevel.checkpoint()
    return Shop()


class Factory:
    def __call__(self) -> Shop:
        return Shop()

    def method(self) -> Shop:
        return Shop()


@pytest.mark.anyio
@pytest.mark.parametrize("factory", [Shop, lambda: Shop(), make_later, Factory(), Factory().method])  # noqa: PLW0108
async def test_a_factory_is_called_for_each_handler(dispatcher: Dispatcher, factory: Any) -> None:
    """A class, a function, plain or async, a method, or an object that can be called: nothing is shared."""
    dispatcher.provide(Shop, factory)
    got: list[Shop] = []

    async def handler(_: TextReceived, shop: Shop, same: Shop) -> None:
        assert shop is same
        got.append(shop)

    dispatcher.on(TextReceived)(handler)
    dispatcher.on(TextReceived)(handler)
    await run(dispatcher)
    await run(dispatcher)
    assert len(set(got)) == 4
    assert all(type(shop) is Shop for shop in got)


@pytest.mark.anyio
async def test_an_instance_that_can_be_called_is_a_value(dispatcher: Dispatcher) -> None:
    """Of the type that it is provided for, that is."""
    factory = Factory()
    dispatcher.provide(Factory, factory)
    got: list[Factory] = []

    @dispatcher.on(TextReceived)
    async def handler(_: TextReceived, factory: Factory) -> None:
        got.append(factory)

    await run(dispatcher)
    assert got == [factory]


@pytest.mark.anyio
async def test_a_factory_can_want_something_too(dispatcher: Dispatcher) -> None:
    """The event, other things that are provided, the context; what two of them want is made once for a handler."""
    got: list[object] = []
    made: list[str] = []

    def make_shop(event: TextReceived) -> Shop:
        made.append(event.message)
        return Shop()

    async def make_till(shop: Shop, context: DispatchContext, shelf: Shelf[int] | None = None) -> Till:
        got.extend([shop, context.event, shelf])
        return Till()

    dispatcher.provide(Shop, make_shop)
    dispatcher.provide(Till, make_till)

    @dispatcher.on(TextReceived)
    async def handler(_: TextReceived, till: Till, shop: Shop) -> None:
        got.extend([till, shop])

    await run(dispatcher)
    shop, event, shelf, till, same_shop = got
    assert (event, shelf) == (TEXT, None)
    assert isinstance(till, Till)
    assert shop is same_shop
    assert made == ["Hi"]


@pytest.mark.anyio
async def test_what_a_factory_opens_is_closed_when_the_handler_has_ended(dispatcher: Dispatcher) -> None:
    """In the opposite order, whether it is a generator or returns a context manager; async or not."""
    log: list[str] = []

    async def make_shop() -> AsyncIterator[Shop]:
        log.append("open shop")
        yield Shop()
        await anyio.lowlevel.checkpoint()
        log.append("close shop")

    def make_till(_: Event, shop: Shop) -> Iterator[Till]:
        assert isinstance(shop, Shop)
        log.append("open till")
        yield Till()
        log.append("close till")

    @contextlib.contextmanager
    def make_shelf(till: Till) -> Iterator[Shelf[int]]:
        assert isinstance(till, Till)
        log.append("open shelf")
        yield Shelf()
        log.append("close shelf")

    dispatcher.provide(Shop, make_shop)
    dispatcher.provide(Till, make_till)
    dispatcher.provide(Shelf[int], make_shelf)

    @dispatcher.on(TextReceived)
    async def first(_: TextReceived, shelf: Shelf[int]) -> None:
        assert isinstance(shelf, Shelf)
        log.append("first")

    @dispatcher.on(TextReceived)
    def second(_: TextReceived, shop: Shop) -> None:
        assert isinstance(shop, Shop)
        log.append("second")

    await run(dispatcher)
    assert log == [
        *("open shop", "open till", "open shelf", "first", "close shelf", "close till", "close shop"),
        *("open shop", "second", "close shop"),
    ]


@pytest.mark.anyio
async def test_what_is_open_sees_the_error_of_its_own_handler(dispatcher: Dispatcher) -> None:
    """So a transaction is rolled back with the handler that failed, in a thread or not, and not with its neighbour."""
    sessions: list[Session] = []

    def make_session() -> Session:
        sessions.append(Session())
        return sessions[-1]

    dispatcher.provide(Session, make_session)

    @dispatcher.on(TextReceived)
    async def fails(_: TextReceived, session: Session) -> None:
        session.log.append("fails")
        raise Boom

    @dispatcher.on(TextReceived)
    def fails_in_a_thread(_: TextReceived, session: Session) -> None:
        session.log.append(f"fails in {threading.current_thread() is not threading.main_thread()}")
        raise StopIteration

    @dispatcher.on(TextReceived)
    async def works(_: TextReceived, session: Session) -> None:
        session.log.append("works")

    report = await dispatcher.dispatch(TEXT)
    assert [type(result.error) for result in report.results] == [Boom, StopIteration, type(None)]
    assert [session.log for session in sessions] == [
        ["opened", "fails", "Boom"],
        ["opened", "fails in True", "StopIteration"],
        ["opened", "works", "closed"],
    ]


@pytest.mark.anyio
async def test_what_cannot_be_made_or_closed_is_a_failure_of_the_handler(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    """Reported and logged; the others run. A commit that fails means that the handler has failed."""
    seen: list[str] = []

    async def cannot_be_made() -> Shop:
        raise Boom

    async def cannot_be_closed() -> AsyncIterator[Till]:
        yield Till()
        raise Boom

    dispatcher.provide(Shop, cannot_be_made)
    dispatcher.provide(Till, cannot_be_closed)

    @dispatcher.on(TextReceived)
    async def never(_: TextReceived, till: Till, shop: Shop) -> None:
        seen.append(f"never {till} {shop}")

    @dispatcher.on(TextReceived)
    async def in_vain(_: TextReceived, till: Till) -> None:
        seen.append(f"in vain {type(till).__name__}")

    @dispatcher.on(TextReceived)
    async def works(_: TextReceived) -> None:
        seen.append("works")

    with caplog.at_level(logging.ERROR, "pidj_async.webhooks"):
        report = await dispatcher.dispatch(TEXT)
    assert seen == ["in vain Till", "works"]
    assert [result.outcome for result in report.results] == ["failed", "failed", "ok"]
    told = [record.getMessage() for record in caplog.records if record.name == "pidj_async.webhooks"]
    assert "an argument of webhook handler" in told[0]
    assert "in_vain failed on event 'text-received'" in told[1]


@pytest.mark.anyio
async def test_what_is_open_is_closed_upon_cancellation(dispatcher: Dispatcher) -> None:
    """And the cancellation is no error of the handler."""
    session = Session()
    dispatcher.provide(Session, lambda: session)

    @dispatcher.on(TextReceived)
    async def hangs(_: TextReceived, session: Session) -> None:
        session.log.append("hangs")
        scope.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        await dispatcher.dispatch(TEXT)
    assert scope.cancelled_caught
    assert len(session.log) == 3
    assert session.log[:2] == ["opened", "hangs"]
    assert session.log[2].startswith("Cancelled")


# --- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_what_nobody_provides_is_found_out_before_anything_runs(dispatcher: Dispatcher) -> None:
    """By `check`, or at the first event of whatever kind; then it can still be mended."""
    seen: list[str] = []

    @dispatcher.on(ContactCreated)
    async def other(_: ContactCreated) -> None:
        seen.append("other")

    @dispatcher.on(TextReceived)
    async def needy(_: TextReceived, shelf: Shelf[int]) -> None:
        seen.append(f"needy {shelf}")

    problem = (
        r"handler .*needy wants 'shelf', a .*Shelf\[int\], which nobody provides: call "
        r"dispatcher\.provide\(.*Shelf\[int\], \.\.\.\) before the first event"
    )
    with pytest.raises(ConfigurationError, match=problem):
        dispatcher.check()
    with pytest.raises(ConfigurationError, match=problem):
        await dispatcher.dispatch(ContactCreated())
    assert seen == []
    dispatcher.provide(Shelf[int], Shelf())
    dispatcher.check()
    await run(dispatcher, ContactCreated())
    assert seen == ["other"]


def test_what_a_factory_lacks_is_found_out_too(dispatcher: Dispatcher) -> None:
    """The error names the factory, as the handler cannot help it; unused factories do not matter."""

    def make_shop(till: Till) -> Shop:
        raise AssertionError(till)

    dispatcher.provide(Shop, make_shop)
    dispatcher.check()

    @dispatcher.on(TextReceived)
    async def handler(_: TextReceived, shop: Shop) -> None:
        raise AssertionError(shop)

    with pytest.raises(ConfigurationError, match=r"factory .*make_shop wants 'till', a Till, which nobody provides"):
        dispatcher.check()


def test_factories_that_want_each_other_are_refused(dispatcher: Dispatcher) -> None:
    """Nobody could be the first."""

    def make_shop(till: Till) -> Shop:
        raise AssertionError(till)

    def make_till(shop: Shop) -> Till:
        raise AssertionError(shop)

    dispatcher.provide(Shop, make_shop)
    dispatcher.provide(Till, make_till)

    @dispatcher.on(TextReceived)
    async def handler(_: TextReceived, shop: Shop) -> None:
        raise AssertionError(shop)

    with pytest.raises(ConfigurationError, match="go round in circles: Shop wants Till wants Shop"):
        dispatcher.check()


def test_a_factory_of_other_events_is_refused(dispatcher: Dispatcher) -> None:
    """What it wants, the handler's events will never be."""

    def make_shop(event: TextReceived) -> Shop:
        raise AssertionError(event)

    dispatcher.provide(Shop, make_shop)

    @dispatcher.on(TextReceived, OptedOut)
    async def handler(_: TextReceived | OptedOut, shop: Shop) -> None:
        raise AssertionError(shop)

    problem = (
        "factory .*make_shop, wanted by handler .*handler: "
        "'event' is annotated TextReceived, but for OptedOut it will never be one"
    )
    with pytest.raises(ConfigurationError, match=problem):
        dispatcher.check()


@pytest.mark.parametrize("kind", [int, str, dict, dict[str, int], "Shop", None, Shop(), Shop | Till])
def test_only_a_class_of_ones_own_can_be_provided_for(dispatcher: Dispatcher, kind: Any) -> None:
    """A text or a number would mean something else to each handler."""
    with pytest.raises(TypeError, match=r"provide\(\) takes the type that handlers ask for, a class and none of P"):
        dispatcher.provide(kind, object())


@pytest.mark.parametrize("kind", [TextReceived, Event, DispatchContext])
def test_what_is_known_anyway_cannot_be_provided(dispatcher: Dispatcher, kind: Any) -> None:
    """It would never be used."""
    with pytest.raises(ConfigurationError, match=f"{kind.__name__} is known to every dispatcher"):
        dispatcher.provide(kind, object())


def test_nothing_is_provided_twice(dispatcher: Dispatcher) -> None:
    """One of the two would be ignored."""
    dispatcher.provide(Shop, Shop())
    with pytest.raises(ConfigurationError, match="Shop is provided twice"):
        dispatcher.provide(Shop, Shop())


def test_a_factory_must_say_what_it_wants(dispatcher: Dispatcher) -> None:
    """As a handler must."""
    with pytest.raises(TypeError, match=r"factory .*<lambda> wants 'event', but does not say of which type"):
        dispatcher.provide(Shop, lambda event: Shop())  # noqa: ARG005
