"""The quick way from a reply to a result, for replies that hold what they should and nothing else.

A JSON engine (msgspec, the extra ``fast``) decodes the reply into shapes that are made of the classes in `models`, and
checks every type on the way. Then one function per class, written out like the ``__init__`` that attrs writes, hands
the fields over. Two rules keep this safe:

1. **All or nothing.** A field without a name, a value of another type, a status other than ``"success"``: each of these
   is an error of `ANOTHER_SHAPE`, and the reply is read the other way (`sansio`), which knows what to do with it.
2. **The same result.** Tests compare this way with the other one, for every reply that they make up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final, Literal

import attrs
import msgspec

from pidj_async._drafts import draft_of

__all__ = ["ANOTHER_SHAPE", "items_decoder", "reply_decoder"]

ANOTHER_SHAPE: Final = (
    msgspec.MsgspecError,  # no JSON, or a field of another name or type
    UnicodeError,  # bytes that are not UTF-8, or a text that UTF-8 cannot hold
    RecursionError,  # something deep, or a caller near the end of the stack
)
"""What a decoder raises for a reply that has to be read the other way."""

_ENVELOPE: Final[tuple[Any, ...]] = (
    ("code", int, 0),
    ("status", Literal["success"]),
    ("message", str | None, None),
)
_KNOWN_TYPES: Final = {
    str: str,
    bool: bool,
    str | None: str | None,
    bool | None: bool | None,
    tuple[str, ...]: tuple[str, ...] | None,
}


def items_decoder(model: type[Any], renames: Mapping[str, str]) -> Callable[[bytes], list[Any]]:
    """Return what decodes an array of `model` objects, or raises one of `ANOTHER_SHAPE`."""
    shape, read = _shape_of(model, renames, in_envelope=False)
    decode = msgspec.json.Decoder(list[shape]).decode  # type: ignore[valid-type]

    def decode_items(body: bytes) -> list[Any]:
        return [read(one) for one in decode(body)]

    return decode_items


def reply_decoder(
    model: type[Any], envelope: str | None, renames: Mapping[str, str], *, many: bool
) -> Callable[[bytes], Any]:
    """Return what decodes a whole reply into its result, or raises one of `ANOTHER_SHAPE`.

    Args:
        model: See `Endpoint`.
        envelope: See `Endpoint`.
        renames: See `Endpoint`.
        many: See `Endpoint`.
    """
    shape, read = _shape_of(model, renames, in_envelope=envelope is None)
    if envelope is None:
        decode_all = msgspec.json.Decoder(shape).decode
        return lambda body: read(decode_all(body))
    inner: Any = list[shape] if many else shape  # type: ignore[valid-type]
    fields = [("content", inner), *_ENVELOPE]
    whole: Any = msgspec.defstruct(
        "Reply", _sorted(fields), forbid_unknown_fields=True, rename={"content": envelope}, gc=False
    )
    decode = msgspec.json.Decoder(whole).decode
    if many:
        return lambda body: tuple([read(one) for one in decode(body).content])
    return lambda body: read(decode(body).content)


def _shape_of(model: type[Any], renames: Mapping[str, str], *, in_envelope: bool) -> tuple[Any, Callable[[Any], Any]]:
    """Make a class that msgspec decodes into, and the function that makes a `model` of one of its objects."""
    attrs.resolve_types(model)
    fields: list[tuple[Any, ...]] = []
    for attribute in attrs.fields(model):
        if attribute.name == "extra":
            continue
        kind = _KNOWN_TYPES[attribute.type]
        if attribute.default is attrs.NOTHING:
            fields.append((attribute.name, kind))
        else:
            fields.append((attribute.name, kind | None, None))
    if in_envelope:
        own = {name for name, *_ in fields} - {"status"}
        fields = [field for field in fields if field[0] in own] + [one for one in _ENVELOPE if one[0] not in own]
    # gc=False: a shape lives for a microsecond, and cannot be part of a cycle.
    shape = msgspec.defstruct(
        model.__name__, _sorted(fields), forbid_unknown_fields=True, rename=dict(renames) or None, gc=False
    )
    any_class: Any = model  # mypy doubts that a class can be hashed
    return shape, _handing_over(any_class)


def _sorted(fields: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(fields, key=len)  # those without a default first


@cache
def _handing_over(model: Any) -> Callable[[Any], Any]:
    names: dict[str, Any] = {"Draft": draft_of(model), "Model": model, "NOTHING": attrs.fields(model).extra.default}
    source = "\n    ".join(["def read(shape):", *_assignments(model)])
    exec(compile(source, f"<{__name__}>", "exec"), names)  # noqa: S102  nothing of it comes from outside
    read: Callable[[Any], Any] = names["read"]
    return read


def _assignments(model: type[Any]) -> Iterator[str]:
    yield "made = Draft()"
    for attribute in attrs.fields(model):
        if attribute.name == "extra":
            yield "made.extra = NOTHING"
        elif attribute.default in {attrs.NOTHING, None}:
            yield f"made.{attribute.name} = shape.{attribute.name}"
        else:  # "" or (), which is also what null stands for
            yield f"made.{attribute.name} = shape.{attribute.name} or {attribute.default!r}"
    yield "made.__class__ = Model"
    yield "return made"
