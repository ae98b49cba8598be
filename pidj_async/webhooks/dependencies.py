"""What else a handler is given, besides its event.

A handler says what it wants by the **type** of a further parameter. Four types are known to every dispatcher:

- a class of event: the event itself;
- `DispatchContext`: what is known while this handler runs;
- ``re.Match[str]``: what the handler's ``regex=`` found;
- `pidj_async.webhooks.replies.Reply`: answers the text, through the client that was provided.

Every other type has to be provided, by ``dispatcher.provide(kind, provider)`` or in the ``context=`` of one dispatch,
which goes first. Types are compared exactly, subclasses are other types. The rules of providers:

1. What can be called and is no instance of `kind` is a **factory**, everything else is the **value** itself.
2. A factory is called once for each handler that wants its value, on the event loop, whatever the handler is: one that
   blocks should be async. It may have parameters of its own, filled in the same way.
3. What a factory returns is awaited if it can be, and **entered if it is a context manager**, sync or async; what
   that gives is the value, and it is left when the handler has ended. A factory with a ``yield`` is a context manager.
4. The context manager is the handler's own and sees the handler's error, so that a transaction is rolled back with the
   handler that failed, and not with its neighbours. An error upon leaving is a failure of the handler.
5. A parameter with a default keeps it when nothing is provided; ``T | None`` without one gets ``None``.

Signatures are read when a handler is registered. What is missing is found out at the first event, or by
`Dispatcher.check`.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import inspect
import re
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from enum import Enum
from typing import Any, Final, TypeAlias, TypeVar, Union, cast

import attrs

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks.events import Event, TextReceived
from pidj_async.webhooks.replies import Reply

__all__ = ["DispatchContext", "Provided"]

_T = TypeVar("_T")

_Made: TypeAlias = Union[  # noqa: UP007  # an alias of a bare type variable is none to mypy when it is written with |
    _T,
    Awaitable[_T],
    AsyncIterator[_T],
    Iterator[_T],
    AbstractAsyncContextManager[_T],
    AbstractContextManager[_T],
]
Provided: TypeAlias = Union[_T, Callable[..., _Made[_T]]]  # noqa: UP007
"""A value, or a factory of it."""


@attrs.frozen(kw_only=True)
class DispatchContext:
    """What is known while one handler runs.

    Attributes:
        event: The event.
        handler: The handler's name, as in its `HandlerResult`.
        values: The `context` that this dispatch was given, by type.
    """

    event: Event
    handler: str
    values: Mapping[type, object] = attrs.field(factory=dict, repr=lambda values: f"<{len(values)} values>")


class _Absent(Enum):
    ABSENT = "ABSENT"


_ABSENT: Final = _Absent.ABSENT
_MATCHES: Final = (re.Match, re.Match[str])


class _Instead(Enum):
    NONE = "None"
    DEFAULT = "its default"
    NOTHING = "nothing will do"


@attrs.frozen(kw_only=True)
class Parameter:
    """One parameter of a handler or a factory, as its signature has it.

    Attributes:
        name: Its name; it is passed by keyword.
        kind: The type that it asks for.
        instead: What it gets when nothing is provided: ``None`` for ``T | None``; its own default, which then nobody
            passes; or nothing will do.
    """

    name: str
    kind: Any
    instead: _Instead

    @property
    def needed(self) -> bool:
        """Whether it cannot do without a value."""
        return self.instead is _Instead.NOTHING


# --- reading signatures -------------------------------------------------------------------------------------------


def name_of(function: object) -> str:
    """Return the name under which a handler or a factory is reported: ``"shop.texts.answer"``."""
    while isinstance(function, functools.partial):
        function = function.func
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def function_of(called: object) -> Callable[..., object]:
    """Find the function that carries the marks: a partial's own, an object's ``__call__``."""
    while isinstance(called, functools.partial):
        called = called.func
    if inspect.isroutine(called) or inspect.isclass(called):
        return cast("Callable[..., object]", called)
    call: Callable[..., object] = type(called).__call__
    return call


def signature_of(called: Callable[..., object]) -> inspect.Signature | None:
    """Return the signature, ``None`` of a builtin that does not tell."""
    try:
        return inspect.signature(called)
    except ValueError:
        return None


def wanted_by(called: Callable[..., object], parameters: Sequence[inspect.Parameter], what: str) -> list[Parameter]:
    """Read what some parameters ask for.

    Args:
        called: Whose parameters they are.
        parameters: Those that have to be filled in.
        what: How errors name `called`: ``"handler shop.answer"``.

    Raises:
        TypeError: One has no default and does not say, or not in a usable way, what it asks for.
    """
    given: set[str] = set()
    partial: object = called
    while isinstance(partial, functools.partial):
        given |= partial.keywords.keys()
        partial = partial.func
    namespace = getattr(inspect.unwrap(function_of(called)), "__globals__", {})
    if inspect.isclass(partial):
        namespace = getattr(partial.__init__, "__globals__", {})
    found = []
    for each in parameters:
        if each.name in given or each.kind in {each.VAR_POSITIONAL, each.VAR_KEYWORD}:
            continue
        wanted, problem = _read(each, namespace)
        if wanted is not None:
            found.append(wanted)
        elif each.default is each.empty:
            msg = f"{what} wants {each.name!r}, {problem}"
            raise TypeError(msg)
    return found


def _read(parameter: inspect.Parameter, namespace: dict[str, Any]) -> tuple[Parameter | None, str]:
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return None, "which cannot be passed by its name; take the / out of its signature"
    if parameter.annotation is parameter.empty:
        return None, "but does not say of which type; annotate it with the type that is provided"
    holder = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
    try:
        annotation = typing.get_type_hints(holder, globalns=namespace)["it"]
    except Exception:  # noqa: BLE001  # whatever stands in an annotation
        problem = f"annotated {parameter.annotation}, which is not found when the program runs: "
        return None, problem + "define or import it in the same module, and not only under TYPE_CHECKING"
    members = [each for each in split_union(annotation) if each is not types.NoneType]
    kind = members[0] if len(members) == 1 else None
    if not _is_kind(kind):
        shown = show_kind(annotation)
        problem = f"annotated {shown}; only a class can be provided for, and none of Python's own: "
        return None, problem + f"wrap the value in a class of yours, or give {parameter.name!r} a default"
    instead = _Instead.NOTHING
    if parameter.default is not parameter.empty:
        instead = _Instead.DEFAULT
    elif annotation != kind:
        instead = _Instead.NONE
    return Parameter(name=parameter.name, kind=kind, instead=instead), ""


def split_union(annotation: object) -> tuple[Any, ...]:
    """Return a union's members; of anything else, just that."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def show_kind(kind: object) -> str:
    """Name a type in a message, as one would write it."""
    return kind.__qualname__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)


