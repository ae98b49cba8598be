"""Which of your functions hears of which event.

The rules, all of them:

1. A handler is registered for one or several classes of event, and gets every event that is an instance of one of
   them and passes its filters (`pidj_async.webhooks.filters`), once.
2. Handlers run **one after the other, all of them**: a handler that ran keeps no other from running. The order is

   a. those registered for particular classes, in order of registration;
   b. those registered with ``fallback=True``, in order of registration, and only if no handler of (a) that has filters
      of its own wanted the event. Handlers without filters do not count: they want everything;
   c. those registered for `Event` itself, in order of registration.

   The handlers of an included dispatcher stand where it was included; what it was included with does not count as
   filters of their own.
3. A handler's filters are asked just before its turn. Whatever else it wants is made for it alone, and closed when it
   has ended (`pidj_async.webhooks.dependencies`).
4. A handler that raises does not keep the others from running, and its error does not leave `Dispatcher.dispatch`:
   it is in the report, and in the log. The same holds for its filters and for whatever makes its arguments; a
   handler whose filter raised counts as one that wanted the event. Cancellation is no error and does leave.
5. A handler that ends with `ReplyToOptOutError` was *refused*: nothing was sent, trying again would change nothing, so
   that is not a failure.
6. An ``async def`` runs on the event loop. A plain ``def`` runs in a **worker thread**, so that one that blocks does
   not stall the loop; it must not touch what belongs to the loop. Filters and factories run on the loop.
7. A handler's signature is looked at once, when it is registered.
8. Middleware goes **around the event**, not around each handler: it then sees the events that nobody wanted too, may
   keep an event from all handlers at once, and has every handler's outcome and duration in the report. The first
   registered is the outermost. One that raises is in the report like a handler that did.
9. After the first event nothing more can be registered, here or in an included dispatcher: a handler that missed some
   of the events is a bug that nobody finds.
"""

from __future__ import annotations

import functools
import inspect
import logging
import re
import time
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Concatenate, Final, Literal, ParamSpec, Protocol, TypeVar, overload

import anyio.to_thread
import attrs

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks.dependencies import (
    DispatchContext,
    Parameter,
    Provided,
    Provider,
    Scope,
    Wanted,
    function_of,
    make_provider,
    name_of,
    plan,
    show_kind,
    signature_of,
    split_union,
    unfit,
    wanted_by,
)
from pidj_async.webhooks.events import Event, TextReceived, show_name
from pidj_async.webhooks.filters import Filters, make_filters
from pidj_async.webhooks.keywords import is_stop_word
from pidj_async.webhooks.replies import Reply, ReplyToOptOutError

__all__ = ["CallNext", "DispatchContext", "DispatchReport", "Dispatcher", "HandlerResult", "Middleware"]

logger = logging.getLogger("pidj_async.webhooks")

_E = TypeVar("_E", bound=Event)
_A = TypeVar("_A", bound=Event)
_B = TypeVar("_B", bound=Event)
_C = TypeVar("_C", bound=Event)
_D = TypeVar("_D", bound=Event)
_T = TypeVar("_T", bound=TextReceived)
_P = ParamSpec("_P")
_R = TypeVar("_R")
_V = TypeVar("_V")

_Texts = str | Iterable[str] | None
_When = Callable[[_E], bool | Awaitable[bool]] | None


class _Register(Protocol[_E]):
    """The decorator that `Dispatcher.on` returns: it takes a handler of these events and gives it back."""

    def __call__(self, handler: Callable[Concatenate[_E, _P], _R], /) -> Callable[Concatenate[_E, _P], _R]: ...


def _show_error(error: Exception | None) -> str:
    return "None" if error is None else type(error).__name__  # its text may quote the event


