"""What came in that this version has no name for, counted.

Pidj's document has lost the bodies of four events, and Pidj may add events and fields at any time. Neither is an
error; both are worth knowing. A `ShapeLog` remembers their names, their JSON types and how often they came: never a
value, and never more than a fixed number of different ones, since anybody who may post may invent names.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Final, TypeVar

import attrs

from pidj_async._masking import mask_phone_numbers_in
from pidj_async.webhooks.events import KIND, Contact, Event, Group, Interaction, Text, UnknownEvent, show_name
from pidj_async.webhooks.parsing import is_documented, json_type

__all__ = ["EventShape", "FieldShape", "ShapeLog", "Shapes", "unnamed_fields"]

_K = TypeVar("_K")

logger = logging.getLogger("pidj_async.webhooks")

MAX_NAME: Final = 100
"""Longer names are cut to this many characters."""


@attrs.frozen(kw_only=True)
class EventShape:
    """An event that came and has no class.

    Attributes:
        name: Its name on the wire.
        count: How often it came.
    """

    name: str
    count: int


@attrs.frozen(kw_only=True)
class FieldShape:
    """A field that came and has no name in the event's class, or a value that could not be read.

    Attributes:
        event: The event's name on the wire.
        path: Where the field stood, such as ``"text.contact.nickname"``.
        type: The JSON type of its value: ``"string"``, ``"number"``, ``"boolean"``, ``"object"``, ``"array"`` or
            ``"null"``. A field seen with two types is listed twice.
        count: How often it came.
    """

    event: str
    path: str
    type: str
    count: int


@attrs.frozen(kw_only=True)
class Shapes:
    """What a `ShapeLog` has seen, the most frequent first.

    Attributes:
        unknown_events: Events without a class.
        unknown_fields: Fields without a name, those of unknown events included.
        overflow: How many sightings of further names were only counted, because the log was full.
    """

    unknown_events: tuple[EventShape, ...] = ()
    unknown_fields: tuple[FieldShape, ...] = ()
    overflow: int = 0


class ShapeLog:
    """Counts the events and fields that nobody has named yet.

    Args:
        limit: How many different events, and how many different fields, are told apart.
    """

    def __init__(self, limit: int = 1_000) -> None:
        self._limit = limit
        self._events: dict[str, int] = {}
        self._fields: dict[tuple[str, str, str], int] = {}
        self._overflow = 0

    def add(self, event: Event) -> None:
        """Count what is new in an event."""
        unnamed = unnamed_fields(event)
        unknown = isinstance(event, UnknownEvent)
        if not unnamed and not unknown:
            return
        name = _cut(event.name)
        if unknown:
            if name not in self._events and len(self._events) < self._limit:
                logger.warning("webhook event %s is unknown to this version", show_name(name))
            self._count(self._events, name)
        for path, value in unnamed:
            self._count(self._fields, (name, _cut(path), json_type(value)))

    def snapshot(self) -> Shapes:
        """Return what has been seen so far."""
        return Shapes(
            unknown_events=tuple(EventShape(name=name, count=count) for name, count in _most_frequent(self._events)),
            unknown_fields=tuple(
                FieldShape(event=event, path=path, type=kind, count=count)
                for (event, path, kind), count in _most_frequent(self._fields)
            ),
            overflow=self._overflow,
        )

    def _count(self, counts: dict[_K, int], key: _K) -> None:
        if key in counts or len(counts) < self._limit:
            counts[key] = counts.get(key, 0) + 1
        else:
            self._overflow += 1


def unnamed_fields(event: Event) -> list[tuple[str, object]]:
    """Find every field of an event, at every level, that its class has no name for.

    Args:
        event: The event.

    Returns:
        Each field's path and its value. Nearly every event has none.
    """
    found: list[tuple[str, object]] = []
    if not is_documented(event):
        _gather(event, "", found)
    return found


def _gather(value: Event | Text | Interaction | Contact | Group, prefix: str, found: list[tuple[str, object]]) -> None:
    if value.extra:
        found += [(prefix + key, unnamed) for key, unnamed in value.extra.items()]
    cls: type = type(value)
    for name, path in _nested(cls):
        nested = getattr(value, name)
        if nested is not None:
            _gather(nested, prefix + path, found)


@cache
def _nested(cls: type) -> tuple[tuple[str, str], ...]:
    """List the attributes that are objects on the wire, and how the paths of what is in them begin."""
    plain = (str, tuple)
    fields = (field.name for field in attrs.fields(cls) if field.metadata.get(KIND, str) not in plain)
    return tuple((name, f"{name}.") for name in fields)


def _most_frequent(counts: dict[_K, int]) -> list[tuple[_K, int]]:
    return sorted(counts.items(), key=lambda item: -item[1])


def _cut(name: str) -> str:
    # Whoever keys an object by phone numbers must not have them listed.
    return mask_phone_numbers_in(name[:MAX_NAME])