def _is_kind(kind: object) -> bool:
    # A str or an int would be a different thing to each handler that asks for one.
    origin = typing.get_origin(kind) or kind
    if not isinstance(origin, type) or origin in {types.UnionType, types.NoneType}:
        return False
    return getattr(builtins, origin.__name__, None) is not origin


# --- providers ----------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True, eq=False)
class Provider:
    """Where the values of one type come from.

    Attributes:
        kind: The type.
        value: The value, if there is no factory.
        make: The factory.
        name: The factory's name, for messages.
        parameters: What the factory wants.
    """

    kind: Any
    value: object = None
    make: Callable[..., object] | None = None
    name: str = ""
    parameters: tuple[Parameter, ...] = ()

    @property
    def is_of_senders(self) -> bool:
        """Whether its type has ``messages``, like `pidj_async.client.Pidj`."""
        annotated = (getattr(each, "__annotations__", {}) for each in getattr(self.kind, "__mro__", ()))
        return hasattr(self.kind, "messages") or any("messages" in each for each in annotated)

    @property
    def is_a_sender(self) -> bool:
        """Whether its value has ``messages.send``, whatever its type says."""
        return callable(getattr(getattr(self.value, "messages", None), "send", None))

    async def open(self, stack: AsyncExitStack, arguments: Mapping[str, object]) -> object:
        """Make a value, to be closed with `stack`."""
        assert self.make is not None  # noqa: S101  # for the type checker
        made = self.make(**arguments)
        if inspect.isawaitable(made):
            made = await made
        if isinstance(made, AbstractAsyncContextManager):
            return await stack.enter_async_context(made)
        if isinstance(made, AbstractContextManager):
            return stack.enter_context(made)
        return made


