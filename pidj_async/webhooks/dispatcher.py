"""Which of your functions hears of which event.

The rules, all of them:

1. A handler is registered for one or several classes of event, and gets every event that is an instance of one of
   them, once.
2. Handlers run **one after the other**: first those registered for particular classes, in order of registration;
   then those registered for `Event` itself, in order of registration.
3. A handler that raises does not keep the others from running, and its error does not leave `Dispatcher.dispatch`:
   it is in the report, and in the log. Cancellation is no error and does leave.
4. An ``async def`` runs on the event loop. A plain ``def`` runs in a **worker thread**, so that one that blocks does
   not stall the loop; it must not touch what belongs to the loop.
5. A handler's signature is looked at once, when it is registered.
6. After the first event nothing more can be registered: a handler that missed some of the events is a bug that
   nobody finds.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar, overload

import anyio.to_thread
import attrs

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks.events import Event, show_name

__all__ = ["DispatchReport", "Dispatcher", "HandlerResult"]

logger = logging.getLogger("pidj_async.webhooks")

_E = TypeVar("_E", bound=Event)
_A = TypeVar("_A", bound=Event)
_B = TypeVar("_B", bound=Event)
_C = TypeVar("_C", bound=Event)
_D = TypeVar("_D", bound=Event)
_R = TypeVar("_R")


class _Register(Protocol[_E]):
    """The decorator that `Dispatcher.on` returns: it takes a handler of these events and gives it back."""

    def __call__(self, handler: Callable[[_E], _R], /) -> Callable[[_E], _R]: ...


def _show_error(error: Exception | None) -> str:
    return "None" if error is None else type(error).__name__  # its text may quote the event


@attrs.frozen(kw_only=True)
class HandlerResult:
    """What one handler made of one event.

    Attributes:
        handler: The handler's name, such as ``"shop.texts.answer"``.
        outcome: ``"ok"``: it returned. ``"failed"``: it raised.
        duration: How long it took, in seconds. For a plain ``def`` the wait for a free thread is included.
        error: What it raised.
    """

    handler: str
    outcome: Literal["ok", "failed"]
    duration: float
    error: Exception | None = attrs.field(default=None, repr=_show_error)

    @property
    def ok(self) -> bool:
        """Whether the handler returned."""
        return self.outcome == "ok"


@attrs.frozen(kw_only=True)
class DispatchReport:
    """What became of one event.

    Attributes:
        event: The event.
        results: One per handler that ran, in the order in which they ran.
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
        """The results of the handlers that raised."""
        return tuple(result for result in self.results if not result.ok)


@attrs.frozen
class _Handler:
    name: str
    call: Callable[[Any], object]
    is_async: bool
    event_types: tuple[type[Event], ...]

    async def run(self, event: Event) -> HandlerResult:
        started = time.perf_counter()
        error: Exception | None = None
        try:
            if self.is_async:
                result = self.call(event)
            else:
                result, error = await anyio.to_thread.run_sync(self._call_in_thread, event)
            # Also of a plain function: a lambda or a decorated one may hand back a coroutine.
            if inspect.isawaitable(result):
                await result
        except Exception as raised:  # noqa: BLE001  # rule 3; cancellation is a BaseException
            error = raised
        duration = time.perf_counter() - started
        if error is None:
            return HandlerResult(handler=self.name, outcome="ok", duration=duration)
        logger.error("webhook handler %s failed on event %s", self.name, show_name(event.name), exc_info=error)
        return HandlerResult(handler=self.name, outcome="failed", duration=duration, error=error)

    def _call_in_thread(self, event: Event) -> tuple[object, Exception | None]:
        # Caught inside the thread: a StopIteration cannot travel through a future.
        try:
            return self.call(event), None
        except Exception as raised:  # noqa: BLE001
            return None, raised


