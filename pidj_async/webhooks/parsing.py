"""From a webhook's body to an event. Pure: no clock, no network, no state.

Two steps with two different tempers. `decode` is strict: it takes a JSON object that names an event, and nothing
else. `read_event` is lenient: whatever is in that object, it makes an event.

A body that has exactly the shape of one of `events` takes neither: where msgspec is installed (the extra ``fast``),
`_documented` makes the same event about eight times as fast.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from pidj_async.errors import InvalidPayloadError
from pidj_async.webhooks.events import EVENT_TYPES, KIND, WIRE, Event, InferredEvent, UnknownEvent

if TYPE_CHECKING:
    from pidj_async.webhooks._documented import Documented

__all__ = ["MAX_DEPTH", "MAX_DIGITS", "decode", "is_documented", "parse_event", "read_event"]

MAX_DEPTH: Final = 100
"""How deep a body may be nested. Pidj's own go three deep. Said here because Python's own limit depends on how deep
the caller already is, and because whoever walks `Event.raw` afterwards must not run into it either."""

MAX_DIGITS: Final = 1_000
"""How many characters a whole number may have. Reading one takes time quadratic in its length."""

_UNCHANGEABLE: Final = (bytes, str)  # the event keeps its body, so a bytearray will not do

_MAX_COERCED = 10**20  # an int that stands where a text should: no phone number or id is longer


def _quick_way() -> tuple[Callable[[bytes | str], Documented] | None, tuple[type[Exception], ...]]:
    try:
        from pidj_async.webhooks import _documented  # noqa: PLC0415  # needs msgspec, an extra
    except ModuleNotFoundError as error:
        if error.name != "msgspec":
            raise
        return None, ()
    return _documented.decode_documented, _documented.ANOTHER_SHAPE


_decode_documented, _another_shape = _quick_way()


def parse_event(body: bytes | bytearray | memoryview | str) -> Event:
    """Read a webhook's body.

    Args:
        body: The body as it was received: UTF-8 with or without a byte order mark, or text already decoded.

    Returns:
        The event, of the class that `EVENT_TYPES` has for its name; an `UnknownEvent` for any other name. Of
        repeated keys the last one counts.

    Raises:
        InvalidPayloadError: The body is not a JSON object with an ``event`` that is a text, or it holds what JSON
            forbids (``NaN``, ``Infinity``), or numbers or nesting beyond all reason. The message says which, and
            quotes nothing from the body.
        TypeError: `body` is neither bytes nor text: a mistake in the calling code.
    """
    if _decode_documented is not None and isinstance(body, _UNCHANGEABLE):
        try:
            return _decode_documented(body).read(body)
        except _another_shape:
            pass  # and not ``decode`` here, or else this error, which may quote the body, would be the context of ours
    return read_event(decode(body))


def is_documented(event: Event) -> bool:
    """Say whether it is certain, without looking, that an event's body had no field that its class has no name for.

    The quick way takes none but in an interaction, whose fields nobody knows. Only its events keep their bodies.
    """
    return hasattr(event, "_body") and not (isinstance(event, InferredEvent) and event.interaction is not None)


def decode(body: bytes | bytearray | memoryview | str) -> dict[str, Any]:
    """Decode a body into the JSON object it is, and make sure that it names an event.

    Args:
        body: As for `parse_event`.

    Returns:
        The object; its ``event`` is a text that is not blank.

    Raises:
        InvalidPayloadError: As for `parse_event`.
        TypeError: `body` is neither bytes nor text.
    """
    # Raised here, not where the problem was found: inside an ``except`` block the decoder's error, which carries the
    # whole body (``JSONDecodeError.doc``, ``UnicodeDecodeError.object``), would travel along as the context.
    payload, problem = _decode(body)
    if problem is None:
        problem = _what_is_wrong_with(payload)
    if problem is not None:
        raise InvalidPayloadError(problem)
    assert isinstance(payload, dict)  # noqa: S101  # for the type checker: anything else is a problem
    return payload


def read_event(payload: Mapping[str, Any]) -> Event:
    """Make an event of a decoded body, whatever it holds.

    Args:
        payload: A JSON object whose ``event`` is a text, as `decode` returns it. The event keeps it as its `raw`.

    Returns:
        The event.
    """
    name: str = payload["event"]
    cls = EVENT_TYPES.get(name, UnknownEvent)
    values, extra = _read(cls, payload)
    del extra["event"]
    if cls is UnknownEvent:
        values["name"] = name
    return cls(**values, raw=payload, extra=extra)


# --- decoding -----------------------------------------------------------------------------------------------------


class _RefusedNumberError(ValueError):
    """A number that JSON does not have, or that is too long to be one of Pidj's."""


def _refuse_constant(_: str) -> NoReturn:
    msg = "the body is not JSON: NaN and Infinity are not JSON numbers"
    raise _RefusedNumberError(msg)