@attrs.frozen(kw_only=True)
class HandlerResult:
    """What one handler made of one event.

    Attributes:
        handler: The handler's name, such as ``"shop.texts.answer"``; or a middleware's, if it failed.
        outcome: ``"ok"``: it returned. ``"failed"``: it raised, or its filters or what makes its arguments did.
            ``"refused"``: it wanted to answer an opt-out.
        duration: How long it took, in seconds, its filters and arguments included. For a plain ``def`` the wait for a
            free thread is included.
        error: What was raised.
    """

    handler: str
    outcome: Literal["ok", "failed", "refused"]
    duration: float
    error: Exception | None = attrs.field(default=None, repr=_show_error)

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong that trying again could mend."""
        return self.outcome != "failed"


@attrs.frozen(kw_only=True)
class DispatchReport:
    """What became of one event.

    Attributes:
        event: The event.
        results: One per handler that ran, in the order in which they ran, then one per middleware that failed.
    """

    event: Event
    results: tuple[HandlerResult, ...] = ()

    @property
    def handled(self) -> bool:
        """Whether any handler ran, failing ones included."""
        return bool(self.results)

    @property
    def ok(self) -> bool:
        """Whether no handler failed. True of an event that nobody wanted."""
        return not self.failed

    @property
    def failed(self) -> tuple[HandlerResult, ...]:
        """The results of the handlers that failed."""
        return tuple(result for result in self.results if not result.ok)


CallNext = Callable[[Event], Awaitable[DispatchReport]]
"""What a middleware calls to go on: the next middleware, at last the handlers. It raises no `Exception`."""

Middleware = Callable[[Event, CallNext], Awaitable[DispatchReport]]
"""``async def middleware(event, call_next)``; it returns the report that ``await call_next(event)`` gave."""

_M = TypeVar("_M", bound=Middleware)

_NO_VALUES: Final[Mapping[type, object]] = types.MappingProxyType({})


@attrs.frozen(kw_only=True, eq=False)
class _Handler:
    """A handler, as it was registered."""

    name: str
    call: Callable[..., object]
    is_async: bool
    event_types: tuple[type[Event], ...]
    filters: Filters
    parameters: tuple[Parameter, ...]
    fallback: bool

    @property
    def phase(self) -> int:
        """Which part of rule 2 it belongs to."""
        return 2 if Event in self.event_types else int(self.fallback)


@attrs.frozen(kw_only=True, eq=False)
class _Entry:
    """A handler, with all that the dispatchers around it add."""

    handler: _Handler
    gates: tuple[Filters, ...]
    wanted: tuple[Wanted, ...]

    @property
    def is_plain(self) -> bool:
        """Whether it needs nothing but the event, and always runs."""
        return not (self.gates or self.handler.filters or self.wanted or self.handler.fallback)

    async def run_plain(self, event: Event) -> HandlerResult:
        """Run it if `is_plain`."""
        handler = self.handler
        started = time.perf_counter()
        error: Exception | None = None
        try:
            if handler.is_async:
                result = handler.call(event)
            else:
                result, error = await anyio.to_thread.run_sync(_call_in_thread, handler.call, event)
            # Also of a plain function: a lambda or a decorated one may hand back a coroutine.
            if inspect.isawaitable(result):
                await result
        except Exception as raised:  # noqa: BLE001  # rule 4; cancellation is a BaseException
            error = raised
        duration = time.perf_counter() - started
        if error is None:
            return HandlerResult(handler=handler.name, outcome="ok", duration=duration)
        return _went_wrong(handler.name, "handler", event, duration, error)

    async def run(
        self, event: Event, context: Mapping[type, object], admitted: dict[Filters, bool]
    ) -> HandlerResult | None:
        """Run it if its filters let the event through; return ``None`` if they do not.

        Args:
            event: The event.
            context: The values of this dispatch.
            admitted: What filters that several handlers share have said of this event.
        """
        handler = self.handler
        started = time.perf_counter()
        error: Exception | None = None
        at = "filter"
        try:
            for gate in self.gates:
                if gate not in admitted:
                    admitted[gate] = bool(await gate.admit(event))
                if not admitted[gate]:
                    return None
            verdict = await handler.filters.admit(event)
            if not verdict:
                return None
            async with AsyncExitStack() as stack:
                at = "argument"
                match = verdict if isinstance(verdict, re.Match) else None
                scope = Scope(event=event, handler=handler.name, context=context, match=match, stack=stack)
                arguments = await scope.arguments(self.wanted)
                at = "handler"
                if handler.is_async:
                    result = handler.call(event, **arguments)
                else:
                    call = functools.partial(handler.call, **arguments) if arguments else handler.call
                    result, error = await anyio.to_thread.run_sync(_call_in_thread, call, event)
                if inspect.isawaitable(result):
                    await result
                if error is not None:
                    raised_in_thread, error = error, None
                    raise raised_in_thread  # here, so that what is in the stack sees it  # noqa: TRY301
        except Exception as raised:  # noqa: BLE001
            error = raised
        duration = time.perf_counter() - started
        if error is None:
            return HandlerResult(handler=handler.name, outcome="ok", duration=duration)
        return _went_wrong(handler.name, at, event, duration, error)


def _call_in_thread(call: Callable[..., object], event: Event) -> tuple[object, Exception | None]:
    # Caught inside the thread: a StopIteration cannot travel through a future.
    try:
        return call(event), None
    except Exception as raised:  # noqa: BLE001
        return None, raised


_BLAME: Final = {
    "handler": "webhook handler %s failed on event %s",
    "filter": "a filter of webhook handler %s failed on event %s",
    "argument": "an argument of webhook handler %s could not be made for event %s",
    "middleware": "webhook middleware %s failed on event %s",
}


def _went_wrong(name: str, at: str, event: Event, duration: float, error: Exception) -> HandlerResult:
    if at == "handler" and isinstance(error, ReplyToOptOutError):  # rule 5; of a middleware, handlers may not have run
        logger.warning("webhook handler %s wanted to answer an opt-out: refused", name)
        return HandlerResult(handler=name, outcome="refused", duration=duration, error=error)
    logger.error(_BLAME[at], name, show_name(event.name), exc_info=error)
    return HandlerResult(handler=name, outcome="failed", duration=duration, error=error)


@attrs.frozen(kw_only=True, eq=False)
class _Route:
    """The handlers of one class of event."""

    plain: tuple[_Entry, ...] | None
    specific: tuple[_Entry, ...]
    fallbacks: tuple[_Entry, ...]
    catch_alls: tuple[_Entry, ...]

    @classmethod
    def of(cls, entries: Sequence[_Entry]) -> _Route:
        phases = [tuple(entry for entry in entries if entry.handler.phase == phase) for phase in range(3)]
        is_plain = all(entry.is_plain for entry in entries)
        plain = (*phases[0], *phases[2]) if is_plain else None  # a fallback is not plain
        return cls(plain=plain, specific=phases[0], fallbacks=phases[1], catch_alls=phases[2])

    async def run(self, event: Event, context: Mapping[type, object]) -> DispatchReport:
        if self.plain is not None:
            return DispatchReport(event=event, results=tuple([await entry.run_plain(event) for entry in self.plain]))
        results: list[HandlerResult] = []
        admitted: dict[Filters, bool] = {}
        wanted = False
        for entry in self.specific:
            result = await entry.run(event, context, admitted)
            if result is not None:
                results.append(result)
                wanted = wanted or bool(entry.handler.filters)
        for entry in (*(() if wanted else self.fallbacks), *self.catch_alls):
            result = await entry.run(event, context, admitted)
            if result is not None:
                results.append(result)
        return DispatchReport(event=event, results=tuple(results))


@attrs.frozen(kw_only=True, eq=False)
class _Plan:
    """Everything that is decided before the first event."""

    entries: tuple[_Entry, ...]
    missing: Mapping[Any, str]
    routes: dict[type[Event], _Route] = attrs.field(factory=dict)

    def require(self, given: Iterable[object]) -> None:
        for kind, problem in self.missing.items():
            if kind not in given:
                raise ConfigurationError(problem)

    def route_of(self, cls: type[Event]) -> _Route:
        if cls not in self.routes:
            entries = [entry for entry in self.entries if issubclass(cls, entry.handler.event_types)]
            self.routes[cls] = _Route.of(entries)
        return self.routes[cls]


@attrs.frozen(kw_only=True, eq=False)
class _Included:
    dispatcher: Dispatcher
    filters: Filters


class Dispatcher:
    """Hands each event to the handlers registered for it.

    ::

        dispatcher = Dispatcher()
        dispatcher.provide(Pidj, pidj)

        @dispatcher.on(TextReceived, keyword="hours")
        async def hours(event: TextReceived, reply: Reply) -> None:
            await reply("We are open from 9 to 17.")

        @dispatcher.on(TextReceived, fallback=True)                 # only if no keyword matched
        async def answer(event: TextReceived, pidj: Pidj) -> None: ...

        @dispatcher.on(OptedOut, OptedIn)
        def remember(event: OptedOut | OptedIn) -> None: ...        # in a worker thread

        @dispatcher.on(Event)
        async def audit(event: Event) -> None: ...                  # every event, after the others

    The module's head has the rules on order, errors and threads. It runs on asyncio and on trio.
    """

    def __init__(self) -> None:
        self._items: list[_Handler | _Included] = []
        self._providers: dict[Any, Provider] = {}
        self._middleware: list[Middleware] = []
        self._is_included = False
        self._started = False
        self._plan: _Plan | None = None

    def __repr__(self) -> str:
        return f"<Dispatcher with {sum(1 for _ in self._walk())} handlers>"

    @overload
    def on(
        self,
        event_type: type[_A],
        /,
        *,
        group: _Texts = None,
        tag: _Texts = None,
        when: _When[_A] = None,
        fallback: bool = False,
    ) -> _Register[_A]: ...
    @overload
    def on(
        self,
        event_type: type[_T],
        /,
        *,
        keyword: _Texts = None,
        regex: str | re.Pattern[str] | None = None,
        group: _Texts = None,
        tag: _Texts = None,
        when: _When[_T] = None,
        fallback: bool = False,
    ) -> _Register[_T]: ...
    @overload
    def on(
        self,
        event_type: type[_A],
        other: type[_B],
        /,
        *,
        group: _Texts = None,
        tag: _Texts = None,
        when: _When[_A | _B] = None,
        fallback: bool = False,
    ) -> _Register[_A | _B]: ...
    @overload
    def on(
        self,
        event_type: type[_A],
        other: type[_B],
        third: type[_C],
        /,
        *,
        group: _Texts = None,
        tag: _Texts = None,
        when: _When[_A | _B | _C] = None,
        fallback: bool = False,
    ) -> _Register[_A | _B | _C]: ...
    @overload
    def on(
        self,
        event_type: type[_A],
        other: type[_B],
        third: type[_C],
        fourth: type[_D],
        /,
        *,
        group: _Texts = None,
        tag: _Texts = None,
        when: _When[_A | _B | _C | _D] = None,
        fallback: bool = False,
    ) -> _Register[_A | _B | _C | _D]: ...
    @overload
    def on(
        self,
        event_type: type[Event],
        other: type[Event],
        third: type[Event],
        fourth: type[Event],
        fifth: type[Event],
        /,
        *more: type[Event],
        group: _Texts = None,
        tag: _Texts = None,
        when: _When[Event] = None,
        fallback: bool = False,
    ) -> _Register[Event]: ...
    def on(
        self,
        *event_types: type[Event],
        keyword: _Texts = None,
        regex: str | re.Pattern[str] | None = None,
        group: _Texts = None,
        tag: _Texts = None,
        when: _When[Any] = None,
        fallback: bool = False,
    ) -> _Register[Any]:
        """Register the decorated function for one or several classes of event.

        Filters narrow that down. Several must all let an event through; of several values of one filter, any will do.

        Args:
            event_types: Event classes. A base class (`ContactEvent`, `InferredEvent`) stands for all its events,
                `Event` for every event there is, unknown ones included.
            keyword: The text says this word, or one of these, and nothing else; see
                `pidj_async.webhooks.keywords.normalize_keyword` for what makes no difference. Only for `TextReceived`.
            regex: A pattern that is searched for in the text, as it was written. A parameter annotated
                ``re.Match[str]`` gets the match. Only for `TextReceived`.
            group: The id or the name of a group, or several: the event came in there. Not for events of contacts.
            tag: A tag, or several: the event's contact has one of them.
            when: A function of the event, plain or async, that says whether to run. It runs on the event loop.
            fallback: Run only if no other handler with filters of its own wanted the event.

        Returns:
            A decorator that registers a handler and returns it unchanged. A handler takes the event as its first
            positional argument; what else it wants is told by the types of its other parameters, see
            `pidj_async.webhooks.dependencies`. What it returns is ignored.

        Raises:
            ConfigurationError: An event has already been dispatched, or a filter is blank or no valid pattern.
            TypeError: No class was given or one that is no event; a filter is of the wrong type or looks at what
                these events do not have; or, from the decorator, the handler cannot be called with one event, is a
                generator, is annotated for other events than these, or wants what nothing can be provided for.
        """
        _check_event_types(event_types)
        filters = make_filters(keyword=keyword, regex=regex, group=group, tag=tag, when=when)
        if (problem := filters.unfit_for(event_types)) is not None:
            msg = f"{problem}; register the handler for it without that filter, or with when="
            raise TypeError(msg)
        if fallback and Event in event_types:
            msg = "a fallback is for particular classes, such as on(TextReceived, fallback=True); a handler of Event"
            raise TypeError(msg + " gets every event anyway")

        def register(handler: Callable[..., _R], /) -> Callable[..., _R]:
            self._refuse_if_started(f"handler {name_of(handler)}")
            self._items.append(_inspect(handler, event_types, filters, fallback=fallback))
            return handler

        return register

    def provide(self, kind: type[_V], provider: Provided[_V]) -> None:
        """Say what handlers get that want a value of some type.

        ::

            dispatcher.provide(Pidj, pidj)                          # a value
            dispatcher.provide(AsyncSession, sessions)              # a factory: made and closed for each handler
            dispatcher.provide(Customer, customer_of)               # async def customer_of(event: TextReceived) -> ...

        The handlers of included dispatchers get it too, unless those have their own. The head of
        `pidj_async.webhooks.dependencies` has the rules.

        Args:
            kind: The type, as handlers are annotated with it.
            provider: A value; or what makes one: a function, plain or async, with or without ``yield``, a class, or
                whatever else can be called.

        Raises:
            ConfigurationError: An event has already been dispatched, or something has been provided for this type.
            TypeError: `kind` is no class or one of Python's own, or the factory wants what nothing can be provided
                for.
        """
        self._refuse_if_started(f"a provider of {show_kind(kind)}")
        made = make_provider(kind, provider)
        if kind in self._providers:
            msg = f"{show_kind(kind)} is provided twice; the second would silently replace the first"
            raise ConfigurationError(msg)
        self._providers[kind] = made

    def include(
        self,
        other: Dispatcher,
        *,
        keyword: _Texts = None,
        regex: str | re.Pattern[str] | None = None,
        group: _Texts = None,
        tag: _Texts = None,
        when: _When[Event] = None,
    ) -> None:
        """Let another dispatcher's handlers take part here, those that it has and those that it will have.

        They stand where it was included, see rule 2. It can still be used by itself.

        Args:
            other: A package's own dispatcher. What it provides is for its own handlers only.
            keyword: With the filters, only events that pass them get in; what an event does not have, it does not
                pass. For what they mean, see `on`.
            regex: As above.
            group: As above.
            tag: As above.
            when: As above. It is asked once for each event, not for each handler.

        Raises:
            ConfigurationError: An event has already been dispatched; `other` includes this one, is included already
                or has middleware; one of its handlers could never run because of the filters; or a filter is blank or
                no valid pattern.
            TypeError: `other` is no dispatcher, or a filter is of the wrong type.
        """
        if not isinstance(other, Dispatcher):
            msg = f"include() takes a Dispatcher, got {other!r}"
            raise TypeError(msg)
        self._refuse_if_started(f"{other!r}")
        filters = make_filters(keyword=keyword, regex=regex, group=group, tag=tag, when=when)
        theirs = set(other._reachable())
        if self in theirs:
            msg = "a dispatcher cannot include itself, or one that includes it: every event would go round forever"
            raise ConfigurationError(msg)
        if theirs & set(self._reachable()):
            raise ConfigurationError(_TWICE)
        if any(each._middleware for each in theirs):  # noqa: SLF001
            raise ConfigurationError(_INNER_MIDDLEWARE)
        for handler, _, _ in other._walk():
            _check_gate(filters, handler)
        self._items.append(_Included(dispatcher=other, filters=filters))
        for each in theirs:
            each._is_included = True  # noqa: SLF001

    def middleware(self, function: _M) -> _M:
        """Register the decorated function to go around every event.

        ::

            @dispatcher.middleware
            async def forget_duplicates(event: Event, call_next: CallNext) -> DispatchReport:
                if await seen_before(event):
                    return DispatchReport(event=event)              # no handler runs
                return await call_next(event)

        Args:
            function: An ``async def`` of the event and of ``call_next``. It returns a report.

        Returns:
            The function, unchanged.

        Raises:
            ConfigurationError: An event has already been dispatched, or another dispatcher includes this one.
            TypeError: `function` is not async, or does not take two arguments.
        """
        if not callable(function):
            msg = f"a middleware must be an async function, not {function!r}"
            raise TypeError(msg)
        name = name_of(function)
        self._refuse_if_started(f"middleware {name}")
        if not inspect.iscoroutinefunction(function_of(function)):
            msg = f"middleware {name} must be an async def: it has to await call_next(event)"
            raise TypeError(msg)
        signature = signature_of(function)
        try:
            if signature is not None:
                signature.bind(object(), object())
        except TypeError as error:
            msg = f"middleware {name} must accept two arguments, event and call_next; it is {name}{signature}"
            raise TypeError(msg) from error
        if self._is_included:
            raise ConfigurationError(_INNER_MIDDLEWARE)
        self._middleware.append(function)
        return function

    def check(self, *given: type) -> None:
        """Make sure that every handler can get what it wants, before any event has come. It changes nothing.

        Args:
            given: The types of which each `dispatch` will get a value in its `context`.

        Raises:
            ConfigurationError: Something is missing or cannot work. The error names the handler, its parameter and
                what to do.
        """
        self._make_plan().require(given)

    async def dispatch(self, event: Event, *, context: Mapping[type, object] | None = None) -> DispatchReport:
        """Run every handler of an event, one after the other.

        Args:
            event: The event.
            context: Values for this event alone, by the type by which handlers ask for them. They go before what is
                provided.

        Returns:
            What each handler did. A handler's error is in here and never raised.

        Raises:
            ConfigurationError: A handler, maybe one of other events, wants what is neither provided nor in `context`.
                No handler has run then. `check` finds out beforehand.
        """
        planned = self._plan or self._make_plan()
        values = _NO_VALUES if context is None else context
        if planned.missing:
            planned.require(values)
        if self._plan is None:
            self._start(planned)
        if self._middleware:
            return await self._around(0, planned, values, event)
        route = planned.routes.get(type(event)) or planned.route_of(type(event))
        if route.plain is None:
            return await route.run(event, values)
        # What `_Route.run` would do; said here for the sake of speed.
        return DispatchReport(event=event, results=tuple([await entry.run_plain(event) for entry in route.plain]))

    async def _around(self, at: int, planned: _Plan, values: Mapping[type, object], event: Event) -> DispatchReport:
        """Run a middleware, and in it the next one, and in the last one the handlers."""
        if at == len(self._middleware):
            return await planned.route_of(type(event)).run(event, values)
        inner: list[DispatchReport] = []

        async def call_next(event: Event, /) -> DispatchReport:
            report = await self._around(at + 1, planned, values, event)
            inner.append(report)
            return report

        function = self._middleware[at]
        started = time.perf_counter()
        try:
            report = await function(event, call_next)
            if not isinstance(report, DispatchReport):
                msg = f"a middleware must return the report that call_next(event) gave, not {type(report).__name__}"
                raise TypeError(msg)  # noqa: TRY301
        except Exception as error:  # noqa: BLE001  # rule 8
            duration = time.perf_counter() - started
            failed = _went_wrong(name_of(function), "middleware", event, duration, error)
            results = tuple(result for each in inner for result in each.results)
            return DispatchReport(event=event, results=(*results, failed))
        return report

    def _refuse_if_started(self, what: str) -> None:
        if self._started:
            msg = (
                f"{what} comes too late: an event has already been dispatched; "
                "register everything before that, where the module is imported"
            )
            raise ConfigurationError(msg)

    def _start(self, planned: _Plan) -> None:
        self._plan = planned
        for each in self._reachable():
            each._started = True  # noqa: SLF001

    def _reachable(self) -> Iterator[Dispatcher]:
        yield self
        for item in self._items:
            if isinstance(item, _Included):
                yield from item.dispatcher._reachable()  # noqa: SLF001

    def _walk(
        self, gates: tuple[Filters, ...] = (), inside: tuple[Dispatcher, ...] = ()
    ) -> Iterator[tuple[_Handler, tuple[Filters, ...], tuple[Dispatcher, ...]]]:
        """Go through all handlers in order: each with the filters before it, and the dispatchers it is in."""
        inside = (self, *inside)
        for item in self._items:
            if isinstance(item, _Included):
                inner = (*gates, item.filters) if item.filters else gates
                yield from item.dispatcher._walk(inner, inside)  # noqa: SLF001
            else:
                yield item, gates, inside

    def _make_plan(self) -> _Plan:
        reachable = list(self._reachable())
        if len(set(reachable)) < len(reachable):
            raise ConfigurationError(_TWICE)
        missing: dict[Any, str] = {}
        entries = []
        for handler, gates, inside in self._walk():
            for gate in gates:
                _check_gate(gate, handler)
            wanted = plan(
                handler.parameters,
                what=f"handler {handler.name}",
                event_types=handler.event_types,
                has_regex=handler.filters.regex is not None,
                sources=[each._providers for each in inside],  # noqa: SLF001
                missing=missing,
            )
            entries.append(_Entry(handler=handler, gates=gates, wanted=wanted))
        return _Plan(entries=tuple(entries), missing=missing)


_TWICE: Final = (
    "a dispatcher is included twice, so its handlers would get an event twice; include it once, and pass several "
    "values to the filter if that is why: include(other, group=[first, second])"
)
_INNER_MIDDLEWARE: Final = (
    "an included dispatcher cannot have middleware: it goes around whole events, which here are those of the "
    "outermost dispatcher; register it there"
)


def _check_gate(filters: Filters, handler: _Handler) -> None:
    if (problem := filters.never_passed_by(handler.event_types)) is not None:
        msg = f"handler {handler.name} could never run: it is included with filters, but {problem}"
        raise ConfigurationError(msg)


# --- looking at a handler, once -----------------------------------------------------------------------------------


def _check_event_types(event_types: tuple[object, ...]) -> None:
    if not event_types:
        msg = "say which events: @dispatcher.on(TextReceived), or @dispatcher.on(Event) for all of them"
        raise TypeError(msg)
    for event_type in event_types:
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            msg = f"@dispatcher.on() takes classes of event, such as TextReceived; got {event_type!r}"
            raise TypeError(msg)


def _inspect(
    handler: Callable[..., object], event_types: tuple[type[Event], ...], filters: Filters, *, fallback: bool
) -> _Handler:
    if not callable(handler):
        msg = f"a handler must be a function, not {handler!r}"
        raise TypeError(msg)
    name = name_of(handler)
    target = function_of(handler)
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        msg = f"handler {name} is a generator, so calling it would run nothing; it must not use yield"
        raise TypeError(msg)
    parameters: list[Parameter] = []
    signature = signature_of(handler)
    if signature is not None:
        declared = list(signature.parameters.values())
        if not declared or declared[0].kind in {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}:
            wanted = " or ".join(each.__name__ for each in event_types)
            msg = f"handler {name} must accept one positional argument, the {wanted} event; it is {name}{signature}"
            raise TypeError(msg)
        _check_annotation(name, target, declared[0].name, event_types)
        parameters = wanted_by(handler, declared[1:], f"handler {name}")
        _check_parameters(name, parameters, event_types, filters)
    return _Handler(
        name=name,
        call=handler,
        is_async=inspect.iscoroutinefunction(target),
        event_types=event_types,
        filters=filters,
        parameters=tuple(parameters),
        fallback=fallback,
    )


def _check_annotation(
    name: str, target: Callable[..., object], parameter: str, event_types: tuple[type[Event], ...]
) -> None:
    """Refuse a handler whose parameter is annotated with events that exclude one it is registered for."""
    try:
        annotation = typing.get_type_hints(target).get(parameter)
    except Exception:  # noqa: BLE001  # names that only a type checker imports: then the type checker sees to it
        return
    members = split_union(annotation)
    accepted = tuple(each for each in members if isinstance(each, type) and issubclass(each, Event))
    if len(accepted) < len(members):
        return
    for event_type in event_types:
        if not issubclass(event_type, accepted):
            takes = " | ".join(each.__name__ for each in accepted)
            msg = f"handler {name} is registered for {event_type.__name__} but its {parameter!r} is annotated {takes}"
            raise TypeError(msg)


def _check_parameters(
    name: str, parameters: Sequence[Parameter], event_types: tuple[type[Event], ...], filters: Filters
) -> None:
    for parameter in parameters:
        problem = unfit(parameter, event_types, has_regex=filters.regex is not None)
        if problem is not None and parameter.needed:
            msg = f"handler {name}: {problem}"
            raise TypeError(msg)
        if parameter.kind is Reply and filters.keywords and all(map(is_stop_word, filters.keywords)):
            words = ", ".join(sorted(filters.keywords))
            msg = f"handler {name} wants to answer {words!r}, but that is an opt-out, and an opt-out is never answered"
            raise TypeError(msg)