def make_provider(kind: Any, provider: object) -> Provider:
    """Tell values from factories, and read a factory's signature.

    Raises:
        TypeError: `kind` is nothing that a handler could ask for, or the factory has a parameter that cannot be
            filled in.
        ConfigurationError: `kind` is one of the types that are known anyway.
    """
    if not _is_kind(kind):
        msg = f"provide() takes the type that handlers ask for, a class and none of Python's own; got {show_kind(kind)}"
        raise TypeError(msg)
    if kind is DispatchContext or kind in _MATCHES or (isinstance(kind, type) and issubclass(kind, Event)):
        msg = f"{show_kind(kind)} is known to every dispatcher and cannot be provided"
        raise ConfigurationError(msg)
    if not callable(provider) or _is_instance(provider, kind):
        return Provider(kind=kind, value=provider)
    name = name_of(provider)
    signature = signature_of(provider)
    parameters = () if signature is None else tuple(signature.parameters.values())
    target = function_of(provider)
    make: Callable[..., Any] = provider
    if inspect.isasyncgenfunction(target):
        make = contextlib.asynccontextmanager(make)
    elif inspect.isgeneratorfunction(target):
        make = contextlib.contextmanager(make)
    wanted = wanted_by(provider, parameters, f"factory {name}")
    return Provider(kind=kind, make=make, name=name, parameters=tuple(wanted))


def _is_instance(value: object, kind: Any) -> bool:
    try:
        return isinstance(value, kind)
    except TypeError:  # a generic alias or a protocol
        return False


def _make_reply(event: TextReceived, sender: Any) -> Reply:
    return Reply(event=event, sender=sender)


_REPLY: Final = Provider(kind=Reply, make=_make_reply, name="Reply")


# --- from what is asked for to where it comes from ------------------------------------------------------------------


@attrs.frozen(kw_only=True, eq=False)
class Wanted:
    """A parameter, and where its value comes from.

    Attributes:
        name: The parameter's name.
        kind: The type.
        provider: Has the value, unless this dispatch's context has; ``None`` if nobody else has.
        arguments: What the provider's factory wants.
        read: Takes the value of a type that is known to every dispatcher.
        instead: What to do when there is nothing.
    """

    name: str
    kind: Any
    provider: Provider | None = None
    arguments: tuple[Wanted, ...] = ()
    read: Callable[[Scope], object] | None = None
    instead: _Instead = _Instead.NOTHING


@attrs.define(kw_only=True, eq=False)
class Scope:
    """One call of one handler.

    Attributes:
        event: The event.
        handler: The handler's name.
        context: The values of this dispatch.
        match: What the handler's ``regex=`` found.
        stack: Closes what was opened.
    """

    event: Event
    handler: str
    context: Mapping[type, object]
    match: re.Match[str] | None
    stack: AsyncExitStack
    _made: dict[Provider, object] = attrs.field(factory=dict, init=False)

    async def arguments(self, wanted: Sequence[Wanted]) -> dict[str, object]:
        """Get the values of some parameters, by name."""
        found = {each.name: await self._get(each) for each in wanted}
        return {name: value for name, value in found.items() if value is not _ABSENT}

    async def _get(self, wanted: Wanted) -> object:
        if wanted.read is not None:
            return wanted.read(self)
        if wanted.kind in self.context:
            return self.context[wanted.kind]
        provider = wanted.provider
        if provider is None:
            return None if wanted.instead is _Instead.NONE else _ABSENT
        if provider.make is None:
            return provider.value
        if provider not in self._made:
            self._made[provider] = await provider.open(self.stack, await self.arguments(wanted.arguments))
        return self._made[provider]


_KNOWN: Final[Mapping[Any, Callable[[Scope], object]]] = {
    DispatchContext: lambda scope: DispatchContext(event=scope.event, handler=scope.handler, values=scope.context),
    **dict.fromkeys(_MATCHES, lambda scope: scope.match),
}


def _read_event(scope: Scope) -> Event:
    return scope.event


def _reader_of(kind: Any) -> Callable[[Scope], object] | None:
    return _read_event if isinstance(kind, type) and issubclass(kind, Event) else _KNOWN.get(kind)


def unfit(parameter: Parameter, event_types: Sequence[type[Event]], *, has_regex: bool) -> str | None:
    """Say why a parameter cannot be filled in for some class of event, or ``None`` if it can for all.

    Args:
        parameter: The parameter.
        event_types: What its handler is registered for.
        has_regex: Whether it is registered with a ``regex=``.
    """
    kind = parameter.kind
    if kind in _MATCHES and not has_regex:
        return f"{parameter.name!r} is a match, so the handler needs a regex= to be registered with"
    accepted: Any = None
    if kind is Reply:
        accepted = TextReceived
    elif isinstance(kind, type) and issubclass(kind, Event):
        accepted = kind
    for event_type in event_types:
        if accepted is not None and not issubclass(event_type, accepted):
            why = "only a TextReceived can be answered" if kind is Reply else "it will never be one"
            return f"{parameter.name!r} is annotated {show_kind(kind)}, but for {event_type.__name__} {why}"
    return None


