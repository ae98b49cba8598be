"""The quick way from a body to an event, for bodies that hold what they should and nothing else.

A JSON engine (msgspec, the extra ``fast``) decodes the body into shapes that are made of the classes in `events`, field
by field under the vendor's names, and checks every type on the way. Then one function per event, written out like the
``__init__`` that attrs writes, hands the fields over. Three rules keep this safe:

1. **All or nothing.** A field without a name or in the API's spelling, a value of another type: each of these is an
   error of `ANOTHER_SHAPE`, and `parsing` reads the body its own way, which knows what to do with it.
2. **No numbers, no free nesting.** The shapes are four levels deep and hold texts and lists of texts only, so none of
   the limits in `parsing` can be reached here. What msgspec takes at all is less than what `json` takes: no byte
   order mark, no lone surrogates.
3. **The same event.** A test compares this way with the other one, for every body that the tests make up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, Protocol, Union

import attrs
import msgspec

from pidj_async._drafts import draft_of
from pidj_async.webhooks.events import EVENT_TYPES, KIND, WIRE, Event, Interaction

__all__ = ["ANOTHER_SHAPE", "Documented", "decode_documented"]

ANOTHER_SHAPE: Final = (
    msgspec.MsgspecError,  # no JSON, or a field of another name or type
    UnicodeError,  # bytes that are not UTF-8, or a text that UTF-8 cannot hold
    RecursionError,  # something deep before the event's name, or a caller near the end of the stack
)
"""What `decode_documented` raises for a body that has to be read the other way."""


class Documented(Protocol):
    """A decoded body, to be read once."""

    def read(self, body: bytes | str, /) -> Event:
        """Make the event. It keeps the body, to decode it again should somebody ask for ``raw``."""
        ...


_OPEN: Final = frozenset({Interaction})
"""Objects whose fields nobody knows. They may have any, as long as they are texts; the unnamed are ``extra``."""


# --- the shapes ---------------------------------------------------------------------------------------------------


def _wired(cls: type[Any]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Yield each attribute that comes from the wire: name, spellings (the vendor's first), kind."""
    for attribute in attrs.fields(cls):
        if WIRE in attribute.metadata:
            yield attribute.name, attribute.metadata[WIRE], attribute.metadata[KIND]


def _struct(cls: type[Any], **options: Any) -> Any:
    fields = [(vendors, _type_of(kind) | None, None) for _, (vendors, *_), kind in _wired(cls)]
    # gc=False: a shape lives for a microsecond, and cannot be part of a cycle.
    return msgspec.defstruct(cls.__name__, fields, forbid_unknown_fields=True, gc=False, **options)


@cache
def _type_of(kind: Any) -> Any:
    if kind in _OPEN:
        return dict[str, str]
    return {str: str, tuple: tuple[str, ...]}.get(kind) or _struct(kind)


# --- handing over -------------------------------------------------------------------------------------------------


class _Writer:
    """Writes the function that makes an event of its shape: all in one, because calls would cost a third of it."""

    def __init__(self, name: str, cls: type[Event]) -> None:
        self._names: dict[str, Any] = {}
        making = self._object("event", "shape", cls, f"event.name = {name!r}", "event._body = body")
        self._source = "\n    ".join(["def read(shape, body):", *making, "return event"])

    def function(self) -> Callable[[Any, bytes | str], Event]:
        exec(compile(self._source, f"<{__name__}>", "exec"), self._names)  # noqa: S102  nothing of it comes from outside
        read: Callable[[Any, bytes | str], Event] = self._names["read"]
        return read

    def _object(self, made: str, shape: str, cls: Any, *more: str) -> Iterator[str]:
        self._names |= {cls.__name__: cls, f"Draft{cls.__name__}": draft_of(cls)}
        yield f"{made} = Draft{cls.__name__}()"
        yield from more
        yield from (self._open if cls in _OPEN else self._closed)(made, shape, cls)
        yield f"{made}.__class__ = {cls.__name__}"

    def _closed(self, made: str, shape: str, cls: type[Any]) -> Iterator[str]:
        for name, (vendors, *_), kind in _wired(cls):
            if kind is str:
                yield f"{made}.{name} = {shape}.{vendors}"
            elif kind is tuple:
                yield f"{made}.{name} = {shape}.{vendors} or ()"
            else:
                inner, inner_shape = f"{made}_{name}", f"{shape}_{name}"
                yield f"{inner} = {inner_shape} = {shape}.{vendors}"
                yield f"if {inner_shape} is not None:"
                yield from ("    " + line for line in self._object(inner, inner_shape, kind))
                yield f"{made}.{name} = {inner}"
        yield f"{made}.extra = {{}}"

    def _open(self, made: str, shape: str, cls: type[Any]) -> Iterator[str]:
        for name, (vendors, *others), kind in _wired(cls):
            if kind is str:
                yield f"value = {shape}.pop({vendors!r}, None)"
                yield from (f"if value is None: value = {shape}.pop({other!r}, None)" for other in others)
                yield f"{made}.{name} = value"
            else:
                yield f"{made}.{name} = None"  # a text in its place is not read, and stays in ``extra``
        yield f"{made}.extra = {shape}"


# --- together -----------------------------------------------------------------------------------------------------


def _shape_of(name: str, cls: type[Event]) -> Any:
    return _struct(cls, tag_field="event", tag=name, namespace={"read": _Writer(name, cls).function()})


decode_documented: Final[Callable[[bytes | str], Documented]] = msgspec.json.Decoder(
    Union[tuple(_shape_of(name, cls) for name, cls in EVENT_TYPES.items())]  # noqa: UP007  it is made here
).decode
"""Decode a body into the shape of the event that it names, or raise one of `ANOTHER_SHAPE`."""