class Dispatcher:
    """Hands each event to the handlers registered for it.

    ::

        dispatcher = Dispatcher()

        @dispatcher.on(TextReceived)
        async def answer(event: TextReceived) -> None: ...

        @dispatcher.on(OptedOut, OptedIn)
        def remember(event: OptedOut | OptedIn) -> None: ...    # in a worker thread

        @dispatcher.on(Event)
        async def audit(event: Event) -> None: ...              # every event, after the others

    The module's head has the rules on order, errors and threads. It runs on asyncio and on trio.
    """

    def __init__(self) -> None:
        self._specific: list[_Handler] = []
        self._catch_all: list[_Handler] = []
        self._by_class: dict[type[Event], tuple[_Handler, ...]] = {}
        self._started = False

    def __repr__(self) -> str:
        return f"<Dispatcher with {len(self._specific) + len(self._catch_all)} handlers>"

    @overload
    def on(self, event_type: type[_A], /) -> _Register[_A]: ...
    @overload
    def on(self, event_type: type[_A], other: type[_B], /) -> _Register[_A | _B]: ...
    @overload
    def on(self, event_type: type[_A], other: type[_B], third: type[_C], /) -> _Register[_A | _B | _C]: ...
    @overload
    def on(
        self, event_type: type[_A], other: type[_B], third: type[_C], fourth: type[_D], /
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
    ) -> _Register[Event]: ...
    def on(self, *event_types: type[Event]) -> _Register[Any]:
        """Register the decorated function for one or several classes of event.

        Args:
            event_types: Event classes. A base class (`ContactEvent`, `InferredEvent`) stands for all its events,
                `Event` for every event there is, unknown ones included.

        Returns:
            A decorator that registers a handler and returns it unchanged. A handler takes the event as its one
            positional argument; what it returns is ignored.

        Raises:
            ConfigurationError: An event has already been dispatched.
            TypeError: No class was given or one that is no event; or, from the decorator, the handler cannot be
                called with one event, is a generator, or is annotated for other events than these.
        """
        if not event_types:
            msg = "say which events: @dispatcher.on(TextReceived), or @dispatcher.on(Event) for all of them"
            raise TypeError(msg)
        for event_type in event_types:
            if not _is_event_class(event_type):
                msg = f"@dispatcher.on() takes classes of event, such as TextReceived; got {event_type!r}"
                raise TypeError(msg)

        def register(handler: Callable[[Any], _R], /) -> Callable[[Any], _R]:
            if self._started:
                msg = (
                    f"handler {_name_of(handler)} comes too late: an event has already been dispatched; "
                    "register all handlers before that, where the module is imported"
                )
                raise ConfigurationError(msg)
            entry = _inspect(handler, event_types)
            (self._catch_all if Event in event_types else self._specific).append(entry)
            return handler

        return register

    async def dispatch(self, event: Event) -> DispatchReport:
        """Run every handler of an event, one after the other.

        Args:
            event: The event.

        Returns:
            What each handler did. A handler's error is in here and never raised.
        """
        self._started = True
        handlers = self._handlers_of(type(event))
        return DispatchReport(event=event, results=tuple([await handler.run(event) for handler in handlers]))

    def _handlers_of(self, cls: type[Event]) -> tuple[_Handler, ...]:
        if cls not in self._by_class:
            ordered = [*self._specific, *self._catch_all]
            self._by_class[cls] = tuple(each for each in ordered if issubclass(cls, each.event_types))
        return self._by_class[cls]


# --- looking at a handler, once -----------------------------------------------------------------------------------


def _name_of(handler: object) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    named: Any = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{named.__module__}.{named.__qualname__}"


def _inspect(handler: Callable[[Any], object], event_types: tuple[type[Event], ...]) -> _Handler:
    name = _name_of(handler)
    wanted = " or ".join(each.__name__ for each in event_types)
    if not callable(handler):
        msg = f"a handler must be a function, not {handler!r}"
        raise TypeError(msg)
    target = _function_of(handler)
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        msg = f"handler {name} is a generator, so calling it would run nothing; it must not use yield"
        raise TypeError(msg)
    try:
        signature = inspect.signature(handler)
    except ValueError:  # some builtins do not tell
        pass
    else:
        try:
            signature.bind(object())
        except TypeError as error:
            msg = f"handler {name} must accept one positional argument, the {wanted} event; it is {name}{signature}"
            raise TypeError(msg) from error
        _check_annotation(name, target, signature, event_types)
    return _Handler(name, handler, inspect.iscoroutinefunction(target), event_types)


def _function_of(handler: Callable[[Any], object]) -> Callable[..., object]:
    """Find the function that carries the marks: a partial's own, an object's ``__call__``."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if inspect.isroutine(handler) or inspect.isclass(handler):
        return handler
    call: Callable[..., object] = type(handler).__call__
    return call


def _check_annotation(
    name: str, target: Callable[..., object], signature: inspect.Signature, event_types: tuple[type[Event], ...]
) -> None:
    """Refuse a handler whose parameter is annotated with events that exclude one it is registered for."""
    parameter = next(iter(signature.parameters.values())).name
    try:
        annotation = typing.get_type_hints(target).get(parameter)
    except Exception:  # noqa: BLE001  # names that only a type checker imports: then the type checker sees to it
        return
    members = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    accepted = tuple(each for each in members if isinstance(each, type) and issubclass(each, Event))
    if len(accepted) < len(members):
        return
    for event_type in event_types:
        if not issubclass(event_type, accepted):
            takes = " | ".join(each.__name__ for each in accepted)
            msg = f"handler {name} is registered for {event_type.__name__} but its {parameter!r} is annotated {takes}"
            raise TypeError(msg)


def _is_event_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Event)


def _is_union(annotation: object) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)