def _read_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        msg = f"the body holds a whole number of more than {MAX_DIGITS} digits"
        raise _RefusedNumberError(msg)
    return int(digits)


def _read_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        msg = "the body holds a number that is too large"
        raise _RefusedNumberError(msg)
    return value


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_read_int, parse_float=_read_float)


def _decode(body: bytes | bytearray | memoryview | str) -> tuple[object, str | None]:
    """Return what the body holds, or else what is wrong with it."""
    text, problem = _decode_text(body)
    if problem is not None:
        return None, problem
    try:
        payload = _decoder.decode(text)
    except json.JSONDecodeError as error:
        # Not ``error.msg``: some of the decoder's messages quote what they stumbled over.
        problem = "the body is empty" if not text.strip() else f"the body is not JSON (at character {error.pos})"
    except _RefusedNumberError as error:
        problem = str(error)
    except ValueError:  # a whole number beyond ``sys.set_int_max_str_digits``, should that have been lowered
        problem = "the body holds a whole number with too many digits"
    except RecursionError:
        problem = _TOO_DEEP
    else:
        # With so few brackets it cannot be deep, and nearly every body is spared the walk.
        if text.count("{") + text.count("[") <= MAX_DEPTH or not _is_too_deep(payload):
            return payload, None
        problem = _TOO_DEEP
    return None, problem


def _decode_text(body: bytes | bytearray | memoryview | str) -> tuple[str, str | None]:
    if isinstance(body, str):
        return body.removeprefix("\ufeff"), None
    if not isinstance(body, (bytes, bytearray, memoryview)):
        msg = f"body must be bytes or str, not {type(body).__name__}; pass the body as it was received, undecoded"
        raise TypeError(msg)
    try:
        return str(bytes(body).removeprefix(codecs.BOM_UTF8), "utf-8"), None
    except UnicodeDecodeError as error:
        return "", f"the body is not UTF-8 (at byte {error.start})"


_TOO_DEEP = f"the body is nested more than {MAX_DEPTH} levels deep"


def _what_is_wrong_with(payload: object) -> str | None:
    if not isinstance(payload, dict):
        return f"the body must be a JSON object, not {json_type(payload)}"
    if "event" not in payload:
        return 'the body has no "event"'
    name = payload["event"]
    if not isinstance(name, str):
        return f'"event" must be a text, not {json_type(name)}'
    if not name.strip():
        return '"event" is blank'
    return None


def _is_too_deep(payload: object) -> bool:
    level: list[Any] = [payload]  # texts and numbers can only be in the first one, and end it there
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def json_type(value: object) -> str:
    """Say what JSON calls a decoded value: it describes a body without quoting it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "object" if isinstance(value, Mapping) else "array"


# --- reading ------------------------------------------------------------------------------------------------------

_Reader = Callable[[object], tuple[Any, bool]]
"""Takes a value that is not null. Returns what it is read as (``None``: unreadable), and whether that is all of it."""


def _read_str(value: object) -> tuple[str | None, bool]:
    if isinstance(value, str):
        return value, True
    # Lossless: PHP writes a numeric string as a number when told to. A float or a boolean is something else.
    if isinstance(value, int) and not isinstance(value, bool) and -_MAX_COERCED < value < _MAX_COERCED:
        return str(value), True
    return None, False


def _read_strs(value: object) -> tuple[tuple[str, ...] | None, bool]:
    if isinstance(value, dict) and all(key.isdecimal() for key in value):
        value = list(value.values())  # PHP writes an array with gaps as an object
    if not isinstance(value, list):
        return None, False
    texts = tuple(text for text in (_read_str(item)[0] for item in value) if text is not None)
    return texts, len(texts) == len(value)


def _reader_of_object(cls: type[Any]) -> _Reader:
    def read_object(value: object) -> tuple[Any, bool]:
        if not isinstance(value, Mapping):
            return None, False
        values, extra = _read(cls, value)
        return cls(**values, extra=extra), True

    return read_object


@cache
def _plan(cls: type) -> tuple[tuple[str, tuple[str, ...], _Reader], ...]:
    """List a class's attributes that come from the wire: name, spellings, reader."""
    readers: dict[type, _Reader] = {str: _read_str, tuple: _read_strs}
    return tuple(
        (
            attribute.name,
            attribute.metadata[WIRE],
            readers.get(attribute.metadata[KIND]) or _reader_of_object(attribute.metadata[KIND]),
        )
        for attribute in attrs.fields(cls)
        if WIRE in attribute.metadata
    )


def _read(cls: type, payload: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the constructor's arguments, and whatever of the object did not go into them."""
    values: dict[str, Any] = {}
    extra = dict(payload)
    for attribute, spellings, read in _plan(cls):
        for spelling in spellings:
            found = extra.get(spelling)
            if found is None:  # null says no more than absence does
                extra.pop(spelling, None)
                continue
            value, complete = read(found)
            if complete:
                del extra[spelling]
            if value is not None:
                values[attribute] = value
                break
    return values, extra