@attrs.define(kw_only=True, eq=False)
class _Planner:
    what: str
    event_types: Sequence[type[Event]]
    has_regex: bool
    sources: Sequence[Mapping[Any, Provider]]
    missing: dict[Any, str]

    def want(self, parameter: Parameter, asked_by: str, path: tuple[Any, ...]) -> Wanted:
        problem = unfit(parameter, self.event_types, has_regex=self.has_regex)
        if problem is not None and not parameter.needed:
            return Wanted(name=parameter.name, kind=parameter.kind, instead=parameter.instead)
        if problem is not None:
            msg = f"{asked_by}, wanted by {self.what}: {problem}" if path else f"{asked_by}: {problem}"
            raise ConfigurationError(msg)
        name, kind = parameter.name, parameter.kind
        if (read := _reader_of(kind)) is not None:
            return Wanted(name=name, kind=kind, read=read)
        if kind in path:
            msg = f"providers go round in circles: {' wants '.join(map(show_kind, (*path, kind)))}"
            raise ConfigurationError(msg)
        provider = next((each[kind] for each in self.sources if kind in each), None)
        if provider is None and kind is Reply:
            return self.want_reply(parameter, asked_by)
        if provider is None:
            if parameter.needed:
                shown = show_kind(kind)
                self.missing.setdefault(
                    kind,
                    f"{asked_by} wants {name!r}, a {shown}, which nobody provides: call "
                    f"dispatcher.provide({shown}, ...) before the first event, or "
                    f"dispatch(event, context={{{shown}: ...}})",
                )
            return Wanted(name=name, kind=kind, instead=parameter.instead)
        arguments = tuple(self.want(each, f"factory {provider.name}", (*path, kind)) for each in provider.parameters)
        return Wanted(name=name, kind=kind, provider=provider, arguments=arguments)

    def want_reply(self, parameter: Parameter, asked_by: str) -> Wanted:
        for source in self.sources:
            # Types first: a test's mock has whatever it is asked for.
            providers = source.values()
            senders = [each for each in providers if each.is_of_senders] or [
                each for each in providers if each.is_a_sender
            ]
            if len(senders) > 1:
                kinds = " and ".join(show_kind(each.kind) for each in senders)
                msg = f"{asked_by} wants {parameter.name!r}, a Reply, but both {kinds} could send it: "
                raise ConfigurationError(msg + "say which by dispatcher.provide(Reply, factory)")
            if senders:
                through = Parameter(name="sender", kind=senders[0].kind, instead=_Instead.NOTHING)
                arguments = (
                    Wanted(name="event", kind=TextReceived, read=_read_event),
                    self.want(through, asked_by, (Reply,)),
                )
                return Wanted(name=parameter.name, kind=Reply, provider=_REPLY, arguments=arguments)
        if parameter.needed:
            self.missing.setdefault(
                Reply,
                f"{asked_by} wants {parameter.name!r}, a Reply, but there is no client to send it: call "
                "dispatcher.provide(Pidj, pidj) before the first event",
            )
        return Wanted(name=parameter.name, kind=Reply, instead=parameter.instead)


def plan(
    parameters: Sequence[Parameter],
    *,
    what: str,
    event_types: Sequence[type[Event]],
    has_regex: bool,
    sources: Sequence[Mapping[Any, Provider]],
    missing: dict[Any, str],
) -> tuple[Wanted, ...]:
    """Decide where a handler's arguments will come from.

    Args:
        parameters: What the handler wants.
        what: How errors name the handler.
        event_types: What it is registered for.
        has_regex: Whether it is registered with a ``regex=``.
        sources: The providers, those nearest to the handler first.
        missing: Filled with what nobody provides, and the error to raise unless a dispatch's context has it.

    Raises:
        ConfigurationError: Something cannot be filled in, whatever the context has.
    """
    planner = _Planner(what=what, event_types=event_types, has_regex=has_regex, sources=sources, missing=missing)
    return tuple(planner.want(each, what, ()) for each in parameters)
