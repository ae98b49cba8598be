"""Webhook bodies, from what Pidj would send to what nobody would."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from pidj_async.webhooks.events import EVENT_TYPES
from pidj_async.webhooks.samples import sample

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["bodies", "json_values", "mutate", "payloads"]

_texts = st.text(max_size=12) | st.text(st.characters(categories=["Cs", "Cc", "Lu"]), max_size=4)
_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts
)
json_values: st.SearchStrategy[Any] = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=8,
)
"""Any JSON value at all: lone surrogates, control characters and huge numbers included."""

_WORDS = (
    "uuid", "id", "group_id", "phone", "phone_number", "name", "message", "phone_to", "phone_from", "first_name",
    "email_address", "tags", "external_id", "contact", "group", "text", "interaction", "nickname", "extra", "raw",
    "self",
)  # fmt: skip
_names = st.sampled_from(_WORDS) | _texts
_objects = st.dictionaries(_names, json_values | st.dictionaries(_names, json_values, max_size=4), max_size=5)


def _slots(node: Any) -> list[tuple[Any, Any]]:
    """List every place inside a JSON value: its container and its key."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [slot for key in keys for slot in ((node, key), *_slots(node[key]))]


@st.composite
def payloads(draw: st.DrawFn, names: st.SearchStrategy[str] | None = None) -> dict[str, Any]:
    """An event as JSON: one of the nine or an unknown one, with anything in any of its places.

    The events' ``names`` are by default the nine and others.
    """
    name = draw(names if names is not None else st.sampled_from(list(EVENT_TYPES)) | _texts.filter(str.strip))
    payload = sample(name) if name in EVENT_TYPES else draw(_objects)
    payload.pop("event", None)
    slots = _slots(payload)
    for _ in range(draw(st.integers(0, 3)) if slots else 0):
        container, key = draw(st.sampled_from(slots))
        if isinstance(container, dict) and key in container and draw(st.booleans()):
            container[draw(_names)] = draw(json_values)
            container.pop(key, None)
        else:
            container[key] = draw(json_values | _objects)
    if draw(st.booleans()):
        payload |= draw(_objects)
    return {**payload, "event": name}


def bodies(names: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[bytes]:
    """The same, encoded as a server might: with or without escapes, spaces and a byte order mark."""
    return st.builds(_encode, payloads(names), st.booleans(), st.booleans())


def _encode(payload: dict[str, Any], spaced: bool, marked: bool) -> bytes:  # noqa: FBT001
    body = json.dumps(payload, indent=2 if spaced else None).encode()
    return b"\xef\xbb\xbf" + body if marked else body


# --- fuzzing ------------------------------------------------------------------------------------------------------
# A plain `random.Random` rather than hypothesis: 100,000 bodies have to be made in seconds.

_NASTY = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1E+9999", b"9" * 5_000, b"0." + b"1" * 5_000, b"[" * 3_000,
    b'{"a":' * 3_000, b"[" * 90 + b"]" * 90, b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b"\x00", b"\xef\xbb\xbf",
    b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\\", b'"', b"{", b"}", b"[]", b"{}", b"null", b"true", b",", b":",
    b'"event":null', b'"event":"opt-out",', b'"event":"opt-in"', b"\\u12", b"-", b"1.", b"01", b"/*", b"event=opt-out",
    "\u2028\U0001f600".encode(), b"1" * 900,
)  # fmt: skip
_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**30, 1.5, 1e308, "", " ", "\x00", "\ud800", "x" * 3_000, [], {}, [[]], [None],
    {"": {}},
    {"uuid": 1, "id": "co:1"}, {"phone": {}}, {"tags": {"0": "a", "2": "b"}}, "contact", 18885552222, ["a", 1, None],
)  # fmt: skip


def mutate(rng: random.Random) -> bytes:
    """Make one body that is wrong in some way, or in none."""
    ways: tuple[Callable[[random.Random], bytes], ...] = (_noise, _bent_bytes, _bent_bytes, _bent_values, _bent_values)
    return rng.choice(ways)(rng)


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(64)) if rng.random() < 0.5 else b"".join(rng.choices(_NASTY, k=4))


def _bent_bytes(rng: random.Random) -> bytes:
    body = bytearray(json.dumps(sample(rng.choice(list(EVENT_TYPES)))).encode())
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(body) + 1)
        stop = start + rng.choice((0, 0, 1, 1, 2, 8, 50, len(body)))
        body[start:stop] = rng.choice((b"", rng.randbytes(1), rng.choice(_NASTY), bytes(body[stop : stop + 20])))
    return bytes(body)


def _bent_values(rng: random.Random) -> bytes:
    payload = sample(rng.choice(list(EVENT_TYPES)))
    for _ in range(rng.randint(1, 4)):
        slots = _slots(payload)
        container, key = rng.choice(slots) if slots else (payload, "event")
        change = rng.randrange(3)
        if change == 0:
            container[key] = copy.deepcopy(rng.choice(_ODD_VALUES))
        elif change == 1 and isinstance(container, dict):
            container[rng.choice(_WORDS)] = container.pop(key)
        else:
            container[key] = {rng.choice(_WORDS): copy.deepcopy(rng.choice(_ODD_VALUES)) for _ in range(3)}
    return json.dumps(payload, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
