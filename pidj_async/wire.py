"""Values to form fields, JSON to values.

Reading is tolerant, by the rules at the head of `pidj_async.models`; cattrs does it, from one plan per class. cattrs is
imported with the first reply, not with the package: a program that only imports pays nothing for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import attrs

from pidj_async._fields import FieldInfo, IdKind, Kind, PhoneNumberKind
from pidj_async._unset import UNSET

if TYPE_CHECKING:
    from types import ModuleType

    from cattrs import Converter

__all__ = [
    "MissingFieldError",
    "another_shape",
    "decode_json",
    "documented",
    "encode_path",
    "form_encoder",
    "structure",
]

M = TypeVar("M")

_TRUE = frozenset({1, "1", "true", "yes"})
_FALSE = frozenset({0, "0", "", "false", "no"})

_ENVELOPE = frozenset({"code", "status", "message"})


class MissingFieldError(ValueError):
    """A reply lacks something without which its result would be no result."""


# ------------------------------------------------------------------------------------------------------ to the wire


def form_encoder(fields: tuple[FieldInfo, ...]) -> Callable[[Any], bytes]:
    """Return what writes these fields of a request as ``application/x-www-form-urlencoded``.

    A value is written, ``None`` is written blank (Pidj removes the value), `UNSET` is not written at all.
    """
    plan = [(one.name, _writer(one.kind)) for one in fields]

    def encode(request: Any) -> bytes:
        pairs = []
        for name, write in plan:
            value = getattr(request, name)
            if value is not UNSET:
                pairs.append(f"{name}={'' if value is None else write(value)}")
        return "&".join(pairs).encode("ascii")

    return encode


def _writer(kind: Kind) -> Callable[[Any], str]:
    """Return what writes a value of this kind as it stands in a form."""
    if isinstance(kind, PhoneNumberKind):
        return _form_of_number
    if isinstance(kind, IdKind):
        return lru_cache(maxsize=256)(_form_of)  # most texts come from the same few groups
    if type(kind).encode is Kind.encode:
        return _form_of
    return lambda value: _form_of(kind.encode(value))


def _form_of_number(number: str) -> str:
    return f"%2B{number[1:]}"  # the rest is digits: it has been checked


def _form_of(text: str) -> str:
    # Latin-1 gives each byte of the UTF-8 a character of its own, which is what the table is indexed by.
    plain = text if text.isascii() else text.encode().decode("latin-1")
    return plain.translate(_FORM_TABLE)


# urllib's quote_plus looks at each byte by itself; for a text of 160 characters that takes longer than all else the
# client does. One table says the same, and a test holds it against quote_plus.
_FORM_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")
_FORM_TABLE = [chr(byte) if byte in _FORM_SAFE else f"%{byte:02X}" for byte in range(256)]
_FORM_TABLE[ord(" ")] = "+"


def encode_path(value: str) -> str:
    """Write one value as one segment of a path, so that no id can reach another path."""
    # RFC 3986 allows ":" in a segment, and Pidj's own examples write ids that way.
    return quote(value, safe=":")


# ---------------------------------------------------------------------------------------------------- from the wire


def decode_json(body: bytes | str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: If it is none; also for nesting and numbers beyond what Python takes.
    """
    try:
        return json.loads(body)
    except RecursionError:
        msg = "nested too deep"
        raise ValueError(msg) from None


@cache
def documented() -> ModuleType | None:
    """The quick way from a reply to a result, `pidj_async._documented`; ``None`` without msgspec."""
    try:
        from pidj_async import _documented  # noqa: PLC0415  see the head of the module
    except ModuleNotFoundError as error:
        if error.name != "msgspec":
            raise
        return None
    return _documented


@cache
def another_shape() -> tuple[type[Exception], ...]:
    """What its decoders raise for a reply that has to be read the other way."""
    quick = documented()
    return () if quick is None else quick.ANOTHER_SHAPE


def structure(
    value: Mapping[str, Any],
    model: type[M],
    renames: Mapping[str, str] | None = None,
    *,
    envelope: bool = False,
) -> M:
    """Read a JSON object into a model.

    Args:
        value: The decoded object.
        model: A frozen attrs class with an ``extra`` attribute.
        renames: Attributes that have another name on the wire.
        envelope: The object is a whole reply, whose ``code``, ``status`` and ``message`` are nothing unknown.

    Raises:
        MissingFieldError: If an attribute without default is absent, or is of a type that it cannot be read from.
    """
    any_class: Any = model  # mypy doubts that a class can be hashed
    result: M = _reader(any_class, tuple(sorted(renames.items())) if renames else (), envelope)(value)
    return result


class _Misfit:
    """What a leaf's hook returns for a value of the wrong type: the attribute gets its default, ``extra`` the value."""


_MISFIT = _Misfit()


def _text(value: Any, _: Any) -> Any:
    if value is None or type(value) is str:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return _MISFIT


def _boolean(value: Any, _: Any) -> Any:
    if value is None or value is True or value is False:
        return value
    word = value.strip().lower() if isinstance(value, str) else value
    try:
        return True if word in _TRUE else False if word in _FALSE else _MISFIT
    except TypeError:  # unhashable: an array or an object
        return _MISFIT


def _texts(value: Any, _: Any) -> Any:
    if value is None:
        return ()
    if isinstance(value, dict):  # PHP writes an array with gaps as an object
        value = list(value.values())
    if not isinstance(value, list):
        return _MISFIT
    read = tuple(_text(one, str) for one in value)
    return read if all(type(one) is str for one in read) else _MISFIT


@cache
def _converter() -> Converter:
    import cattrs  # noqa: PLC0415  see the head of the module

    converter = cattrs.Converter(detailed_validation=False)
    # The plain types by themselves: cattrs looks for the exact type first, and its own str() would make "None" of null.
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(bool, _boolean)
    for hints, hook in (((str | None,), _text), ((bool | None,), _boolean), ((tuple[str, ...],), _texts)):
        converter.register_structure_hook_func(hints.__contains__, hook)
    return converter


@cache
def _reader(
    model: type[Any],
    renames: tuple[tuple[str, str], ...],
    envelope: bool,  # noqa: FBT001  cached
) -> Callable[[Mapping[str, Any]], Any]:
    converter = _converter()
    wire_names = dict(renames)
    attrs.resolve_types(model)
    plan = []
    required: set[str] = set()
    for attribute in attrs.fields(model):
        if attribute.name == "extra":
            continue
        hook = converter.get_structure_hook(attribute.type)
        plan.append((wire_names.get(attribute.name, attribute.name), attribute.name, hook, attribute.type))
        if attribute.default is attrs.NOTHING:
            required.add(attribute.name)
    known = {wire_name for wire_name, *_ in plan}
    if envelope:
        known |= _ENVELOPE

    def read(value: Mapping[str, Any]) -> Any:
        found: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for wire_name, name, hook, hint in plan:
            if wire_name in value:
                raw = value[wire_name]
                result = hook(raw, hint)
                if result is _MISFIT:
                    extra[wire_name] = raw
                elif result is not None:
                    found[name] = result
        if missing := required - found.keys():
            msg = f"it lacks {', '.join(sorted(wire_names.get(name, name) for name in missing))}"
            raise MissingFieldError(msg)
        if not known.issuperset(value):
            extra.update((key, one) for key, one in value.items() if key not in known)
        return model(**found, extra=MappingProxyType(extra)) if extra else model(**found)

    return read
